//! To whom, exactly: the ledger rows of messages into large groups, in bounded chunks.
//!
//! Each chunk is one short transaction that also queues its push and remembers where it
//! ended, so a crash in between resumes with the next receiver.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::config::Config;
use crate::error::Result;
use crate::schedule::Tick;
use crate::sql;
use crate::store::{REPEATABLE, Store};

/// Most messages whose rows one chunk writes.
const MESSAGES_MAX: i32 = 256;

/// Writes the ledger rows that sends left behind.
pub struct Fanout {
    store: Store,
    chunk_rows: i32,
    batch_bytes: i32,
    push: Arc<Notify>,
    receipts: Arc<Notify>,
}

impl Fanout {
    pub fn new(store: Store, config: &Config, push: Arc<Notify>, receipts: Arc<Notify>) -> Self {
        Self {
            store,
            chunk_rows: i32::try_from(config.fanout_chunk_rows).unwrap_or(i32::MAX),
            batch_bytes: i32::try_from(config.callback_batch_bytes).unwrap_or(i32::MAX),
            push,
            receipts,
        }
    }

    /// Writes one chunk of one channel, if any waits that no other worker has.
    pub async fn tick(&self) -> Result<Tick> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        let claim = tx.prepare_cached(sql!("fanout/claim")).await?;
        let Some(head) = tx.query_opt(&claim, &[]).await? else {
            return Ok(Tick::Idle);
        };
        let channel_id: i64 = head.get("channel_id");
        let members: i32 = head.get("member_count");
        let messages = (self.chunk_rows / members.max(1)).clamp(1, MESSAGES_MAX);
        let chunk = tx.prepare_cached(sql!("fanout/chunk")).await?;
        let row =
            tx.query_one(&chunk, &[&channel_id, &messages, &self.chunk_rows, &self.batch_bytes]).await?;
        let rows: i64 = row.get("rows");
        let finished: Vec<i64> = row.get("finished");
        tx.commit().await?;
        metrics::counter!("impg_fanout_rows_total").increment(rows.unsigned_abs());
        metrics::counter!("impg_fanout_messages_total").increment(finished.len() as u64);
        self.push.notify_one();
        if !finished.is_empty() {
            self.receipts.notify_one();
        }
        Ok(Tick::More)
    }
}
