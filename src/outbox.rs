//! What came too late for a message's ledger: receipts, reads and recalls of cold messages go into
//! the archive's documents, and only leave PostgreSQL once they are seen there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::json;
use time::OffsetDateTime;

use crate::archive::{Document, Find, Group, Ledger, Order, Parts, Recalled, Span};
use crate::config::Config;
use crate::delivery::Status;
use crate::error::{Error, Result};
use crate::index::Bound;
use crate::lease::Lease;
use crate::receipt;
use crate::schedule::Tick;
use crate::sql;
use crate::store::Store;

/// Recalls, receipts and ranges of reads of one step.
const RECALLS_STEP: i32 = 500;
const RECEIPTS_STEP: i32 = 2_000;
const READS_STEP: i32 = 20;
/// Documents of one write.
const DOCUMENTS_STEP: usize = 200;

/// The outbox of one replica; one of them at a time empties it.
pub struct Outbox {
    store: Store,
    archive: Arc<Bound>,
    lease: Lease,
}

struct Receipt {
    ms_id: i64,
    receiver: String,
    status: Status,
    at: OffsetDateTime,
}

struct Read {
    span: Span,
    reader: String,
    at: OffsetDateTime,
}

impl Outbox {
    pub fn new(store: Store, archive: Arc<Bound>, config: &Config) -> Self {
        let lease = Lease::new(store.clone(), "outbox", config.lease);
        Self { store, archive, lease }
    }

