//! The log holds what streams tell only while somebody may listen. Whoever opens a stream sees to it
//! that it does, and that nothing is left out any more when they are answered.
//!
//! Whether events are written is asked by each transaction that has something to tell. Those under way
//! when the log is switched on may have asked before and leave theirs out; so it is whole only when they
//! have ended. They are known by their ids: a transaction has one before it asks, because it locks
//! what it changes first, and so whoever has asked in vain has an id below one that is taken afterwards.
//! (A snapshot does not tell: its upper bound is above those that have ended, and others may be under way
//! above it.)

use std::time::{Duration, Instant};

use super::log::{self, Head, WHOLE_NOWHERE};
use crate::error::{Error, Result};
use crate::sql;
use crate::store::Store;

/// Longest wait for transactions under way; after it the caller is told to come again.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Between two looks at whether they have ended.
const SETTLE_LOOK: Duration = Duration::from_millis(3);

/// Where the log stands, once it is whole from there on.
///
/// # Errors
/// `Kind::Unavailable` when transactions under way take too long.
pub(super) async fn whole(store: &Store, keep: Duration) -> Result<Head> {
    let mut head = log::head(store, keep).await?;
    if head.due {
        put_off(store, keep).await?;
        head = log::head(store, keep).await?;
    }
    if head.complete_from == WHOLE_NOWHERE {
        settle(store).await?;
        head = log::head(store, keep).await?;
    }
    if head.complete_from == WHOLE_NOWHERE {
        return Err(Error::unavailable("the log of events is not whole yet"));
    }
    Ok(head)
}

/// Has events written for `keep` from now on.
pub(super) async fn put_off(store: &Store, keep: Duration) -> Result<()> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("stream/keep")).await?;
    client.execute(&statement, &[&log::millis(keep)]).await?;
    Ok(())
}

/// Waits, with no connection held, until all have ended that began before the log was seen switched on.
async fn settle(store: &Store) -> Result<()> {
    let began = Instant::now();
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("stream/take_id")).await?;
    let id: String = client.query_one(&statement, &[]).await?.get(0);
    drop(client);
    while is_under_way(store, &id).await? {
        if began.elapsed() > SETTLE_MAX {
            return Err(Error::unavailable("transactions under way take too long"));
        }
        tokio::time::sleep(SETTLE_LOOK).await;
    }
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("stream/complete")).await?;
    client.execute(&statement, &[]).await?;
    Ok(())
}

/// Whether any that may have asked has an id below this one.
async fn is_under_way(store: &Store, id: &str) -> Result<bool> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("stream/under_way")).await?;
    Ok(client.query_one(&statement, &[&id]).await?.get(0))
}
