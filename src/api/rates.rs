//! Limits how many requests a caller sends. A limit belongs to the authenticated caller, never to a header or an
//! address that a client chooses. Each replica counts its own requests.
//!
//! The answers say what is left, in the header fields of draft-ietf-httpapi-ratelimit-headers-11.

use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use lru::LruCache;

use crate::base::config::ServerSettings;
use crate::base::error::{Error, Kind};
use crate::identity::Caller;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// Most callers that a limit remembers, about 10 MB. Beyond it, the caller that has been silent longest is forgotten
/// and has its whole burst again.
const CALLERS_MAX: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");

/// The limits of users, of machines and of links. `None`: no limit.
#[derive(Clone)]
pub struct Rates {
    user: Option<Arc<Limit>>,
    machine: Option<Arc<Limit>>,
    link: Option<Arc<Limit>>,
}

impl Rates {
    pub fn new(settings: &ServerSettings) -> Self {
        let limit = |name, per_second, burst| Limit::new(name, per_second, burst).map(Arc::new);
        Self {
            user: limit("user", settings.user_requests_per_second, settings.user_requests_burst),
            machine: limit("machine", settings.machine_requests_per_second, settings.machine_requests_burst),
            link: limit("link", settings.link_requests_per_second, settings.link_requests_burst),
        }
    }

    fn of(&self, caller: &Caller) -> Option<&Arc<Limit>> {
        let limit = match caller {
            Caller { link: Some(_), .. } => &self.link,
            machine if machine.is_machine() => &self.machine,
            _ => &self.user,
        };
        limit.as_ref()
    }

    /// Takes one request of a caller from its limit, where [`Rates::answer`] does not see the caller.
    pub fn take(&self, caller: &Caller) -> crate::base::error::Result<()> {
        let Some(limit) = self.of(caller) else { return Ok(()) };
        limit.take(&caller.user_id).map(|_| ()).map_err(|wait_s| limit.refusal(wait_s))
    }

    /// Answers the request if the limit of its caller allows it. Otherwise `refuse` makes the answer. The headers
    /// of both say what is left.
    pub async fn answer(
        &self,
        request: Request,
        next: Next,
        refuse: impl FnOnce(Error) -> Response,
    ) -> Response {
        let caller = request.extensions().get::<Caller>();
        let limited = caller.and_then(|caller| {
            let limit = self.of(caller)?;
            Some((limit.clone(), limit.take(&caller.user_id)))
        });
        let Some((limit, taken)) = limited else { return next.run(request).await };
        let name = limit.name;
        let (mut response, state) = match taken {
            Ok(left) => (next.run(request).await, format!("\"{name}\";r={left}")),
            Err(wait_s) => (refuse(limit.refusal(wait_s)), format!("\"{name}\";r=0;t={wait_s}")),
        };
        let headers = response.headers_mut();
        headers.extend(HeaderValue::try_from(limit.policy()).map(|value| (POLICY, value)));
        headers.extend(HeaderValue::try_from(state).map(|value| (STATE, value)));
        response
    }
}

/// Refuses requests beyond the limit of their caller. The caller must be proven before.
pub async fn limit(State(rates): State<Rates>, request: Request, next: Next) -> Response {
    rates.answer(request, next, IntoResponse::into_response).await
}

/// One limit, with the state of each caller.
struct Limit<C: Clock = MonotonicClock> {
    name: &'static str,
    per_second: u32,
    burst: NonZeroU32,
    limiter: RateLimiter<u64, Recent, C, StateInformationMiddleware>,
    hasher: RandomState,
}

impl Limit {
    /// `None` if there is no limit: a rate of 0.
    fn new(name: &'static str, per_second: u32, burst: u32) -> Option<Self> {
        Self::with_clock(name, (per_second, burst), CALLERS_MAX, MonotonicClock)
    }
}

impl<C: Clock> Limit<C> {
    fn with_clock(
        name: &'static str,
        (per_second, burst): (u32, u32),
        callers_max: NonZeroUsize,
        clock: C,
    ) -> Option<Self> {
        let burst = NonZeroU32::new(burst)?;
        let quota = Quota::with_period(Duration::from_secs(1).checked_div(per_second)?)?.allow_burst(burst);
        let limiter = RateLimiter::new(quota, Recent::at_most(callers_max), clock);
        Some(Self { name, per_second, burst, limiter, hasher: RandomState::new() })
    }

