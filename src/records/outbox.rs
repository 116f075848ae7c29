//! Late changes of cold messages: receipts, reads and recalls. They go into the documents of the archive.
//! PostgreSQL keeps them until the archive has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::archive::index::Bound;
use crate::archive::reconcile::{self, Needs};
use crate::archive::{Archive, Document, Find, Group, Ledger, Order, Parts, Recalled, Span};
use crate::base::error::{Error, Kind, Result};
use crate::base::lease::Lease;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::base::worker::{Tick, Work};
use crate::delivery::status::Status;
use crate::records::receipt;
use crate::sql;

/// Most recalls, receipts and read ranges of one step.
const RECALLS_STEP: i32 = 100;
const RECEIPTS_STEP: i32 = 1_000;
const READS_STEP: i32 = 20;
/// Most messages of a read range that are written at once.
const SEQS_STEP: i64 = 50;
/// Pause before what failed is tried again.
const REST: std::time::Duration = std::time::Duration::from_secs(30);
/// How long a receipt for an unknown message is kept. An index can be missing for a while.
const UNKNOWN_KEPT: Duration = Duration::days(1);

/// The outbox worker. It runs on one replica at a time.
pub struct Outbox {
    store: Store,
    archive: Arc<Bound>,
    lease: Lease,
    // A failing entry does not block the entries after it.
    recalls: Round<MsId>,
    receipts: Round<MsId>,
    reads: Round<(ChannelId, String, i64, i16)>,
}

/// One pass through the waiting entries, in key order. Failed entries are skipped. The next pass starts after
/// a pause.
struct Round<K>(Mutex<Turn<K>>);

struct Turn<K> {
    after: K,
    left_some: bool,
    rests_until: Option<Instant>,
}

impl<K: Clone + Default> Default for Round<K> {
    fn default() -> Self {
        Self(Mutex::new(Turn { after: K::default(), left_some: false, rests_until: None }))
    }
}

impl<K: Clone + Default> Round<K> {
    fn turn(&self) -> MutexGuard<'_, Turn<K>> {
        self.0.lock().expect("no panic while held")
    }

    /// The key after which the pass continues; `None` during the pause.
    fn key(&self) -> Option<K> {
        let turn = self.turn();
        let rests = turn.rests_until.is_some_and(|until| Instant::now() < until);
        (!rests).then(|| turn.after.clone())
    }

    fn go_on(&self, after: K, taken: bool) {
        let mut turn = self.turn();
        turn.after = after;
        turn.left_some |= !taken;
    }

    /// The pass has reached the end.
    fn end(&self) {
        let mut turn = self.turn();
        let rests_until = turn.left_some.then(|| Instant::now() + REST);
        *turn = Turn { after: K::default(), left_some: false, rests_until };
    }
}

struct Receipt {
    receiver: String,
    status: Status,
    at: OffsetDateTime,
}

struct Read {
    span: Span,
    reader: String,
    status: Status,
    at: OffsetDateTime,
}

impl Outbox {
    pub fn new(store: Store, archive: Arc<Bound>, lease: std::time::Duration) -> Self {
        let lease = Lease::new(store.clone(), "outbox", lease);
        let (recalls, receipts, reads) = Default::default();
        Self { store, archive, lease, recalls, receipts, reads }
    }

    async fn take_recalls(&self) -> Result<bool> {
        let client = self.store.client().await?;
        let Some(key) = self.recalls.key() else {
            return Ok(false);
        };
        let rows = client.all(sql!("records/outbox/recalls"), &[&key, &RECALLS_STEP]).await?;
        drop(client);
        let mut taken = false;
        for row in &rows {
            let ms_id: MsId = row.get("ms_id");
            let recalled = Recalled { by: row.get("recalled_by"), at: row.get("recalled_at") };
            let is_in = held_up(ms_id.0, self.take_recall(ms_id, recalled).await)?.is_some();
            if is_in {
                self.store.run(sql!("records/outbox/recalls_done"), &[&vec![ms_id]]).await?;
                taken = true;
            }
            self.recalls.go_on(ms_id, is_in);
        }
        if rows.is_empty() {
            self.recalls.end();
        }
        Ok(taken)
    }

