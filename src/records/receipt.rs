//! Receipts: reports that receivers have received or read messages. Statuses only rise.

mod inbox;
mod received;
mod shown;

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;

pub use inbox::Inbox;
pub use received::receive_up_to;
pub use shown::{
    Counts, Receipts, ReceiptsPage, ReceiverStatus, Seen, counts, of_message, of_receiver, statuses,
};

use crate::archive::{self, Archive, Document, Find, Order, Span};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{self, Horizon, REPEATABLE, SHARE_SEAL, Statements, Store, retrying};
use crate::base::worker::Tick;
use crate::delivery::ledger::{self, Block, Key};
use crate::delivery::status::Status;
use crate::sql;

/// The most ranges, and messages of each, that one background step writes into the ledger.
const READ_SPANS_STEP: i32 = 200;
const READ_MESSAGES_STEP: i32 = 500;
/// The most receipts in one transaction.
const RECEIPTS_STEP: usize = 1_000;

/// A report that raises a push status.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub ms_id: MsId,
    pub receiver: String,
    pub status: Status,
}

/// The effect of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptOutcome {
    Advanced,
    Unchanged,
    /// The message is sealed or cold, so the receipt waits for the archive. Whether a cold message is for this
    /// receiver is checked there.
    Waiting,
    /// The message does not exist, or is not for this receiver.
    Unknown,
}

/// A request to move the caller's read cursor, or received cursor.
#[derive(Debug, Clone, Copy)]
pub struct ReadTo<'a> {
    pub channel_id: ChannelId,
    pub caller: &'a str,
    pub seq: i64,
}

/// The new position of a read cursor.
#[derive(Debug, Clone)]
pub struct Point {
    pub channel_id: ChannelId,
    pub user: String,
    pub seq: i64,
    pub ms_id: MsId,
    /// The number of the reader's own messages up to the position, if their next own message is cold.
    pub sent_count: Option<i64>,
}

/// A read cursor, and the unread count above it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor {
    pub read_seq: i64,
    pub unread_count: i64,
}

/// Accepts receipts in bulk. Returns one outcome for each, in order.
pub async fn accept(store: &Store, receipts: &[Receipt], now: OffsetDateTime) -> Result<Vec<ReceiptOutcome>> {
    let mut outcomes = Vec::with_capacity(receipts.len());
    for step in receipts.chunks(RECEIPTS_STEP) {
        outcomes.extend(retrying(|| accept_step(store, step, now)).await?);
    }
    count(&outcomes);
    Ok(outcomes)
}

fn count(outcomes: &[ReceiptOutcome]) {
    let advanced = outcomes.iter().filter(|o| **o == ReceiptOutcome::Advanced).count();
    metrics::counter!("impg_receipts_total").increment(outcomes.len() as u64);
    metrics::counter!("impg_receipts_advanced_total").increment(advanced as u64);
}

async fn accept_step(
    store: &Store,
    receipts: &[Receipt],
    now: OffsetDateTime,
) -> Result<Vec<ReceiptOutcome>> {
    let mut outcomes = vec![ReceiptOutcome::Unknown; receipts.len()];
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let Horizon { cold: horizon, sealed } = store::horizon(&tx).await?;
    let cold: Vec<&Receipt> = receipts.iter().filter(|r| r.ms_id < horizon).collect();
    if !cold.is_empty() {
        queue_cold(&tx, &cold, now).await?;
        (0..receipts.len())
            .filter(|&i| receipts[i].ms_id < horizon)
            .for_each(|i| outcomes[i] = ReceiptOutcome::Waiting);
    }
    let of = |status| {
        let hot = move |&i: &usize| receipts[i].status == status && receipts[i].ms_id >= horizon;
        (0..receipts.len()).filter(hot).collect::<Vec<_>>()
    };
    let (received, read) = (of(Status::Received), of(Status::Read));
    if !received.is_empty() {
        let of_received: Vec<&Receipt> = received.iter().map(|&i| &receipts[i]).collect();
        let done = receive(&tx, &of_received, sealed, now).await?;
        received.into_iter().zip(done).for_each(|(i, outcome)| outcomes[i] = outcome);
    }
    if !read.is_empty() {
        let of_read: Vec<&Receipt> = read.iter().map(|&i| &receipts[i]).collect();
        let done = read_up_to(&tx, &of_read, now).await?;
        read.into_iter().zip(done).for_each(|(i, outcome)| outcomes[i] = outcome);
    }
    tx.commit().await?;
    Ok(outcomes)
}

