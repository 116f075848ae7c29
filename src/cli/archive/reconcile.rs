//! `im-push-gateway archive reconcile`: what was found, for people and for programs.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::archive;
use crate::archive::index::Bound;
use crate::archive::reconcile::{self, DayState, Listing, Report};
use crate::base::config::Config;
use crate::base::store::Store;

/// Exit codes. Both agree: 0.
const DIFFERS: u8 = 2;
const LOST: u8 = 3;
/// Messages that are printed of each list. JSON has more.
const PRINTED: usize = 20;

/// The options of `archive reconcile`.
#[derive(Args)]
pub struct ReconcileCommand {
    /// Repair what differs. Without it, only show it.
    #[arg(long)]
    apply: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

pub async fn run(
    store: &Store,
    config: &Config,
    command: &ReconcileCommand,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let archive = archive::open(config).await?.ok_or("archive_url is not set")?;
    let bound = Arc::new(Bound::new(store.clone(), archive));
    let report = reconcile::reconcile(store, bound, config.workers.lease, command.apply).await?;
    match command.format {
        Format::Text => print!("{}", text(&report)),
        Format::Json => println!("{}", serde_json::to_string(&report)?),
    }
    Ok(match (report.has_lost(), report.differs()) {
        (true, _) => ExitCode::from(LOST),
        (_, true) if !report.applied => ExitCode::from(DIFFERS),
        _ => ExitCode::SUCCESS,
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("text grows");
    for day in &report.days {
        let about = match day.state {
            DayState::Whole => "all documents, as they were moved",
            DayState::Changed => "all documents, some with later receipts, reads or recalls",
            DayState::Lost => "LOST records: restore a newer copy of the archive",
            DayState::HotAgain => "lost records: it becomes hot again, and moves again",
            DayState::Moving => "moving, all that was written is there",
            DayState::WrittenAgain => "moving, written again from its begin",
        };
        let (found, moved) = (day.found_documents, day.documents);
        let rows = (day.found_ledger_rows, day.ledger_rows);
        line(format!(
            "{}: {about} ({found} of {moved} documents, {} of {} ledger rows)",
            day.day, rows.0, rows.1
        ));
    }
    for (day, documents) in &report.hot.cold_before {
        line(format!(
            "{day}: {documents} documents are cold in the archive and hot in PostgreSQL: the day moves again"
        ));
    }
    line(format!("messages to index again: {}", report.hot.index_again));
    line(format!("recalls to write again: {}", report.recalls));
    list(&mut line, "documents of unknown messages, to set aside", &report.hot.unknown);
    list(&mut line, "documents set aside before", &report.hot.set_aside);
    line(match (report.has_lost(), report.differs(), report.applied) {
        (true, _, true) => "what can be repaired is repaired; readers are told what is lost".to_owned(),
        (true, _, false) => {
            "documents are lost: restore a newer copy of the archive, or --apply to tell readers".to_owned()
        }
        (false, false, _) => "the archive and the database agree; nothing is changed".to_owned(),
        (_, true, true) => {
            "applied: the archive and the database agree as soon as the index has caught up".to_owned()
        }
        (false, true, false) => "nothing is changed yet: repair it with --apply".to_owned(),
    });
    text
}

fn list(line: &mut impl FnMut(String), about: &str, listing: &Listing) {
    line(format!("{about}: {}", listing.documents));
    for message in listing.first.iter().take(PRINTED) {
        let (ms_id, channel_id) = (message.ms_id, message.channel_id);
        line(format!(
            "  ms_id {ms_id}, channel {channel_id}, seq {}, at {}",
            message.seq, message.server_time
        ));
    }
}
