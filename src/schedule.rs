//! A step, and the loop around it: every background worker is one `tick`.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::Result;

/// Waits after a failed tick: doubled from the first to the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_LAST: Duration = Duration::from_secs(5);

/// What a tick has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Work was done and there may be more: tick again at once.
    More,
    /// Nothing is left: wait to be woken, or for the poll.
    Idle,
}

/// Keeps work that follows others from being all that is done: after each turn it rests for a multiple of
/// the time that it took.
#[derive(Debug)]
pub struct Pace {
    rest: u32,
    rests_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// One that rests `rest` times as long as it works.
    pub fn new(rest: u32) -> Self {
        Self { rest, rests_until: Mutex::default() }
    }

    pub fn is_resting(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// A turn that began then is over.
    pub fn rest_since(&self, began: Instant) {
        let until = Instant::now() + began.elapsed() * self.rest;
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// Ticks until `stop`: again at once after work, after a wake-up or `poll` when idle, after a
/// growing wait when the tick failed. A tick under way is finished before the loop ends.
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
                // The store says once that the database is away.
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
