//! Escalation: receivers who have not read a message get one more push, marked urgent; then observers are told who they
//! are. The sender gives the steps with the message, or nudges by hand.
//!
//! A step is a row that waits for its time. It is done in pages: in one transaction the receivers are found, their
//! pushes and events are queued, and the page is ended. So each receiver is reminded once, whatever is killed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;
use tokio_postgres::Row;

use crate::base::config::Config;
use crate::base::error::{Error, Result};
use crate::base::lease::Lease;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store, bound_statements, retrying};
use crate::base::worker::{Tick, Work};
use crate::people::preference;
use crate::sql;

/// Most steps of one transaction.
const STEPS: i32 = 500;
/// A transaction takes no further step after so many receivers.
const RECEIVERS: i32 = 5_000;
/// Most steps whose wait begins again in one statement, after the clock stepped back.
const REDATED: i32 = 10_000;
/// Most receivers that one event names.
const NAMED_MAX: usize = 500;
/// When the worker takes a step by hand over, if the call that does it has died.
const TAKEN_OVER: Duration = Duration::minutes(1);

/// The escalation of a replica. Its worker runs on one replica at a time.
pub struct Escalation {
    store: Store,
    lease: Lease,
    urgent_max: i32,
    /// Woken after new work: the pushes to the gateway, and the sequencer of events.
    push: Arc<Notify>,
    events: Arc<Notify>,
}

/// A message, and receivers who have not read it.
struct Unread {
    /// Whether observers are told; otherwise there is one more push.
    is_event: bool,
    ms_id: MsId,
    channel_id: ChannelId,
    seq: i64,
    after_s: i32,
    sender: String,
    server_time: OffsetDateTime,
    bytes: i32,
    block: i32,
    user_ids: Vec<String>,
}

/// Why observers are told of a receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Escalation,
    /// The receiver has too many open urgent messages for one more.
    UrgentMax,
}

/// The result of a page.
#[derive(Debug, Default)]
pub struct Page {
    steps: usize,
    /// The receivers who get one more push.
    pub urged: Vec<String>,
    /// The receivers who have too many open urgent messages.
    pub over: Vec<String>,
}

/// A message that is to be urgent for a receiver.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub user_id: &'a str,
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
}

/// Whether a message is urgent for a receiver.
struct Judged {
    user_id: String,
    ms_id: MsId,
    is_over: bool,
    is_new: bool,
}

impl Escalation {
    pub fn new(store: Store, config: &Config, push: Arc<Notify>, events: Arc<Notify>) -> Self {
        Self {
            lease: Lease::new(store.clone(), "escalation", config.workers.lease),
            store,
            urgent_max: i32::try_from(config.chat.urgent_max).unwrap_or(i32::MAX),
            push,
            events,
        }
    }

    /// Does the next page of a step that [`begin`] has added. None: the step is done.
    pub async fn next_page(&self, step: i64, now: OffsetDateTime) -> Result<Option<Page>> {
        let page = retrying(|| self.page(Some(step), None, now)).await?;
        Ok(Some(page).filter(|page| page.steps > 0))
    }

    /// Whether a step is due. Waits that were set before the clock stepped back begin again.
    async fn is_any_due(&self, now: OffsetDateTime) -> Result<bool> {
        let client = self.store.client().await?;
        let row = client.one(sql!("delivery/escalation/due"), &[&now]).await?;
        if row.get("stepped_back") {
            client.run(sql!("delivery/escalation/redate"), &[&now, &REDATED]).await?;
        }
        Ok(row.get("due"))
    }

