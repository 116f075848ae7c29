//! The steps of notifications. A step sends the messages of one page, or recalls them, and notes it in the same
//! transaction. So each receiver gets one message, whatever is killed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::base::config::Config;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store, retrying};
use crate::base::throttle::pace;
use crate::base::worker::{Tick, Work};
use crate::chat::channel::direct;
use crate::chat::message::{
    Batch, Batches, Bounds, Content, HeldFile, Lanes, NewStep, Outgoing, SendOutcome, StepKind, Thread,
    Urgency, inner_client_id, is_missing_partition,
};
use crate::records::recall::{RecallTarget, recall_all};
use crate::sql;

/// The pause of a notification after a step without progress: other transactions hold all its channels.
const PAUSE_LOCKED: Duration = Duration::from_millis(20);

/// The pause of a notification after a failed step. It doubles from the first to the longest.
const PAUSE_FIRST_MS: i64 = 1_000;
const PAUSE_LONGEST_MS: i64 = 300_000;
/// A notification ends when so many steps in a row have failed: after an hour, by the pauses.
const FAILURES_MAX: i32 = 20;
/// No notification has this id.
const NONE: i64 = 0;

/// Why a receiver gets no message.
const LEFT: &str = "left";
const SENDER_LEFT: &str = "sender_left";
const REFUSED: &str = "refused";

/// Sends and recalls notifications. Each replica has one. The row of a notification is locked by its step, so
/// that two replicas work on different ones.
pub struct Notifications {
    store: Store,
    batches: Batches,
    lanes: Lanes,
    receivers_per_second: u64,
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A notification whose step is due, locked.
struct Due {
    notification_id: i64,
    sender: String,
    ms_type: String,
    content: Value,
    thread: Thread,
    urgency: Urgency,
    page: i32,
    pages: i32,
    recalled_at: Option<OffsetDateTime>,
    is_expired: bool,
}

/// An item of a page: a receiver, and the message, or why there is none.
struct PageItem {
    user_id: String,
    channel_id: Option<ChannelId>,
    ms_id: Option<MsId>,
    seq: Option<i64>,
    reason: Option<String>,
    is_active: bool,
}

/// The result of a step.
#[derive(Debug, Default)]
struct Step {
    sent: i32,
    failed: i32,
    recalled: i32,
    /// Whether the page is done.
    is_done: bool,
}

impl Step {
    /// The messages sent or recalled.
    fn messages(&self) -> u64 {
        (self.sent + self.recalled).unsigned_abs().into()
    }
}

impl Notifications {
    pub fn new(config: &Config, lanes: Lanes) -> Self {
        Self {
            store: lanes.store.clone(),
            batches: Batches::new(config, lanes.clone()),
            lanes,
            receivers_per_second: config.notifications.receivers_per_second.into(),
        }
    }

    /// Does the next step. None: none is due, or other replicas do them. `taken` tells of which notification the step is.
    async fn step(&self, now: OffsetDateTime, taken: &AtomicI64) -> Result<Option<Step>> {
        taken.store(NONE, Ordering::Relaxed);
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let Some(row) = tx.opt(sql!("notification/step/take"), &[&now]).await? else {
            return Ok(None);
        };
        taken.store(row.get("notification_id"), Ordering::Relaxed);
        let due = Due::of(&row)?;
        match due.recalled_at {
            Some(at) => self.recall_page(tx, &due, at).await.map(Some),
            None if due.is_expired => {
                due.advance(&tx, &Step::default(), false).await?;
                tx.commit().await?;
                Ok(Some(Step { is_done: true, ..Step::default() }))
            }
            None => self.send_page(tx, &due, now).await.map(Some),
        }
    }

    /// Sends to the receivers of a page who have no message yet.
    async fn send_page(&self, tx: Transaction<'_>, due: &Due, now: OffsetDateTime) -> Result<Step> {
        let mut items = due.items(&tx).await?;
        let mut step = Step::default();
        for item in items.iter_mut().filter(|item| item.is_open() && !item.is_active) {
            item.reason = Some(LEFT.to_owned());
            step.failed += 1;
        }
        let sends = due.sends(&tx, &mut items, now).await?;
        let mut batch = None;
        if !sends.is_empty() {
            let outgoing: Vec<&Outgoing> = sends.iter().map(|(_, send)| send).collect();
            let stored = match self.batches.store(&tx, &outgoing, Bounds::Within).await {
                Err(e) if is_missing_partition(&e) => {
                    let channels: Vec<ChannelId> = items.iter().filter_map(|item| item.channel_id).collect();
                    tx.rollback().await?;
                    self.batches.make_missing_partitions(&channels).await?;
                    return Ok(Step::default());
                }
                stored => stored?,
            };
            let at: Vec<usize> = sends.iter().map(|(at, _)| *at).collect();
            batch = Some(settle(&mut items, &at, stored, &mut step)?);
        }
        step.is_done = items.iter().all(|item| !item.is_open());
        due.note(&tx, &items).await?;
        due.advance(&tx, &step, true).await?;
        tx.commit().await?;
        if let Some(batch) = batch {
            self.batches.wake(&batch);
            // New channels are told of, too.
            self.lanes.events.notify_one();
        }
        metrics::counter!("impg_notification_receivers_total", "result" => "sent")
            .increment(step.sent.unsigned_abs().into());
        metrics::counter!("impg_notification_receivers_total", "result" => "failed")
            .increment(step.failed.unsigned_abs().into());
        Ok(step)
    }

