//! `im-push-gateway archive …`: moves days into the archive by hand.

mod reconcile;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use time::Duration;

use crate::archive;
use crate::archive::index::{self, Bound};
use crate::archive::mover::{self, Archiver, Outcome, Run};
use crate::base::config::Config;
use crate::base::error::{Error, Kind};
use crate::base::store::Store;
use crate::base::worker::{Tick, Work};
use reconcile::ReconcileCommand;

#[derive(Subcommand)]
pub enum ArchiveCommand {
    /// Move all days older than archive_age_days into the archive now, and follow the run until it ends. If
    /// replicas are running, one of them does the work.
    Run {
        /// Only show which days would move, and what holds them.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make the archive of the settings the archive of this database, in place of another. Only possible
    /// before a day has moved. All hot messages are indexed again.
    Adopt,
    /// Compare the archive with the database, after either was restored, and make them agree.
    ///
    /// Stop all replicas first. Without --apply nothing is changed. With it, what the archive lacks of hot messages is
    /// indexed again, days that both have move again, and documents of messages that the database does not know are set
    /// aside: they are kept in the archive, and no longer found. Nothing is deleted. After a kill run it again.
    ///
    /// The exit code is 0 when both agree, 2 when --apply would change something, and 3 when the archive has lost
    /// documents of cold days: restore a newer copy of it. 1 is an error.
    Reconcile(ReconcileCommand),
}

type CommandResult = Result<(), Box<dyn std::error::Error>>;

/// Runs one of the commands and prints its result.
pub async fn run(config: &Config, command: ArchiveCommand) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let store = Store::new(config)?;
    match command {
        ArchiveCommand::Run { dry_run: true } => show(&store, config).await?,
        ArchiveCommand::Run { dry_run: false } => follow(&store, config).await?,
        ArchiveCommand::Adopt => {
            let archive = archive::open(config).await?.ok_or("archive_url is not set")?;
            index::adopt(&store, &*archive).await?;
            println!("adopted; all hot messages are indexed again");
        }
        ArchiveCommand::Reconcile(command) => return reconcile::run(&store, config, &command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(store: &Store, config: &Config) -> CommandResult {
    let age = Duration::days(config.archive.age_days.into());
    let days = mover::sized_candidates(store, store.now().await? - age).await?;
    println!("{} days are older than {} days", days.len(), config.archive.age_days);
    for day in days {
        let held = match day.pushes {
            0 => String::new(),
            n => format!(", held: {n} pushes or reminders are waiting"),
        };
        println!("{}: {} messages, {} ledger rows{held}", day.day, day.messages, day.ledger_rows);
    }
    Ok(())
}

/// Asks for a run and does it, or follows the replica that does it. The service may have an embedded archive
/// open, and only one run can be open.
async fn follow(store: &Store, config: &Config) -> CommandResult {
    let archiver = match archive::open(config).await {
        Ok(Some(archive)) => {
            let bound = Arc::new(Bound::new(store.clone(), archive));
            Some(Archiver::new(store.clone(), bound, config)?)
        }
        Ok(None) => return Err("archive_url is not set".into()),
        // A replica has it open, and does the run.
        Err(e) if e.kind == Kind::Conflict => None,
        Err(e) => return Err(e.into()),
    };
    mover::ask(store, "hand", store.now().await?).await?;
    let run_id = newest(store).await?.run_id;
    let mut shown = String::new();
    loop {
        let ticked = match &archiver {
            Some(archiver) => archiver.tick().await,
            None => Ok(Tick::Idle),
        };
        let run = mover::runs(store, run_id + 1, 1).await?.pop().ok_or("the run no longer exists")?;
        let doing = run.doing.clone().unwrap_or_else(|| "waiting for a replica".to_owned());
        if doing != shown {
            println!("{doing}");
            shown = doing;
        }
        if let Some(outcome) = run.outcome {
            if let Some(archiver) = &archiver {
                archiver.release().await?;
            }
            println!(
                "{}: {} days, {} messages, {} ledger rows",
                outcome.as_str(),
                run.days,
                run.messages,
                run.ledger_rows
            );
            return if outcome == Outcome::Done { Ok(()) } else { Err("the run failed".into()) };
        }
        match ticked {
            Ok(Tick::More) => {}
            Err(e) if !e.is_unavailable() => return Err(e.into()),
            _ => tokio::time::sleep(config.workers.poll).await,
        }
    }
}

async fn newest(store: &Store) -> Result<Run, Error> {
    mover::runs(store, i64::MAX, 1).await?.pop().ok_or_else(|| Error::internal("the run no longer exists"))
}
