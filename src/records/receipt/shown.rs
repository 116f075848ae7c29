//! Who has received and read a message, as its members and support see it, hot or cold.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use time::{Duration, OffsetDateTime};
use tokio_postgres::{IsolationLevel, Row};

use crate::archive::reconcile::{self, Needs};
use crate::archive::{self, Archive, Document, Find, Ledger};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::delivery::status::{Status, Verdict};
use crate::people::users;
use crate::records::history::{self, Message};
use crate::sql;

/// Cold messages of one call that are read at the same time.
const COLD_AT_ONCE: usize = 4;

/// The number of a message's receivers by status.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
    pub unreceived: i64,
    pub received: i64,
    pub read: i64,
}

/// The counts of a message, and one page of its receivers.
#[derive(Debug)]
pub struct Receipts {
    pub counts: Counts,
    pub items: Vec<ReceiverStatus>,
}

#[derive(Debug)]
pub struct ReceiverStatus {
    pub receiver: String,
    pub name: String,
    pub status: Status,
    /// The gateway's verdict, while the message is unreceived.
    pub verdict: Option<Verdict>,
    pub verdict_reason: Option<String>,
    pub last_modified_time: OffsetDateTime,
}

/// Whose messages are shown.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub caller: &'a str,
    /// Whether the caller's role allows every message.
    pub all: bool,
}

/// The page of a request for receipts.
pub struct ReceiptsPage<'a> {
    pub seen: Seen<'a>,
    /// Only receivers with one of these; empty: all.
    pub statuses: &'a [Status],
    pub after: &'a str,
    pub limit: i64,
}

/// The ledger of one message, hot or cold: counts over all receivers, and one page of receivers.
pub async fn of_message(
    store: &Store,
    archive: Option<&dyn Archive>,
    ms_id: MsId,
    page: ReceiptsPage<'_>,
) -> Result<Receipts> {
    if let Some(hot) = of_hot_message(store, ms_id, &page).await? {
        return Ok(hot);
    }
    let cold = of_cold_message(store, archive, ms_id, page.seen).await?;
    let (counts, rows) = cold.ok_or_else(|| Error::not_found("no such message"))?;
    Ok(Receipts { counts, items: page_of(store, rows, &page).await? })
}

/// The counts of many messages, hot or cold, by ascending ms_id. Messages that do not exist, or that the caller may
/// not see, are left out.
pub async fn counts(
    store: &Store,
    archive: Option<&dyn Archive>,
    ms_ids: &[MsId],
    seen: Seen<'_>,
) -> Result<Vec<Counts>> {
    let client = store.client().await?;
    let rows = client.all(sql!("records/receipt/counts"), &[&ms_ids, &seen.caller, &seen.all]).await?;
    drop(client);
    let mut found: Vec<Counts> = rows.iter().map(Counts::of).collect();
    let mut rest: Vec<MsId> =
        ms_ids.iter().copied().filter(|ms_id| found.iter().all(|one| one.ms_id != *ms_id)).collect();
    rest.sort_unstable();
    rest.dedup();
    let horizon = store.horizon().await?.cold;
    rest.retain(|ms_id| *ms_id < horizon);
    let cold = stream::iter(rest).map(|ms_id| of_cold_message(store, archive, ms_id, seen));
    let cold: Vec<_> = cold.buffered(COLD_AT_ONCE).try_collect().await?;
    found.extend(cold.into_iter().flatten().map(|(counts, _)| counts));
    found.sort_unstable_by_key(|counts| counts.ms_id);
    Ok(found)
}

async fn of_hot_message(store: &Store, ms_id: MsId, page: &ReceiptsPage<'_>) -> Result<Option<Receipts>> {
    // One snapshot, so that the message does not become cold between the statements.
    let mut client = store.client().await?;
    let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let client = snapshot.start().await?;
    let counts = client
        .opt(sql!("records/receipt/counts"), &[&&[ms_id][..], &page.seen.caller, &page.seen.all])
        .await?;
    let Some(counts) = counts.as_ref().map(Counts::of) else {
        return Ok(None);
    };
    let Counts { channel_id, seq, .. } = counts;
    let statuses: Vec<i16> = page.statuses.iter().map(|status| status.code()).collect();
    let rows = client
        .all(sql!("records/receipt/list"), &[&ms_id, &channel_id, &seq, &statuses, &page.after, &page.limit])
        .await?;
    Ok(Some(Receipts { counts, items: rows.iter().map(ReceiverStatus::of).collect::<Result<_>>()? }))
}

/// The status of one user, and whether the message is cold. No status: the user is not among its receivers. `found` is
/// the message, which is there.
pub async fn of_receiver(
    store: &Store,
    archive: Option<&dyn Archive>,
    found: &Message,
    user_id: &str,
) -> Result<(Option<ReceiverStatus>, bool)> {
    let Message { ms_id, channel_id, seq, .. } = found;
    if *ms_id >= store.horizon().await?.cold {
        let row = store.opt(sql!("records/receipt/of_receiver"), &[ms_id, channel_id, seq, &user_id]).await?;
        if let Some(row) = row {
            return Ok((Some(ReceiverStatus::of(&row)?), false));
        }
    }
    // The message can have become cold since then.
    if *ms_id >= store.horizon().await?.cold {
        return Ok((None, false));
    }
    let all = Seen { caller: user_id, all: true };
    let cold = of_cold_message(store, archive, *ms_id, all).await?;
    Ok((cold.and_then(|(_, rows)| rows.into_iter().find(|row| row.receiver == user_id)), true))
}