    async fn take_recall(&self, ms_id: MsId, recalled: Recalled) -> Result<()> {
        let mut documents = self.archive.find(&Find::message(ms_id)).await?;
        if documents.is_empty() {
            return Err(Error::internal("a recalled message is missing in the archive"));
        }
        documents.retain(|document| document.recalled.is_none());
        for document in &mut documents {
            document.content = json!({});
            document.extra.clear();
            document.recalled = Some(recalled.clone());
        }
        self.replace(documents).await
    }

    async fn take_receipts(&self, now: OffsetDateTime) -> Result<bool> {
        let client = self.store.client().await?;
        let Some(key) = self.receipts.key() else {
            return Ok(false);
        };
        let rows = client.all(sql!("records/outbox/receipts"), &[&key, &RECEIPTS_STEP]).await?;
        drop(client);
        let mut of_message: BTreeMap<MsId, Vec<Receipt>> = BTreeMap::new();
        for row in &rows {
            of_message.entry(row.get("ms_id")).or_default().push(Receipt {
                receiver: row.get("receiver"),
                status: Status::from_db(row.get("status"))?,
                at: row.get("received_at"),
            });
        }
        let mut taken = false;
        for (ms_id, receipts) in &of_message {
            let is_in = held_up(ms_id.0, self.take_receipts_of(*ms_id, receipts, now).await)? == Some(true);
            if is_in {
                let receivers: Vec<&str> = receipts.iter().map(|r| r.receiver.as_str()).collect();
                let statuses: Vec<i16> = receipts.iter().map(|r| r.status.code()).collect();
                let ms_ids = vec![*ms_id; receipts.len()];
                self.store
                    .run(sql!("records/outbox/receipts_done"), &[&ms_ids, &receivers, &statuses])
                    .await?;
                taken = true;
            }
            // The next step can hold more receipts of the last message. Written receipts are deleted by then.
            let after = if is_in { ms_id.previous() } else { *ms_id };
            self.receipts.go_on(after, is_in);
        }
        if of_message.is_empty() {
            self.receipts.end();
        }
        Ok(taken)
    }

    /// Returns false if the archive does not know the message, because it may know it later. What it has lost can come
    /// back with a newer copy: receipts wait for that, however long.
    async fn take_receipts_of(&self, ms_id: MsId, receipts: &[Receipt], now: OffsetDateTime) -> Result<bool> {
        let mut documents = self.archive.find(&Find::message(ms_id)).await?;
        if documents.is_empty() {
            reconcile::refuse_lost(&self.store, ms_id, Needs::Message).await.map_err(|_| lost())?;
            return Ok(receipts.iter().all(|receipt| now - receipt.at > UNKNOWN_KEPT));
        }
        require_ledger(&documents)?;
        self.move_cursors(&documents, receipts).await?;
        documents.retain_mut(|document| {
            receipts.iter().filter(|r| advance(document, &r.receiver, r.status, r.at)).count() > 0
        });
        self.replace(documents).await?;
        Ok(true)
    }

    /// A `read` receipt moves the read cursor, as it does for a hot message.
    async fn move_cursors(&self, documents: &[Document], receipts: &[Receipt]) -> Result<()> {
        let horizon = self.store.horizon().await?.cold;
        for receipt in receipts.iter().filter(|r| r.status == Status::Read) {
            if let Some(document) = documents.iter().find(|d| is_receiver(d, &receipt.receiver)) {
                let point = receipt::point(&*self.archive, document, &receipt.receiver, horizon).await?;
                receipt::advance_to(&self.store, &point, receipt.at).await?;
            }
        }
        Ok(())
    }

    async fn take_reads(&self) -> Result<bool> {
        let Some((channel_id, reader, to_seq, status)) = self.reads.key() else {
            return Ok(false);
        };
        let client = self.store.client().await?;
        let rows = client
            .all(sql!("records/outbox/reads"), &[&channel_id, &reader, &to_seq, &status, &READS_STEP])
            .await?;
        drop(client);
        let mut taken = false;
        for row in &rows {
            let (channel_id, to_seq): (ChannelId, i64) = (row.get("channel_id"), row.get("to_seq"));
            let (from_seq, status): (i64, i16) = (row.get("from_seq"), row.get("status"));
            let upto = to_seq.min(from_seq + SEQS_STEP - 1);
            let span = Span { channel_id, from_seq, to_seq: upto };
            let reader = row.get("user_id");
            let read = Read { span, reader, status: Status::from_db(status)?, at: row.get("read_at") };
            let written = held_up(channel_id.0, self.take_read(&read).await)?;
            if let Some(ms_ids) = &written {
                self.store
                    .run(
                        sql!("records/outbox/read_on"),
                        &[&channel_id, &read.reader, &to_seq, &status, &(upto + 1), ms_ids],
                    )
                    .await?;
                taken = true;
            }
            self.reads.go_on((channel_id, read.reader, to_seq, status), written.is_some());
        }
        if rows.is_empty() {
            self.reads.end();
        }
        // An unfinished range continues after the others had their turn.
        Ok(taken || !rows.is_empty())
    }