    /// Takes one request of a caller from its limit: how many more it can send now, or the seconds after which it can
    /// send one.
    fn take(&self, user_id: &str) -> Result<u32, u64> {
        // 8 bytes for the longest id. The keys of the hash are secret, so that no caller can choose to share the
        // limit of another.
        let taken = self.limiter.check_key(&self.hasher.hash_one(user_id));
        taken.map(|state| state.remaining_burst_capacity()).map_err(|refused| {
            let wait = refused.wait_time_from(self.limiter.clock().now());
            (wait.as_secs_f64().ceil() as u64).max(1)
        })
    }

    /// The quota, and the seconds after which all of it is there again.
    fn policy(&self) -> String {
        let window_s = self.burst.get().div_ceil(self.per_second);
        format!("\"{}\";q={};w={window_s}", self.name, self.burst)
    }

    fn refusal(&self, wait_s: u64) -> Error {
        metrics::counter!("impg_rate_limited_total", "policy" => self.name).increment(1);
        Error::new(Kind::RateLimited, self.detail()).retry_after(wait_s)
    }

    fn detail(&self) -> String {
        let Self { per_second, burst, .. } = self;
        format!(
            "a replica takes {burst} requests of a caller at once, and {per_second} more each second: wait for the \
             seconds of `Retry-After`"
        )
    }
}

/// The times that governor keeps of each caller, of those that came last.
struct Recent(Mutex<LruCache<u64, Nanos>>);

impl Recent {
    fn at_most(callers: NonZeroUsize) -> Self {
        // It grows with its callers. `LruCache::new` takes the memory of all at once.
        let mut recent = LruCache::unbounded();
        recent.resize(callers);
        Self(Mutex::new(recent))
    }
}

impl StateStore for Recent {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, next) = measure(recent.get(key).copied())?;
        recent.put(*key, next);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    fn limit(per_second: u32, burst: u32) -> (Limit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = Limit::with_clock("user", (per_second, burst), TWO, clock.clone());
        (limit.expect("a limit"), clock)
    }

    #[test]
    fn a_burst_is_taken_at_once_and_comes_back_with_time() {
        let (limit, clock) = limit(2, 4);
        assert_eq!(limit.policy(), "\"user\";q=4;w=2");
        assert_eq!([(); 5].map(|()| limit.take("a")), [Ok(3), Ok(2), Ok(1), Ok(0), Err(1)]);
        assert_eq!(limit.take("b"), Ok(3), "another caller has a limit of its own");
        clock.advance(Duration::from_millis(500));
        assert_eq!([(); 2].map(|()| limit.take("a")), [Ok(0), Err(1)], "a half second is one request");
        clock.advance(Duration::from_secs(60));
        assert_eq!(limit.take("a"), Ok(3), "no more than the burst comes back");
    }

    #[test]
    fn a_caller_is_not_told_to_come_back_too_early() {
        let (limit, clock) = limit(1, 1);
        assert_eq!(limit.take("a"), Ok(0));
        for _ in 0..100 {
            clock.advance(Duration::from_millis(7));
            let Err(wait_s) = limit.take("a") else { continue };
            clock.advance(Duration::from_secs(wait_s));
            assert_eq!(limit.take("a"), Ok(0));
        }
    }

    #[test]
    fn the_caller_that_has_been_silent_longest_is_forgotten() {
        let (limit, _) = limit(1, 1);
        assert_eq!(["a", "b", "a", "b"].map(|id| limit.take(id)), [Ok(0), Ok(0), Err(1), Err(1)]);
        // `a` was refused before `b` was.
        assert_eq!(["c", "b", "a"].map(|id| limit.take(id)), [Ok(0), Err(1), Ok(0)]);
        assert_eq!(limit.limiter.into_state_store().0.into_inner().expect("callers").len(), 2);
    }

    #[test]
    fn a_rate_of_0_is_no_limit() {
        assert!(Limit::new("user", 0, 10).is_none());
        assert!(Limit::new("user", 1, 10).is_some());
    }
}
