//! One message and one receiver: where the message waits, whether it was given up, and what was tried.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::PastAttempt;
use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::sql;

/// The longest time between the first and the last message of a commit. A commit takes far less.
const COMMIT_MAX_MS: i64 = 600_000;
/// The time after the send, and the time before the last change, in which attempts are looked for.
const STRETCH: Duration = Duration::minutes(10);
/// Most attempts that are shown.
const ATTEMPTS_MAX: i64 = 50;

/// A message and one of its receivers.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub receiver: &'a str,
    pub sent_at: OffsetDateTime,
}

/// What the push knows of a pair.
#[derive(Debug)]
pub struct PairState {
    /// `None`: nothing waits for this pair.
    pub waiting: Option<Waiting>,
    pub dead: Option<GivenUp>,
    /// The attempts that may have held the message, oldest first.
    pub attempts: Vec<PastAttempt>,
}

/// An item that holds the pair and is not pushed yet.
#[derive(Debug)]
pub struct Waiting {
    /// `None`: it is in no batch yet.
    pub batch_id: Option<Uuid>,
    /// The number of times that its batch was sent.
    pub attempts: i32,
    pub queued_at: OffsetDateTime,
    /// `None`: it waits for its turn.
    pub due_at: Option<OffsetDateTime>,
    /// The number of answers `retry` for the receiver.
    pub retries: i32,
    /// Whether it was stored while there was no gateway.
    pub held: bool,
}

/// A dead letter that holds the pair.
#[derive(Debug)]
pub struct GivenUp {
    pub dead_id: i64,
    pub reason: String,
    pub dead_at: OffsetDateTime,
}

/// What the push knows of a pair. Attempts after `until` did not change it.
pub async fn of_pair(store: &Store, pair: Pair<'_>, until: OffsetDateTime) -> Result<PairState> {
    let Pair { ms_id, channel_id, receiver, sent_at } = pair;
    let client = store.client().await?;
    let least = MsId(ms_id.0.saturating_sub(COMMIT_MAX_MS << 22));
    let waiting =
        client.opt(sql!("delivery/push/pair_waiting"), &[&ms_id, &channel_id, &receiver, &least]).await?;
    let waiting = waiting.map(|row| Waiting {
        batch_id: row.get("batch_id"),
        attempts: row.get("attempts"),
        queued_at: row.get("queued_at"),
        due_at: row.get("due_at"),
        retries: row.get("retries"),
        held: row.get("held"),
    });
    let dead = client.opt(sql!("delivery/push/pair_dead"), &[&ms_id, &channel_id, &receiver]).await?;
    let dead = dead.map(|row| GivenUp {
        dead_id: row.get("dead_id"),
        reason: row.get("reason"),
        dead_at: row.get("dead_at"),
    });
    let batch_id = waiting.as_ref().and_then(|waiting| waiting.batch_id);
    let (from, to) = (sent_at - STRETCH, sent_at + STRETCH);
    let before = until - STRETCH;
    let attempts = client
        .all(
            sql!("delivery/push/pair_attempts"),
            &[&ms_id, &batch_id, &from, &to.min(until), &before, &until, &ATTEMPTS_MAX],
        )
        .await?;
    Ok(PairState { waiting, dead, attempts: attempts.iter().map(PastAttempt::of).collect() })
}
