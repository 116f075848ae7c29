//! Settles a batch: verdicts go into the ledger, receivers answered `retry` go back into the queue, and work that
//! waited too long becomes a dead letter.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::Transaction;
use futures_util::future::try_join;
use postgres_types::Json;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Limits;
use super::batch::Batch;
use super::load::{Held, Messages, User};
use crate::base::error::{Error, Result};
use crate::base::store::{REPEATABLE, SHARE_SEAL, Statements, Store, retrying};
use crate::delivery::endpoint::{Answer, Callback, Kind, Posted, public_url};
use crate::delivery::ledger::{self, Key};
use crate::delivery::reminder;
use crate::delivery::status::{Verdict, Verdicts};
use crate::people::preference;
use crate::sql;

/// The jitter added to waits, as a share of the wait.
const JITTER: f64 = 0.25;
/// The most bytes of an answer that are kept with the attempt.
const ANSWER_KEPT_BYTES: usize = 1_024;

/// One POST of a batch, and its result.
pub(super) struct Attempt<'a> {
    pub callback: &'a Callback,
    pub batch: &'a Batch,
    pub at: OffsetDateTime,
    pub posted: &'a Posted,
    pub held: Held,
}

/// Counts of (message, receiver) pairs, or of events, by result.
#[derive(Default)]
struct Tally {
    pairs: u32,
    received: u32,
    offline: u32,
    rejected: u32,
    retried: u32,
    unknown: usize,
}

/// The meaning of the answer for the batch.
enum BatchOutcome {
    /// A verdict for every receiver.
    Judged(Verdicts),
    /// The observer accepted the events.
    Accepted,
    Failed(&'static str),
}

impl Attempt<'_> {
    /// Reports the result to the breaker, and settles the batch.
    pub async fn end(&self, store: &Store, limits: &Limits, now: OffsetDateTime) -> Result<()> {
        let (outcome, is_there) = self.outcome();
        self.callback.note(is_there, now);
        retrying(|| self.settle(store, limits, &outcome, now)).await
    }

    /// The meaning of the answer, and whether the endpoint itself works.
    fn outcome(&self) -> (BatchOutcome, bool) {
        let posted = self.posted;
        match &self.held {
            Held::Messages(messages) => {
                let answer = Answer::of(posted, |receiver| messages.has(receiver));
                let is_there = answer.endpoint_is_there(posted);
                match answer {
                    Answer::Judged(verdicts) => (BatchOutcome::Judged(verdicts), is_there),
                    Answer::Failed(error) => (BatchOutcome::Failed(error), is_there),
                }
            }
            Held::Events(_) => (
                posted.error.map_or(BatchOutcome::Accepted, BatchOutcome::Failed),
                posted.endpoint_is_there(),
            ),
        }
    }

    async fn settle(
        &self,
        store: &Store,
        limits: &Limits,
        outcome: &BatchOutcome,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(&first(self.callback.kind)).await?;
        let ours = self.batch.lock(&tx).await?;
        let tally = match outcome {
            BatchOutcome::Judged(verdicts) => {
                let messages = self.held.messages()?;
                let tally = judged(&tx, messages, verdicts, now).await?;
                if ours {
                    if tally.retried > 0 {
                        self.requeue(&tx, limits, to_retry(messages, verdicts), now).await?;
                    }
                    self.batch.finish(&tx).await?;
                }
                tally.count();
                tally
            }
            BatchOutcome::Accepted => {
                if ours {
                    self.batch.finish(&tx).await?;
                }
                Tally { pairs: self.held.pairs(), received: self.held.pairs(), ..Tally::default() }
            }
            BatchOutcome::Failed(error) => {
                if ours {
                    self.failed(&tx, limits, error, now).await?;
                }
                metrics::counter!("impg_callback_failures_total", "error" => *error,
                    "endpoint" => self.callback.label())
                .increment(1);
                Tally { pairs: self.held.pairs(), ..Tally::default() }
            }
        };
        if !matches!(outcome, BatchOutcome::Failed(_)) && self.batch.failing_since.is_some() {
            tx.run(sql!("delivery/push/answered"), &[&self.callback.callback_id]).await?;
        }
        let error =
            if let BatchOutcome::Failed(error) = outcome { Some(self.posted.reason(error)) } else { None };
        self.record(&tx, error, &tally).await?;
        Ok(tx.commit().await?)
    }

