//! `im-push-gateway directory …`: runs by hand.

use clap::Subcommand;

use crate::base::config::Config;
use crate::base::store::Store;
use crate::base::worker::{Tick, Work};
use crate::sync::{self, Mode, Run, RunState, Runner, Sync};

/// Most changes that a dry run prints.
const SHOWN_MAX: i64 = 200;

#[derive(Subcommand)]
pub enum DirectoryCommand {
    /// Read users and departments from the source of the settings now, and follow the run until it ends. If
    /// replicas are running, one of them may do the work.
    Sync {
        /// Only read changes since the last run, if the source supports it.
        #[arg(long)]
        incremental: bool,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Approve a held run.
    Approve { run_id: i64 },
}

type CommandResult = Result<(), Box<dyn std::error::Error>>;

/// Runs one of the commands and prints its result.
pub async fn run(config: &Config, command: DirectoryCommand) -> CommandResult {
    let store = Store::new(config)?;
    let runner = Runner::open(store.clone(), config)?.ok_or("set directory.source to synchronize")?;
    match command {
        DirectoryCommand::Sync { incremental, dry_run } => {
            let mode = if incremental { Mode::Incremental } else { Mode::Full };
            let sync = Sync { mode, asked_by: "hand", dry_run };
            let run_id = sync::ask(&store, sync, store.now().await?).await?;
            follow(&store, config, &runner, run_id).await
        }
        DirectoryCommand::Approve { run_id } => {
            sync::approve(&store, run_id, ".server", store.now().await?).await?;
            follow(&store, config, &runner, run_id).await
        }
    }
}

async fn follow(store: &Store, config: &Config, runner: &Runner, run_id: i64) -> CommandResult {
    let mut shown = None;
    loop {
        let ticked = runner.tick().await;
        let run = sync::runs(store, run_id + 1, 1).await?.pop().ok_or("the run no longer exists")?;
        if shown != Some(run.state) {
            println!("{}", run.state.as_str());
            shown = Some(run.state);
        }
        if run.ended_at.is_some() || run.state == RunState::Held {
            runner.release().await?;
            return show(store, &run).await;
        }
        match ticked {
            Ok(Tick::More) => {}
            Err(e) if !e.is_unavailable() => return Err(e.into()),
            _ => tokio::time::sleep(config.workers.poll).await,
        }
    }
}

async fn show(store: &Store, run: &Run) -> CommandResult {
    println!("{}", run.counts);
    if run.problems > 0 {
        println!(
            "{} records were skipped; GET /directory/runs/{}/problems shows why",
            run.problems, run.run_id
        );
    }
    if run.dry_run || run.state == RunState::Held {
        for difference in sync::differences(store, run.run_id, 0, SHOWN_MAX).await? {
            println!("{} {} {}", difference.action, difference.kind, difference.id);
        }
    }
    match (run.state, &run.detail) {
        (RunState::Done | RunState::Shown, _) => Ok(()),
        (RunState::Held, why) => {
            let why = why.as_deref().unwrap_or_default();
            Err(format!("held: {why}; to apply it, run: im-push-gateway directory approve {}", run.run_id)
                .into())
        }
        (state, why) => Err(format!("{}: {}", state.as_str(), why.as_deref().unwrap_or_default()).into()),
    }
}