/// Applies `received` receipts of hot messages. Those of sealed messages wait for the archive.
async fn receive(
    tx: &Transaction<'_>,
    receipts: &[&Receipt],
    sealed: MsId,
    now: OffsetDateTime,
) -> Result<Vec<ReceiptOutcome>> {
    let mut outcomes = vec![ReceiptOutcome::Unknown; receipts.len()];
    let ms_ids: Vec<MsId> = receipts.iter().map(|r| r.ms_id).collect();
    let receivers: Vec<&str> = receipts.iter().map(|r| r.receiver.as_str()).collect();
    let rows = tx.all(sql!("records/receipt/locate"), &[&ms_ids, &receivers]).await?;
    let located: Vec<(usize, i32)> =
        rows.iter().map(|row| (row.get::<_, i64>("ord") as usize - 1, row.get("slot"))).collect();
    let key = |&(i, slot): &(usize, i32)| Key::of_slot(receipts[i].ms_id, slot);
    let (open, closed): (Vec<_>, Vec<_>) =
        located.into_iter().partition(|(i, _)| receipts[*i].ms_id >= sealed);
    let mut blocks = ledger::lock(tx, &open.iter().map(key).collect::<Vec<_>>()).await?;
    let places: HashMap<Key, usize> = blocks.iter().enumerate().map(|(at, block)| (block.key, at)).collect();
    for receipt in &open {
        let (i, bit) = (receipt.0, ledger::bit(receipt.1));
        let Some(block) = places.get(&key(receipt)).map(|at| &mut blocks[*at]) else {
            continue;
        };
        if block.advance(bit, Status::Received, now) {
            outcomes[i] = ReceiptOutcome::Advanced;
        } else if block.is_receiver(bit) {
            outcomes[i] = ReceiptOutcome::Unchanged;
        }
    }
    ledger::write(tx, &blocks, now).await?;
    if !closed.is_empty() {
        let blocks = ledger::receivers(tx, &closed.iter().map(key).collect::<Vec<_>>()).await?;
        let blocks: HashMap<Key, Block> = blocks.into_iter().map(|block| (block.key, block)).collect();
        let is_receiver = |receipt: &&(usize, i32)| {
            blocks.get(&key(receipt)).is_some_and(|block| block.is_receiver(ledger::bit(receipt.1)))
        };
        let waiting: Vec<usize> = closed.iter().filter(is_receiver).map(|(i, _)| *i).collect();
        waiting.iter().for_each(|&i| outcomes[i] = ReceiptOutcome::Waiting);
        queue_cold(tx, &waiting.iter().map(|&i| receipts[i]).collect::<Vec<_>>(), now).await?;
    }
    Ok(outcomes)
}

/// Applies `read` receipts of hot messages: they move the readers' cursors.
async fn read_up_to(
    tx: &Transaction<'_>,
    receipts: &[&Receipt],
    now: OffsetDateTime,
) -> Result<Vec<ReceiptOutcome>> {
    let mut outcomes = vec![ReceiptOutcome::Unknown; receipts.len()];
    let ms_ids: Vec<MsId> = receipts.iter().map(|r| r.ms_id).collect();
    let receivers: Vec<&str> = receipts.iter().map(|r| r.receiver.as_str()).collect();
    let statement = tx.prepare_cached(sql!("records/receipt/read_points")).await?;
    let mut points = Vec::new();
    for row in tx.query(&statement, &[&ms_ids, &receivers]).await? {
        let moves = row.get::<_, i64>("seq") > row.get::<_, i64>("read_seq");
        outcomes[row.get::<_, i64>("ord") as usize - 1] =
            if moves { ReceiptOutcome::Advanced } else { ReceiptOutcome::Unchanged };
        points.push(Point {
            channel_id: row.get("channel_id"),
            user: row.get("user_id"),
            seq: row.get("seq"),
            ms_id: row.get("ms_id"),
            sent_count: None,
        });
    }
    advance(tx, points, now).await?;
    Ok(outcomes)
}