    /// Puts receivers answered `retry` back into the queue.
    async fn requeue(
        &self,
        tx: &Transaction<'_>,
        limits: &Limits,
        again: Vec<Value>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let base_ms = limits.retry_base.as_secs_f64() * 1e3;
        let max_ms = limits.retry_max.as_secs_f64() * 1e3;
        let (jitter, give_up_ms) = (random_share()? * JITTER, limits.give_up_ms());
        tx.run(
            sql!("delivery/push/retry"),
            &[&Json(again), &now, &base_ms, &max_ms, &jitter, &give_up_ms, &self.batch.batch_id],
        )
        .await?;
        Ok(())
    }

    /// Postpones a batch that failed as a whole. It becomes a dead letter if it has waited too long while the endpoint
    /// answered other batches.
    async fn failed(
        &self,
        tx: &Transaction<'_>,
        limits: &Limits,
        error: &'static str,
        now: OffsetDateTime,
    ) -> Result<()> {
        let Batch { batch_id, epoch, attempts, waited_ms, .. } = self.batch;
        let callback_id = &self.callback.callback_id;
        let before = now - limits.disable_after;
        let reason = self.posted.reason(error);
        let row = tx
            .one(sql!("delivery/push/failed"), &[callback_id, &now, &before, &self.posted.is_gone(), &reason])
            .await?;
        if row.get("disabled") {
            tracing::error!(callback_id, error, "callback disabled: it failed for too long, or answered 410");
            metrics::counter!("impg_callback_disabled_total").increment(1);
        }
        let breaker_closed = self.callback.is_closed();
        if breaker_closed && *waited_ms >= limits.give_up_ms() {
            tracing::error!(callback_id, %batch_id, attempts, error, "batch given up: its items are dead letters now");
            metrics::counter!("impg_push_dead_batches_total").increment(1);
            tx.run(sql!("delivery/push/dead_letter_batch"), &[batch_id, &reason, &now]).await?;
            return Ok(());
        }
        let wait = self.batch.wait(limits, random_share()? * JITTER);
        let wait = wait.max(self.posted.retry_after.unwrap_or_default());
        // While the breaker is open, the cause may be the endpoint and not the batch. So the wait does not count.
        let counted_ms = if breaker_closed { i64::try_from(wait.as_millis()).unwrap_or(i64::MAX) } else { 0 };
        tx.run(sql!("delivery/push/postpone"), &[batch_id, epoch, &(now + wait), &counted_ms, &now]).await?;
        Ok(())
    }

    async fn record(&self, tx: &Transaction<'_>, error: Option<String>, tally: &Tally) -> Result<()> {
        let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let unknown = u32::try_from(tally.unknown).unwrap_or(u32::MAX);
        let counts =
            [tally.pairs, tally.received, tally.offline, tally.rejected, tally.retried, unknown].map(whole);
        let Posted { status, answer, request_bytes, took, .. } = self.posted;
        let took_ms = i32::try_from(took.as_millis()).unwrap_or(i32::MAX);
        let request_bytes = i32::try_from(*request_bytes).unwrap_or(i32::MAX);
        tx.run(
            sql!("delivery/push/record_attempt"),
            &[
                &self.callback.callback_id,
                &self.batch.batch_id,
                &self.at,
                &took_ms,
                &status.map(i32::from),
                &error,
                &counts.as_slice(),
                &public_url(&self.callback.url),
                &request_bytes,
                &kept(answer),
                &self.held.span().as_slice(),
                &self.held.event_ids(),
            ],
        )
        .await?;
        Ok(())
    }
}

fn tally(messages: &Messages, verdicts: &Verdicts) -> Tally {
    let mut tally = Tally { unknown: verdicts.unknown, ..Tally::default() };
    for (receiver, count) in messages.counts() {
        tally.pairs += count;
        match verdicts.of(receiver) {
            Verdict::Received => tally.received += count,
            Verdict::Offline => tally.offline += count,
            Verdict::Rejected => tally.rejected += count,
            Verdict::Retry => tally.retried += count,
        }
    }
    tally
}

