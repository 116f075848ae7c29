//! Turns: work that waits for a lock which many want leaves the connections to others.

use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::Store;
use crate::base::error::{Error, Result};

/// One connection of so many may wait for such a lock.
const SHARE: usize = 4;

/// How much work has its turn at once, with a pool of this size.
pub(super) fn at_once(pool_size: usize) -> usize {
    (pool_size / SHARE).max(1)
}

impl Store {
    /// A turn for work that waits for a lock which many want, such as that of one popular user or open group. Take it before
    /// the connection, and keep it as long. The rest waits for its turn without a connection, first come, first served, as
    /// long as others wait for a connection.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let turn = self.turns.acquire();
        let taken = match self.pool.timeouts().wait {
            Some(wait) => timeout(wait, turn).await.map_err(|_| {
                Error::unavailable("too many requests change the same data: repeat the request later")
            })?,
            None => turn.await,
        };
        taken.map_err(Error::internal)
    }
}
