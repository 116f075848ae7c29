//! Stops POSTs to an endpoint that does not answer, and notices when it answers again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

/// Counts failures in a row. At a set number it opens, and then allows one probe each interval. Times are
/// from the database's clock, so that tests can move them.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    probe: Duration,
    state: Mutex<BreakerState>,
}

#[derive(Debug, Default)]
struct BreakerState {
    failures: u32,
    /// While open: when the next probe may go.
    probe_at: Option<OffsetDateTime>,
}

/// Whether batches may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Up to the endpoint's concurrency.
    Closed,
    /// One batch, to test whether the endpoint is back.
    Probe,
    /// None before this time.
    Open(OffsetDateTime),
}

/// What a POST has changed in the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerChange {
    Nothing,
    Opened,
    ClosedAgain,
}

impl Breaker {
    /// Opens after `failures_max` failures in a row, at least one. Then allows one probe every `probe`.
    pub fn new(failures_max: u32, probe: Duration) -> Self {
        Self { failures_max: failures_max.max(1), probe, state: Mutex::default() }
    }

    /// Whether a batch may go now. Each interval allows one probe.
    pub fn admission(&self, now: OffsetDateTime) -> Admission {
        let mut state = self.lock();
        match state.probe_at {
            None => Admission::Closed,
            Some(at) if self.is_ahead(at, now) => Admission::Open(at),
            Some(_) => {
                state.probe_at = Some(now + self.probe);
                Admission::Probe
            }
        }
    }

    /// Takes the result of a POST.
    pub fn note(&self, succeeded: bool, now: OffsetDateTime) -> BreakerChange {
        let mut state = self.lock();
        if succeeded {
            state.failures = 0;
            return if state.probe_at.take().is_some() {
                BreakerChange::ClosedAgain
            } else {
                BreakerChange::Nothing
            };
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < self.failures_max {
            return BreakerChange::Nothing;
        }
        let was_open = state.probe_at.replace(now + self.probe).is_some();
        if was_open { BreakerChange::Nothing } else { BreakerChange::Opened }
    }

    /// Whether batches go out. While they do not, no batch is given up.
    pub fn is_closed(&self) -> bool {
        self.lock().probe_at.is_none()
    }

    /// `closed`, `half-open` (a probe is due or under way) or `open`.
    pub fn state(&self, now: OffsetDateTime) -> &'static str {
        match self.lock().probe_at {
            None => "closed",
            Some(at) if self.is_ahead(at, now) => "open",
            Some(_) => "half-open",
        }
    }

    /// A time further ahead than a probe interval was set before the clock stepped back.
    fn is_ahead(&self, at: OffsetDateTime, now: OffsetDateTime) -> bool {
        at > now && at <= now + self.probe
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const PROBE: Duration = Duration::from_secs(5);

    fn opened() -> Breaker {
        let breaker = Breaker::new(2, PROBE);
        assert_eq!(breaker.note(false, START), BreakerChange::Nothing);
        assert_eq!(breaker.admission(START), Admission::Closed);
        assert_eq!(breaker.note(false, START), BreakerChange::Opened);
        breaker
    }

    #[test]
    fn it_opens_at_failures_in_a_row_and_probes_once_an_interval() {
        let breaker = opened();
        assert_eq!(
            (breaker.admission(START), breaker.state(START)),
            (Admission::Open(START + PROBE), "open")
        );
        let due = START + PROBE;
        assert_eq!(breaker.state(due), "half-open");
        assert_eq!(breaker.admission(due), Admission::Probe);
        assert_eq!(breaker.admission(due), Admission::Open(due + PROBE));
        assert_eq!(breaker.note(true, due), BreakerChange::ClosedAgain);
        assert_eq!((breaker.admission(due), breaker.is_closed()), (Admission::Closed, true));
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let breaker = Breaker::new(2, PROBE);
        for succeeded in [false, true, false] {
            assert_eq!(breaker.note(succeeded, START), BreakerChange::Nothing);
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_clock_that_steps_back_does_not_keep_it_open() {
        let breaker = opened();
        assert_eq!(breaker.admission(START - Duration::from_secs(3600)), Admission::Probe);
    }
}
