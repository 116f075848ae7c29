//! Events for observers and streams. The transaction of a change writes its event. The event gets its id
//! after the commit.
//!
//! An id assigned before the commit could become visible after a higher id, and readers would skip it. So
//! writers only insert rows, and one sequencer at a time assigns the ids. A reader who has seen an id has
//! missed none below it.

pub mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use postgres_types::Json;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::base::config::Config;
use crate::base::error::Result;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::wakers::Wakers;
use crate::base::worker::{Tick, Work};
use crate::sql;

/// Most events of one step. The step also queues each event for its observers. A step that exceeds the
/// statement timeout would be repeated forever.
const STEP: i32 = 500;
/// Most rows of receipts and reads that one step turns into events.
const TALLY_STEP: i32 = 2_000;
/// Most readers that an event names. The event also has the total number.
const READERS_MAX: i32 = 100;

/// The type of an event. `openapi/im-push-gateway/webhooks.yaml` has the data of each type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    ChannelCreated,
    ChannelUpdated,
    ChannelMembersAdded,
    ChannelMembersRemoved,
    ChannelDissolved,
    CallRinging,
    CallAccepted,
    CallDeclined,
    CallLeft,
    CallEnded,
}

impl Type {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelCreated => "channel.created",
            Self::ChannelUpdated => "channel.updated",
            Self::ChannelMembersAdded => "channel.members_added",
            Self::ChannelMembersRemoved => "channel.members_removed",
            Self::ChannelDissolved => "channel.dissolved",
            Self::CallRinging => "call.ringing",
            Self::CallAccepted => "call.accepted",
            Self::CallDeclined => "call.declined",
            Self::CallLeft => "call.left",
            Self::CallEnded => "call.ended",
        }
    }
}

/// An event to emit.
#[derive(Debug)]
pub struct NewEvent<'a> {
    pub what: Type,
    pub channel_id: ChannelId,
    pub actor: &'a str,
    pub data: Value,
    /// Users who receive the event in addition to the channel's members.
    pub besides: &'a [&'a str],
}

/// Emits an event in the transaction of the change. If there is no listener, it writes nothing.
pub async fn emit(tx: &impl Statements, happened: NewEvent<'_>) -> Result<()> {
    let NewEvent { what, channel_id, actor, data, besides } = happened;
    let audience = (!besides.is_empty()).then_some(besides);
    tx.one(sql!("events/emit"), &[&what.as_str(), &channel_id, &actor, &Json(data), &audience]).await?;
    Ok(())
}

/// Assigns event ids. Every replica has a sequencer. A row lock lets one of them work at a time.
pub struct Sequencer {
    store: Store,
    window: Duration,
    batch_bytes: i32,
    /// Woken after new events: the streams and the endpoint queues of observers.
    streams: Arc<Notify>,
    wakers: Arc<Wakers>,
    /// The highest WAL position seen; 0 before the first check.
    wal_position: AtomicI64,
}

/// The result of one step.
#[derive(Default)]
struct Step {
    events: i64,
    /// Whether events are left.
    more: bool,
    /// The observers whose queues have grown.
    callbacks: Vec<String>,
}

impl Sequencer {
    pub fn new(store: Store, config: &Config, streams: Arc<Notify>, wakers: Arc<Wakers>) -> Self {
        let batch_bytes = i32::try_from(config.callbacks.batch_bytes).unwrap_or(i32::MAX);
        let (window, wal_position) = (config.events.window, AtomicI64::new(0));
        Self { store, window, batch_bytes, streams, wakers, wal_position }
    }

    /// A check without the lock, because taking the lock writes to the WAL each time.
    async fn is_anything_waiting(&self) -> Result<bool> {
        let window_ms = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        Ok(self.store.one(sql!("events/waiting"), &[&window_ms]).await?.get(0))
    }

    async fn step(&self) -> Result<Step> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let Some(place) = tx.opt(sql!("events/lock"), &[]).await? else {
            return Ok(Step::default());
        };
        let now: OffsetDateTime = place.get("now");
        tx.run(sql!("events/tally"), &[&(now - self.window), &TALLY_STEP, &READERS_MAX, &now]).await?;
        // A separate statement, so that its snapshot includes what the statement before wrote.
        let row = tx.one(sql!("events/sequence"), &[&STEP, &self.batch_bytes]).await?;
        tx.commit().await?;
        Ok(Step { events: row.get("events"), more: row.get("more"), callbacks: row.get("callbacks") })
    }
}

impl Work for Sequencer {
    /// Assigns ids to the next events and queues the events for their observers.
    async fn tick(&self) -> Result<Tick> {
        let seen = Some(self.wal_position.load(Ordering::Relaxed)).filter(|seen| *seen > 0);
        self.wal_position.store(notice_restored(&self.store, seen).await?, Ordering::Relaxed);
        if !self.is_anything_waiting().await? {
            return Ok(Tick::Idle);
        }
        let Step { events, more, callbacks } = retrying(|| self.step()).await?;
        if events > 0 {
            metrics::counter!("impg_events_sequenced_total").increment(events.unsigned_abs());
            self.streams.notify_one();
        }
        for callback_id in &callbacks {
            self.wakers.notify(callback_id);
        }
        Ok(if more { Tick::More } else { Tick::Idle })
    }
}

/// Detects that the database is a restored copy, or that its WAL is behind `seen`. Event ids and channel ids
/// then skip a range, and streams reload. Returns the current WAL position.
pub async fn notice_restored(store: &Store, seen: Option<i64>) -> Result<i64> {
    let row = store.one(sql!("events/notice_restored"), &[&seen]).await?;
    if row.get("restored") {
        tracing::warn!(
            "the database was restored: ids continue with unused ones; if there is an archive, run `im-push-gateway archive reconcile`"
        );
        metrics::counter!("impg_database_restored_total").increment(1);
    }
    Ok(row.get("wal_position"))
}

/// The same for a restore that cannot be detected. An operator calls it.
pub async fn restored(store: &Store) -> Result<()> {
    store.one(sql!("events/restored"), &[]).await?;
    Ok(())
}

/// Deletes a batch of events older than `before`.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i32) -> Result<i64> {
    let row = store.one(sql!("events/prune"), &[&before, &most]).await?;
    let undelivered: i64 = row.get("undelivered");
    if undelivered > 0 {
        tracing::error!(undelivered, "events expired before an observer received them");
        metrics::counter!("impg_events_undelivered_total").increment(undelivered.unsigned_abs());
    }
    Ok(row.get("events"))
}