/// All receivers of a cold message, without names. `None` if there is none, or if it may not be seen.
async fn of_cold_message(
    store: &Store,
    archive: Option<&dyn Archive>,
    ms_id: MsId,
    seen: Seen<'_>,
) -> Result<Option<(Counts, Vec<ReceiverStatus>)>> {
    if !store.has_cold().await? {
        return Ok(None);
    }
    let archive = archive.ok_or_else(archive::not_configured)?;
    // The order matters: the channel, then the waiting receipts, then the document. A receipt that leaves the
    // outbox in between is in the document by then.
    let Some(first) = history::find_cold(store, archive, ms_id).await?.into_iter().next() else {
        return Ok(None);
    };
    if !seen.all {
        let spans = history::visible(&store.client().await?, first.channel_id, seen.caller).await?;
        if !history::holds(&spans, first.channel_id, first.seq) {
            return Ok(None);
        }
    }
    let late = overlay(store, &first).await?;
    let documents = archive.find(&Find::message(ms_id)).await?;
    if documents.iter().any(|document| document.ledger.is_none()) {
        reconcile::refuse_lost(store, ms_id, Needs::Ledger).await?;
    }
    let ledger = documents.iter().filter_map(|d| d.ledger.as_ref().map(|l| (d, l)));
    let mut rows: Vec<ReceiverStatus> = ledger.flat_map(|(d, ledger)| statuses(d, ledger)).collect();
    for row in &mut rows {
        match late.get(&row.receiver) {
            Some(&(status, at)) if status > row.status => {
                (row.status, row.last_modified_time) = (status, at);
                (row.verdict, row.verdict_reason) = (None, None);
            }
            _ => {}
        }
    }
    let count = |status| rows.iter().filter(|row| row.status == status).count() as i64;
    let [unreceived, received, read] = [Status::Unreceived, Status::Received, Status::Read].map(count);
    let Document { channel_id, seq, .. } = first;
    Ok(Some((Counts { ms_id, channel_id, seq, unreceived, received, read }, rows)))
}

/// Receipts and reads that the document of a cold message does not contain yet.
async fn overlay(store: &Store, document: &Document) -> Result<HashMap<String, (Status, OffsetDateTime)>> {
    let Document { ms_id, channel_id, seq, .. } = document;
    let rows = store.all(sql!("records/receipt/overlay"), &[ms_id, channel_id, seq]).await?;
    let late = |r: &Row| Ok((r.get("receiver"), (Status::from_db(r.get("status"))?, r.get("at"))));
    rows.iter().map(late).collect()
}

/// The receivers in a document with their statuses, without names.
pub fn statuses(document: &Document, ledger: &Ledger) -> Vec<ReceiverStatus> {
    let mut rows = Vec::with_capacity(ledger.len());
    for (name, group) in ledger.groups() {
        let (status, verdict) = match name {
            "read" => (Status::Read, None),
            "received" => (Status::Received, None),
            "offline" => (Status::Unreceived, Some(Verdict::Offline)),
            "rejected" => (Status::Unreceived, Some(Verdict::Rejected)),
            _ => (Status::Unreceived, None),
        };
        for (i, (receiver, at)) in group.receivers.iter().zip(&group.after_us).enumerate() {
            rows.push(ReceiverStatus {
                receiver: receiver.clone(),
                name: String::new(),
                status,
                verdict,
                verdict_reason: group.reasons.get(i).cloned().flatten(),
                last_modified_time: document.server_time + Duration::microseconds(*at),
            });
        }
    }
    rows
}

/// The receivers of a page, with their names.
async fn page_of(
    store: &Store,
    mut rows: Vec<ReceiverStatus>,
    page: &ReceiptsPage<'_>,
) -> Result<Vec<ReceiverStatus>> {
    let is_wanted = |status| page.statuses.is_empty() || page.statuses.contains(&status);
    rows.retain(|row| row.receiver.as_str() > page.after && is_wanted(row.status));
    rows.sort_by(|a, b| a.receiver.cmp(&b.receiver));
    rows.truncate(page.limit as usize);
    let ids: Vec<&str> = rows.iter().map(|r| r.receiver.as_str()).collect();
    let mut names = users::names(store, &ids).await?;
    for row in &mut rows {
        row.name = names.remove(&row.receiver).unwrap_or_default();
    }
    Ok(rows)
}

impl ReceiverStatus {
    fn of(row: &Row) -> Result<Self> {
        let status = Status::from_db(row.get("status"))?;
        let verdict = row.get::<_, Option<i16>>("verdict").filter(|_| status == Status::Unreceived);
        Ok(Self {
            receiver: row.get("receiver"),
            name: row.get("name"),
            status,
            verdict: verdict.map(Verdict::from_db).transpose()?,
            verdict_reason: row.get::<_, Option<String>>("verdict_reason").filter(|_| verdict.is_some()),
            last_modified_time: row.get("last_modified_time"),
        })
    }
}

impl Counts {
    fn of(row: &Row) -> Self {
        Self {
            ms_id: row.get("ms_id"),
            channel_id: row.get("channel_id"),
            seq: row.get("seq"),
            unreceived: row.get("unreceived"),
            received: row.get("received"),
            read: row.get("read"),
        }
    }
}
