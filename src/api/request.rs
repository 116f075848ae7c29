//! Request ids: in the response header, in problems and in the log.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken from a caller.
const MOST_CHARS: usize = 128;

tokio::task_local! {
    pub static ID: String;
}

/// The id of the request that this task answers.
pub fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// The request id sent by the caller or a proxy, if it is safe to log. Otherwise a new one.
pub fn id_of(headers: &HeaderMap) -> String {
    let id = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+@".contains(c);
    match id {
        Some(id) if (1..=MOST_CHARS).contains(&id.len()) && id.chars().all(plain) => id.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}
