//! What needs a person: what is failing now, the worst first.

use serde::Serialize;
use time::OffsetDateTime;

use crate::api::service::Ready;
use crate::api::wire::{Id, rfc3339};
use crate::archive::mover;
use crate::base::named::named;
use crate::delivery::endpoint::{Endpoint, GATEWAY, State};
use crate::files::Stored;
use crate::sync::{self, RunState};

/// Ages in seconds: above the first a warning, above the second critical. `im-push-gateway check` has the same.
const PUSH_AGE: (f64, f64) = (60.0, 600.0);
const SEARCH_AGE: (f64, f64) = (60.0, 3_600.0);

/// What the database knows.
pub struct Facts {
    pub endpoints: Vec<Endpoint>,
    /// `None`: nothing is in the archive alone.
    pub cold_before: Option<OffsetDateTime>,
    pub last_move: Option<mover::Run>,
    pub lost_days: i64,
    pub last_run: Option<sync::Run>,
    /// The directory run that waits for an approval, and since when.
    pub held_run: Option<(i64, OffsetDateTime)>,
    pub edit_conflicts: usize,
    pub files: Stored,
}

named! {
    /// What is wrong, the worst first.
    pub enum Kind ("kind of attention") {
        NotReady = "not_ready",
        EndpointFailing = "endpoint_failing",
        EndpointPaused = "endpoint_paused",
        QueueOld = "queue_old",
        GatewayDiffers = "gateway_differs",
        ArchiveLost = "archive_lost",
        ArchiveFailed = "archive_failed",
        ArchiveAway = "archive_away",
        ArchiveOverdue = "archive_overdue",
        SearchBehind = "search_behind",
        DirectoryFailed = "directory_failed",
        RunHeld = "run_held",
        EndpointDisabled = "endpoint_disabled",
        DeadLetters = "dead_letters",
        EditConflicts = "edit_conflicts",
    }
}

/// How bad it is: users feel it, or it can wait for working hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Critical,
    Warning,
}

/// One thing that needs a person.
#[derive(Debug, Serialize)]
pub struct Attention {
    pub kind: Kind,
    pub level: Level,
    pub callback_id: Option<String>,
    pub run_id: Option<Id>,
    #[serde(with = "rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    pub count: Option<i64>,
    /// The section of the runbooks.
    pub runbook: Option<&'static str>,
}

impl Attention {
    fn new(kind: Kind, level: Level, runbook: &'static str) -> Self {
        let (callback_id, run_id, since, count) = (None, None, None, None);
        Self { kind, level, callback_id, run_id, since, count, runbook: Some(runbook) }
    }

    fn since(self, since: Option<OffsetDateTime>) -> Self {
        Self { since, ..self }
    }

    fn count(self, count: i64) -> Self {
        Self { count: Some(count), ..self }
    }
}

/// What needs a person now, the worst first.
pub fn attention(now: OffsetDateTime, readiness: &Ready, facts: Option<&Facts>) -> Vec<Attention> {
    let mut found = Vec::new();
    if !readiness.is_ready() {
        found.push(Attention::new(Kind::NotReady, Level::Critical, "ImPushGatewayUnready"));
    }
    if ["missing", "differs"].contains(&readiness.callback) {
        found.push(Attention::new(Kind::GatewayDiffers, Level::Warning, "ImPushGatewayGatewayChanged"));
    }
    found.extend(of_archive(readiness));
    if let Some(facts) = facts {
        facts.endpoints.iter().for_each(|endpoint| found.extend(of_endpoint(endpoint, now)));
        found.extend(of_facts(facts));
    }
    // The sort is stable: endpoints keep their order.
    found.sort_by_key(|one| (one.level, one.kind as u8));
    found
}

fn of_archive(readiness: &Ready) -> Vec<Attention> {
    let mut found = Vec::new();
    let runbook = "ImPushGatewayArchiveFailed";
    match readiness.archive {
        "failed" => found.push(Attention::new(Kind::ArchiveFailed, Level::Critical, runbook)),
        "away" => found.push(Attention::new(Kind::ArchiveAway, Level::Critical, runbook)),
        "overdue" => found.push(Attention::new(Kind::ArchiveOverdue, Level::Warning, runbook)),
        _ => {}
    }
    let lag = readiness.index_lag_seconds.unwrap_or_default();
    if let Some(level) = level(lag, SEARCH_AGE) {
        found.push(Attention::new(Kind::SearchBehind, level, "ImPushGatewaySearchBehind").count(lag as i64));
    }
    found
}

