//! Answers of the API, as far as these pages show them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

#[derive(Debug, Deserialize)]
pub struct Day {
    pub day: String,
    pub state: String,
    pub step: Option<String>,
    pub messages: Option<i64>,
    pub ledger_rows: Option<i64>,
    pub lost_documents: i64,
    pub lost_ledger_rows: i64,
    pub bytes: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct ArchiveRun {
    pub run_id: String,
    pub asked_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub outcome: Option<String>,
    pub doing: Option<String>,
    pub messages: i64,
    pub ledger_rows: i64,
    pub days: Vec<RunDay>,
}

#[derive(Debug, Deserialize)]
pub struct RunDay {
    pub day: String,
    pub step: String,
}

#[derive(Debug, Deserialize)]
pub struct DirectoryRun {
    pub run_id: String,
    pub mode: String,
    pub asked_by: String,
    pub dry_run: bool,
    pub state: String,
    pub detail: Option<String>,
    pub approved_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub staged: i64,
    pub counts: Counts,
    pub guard: Option<Guard>,
    pub problems: i64,
}

/// How many of the known users or departments would leave.
#[derive(Debug, Deserialize)]
pub struct Guard {
    pub kind: String,
    pub leaving: i64,
    pub known: i64,
}

/// Records of a run by action.
#[derive(Debug, Default, Deserialize)]
pub struct Counts {
    #[serde(default)]
    pub users: BTreeMap<String, i64>,
    #[serde(default)]
    pub departments: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize)]
pub struct Difference {
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
    pub action: String,
}

#[derive(Debug, Deserialize)]
pub struct RunProblem {
    pub kind: String,
    pub external_id: Option<String>,
    pub detail: String,
}

#[derive(Debug, Deserialize)]
pub struct AskedRun {
    pub run_id: String,
}

#[derive(Debug, Deserialize)]
pub struct Edit {
    pub edit_id: String,
    pub user_id: String,
    pub attributes: Map<String, Value>,
    pub base: Map<String, Value>,
    pub theirs: Option<Map<String, Value>>,
    pub state: String,
    pub detail: Option<String>,
    pub attempts: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
    pub asked_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct Schedule {
    pub items: Vec<Job>,
}

#[derive(Debug, Deserialize)]
pub struct Job {
    pub job: String,
    pub setting: String,
    pub cron: Option<String>,
    pub time_zone: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_begun_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_at: Option<OffsetDateTime>,
    pub next_local: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_since: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct Replicas {
    pub replicas: Vec<Replica>,
    pub leases: Vec<Lease>,
}

#[derive(Debug, Deserialize)]
pub struct Replica {
    pub replica_id: String,
    pub version: String,
    pub host: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    pub is_silent: bool,
    pub failing: Vec<FailingWorker>,
}

#[derive(Debug, Deserialize)]
pub struct FailingWorker {
    pub worker: String,
    pub failures: u64,
}

#[derive(Debug, Deserialize)]
pub struct Lease {
    pub work: String,
    pub replica_id: Option<String>,
    pub is_held: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct Absent {
    pub user_id: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub left_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct Nudged {
    pub urged: i64,
    pub over_limit_count: i64,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetter {
    pub dead_id: String,
    pub pairs: i64,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
}
