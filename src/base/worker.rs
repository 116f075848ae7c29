//! Background workers: the loop around a piece of work, one `tick` after another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::base::error::Result;
use crate::base::trace::TraceContext;

/// Pauses after a failed tick. They double from the first to the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_LAST: Duration = Duration::from_secs(5);

/// The result of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// There may be more work: tick again at once.
    More,
    /// No work is left: wait for a wake-up or the poll.
    Idle,
}

/// Background work, done step by step.
pub trait Work: Send + Sync + 'static {
    /// One step.
    fn tick(&self) -> impl Future<Output = Result<Tick>> + Send;

    /// Gives the lease back when the replica stops, if the work has one.
    fn release(&self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// The workers of a replica whose last steps failed, with the number of failures in a row.
#[derive(Clone, Default)]
pub struct Failing(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Failing {
    fn note(&self, name: &'static str, is_ok: bool) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_ok {
            failing.remove(name);
        } else {
            *failing.entry(name).or_default() += 1;
        }
    }

    /// The failures in a row of each of them now.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Ticks = Box<dyn Fn() -> BoxFuture<'static, Result<Tick>> + Send + Sync>;
type Release = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A row of the table of workers: a name, the work, and when the worker looks for it.
pub struct Worker {
    name: &'static str,
    period: Duration,
    wake: Arc<Notify>,
    tick: Ticks,
    release: Release,
    failing: Failing,
}

impl Worker {
    /// A worker that looks for work every `period`.
    pub fn new(name: &'static str, period: Duration, work: Arc<impl Work>) -> Self {
        let releasing = work.clone();
        let release: Release = Box::new(move || {
            let work = releasing.clone();
            async move { work.release().await }.boxed()
        });
        let step = move || {
            let work = work.clone();
            async move { work.tick().await }
        };
        Self { release, ..Self::of(name, period, step) }
    }

    /// A worker whose work is a function.
    pub fn of<F>(name: &'static str, period: Duration, tick: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Tick>> + Send + 'static,
    {
        let tick: Ticks = Box::new(move || tick().boxed());
        let release: Release = Box::new(|| std::future::ready(Ok(())).boxed());
        Self { name, period, wake: Arc::default(), tick, release, failing: Failing::default() }
    }

    /// The worker also looks for work when this is notified.
    pub fn woken_by(self, wake: &Arc<Notify>) -> Self {
        Self { wake: wake.clone(), ..self }
    }

    /// Its failures are counted there, too.
    pub fn noted_in(self, failing: &Failing) -> Self {
        Self { failing: failing.clone(), ..self }
    }

    /// Works until `stop`, then gives the lease back.
    pub async fn run(self, stop: CancellationToken) {
        let Self { name, period, wake, tick, release, failing } = self;
        let noted = move || {
            let (step, failing) = (tick(), failing.clone());
            async move {
                let done = step.await;
                failing.note(name, done.is_ok());
                done
            }
        };
        run(name, period, wake, stop, noted).await;
        if let Err(error) = release().await {
            tracing::debug!(worker = name, %error, "could not give the lease back; it will expire");
        }
    }
}

/// Keeps follow-up work from using all the time: after each turn it rests for a multiple of the time the turn
/// took.
#[derive(Debug)]
pub struct Pace {
    rest: u32,
    rests_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// Rests `rest` times as long as it works.
    pub fn new(rest: u32) -> Self {
        Self { rest, rests_until: Mutex::default() }
    }

    pub fn is_resting(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Ends a turn that began at this time.
    pub fn rest_since(&self, began: Instant) {
        let until = Instant::now() + began.elapsed() * self.rest;
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// One tick. It is a trace of its own: a batch holds messages of many requests, so none of them is its parent.
async fn traced<T>(name: &'static str, tick: impl Future<Output = T>) -> T {
    let trace = TraceContext::start();
    let span = tracing::error_span!("work", worker = name, trace_id = trace.trace_id());
    trace.scope(tick.instrument(span)).await
}

/// Ticks until `stop`: at once after work, on a wake-up or after `poll` when idle, after a growing pause when
/// the tick failed. A running tick is finished before the loop ends.
pub async fn run<F>(
    name: &'static str,
    poll: Duration,
    wake: Arc<Notify>,
    stop: CancellationToken,
    mut tick: impl FnMut() -> F,
) where
    F: Future<Output = Result<Tick>>,
{
    let mut back_off = BACK_OFF_FIRST;
    let failures = metrics::counter!("impg_worker_failures_total", "worker" => name);
    failures.increment(0);
    while !stop.is_cancelled() {
        let pause = match traced(name, tick()).await {
            Ok(Tick::More) => {
                back_off = BACK_OFF_FIRST;
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Tick::Idle) => {
                back_off = BACK_OFF_FIRST;
                poll
            }
            Err(error) => {
                // The store logs once that the database is away.
                match error.is_database_away() {
                    true => tracing::debug!(worker = name, %error, "tick failed"),
                    false => tracing::warn!(worker = name, %error, "tick failed"),
                }
                failures.increment(1);
                back_off = (back_off * 2).min(BACK_OFF_LAST);
                tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(back_off) => {} }
                continue;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
