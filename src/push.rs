//! Out: claim a batch under a lease, POST it with no connection held, settle the answer.
//!
//! Queue rows of a channel go one after another; a batch that failed whole holds only the
//! channels in it. The batch is frozen: its retry has the same id and the same members.

mod load;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use postgres_types::{Json, ToSql};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::callback::{Answer, Callback, Gate};
use crate::config::Config;
use crate::delivery::{Verdict, Verdicts};
use crate::error::{Error, Result};
use crate::schedule::Tick;
use crate::sql;
use crate::store::{REPEATABLE, SHARE_SEAL, Store, retrying};
use load::load;

/// The callback whose answer decides `received`.
pub const GATEWAY: &str = "gateway";
/// While a batch is under way, the next one waits this long to grow: a batch costs two commits,
/// however small. Nobody who sends waits for it.
const LINGER: Duration = Duration::from_millis(10);
/// Jitter added to waits, as a share of them.
const JITTER: f64 = 0.25;

/// The push stage of one replica.
pub struct Push {
    store: Store,
    callback: Arc<Callback>,
    limits: Limits,
    wake: Arc<Notify>,
    /// Batches under way from this replica, and whether the last one claimed was full.
    under_way: AtomicUsize,
    full: AtomicBool,
}

/// Counts a batch from its claim to its end.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Limits {
    batch_rows: i32,
    batch_pairs: i32,
    batch_bytes: i32,
    lease: Duration,
    retry_base: Duration,
    retry_max: Duration,
    give_up: Duration,
}

struct Batch {
    batch_id: Uuid,
    epoch: i32,
    attempts: i32,
    waited_ms: i64,
    /// Whether another batch may be waiting.
    more: bool,
}

/// How many (message, receiver) pairs ended how.
#[derive(Default)]
struct Tally {
    pairs: u32,
    received: u32,
    offline: u32,
    rejected: u32,
    retried: u32,
}

impl Push {
    pub fn new(store: Store, callback: Arc<Callback>, config: &Config, wake: Arc<Notify>) -> Self {
        let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let limits = Limits {
            batch_rows: whole(config.callback_batch_rows),
            batch_pairs: whole(config.callback_batch_pairs),
            batch_bytes: whole(config.callback_batch_bytes),
            lease: config.callback_timeout + config.callback_lease_margin,
            retry_base: config.callback_retry_base,
            retry_max: config.callback_retry_max,
            give_up: config.callback_give_up,
        };
        Self { store, callback, limits, wake, under_way: AtomicUsize::new(0), full: AtomicBool::new(false) }
    }

    /// Sends one batch, if one is due and the breaker lets it through.
    pub async fn tick(&self) -> Result<Tick> {
        if self.under_way.load(Ordering::Relaxed) > 0 && !self.full.load(Ordering::Relaxed) {
            tokio::time::sleep(LINGER).await;
        }
        if let Gate::Open(_) = self.callback.gate() {
            return Ok(Tick::Idle);
        }
        let now = self.store.now().await?;
        let Some(batch) = retrying(|| self.claim(now)).await? else {
            return Ok(Tick::Idle);
        };
        let _under_way = UnderWay::begin(&self.under_way);
        self.full.store(batch.more, Ordering::Relaxed);
        if batch.more {
            self.wake.notify_one();
        }
        let load = load(&self.store, batch.batch_id).await?;
        if load.receivers.is_empty() {
            // Mostly the lease ran out on the way here, and the next owner is done with the batch.
            retrying(|| self.discard(&batch)).await?;
            return Ok(Tick::More);
        }
        let started = Instant::now();
        let answer = self
            .callback
            .post(&batch.batch_id.to_string(), load.body, now, |r| load.receivers.contains_key(r))
            .await;
        let took = started.elapsed();
        metrics::histogram!("impg_callback_seconds").record(took);
        self.callback.note(answer.endpoint_is_there());
        let after = self.store.now().await?;
        let attempt = Attempt { batch: &batch, at: now, took, receivers: &load.receivers };
        retrying(|| self.settle(&attempt, &answer, after)).await?;
        Ok(Tick::More)
    }

