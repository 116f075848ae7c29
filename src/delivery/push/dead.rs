//! Dead letters: pushes and events that were given up. They can be read and replayed.

use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{SHARE_SEAL, Statements, Store};
use crate::sql;

/// Most events of the log that one call reads.
const REPLAY_EVENTS_MAX: i32 = 100_000;
/// Most events or receivers in the answer for one dead letter.
const ITEMS_SHOWN_MAX: i32 = 1_000;

/// A filter for dead letters. All given bounds must match.
#[derive(Debug, Default)]
pub struct DeadLetters {
    pub ids: Option<Vec<i64>>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Only those given up at or after this time.
    pub since: Option<OffsetDateTime>,
}

/// An item of the queue that was given up: a stretch of messages, or events.
#[derive(Debug)]
pub struct DeadLetter {
    pub dead_id: i64,
    /// `None`: events without a channel.
    pub channel_id: Option<ChannelId>,
    /// `None`: the item holds events.
    pub from_ms_id: Option<MsId>,
    pub to_ms_id: Option<MsId>,
    /// `None`: the item holds messages.
    pub event_ids: Option<Vec<i64>>,
    pub pairs: i32,
    pub reason: String,
    pub dead_at: OffsetDateTime,
}

/// A dead letter with its receivers and event types.
#[derive(Debug)]
pub struct DeadLetterDetail {
    pub letter: DeadLetter,
    pub from_seq: Option<i64>,
    pub to_seq: Option<i64>,
    /// Receivers to which the push was limited. `None`: all receivers of the channel.
    pub receivers: Option<Vec<String>>,
    pub event_types: Vec<String>,
}

/// The numbers of replayed dead letters and pairs.
#[derive(Debug)]
pub struct Replay {
    pub letters: i64,
    pub pairs: i64,
}

/// Queues dead letters again, out of turn, with at most `per_second` pairs due in a second.
pub async fn replay(
    store: &Store,
    callback_id: &str,
    letters: &DeadLetters,
    per_second: Option<i32>,
    now: OffsetDateTime,
) -> Result<Replay> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let DeadLetters { ids, from, to, since } = letters;
    let row = tx
        .one(sql!("delivery/push/replay"), &[&callback_id, ids, from, to, since, &now, &per_second])
        .await?;
    tx.commit().await?;
    Ok(Replay { letters: row.get("letters"), pairs: row.get("pairs") })
}

/// The logged events that an observer gets again.
#[derive(Debug)]
pub struct LoggedEvents {
    pub since: OffsetDateTime,
    /// Only events after this id.
    pub after: i64,
    /// At most so many are due in a second.
    pub per_second: Option<i32>,
}

/// Queues logged events for an observer, also those sent before. Returns the number of events, and the event to
/// continue after, if there may be more.
pub async fn replay_events(
    store: &Store,
    callback_id: &str,
    events: LoggedEvents,
    now: OffsetDateTime,
) -> Result<(i64, Option<i64>)> {
    let LoggedEvents { since, after, per_second } = events;
    let row = store
        .one(
            sql!("delivery/push/replay_events"),
            &[&callback_id, &since, &after, &REPLAY_EVENTS_MAX, &now, &per_second],
        )
        .await?;
    Ok((row.get("events"), row.get("last")))
}

/// One page of an endpoint's dead letters below `before`, newest first.
pub async fn dead_letters(
    store: &Store,
    callback_id: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<DeadLetter>> {
    let rows = store.all(sql!("delivery/push/dead_letters"), &[&callback_id, &before, &limit]).await?;
    Ok(rows.iter().map(DeadLetter::of).collect())
}

/// One dead letter.
pub async fn dead_letter(store: &Store, callback_id: &str, dead_id: i64) -> Result<Option<DeadLetterDetail>> {
    let row =
        store.opt(sql!("delivery/push/dead_letter"), &[&callback_id, &dead_id, &ITEMS_SHOWN_MAX]).await?;
    Ok(row.map(|row| DeadLetterDetail {
        letter: DeadLetter::of(&row),
        from_seq: row.get("from_seq"),
        to_seq: row.get("to_seq"),
        receivers: row.get("receivers"),
        event_types: row.get("event_types"),
    }))
}

impl DeadLetter {
    fn of(row: &Row) -> Self {
        Self {
            dead_id: row.get("dead_id"),
            // Events without a channel are queued in order under channel 0.
            channel_id: Some(row.get("channel_id")).filter(|id| *id != ChannelId(0)),
            from_ms_id: row.get("from_ms_id"),
            to_ms_id: row.get("to_ms_id"),
            event_ids: row.get("event_ids"),
            pairs: row.get("pairs"),
            reason: row.get("reason"),
            dead_at: row.get("dead_at"),
        }
    }
}
