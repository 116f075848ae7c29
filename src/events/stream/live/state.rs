//! The presence and the status of users, as they are read and as they are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::States;
use crate::base::error::Result;
use crate::base::store::{Statements, Store};
use crate::sql;

/// The state of a user.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub online: bool,
    /// Since when.
    pub since: Option<OffsetDateTime>,
    pub says: Option<Says>,
    /// When the status ends.
    pub ends: Option<Instant>,
}

/// The status that a user shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Says {
    pub text: String,
    pub emoji: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

/// What is told to one listener at a time.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub presences: Vec<Presence>,
    pub statuses: Vec<Status>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Presence {
    user_id: String,
    status: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    user_id: String,
    user_status: Option<Says>,
}

impl State {
    pub fn presence(&self, user_id: &str) -> Presence {
        let status = if self.online { "online" } else { "offline" };
        Presence { user_id: user_id.to_owned(), status, at: self.since }
    }

    pub fn status(&self, user_id: &str) -> Status {
        Status { user_id: user_id.to_owned(), user_status: self.says.clone() }
    }
}

impl Told {
    /// The events, one for all presences and one for all statuses. None of them has an id.
    pub fn texts(&self) -> Vec<Bytes> {
        let presences = (!self.presences.is_empty()).then(|| text("presence.changed", &self.presences));
        let statuses = (!self.statuses.is_empty()).then(|| text("status.changed", &self.statuses));
        presences.into_iter().chain(statuses).collect()
    }
}

fn text<T: Serialize>(event: &str, users: &[T]) -> Bytes {
    let users = serde_json::to_string(users).unwrap_or_default();
    format!("event: {event}\ndata: {{\"users\":{users}}}\n\n").into()
}

/// The partners of listeners, at most so many each.
pub(super) async fn partners(
    store: &Store,
    listeners: &[Arc<str>],
    most: usize,
) -> Result<HashMap<String, Vec<Arc<str>>>> {
    let names: Vec<&str> = listeners.iter().map(|name| &**name).collect();
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let mut partners: HashMap<String, Vec<Arc<str>>> = HashMap::new();
    for row in store.all(sql!("events/stream/partners"), &[&names, &most]).await? {
        let user_id: &str = row.get("user_id");
        partners.entry(row.get("listener")).or_default().push(user_id.into());
    }
    Ok(partners)
}

/// The states of users. Unknown users are omitted.
pub(super) async fn read(store: &Store, user_ids: &[Arc<str>]) -> Result<States> {
    let names: Vec<&str> = user_ids.iter().map(|name| &**name).collect();
    let rows = store.all(sql!("events/stream/states"), &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), state(row))).collect())
}

fn state(row: &Row) -> State {
    let says = row.get::<_, Option<String>>("text").map(|text| Says {
        text,
        emoji: row.get("emoji"),
        until: row.get("until"),
    });
    let ends_ms = row.get::<_, Option<i64>>("ends_ms").and_then(|ms| u64::try_from(ms).ok());
    let ends = ends_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms + 1)));
    State { online: row.get("online"), since: row.get("status_since"), says, ends }
}
