//! Answers of the API, as far as the pages of operators show them.

use serde::Deserialize;
use time::OffsetDateTime;

use crate::console::answers::Attempt;

#[derive(Debug, Deserialize)]
pub struct Overview {
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    pub readiness: Readiness,
    pub attention: Vec<Attention>,
    /// `None`: the database does not answer.
    pub numbers: Option<Numbers>,
}

#[derive(Debug, Deserialize)]
pub struct Readiness {
    pub status: String,
    pub database: String,
    pub partitions: String,
    pub callback: String,
    pub archive: String,
    pub index_lag_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Attention {
    pub kind: String,
    pub level: String,
    pub callback_id: Option<String>,
    pub run_id: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    pub count: Option<i64>,
    pub runbook: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Numbers {
    pub traffic: Traffic,
    pub push: Push,
    pub archive: Archive,
    pub directory: Directory,
    pub files: Files,
}

#[derive(Debug, Deserialize)]
pub struct Traffic {
    pub estimated: bool,
    pub hours: Vec<Hour>,
}

#[derive(Debug, Deserialize)]
pub struct Hour {
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    pub messages: i64,
    pub receivers: i64,
    pub pushed: i64,
    pub received: i64,
    pub read: i64,
}

#[derive(Debug, Deserialize)]
pub struct Push {
    pub active: i64,
    pub paused: i64,
    pub disabled: i64,
    pub failing: i64,
    pub waiting_pairs: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest_queued_at: Option<OffsetDateTime>,
    pub dead_letters: i64,
    pub estimated: bool,
}

#[derive(Debug, Deserialize)]
pub struct Archive {
    #[serde(with = "time::serde::rfc3339::option")]
    pub cold_before: Option<OffsetDateTime>,
    pub last_run: Option<ArchiveRun>,
    pub lost_days: i64,
}

#[derive(Debug, Deserialize)]
pub struct ArchiveRun {
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub outcome: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Directory {
    pub last_run: Option<DirectoryRun>,
    pub edit_conflicts: i64,
}

#[derive(Debug, Deserialize)]
pub struct DirectoryRun {
    pub run_id: String,
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct Files {
    pub stored: i64,
    pub recent: i64,
    pub estimated: bool,
}

#[derive(Debug, Deserialize)]
pub struct Callbacks {
    pub items: Vec<Callback>,
}

#[derive(Debug, Deserialize)]
pub struct Callback {
    pub callback_id: String,
    pub kind: String,
    pub url: String,
    pub owner: Option<String>,
    pub from_settings: bool,
    pub description: Option<String>,
    pub event_types: Vec<String>,
    pub timeout_ms: i64,
    pub concurrency: i64,
    pub state: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
    pub disabled_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    pub waiting_rows: i64,
    pub waiting_pairs: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest_queued_at: Option<OffsetDateTime>,
    pub batches_in_flight: i64,
    pub dead_letters: i64,
    pub counts_estimated: bool,
    pub breaker: String,
}

impl Callback {
    /// What people call it.
    pub fn name(&self) -> &str {
        self.description.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.callback_id)
    }

    /// The address without its query, which can hold a credential.
    pub fn place(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub struct Statistics {
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    pub stretches: Vec<Stretch>,
    pub failures: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
pub struct Stretch {
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    pub attempts: i64,
    pub failed: i64,
    pub pairs: i64,
    pub received: i64,
    pub slowest_ms: i64,
    pub truncated: bool,
}

#[derive(Debug, Deserialize)]
pub struct Failure {
    pub http_status: Option<i64>,
    pub error: String,
    pub attempts: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    pub answer: Option<String>,
}

/// The answer to a test.
#[derive(Debug, Deserialize)]
pub struct Tested {
    pub taken: bool,
    pub http_status: Option<i64>,
    pub error: Option<String>,
    pub duration_ms: i64,
    pub answer: String,
}

/// One attempt of a list.
#[derive(Debug, Deserialize)]
pub struct Delivery {
    pub attempt_id: String,
    pub offline: i64,
    pub rejected: i64,
    pub retried: i64,
    #[serde(flatten)]
    pub attempt: Attempt,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetter {
    pub dead_id: String,
    pub channel_id: Option<String>,
    pub from_ms_id: Option<String>,
    pub to_ms_id: Option<String>,
    pub event_ids: Option<Vec<String>>,
    pub pairs: i64,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetterDetail {
    #[serde(flatten)]
    pub letter: DeadLetter,
    pub from_seq: Option<i64>,
    pub to_seq: Option<i64>,
    pub receivers: Option<Vec<String>>,
    pub event_types: Vec<String>,
    pub attempts: Vec<Delivery>,
}

#[derive(Debug, Deserialize)]
pub struct Replayed {
    pub replayed: i64,
    pub pairs: i64,
}