/// Keeps receipts of sealed or cold messages until the archive has them.
async fn queue_cold(tx: &Transaction<'_>, receipts: &[&Receipt], now: OffsetDateTime) -> Result<()> {
    if receipts.is_empty() {
        return Ok(());
    }
    let ms_ids: Vec<MsId> = receipts.iter().map(|r| r.ms_id).collect();
    let receivers: Vec<&str> = receipts.iter().map(|r| r.receiver.as_str()).collect();
    let statuses: Vec<i16> = receipts.iter().map(|r| r.status.code()).collect();
    tx.run(sql!("records/receipt/keep"), &[&ms_ids, &receivers, &statuses, &now]).await?;
    Ok(())
}

/// Moves the caller's read cursor to `seq`. A lower `seq` changes nothing. Only the archive knows the position of
/// a cold `seq`, so the answer is `503` while the archive does not answer.
pub async fn read(
    store: &Store,
    archive: Option<&dyn Archive>,
    to: ReadTo<'_>,
    now: OffsetDateTime,
) -> Result<Cursor> {
    if let Some(cursor) = retrying(|| read_once(store, to, None, now)).await? {
        return Ok(cursor);
    }
    let point = cold_point(store, archive, to).await?;
    let cursor = retrying(|| read_once(store, to, Some(&point), now)).await?;
    cursor.ok_or_else(|| Error::internal("the position of a cold message did not move the cursor"))
}

/// Returns none if the message is cold and `cold` has no position for it.
async fn read_once(
    store: &Store,
    to: ReadTo<'_>,
    cold: Option<&Point>,
    now: OffsetDateTime,
) -> Result<Option<Cursor>> {
    let ReadTo { channel_id, caller, seq } = to;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let point = tx.opt(sql!("records/receipt/read_point"), &[&channel_id, &caller, &seq]).await?;
    let point = point.ok_or_else(|| Error::not_found("no such channel"))?;
    if seq > point.get("last_seq") {
        return Err(Error::field("/seq", "must not be above the last seq of the channel"));
    }
    if seq > point.get("read_seq") {
        let hot = point.get::<_, Option<MsId>>("ms_id").map(|ms_id| Point {
            channel_id,
            user: caller.to_owned(),
            seq,
            ms_id,
            sent_count: None,
        });
        match hot.or_else(|| cold.cloned()) {
            Some(point) => advance(&tx, vec![point], now).await?,
            None => return Ok(None),
        }
    }
    let row = tx.opt(sql!("records/receipt/unread"), &[&channel_id, &caller]).await?;
    let row = row.ok_or_else(|| Error::not_found("no such channel"))?;
    tx.commit().await?;
    Ok(Some(Cursor { read_seq: row.get("read_seq"), unread_count: row.get("unread_count") }))
}

async fn cold_point(store: &Store, archive: Option<&dyn Archive>, to: ReadTo<'_>) -> Result<Point> {
    let (document, horizon) = cold_document(store, archive, to).await?;
    point(archive.ok_or_else(archive::not_configured)?, &document, to.caller, horizon).await
}

/// The cold message with this seq, and the horizon.
async fn cold_document(
    store: &Store,
    archive: Option<&dyn Archive>,
    to: ReadTo<'_>,
) -> Result<(Document, MsId)> {
    let missing = || Error::internal("a message below the channel's last is missing");
    let horizon = store.horizon().await?.cold;
    if horizon == MsId(0) {
        return Err(missing());
    }
    let archive = archive.ok_or_else(archive::not_configured)?;
    let span = Span { channel_id: to.channel_id, from_seq: to.seq, to_seq: to.seq };
    let found = archive
        .find(&Find { spans: Some(vec![span]), below: horizon, ledger: false, ..Find::newest(1) })
        .await?;
    Ok((found.into_iter().next().ok_or_else(missing)?, horizon))
}

