//! Limits how often something is tried under one key: a username, an address. Each replica counts its own.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use time::{Duration, OffsetDateTime};

use crate::base::error::{Error, Kind, Result};

/// Most keys that a limit remembers, about 10 MB. Beyond it, the key that has been silent longest is forgotten.
const KEYS_MAX: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");
/// Users of IPv6 have a network of this length each.
const NETWORK_V6: u128 = !(u64::MAX as u128);

/// Sites of IPv6 have a network of this length each, with 65,536 of the networks above.
const SITE_V6: u128 = !(u128::MAX >> 48);
/// How many networks of a site can use up their limits.
const SITE_NETWORKS: u32 = 16;

/// So many attempts at once, then one more after each interval (GCRA). The state of a key is the time at which all of its
/// attempts are there again.
pub struct Attempts {
    every: Duration,
    burst: Duration,
    detail: &'static str,
    hasher: RandomState,
    full_at: Mutex<LruCache<u64, OffsetDateTime>>,
}

impl Attempts {
    pub fn new(burst: u32, every: std::time::Duration, detail: &'static str) -> Self {
        let every = Duration::try_from(every).unwrap_or(Duration::DAY);
        // It grows with its keys. `LruCache::new` takes the memory of all at once.
        let mut full_at = LruCache::unbounded();
        full_at.resize(KEYS_MAX);
        let full_at = Mutex::new(full_at);
        Self { every, burst: every * burst, detail, hasher: RandomState::new(), full_at }
    }

    /// Takes one attempt.
    ///
    /// # Errors
    /// `Kind::RateLimited` with the seconds after which there is one again.
    pub fn take(&self, key: impl Hash, now: OffsetDateTime) -> Result<()> {
        let key = self.hasher.hash_one(key);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // After the clock stepped back, a caller waits no longer than for one attempt.
        let held = full_at.get(&key).copied().unwrap_or(now);
        if held > now + self.burst {
            full_at.put(key, now + self.burst);
        }
        let held = held.clamp(now, now + self.burst);
        let next = held + self.every;
        let wait = next - (now + self.burst);
        if wait.is_positive() {
            let seconds = (wait.as_seconds_f64().ceil() as u64).max(1);
            return Err(Error::new(Kind::RateLimited, self.detail).retry_after(seconds));
        }
        full_at.put(key, next);
        Ok(())
    }

    /// Gives one attempt back: it was a right one.
    pub fn give_back(&self, key: impl Hash) {
        let key = self.hasher.hash_one(key);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = full_at.get_mut(&key) {
            *held -= self.every;
        }
    }
}

/// A limit by address. Of IPv6, sites have a limit beside those of their networks: a site could try from another network
/// each time.
pub struct ByAddress {
    addresses: Attempts,
    sites: Attempts,
}

impl ByAddress {
    pub fn new(burst: u32, every: std::time::Duration, detail: &'static str) -> Self {
        Self {
            addresses: Attempts::new(burst, every, detail),
            sites: Attempts::new(burst.saturating_mul(SITE_NETWORKS), every / SITE_NETWORKS, detail),
        }
    }

    /// Takes one attempt of an address as [`network`] gives it.
    ///
    /// # Errors
    /// `Kind::RateLimited`.
    pub fn take(&self, address: IpAddr, now: OffsetDateTime) -> Result<()> {
        self.addresses.take(address, now)?;
        match site(address) {
            Some(site) => self.sites.take(site, now).inspect_err(|_| self.addresses.give_back(address)),
            None => Ok(()),
        }
    }

    /// Gives one attempt back: it was a right one.
    pub fn give_back(&self, address: IpAddr) {
        self.addresses.give_back(address);
        if let Some(site) = site(address) {
            self.sites.give_back(site);
        }
    }
}

fn site(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V6(v6) => Some(v6.to_bits() & SITE_V6),
        IpAddr::V4(_) => None,
    }
}

/// What counts as one address: of IPv6 the network, because a client has all of it.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & NETWORK_V6).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn limit() -> Attempts {
        Attempts::new(3, std::time::Duration::from_secs(60), "wait")
    }

    #[test]
    fn a_burst_is_there_at_once_and_comes_back_one_by_one() {
        let limit = limit();
        let taken =
            |at: i64| limit.take("a", NOW + Duration::seconds(at)).map_err(|e| e.retry_after_s.unwrap_or(0));
        assert_eq!([taken(0), taken(0), taken(0), taken(0)], [Ok(()), Ok(()), Ok(()), Err(60)]);
        assert!(limit.take("b", NOW).is_ok(), "another key has a limit of its own");
        assert_eq!([taken(59), taken(60), taken(60)], [Err(1), Ok(()), Err(60)]);
        assert_eq!(
            [taken(9_000), taken(9_000), taken(9_000), taken(9_000)],
            [Ok(()), Ok(()), Ok(()), Err(60)]
        );
    }

    #[test]
    fn a_right_attempt_costs_nothing() {
        let limit = limit();
        for _ in 0..100 {
            assert!(limit.take("a", NOW).is_ok());
            limit.give_back("a");
        }
        assert!((0..3).all(|_| limit.take("a", NOW).is_ok()) && limit.take("a", NOW).is_err());
    }

    #[test]
    fn a_clock_that_steps_back_keeps_a_caller_out_for_one_interval() {
        let limit = limit();
        let at = |seconds: i64| limit.take("a", NOW + Duration::seconds(seconds)).is_ok();
        assert!(at(86_400));
        assert!(!at(0) && !at(59) && at(60) && !at(61));
    }

    #[test]
    fn a_site_of_ipv6_has_the_limits_of_sixteen_networks_and_no_more() {
        let limit = ByAddress::new(2, std::time::Duration::from_secs(3_600), "wait");
        let taken = |text: &str| limit.take(network(text.parse().expect("an address")), NOW).is_ok();
        assert!((0..32).all(|n| taken(&format!("2001:db8:7:{n:x}::1"))));
        assert!(!taken("2001:db8:7:ffff::1") && taken("2001:db8:8::1") && taken("192.0.2.1"));
        // What the site refuses costs the network nothing, and what was right costs neither anything.
        limit.give_back(network("2001:db8:7:1::1".parse().expect("an address")));
        assert!(taken("2001:db8:7:ffff::1") && !taken("2001:db8:7:ffff::1"));
    }

    #[test]
    fn a_network_of_ipv6_counts_once() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
