//! Clients of other servers, replaced when they are old.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::error::Result;

/// A client whose connections have a limited age. A pool keeps a busy connection for ever, also to an address
/// that DNS no longer gives. Requests end on the client they began with.
pub struct Renewed<T> {
    make: Box<dyn Fn() -> Result<T> + Send + Sync>,
    life: Duration,
    held: Mutex<(Instant, T)>,
}

impl<T: Clone> Renewed<T> {
    /// Fails if the first client cannot be created.
    pub fn new(life: Duration, make: impl Fn() -> Result<T> + Send + Sync + 'static) -> Result<Self> {
        let held = Mutex::new((Instant::now(), make()?));
        Ok(Self { make: Box::new(make), life, held })
    }

    /// The current client. If a new one cannot be created, the old one stays: its CA file may be half
    /// replaced.
    pub fn get(&self) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, client) = &mut *held;
        if made.elapsed() >= self.life {
            *made = Instant::now();
            match (self.make)() {
                Ok(renewed) => *client = renewed,
                Err(error) => {
                    tracing::error!(%error, "a client cannot be replaced: the old one stays in use")
                }
            }
        }
        client.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::base::error::Error;

    fn counting(life: Duration, fails_from: u32) -> Renewed<u32> {
        let made = Arc::new(AtomicU32::new(0));
        let make = move || match made.fetch_add(1, Ordering::Relaxed) {
            n if n < fails_from => Ok(n),
            _ => Err(Error::unavailable("no more")),
        };
        Renewed::new(life, make).expect("the first is made")
    }

    #[test]
    fn it_is_made_anew_when_it_is_old_and_kept_where_that_fails() {
        let young = counting(Duration::from_secs(3600), 9);
        assert_eq!((young.get(), young.get()), (0, 0));
        let old = counting(Duration::ZERO, 3);
        assert_eq!((old.get(), old.get(), old.get(), old.get()), (1, 2, 2, 2));
    }
}
