//! A batch, frozen and leased: one that is due again, or a new one from the head of the queue.

use std::time::Duration;

use deadpool_postgres::Transaction;
use postgres_types::ToSql;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Limits;
use crate::callback::{Callback, Kind};
use crate::error::Result;
use crate::sql;
use crate::store::{REPEATABLE, Store};

/// A batch of one endpoint, and this replica's lease on it.
pub(super) struct Batch {
    pub batch_id: Uuid,
    pub epoch: i32,
    pub attempts: i32,
    pub waited_ms: i64,
    /// Since when every POST to the endpoint has failed, if the last one did.
    pub failing_since: Option<OffsetDateTime>,
    /// Whether another batch may be waiting.
    pub more: bool,
}

/// What there is to send now.
pub(super) enum Claimed {
    Batch(Batch),
    Nothing,
    /// The endpoint's rate allows nothing before this moment.
    Paced(OffsetDateTime),
}

/// There is something to send.
pub(super) struct Look {
    pub now: OffsetDateTime,
    /// Whether a batch is to be repeated.
    pub again: bool,
}

/// Whether there is anything for an endpoint. What comes later rings.
pub(super) async fn look(store: &Store, callback_id: &str) -> Result<Option<Look>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/look")).await?;
    let Some(row) = client.query_opt(&statement, &[&callback_id]).await? else {
        return Ok(None);
    };
    let (again, fresh): (bool, bool) = (row.get("again"), row.get("fresh"));
    Ok((again || fresh).then(|| Look { now: row.get("now"), again }))
}

/// The wish for a batch.
pub(super) struct Claim<'a> {
    pub callback: &'a Callback,
    pub limits: &'a Limits,
    /// Whether there is one to repeat.
    pub again: bool,
    /// Whether it is to show that the endpoint is back: the smallest will do.
    pub probe: bool,
    pub now: OffsetDateTime,
}

impl Claim<'_> {
    /// One short transaction under the endpoint's lock, which also says whether it is to get anything.
    pub async fn take(&self, store: &Store) -> Result<Claimed> {
        let callback_id = &self.callback.callback_id;
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        let lock = tx.prepare_cached(sql!("push/lock_callback")).await?;
        let Some(endpoint) = tx.query_opt(&lock, &[callback_id, &self.now]).await? else {
            return Ok(Claimed::Nothing);
        };
        if endpoint.get::<_, &str>("state") != "active" {
            return Ok(Claimed::Nothing);
        }
        let paced: Option<OffsetDateTime> = endpoint.get("paced_until");
        if let Some(until) = paced.filter(|until| *until > self.now) {
            return Ok(Claimed::Paced(until));
        }
        let Some(row) = self.lease(&tx).await? else {
            return Ok(Claimed::Nothing);
        };
        if endpoint.get::<_, Option<i32>>("events_per_second").is_some() {
            let pace = tx.prepare_cached(sql!("push/pace")).await?;
            let pairs = i64::from(row.get::<_, i32>("pairs"));
            tx.execute(&pace, &[callback_id, &pairs, &self.now]).await?;
        }
        tx.commit().await?;
        Ok(Claimed::Batch(Batch {
            batch_id: row.get("batch_id"),
            epoch: row.get("epoch"),
            attempts: row.get("attempts"),
            waited_ms: row.get("waited_ms"),
            failing_since: endpoint.get("failing_since"),
            more: row.get("more"),
        }))
    }

    async fn lease(&self, tx: &Transaction<'_>) -> Result<Option<Row>> {
        let callback_id = &self.callback.callback_id;
        let until = self.now + self.callback.timeout + self.limits.lease_margin;
        if self.again {
            let due = tx.prepare_cached(sql!("push/claim_due")).await?;
            let row = tx.query_opt(&due, &[callback_id, &self.now, &until, &self.probe]).await?;
            if row.is_some() {
                return Ok(row);
            }
        }
        let Limits { batch_rows, batch_pairs, batch_bytes, .. } = self.limits;
        let most_pairs = match self.callback.kind {
            Kind::Gateway => *batch_pairs,
            Kind::Observer => self.callback.batch_events,
        };
        let most_rows = if self.probe { 1 } else { *batch_rows };
        let id = Uuid::now_v7();
        let new = tx.prepare_cached(sql!("push/claim_new")).await?;
        let bounds: [&(dyn ToSql + Sync); 7] =
            [callback_id, &id, &self.now, &until, &most_rows, &most_pairs, batch_bytes];
        Ok(tx.query_opt(&new, &bounds).await?)
    }
}

impl Batch {
    /// Locks it, if it is still its owner's.
    pub async fn lock(&self, tx: &Transaction<'_>) -> Result<bool> {
        let statement = tx.prepare_cached(sql!("push/lock_batch")).await?;
        let row = tx.query_opt(&statement, &[&self.batch_id, &self.epoch]).await?;
        if row.is_none() {
            metrics::counter!("impg_push_stale_total").increment(1);
        }
        Ok(row.is_some())
    }

    /// It is answered: it and its queue rows are gone.
    pub async fn finish(&self, tx: &Transaction<'_>) -> Result<()> {
        let statement = tx.prepare_cached(sql!("push/finish")).await?;
        tx.execute(&statement, &[&self.batch_id]).await?;
        Ok(())
    }

    /// How long it waits after it failed whole: doubled each time, with jitter added.
    pub fn wait(&self, limits: &Limits, jitter: f64) -> Duration {
        let doubled = limits.retry_base.saturating_mul(1 << self.attempts.clamp(0, 20));
        doubled.min(limits.retry_max).mul_f64(1.0 + jitter)
    }
}