    /// Does one page of each of the steps that are due, or of this step alone.
    async fn page(&self, only: Option<i64>, epoch: Option<i64>, now: OffsetDateTime) -> Result<Page> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        if let Some(epoch) = epoch {
            self.lease.hold(&tx, epoch).await?;
        }
        let taken = tx.all(sql!("delivery/escalation/take"), &[&now, &STEPS, &RECEIVERS, &only]).await?;
        if taken.is_empty() {
            return Ok(Page::default());
        }
        if taken.iter().any(|row| row.get::<_, &str>("kind") == "urgent") {
            // Before the read cursors are locked, so that reads never wait for this lock.
            lock_counts(&tx).await?;
        }
        let steps: Vec<i64> = taken.iter().map(|row| row.get("escalation_id")).collect();
        let rows = tx.all(sql!("delivery/escalation/unread"), &[&steps]).await?;
        let (told, urgent): (Vec<Unread>, Vec<Unread>) =
            rows.iter().map(Unread::of_row).partition(|unread| unread.is_event);
        let mut page = self.urge(&tx, &urgent, now).await?;
        tell(&tx, &told, Reason::Escalation, now).await?;
        tx.run(sql!("delivery/escalation/advance"), &[&steps]).await?;
        tx.commit().await?;
        page.steps = steps.len();
        self.wake(&page, !told.is_empty());
        Ok(page)
    }

    /// Queues the urgent pushes of a page. Receivers with too many open urgent messages get none, and observers are told
    /// of them. The counts are locked.
    async fn urge(&self, tx: &Transaction<'_>, urgent: &[Unread], now: OffsetDateTime) -> Result<Page> {
        if urgent.is_empty() {
            return Ok(Page::default());
        }
        let pairs: Vec<Pair<'_>> = urgent.iter().flat_map(Unread::pairs).collect();
        tx.run(sql!("delivery/escalation/close"), &[&users_of(&pairs)]).await?;
        let judged = reserve(tx, &pairs, self.urgent_max).await?;
        let over: HashSet<(MsId, &str)> = judged
            .iter()
            .filter(|pair| pair.is_over)
            .map(|pair| (pair.ms_id, pair.user_id.as_str()))
            .collect();
        let (mut items, mut page, mut told) = (Vec::new(), Page::default(), Vec::new());
        for unread in urgent {
            let is_over = |user_id: &&String| over.contains(&(unread.ms_id, user_id.as_str()));
            let (above, receivers): (Vec<&String>, Vec<&String>) = unread.user_ids.iter().partition(is_over);
            if !receivers.is_empty() {
                items.push(json!({
                    "channel_id": unread.channel_id.0, "seq": unread.seq, "ms_id": unread.ms_id.0,
                    "block": unread.block, "bytes": unread.bytes, "receivers": receivers,
                }));
            }
            page.urged.extend(receivers.into_iter().cloned());
            page.over.extend(above.iter().map(|user_id| (*user_id).clone()));
            if !above.is_empty() {
                told.push(unread.with(above.into_iter().cloned().collect()));
            }
        }
        tx.run(sql!("delivery/escalation/push"), &[&Json(items), &now]).await?;
        tell(tx, &told, Reason::UrgentMax, now).await?;
        Ok(page)
    }

    fn wake(&self, page: &Page, told: bool) {
        metrics::counter!("impg_urgent_pushes_total").increment(page.urged.len() as u64);
        metrics::counter!("impg_urgent_over_total").increment(page.over.len() as u64);
        if !page.urged.is_empty() {
            self.push.notify_one();
        }
        if told || !page.over.is_empty() {
            self.events.notify_one();
        }
    }
}

impl Work for Escalation {
    /// Does a page of the steps that are due.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        if !self.is_any_due(now).await? {
            return Ok(Tick::Idle);
        }
        let Some(epoch) = self.lease.take(now).await? else {
            return Ok(Tick::Idle);
        };
        let began = Instant::now();
        let page = retrying(|| self.page(None, Some(epoch), now)).await?;
        self.store.throttle().rest("escalation", began).await;
        Ok(if page.steps > 0 { Tick::More } else { Tick::Idle })
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}

impl Unread {
    fn of_row(row: &Row) -> Self {
        Self {
            is_event: row.get::<_, &str>("kind") == "event",
            ms_id: row.get("ms_id"),
            channel_id: row.get("channel_id"),
            seq: row.get("seq"),
            after_s: row.get("after_s"),
            sender: row.get("sender"),
            server_time: row.get("server_time"),
            bytes: row.get("bytes"),
            block: row.get("block"),
            user_ids: row.get("user_ids"),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        let Self { ms_id, channel_id, seq, .. } = *self;
        self.user_ids.iter().map(move |user_id| Pair { user_id, ms_id, channel_id, seq })
    }

    /// The same message with other receivers.
    fn with(&self, user_ids: Vec<String>) -> Self {
        Self { sender: self.sender.clone(), user_ids, ..*self }
    }
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Escalation => "escalation",
            Self::UrgentMax => "urgent_max",
        }
    }
}

/// Locks the counts of open urgent messages until the transaction ends.
async fn lock_counts(tx: &Transaction<'_>) -> Result<()> {
    tx.all(sql!("delivery/escalation/lock"), &[]).await?;
    Ok(())
}

fn users_of<'a>(pairs: &[Pair<'a>]) -> Vec<&'a str> {
    pairs.iter().map(|pair| pair.user_id).collect()
}

/// Makes messages urgent for receivers, except for receivers with `most` open urgent messages. The counts are locked.
async fn reserve(tx: &Transaction<'_>, pairs: &[Pair<'_>], most: i32) -> Result<Vec<Judged>> {
    let users = users_of(pairs);
    let ms_ids: Vec<MsId> = pairs.iter().map(|pair| pair.ms_id).collect();
    let channels: Vec<ChannelId> = pairs.iter().map(|pair| pair.channel_id).collect();
    let seqs: Vec<i64> = pairs.iter().map(|pair| pair.seq).collect();
    let rows =
        tx.all(sql!("delivery/escalation/reserve"), &[&users, &ms_ids, &channels, &seqs, &most]).await?;
    let judged = |row: &Row| Judged {
        user_id: row.get("user_id"),
        ms_id: row.get("ms_id"),
        is_over: row.get("is_over"),
        is_new: row.get("is_new"),
    };
    Ok(rows.iter().map(judged).collect())
}

