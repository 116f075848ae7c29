//! Load: as fast as so many senders can, or at a steady pace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::http::{Connection, Request};

/// What one sender does again and again: its requests in turn.
pub type Work = Vec<Request>;

/// What came of it.
#[derive(Default)]
pub struct Load {
    pub latencies: Vec<Duration>,
    pub took: Duration,
    pub failed: usize,
    /// Of these, with 503: there was too much to do.
    pub busy: usize,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// In milliseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.latencies.sort_unstable();
        let at = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(at.saturating_sub(1)).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    /// Looked at after the clock was stopped.
    pub fn or_panic(self, what: &str) -> Self {
        assert_eq!(self.failed, 0, "{what}: requests were not answered as they should");
        self
    }

    fn note(&mut self, status: u16, latency: Duration) {
        if matches!(status, 200 | 201) {
            self.latencies.push(latency);
        } else {
            self.failed += 1;
            self.busy += usize::from(status == 503);
        }
    }

    pub fn add(&mut self, some: Self) {
        self.latencies.extend(some.latencies);
        self.failed += some.failed;
        self.busy += some.busy;
        self.took += some.took;
    }

    pub async fn gather(started: Instant, mut senders: JoinSet<Self>) -> Self {
        let mut all = Self::default();
        while let Some(one) = senders.join_next().await {
            all.add(one.expect("a sender ends"));
        }
        all.took = started.elapsed();
        all
    }
}

/// Each sender sends its next as soon as the last is answered, for so long or so often.
pub async fn closed(address: SocketAddr, work: Vec<Work>, length: Duration, most: usize) -> Load {
    let mut connections = Vec::new();
    for number in 0..work.len() {
        connections.push(Connection::open(address, unique(number)).await);
    }
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for (mut work, mut connection) in work.into_iter().zip(connections) {
        senders.spawn(async move {
            let mut load = Load::default();
            for turn in 0..most {
                let begun = Instant::now();
                if begun - started >= length {
                    break;
                }
                let at = turn % work.len();
                let status = connection.call(&mut work[at]).await;
                load.note(status, begun.elapsed());
            }
            load
        });
    }
    Load::gather(started, senders).await
}

/// All senders together send `rate` a second, evenly. A latency counts from when the send was due,
/// so that a stall is not hidden by what it kept from being sent.
pub async fn paced(address: SocketAddr, work: Vec<Work>, length: Duration, rate: f64) -> Load {
    let count = work.len();
    let mut connections = Vec::new();
    for number in 0..count {
        connections.push(Connection::open(address, unique(number)).await);
    }
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for (index, (mut work, mut connection)) in work.into_iter().zip(connections).enumerate() {
        senders.spawn(async move {
            let mut load = Load::default();
            for turn in 0.. {
                let due = Duration::from_secs_f64((turn * count + index) as f64 / rate);
                if due >= length {
                    break;
                }
                tokio::time::sleep_until((started + due).into()).await;
                // The timer's own coarseness, up to its millisecond, is not the service's.
                let late = (started.elapsed() - due).saturating_sub(Duration::from_millis(1));
                let begun = Instant::now();
                let at = turn % work.len();
                let status = connection.call(&mut work[at]).await;
                load.note(status, begun.elapsed() + late);
            }
            load
        });
    }
    Load::gather(started, senders).await
}

/// A number for a connection that none before has had.
pub fn unique(number: usize) -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RUN: AtomicUsize = AtomicUsize::new(0);
    (RUN.fetch_add(1, Ordering::Relaxed) << 10) | number
}
