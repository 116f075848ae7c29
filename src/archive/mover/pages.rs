//! The documents of a sealed day, one page of messages at a time.

use std::collections::{HashMap, HashSet};

use bit_vec::BitVec;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Json};

use super::day::Sum;
use crate::archive::index;
use crate::archive::{Document, Group, Ledger, RECEIVERS_MAX};
use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::delivery::ledger::{self, BLOCK_SLOTS, Block, Key, Reasons};
use crate::delivery::status::{Status, Verdict};
use crate::sql;

/// Most messages, and the target of ledger rows, of one page.
const PAGE_MESSAGES: i32 = 1_000;
const PAGE_ROWS: i64 = 100_000;
/// A day is counted in this many ranges, so that no statement is long.
const STRETCHES: i64 = 24;

/// Some messages of a day as documents, with their sum.
#[derive(Debug)]
pub struct Page {
    pub documents: Vec<Document>,
    pub messages: i64,
    pub sum: Sum,
    pub last_ms_id: MsId,
}

impl Page {
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

/// The page after an id. Its documents have this version.
pub async fn read(store: &Store, above: MsId, below: MsId, version: i64) -> Result<Page> {
    let client = store.client().await?;
    let rows =
        client.all(sql!("archive/mover/documents"), &[&above, &below, &PAGE_MESSAGES, &PAGE_ROWS]).await?;
    let channels: HashSet<ChannelId> = rows.iter().map(|row| row.get("channel_id")).collect();
    let people = client.all(sql!("archive/mover/people"), &[&Vec::from_iter(channels)]).await?;
    drop(client);
    let people: HashMap<ChannelId, People<'_>> =
        people.iter().map(|row| (row.get("channel_id"), People::of(row))).collect();
    let mut documents = Vec::new();
    for row in &rows {
        documents.extend(parts(row, people.get(&row.get("channel_id")), version)?);
    }
    let last_ms_id = rows.last().map_or(above, |row| row.get("ms_id"));
    Ok(Page { sum: Sum::of(&documents), documents, messages: rows.len() as i64, last_ms_id })
}

/// The slots of a channel, in the order of the user ids.
struct People<'a> {
    slots: Vec<i32>,
    user_ids: Vec<&'a str>,
}

impl<'a> People<'a> {
    fn of(row: &'a Row) -> Self {
        Self { slots: row.get("slots"), user_ids: row.get("user_ids") }
    }
}

/// Counts the messages and ledger rows in a range of ids.
pub async fn size(store: &Store, from: MsId, below: MsId) -> Result<(i64, i64)> {
    let (mut messages, mut ledger_rows) = (0, 0);
    let length = (below.0 - from.0) / STRETCHES + 1;
    let mut start = from;
    while start < below {
        let end = MsId(start.0 + length).min(below);
        let row = store.one(sql!("archive/mover/size"), &[&start, &end]).await?;
        messages += row.get::<_, i64>("messages");
        ledger_rows += row.get::<_, i64>("ledger_rows");
        start = end;
    }
    Ok((messages, ledger_rows))
}

/// The parts of one message. Each has the next receivers in id order.
fn parts(row: &Row, people: Option<&People<'_>>, version: i64) -> Result<Vec<Document>> {
    let message = Document { version, ..index::message(row)? };
    let blocks = blocks(row, &message);
    let (mut documents, mut ledger, mut receivers) = (Vec::new(), Ledger::default(), 0);
    for (slot, user_id) in people.iter().flat_map(|p| p.slots.iter().zip(&p.user_ids)) {
        let bit = ledger::bit(*slot);
        let block = blocks.get(&(slot / BLOCK_SLOTS)).filter(|block| block.is_receiver(bit));
        let Some(block) = block else { continue };
        if receivers == RECEIVERS_MAX {
            documents.push(Document { ledger: Some(std::mem::take(&mut ledger)), ..message.clone() });
            receivers = 0;
        }
        add(&mut ledger, block, bit, user_id);
        receivers += 1;
    }
    documents.push(Document { ledger: Some(ledger), ..message });
    documents.iter_mut().enumerate().for_each(|(part, document)| document.part = part as u32);
    Ok(documents)
}

fn add(ledger: &mut Ledger, block: &Block, bit: usize, user_id: &str) {
    let reason = block.reason(bit);
    let group = group(ledger, block.status(bit), block.verdict(bit));
    if reason.is_some() {
        group.reasons.resize(group.receivers.len(), None);
        group.reasons.push(reason.map(str::to_owned));
    } else if !group.reasons.is_empty() {
        group.reasons.push(None);
    }
    group.receivers.push(user_id.to_owned());
    let after = (block.time(bit) - block.server_time).whole_microseconds();
    group.after_us.push(i64::try_from(after).unwrap_or(i64::MAX));
}

/// The blocks of a message by number.
fn blocks(row: &Row, message: &Document) -> HashMap<i32, Block> {
    let numbers: Vec<i32> = row.get::<_, Option<_>>("blocks").unwrap_or_default();
    let receivers: Vec<BitVec> = row.get::<_, Option<_>>("receivers").unwrap_or_default();
    let mut blocks: Vec<Block> = numbers
        .iter()
        .zip(receivers)
        .map(|(block, receivers)| {
            Block::new(Key { ms_id: message.ms_id, block: *block }, message.server_time, receivers)
        })
        .collect();
    put(row, "received", &mut blocks, |block| &mut block.received);
    put(row, "read", &mut blocks, |block| &mut block.read);
    put(row, "offline", &mut blocks, |block| &mut block.offline);
    put(row, "rejected", &mut blocks, |block| &mut block.rejected);
    put(row, "changed_at", &mut blocks, |block| &mut block.changed_at);
    put(row, "times", &mut blocks, |block| &mut block.times);
    let reasons: Vec<Option<Json<Reasons>>> = row.get::<_, Option<_>>("reasons").unwrap_or_default();
    blocks.iter_mut().zip(reasons).for_each(|(block, reasons)| block.reasons = reasons.map(|Json(all)| all));
    numbers.into_iter().zip(blocks).collect()
}

/// Puts one array column, with one element for each block, into the blocks.
fn put<'a, T: FromSql<'a>>(
    row: &'a Row,
    column: &str,
    blocks: &mut [Block],
    field: impl Fn(&mut Block) -> &mut Option<T>,
) {
    let values: Vec<Option<T>> = row.get::<_, Option<_>>(column).unwrap_or_default();
    blocks.iter_mut().zip(values).for_each(|(block, value)| *field(block) = value);
}

fn group(ledger: &mut Ledger, status: Status, verdict: Option<Verdict>) -> &mut Group {
    match (status, verdict) {
        (Status::Read, _) => &mut ledger.read,
        (Status::Received, _) => &mut ledger.received,
        (Status::Unreceived, Some(Verdict::Offline)) => &mut ledger.offline,
        (Status::Unreceived, Some(Verdict::Rejected)) => &mut ledger.rejected,
        (Status::Unreceived, _) => &mut ledger.unreceived,
    }
}