    /// Returns the messages of the range.
    async fn take_read(&self, read: &Read) -> Result<Vec<MsId>> {
        let Span { from_seq, to_seq, .. } = read.span;
        let find = Find {
            spans: Some(vec![read.span]),
            order: Order::Oldest,
            parts: Parts::All,
            ..Find::newest(usize::MAX)
        };
        let mut documents = self.archive.find(&find).await?;
        let first = documents.iter().filter(|document| document.part == 0);
        let ms_ids: Vec<MsId> = first.map(|document| document.ms_id).collect();
        if ms_ids.len() as i64 != to_seq - from_seq + 1 {
            return Err(Error::internal("messages of a read or receipt are missing in the archive"));
        }
        require_ledger(&documents)?;
        documents.retain_mut(|document| advance(document, &read.reader, read.status, read.at));
        self.replace(documents).await?;
        Ok(ms_ids)
    }

    /// Writes changed documents with higher versions, then checks that the archive holds exactly these. A
    /// worker that lost the lease may have written other documents with the same version.
    async fn replace(&self, mut documents: Vec<Document>) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        documents.iter_mut().for_each(|document| document.version += 1);
        self.archive.write(&documents).await?;
        self.archive.refresh().await?;
        for some in documents.chunk_by(|one, next| one.ms_id == next.ms_id) {
            let there = self.archive.find(&Find::message(some[0].ms_id)).await?;
            for document in some {
                let found = there.iter().find(|d| d.part == document.part);
                if found.map(Document::checksum) != Some(document.checksum()) {
                    return Err(Error::unavailable("another replica is changing the same documents"));
                }
            }
        }
        Ok(())
    }
}

impl Work for Outbox {
    /// Writes one step of each kind into the archive. Failed entries are tried again in the next pass.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        if self.lease.take(now).await?.is_none() {
            return Ok(Tick::Idle);
        }
        let steps = [self.take_recalls().await, self.take_receipts(now).await, self.take_reads().await];
        let mut more = false;
        for step in steps {
            more |= step?;
        }
        Ok(if more { Tick::More } else { Tick::Idle })
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}

/// Logs a failed entry and leaves it for the next pass. If the archive is away, the step ends.
fn held_up<T>(of: i64, taken: Result<T>) -> Result<Option<T>> {
    match taken {
        Err(error) if error.kind != Kind::Unavailable => {
            tracing::error!(of, %error, "could not apply a late change of a cold message");
            metrics::counter!("impg_outbox_held_up_total").increment(1);
            Ok(None)
        }
        taken => taken.map(Some),
    }
}

/// Fails if the archive has a cold message as it was indexed while it was hot: an older copy of it was restored.
fn require_ledger(documents: &[Document]) -> Result<()> {
    if documents.iter().all(|document| document.ledger.is_some()) { Ok(()) } else { Err(lost()) }
}

fn lost() -> Error {
    Error::internal("the archive has lost the statuses of a message: restore a newer copy of it")
}

fn is_receiver(document: &Document, user: &str) -> bool {
    let groups = document.ledger.iter().flat_map(Ledger::groups);
    groups.into_iter().any(|(_, group)| find_receiver(group, user).is_ok())
}

fn find_receiver(group: &Group, user: &str) -> std::result::Result<usize, usize> {
    group.receivers.binary_search_by(|who| who.as_str().cmp(user))
}

/// Advances the status of a receiver in a document. Returns false if the user is not a receiver or already
/// has the status.
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
        if let Ok(i) = find_receiver(group, receiver) {
            group.receivers.remove(i);
            group.after_us.remove(i);
            if i < group.reasons.len() {
                group.reasons.remove(i);
            }
            let to = find_receiver(target, receiver).unwrap_or_else(|to| to);
            target.receivers.insert(to, receiver.to_owned());
            target.after_us.insert(to, after);
            return true;
        }
    }
    false
}
