//! Connections to the standby that have all that an answer must see.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::server::Server;
use super::{Statements, Store};
use crate::base::error::{Error, NotFresh, Result};
use crate::sql;

/// Pauses between two looks at how far the standby is. They double from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_LAST: Duration = Duration::from_millis(16);

/// The log that a primary writes: its timeline, and when the server started. It is another one after a failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub timeline: String,
    pub started: OffsetDateTime,
}

/// A standby that was found to follow this log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub origin: Origin,
    /// When the server of the standby started. At the same address there can be another server later.
    pub server: OffsetDateTime,
}

/// How long reads wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the standby to have what the primary has.
    pub lag: Duration,
    /// For an answer of the standby.
    pub answer: Duration,
}

/// How far a log goes.
#[derive(Debug, Clone)]
struct Position {
    wal: i64,
    origin: Origin,
}

/// Asks the primary how far its log goes. Reads that come while it is asked share the next answer.
pub struct Positions {
    pub primary: Store,
    last: Mutex<Option<(Instant, Position)>>,
}

impl Positions {
    pub fn of(primary: Store) -> Self {
        Self { primary, last: Mutex::default() }
    }

    /// How far the log goes at a moment after the call.
    async fn now(&self) -> Result<Position> {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((_, position)) = last.as_ref().filter(|(asked, _)| *asked >= called) {
            return Ok(position.clone());
        }
        let asked = Instant::now();
        let row = self.primary.one(sql!("base/store/position"), &[]).await?;
        let (Some(wal), Some(timeline)) = (row.get("wal"), row.get("timeline")) else {
            return Err(not_fresh("the server of database_url is itself a standby"));
        };
        let position = Position { wal, origin: Origin { timeline, started: row.get("started") } };
        *last = Some((asked, position.clone()));
        Ok(position)
    }
}

/// What one answer must see, on all of its connections.
pub struct Fresh {
    positions: Arc<Positions>,
    verified: Verified,
    limits: Limits,
    /// The standby must have replayed the log up to here.
    wal: AtomicI64,
    /// Asks for a look at the standby.
    look: Arc<Notify>,
}

impl Fresh {
    /// An answer that must see all that the primary has now.
    pub async fn begin(
        positions: Arc<Positions>,
        verified: Verified,
        limits: Limits,
        look: Arc<Notify>,
    ) -> Result<Self> {
        let fresh = Self { positions, verified, limits, wal: AtomicI64::new(0), look };
        fresh.renew().await?;
        Ok(fresh)
    }

    /// From now on the answer must see all that the primary has now.
    pub async fn renew(&self) -> Result<()> {
        let asked = timeout(self.limits.lag, self.positions.now()).await;
        let position = asked.map_err(|_| not_fresh("the primary does not say how far it is"))??;
        if position.origin != self.verified.origin {
            self.look.notify_one();
            return Err(not_fresh("the primary has changed"));
        }
        self.wal.fetch_max(position.wal, Ordering::Relaxed);
        Ok(())
    }

    /// A connection to the verified server, once that has replayed what the answer must see. A later statement on it
    /// sees at least as much.
    pub async fn client(&self, pool: &Pool, server: &Server) -> Result<Object> {
        let began = Instant::now();
        let client = self.bounded(pool.get()).await?.map_err(|e| server.refused(began, e))?;
        let (began, mut pause) = (Instant::now(), PAUSE_FIRST);
        let wal = self.wal.load(Ordering::Relaxed);
        loop {
            let asked = self.bounded(client.one(sql!("base/store/replayed"), &[&wal])).await;
            let row = match asked {
                Ok(row) => row?,
                Err(silent) => {
                    // It still waits for this answer.
                    drop(Object::take(client));
                    return Err(silent);
                }
            };
            if !row.get::<_, bool>("follows")
                || row.get::<_, OffsetDateTime>("started") != self.verified.server
            {
                self.look.notify_one();
                drop(Object::take(client));
                return Err(not_fresh("another server, or one that was promoted"));
            }
            if row.get("has_replayed") {
                return Ok(client);
            }
            if began.elapsed() + pause > self.limits.lag {
                return Err(not_fresh("the standby is behind"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    async fn bounded<T>(&self, asking: impl Future<Output = T>) -> Result<T> {
        timeout(self.limits.answer, asking).await.map_err(|_| not_fresh("the standby does not answer"))
    }
}

fn not_fresh(why: &'static str) -> Error {
    Error::unavailable("the standby is not used").because(NotFresh(why))
}
