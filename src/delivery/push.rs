//! Push: claim a batch under a lease, POST it without a database connection, and settle the answer.
//!
//! Every endpoint has its own queue, workers and breaker, so a slow endpoint does not delay others. Items of a
//! channel go one after another. A failed batch delays only the channels in it. A batch is frozen: a retry has the
//! same id and the same items.

mod batch;
mod dead;
mod load;
mod notify;
mod pair;
mod sent;
mod settle;
mod statistics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::base::config::Config;
use crate::base::error::Result;
use crate::base::store::{Statements, Store, retrying};
use crate::base::trace;
use crate::base::wakers::Wakers;
use crate::base::worker::{self, Tick};
use crate::delivery::endpoint::{Admission, Callback, Callbacks, GATEWAY, Kind};
use crate::people::preference::Known;
use crate::sql;
use batch::{Batch, BatchClaim, Claimed, Due};

pub use dead::{
    DeadLetter, DeadLetterDetail, DeadLetters, LoggedEvents, Replay, Replaying, dead_letter, dead_letters,
    replay, replay_events, replayable,
};
pub use pair::{GivenUp, Pair, PairState, Waiting, of_pair};
pub use sent::{SentPayload, payload};
pub use statistics::{Failure, Statistics, Stretch, statistics};

/// The shortest time between two batches of an endpoint, unless the last one was full. A batch costs two commits
/// whatever its size, so it should grow. A send after a pause is pushed at once.
const LINGER: Duration = Duration::from_millis(10);
/// Longest sleep of a worker. Workers are woken for new work, so this is only a safety net.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The pushes of one replica.
pub struct Push {
    store: Store,
    callbacks: Arc<Callbacks>,
    limits: Limits,
    queues: Mutex<HashMap<String, EndpointQueue>>,
    wakers: Arc<Wakers>,
    /// The settings that mark pushes.
    known: Known,
    spawn: Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>,
    stop: CancellationToken,
}

/// Limits of all batches. See the settings of the same names.
pub(crate) struct Limits {
    batch_rows: i32,
    batch_pairs: i32,
    batch_bytes: i32,
    urgent_max: i32,
    lease_margin: Duration,
    retry_base: Duration,
    retry_max: Duration,
    give_up: Duration,
    disable_after: Duration,
}

/// The workers of one endpoint. They stop when the endpoint is deleted.
struct EndpointQueue {
    concurrency: usize,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

/// The state that the workers of an endpoint share.
pub struct QueueWorker {
    push: Arc<Push>,
    callback_id: String,
    wake: Arc<Notify>,
    /// Whether the last claim left work for another batch.
    full: AtomicBool,
    /// When the last batch was claimed. Workers claim one after another. Otherwise each would wait for the endpoint's
    /// lock on a connection of its own.
    claimed: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the next claim reads commits before the queue. It alternates, so that both make progress.
    stored_first: AtomicBool,
}

impl Push {
    /// Workers are tasks for `spawn`. They end with `stop`, and `wakers` wakes them. They use the database of the
    /// callbacks.
    pub fn new(
        callbacks: Arc<Callbacks>,
        config: &Config,
        wakers: Arc<Wakers>,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Self {
        let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let limits = Limits {
            batch_rows: whole(config.callbacks.batch_rows),
            batch_pairs: whole(config.callbacks.batch_pairs),
            batch_bytes: whole(config.callbacks.batch_bytes),
            urgent_max: whole(config.chat.urgent_max),
            lease_margin: config.callbacks.lease_margin,
            retry_base: config.callbacks.retry_base,
            retry_max: config.callbacks.retry_max,
            give_up: config.callbacks.give_up,
            disable_after: config.callbacks.disable_after,
        };
        Self {
            store: callbacks.store().clone(),
            callbacks,
            limits,
            queues: Mutex::default(),
            wakers,
            known: Known::default(),
            spawn: Box::new(spawn),
            stop,
        }
    }

    /// Starts and stops workers so that they match the endpoints, and wakes those that have due work.
    pub async fn dispatch(self: &Arc<Self>) -> Result<Tick> {
        let now = self.store.now().await?;
        self.reconcile(&self.callbacks.refresh(now).await?);
        let waiting = self.store.all(sql!("delivery/push/waiting"), &[&now]).await?;
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for row in waiting {
            if let Some(queue) = queues.get(row.get::<_, &str>("callback_id")) {
                queue.wake.notify_one();
            }
        }
        Ok(Tick::Idle)
    }

    /// Opens workers for new endpoints, and stops those of deleted or changed ones.
    fn reconcile(self: &Arc<Self>, callbacks: &[Arc<Callback>]) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // The gate has no queue.
        let queued = callbacks.iter().filter(|callback| callback.kind != Kind::Gate);
        let concurrency: HashMap<&str, usize> =
            queued.map(|callback| (callback.callback_id.as_str(), callback.concurrency)).collect();
        queues.retain(|callback_id, queue| {
            let same = concurrency.get(callback_id.as_str()) == Some(&queue.concurrency);
            if !same {
                queue.stop.cancel();
            }
            same
        });
        for (callback_id, workers) in concurrency {
            if !queues.contains_key(callback_id) {
                queues.insert(callback_id.to_owned(), self.open(callback_id, workers));
            }
        }
        self.wakers.replace(queues.iter().map(|(id, queue)| (id.clone(), queue.wake.clone())).collect());
    }