    /// Takes one step of each kind into the archive.
    pub async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        if self.lease.take(now).await?.is_none() {
            return Ok(Tick::Idle);
        }
        let recalled = self.take_recalls().await?;
        let received = self.take_receipts().await?;
        let read = self.take_reads().await?;
        Ok(if recalled || received || read { Tick::More } else { Tick::Idle })
    }

    /// Gives the lease back, for a replica that stops.
    pub async fn stop(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }

    async fn take_recalls(&self) -> Result<bool> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("outbox/recalls")).await?;
        let rows = client.query(&statement, &[&RECALLS_STEP]).await?;
        drop(client);
        let mut changed = Vec::new();
        let mut ms_ids = Vec::new();
        for row in &rows {
            let ms_id: i64 = row.get("ms_id");
            ms_ids.push(ms_id);
            for mut document in self.archive.archive().await?.find(&Find::message(ms_id)).await? {
                if document.recalled.is_none() {
                    document.content = json!({});
                    document.recalled =
                        Some(Recalled { by: row.get("recalled_by"), at: row.get("recalled_at") });
                    changed.push(document);
                }
            }
        }
        if ms_ids.is_empty() {
            return Ok(false);
        }
        self.replace(changed).await?;
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("outbox/recalls_done")).await?;
        client.execute(&statement, &[&ms_ids]).await?;
        Ok(true)
    }

    async fn take_receipts(&self) -> Result<bool> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("outbox/receipts")).await?;
        let rows = client.query(&statement, &[&RECEIPTS_STEP]).await?;
        drop(client);
        let mut of_message: BTreeMap<i64, Vec<Receipt>> = BTreeMap::new();
        for row in &rows {
            let receipt = Receipt {
                ms_id: row.get("ms_id"),
                receiver: row.get("receiver"),
                status: Status::from_code(row.get("status")),
                at: row.get("received_at"),
            };
            of_message.entry(receipt.ms_id).or_default().push(receipt);
        }
        let mut changed = Vec::new();
        for (ms_id, receipts) in &of_message {
            let mut documents = self.archive.archive().await?.find(&Find::message(*ms_id)).await?;
            self.move_cursors(&documents, receipts).await?;
            documents.retain_mut(|document| {
                receipts.iter().filter(|r| advance(document, &r.receiver, r.status, r.at)).count() > 0
            });
            changed.extend(documents);
        }
        if of_message.is_empty() {
            return Ok(false);
        }
        self.replace(changed).await?;
        let done: Vec<&Receipt> = of_message.values().flatten().collect();
        let ms_ids: Vec<i64> = done.iter().map(|r| r.ms_id).collect();
        let receivers: Vec<&str> = done.iter().map(|r| r.receiver.as_str()).collect();
        let statuses: Vec<i16> = done.iter().map(|r| r.status.code()).collect();
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("outbox/receipts_done")).await?;
        client.execute(&statement, &[&ms_ids, &receivers, &statuses]).await?;
        Ok(true)
    }

    /// A receipt that says `read` moves its receiver's cursor, as it does for a hot message.
    async fn move_cursors(&self, documents: &[Document], receipts: &[Receipt]) -> Result<()> {
        let (horizon, _) = self.store.horizon().await?;
        for receipt in receipts.iter().filter(|r| r.status == Status::Read) {
            if let Some(document) = documents.iter().find(|d| is_receiver(d, &receipt.receiver)) {
                let point =
                    receipt::point(self.archive.archive().await?, document, &receipt.receiver, horizon)
                        .await?;
                receipt::advance_to(&self.store, &point, receipt.at).await?;
            }
        }
        Ok(())
    }

    async fn take_reads(&self) -> Result<bool> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("outbox/reads")).await?;
        let rows = client.query(&statement, &[&READS_STEP]).await?;
        drop(client);
        for row in &rows {
            let (channel_id, to_seq) = (row.get("channel_id"), row.get("to_seq"));
            let read = Read {
                span: Span { channel_id, from_seq: row.get("from_seq"), to_seq },
                reader: row.get("user_id"),
                at: row.get("read_at"),
            };
            self.take_read(&read).await?;
            let client = self.store.client().await?;
            let statement = client.prepare_cached(sql!("outbox/reads_done")).await?;
            client.execute(&statement, &[&channel_id, &read.reader, &to_seq]).await?;
        }
        Ok(!rows.is_empty())
    }

    async fn take_read(&self, read: &Read) -> Result<()> {
        const UNREAD: &[&str] = &["unreceived", "offline", "rejected", "received"];
        let (horizon, _) = self.store.horizon().await?;
        let mut find = Find {
            spans: Some(vec![read.span]),
            receiver: Some((read.reader.clone(), UNREAD)),
            below: horizon,
            order: Order::Oldest,
            parts: Parts::All,
            ..Find::newest(DOCUMENTS_STEP)
        };
        loop {
            let mut documents = self.archive.archive().await?.find(&find).await?;
            let Some(last) = documents.last() else {
                return Ok(());
            };
            find.after = Some((last.ms_id, last.part));
            documents.retain_mut(|document| advance(document, &read.reader, Status::Read, read.at));
            self.replace(documents).await?;
        }
    }

    /// Writes changed documents above their versions and makes sure that just these are there: a
    /// worker that lost the lease may have written others of the same version.
    async fn replace(&self, mut documents: Vec<Document>) -> Result<()> {
        for some in documents.chunks_mut(DOCUMENTS_STEP) {
            some.iter_mut().for_each(|document| document.version += 1);
            self.archive.archive().await?.write(some).await?;
            self.archive.archive().await?.refresh().await?;
            let mut there: HashMap<(i64, u32), u128> = HashMap::new();
            let mut asked = None;
            for document in some.iter() {
                if asked.replace(document.ms_id) != Some(document.ms_id) {
                    let parts = self.archive.archive().await?.find(&Find::message(document.ms_id)).await?;
                    there.extend(parts.iter().map(|d| ((d.ms_id, d.part), d.checksum())));
                }
                if there.get(&(document.ms_id, document.part)) != Some(&document.checksum()) {
                    return Err(Error::unavailable("another replica changes the same documents"));
                }
            }
        }
        Ok(())
    }
}

fn is_receiver(document: &Document, user: &str) -> bool {
    let groups = document.ledger.iter().flat_map(Ledger::groups);
    groups.into_iter().any(|(_, group)| place(group, user).is_ok())
}

fn place(group: &Group, user: &str) -> std::result::Result<usize, usize> {
    group.who.binary_search_by(|who| who.as_str().cmp(user))
}

/// Advances the status of a receiver in a document. False if they are none, or are that far.
fn advance(document: &mut Document, receiver: &str, status: Status, at: OffsetDateTime) -> bool {
    let Some(ledger) = &mut document.ledger else {
        return false;
    };
    let after = (at - document.server_time).whole_microseconds() as i64;
    let Ledger { unreceived, offline, rejected, received, read } = ledger;
    let (lower, target): (Vec<&mut Group>, _) = match status {
        Status::Read => (vec![unreceived, offline, rejected, received], read),
        Status::Received => (vec![unreceived, offline, rejected], received),
        Status::Unreceived => return false,
    };
    for group in lower {
        if let Ok(i) = place(group, receiver) {
            group.who.remove(i);
            group.at.remove(i);
            if i < group.why.len() {
                group.why.remove(i);
            }
            let to = place(target, receiver).unwrap_or_else(|to| to);
            target.who.insert(to, receiver.to_owned());
            target.at.insert(to, after);
            return true;
        }
    }
    false
}
