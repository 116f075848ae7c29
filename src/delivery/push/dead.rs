//! Dead letters: pushes and events that were given up. They can be read and replayed.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::Row;

use super::PastAttempt;
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{SHARE_SEAL, Statements, Store};
use crate::sql;

/// Most events of the log that one call reads.
const REPLAY_EVENTS_MAX: i32 = 100_000;
/// Most dead letters that one read compares with its conditions. A page ends there, full or not, and so does a count.
const LOOK_MAX: i64 = 200_000;
/// Most events or receivers in the answer for one dead letter.
const ITEMS_SHOWN_MAX: i32 = 1_000;
/// Most attempts before the end of a dead letter among which its own are looked for, and most that are shown.
const ATTEMPTS_LOOKED_AT: i64 = 1_000;
const ATTEMPTS_SHOWN_MAX: i64 = 20;

/// A filter for dead letters. All given bounds must match.
#[derive(Debug, Default)]
pub struct DeadLetters {
    pub ids: Option<Vec<i64>>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Only those given up at or after this time.
    pub since: Option<OffsetDateTime>,
    /// Only those given up before this time.
    pub until: Option<OffsetDateTime>,
    /// Only those whose reason begins with this.
    pub reason: Option<String>,
    /// Only those given up since the URL or a filter of the callback changed.
    pub since_aimed: bool,
}

impl DeadLetters {
    /// The given bounds, for the audit.
    fn noted(&self) -> Value {
        let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
        let id = |id: i64| id.to_string();
        json!({
            "dead_ids": self.ids.as_ref().map(|ids| ids.iter().copied().map(id).collect::<Vec<_>>()),
            "from_dead_id": self.from.map(id), "to_dead_id": self.to.map(id), "reason": self.reason,
            "since": time(self.since), "until": time(self.until),
        })
    }
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
    /// The attempts that may have held it, newest first.
    pub attempts: Vec<PastAttempt>,
}

/// The numbers of replayed dead letters and pairs.
#[derive(Debug)]
pub struct Replay {
    pub letters: i64,
    pub pairs: i64,
}

/// A replay that a caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Replaying<'a> {
    pub callback_id: &'a str,
    /// At most so many pairs, or events, are due in a second.
    pub per_second: Option<i32>,
    pub actor: &'a str,
    pub now: OffsetDateTime,
    /// For a link: nothing is replayed while more pairs than this wait for the callback, and one replay runs at a time.
    pub waiting_max: Option<i64>,
}

impl Replaying<'_> {
    /// Takes the turn of a replay by a link, until the transaction ends.
    async fn hold(&self, tx: &impl Statements, dry_run: bool) -> Result<()> {
        let Some(most) = self.waiting_max else { return Ok(()) };
        let row = tx.one(sql!("delivery/push/hold_replay"), &[&self.callback_id, &most]).await?;
        if !row.get::<_, bool>("held") {
            let why = "another replay of this callback is under way: try again when it has ended";
            return Err(Error::new(Kind::Conflict, why));
        }
        if !dry_run && row.get::<_, i64>("waiting") > most {
            let why = format!(
                "more than {most} events wait for this callback already: try again when its endpoint has taken them \
                 (`callback_link_replay_waiting_pairs`)"
            );
            return Err(Error::new(Kind::Conflict, why));
        }
        Ok(())
    }

    /// Writes what is replayed into the audit.
    async fn note(&self, client: &impl Statements, mut what: Value, results: i64) -> Result<()> {
        what["callback_id"] = json!(self.callback_id);
        what["per_second"] = json!(self.per_second);
        if let Some(what) = what.as_object_mut() {
            what.retain(|_, value| !value.is_null());
        }
        let entry = Entry::change(Action::CallbackReplayed, what, (self.actor, self.now));
        audit::append_with(client, Entry { results: Some(results), ..entry }).await
    }
}

/// Queues dead letters again, out of turn.
///
/// # Errors
/// `Kind::Conflict` for a link that has to wait.
pub async fn replay(store: &Store, letters: &DeadLetters, replaying: Replaying<'_>) -> Result<Replay> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    replaying.hold(&tx, false).await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let DeadLetters { ids, from, to, since, until, reason, since_aimed } = letters;
    let Replaying { callback_id, per_second, now, .. } = replaying;
    let row = tx
        .one(
            sql!("delivery/push/replay"),
            &[&callback_id, ids, from, to, since, until, reason, &now, &per_second, since_aimed],
        )
        .await?;
    let put = Replay { letters: row.get("letters"), pairs: row.get("pairs") };
    replaying.note(&tx, letters.noted(), put.letters).await?;
    tx.commit().await?;
    Ok(put)
}