    /// The shared state for the workers of an endpoint.
    pub fn worker(self: &Arc<Self>, callback_id: &str) -> QueueWorker {
        QueueWorker {
            push: self.clone(),
            callback_id: callback_id.to_owned(),
            wake: if callback_id == GATEWAY { self.wakers.gateway.clone() } else { Arc::default() },
            full: AtomicBool::new(false),
            claimed: tokio::sync::Mutex::default(),
            stored_first: AtomicBool::new(false),
        }
    }

    fn open(self: &Arc<Self>, callback_id: &str, concurrency: usize) -> EndpointQueue {
        let stop = self.stop.child_token();
        let worker = Arc::new(self.worker(callback_id));
        let wake = worker.wake.clone();
        for _ in 0..concurrency {
            let worker = worker.clone();
            let tick = move || {
                let worker = worker.clone();
                async move { worker.tick().await }
            };
            (self.spawn)(Box::pin(worker::run("push", SLEEP_MAX, wake.clone(), stop.clone(), tick)));
        }
        EndpointQueue { concurrency, wake, stop }
    }
}

impl QueueWorker {
    /// Sends one batch, if one is due and the breaker allows it.
    pub async fn tick(&self) -> Result<Tick> {
        let Push { store, callbacks, limits, .. } = &*self.push;
        let Some(callback) = callbacks.get(&self.callback_id) else {
            return Ok(Tick::Idle);
        };
        let mut last = self.claimed.lock().await;
        if let Some(last) = last.filter(|_| !self.full.load(Ordering::Relaxed)) {
            tokio::time::sleep(LINGER.saturating_sub(last.elapsed())).await;
        }
        let Some(Due { now, ready }) = batch::check_due(store, &self.callback_id).await? else {
            return Ok(Tick::Idle);
        };
        let probe = match callback.admission(now) {
            Admission::Open(_) => return Ok(Tick::Idle),
            admission => admission == Admission::Probe,
        };
        let stored_first = self.stored_first.fetch_not(Ordering::Relaxed);
        let claim = BatchClaim { callback: &callback, limits, ready, stored_first, probe, now };
        let claimed = retrying(|| claim.take(store)).await?;
        *last = Some(Instant::now());
        drop(last);
        let batch = match claimed {
            Claimed::Batch(batch) => batch,
            Claimed::Nothing => return Ok(Tick::Idle),
            Claimed::Moved => return Ok(Tick::More),
            Claimed::Paced(until) => return Ok(self.paced(until, now).await),
        };
        self.full.store(batch.more, Ordering::Relaxed);
        if batch.more {
            self.wake.notify_one();
        }
        let (batch_id, trace_id) = (batch.batch_id, trace::current().trace_id());
        let span = tracing::error_span!("push", %batch_id, callback_id = self.callback_id, trace_id);
        self.deliver(&callback, &batch, now).instrument(span).await
    }

