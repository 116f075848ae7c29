//! Turns the event log on for streams. The log holds events for streams only while there may be listeners.
//! Opening a stream turns it on and waits until no event is left out.
//!
//! Each transaction with an event asks whether to write it. A transaction that is running when the log is
//! turned on may have asked before, and leaves its event out. The log is therefore complete only when all of
//! these have ended. Transaction ids identify them. A transaction has an id before it asks, because it locks
//! its rows first. So each of these transactions has an id below one that is taken afterwards.
//!
//! A snapshot does not work here. Its upper bound is above all ended transactions, but others can run above
//! it.

use std::time::{Duration, Instant};

use super::log::{self, Head, WHOLE_NOWHERE};
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// Longest wait for running transactions. After it the client must reconnect.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Pause between two checks.
const SETTLE_LOOK: Duration = Duration::from_millis(3);

/// The position of the log, once it is complete from there on.
///
/// # Errors
/// `Kind::Unavailable` if running transactions take too long.
pub(super) async fn whole(store: &Store, keep: Duration) -> Result<Head> {
    let mut head = log::head(store, keep).await?;
    if head.due {
        extend(store, keep).await?;
        head = log::head(store, keep).await?;
    }
    if head.complete_from == WHOLE_NOWHERE {
        wait_for_transactions(store).await?;
        head = log::head(store, keep).await?;
    }
    if head.complete_from == WHOLE_NOWHERE {
        return Err(Error::unavailable("the event log is not complete yet; connect again"));
    }
    Ok(head)
}

/// Has events written for `keep` from now on.
pub(super) async fn extend(store: &Store, keep: Duration) -> Result<()> {
    store.run(sql!("events/stream/keep"), &[&log::millis(keep)]).await?;
    Ok(())
}

/// Waits until all transactions have ended that began before the log was on. Holds no connection meanwhile.
async fn wait_for_transactions(store: &Store) -> Result<()> {
    let began = Instant::now();
    let client = store.client().await?;
    let id: String = client.one(sql!("events/stream/take_id"), &[]).await?.get(0);
    drop(client);
    while is_under_way(store, &id).await? {
        if began.elapsed() > SETTLE_MAX {
            return Err(Error::unavailable("running transactions take too long; connect again"));
        }
        tokio::time::sleep(SETTLE_LOOK).await;
    }
    store.run(sql!("events/stream/complete"), &[]).await?;
    Ok(())
}

/// Whether a transaction with an id below this one is running.
async fn is_under_way(store: &Store, id: &str) -> Result<bool> {
    Ok(store.one(sql!("events/stream/under_way"), &[&id]).await?.get(0))
}