/// Emits `message.unread`, a page of receivers in each event. If no observer wants it, it writes nothing.
async fn tell(tx: &Transaction<'_>, unread: &[Unread], reason: Reason, now: OffsetDateTime) -> Result<()> {
    if unread.is_empty() {
        return Ok(());
    }
    let users: Vec<&str> = unread.iter().flat_map(|one| &one.user_ids).map(String::as_str).collect();
    let ways = preference::ways(tx, &users).await?;
    let mut events = Vec::new();
    for one in unread {
        let server_time = one.server_time.format(&Rfc3339).map_err(Error::internal)?;
        for named in one.user_ids.chunks(NAMED_MAX) {
            let receivers: Vec<Value> = named.iter().map(|user_id| receiver(user_id, &ways)).collect();
            let data = json!({
                "ms_id": one.ms_id, "channel_id": one.channel_id, "seq": one.seq,
                "sender": one.sender, "server_time": server_time, "reason": reason.as_str(),
                "after_s": one.after_s, "people": named.len(), "receivers": receivers,
            });
            events.push(json!({
                "channel_id": one.channel_id.0, "seq": one.seq, "ms_id": one.ms_id.0, "actor": one.sender, "data": data,
            }));
        }
    }
    tx.run(sql!("delivery/escalation/tell"), &[&Json(events), &now]).await?;
    Ok(())
}

fn receiver(user_id: &str, ways: &HashMap<String, Vec<String>>) -> Value {
    match ways.get(user_id) {
        Some(ways) => json!({"user_id": user_id, "ways": ways}),
        None => json!({"user_id": user_id}),
    }
}

/// Adds a step by hand: one more push. The caller does it at once, page by page.
pub async fn begin(
    tx: &Transaction<'_>,
    ms_id: MsId,
    channel_id: ChannelId,
    seq: i64,
    now: OffsetDateTime,
) -> Result<i64> {
    let due_at = now + TAKEN_OVER;
    let row = tx.one(sql!("delivery/escalation/begin"), &[&ms_id, &channel_id, &seq, &now, &due_at]).await?;
    Ok(row.get(0))
}

/// Decides for which receivers the messages of a push are urgent, before it is sent. Observers are told of receivers
/// with too many open urgent messages. It takes no longer than `within`, because the push waits meanwhile.
pub async fn admit(
    store: &Store,
    pairs: &[Pair<'_>],
    most: i32,
    (now, within): (OffsetDateTime, std::time::Duration),
) -> Result<HashSet<(MsId, String)>> {
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let admitted = retrying(|| admit_once(store, pairs, most, (now, within)));
    let too_late = |_| Error::unavailable("the urgent messages of a batch were not counted in time");
    tokio::time::timeout(within, admitted).await.map_err(too_late)?
}

async fn admit_once(
    store: &Store,
    pairs: &[Pair<'_>],
    most: i32,
    (now, within): (OffsetDateTime, std::time::Duration),
) -> Result<HashSet<(MsId, String)>> {
    let mut client = store.client().await?;
    // In a transaction of its own, so that the lock is held only to count.
    let tx = client.transaction().await?;
    bound_statements(&tx, within).await?;
    tx.run(sql!("delivery/escalation/close"), &[&users_of(pairs)]).await?;
    tx.commit().await?;
    let tx = client.transaction().await?;
    bound_statements(&tx, within).await?;
    lock_counts(&tx).await?;
    let judged = reserve(&tx, pairs, most).await?;
    let over: Vec<&Judged> = judged.iter().filter(|pair| pair.is_over && pair.is_new).collect();
    if !over.is_empty() {
        tell(&tx, &told_of(&tx, &over).await?, Reason::UrgentMax, now).await?;
    }
    tx.commit().await?;
    metrics::counter!("impg_urgent_over_total").increment(over.len() as u64);
    let admitted = judged.into_iter().filter(|pair| !pair.is_over);
    Ok(admitted.map(|pair| (pair.ms_id, pair.user_id)).collect())
}

/// The messages of these pairs, with their receivers.
async fn told_of(tx: &Transaction<'_>, pairs: &[&Judged]) -> Result<Vec<Unread>> {
    let ms_ids: Vec<MsId> = pairs.iter().map(|pair| pair.ms_id).collect();
    let users: Vec<&str> = pairs.iter().map(|pair| pair.user_id.as_str()).collect();
    let rows = tx.all(sql!("delivery/escalation/of_pairs"), &[&ms_ids, &users]).await?;
    Ok(rows.iter().map(Unread::of_row).collect())
}

/// Deletes rows that no longer count: at most `most` of each kind.
pub async fn prune(store: &Store, nudges_before: OffsetDateTime, most: i64) -> Result<i64> {
    Ok(store.one(sql!("delivery/escalation/prune"), &[&nudges_before, &most]).await?.get("pruned"))
}
