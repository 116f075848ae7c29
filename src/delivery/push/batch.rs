//! Batches are frozen and leased. A claim takes a batch that is due again, or makes one of the oldest work.

use std::time::Duration;

use deadpool_postgres::Transaction;
use postgres_types::ToSql;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Limits;
use crate::base::error::Result;
use crate::base::store::{REPEATABLE, Statements, Store};
use crate::delivery::endpoint::{Callback, Kind, State};
use crate::sql;

/// A batch of one endpoint, leased by this replica.
pub(super) struct Batch {
    pub batch_id: Uuid,
    pub epoch: i32,
    pub attempts: i32,
    pub waited_ms: i64,
    /// Since when every POST to the endpoint has failed. None if the last one succeeded.
    pub failing_since: Option<OffsetDateTime>,
    /// Whether there may be work for another batch.
    pub more: bool,
}

/// The result of a claim.
pub(super) enum Claimed {
    Batch(Batch),
    Nothing,
    /// All items of the read commits were moved into the queue, because their channels are busy.
    Moved,
    /// The endpoint's rate allows no batch before this time.
    Paced(OffsetDateTime),
}

/// Work of an endpoint, and the time when it was found.
pub(super) struct Due {
    pub now: OffsetDateTime,
    pub ready: Ready,
}

/// The sources that have work for a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    /// A batch waits for a retry.
    pub again: bool,
    /// The queue has rows.
    pub queued: bool,
    /// There are commits of sends.
    pub stored: bool,
}

/// Reads whether an endpoint has work. Later work wakes the workers.
pub(super) async fn check_due(store: &Store, callback_id: &str) -> Result<Option<Due>> {
    let Some(row) = store.opt(sql!("delivery/push/check_due"), &[&callback_id]).await? else {
        return Ok(None);
    };
    let ready = Ready { again: row.get("again"), queued: row.get("queued"), stored: row.get("stored") };
    Ok((ready.again || ready.queued || ready.stored).then(|| Due { now: row.get("now"), ready }))
}

/// The parameters of a claim.
pub(super) struct BatchClaim<'a> {
    pub callback: &'a Callback,
    pub limits: &'a Limits,
    pub ready: Ready,
    /// Whether commits are read before the queue. It alternates, so that both make progress.
    pub stored_first: bool,
    /// Whether this is a probe of an endpoint that failed. A probe takes the smallest batch.
    pub probe: bool,
    pub now: OffsetDateTime,
}

impl BatchClaim<'_> {
    /// Claims a batch in one short transaction under the endpoint's lock. Only an active endpoint gets one.
    pub async fn take(&self, store: &Store) -> Result<Claimed> {
        let callback_id = &self.callback.callback_id;
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        // A batch of the gateway comes again under its id until it is answered, so a crash must not lose it. The events of an
        // observer's batch may come in others.
        if self.callback.kind != Kind::Gateway {
            tx.batch_execute(REPEATABLE).await?;
        }
        let Some(endpoint) = tx.opt(sql!("delivery/push/lock_callback"), &[callback_id, &self.now]).await?
        else {
            return Ok(Claimed::Nothing);
        };
        if State::from_db(endpoint.get("state"))? != State::Active {
            return Ok(Claimed::Nothing);
        }
        let paced: Option<OffsetDateTime> = endpoint.get("paced_until");
        if let Some(until) = paced.filter(|until| *until > self.now) {
            return Ok(Claimed::Paced(until));
        }
        let (row, moved) = self.lease(&tx).await?;
        let Some(row) = row else {
            tx.commit().await?;
            return Ok(if moved { Claimed::Moved } else { Claimed::Nothing });
        };
        if endpoint.get::<_, Option<i32>>("events_per_second").is_some() {
            let pairs = i64::from(row.get::<_, i32>("pairs"));
            tx.run(sql!("delivery/push/pace"), &[callback_id, &pairs, &self.now]).await?;
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

    /// Leases a due batch, or freezes a new one. Also returns whether commits were moved into the queue.
    async fn lease(&self, tx: &Transaction<'_>) -> Result<(Option<Row>, bool)> {
        let callback_id = &self.callback.callback_id;
        let until = self.now + self.callback.timeout + self.limits.lease_margin;
        if self.ready.again {
            let row = tx
                .opt(sql!("delivery/push/claim_due"), &[callback_id, &self.now, &until, &self.probe])
                .await?;
            if row.is_some() {
                return Ok((row, false));
            }
        }
        let from_queue = self.ready.queued.then_some(sql!("delivery/push/claim_new"));
        let from_commits = self.ready.stored.then_some(sql!("delivery/push/claim_commits"));
        let sources = if self.stored_first { [from_commits, from_queue] } else { [from_queue, from_commits] };
        let mut moved = false;
        for source in sources.into_iter().flatten() {
            match self.freeze(tx, source, &until).await? {
                Some(row) if row.get::<_, Option<Uuid>>("batch_id").is_some() => {
                    return Ok((Some(row), moved));
                }
                Some(row) => moved = row.get::<_, i64>("looked_at") > 0,
                None => {}
            }
        }
        Ok((None, moved))
    }

    /// Makes a new batch from the queue or from commits.
    async fn freeze(
        &self,
        tx: &Transaction<'_>,
        source: &'static str,
        until: &OffsetDateTime,
    ) -> Result<Option<Row>> {
        let callback_id = &self.callback.callback_id;
        let Limits { batch_rows, batch_pairs, batch_bytes, .. } = self.limits;
        let most_pairs = match self.callback.kind {
            Kind::Gateway => *batch_pairs,
            Kind::Observer | Kind::Gate => self.callback.batch_events,
        };
        let most_rows = if self.probe { 1 } else { *batch_rows };
        let id = Uuid::now_v7();
        let statement = tx.prepare_cached(source).await?;
        let bounds: [&(dyn ToSql + Sync); 7] =
            [callback_id, &id, &self.now, until, &most_rows, &most_pairs, batch_bytes];
        Ok(tx.query_opt(&statement, &bounds).await?)
    }
}

impl Batch {
    /// Locks the batch. Returns false if another worker has taken it over.
    pub async fn lock(&self, tx: &Transaction<'_>) -> Result<bool> {
        let row = tx.opt(sql!("delivery/push/lock_batch"), &[&self.batch_id, &self.epoch]).await?;
        if row.is_none() {
            metrics::counter!("impg_push_stale_total").increment(1);
        }
        Ok(row.is_some())
    }

    /// Deletes the batch with its items, after its answer.
    pub async fn finish(&self, tx: &Transaction<'_>) -> Result<()> {
        tx.run(sql!("delivery/push/finish"), &[&self.batch_id]).await?;
        Ok(())
    }

    /// The wait after a failure of the whole batch. It doubles each time, plus jitter.
    pub fn wait(&self, limits: &Limits, jitter: f64) -> Duration {
        let doubled = limits.retry_base.saturating_mul(1 << self.attempts.clamp(0, 20));
        doubled.min(limits.retry_max).mul_f64(1.0 + jitter)
    }
}