    /// Sends a batch that this worker owns, and settles its answer.
    async fn deliver(&self, callback: &Callback, batch: &Batch, now: OffsetDateTime) -> Result<Tick> {
        let Push { store, limits, .. } = &*self.push;
        let loaded = load::load(&self.push, callback, batch.batch_id, now).await?;
        if loaded.is_empty() {
            // Usually the lease has expired, and its next owner has finished the batch.
            retrying(|| settle::discard(store, batch)).await?;
            return Ok(Tick::More);
        }
        let (body, held) = loaded.into_parts();
        let posted = callback.post(&batch.batch_id.to_string(), body, now).await;
        metrics::histogram!("impg_callback_seconds", "kind" => callback.kind.as_str(),
            "endpoint" => callback.label())
        .record(posted.took);
        let (status, took_ms) = (posted.status, posted.took.as_millis() as u64);
        match posted.error {
            None => tracing::debug!(status, took_ms, "a batch is answered"),
            Some(error) => tracing::info!(status, took_ms, error, "a batch is not accepted"),
        }
        let attempt = settle::Attempt { callback, batch, at: now, posted: &posted, held };
        let after = store.now().await?;
        attempt.end(store, limits, after).await?;
        Ok(Tick::More)
    }

    /// Waits until the endpoint's rate allows the next batch.
    async fn paced(&self, until: OffsetDateTime, now: OffsetDateTime) -> Tick {
        let wait = Duration::try_from(until - now).unwrap_or_default().min(SLEEP_MAX);
        tokio::select! {
            () = self.push.stop.cancelled() => Tick::Idle,
            () = tokio::time::sleep(wait) => Tick::More,
        }
    }
}

/// Work that waits for an endpoint.
#[derive(Debug)]
pub struct Backlog {
    pub rows: i64,
    pub pairs: i64,
    pub oldest: Option<OffsetDateTime>,
    pub batches: i64,
    pub dead: i64,
}

pub async fn backlog(store: &Store, callback_id: &str) -> Result<Backlog> {
    let row = store.one(sql!("delivery/push/backlog"), &[&callback_id]).await?;
    Ok(Backlog {
        rows: row.get("rows"),
        pairs: row.get("pairs"),
        oldest: row.get("oldest"),
        batches: row.get("batches"),
        dead: row.get("dead"),
    })
}

/// A POST of a batch, with the counts of its pairs by verdict.
#[derive(Debug)]
pub struct PastAttempt {
    pub attempt_id: i64,
    pub batch_id: uuid::Uuid,
    pub attempted_at: OffsetDateTime,
    pub duration_ms: i32,
    pub url: Option<String>,
    pub request_bytes: Option<i32>,
    pub http_status: Option<i32>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// Why it failed. `None`: it was answered as it should be.
    pub error: Option<String>,
    pub pairs: i32,
    pub received: i32,
    pub offline: i32,
    pub rejected: i32,
    pub retried: i32,
    /// Users in the answer who are not receivers of the batch.
    pub unknown: i32,
}

/// One page of an endpoint's attempts below `before`, newest first. `since_aimed`: only those since its URL or a filter
/// changed.
pub async fn attempts(
    store: &Store,
    callback_id: &str,
    (before, limit): (i64, i64),
    since_aimed: bool,
) -> Result<Vec<PastAttempt>> {
    let rows =
        store.all(sql!("delivery/push/attempts"), &[&callback_id, &before, &limit, &since_aimed]).await?;
    Ok(rows.iter().map(PastAttempt::of).collect())
}

impl PastAttempt {
    fn of(row: &tokio_postgres::Row) -> Self {
        Self {
            attempt_id: row.get("attempt_id"),
            batch_id: row.get("batch_id"),
            attempted_at: row.get("attempted_at"),
            duration_ms: row.get("duration_ms"),
            url: row.get("url"),
            request_bytes: row.get("request_bytes"),
            http_status: row.get("http_status"),
            answer: row.get("answer"),
            error: row.get("error"),
            pairs: row.get("pairs"),
            received: row.get("received"),
            offline: row.get("offline"),
            rejected: row.get("rejected"),
            retried: row.get("retried"),
            unknown: row.get("unknown"),
        }
    }
}

/// Deletes some of the commits that were held for a gateway and queued before `before`, while there is no gateway.
pub async fn forget_held(store: &Store, before: OffsetDateTime, most: i32) -> Result<u64> {
    Ok(store
        .one(sql!("delivery/push/forget_held"), &[&before, &most])
        .await?
        .get::<_, i64>("forgotten")
        .unsigned_abs())
}

/// Deletes attempts and dead letters older than `before`, at most `most` of each.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<i64> {
    Ok(store.one(sql!("delivery/push/prune"), &[&before, &most]).await?.get("pruned"))
}
