//! Answers of the API about one callback, as far as the pages of its developer show them.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

#[derive(Debug, Deserialize)]
pub struct Endpoint {
    pub callback_id: String,
    pub kind: String,
    pub url: String,
    pub description: Option<String>,
    pub event_types: Vec<String>,
    pub channel_ids: Option<Vec<String>>,
    pub state: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
    pub disabled_reason: Option<String>,
    pub waiting_pairs: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest_queued_at: Option<OffsetDateTime>,
    pub dead_letters: i64,
    pub breaker: String,
}

impl Endpoint {
    /// What people call it.
    pub fn name(&self) -> &str {
        self.description.as_deref().filter(|text| !text.is_empty()).unwrap_or(&self.callback_id)
    }
}

#[derive(Debug, Deserialize)]
pub struct Delivery {
    pub attempt_id: String,
    pub batch_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub attempted_at: OffsetDateTime,
    pub duration_ms: i64,
    pub http_status: Option<u16>,
    pub answer: Option<String>,
    pub error: Option<String>,
    pub pairs: i64,
}

#[derive(Debug, Deserialize)]
pub struct Payload {
    pub batch_id: String,
    pub events: Vec<Value>,
    pub missing: i64,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetter {
    pub dead_id: String,
    pub event_ids: Option<Vec<String>>,
    pub pairs: i64,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct Tested {
    pub taken: bool,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    pub duration_ms: u64,
    pub request_bytes: usize,
    pub answer: String,
}

#[derive(Debug, Deserialize)]
pub struct Replayed {
    pub replayed: i64,
    pub pairs: i64,
    pub next_event_id: Option<String>,
}

/// A link, as its list shows it.
#[derive(Debug, Deserialize)]
pub struct Link {
    pub link_id: String,
    pub name: String,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub opened_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct Links {
    pub items: Vec<Link>,
}

/// A link that was made just now. `None`: it was made before, and its secret is not stored.
#[derive(Debug, Deserialize)]
pub struct MadeLink {
    pub url: Option<String>,
}
