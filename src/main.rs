//! The command line: `serve`, `migrate`, `restored`, `token`, `account`, `archive`, `directory`, `check`, `support`, `settings`,
//! `roles`, `completions`, `man`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use im_push_gateway::app::{App, MetricsEndpoint};
use im_push_gateway::base::certificate::Certificate;
use im_push_gateway::base::config::{self, Config, ShownSettings};
use im_push_gateway::base::store::Store;
use im_push_gateway::base::telemetry;
use im_push_gateway::base::trace::Exporter;
use im_push_gateway::identity::Identity;
use im_push_gateway::{cli, events};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Measured against the system's allocator: see docs/benchmarks.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The name of the binary, for completions.
const NAME: &str = env!("CARGO_PKG_NAME");

/// Channels, messages and a push status for every receiver, beside an API gateway.
///
/// `settings` prints all settings with their defaults. A file given by --config overrides the defaults, and
/// IMPG_<KEY> in the environment overrides both. Only IMPG_DATABASE_URL has no default.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// The TOML file with the settings.
    #[arg(long, env = "IMPG_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Update the database schema and answer requests until SIGTERM or SIGINT.
    ///
    /// A schema that is up to date is only read, so that a role that owns no table can serve.
    Serve,
    /// Update the database schema and exit. `serve` does this, too; replicas take turns.
    Migrate,
    /// Create, list and revoke bearer tokens for machines: applications, HR services, the gateway.
    #[command(subcommand)]
    Token(cli::token::TokenCommand),
    /// Create accounts of people who sign in to this service itself, reset their passwords, replace the key of their tokens.
    #[command(subcommand)]
    Account(cli::account::AccountCommand),
    /// Move old records into the archive, switch to another archive, or repair what a restore left different.
    #[command(subcommand)]
    Archive(cli::archive::ArchiveCommand),
    /// Synchronize users and departments from the directory source.
    #[command(subcommand)]
    Directory(cli::directory::DirectoryCommand),
    /// Prevent reused ids after a restore of the database from a dump, a snapshot or a backup.
    ///
    /// Run it before `serve`. It makes sure that no id of an event or a channel is given twice. `serve`
    /// detects most restores itself. Running it again does no harm.
    Restored,
    /// Check the settings, the database, the push, the archive and the directory, and exit.
    ///
    /// The exit code is 0 when all is well, 1 after a warning, 2 when something is critical. A mistake in the
    /// settings is 1, too, and is told before anything is connected to.
    Check(cli::check::CheckCommand),
    /// Collect what support staff need to help.
    #[command(subcommand)]
    Support(cli::support::SupportCommand),
    /// Print all settings with their defaults and descriptions.
    Settings,
    /// Print the SQL for psql that creates the roles of the database: owner, service, reports.
    Roles,
    /// Print the completions of a shell, for its folder of completions.
    Completions {
        /// bash, elvish, fish, powershell or zsh.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in troff.
    Man,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Only test builds have fail points. The environment sets them.
    let _scenario = fail::FailScenario::setup();
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("im-push-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // What needs no settings.
    match cli.command {
        Command::Settings => print!("{}", config::DEFAULTS),
        Command::Roles => print!("{}", include_str!("../docs/roles.sql")),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), NAME, &mut std::io::stdout());
        }
        Command::Man => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
        command => return configured(cli.config.as_deref(), command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn configured(file: Option<&Path>, command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = Config::load(file, |config| match command {
        Command::Serve | Command::Check(_) => {
            [Identity::mistakes(&config.identity), Certificate::mistakes(&config.server)].concat()
        }
        _ => Vec::new(),
    })?;
    match command {
        Command::Serve => serve(config).await?,
        Command::Migrate => {
            let store = Store::new(&config)?;
            store.check_sessions().await?;
            store.check_locks().await?;
            store.migrate(&config).await?;
        }
        Command::Restored => restored(&config).await?,
        Command::Token(command) => cli::token::run(&Store::new(&config)?, command).await?,
        Command::Account(command) => cli::account::run(&config, command).await?,
        Command::Archive(command) => return cli::archive::run(&config, command).await,
        Command::Directory(command) => cli::directory::run(&config, command).await?,
        Command::Support(command) => {
            let shown = ShownSettings::load(file)?;
            return cli::support::run(&config, &shown, &command).await;
        }
        Command::Check(command) => return Ok(cli::check::run(&config, &command).await),
        Command::Settings | Command::Roles | Command::Completions { .. } | Command::Man => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn restored(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::new(config)?;
    store.check_sessions().await?;
    store.check_locks().await?;
    store.migrate(config).await?;
    events::restored(&store).await?;
    println!("events and channels continue with unused ids; streams reload");
    Ok(())
}

async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    telemetry::init_log(&config.log)?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let metrics = match config.server.metrics_listen {
        Some(address) => {
            let listener =
                TcpListener::bind(address).await.map_err(|e| cannot_listen("metrics_listen", address, &e))?;
            tracing::info!(metrics_listen = %listener.local_addr()?, "metrics");
            Some(MetricsEndpoint { listener, handle: telemetry::init_metrics()? })
        }
        None => None,
    };
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|e| cannot_listen("listen", config.server.listen, &e))?;
    let traces = Exporter::start(&config.traces, config.workers.connection_life)?;
    let app = tokio::select! {
        app = App::build(config) => app?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(listen = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "listening");
    let served = app.run(listener, metrics, stop).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// Why an address of the settings cannot be listened on, and what to do.
fn cannot_listen(setting: &str, address: std::net::SocketAddr, error: &std::io::Error) -> String {
    format!("cannot listen on {address}: {error}; change `{setting}`, or free the address")
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("could not listen for signals; only SIGKILL stops this process");
        return;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!("stopping");
    stop.cancel();
}