/// The new position of the cursor of `reader` after they read a cold message.
pub async fn point(archive: &dyn Archive, document: &Document, reader: &str, horizon: MsId) -> Result<Point> {
    let Document { channel_id, seq, ms_id, .. } = *document;
    let above = Span { channel_id, from_seq: seq + 1, to_seq: i64::MAX };
    let next_own = Find {
        spans: Some(vec![above]),
        sender: Some(reader.to_owned()),
        below: horizon,
        order: Order::Oldest,
        ledger: false,
        ..Find::newest(1)
    };
    let next_own = archive.find(&next_own).await?.into_iter().next();
    let sent_count = next_own.map(|own| own.sender_count - 1);
    Ok(Point { channel_id, user: reader.to_owned(), seq, ms_id, sent_count })
}

/// Moves a cursor for a receipt of a cold message.
pub async fn advance_to(store: &Store, point: &Point, at: OffsetDateTime) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(SHARE_SEAL).await?;
        advance(&tx, vec![point.clone()], at).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Moves each cursor to the highest of its points.
async fn advance(tx: &Transaction<'_>, points: Vec<Point>, now: OffsetDateTime) -> Result<()> {
    let channels: Vec<ChannelId> = points.iter().map(|p| p.channel_id).collect();
    let users: Vec<&str> = points.iter().map(|p| p.user.as_str()).collect();
    let seqs: Vec<i64> = points.iter().map(|p| p.seq).collect();
    let ms_ids: Vec<MsId> = points.iter().map(|p| p.ms_id).collect();
    let sent_counts: Vec<Option<i64>> = points.iter().map(|p| p.sent_count).collect();
    tx.all(sql!("records/receipt/lock_cursors"), &[&channels, &users, &seqs]).await?;
    tx.run(sql!("records/receipt/advance_cursors"), &[&channels, &users, &seqs, &ms_ids, &now, &sent_counts])
        .await?;
    Ok(())
}

/// A step of the background pass that writes ranges of reads and receipts into the ledger.
pub async fn tick(store: &Store) -> Result<Tick> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(&format!("{REPEATABLE}; {SHARE_SEAL}")).await?;
        tx.run(sql!("records/receipt/split_reads"), &[&READ_SPANS_STEP]).await?;
        let reads =
            tx.all(sql!("records/receipt/take_reads"), &[&READ_SPANS_STEP, &READ_MESSAGES_STEP]).await?;
        write_reads(&tx, &reads).await?;
        tx.commit().await?;
        Ok(if reads.is_empty() { Tick::Idle } else { Tick::More })
    })
    .await
}

async fn write_reads(tx: &Transaction<'_>, rows: &[tokio_postgres::Row]) -> Result<()> {
    let read = |row: &tokio_postgres::Row| {
        let slot: i32 = row.get("slot");
        let ms_id: Option<MsId> = row.get("ms_id");
        let status = Status::from_db(row.get("status"))?;
        Ok(ms_id.map(|ms_id| (Key::of_slot(ms_id, slot), ledger::bit(slot), status, row.get("read_at"))))
    };
    let reads: Vec<(Key, usize, Status, OffsetDateTime)> =
        rows.iter().filter_map(|row| read(row).transpose()).collect::<Result<_>>()?;
    let mut blocks = ledger::lock(tx, &reads.iter().map(|(key, ..)| *key).collect::<Vec<_>>()).await?;
    let places: HashMap<Key, usize> = blocks.iter().enumerate().map(|(at, block)| (block.key, at)).collect();
    let mut last = OffsetDateTime::UNIX_EPOCH;
    for (key, bit, status, at) in reads {
        last = last.max(at);
        if let Some(block) = places.get(&key).map(|i| &mut blocks[*i]) {
            block.advance(bit, status, at);
        }
    }
    ledger::write(tx, &blocks, last).await
}

impl ReceiptOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advanced => "advanced",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        }
    }
}
