//! A sealed day as documents, some messages at a time.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::day::Sum;
use crate::archive::{Document, Group, Ledger, RECEIVERS_MAX};
use crate::delivery::Status;
use crate::error::Result;
use crate::index;
use crate::sql;
use crate::store::Store;

/// Messages, and about how many ledger rows, of one page.
const PAGE_MESSAGES: i32 = 1_000;
const PAGE_ROWS: i64 = 100_000;
/// A day is counted in this many stretches, so that no statement is long.
const STRETCHES: i64 = 24;

/// Some messages of a day, as documents, and what those add up to.
#[derive(Debug)]
pub struct Page {
    pub documents: Vec<Document>,
    pub messages: i64,
    pub sum: Sum,
    pub last_ms_id: i64,
}

impl Page {
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

/// The page above an id. Its documents have this version.
pub async fn read(store: &Store, above: i64, below: i64, version: i64) -> Result<Page> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("archiver/documents")).await?;
    let rows = client.query(&statement, &[&above, &below, &PAGE_MESSAGES, &PAGE_ROWS]).await?;
    drop(client);
    let documents: Vec<Document> = rows.iter().flat_map(|row| documents(row, version)).collect();
    let last_ms_id = rows.last().map_or(above, |row| row.get("ms_id"));
    Ok(Page { sum: Sum::of(&documents), documents, messages: rows.len() as i64, last_ms_id })
}

/// How many messages and ledger rows a stretch of ids has.
pub async fn size(store: &Store, from: i64, below: i64) -> Result<(i64, i64)> {
    let (mut messages, mut ledger_rows) = (0, 0);
    let length = (below - from) / STRETCHES + 1;
    let mut start = from;
    while start < below {
        let end = (start + length).min(below);
        let client = store.client().await?;
        let statement = client.prepare_cached(sql!("archiver/size")).await?;
        let row = client.query_one(&statement, &[&start, &end]).await?;
        messages += row.get::<_, i64>("messages");
        ledger_rows += row.get::<_, i64>("ledger_rows");
        start = end;
    }
    Ok((messages, ledger_rows))
}

/// The parts of one message: each with the next receivers in id order.
fn documents(row: &Row, version: i64) -> Vec<Document> {
    let receivers: Vec<&str> = row.get("receivers");
    let statuses: Vec<i16> = row.get("statuses");
    let verdicts: Vec<i16> = row.get("verdicts");
    let times: Vec<OffsetDateTime> = row.get("times");
    let reasons: Option<Vec<Option<&str>>> = row.get("reasons");
    let message = Document { version, ..index::message(row) };
    let parts = receivers.len().div_ceil(RECEIVERS_MAX).max(1);
    let part = |part: usize| {
        let mut ledger = Ledger::default();
        for i in part * RECEIVERS_MAX..receivers.len().min((part + 1) * RECEIVERS_MAX) {
            let reason = reasons.as_ref().and_then(|all| all[i]);
            let group = group(&mut ledger, Status::from_code(statuses[i]), verdicts[i]);
            if reason.is_some() {
                group.why.resize(group.who.len(), None);
                group.why.push(reason.map(str::to_owned));
            } else if !group.why.is_empty() {
                group.why.push(None);
            }
            group.who.push(receivers[i].to_owned());
            let after = (times[i] - message.server_time).whole_microseconds();
            group.at.push(i64::try_from(after).unwrap_or(i64::MAX));
        }
        Document { part: part as u32, ledger: Some(ledger), ..message.clone() }
    };
    (0..parts).map(part).collect()
}

fn group(ledger: &mut Ledger, status: Status, verdict: i16) -> &mut Group {
    match (status, verdict) {
        (Status::Read, _) => &mut ledger.read,
        (Status::Received, _) => &mut ledger.received,
        (Status::Unreceived, 1) => &mut ledger.offline,
        (Status::Unreceived, 2) => &mut ledger.rejected,
        (Status::Unreceived, _) => &mut ledger.unreceived,
    }
}