/// Counts what a replay would queue again. Of more dead letters than one read takes, it counts the newest.
///
/// # Errors
/// `Kind::Conflict` for a link that has to wait.
pub async fn replayable(store: &Store, letters: &DeadLetters, replaying: Replaying<'_>) -> Result<Replay> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    replaying.hold(&tx, true).await?;
    let callback_id = replaying.callback_id;
    let DeadLetters { ids, from, to, since, until, reason, since_aimed } = letters;
    let row = tx
        .one(
            sql!("delivery/push/replayable"),
            &[&callback_id, ids, from, to, since, until, reason, &LOOK_MAX, since_aimed],
        )
        .await?;
    Ok(Replay { letters: row.get("letters"), pairs: row.get("pairs") })
}

/// The logged events that an observer gets again.
#[derive(Debug)]
pub struct LoggedEvents {
    pub since: OffsetDateTime,
    /// Only events after this id.
    pub after: i64,
    /// Whether they are only counted.
    pub dry_run: bool,
}

/// Queues logged events for an observer, also those sent before, or counts them. Returns the number of events, and the event to
/// continue after, if there may be more.
///
/// # Errors
/// `Kind::Conflict` for a link that has to wait.
pub async fn replay_events(
    store: &Store,
    events: LoggedEvents,
    replaying: Replaying<'_>,
) -> Result<(i64, Option<i64>)> {
    let LoggedEvents { since, after, dry_run } = events;
    let Replaying { callback_id, per_second, now, .. } = replaying;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    replaying.hold(&tx, dry_run).await?;
    let row = tx
        .one(
            sql!("delivery/push/replay_events"),
            &[&callback_id, &since, &after, &REPLAY_EVENTS_MAX, &now, &per_second, &dry_run],
        )
        .await?;
    let events = row.get("events");
    if dry_run {
        return Ok((events, row.get("last")));
    }
    let what = json!({
        "events_since": since.format(&Rfc3339).ok(),
        "after_event_id": Some(after).filter(|after| *after > 0).map(|after| after.to_string()),
    });
    replaying.note(&tx, what, events).await?;
    tx.commit().await?;
    Ok((events, row.get("last")))
}

/// One page of an endpoint's dead letters below `before`, newest first, and where the next one continues, if there may be more.
/// A page can be short. Of the bounds, those by id do not count.
pub async fn dead_letters(
    store: &Store,
    callback_id: &str,
    letters: &DeadLetters,
    (before, limit): (i64, i64),
) -> Result<(Vec<DeadLetter>, Option<i64>)> {
    let DeadLetters { since, until, reason, since_aimed, .. } = letters;
    let rows = store
        .all(
            sql!("delivery/push/dead_letters"),
            &[&callback_id, &before, &limit, reason, since, until, &LOOK_MAX, since_aimed],
        )
        .await?;
    let is_found = |row: &&Row| row.get::<_, Option<i64>>("dead_id").is_some();
    let found: Vec<DeadLetter> = rows.iter().filter(is_found).map(DeadLetter::of).collect();
    let next = if found.len() as i64 >= limit {
        found.last().map(|last| last.dead_id)
    } else {
        rows.first().and_then(|row| row.get::<_, Option<i64>>("reached"))
    };
    Ok((found, next))
}

/// One dead letter. `since_aimed`: only if it was given up since the URL or a filter of the callback changed, and with the
/// attempts since then.
pub async fn dead_letter(
    store: &Store,
    callback_id: &str,
    dead_id: i64,
    since_aimed: bool,
) -> Result<Option<DeadLetterDetail>> {
    let client = store.client().await?;
    let found = client
        .opt(sql!("delivery/push/dead_letter"), &[&callback_id, &dead_id, &ITEMS_SHOWN_MAX, &since_aimed])
        .await?;
    let Some(row) = found else { return Ok(None) };
    let attempts = client
        .all(
            sql!("delivery/push/dead_attempts"),
            &[&callback_id, &dead_id, &ATTEMPTS_LOOKED_AT, &ATTEMPTS_SHOWN_MAX, &since_aimed],
        )
        .await?;
    Ok(Some(DeadLetterDetail {
        letter: DeadLetter::of(&row),
        from_seq: row.get("from_seq"),
        to_seq: row.get("to_seq"),
        receivers: row.get("receivers"),
        event_types: row.get("event_types"),
        attempts: attempts.iter().map(PastAttempt::of).collect(),
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
