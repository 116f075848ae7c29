//! A lease: work that runs on one replica at a time. It is a row with an end and an epoch, so no lock is held
//! while a worker waits.

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// One replica's lease on a kind of work.
pub struct Lease {
    store: Store,
    name: &'static str,
    holder: String,
    length: Duration,
}

impl Lease {
    /// A lease that another replica can take if it is not extended within `length`.
    pub fn new(store: Store, name: &'static str, length: std::time::Duration) -> Self {
        let length = length.try_into().unwrap_or(Duration::MAX);
        // The replica, so that its work can be shown, and the lease, so that two of one name keep each other out.
        let holder = format!("{}/{}", store.replica_id(), Uuid::now_v7());
        Self { store, name, holder, length }
    }

    /// Takes or extends the lease. None while another replica has it; otherwise its epoch, which rises with
    /// every change of the holder.
    pub async fn take(&self, now: OffsetDateTime) -> Result<Option<i64>> {
        let row = self
            .store
            .opt(sql!("base/lease/take"), &[&self.name, &self.holder, &now, &(now + self.length)])
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Fails if this replica has lost the lease. Otherwise keeps it until `tx` ends, so that a worker cannot
    /// commit after losing it.
    pub async fn hold(&self, tx: &Transaction<'_>, epoch: i64) -> Result<()> {
        match tx.opt(sql!("base/lease/hold"), &[&self.name, &epoch]).await? {
            Some(_) => Ok(()),
            None => Err(Error::unavailable("another replica has taken over")),
        }
    }

    /// Lets another replica take it at once.
    pub async fn give_back(&self, now: OffsetDateTime) -> Result<()> {
        self.store.run(sql!("base/lease/give_back"), &[&self.name, &self.holder, &now]).await?;
        Ok(())
    }
}
