//! Work that one replica at a time does: a row with an end and an epoch, never a lock that is held
//! while somebody else is waited for.

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sql;
use crate::store::Store;

/// One replica's claim to a kind of work.
pub struct Lease {
    store: Store,
    name: &'static str,
    holder: String,
    length: Duration,
}

impl Lease {
    /// One that passes to whoever asks when it is not prolonged for this `length`.
    pub fn new(store: Store, name: &'static str, length: std::time::Duration) -> Self {
        let length = length.try_into().unwrap_or(Duration::MAX);
        Self { store, name, holder: Uuid::now_v7().to_string(), length }
    }

    /// Takes or prolongs it. None while another replica has it; else its epoch, which has risen if
    /// anybody else had it in between.
    pub async fn take(&self, now: OffsetDateTime) -> Result<Option<i64>> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("lease/take")).await?;
        let row =
            client.query_opt(&statement, &[&self.name, &self.holder, &now, &(now + self.length)]).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Fails unless it is still ours, and keeps it ours until `tx` ends: what a worker that lost it
    /// without noticing writes is never committed.
    pub async fn hold(&self, tx: &Transaction<'_>, epoch: i64) -> Result<()> {
        let statement = tx.prepare_cached(sql!("lease/hold")).await?;
        match tx.query_opt(&statement, &[&self.name, &epoch]).await? {
            Some(_) => Ok(()),
            None => Err(Error::unavailable("another replica has taken over")),
        }
    }

    /// Lets others have it at once.
    pub async fn give_back(&self, now: OffsetDateTime) -> Result<()> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("lease/give_back")).await?;
        client.execute(&statement, &[&self.name, &self.holder, &now]).await?;
        Ok(())
    }
}
