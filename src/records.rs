//! Stored messages, hot and cold: read, searched, received, recalled, nudged, acted on.

pub mod card;
pub mod conversation;
pub mod diagnosis;
pub mod favourite;
pub mod history;
pub mod nudge;
pub mod outbox;
pub mod recall;
pub mod receipt;
pub mod search;
pub mod traffic;
