//! A call as the members of its channel see it.

use std::sync::Arc;

use postgres_types::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_postgres::Row;

use crate::base::config::{CallSettings, Config};
use crate::base::error::{Error, Result};
use crate::base::number::{CallId, ChannelId};
use crate::base::store::{Statements, Store};
use crate::chat::message::{Batches, Lanes};
use crate::sql;

/// Most calls of a list.
const LISTED_MAX: i64 = 200;

/// The calls of a service.
#[derive(Clone)]
pub struct Calls {
    pub(super) store: Store,
    pub(super) settings: CallSettings,
    pub(super) needs_friendship: bool,
    /// Stores the message that a call leaves.
    pub(super) batches: Batches,
    /// Woken after new events.
    pub(super) events: Arc<Notify>,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    pub call_id: CallId,
    pub channel_id: ChannelId,
    pub caller: String,
    /// `audio` or `video`.
    pub media: String,
    /// `ringing`, `live` or `ended`.
    pub state: String,
    /// How it ended: `ended`, `missed`, `declined` or `cancelled`.
    pub outcome: Option<String>,
    pub began_at: OffsetDateTime,
    pub rings_until: OffsetDateTime,
    pub answered_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    pub users: Vec<CallUser>,
    /// What is kept of it, for those who are in it.
    pub data: Option<Vec<Kept>>,
}

/// A user of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallUser {
    pub user_id: String,
    /// `ringing`, `joined`, `declined` or `left`.
    pub state: String,
    /// Whether the user is in another call.
    pub busy: bool,
}

/// The newest of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    pub user_id: String,
    pub data: Value,
}

impl Calls {
    pub fn new(config: &Config, lanes: Lanes) -> Self {
        Self {
            store: lanes.store.clone(),
            settings: config.calls.clone(),
            needs_friendship: config.people.direct_needs_friendship,
            events: lanes.events.clone(),
            batches: Batches::new(config, lanes),
        }
    }

    /// A call of a channel of the caller.
    pub async fn get(&self, call_id: CallId, caller: &str) -> Result<Call> {
        let calls = self.list(caller, (Some(call_id), None)).await?;
        calls.into_iter().next().ok_or_else(no_call)
    }

    /// The calls that go on in the channels of the caller, or in one of them.
    pub async fn open(&self, caller: &str, channel_id: Option<ChannelId>) -> Result<Vec<Call>> {
        self.list(caller, (None, channel_id)).await
    }

    async fn list(
        &self,
        caller: &str,
        (call_id, channel_id): (Option<CallId>, Option<ChannelId>),
    ) -> Result<Vec<Call>> {
        let rows =
            self.store.all(sql!("calls/call/get"), &[&caller, &call_id, &channel_id, &LISTED_MAX]).await?;
        Ok(rows.iter().map(call).collect())
    }
}

fn call(row: &Row) -> Call {
    Call {
        call_id: row.get("call_id"),
        channel_id: row.get("channel_id"),
        caller: row.get("caller"),
        media: row.get("media"),
        state: row.get("state"),
        outcome: row.get("outcome"),
        began_at: row.get("began_at"),
        rings_until: row.get("rings_until"),
        answered_at: row.get("answered_at"),
        ended_at: row.get("ended_at"),
        users: row.get::<_, Json<_>>("users").0,
        data: row.get::<_, Option<Json<_>>>("data").map(|kept| kept.0),
    }
}

/// Deletes calls that ended before a time, at most so many. Returns their number.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("calls/call/prune"), &[&before, &most]).await
}

pub(super) fn no_call() -> Error {
    Error::not_found("no such call")
}