/// The verdict on a user. A user who has left the company is offline.
fn verdict_of<'a>(verdicts: &'a Verdicts, user: &User) -> (Verdict, Option<&'a str>) {
    if user.has_left { (Verdict::Offline, None) } else { verdicts.with_reason(&user.user_id) }
}

/// Writes the verdicts, and when users were last alerted.
async fn judged(
    tx: &Transaction<'_>,
    messages: &Messages,
    verdicts: &Verdicts,
    now: OffsetDateTime,
) -> Result<Tally> {
    write_verdicts(tx, messages, verdicts, now).await?;
    let reached = messages.alerted.iter().map(|user| messages.users[*user as usize].user_id.as_str());
    let reached: Vec<&str> = reached.filter(|user_id| verdicts.of(user_id) == Verdict::Received).collect();
    preference::alert(tx, &reached, now).await?;
    Ok(tally(messages, verdicts))
}

async fn write_verdicts(
    tx: &Transaction<'_>,
    messages: &Messages,
    verdicts: &Verdicts,
    now: OffsetDateTime,
) -> Result<()> {
    let of_users: Vec<_> = messages.users.iter().map(|user| verdict_of(verdicts, user)).collect();
    let keys: Vec<Key> = messages.parts.iter().map(|part| part.key).collect();
    let mut blocks = ledger::lock(tx, &keys).await?;
    let places: HashMap<Key, usize> = blocks.iter().enumerate().map(|(i, block)| (block.key, i)).collect();
    for part in &messages.parts {
        // A missing block is sealed.
        let Some(block) = places.get(&part.key).map(|i| &mut blocks[*i]) else {
            continue;
        };
        for &(bit, user) in &part.receivers {
            let (verdict, reason) = of_users[user as usize];
            block.set_verdict(bit.into(), verdict, reason, now);
        }
    }
    // Both are sent at once, so that users who are offline cost no round trip. If the first fails, the second fails too.
    try_join(ledger::write(tx, &blocks, now), reminder::note(tx, &blocks, now)).await?;
    Ok(())
}

/// The receivers to retry, by item, in the form that `push/retry` reads.
fn to_retry(messages: &Messages, verdicts: &Verdicts) -> Vec<Value> {
    let mut again: BTreeMap<i64, (BTreeSet<&str>, u32)> = BTreeMap::new();
    for part in &messages.parts {
        for &(_, user) in &part.receivers {
            let user = &messages.users[user as usize];
            if verdict_of(verdicts, user).0 == Verdict::Retry {
                let (receivers, pairs) = again.entry(part.item).or_default();
                receivers.insert(&user.user_id);
                *pairs += 1;
            }
        }
    }
    let row = |(item, (receivers, pairs))| json!({"item": item, "receivers": receivers, "pairs": pairs});
    again.into_iter().map(row).collect()
}

impl Tally {
    fn count(&self) {
        let each = [
            ("received", self.received),
            ("offline", self.offline),
            ("rejected", self.rejected),
            ("retry", self.retried),
        ];
        for (verdict, pairs) in each {
            metrics::counter!("impg_push_pairs_total", "verdict" => verdict).increment(pairs.into());
        }
    }
}

impl Limits {
    fn give_up_ms(&self) -> i64 {
        i64::try_from(self.give_up.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Deletes a batch without receivers, unless another worker has taken it over.
pub(super) async fn discard(store: &Store, batch: &Batch) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    if batch.lock(&tx).await? {
        batch.finish(&tx).await?;
    }
    Ok(tx.commit().await?)
}

/// The first statement of a transaction that settles a batch. Verdicts need the seal lock. An observer's batch is
/// repeatable: if a crash of the database brings it back, it is sent again.
fn first(kind: Kind) -> String {
    match kind {
        Kind::Gateway => SHARE_SEAL.to_owned(),
        Kind::Observer | Kind::Gate => REPEATABLE.to_owned(),
    }
}

/// The beginning of an answer as text. It is shown with the attempt.
fn kept(answer: &[u8]) -> Option<String> {
    let beginning = &answer[..answer.len().min(ANSWER_KEPT_BYTES)];
    (!beginning.is_empty()).then(|| String::from_utf8_lossy(beginning).replace('\0', "\u{fffd}"))
}

/// A uniform random number from 0 to 1.
fn random_share() -> Result<f64> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}