/// The level of a value, if it is above the first bound.
fn level(value: f64, (warning, critical): (f64, f64)) -> Option<Level> {
    match value {
        value if value > critical => Some(Level::Critical),
        value if value > warning => Some(Level::Warning),
        _ => None,
    }
}

fn of_endpoint(endpoint: &Endpoint, now: OffsetDateTime) -> Vec<Attention> {
    let mut found = Vec::new();
    let is_gateway = endpoint.callback_id == GATEWAY;
    let of_all = if is_gateway { Level::Critical } else { Level::Warning };
    let is_failing = endpoint.breaker != "closed" && endpoint.state == State::Active;
    let age = endpoint.oldest_queued_at.map_or(0.0, |oldest| (now - oldest).as_seconds_f64());
    match endpoint.state {
        State::Paused => {
            let paused = Attention::new(Kind::EndpointPaused, of_all, "ImPushGatewayPushBehind");
            found.push(paused.since(endpoint.updated_at).count(endpoint.waiting_pairs));
        }
        State::Disabled => {
            let disabled =
                Attention::new(Kind::EndpointDisabled, Level::Warning, "ImPushGatewayObserverDisabled");
            found.push(disabled.since(endpoint.updated_at));
        }
        State::Active if is_failing => {
            let failing = Attention::new(Kind::EndpointFailing, of_all, "ImPushGatewayPushBehind");
            found.push(failing.since(endpoint.failing_since).count(endpoint.waiting_pairs));
        }
        State::Active => {
            let level = level(age, PUSH_AGE).map(|level| if is_gateway { level } else { Level::Warning });
            found.extend(level.map(|level| {
                let old = Attention::new(Kind::QueueOld, level, "ImPushGatewayPushBehind");
                old.since(endpoint.oldest_queued_at).count(endpoint.waiting_pairs)
            }));
        }
    }
    if endpoint.dead > 0 {
        let dead = Attention::new(Kind::DeadLetters, Level::Warning, "ImPushGatewayDeadLetters");
        found.push(dead.count(endpoint.dead));
    }
    for one in &mut found {
        one.callback_id = Some(endpoint.callback_id.clone());
    }
    found
}

fn of_facts(facts: &Facts) -> Vec<Attention> {
    let mut found = Vec::new();
    let of_directory = "ImPushGatewayDirectoryFailed";
    if let Some(run) = facts.last_run.as_ref().filter(|run| run.state == RunState::Failed) {
        let failed = Attention::new(Kind::DirectoryFailed, Level::Critical, of_directory);
        found.push(Attention { run_id: Some(Id(run.run_id)), ..failed.since(run.ended_at) });
    }
    if let Some((run_id, asked_at)) = facts.held_run {
        let held = Attention::new(Kind::RunHeld, Level::Warning, of_directory);
        found.push(Attention { run_id: Some(Id(run_id)), ..held.since(Some(asked_at)) });
    }
    if facts.edit_conflicts > 0 {
        let conflicts = Attention::new(Kind::EditConflicts, Level::Warning, of_directory);
        let count = i64::try_from(facts.edit_conflicts).unwrap_or(i64::MAX);
        found.push(Attention { runbook: None, ..conflicts.count(count) });
    }
    if facts.lost_days > 0 {
        let lost = Attention::new(Kind::ArchiveLost, Level::Critical, "ImPushGatewayArchiveIncomplete");
        found.push(lost.count(facts.lost_days));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::lang::Lang;
    use crate::console::operations::home::sentence;
    use crate::console::operations::runbook::section;

    #[test]
    fn every_kind_has_a_sentence_in_both_languages() {
        for kind in Kind::ALL {
            for lang in [Lang::En, Lang::Zh] {
                assert!(sentence(lang, kind.as_str()).is_some(), "{}", kind.as_str());
            }
        }
    }

    #[test]
    fn a_replica_that_is_not_ready_comes_first_with_a_runbook_that_exists() {
        let readiness = Ready {
            status: "unready",
            database: "away",
            partitions: "unknown",
            callback: "differs",
            archive: "overdue",
            index_lag_seconds: Some(4_000.0),
        };
        let found = attention(OffsetDateTime::UNIX_EPOCH, &readiness, None);
        let kinds: Vec<Kind> = found.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [Kind::NotReady, Kind::SearchBehind, Kind::GatewayDiffers, Kind::ArchiveOverdue]);
        for one in found {
            assert!(one.runbook.is_some_and(|name| section(name).is_some()), "{:?}", one.kind);
        }
    }
}