    /// Whether a step is due.
    async fn is_due(&self, now: OffsetDateTime) -> Result<bool> {
        Ok(self.store.one(sql!("notification/step/due"), &[&now]).await?.get(0))
    }

    /// Puts a notification back after a failed step, with a pause in which the others go on. After too many failures it
    /// ends.
    async fn put_back(&self, notification_id: i64, error: &Error) -> Result<()> {
        let now = self.store.now().await?;
        // A trouble of the whole database, such as a full disk or a restart, is no fault of the notification: it goes
        // on trying.
        let is_trouble = error.is_unavailable() || error.is_database_away();
        let (reason, most) = (reason(error), if is_trouble { i32::MAX } else { FAILURES_MAX });
        let parameters: [Parameter<'_>; 6] =
            [&notification_id, &now, &reason, &most, &PAUSE_FIRST_MS, &PAUSE_LONGEST_MS];
        let Some(row) = self.store.opt(sql!("notification/step/put_back"), &parameters).await? else {
            return Ok(());
        };
        let failures: i32 = row.get("failures");
        let result = if row.get("is_open") {
            tracing::warn!(notification_id, failures, %error, "a step of a notification failed: it is tried again");
            "retried"
        } else {
            tracing::error!(notification_id, failures, %error, "a notification is given up: its steps failed too often");
            "given_up"
        };
        metrics::counter!("impg_notification_failures_total", "result" => result).increment(1);
        Ok(())
    }

    /// Recalls the messages of a page.
    async fn recall_page(&self, tx: Transaction<'_>, due: &Due, at: OffsetDateTime) -> Result<Step> {
        let items = due.items(&tx).await?;
        let messages: Vec<RecallTarget> =
            items.iter().filter_map(|item| item.target(due.thread.topic())).collect();
        let mut step = Step { is_done: true, ..Step::default() };
        if !messages.is_empty() {
            let recalled = recall_all(&tx, &messages, &due.sender, at).await?;
            step.recalled = i32::try_from(recalled).unwrap_or(i32::MAX);
        }
        due.advance(&tx, &step, true).await?;
        tx.commit().await?;
        if step.recalled > 0 {
            self.lanes.index.notify_one();
            self.lanes.events.notify_one();
        }
        metrics::counter!("impg_notification_receivers_total", "result" => "recalled")
            .increment(step.recalled.unsigned_abs().into());
        Ok(step)
    }
}

impl Work for Notifications {
    /// Does a step of a notification that is due.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        if !self.is_due(now).await? {
            return Ok(Tick::Idle);
        }
        let began = Instant::now();
        let taken = AtomicI64::new(NONE);
        let step = match retrying(|| self.step(now, &taken)).await {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(Tick::Idle),
            Err(error) => {
                let notification_id = taken.load(Ordering::Relaxed);
                if notification_id == NONE {
                    return Err(error);
                }
                // Fails too while the database is away. If it is there, the step has ended its connection, which can still
                // be the next one of the pool.
                match self.put_back(notification_id, &error).await {
                    Err(lost) if lost.is_database_away() => self.put_back(notification_id, &error).await?,
                    put_back => put_back?,
                }
                return Ok(Tick::More);
            }
        };
        if step.sent + step.failed == 0 && !step.is_done {
            let (notification_id, pause) = (taken.load(Ordering::Relaxed), PAUSE_LOCKED.as_millis() as i64);
            self.store.run(sql!("notification/step/pause"), &[&notification_id, &now, &pause]).await?;
            if !self.is_due(now).await? {
                tokio::time::sleep(PAUSE_LOCKED).await;
            }
        }
        self.store.throttle().rest("notifications", began).await;
        pace(began, step.messages(), self.receivers_per_second).await;
        Ok(Tick::More)
    }
}

impl Due {
    fn of(row: &Row) -> Result<Self> {
        let (kinds, after_s): (Vec<String>, Vec<i32>) = (row.get("step_kinds"), row.get("step_after_s"));
        let step = |(kind, after_s): (&String, i32)| {
            let kind = StepKind::parse(kind).ok_or_else(|| Error::internal("a step of an unknown kind"))?;
            Ok(NewStep { kind, after_s })
        };
        Ok(Self {
            notification_id: row.get("notification_id"),
            sender: row.get("sender"),
            ms_type: row.get("ms_type"),
            content: row.get::<_, Json<Value>>("content").0,
            thread: Thread::parse(row.get("topic"), row.get("data"), row.get("ref"), "")?,
            urgency: Urgency {
                is_urgent: row.get("urgent"),
                steps: kinds.iter().zip(after_s).map(step).collect::<Result<_>>()?,
            },
            page: row.get("next_page"),
            pages: row.get("pages"),
            recalled_at: row.get("recalled_at"),
            is_expired: row.get("is_expired"),
        })
    }

