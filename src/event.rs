//! What has happened, for whoever wants to be told: written by the transaction that did it, put in
//! order after its commit.
//!
//! An id handed out before the commit would let a reader pass one that becomes visible later. So
//! the writers leave rows behind, and one sequencer at a time gives them their ids: whoever has
//! seen an id has missed none below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deadpool_postgres::GenericClient;
use postgres_types::Json;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::callback::Bells;
use crate::config::Config;
use crate::error::Result;
use crate::schedule::Tick;
use crate::sql;
use crate::store::{Store, retrying};

/// Most events that one step puts in order, for every observer who takes them: a step that takes too
/// long for the database would be tried again for ever.
const STEP: i32 = 500;
/// Most rows of who received and read that one step makes into events.
const TALLY_STEP: i32 = 2_000;
/// Most readers that an event names; the rest are a number.
const READERS_MAX: i32 = 100;

/// What an event is about. `openapi/im-push-gateway.yaml` has the data of each under `webhooks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    ChannelCreated,
    ChannelUpdated,
    ChannelMembersAdded,
    ChannelMembersRemoved,
    ChannelDissolved,
}

impl Type {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelCreated => "channel.created",
            Self::ChannelUpdated => "channel.updated",
            Self::ChannelMembersAdded => "channel.members_added",
            Self::ChannelMembersRemoved => "channel.members_removed",
            Self::ChannelDissolved => "channel.dissolved",
        }
    }
}

/// Something that happened in a channel.
#[derive(Debug)]
pub struct Happened<'a> {
    pub what: Type,
    pub channel_id: i64,
    pub actor: &'a str,
    pub data: Value,
    /// Who is told besides the channel's members.
    pub besides: &'a [&'a str],
}

/// Tells it, in the transaction that does it. Where nobody may want to know, nothing is written.
pub async fn tell(tx: &impl GenericClient, happened: Happened<'_>) -> Result<()> {
    let Happened { what, channel_id, actor, data, besides } = happened;
    let audience = (!besides.is_empty()).then_some(besides);
    let statement = tx.prepare_cached(sql!("event/tell")).await?;
    tx.query_one(&statement, &[&what.as_str(), &channel_id, &actor, &Json(data), &audience]).await?;
    Ok(())
}

/// Puts events in order. Every replica has one; they take turns by the row they lock.
pub struct Sequencer {
    store: Store,
    window: Duration,
    batch_bytes: i32,
    /// Whom news wakes: the streams, and the observers' lines.
    streams: Arc<Notify>,
    bells: Arc<Bells>,
    /// The furthest position of the database's log that was seen; 0 before the first look.
    wal_position: AtomicI64,
}

/// What one step has done.
#[derive(Default)]
struct Step {
    events: i64,
    /// Whether some are left.
    more: bool,
    /// The observers whose queues have grown.
    callbacks: Vec<String>,
}

impl Sequencer {
    pub fn new(store: Store, config: &Config, streams: Arc<Notify>, bells: Arc<Bells>) -> Self {
        let batch_bytes = i32::try_from(config.callback_batch_bytes).unwrap_or(i32::MAX);
        let (window, wal_position) = (config.event_window, AtomicI64::new(0));
        Self { store, window, batch_bytes, streams, bells, wal_position }
    }

    /// Gives the next events their ids and queues them for the observers who take them.
    pub async fn tick(&self) -> Result<Tick> {
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
            self.bells.ring(callback_id);
        }
        Ok(if more { Tick::More } else { Tick::Idle })
    }

    /// Looked for without the lock, which would write to the log of the database each time.
    async fn is_anything_waiting(&self) -> Result<bool> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("event/waiting")).await?;
        let window_ms = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        Ok(client.query_one(&statement, &[&window_ms]).await?.get(0))
    }

    async fn step(&self) -> Result<Step> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let lock = tx.prepare_cached(sql!("event/lock")).await?;
        let Some(place) = tx.query_opt(&lock, &[]).await? else {
            return Ok(Step::default());
        };
        let now: OffsetDateTime = place.get("now");
        let tally = tx.prepare_cached(sql!("event/tally")).await?;
        tx.execute(&tally, &[&(now - self.window), &TALLY_STEP, &READERS_MAX, &now]).await?;
        // A statement of its own: it is to see what the one before has written.
        let sequence = tx.prepare_cached(sql!("event/sequence")).await?;
        let row = tx.query_one(&sequence, &[&STEP, &self.batch_bytes]).await?;
        tx.commit().await?;
        Ok(Step { events: row.get("events"), more: row.get("more"), callbacks: row.get("callbacks") })
    }
}

/// Notices that the database is a copy of what it was, or went back behind `seen`, a position of its log. Then
/// events and channels go on from ids that were never given, and streams load anew. Returns the position of now.
pub async fn notice_restored(store: &Store, seen: Option<i64>) -> Result<i64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("event/notice_restored")).await?;
    let row = client.query_one(&statement, &[&seen]).await?;
    if row.get("restored") {
        tracing::warn!("the database was restored: events and channels go on from ids that were never given");
        metrics::counter!("impg_database_restored_total").increment(1);
    }
    Ok(row.get("wal_position"))
}

/// The same where it cannot be noticed, because an operator says so.
pub async fn restored(store: &Store) -> Result<()> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("event/restored")).await?;
    client.query_one(&statement, &[]).await?;
    Ok(())
}

/// Forgets events from before `before`, some at a time.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i32) -> Result<i64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("event/prune")).await?;
    let row = client.query_one(&statement, &[&before, &most]).await?;
    let untold: i64 = row.get("untold");
    if untold > 0 {
        tracing::error!(untold, "events became too old before an observer could be told");
        metrics::counter!("impg_events_untold_total").increment(untold.unsigned_abs());
    }
    Ok(row.get("events"))
}
