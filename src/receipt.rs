//! Back: what receivers have received and read. Statuses only advance.

use time::OffsetDateTime;

use crate::delivery::{Status, Verdict};
use crate::error::{Error, Result};
use crate::schedule::Tick;
use crate::sql;
use crate::store::{REPEATABLE, Store, retrying};

/// Ranges of reads, and messages of each, that one background step writes into the ledger.
const READ_SPANS_STEP: i32 = 200;
const READ_MESSAGES_STEP: i32 = 500;
/// Waiting receipts that one background step applies.
const PENDING_STEP: i32 = 2_000;
/// Receipts that one transaction takes.
const RECEIPTS_STEP: usize = 1_000;

/// The event that advances a push status.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub ms_id: i64,
    pub receiver: String,
    pub status: Status,
}

/// What a receipt has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Advanced,
    Unchanged,
    /// Valid, but its ledger row is still being written: kept, and applied then.
    Waiting,
    /// There is no such message, or not for this receiver.
    Unknown,
}

/// A reader's cursor and what is unread above it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor {
    pub read_seq: i64,
    pub unread_count: i64,
}

/// A message's receivers by status, and one page of them.
#[derive(Debug)]
pub struct Receipts {
    pub ms_id: i64,
    pub channel_id: i64,
    pub seq: i64,
    pub unreceived: i64,
    pub received: i64,
    pub read: i64,
    pub items: Vec<ReceiverStatus>,
}

#[derive(Debug)]
pub struct ReceiverStatus {
    pub receiver: String,
    pub name: String,
    pub status: Status,
    /// Why an unreceived message was not pushed.
    pub verdict: Option<Verdict>,
    pub verdict_reason: Option<String>,
    pub last_modified_time: OffsetDateTime,
}

/// Whose receipts are asked for, and which page.
pub struct ReceiptsPage<'a> {
    pub caller: &'a str,
    /// Whether the caller's role shows them every message.
    pub sees_all: bool,
    pub status: Option<Status>,
    pub after: &'a str,
    pub limit: i64,
}

/// Takes receipts in bulk; one outcome for each, in order.
pub async fn accept(store: &Store, receipts: &[Receipt], now: OffsetDateTime) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(receipts.len());
    for step in receipts.chunks(RECEIPTS_STEP) {
        outcomes.extend(retrying(|| accept_step(store, step, now)).await?);
    }
    let advanced = outcomes.iter().filter(|o| **o == Outcome::Advanced).count();
    metrics::counter!("impg_receipts_total").increment(receipts.len() as u64);
    metrics::counter!("impg_receipts_advanced_total").increment(advanced as u64);
    Ok(outcomes)
}

async fn accept_step(store: &Store, receipts: &[Receipt], now: OffsetDateTime) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Unknown; receipts.len()];
    let of = |status| (0..receipts.len()).filter(move |&i| receipts[i].status == status).collect::<Vec<_>>();
    let (received, read) = (of(Status::Received), of(Status::Read));
    let keys = |indices: &[usize]| -> (Vec<i64>, Vec<String>) {
        indices.iter().map(|&i| (receipts[i].ms_id, receipts[i].receiver.clone())).unzip()
    };
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    if !received.is_empty() {
        let (ms_ids, receivers) = keys(&received);
        let statement = tx.prepare_cached(sql!("receipt/receive")).await?;
        for row in tx.query(&statement, &[&ms_ids, &receivers, &now]).await? {
            outcomes[received[row.get::<_, i64>("ord") as usize - 1]] = match row.get("outcome") {
                "advanced" => Outcome::Advanced,
                "unchanged" => Outcome::Unchanged,
                "waiting" => Outcome::Waiting,
                _ => Outcome::Unknown,
            };
        }
    }
    if !read.is_empty() {
        let (ms_ids, receivers) = keys(&read);
        let statement = tx.prepare_cached(sql!("receipt/read_points")).await?;
        let mut points = Vec::new();
        for row in tx.query(&statement, &[&ms_ids, &receivers]).await? {
            let moves = row.get::<_, i64>("seq") > row.get::<_, i64>("read_seq");
            outcomes[read[row.get::<_, i64>("ord") as usize - 1]] =
                if moves { Outcome::Advanced } else { Outcome::Unchanged };
            points.push((row.get("channel_id"), row.get("user_id"), row.get("seq"), row.get("ms_id")));
        }
        advance(&tx, points, now).await?;
    }
    tx.commit().await?;
    Ok(outcomes)
}

/// Moves the caller's read cursor to `seq`; a lower one changes nothing.
pub async fn read(
    store: &Store,
    channel_id: i64,
    caller: &str,
    seq: i64,
    now: OffsetDateTime,
) -> Result<Cursor> {
    retrying(|| read_once(store, channel_id, caller, seq, now)).await
}