    async fn items(&self, tx: &Transaction<'_>) -> Result<Vec<PageItem>> {
        let rows = tx.all(sql!("notification/step/page"), &[&self.notification_id, &self.page]).await?;
        Ok(rows.iter().map(PageItem::of).collect())
    }

    /// The messages to the receivers of the open items whose channels can be locked now, each with its position.
    async fn sends(
        &self,
        tx: &Transaction<'_>,
        items: &mut [PageItem],
        now: OffsetDateTime,
    ) -> Result<Vec<(usize, Outgoing)>> {
        let open: Vec<&str> =
            items.iter().filter(|item| item.is_open()).map(|item| item.user_id.as_str()).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let channels = direct::lock_all(tx, &self.sender, &open, now).await?;
        let content = Content::parse(&self.ms_type, self.content.clone(), "")?;
        let mut sends = Vec::with_capacity(channels.len());
        for (at, item) in items.iter_mut().enumerate().filter(|(_, item)| item.is_open()) {
            let Some(&channel_id) = channels.get(&item.user_id) else { continue };
            item.channel_id = Some(channel_id);
            let client_id = inner_client_id(&format!("n{}:{}", self.notification_id, item.user_id));
            let send = Outgoing::new(channel_id, &self.sender, Some(client_id), &content)?;
            let send = match content.file_id() {
                Some(file_id) => send.with_file(HeldFile::of(file_id), &content),
                None => send,
            };
            sends.push((at, send.with_urgency(self.urgency.clone()).with_thread(self.thread.clone())));
        }
        Ok(sends)
    }

    async fn note(&self, tx: &Transaction<'_>, items: &[PageItem]) -> Result<()> {
        let sent = |item: &PageItem| item.ms_id.is_some();
        let channels: Vec<Option<ChannelId>> =
            items.iter().map(|item| item.channel_id.filter(|_| sent(item))).collect();
        let ms_ids: Vec<Option<MsId>> = items.iter().map(|item| item.ms_id).collect();
        let seqs: Vec<Option<i64>> = items.iter().map(|item| item.seq).collect();
        let reasons: Vec<Option<&str>> = items.iter().map(|item| item.reason.as_deref()).collect();
        // Nearly always, all of them get one.
        let reasons = reasons.iter().any(Option::is_some).then_some(reasons);
        tx.run(
            sql!("notification/step/note"),
            &[&self.notification_id, &self.page, &channels, &ms_ids, &seqs, &reasons],
        )
        .await?;
        Ok(())
    }

    /// Ends the step. If the notification does not go on, no step is left.
    async fn advance(&self, tx: &Transaction<'_>, step: &Step, goes_on: bool) -> Result<()> {
        let next = self.page + i32::from(step.is_done);
        let is_open = goes_on && next < self.pages;
        tx.run(
            sql!("notification/step/advance"),
            &[&self.notification_id, &next, &step.sent, &step.failed, &is_open],
        )
        .await?;
        Ok(())
    }
}

impl PageItem {
    fn of(row: &Row) -> Self {
        Self {
            user_id: row.get("user_id"),
            channel_id: row.get("channel_id"),
            ms_id: row.get("ms_id"),
            seq: row.get("seq"),
            reason: row.get("reason"),
            is_active: row.get("active"),
        }
    }

    /// Whether it is not decided yet.
    fn is_open(&self) -> bool {
        self.ms_id.is_none() && self.reason.is_none()
    }

    fn target(&self, topic: Option<&str>) -> Option<RecallTarget> {
        let (ms_id, channel_id, seq) = (self.ms_id?, self.channel_id?, self.seq?);
        Some(RecallTarget { ms_id, channel_id, seq, replied: None, topic: topic.map(str::to_owned) })
    }
}

/// Why a step failed, for the application. The message of the database can quote people's data, so only its code is told.
fn reason(error: &Error) -> String {
    match error.database() {
        Some(db) => format!("{} (SQLSTATE {})", error.detail(), db.code().code()),
        None => error.detail().to_owned(),
    }
}

/// Takes the outcomes of the sends at these positions into their items.
fn settle(items: &mut [PageItem], at: &[usize], mut batch: Batch, step: &mut Step) -> Result<Batch> {
    for (at, outcome) in at.iter().zip(std::mem::take(&mut batch.outcomes)) {
        let item = &mut items[*at];
        match outcome.ok_or_else(|| Error::internal("no result for a send"))? {
            SendOutcome::Done(Ok(sent)) => {
                (item.ms_id, item.seq) = (Some(sent.ms_id), Some(sent.seq));
                step.sent += 1;
            }
            SendOutcome::Done(Err(refused)) => {
                let reason = if refused.kind == Kind::UnknownUser { SENDER_LEFT } else { REFUSED };
                item.reason = Some(reason.to_owned());
                step.failed += 1;
            }
            SendOutcome::Locked => {}
        }
    }
    Ok(batch)
}
