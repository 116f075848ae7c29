//! Out: claim a batch under a lease, POST it with no connection held, settle the answer.
//!
//! Every endpoint has a line of its own, with its own workers and breaker: one that is slow or away
//! delays nobody else. Queue rows of a channel go one after another; a batch that failed whole holds
//! only the channels in it. The batch is frozen: its retry has the same id and the same members.

mod batch;
mod dead;
mod load;
mod settle;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::callback::{Bells, Callback, Callbacks, GATEWAY, Gate};
use crate::config::Config;
use crate::error::Result;
use crate::schedule::{self, Tick};
use crate::sql;
use crate::store::{Store, retrying};
use batch::{Claim, Claimed, Look};

pub use dead::{Letters, Replay, dead_letter, dead_letters, replay, replay_events};

/// A batch that would not be full is made this long after the one before, so that it grows: a batch costs two
/// commits, however small. A send after a pause is pushed at once.
const LINGER: Duration = Duration::from_millis(10);
/// A line's workers are woken for all they do; this only bounds the time they sleep.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The push stage of one replica.
pub struct Push {
    store: Store,
    callbacks: Arc<Callbacks>,
    limits: Limits,
    lines: Mutex<HashMap<String, Line>>,
    bells: Arc<Bells>,
    spawn: Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>,
    stop: CancellationToken,
}

/// What all batches keep to.
pub(crate) struct Limits {
    batch_rows: i32,
    batch_pairs: i32,
    batch_bytes: i32,
    lease_margin: Duration,
    retry_base: Duration,
    retry_max: Duration,
    give_up: Duration,
    disable_after: Duration,
}

/// An endpoint's workers; they end with it.
struct Line {
    concurrency: usize,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

/// What the workers of a line share.
pub struct Worker {
    push: Arc<Push>,
    callback_id: String,
    wake: Arc<Notify>,
    /// Whether the last batch claimed was full.
    full: AtomicBool,
    /// When the last one was claimed. Workers claim one after another; otherwise each would hold a connection to wait
    /// for the endpoint's lock.
    claimed: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the next claim takes commits before the queue.
    stored_first: AtomicBool,
}

impl Push {
    /// Workers are tasks for `spawn`; they end with `stop`. `bells` wake them.
    pub fn new(
        (store, callbacks): (Store, Arc<Callbacks>),
        config: &Config,
        bells: Arc<Bells>,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Self {
        let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let limits = Limits {
            batch_rows: whole(config.callback_batch_rows),
            batch_pairs: whole(config.callback_batch_pairs),
            batch_bytes: whole(config.callback_batch_bytes),
            lease_margin: config.callback_lease_margin,
            retry_base: config.callback_retry_base,
            retry_max: config.callback_retry_max,
            give_up: config.callback_give_up,
            disable_after: config.callback_disable_after,
        };
        Self { store, callbacks, limits, lines: Mutex::default(), bells, spawn: Box::new(spawn), stop }
    }

    /// Gives every endpoint its line, and wakes those that something is due for.
    pub async fn dispatch(self: &Arc<Self>) -> Result<Tick> {
        let now = self.store.now().await?;
        self.draw(&self.callbacks.refresh(now).await?);
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("push/waiting")).await?;
        let waiting = client.query(&statement, &[&now]).await?;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for row in waiting {
            if let Some(line) = lines.get(row.get::<_, &str>("callback_id")) {
                line.wake.notify_one();
            }
        }
        Ok(Tick::Idle)
    }

    /// Opens and closes lines, so that they are those of the endpoints there are.
    fn draw(self: &Arc<Self>, callbacks: &[Arc<Callback>]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let concurrency: HashMap<&str, usize> =
            callbacks.iter().map(|callback| (callback.callback_id.as_str(), callback.concurrency)).collect();
        lines.retain(|callback_id, line| {
            let same = concurrency.get(callback_id.as_str()) == Some(&line.concurrency);
            if !same {
                line.stop.cancel();
            }
            same
        });
        for (callback_id, workers) in concurrency {
            if !lines.contains_key(callback_id) {
                lines.insert(callback_id.to_owned(), self.open(callback_id, workers));
            }
        }
        self.bells.hang(lines.iter().map(|(id, line)| (id.clone(), line.wake.clone())).collect());
    }

