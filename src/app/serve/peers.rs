//! Limits the connections of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of each address that has any.
pub struct Peers {
    /// The most of one address. 0: no limit.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Peers {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts a connection of this address until the permit is dropped. `None` if there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<PeerPermit> {
        // An IPv4 client has one address, also at an IPv6 socket.
        let address = address.to_canonical();
        if self.most > 0 {
            let mut open = self.open();
            let count = open.entry(address).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(PeerPermit { peers: self.clone(), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of an address.
pub struct PeerPermit {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_count_which_ends_with_its_connections() {
        let peers = Peers::new(2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().expect("an address"));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().expect("an address");
        let held = [peers.admit(one), peers.admit(mapped)];
        assert!(held.iter().all(Option::is_some));
        assert!(peers.admit(one).is_none() && peers.admit(mapped).is_none());
        assert!(peers.admit(other).is_some());
        drop(held);
        assert!(peers.open().is_empty(), "nothing is kept of an address without a connection");
        let all = Peers::new(0);
        let held: Vec<_> = (0..100).map(|_| all.admit(one)).collect();
        assert!(held.iter().all(Option::is_some) && all.open().is_empty());
    }
}
