//! What a request is called: in the header of its answer, in its problems, and in the lines of the log.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a caller.
const MOST_CHARS: usize = 128;

tokio::task_local! {
    /// The id of the request that this task answers.
    pub static ID: String;
}

/// The id of the request that is being answered, if one is.
pub fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// What the caller, or a proxy before us, calls the request, if that can stand in a log; else a name of our own.
pub fn id_of(headers: &HeaderMap) -> String {
    let told = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+@".contains(c);
    match told {
        Some(id) if (1..=MOST_CHARS).contains(&id.len()) && id.chars().all(plain) => id.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}