async fn read_once(
    store: &Store,
    channel_id: i64,
    caller: &str,
    seq: i64,
    now: OffsetDateTime,
) -> Result<Cursor> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let statement = tx.prepare_cached(sql!("receipt/read_point")).await?;
    let point = tx.query_opt(&statement, &[&channel_id, &caller, &seq]).await?;
    let point = point.ok_or_else(|| Error::not_found("no such channel"))?;
    if seq > point.get("last_seq") {
        return Err(Error::field("/seq", "the channel has no such message yet"));
    }
    if seq > point.get("read_seq") {
        let ms_id: Option<i64> = point.get("ms_id");
        let ms_id = ms_id.ok_or_else(|| Error::internal("a message below the channel's last is missing"))?;
        advance(&tx, vec![(channel_id, caller.to_owned(), seq, ms_id)], now).await?;
    }
    let statement = tx.prepare_cached(sql!("receipt/unread")).await?;
    let row = tx.query_opt(&statement, &[&channel_id, &caller]).await?;
    let row = row.ok_or_else(|| Error::not_found("no such channel"))?;
    tx.commit().await?;
    Ok(Cursor { read_seq: row.get("read_seq"), unread_count: row.get("unread_count") })
}

/// Moves cursors, each to the furthest of its points.
async fn advance(
    tx: &deadpool_postgres::Transaction<'_>,
    points: Vec<(i64, String, i64, i64)>,
    now: OffsetDateTime,
) -> Result<()> {
    let mut channels = Vec::with_capacity(points.len());
    let (mut users, mut seqs, mut ms_ids) = (Vec::new(), Vec::new(), Vec::new());
    for (channel_id, user, seq, ms_id) in points {
        channels.push(channel_id);
        users.push(user);
        seqs.push(seq);
        ms_ids.push(ms_id);
    }
    let statement = tx.prepare_cached(sql!("receipt/lock_cursors")).await?;
    tx.query(&statement, &[&channels, &users, &seqs]).await?;
    let statement = tx.prepare_cached(sql!("receipt/advance_cursors")).await?;
    tx.execute(&statement, &[&channels, &users, &seqs, &ms_ids, &now]).await?;
    Ok(())
}

/// The ledger of one message: counts over all receivers, and one page of them.
pub async fn of_message(store: &Store, ms_id: i64, page: ReceiptsPage<'_>) -> Result<Receipts> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("receipt/message")).await?;
    let message = client.query_opt(&statement, &[&ms_id, &page.caller, &page.sees_all]).await?;
    let message = message.ok_or_else(|| Error::not_found("no such message"))?;
    let (channel_id, seq): (i64, i64) = (message.get("channel_id"), message.get("seq"));
    let sender: &str = message.get("sender");
    let statement = client.prepare_cached(sql!("receipt/counts")).await?;
    let counts = client.query_one(&statement, &[&ms_id, &channel_id, &seq, &sender]).await?;
    let statement = client.prepare_cached(sql!("receipt/list")).await?;
    let status = page.status.map(Status::code);
    let rows = client
        .query(&statement, &[&ms_id, &channel_id, &seq, &sender, &status, &page.after, &page.limit])
        .await?;
    let item = |row: tokio_postgres::Row| {
        let status = Status::from_code(row.get("status"));
        let verdict = row.get::<_, Option<i16>>("verdict").filter(|_| status == Status::Unreceived);
        ReceiverStatus {
            receiver: row.get("receiver"),
            name: row.get("name"),
            status,
            verdict: verdict.map(Verdict::from_code),
            verdict_reason: row.get::<_, Option<String>>("verdict_reason").filter(|_| verdict.is_some()),
            last_modified_time: row.get("last_modified_time"),
        }
    };
    Ok(Receipts {
        ms_id,
        channel_id,
        seq,
        unreceived: counts.get("unreceived"),
        received: counts.get("received"),
        read: counts.get("read"),
        items: rows.into_iter().map(item).collect(),
    })
}

/// The background pass: waiting receipts and reads kept as ranges go into the ledger rows.
pub async fn tick(store: &Store) -> Result<Tick> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        let statement = tx.prepare_cached(sql!("receipt/apply_pending")).await?;
        let applied = tx.execute(&statement, &[&PENDING_STEP]).await?;
        let statement = tx.prepare_cached(sql!("receipt/write_reads")).await?;
        let written = tx.query_one(&statement, &[&READ_SPANS_STEP, &READ_MESSAGES_STEP]).await?;
        tx.commit().await?;
        let spans: i64 = written.get("spans");
        let more = applied >= PENDING_STEP.unsigned_abs().into() || spans > 0;
        Ok(if more { Tick::More } else { Tick::Idle })
    })
    .await
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advanced => "advanced",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        }
    }
}
