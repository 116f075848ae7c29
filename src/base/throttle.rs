//! Background work gives way to sends. Archive moves, directory runs, indexing, notifications and the search index of users rest
//! while sends wait too long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the share is set again.
const WINDOW: Duration = Duration::from_millis(100);
/// The smallest share of its time that background work gets, so that it ends.
const FLOOR: f64 = 0.1;
const SLOWER: f64 = 0.5;
const FASTER: f64 = 1.25;
/// Longest single rest.
const REST_MAX: Duration = Duration::from_secs(1);
/// A rest is at most this part of a lease, so that a worker that rests keeps its lease.
const REST_OF_LEASE: u32 = 4;

/// The longest wait of sends on this replica, and the share of its time that background work gets.
#[derive(Debug)]
pub struct Throttle {
    limit: Duration,
    rest_max: Duration,
    state: Mutex<SendWaits>,
}

#[derive(Debug)]
struct SendWaits {
    share: f64,
    judged: Instant,
    /// The longest wait of a send since `judged`.
    longest: Duration,
}

impl Throttle {
    /// Background work slows down while a send waits longer than `limit`. `lease` is that of the workers.
    pub fn new(limit: Duration, lease: Duration, now: Instant) -> Self {
        let state = SendWaits { share: 1.0, judged: now, longest: Duration::ZERO };
        Self { limit, rest_max: REST_MAX.min(lease / REST_OF_LEASE), state: Mutex::new(state) }
    }

    /// Notes the wait of a send from its arrival to its commit.
    pub fn note(&self, wait: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.longest = state.longest.max(wait);
    }

    /// The share of its time that background work gets at `now`.
    pub fn share(&self, now: Instant) -> f64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = now.saturating_duration_since(state.judged).as_secs_f64() / WINDOW.as_secs_f64();
        if windows >= 1.0 {
            let change = if state.longest > self.limit { SLOWER } else { FASTER.powf(windows.min(100.0)) };
            let share = (state.share * change).clamp(FLOOR, 1.0);
            *state = SendWaits { share, judged: now, longest: Duration::ZERO };
            metrics::gauge!("impg_background_share").set(share);
        }
        state.share
    }

    /// Rests after a step of work that began at `began`. With a share of a half, the rest is as long as the step.
    pub async fn rest(&self, work: &'static str, began: Instant) {
        let now = Instant::now();
        let worked = now.saturating_duration_since(began);
        let rest = worked.mul_f64(1.0 / self.share(now) - 1.0).min(self.rest_max);
        if !rest.is_zero() {
            // Counters are whole numbers.
            metrics::gauge!("impg_background_rest_seconds", "work" => work).increment(rest.as_secs_f64());
            tokio::time::sleep(rest).await;
        }
    }
}

/// Waits until `count` items of work that began at `began` are due at a rate, 0: no limit.
pub async fn pace(began: Instant, count: u64, per_second: u64) {
    if per_second > 0 {
        let due = Duration::from_secs_f64(count as f64 / per_second as f64);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(8);
    const LEASE: Duration = Duration::from_secs(30);

    #[test]
    fn background_work_slows_down_to_a_floor_and_recovers() {
        let begin = Instant::now();
        let throttle = Throttle::new(LIMIT, LEASE, begin);
        let mut now = begin;
        let mut next = |wait: Option<Duration>| {
            wait.into_iter().for_each(|wait| throttle.note(wait));
            now += WINDOW;
            throttle.share(now)
        };
        assert_eq!(next(Some(LIMIT)), 1.0, "a wait at the limit slows nothing");
        assert_eq!(next(Some(2 * LIMIT)), 0.5);
        for _ in 0..10 {
            next(Some(2 * LIMIT));
        }
        assert_eq!(next(Some(2 * LIMIT)), FLOOR);
        assert!(next(None) > FLOOR, "without sends it recovers");
        for _ in 0..20 {
            next(Some(LIMIT / 2));
        }
        assert_eq!(next(None), 1.0);
    }

    #[test]
    fn a_share_holds_for_a_window() {
        let begin = Instant::now();
        let throttle = Throttle::new(LIMIT, LEASE, begin);
        throttle.note(3 * LIMIT);
        assert_eq!(throttle.share(begin + WINDOW / 2), 1.0);
        assert_eq!(throttle.share(begin + WINDOW), 0.5);
    }
}