    /// A due batch again, or a new one; frozen and leased in one short transaction.
    async fn claim(&self, now: OffsetDateTime) -> Result<Option<Batch>> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        let until = now + self.limits.lease;
        let due = tx.prepare_cached(sql!("push/claim_due")).await?;
        let mut row = tx.query_opt(&due, &[&GATEWAY, &now, &until]).await?;
        if row.is_none() {
            let lock = tx.prepare_cached(sql!("push/lock_callback")).await?;
            tx.query(&lock, &[&GATEWAY]).await?;
            let new = tx.prepare_cached(sql!("push/claim_new")).await?;
            let id = Uuid::now_v7();
            let Limits { batch_rows, batch_pairs, batch_bytes, .. } = &self.limits;
            let bounds: [&(dyn ToSql + Sync); 7] =
                [&GATEWAY, &id, &now, &until, batch_rows, batch_pairs, batch_bytes];
            row = tx.query_opt(&new, &bounds).await?;
        }
        tx.commit().await?;
        Ok(row.map(|row| Batch {
            batch_id: row.get("batch_id"),
            epoch: row.get("epoch"),
            attempts: row.get("attempts"),
            waited_ms: row.get("waited_ms"),
            more: row.get("more"),
        }))
    }

    /// Ends a batch that is for nobody; one that another owner has is left alone.
    async fn discard(&self, batch: &Batch) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        if lock(&tx, batch).await? {
            finish(&tx, batch).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn settle(&self, attempt: &Attempt<'_>, answer: &Answer, now: OffsetDateTime) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        // Rows are locked in the order a nested loop meets them.
        let nested = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
        tx.batch_execute(&format!("{nested}; {SHARE_SEAL}")).await?;
        let batch = attempt.batch;
        let ours = lock(&tx, batch).await?;
        match answer {
            Answer::Judged(verdicts) => {
                let tally = Tally::of(attempt.receivers, verdicts);
                self.write(&tx, batch, verdicts, now).await?;
                if ours {
                    if tally.retried > 0 {
                        self.requeue(&tx, batch, verdicts, now).await?;
                    }
                    finish(&tx, batch).await?;
                }
                tally.count();
                attempt.record(&tx, Some(200), None, (&tally, verdicts.unknown)).await?;
            }
            Answer::Failed { status, error, retry_after } => {
                if ours {
                    self.postpone(&tx, batch, (error, *retry_after), now).await?;
                }
                let tally = Tally { pairs: attempt.pairs(), ..Tally::default() };
                metrics::counter!("impg_callback_failures_total", "error" => *error).increment(1);
                attempt.record(&tx, *status, Some(error), (&tally, 0)).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn write(
        &self,
        tx: &Transaction<'_>,
        batch: &Batch,
        verdicts: &Verdicts,
        now: OffsetDateTime,
    ) -> Result<()> {
        let statement = tx.prepare_cached(sql!("push/settle")).await?;
        let named = Json(verdicts.to_json());
        tx.execute(&statement, &[&batch.batch_id, &named, &verdicts.rest.as_str(), &now]).await?;
        Ok(())
    }

    async fn requeue(
        &self,
        tx: &Transaction<'_>,
        batch: &Batch,
        verdicts: &Verdicts,
        now: OffsetDateTime,
    ) -> Result<()> {
        let base_ms = self.limits.retry_base.as_secs_f64() * 1e3;
        let max_ms = self.limits.retry_max.as_secs_f64() * 1e3;
        let named = Json(verdicts.to_json());
        let rest = verdicts.rest.as_str();
        let statement = tx.prepare_cached(sql!("push/retry")).await?;
        let (jitter, give_up_ms) = (random_share()? * JITTER, self.limits.give_up_ms());
        tx.execute(
            &statement,
            &[&batch.batch_id, &named, &rest, &now, &base_ms, &max_ms, &jitter, &give_up_ms],
        )
        .await?;
        Ok(())
    }

    /// A batch that failed whole waits, or is buried when it has been waited for too long while
    /// the endpoint was answering others.
    async fn postpone(
        &self,
        tx: &Transaction<'_>,
        batch: &Batch,
        (error, retry_after): (&'static str, Option<Duration>),
        now: OffsetDateTime,
    ) -> Result<()> {
        let breaker_closed = self.callback.is_closed();
        if breaker_closed && batch.waited_ms >= self.limits.give_up_ms() {
            tracing::error!(batch_id = %batch.batch_id, attempts = batch.attempts, error, "batch given up: dead letter");
            metrics::counter!("impg_push_dead_batches_total").increment(1);
            let bury = tx.prepare_cached(sql!("push/bury")).await?;
            tx.execute(&bury, &[&batch.batch_id, &error, &now]).await?;
            return Ok(());
        }
        let doubled = self.limits.retry_base.saturating_mul(1 << batch.attempts.clamp(0, 20));
        let wait = doubled.min(self.limits.retry_max).mul_f64(1.0 + random_share()? * JITTER);
        let wait = wait.max(retry_after.unwrap_or_default());
        // While the breaker is open nothing tells whether the batch or the endpoint is to blame.
        let counted_ms = if breaker_closed { i64::try_from(wait.as_millis()).unwrap_or(i64::MAX) } else { 0 };
        let statement = tx.prepare_cached(sql!("push/postpone")).await?;
        tx.execute(&statement, &[&batch.batch_id, &batch.epoch, &(now + wait), &counted_ms]).await?;
        Ok(())
    }
}

impl Limits {
    fn give_up_ms(&self) -> i64 {
        i64::try_from(self.give_up.as_millis()).unwrap_or(i64::MAX)
    }
}

struct Attempt<'a> {
    batch: &'a Batch,
    at: OffsetDateTime,
    took: Duration,
    receivers: &'a HashMap<String, u32>,
}

impl Attempt<'_> {
    fn pairs(&self) -> u32 {
        self.receivers.values().sum()
    }

    async fn record(
        &self,
        tx: &Transaction<'_>,
        status: Option<u16>,
        error: Option<&str>,
        (tally, unknown): (&Tally, usize),
    ) -> Result<()> {
        let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let took = i32::try_from(self.took.as_millis()).unwrap_or(i32::MAX);
        let counts =
            [tally.pairs, tally.received, tally.offline, tally.rejected, tally.retried, unknown as u32];
        let counts = counts.map(whole).to_vec();
        let statement = tx.prepare_cached(sql!("push/record_attempt")).await?;
        let (batch_id, status) = (self.batch.batch_id, status.map(i32::from));
        tx.execute(&statement, &[&GATEWAY, &batch_id, &self.at, &took, &status, &error, &counts]).await?;
        Ok(())
    }
}

impl Tally {
    fn of(receivers: &HashMap<String, u32>, verdicts: &Verdicts) -> Self {
        let mut tally = Self::default();
        for (receiver, &messages) in receivers {
            tally.pairs += messages;
            match verdicts.of(receiver) {
                Verdict::Received => tally.received += messages,
                Verdict::Offline => tally.offline += messages,
                Verdict::Rejected => tally.rejected += messages,
                Verdict::Retry => tally.retried += messages,
            }
        }
        tally
    }

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

/// Locks a batch, if it is still its owner's.
async fn lock(tx: &Transaction<'_>, batch: &Batch) -> Result<bool> {
    let statement = tx.prepare_cached(sql!("push/lock_batch")).await?;
    let row = tx.query_opt(&statement, &[&batch.batch_id, &batch.epoch]).await?;
    if row.is_none() {
        metrics::counter!("impg_push_stale_total").increment(1);
    }
    Ok(row.is_some())
}

async fn finish(tx: &Transaction<'_>, batch: &Batch) -> Result<()> {
    let statement = tx.prepare_cached(sql!("push/finish")).await?;
    tx.execute(&statement, &[&batch.batch_id]).await?;
    Ok(())
}

/// Uniform in 0..1.
fn random_share() -> Result<f64> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}

/// Puts dead letters back into the queue; all of them, or those named. Returns how many.
pub async fn replay(store: &Store, dead_ids: Option<Vec<i64>>, now: OffsetDateTime) -> Result<u64> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let statement = tx.prepare_cached(sql!("push/replay")).await?;
    let replayed = tx.execute(&statement, &[&GATEWAY, &dead_ids, &now]).await?;
    tx.commit().await?;
    Ok(replayed)
}

/// What waits for the callback.
#[derive(Debug)]
pub struct Backlog {
    pub rows: i64,
    pub pairs: i64,
    pub oldest: Option<OffsetDateTime>,
    pub batches: i64,
    pub dead: i64,
}

pub async fn backlog(store: &Store) -> Result<Backlog> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/backlog")).await?;
    let row = client.query_one(&statement, &[&GATEWAY]).await?;
    Ok(Backlog {
        rows: row.get("rows"),
        pairs: row.get("pairs"),
        oldest: row.get("oldest"),
        batches: row.get("batches"),
        dead: row.get("dead"),
    })
}

/// One page of attempts below `before`, newest first.
pub async fn attempts(store: &Store, before: i64, limit: i64) -> Result<Vec<tokio_postgres::Row>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/attempts")).await?;
    Ok(client.query(&statement, &[&GATEWAY, &before, &limit]).await?)
}

/// One page of dead letters below `before`, newest first.
pub async fn dead_letters(store: &Store, before: i64, limit: i64) -> Result<Vec<tokio_postgres::Row>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/dead_letters")).await?;
    Ok(client.query(&statement, &[&GATEWAY, &before, &limit]).await?)
}

/// Forgets attempts and dead letters from before `before`, some at a time.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<i64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/prune")).await?;
    Ok(client.query_one(&statement, &[&before, &most]).await?.get("pruned"))
}