    /// What the workers of an endpoint's line are made of.
    pub fn worker(self: &Arc<Self>, callback_id: &str) -> Worker {
        Worker {
            push: self.clone(),
            callback_id: callback_id.to_owned(),
            wake: if callback_id == GATEWAY { self.bells.gateway.clone() } else { Arc::default() },
            full: AtomicBool::new(false),
            claimed: tokio::sync::Mutex::default(),
            stored_first: AtomicBool::new(false),
        }
    }

    fn open(self: &Arc<Self>, callback_id: &str, concurrency: usize) -> Line {
        let stop = self.stop.child_token();
        let worker = Arc::new(self.worker(callback_id));
        let wake = worker.wake.clone();
        for _ in 0..concurrency {
            let worker = worker.clone();
            let tick = move || {
                let worker = worker.clone();
                async move { worker.tick().await }
            };
            (self.spawn)(Box::pin(schedule::run("push", SLEEP_MAX, wake.clone(), stop.clone(), tick)));
        }
        Line { concurrency, wake, stop }
    }
}

impl Worker {
    /// Sends one batch, if one is due and the breaker lets it through.
    pub async fn tick(&self) -> Result<Tick> {
        let Push { store, callbacks, limits, .. } = &*self.push;
        let Some(callback) = callbacks.get(&self.callback_id) else {
            return Ok(Tick::Idle);
        };
        let mut last = self.claimed.lock().await;
        if let Some(last) = last.filter(|_| !self.full.load(Ordering::Relaxed)) {
            tokio::time::sleep(LINGER.saturating_sub(last.elapsed())).await;
        }
        let Some(Look { now, ready }) = batch::look(store, &self.callback_id).await? else {
            return Ok(Tick::Idle);
        };
        let probe = match callback.gate(now) {
            Gate::Open(_) => return Ok(Tick::Idle),
            gate => gate == Gate::Probe,
        };
        let stored_first = self.stored_first.fetch_not(Ordering::Relaxed);
        let claim = Claim { callback: &callback, limits, ready, stored_first, probe, now };
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
        let loaded = load::load(store, &callback, batch.batch_id).await?;
        if loaded.is_empty() {
            // Mostly the lease ran out on the way here, and the next owner is done with the batch.
            retrying(|| settle::discard(store, &batch)).await?;
            return Ok(Tick::More);
        }
        let (body, held) = loaded.into_parts();
        let posted = callback.post(&batch.batch_id.to_string(), body, now).await;
        metrics::histogram!("impg_callback_seconds", "kind" => callback.kind.as_str()).record(posted.took);
        let attempt = settle::Attempt { callback: &callback, batch: &batch, at: now, posted: &posted, held };
        let after = store.now().await?;
        attempt.end(store, limits, after).await?;
        Ok(Tick::More)
    }

    /// The endpoint's rate holds its next batch back.
    async fn paced(&self, until: OffsetDateTime, now: OffsetDateTime) -> Tick {
        let wait = Duration::try_from(until - now).unwrap_or_default().min(SLEEP_MAX);
        tokio::select! {
            () = self.push.stop.cancelled() => Tick::Idle,
            () = tokio::time::sleep(wait) => Tick::More,
        }
    }
}

/// What waits for an endpoint.
#[derive(Debug)]
pub struct Backlog {
    pub rows: i64,
    pub pairs: i64,
    pub oldest: Option<OffsetDateTime>,
    pub batches: i64,
    pub dead: i64,
}

pub async fn backlog(store: &Store, callback_id: &str) -> Result<Backlog> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/backlog")).await?;
    let row = client.query_one(&statement, &[&callback_id]).await?;
    Ok(Backlog {
        rows: row.get("rows"),
        pairs: row.get("pairs"),
        oldest: row.get("oldest"),
        batches: row.get("batches"),
        dead: row.get("dead"),
    })
}

/// One page of an endpoint's attempts below `before`, newest first.
pub async fn attempts(
    store: &Store,
    callback_id: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<tokio_postgres::Row>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/attempts")).await?;
    Ok(client.query(&statement, &[&callback_id, &before, &limit]).await?)
}

/// Forgets some of what was held for a gateway since before `before`, while there is none.
pub async fn forget_held(store: &Store, before: OffsetDateTime, most: i32) -> Result<u64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/forget_held")).await?;
    Ok(client.execute(&statement, &[&before, &most]).await?)
}

/// Forgets attempts and dead letters from before `before`, some at a time.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<i64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/prune")).await?;
    Ok(client.query_one(&statement, &[&before, &most]).await?.get("pruned"))
}
