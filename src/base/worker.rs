//! The loop around a background worker: each worker is one `tick`.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::base::error::Result;

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
    while !stop.is_cancelled() {
        let pause = match tick().await {
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
                metrics::counter!("impg_worker_failures_total", "worker" => name).increment(1);
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
