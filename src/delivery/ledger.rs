//! The ledger: the push status of every message for every receiver, as bits.
//!
//! Each member of a channel has a slot in it, given once. A row of the ledger, a [`Block`], holds the receivers of one
//! message in [`BLOCK_SLOTS`] slots of its channel. A transaction that changes statuses shares the seal lock, locks
//! blocks with `lock`, changes them, and writes them with `write`.

mod block;
#[cfg(test)]
mod tests;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio_postgres::types::Json;

pub use block::{Block, Reasons};

use crate::base::error::Result;
use crate::base::number::MsId;
use crate::base::store::Statements;
use crate::sql;

/// Slots in a block.
pub const BLOCK_SLOTS: i32 = 1_024;

/// The key of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub ms_id: MsId,
    pub block: i32,
}

impl Key {
    /// The key of the block that holds `slot`.
    pub const fn of_slot(ms_id: MsId, slot: i32) -> Self {
        Self { ms_id, block: slot / BLOCK_SLOTS }
    }
}

/// The position of a slot in its block.
pub const fn bit(slot: i32) -> usize {
    (slot % BLOCK_SLOTS).unsigned_abs() as usize
}

/// Locks the blocks with these keys, in key order. Leaves out blocks that are sealed or do not exist.
pub async fn lock(tx: &Transaction<'_>, keys: &[Key]) -> Result<Vec<Block>> {
    let (ms_ids, blocks) = arrays(keys);
    let rows = tx.all(sql!("delivery/ledger/lock"), &[&ms_ids, &blocks]).await?;
    Ok(rows.iter().map(Block::of_row).collect())
}

/// Reads the receivers of blocks, sealed ones included, without locks. The statuses are not read.
pub async fn receivers(client: &impl Statements, keys: &[Key]) -> Result<Vec<Block>> {
    let (ms_ids, blocks) = arrays(keys);
    let rows = client.all(sql!("delivery/ledger/receivers"), &[&ms_ids, &blocks]).await?;
    let key = |row: &tokio_postgres::Row| Key { ms_id: row.get("ms_id"), block: row.get("block") };
    Ok(rows
        .iter()
        .map(|row| Block::new(key(row), OffsetDateTime::UNIX_EPOCH, row.get("receivers")))
        .collect())
}

/// Writes the blocks that changed since `lock`.
pub async fn write(tx: &Transaction<'_>, blocks: &[Block], now: OffsetDateTime) -> Result<()> {
    let changed: Vec<&Block> = blocks.iter().filter(|block| block.has_changed()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let ms_ids: Vec<MsId> = changed.iter().map(|b| b.key.ms_id).collect();
    let numbers: Vec<i32> = changed.iter().map(|b| b.key.block).collect();
    let received: Vec<_> = changed.iter().map(|b| b.received.as_ref()).collect();
    let read: Vec<_> = changed.iter().map(|b| b.read.as_ref()).collect();
    let offline: Vec<_> = changed.iter().map(|b| b.offline.as_ref()).collect();
    let rejected: Vec<_> = changed.iter().map(|b| b.rejected.as_ref()).collect();
    let (changed_at, times): (Vec<_>, Vec<_>) = changed.iter().map(|b| b.encoded_times()).unzip();
    let reasons: Vec<_> = changed.iter().map(|b| b.reasons.as_ref().map(Json)).collect();
    let people: Vec<i32> = changed.iter().map(|b| b.newly_received()).collect();
    tx.run(
        sql!("delivery/ledger/write"),
        &[
            &ms_ids,
            &numbers,
            &received,
            &read,
            &offline,
            &rejected,
            &changed_at,
            &times,
            &reasons,
            &people,
            &now,
        ],
    )
    .await?;
    Ok(())
}

fn arrays(keys: &[Key]) -> (Vec<MsId>, Vec<i32>) {
    keys.iter().map(|key| (key.ms_id, key.block)).unzip()
}
