//! Answers of the API, as far as the pages show them.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::frame::beginning;

/// Characters of a message in a list. The page of the message shows all.
const LIST_CHARS: usize = 300;

#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub ms_id: String,
    pub channel_id: String,
    pub seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub server_time: OffsetDateTime,
    pub sender: String,
    pub sender_name: String,
    #[serde(rename = "type")]
    pub ms_type: String,
    pub content: Value,
    pub preview: Option<String>,
    pub recalled: Option<Recalled>,
}

impl Message {
    /// The beginning of its words, for a list.
    pub fn brief(&self) -> String {
        beginning(self.words(), LIST_CHARS)
    }

    /// Whether a list does not show all of its words.
    pub fn is_long(&self) -> bool {
        self.words().chars().nth(LIST_CHARS).is_some()
    }

    /// The message in words, if it has any.
    pub fn words(&self) -> &str {
        let of = |field: &str| self.content.get(field).and_then(Value::as_str);
        of("text").or(self.preview.as_deref()).or(of("name")).or(of("title")).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub struct Recalled {
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct Hit {
    #[serde(flatten)]
    pub message: Message,
    pub highlight: Vec<Piece>,
    pub status: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Piece {
    pub text: String,
    pub hit: bool,
}

#[derive(Debug, Deserialize)]
pub struct Named {
    pub user_id: String,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Owner {
    pub user_id: String,
    pub name: String,
    pub active: bool,
}

#[derive(Debug, Deserialize)]
pub struct Channel {
    pub channel_id: String,
    #[serde(rename = "type")]
    pub channel_type: String,
    pub name: Option<String>,
    pub owner: Option<Owner>,
    pub pair: Vec<Named>,
    pub member_count: i64,
    pub last_seq: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_server_time: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub dissolved_at: Option<OffsetDateTime>,
    pub is_member: Option<bool>,
}

/// Messages of a channel, newest first.
#[derive(Debug, Deserialize)]
pub struct Around {
    pub position: Option<usize>,
    pub items: Vec<Message>,
    pub older_cursor: Option<String>,
    pub newer_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Attendance {
    pub user_id: String,
    pub name: String,
    pub active: bool,
    pub intervals: Vec<Interval>,
}

#[derive(Debug, Deserialize)]
pub struct Interval {
    pub from_seq: i64,
    pub to_seq: Option<i64>,
    #[serde(with = "time::serde::rfc3339")]
    pub joined_at: OffsetDateTime,
    pub read_seq: i64,
}

#[derive(Debug, Deserialize)]
pub struct Receipts {
    pub channel_id: String,
    pub counts: Counts,
    pub items: Vec<Receipt>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Counts {
    pub unreceived: i64,
    pub received: i64,
    pub read: i64,
}

#[derive(Debug, Deserialize)]
pub struct Receipt {
    pub receiver: String,
    pub name: String,
    pub status: String,
    pub verdict: Option<String>,
    pub verdict_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub last_modified_time: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct Diagnosis {
    pub finding: String,
    pub user: DiagnosedUser,
    pub status: Option<String>,
    pub verdict: Option<String>,
    pub verdict_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_modified_time: Option<OffsetDateTime>,
    pub archived: bool,
    pub waiting: Option<Waiting>,
    pub dead_letter: Option<DeadLetter>,
    pub attempts: Vec<Attempt>,
    pub intervals: Vec<Interval>,
    pub channel: Channel,
    pub message: Message,
}

#[derive(Debug, Deserialize)]
pub struct DiagnosedUser {
    pub user_id: String,
    pub name: String,
    pub active: bool,
}

#[derive(Debug, Deserialize)]
pub struct Waiting {
    pub attempts: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub queued_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetter {
    pub dead_id: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub struct Attempt {
    pub batch_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub attempted_at: OffsetDateTime,
    pub duration_ms: i64,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    pub answer: Option<String>,
    pub pairs: i64,
    pub received: i64,
}

#[derive(Debug, Deserialize)]
pub struct Contact {
    pub user_id: String,
    pub name: String,
    pub kind: String,
    pub title: Option<String>,
    pub department: Option<DepartmentName>,
}

#[derive(Debug, Deserialize)]
pub struct Department {
    pub department_id: String,
    pub name: String,
    pub people_count: i64,
    /// The departments above it, from the top. Only the department itself has them, not one in a list.
    #[serde(default)]
    pub path: Vec<Above>,
}

#[derive(Debug, Deserialize)]
pub struct Above {
    pub department_id: String,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct DepartmentName {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Card {
    pub user_id: String,
    pub name: String,
    pub kind: String,
    pub active: bool,
    pub title: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub employee_number: Option<String>,
    pub login_name: Option<String>,
    pub manager: Option<Named>,
    pub presence: Option<Presence>,
}

#[derive(Debug, Deserialize)]
pub struct Presence {
    pub status: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
}

/// A problem (RFC 9457).
#[derive(Debug, Default, Deserialize)]
pub struct Problem {
    pub status: u16,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub detail: String,
    #[serde(default)]
    pub pointer: String,
    #[serde(default)]
    pub request_id: String,
}

impl Problem {
    /// The last part of the type.
    pub fn slug(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }
}
