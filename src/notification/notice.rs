//! A notification: it is created, listed and recalled by its application.

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::base::audit::{self, Action, Entry};
use crate::base::claim::{self, Claim};
use crate::base::config::NotificationSettings;
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::store::{Statements, Store, retrying};
use crate::chat::message::{Content, Thread, Urgency, check_client_id};
use crate::sql;

/// Most departments that one call names.
const DEPARTMENTS_MAX: usize = 200;
/// The contents of the messages of one step have at most so many bytes together.
const STEP_BYTES: usize = 2 << 20;

/// The receivers of a notification. The parts are added.
#[derive(Debug, Default, Serialize, Clone)]
pub struct Target {
    pub user_ids: Vec<String>,
    pub department_ids: Vec<String>,
    /// Whether people of departments below the named ones are receivers too.
    pub below: bool,
    /// Whether all people are receivers.
    pub all: bool,
}

/// A notification to create.
#[derive(Debug, Clone)]
pub struct NewNotice {
    pub client_id: String,
    pub to: Target,
    pub content: Content,
    /// The fields of each message with these names.
    pub topic: Option<String>,
    pub data: Option<Value>,
    pub reference: Option<String>,
    /// The type and the content as the caller gives them, without what is known of its file. The client id stands for them.
    pub said: (&'static str, Value),
    /// Whether the gate has replaced the content.
    pub replaced: bool,
    pub urgency: Urgency,
    pub send_at: Option<OffsetDateTime>,
    pub expires_at: Option<OffsetDateTime>,
}

/// The limits of notifications, from the settings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    receivers: i32,
    open: i64,
    ahead: Duration,
    step: usize,
}

/// What a call that creates a notification is answered.
#[derive(Debug)]
pub struct Created {
    pub notification_id: i64,
    pub receivers: i32,
    /// The named users and departments that are not reached, each with the reason.
    pub problems: Value,
    pub repeated: bool,
    /// Whether the gate has replaced the content.
    pub replaced: bool,
}

/// A notification as its application sees it.
#[derive(Debug)]
pub struct Notice {
    pub notification_id: i64,
    pub client_id: String,
    pub created_at: OffsetDateTime,
    pub ms_type: String,
    pub content: Value,
    pub topic: Option<String>,
    pub data: Option<Value>,
    pub reference: Option<String>,
    pub is_urgent: bool,
    pub send_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub receivers: i32,
    /// The number of messages sent, and of receivers who get none.
    pub sent: i32,
    pub failed: i32,
    pub recalled_at: Option<OffsetDateTime>,
    /// Whether work on it is left.
    pub is_open: bool,
    /// Why the last step failed, if it did.
    pub failure: Option<String>,
}

/// What becomes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for `send_at`.
    Scheduled,
    Sending,
    Sent,
    /// It has expired before all messages were sent.
    Expired,
    Recalling,
    Recalled,
    /// Its steps failed too often. No further one is tried.
    Failed,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Expired => "expired",
            Self::Recalling => "recalling",
            Self::Recalled => "recalled",
            Self::Failed => "failed",
        }
    }
}

impl Limits {
    pub fn of(config: &NotificationSettings) -> Self {
        Self {
            receivers: i32::try_from(config.receivers_max).unwrap_or(i32::MAX - 1),
            open: config.open_max.into(),
            ahead: Duration::days(config.ahead_days.into()),
            step: config.step as usize,
        }
    }

    /// The number of receivers of one step, for a content of so many bytes.
    fn page(self, bytes: usize) -> i32 {
        let fit = (STEP_BYTES / bytes.max(1)).clamp(1, self.step);
        i32::try_from(fit).unwrap_or(i32::MAX)
    }
}

impl Target {
    fn check(&self) -> Result<()> {
        if self.department_ids.len() > DEPARTMENTS_MAX {
            let detail = format!("must name at most {DEPARTMENTS_MAX} departments");
            return Err(Error::field("/to/department_ids", detail));
        }
        if self.user_ids.is_empty() && self.department_ids.is_empty() && !self.all {
            return Err(Error::field("/to", "must name users, departments, or all"));
        }
        for (ids, at) in [(&self.user_ids, "/to/user_ids"), (&self.department_ids, "/to/department_ids")] {
            for (place, id) in ids.iter().enumerate() {
                check_id(id).map_err(|reason| Error::field(format!("{at}/{place}"), reason))?;
            }
        }
        Ok(())
    }
}

impl NewNotice {
    fn check(&self, limits: Limits, now: OffsetDateTime) -> Result<()> {
        check_client_id(&self.client_id, "")?;
        Thread::parse(self.topic.clone(), self.data.clone(), self.reference.clone(), "")?;
        self.to.check()?;
        if self.to.user_ids.len() > limits.receivers.unsigned_abs() as usize {
            return Err(too_many(limits.receivers, "/to/user_ids"));
        }
        if self.send_at.is_some_and(|at| at > now + limits.ahead) {
            let days = limits.ahead.whole_days();
            return Err(Error::field("/send_at", format!("must be within {days} days")));
        }
        if self.expires_at.is_some_and(|at| at <= self.sends_at(now)) {
            return Err(Error::field("/expires_at", "must be later than now, and than send_at"));
        }
        Ok(())
    }

    /// What each receiver will read: the type, the content and what goes with it.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("type".into(), self.content.ms_type().into());
        shown.insert("content".into(), self.content.to_json());
        let texts = [("topic", &self.topic), ("ref", &self.reference)];
        for (name, text) in texts {
            shown.extend(text.as_ref().map(|text| (name.to_owned(), text.as_str().into())));
        }
        shown.extend(self.data.clone().map(|data| ("data".to_owned(), data)));
        shown
    }

    /// A time that has passed means now.
    fn sends_at(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.send_at.map_or(now, |at| at.max(now))
    }

    fn claim<'a>(&'a self, caller: &'a str) -> Claim<'a> {
        Claim { caller, call: "notification", client_id: &self.client_id }
    }

    fn digest(&self) -> Result<Vec<u8>> {
        let Self { to, said: (ms_type, said), topic, data, reference, urgency, send_at, expires_at, .. } =
            self;
        let times = [send_at, expires_at].map(|at| at.map(OffsetDateTime::unix_timestamp_nanos));
        let named = (topic, data, reference);
        claim::digest(&(to, ms_type, said, named, urgency.digested(), times))
    }
}

impl Notice {
    fn of(row: &Row) -> Self {
        let recalled_at: Option<OffsetDateTime> = row.get("recalled_at");
        Self {
            notification_id: row.get("notification_id"),
            client_id: row.get("client_id"),
            created_at: row.get("created_at"),
            ms_type: row.get("ms_type"),
            content: row.get::<_, Json<Value>>("content").0,
            topic: row.get::<_, Option<String>>("topic").filter(|_| recalled_at.is_none()),
            data: row.get("data"),
            reference: row.get("ref"),
            is_urgent: row.get("urgent"),
            send_at: row.get("send_at"),
            expires_at: row.get("expires_at"),
            receivers: row.get("receivers"),
            sent: row.get("sent"),
            failed: row.get("failed"),
            recalled_at,
            is_open: row.get("is_open"),
            failure: row.get("failure"),
        }
    }

    /// Whether it has ended because its steps failed too often.
    pub const fn has_failed(&self) -> bool {
        !self.is_open && self.failure.is_some()
    }

    pub fn state(&self, now: OffsetDateTime) -> State {
        match (self.recalled_at.is_some(), self.is_open) {
            _ if self.has_failed() => State::Failed,
            (true, true) => State::Recalling,
            (true, false) => State::Recalled,
            (false, true) if self.send_at > now => State::Scheduled,
            (false, true) => State::Sending,
            (false, false) if self.sent + self.failed < self.receivers => State::Expired,
            (false, false) => State::Sent,
        }
    }
}

/// What an earlier call with the same `client_id` has created. A repeat needs neither the file, nor the times of the first
/// call: they may have passed.
pub async fn repeated(store: &Store, sender: &str, new: &NewNotice) -> Result<Option<Created>> {
    check_client_id(&new.client_id, "")?;
    made_before(store, sender, new).await
}

/// Creates a notification. A repeat with the same `client_id` is answered as the first call was.
pub async fn create(
    store: &Store,
    sender: &str,
    new: &NewNotice,
    limits: Limits,
    now: OffsetDateTime,
) -> Result<Created> {
    new.check(limits, now)?;
    match retrying(|| create_once(store, sender, new, (limits, now))).await? {
        Some(created) => Ok(created),
        None => made_before(store, sender, new).await?.ok_or_else(claim::forgotten),
    }
}

/// None: another call with this `client_id` has created it.
async fn create_once(
    store: &Store,
    sender: &str,
    new: &NewNotice,
    (limits, now): (Limits, OffsetDateTime),
) -> Result<Option<Created>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.opt(sql!("notification/notice/lock_sender"), &[&sender]).await?.ok_or_else(Error::unknown_caller)?;
    let open: i64 = tx.one(sql!("notification/notice/count_open"), &[&sender]).await?.get("open");
    let created = insert(&tx, sender, new, (limits, now)).await?;
    if !new.claim(sender).keep(&tx, &new.digest()?, (created.notification_id, now)).await? {
        return Ok(None);
    }
    if created.receivers > limits.receivers {
        return Err(too_many(limits.receivers, "/to"));
    }
    if open >= limits.open {
        let detail = format!("{} notifications of this application are not done: wait for them", limits.open);
        return Err(Error::new(Kind::TooManyNotifications, detail));
    }
    tx.commit().await?;
    Ok(Some(created))
}

async fn insert(
    tx: &Transaction<'_>,
    sender: &str,
    new: &NewNotice,
    (limits, now): (Limits, OffsetDateTime),
) -> Result<Created> {
    let NewNotice { client_id, to, content, topic, data, reference, urgency, expires_at, replaced, .. } = new;
    let body = content.to_json();
    let data_bytes = data.as_ref().map_or(0, |data| data.to_string().len());
    let page = limits.page(body.to_string().len() + data_bytes);
    let kinds: Vec<&str> = urgency.steps.iter().map(|step| step.kind.as_str()).collect();
    let after_s: Vec<i32> = urgency.steps.iter().map(|step| step.after_s).collect();
    let (send_at, ms_type, body) = (new.sends_at(now), content.ms_type(), Json(body));
    let parameters: [&(dyn ToSql + Sync); 20] = [
        &sender,
        client_id,
        &now,
        &to.user_ids,
        &to.department_ids,
        &to.below,
        &to.all,
        &limits.receivers,
        &page,
        &ms_type,
        &body,
        &urgency.is_urgent,
        &kinds,
        &after_s,
        &send_at,
        expires_at,
        topic,
        data,
        reference,
        replaced,
    ];
    Ok(created(&tx.one(sql!("notification/notice/create"), &parameters).await?, false))
}

async fn made_before(store: &Store, sender: &str, new: &NewNotice) -> Result<Option<Created>> {
    let client = store.client().await?;
    let Some(kept) = new.claim(sender).kept(&client).await? else {
        return Ok(None);
    };
    let notification_id = kept.of(&new.digest()?)?;
    let row = client.one(sql!("notification/notice/answer"), &[&notification_id]).await?;
    Ok(Some(created(&row, true)))
}

fn created(row: &Row, repeated: bool) -> Created {
    Created {
        notification_id: row.get("notification_id"),
        receivers: row.get("receivers"),
        problems: row.get::<_, Json<Value>>("problems").0,
        repeated,
        replaced: row.get("replaced"),
    }
}

fn too_many(most: i32, at: &str) -> Error {
    Error::field(at, format!("names more than {most} receivers: divide them among several notifications"))
}

/// The notifications of an application from a time on, newest first, below an id.
pub async fn list(
    store: &Store,
    sender: &str,
    from: Option<OffsetDateTime>,
    (below, limit): (i64, i64),
) -> Result<Vec<Notice>> {
    let rows = store.all(sql!("notification/notice/list"), &[&sender, &from, &below, &limit]).await?;
    Ok(rows.iter().map(Notice::of).collect())
}

/// A notification of an application. One of another application is not found.
pub async fn get(client: &impl Statements, sender: &str, notification_id: i64) -> Result<Notice> {
    let row = client.opt(sql!("notification/notice/get"), &[&sender, &notification_id]).await?;
    Ok(Notice::of(&row.ok_or_else(|| Error::not_found("no such notification"))?))
}

/// Recalls a notification: what is not sent is not sent, and the worker recalls what was sent. A repeat changes
/// nothing, unless the recall has failed: then it begins again.
pub async fn recall(
    store: &Store,
    sender: &str,
    notification_id: i64,
    now: OffsetDateTime,
) -> Result<Notice> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        let taken = tx.opt(sql!("notification/notice/recall"), &[&sender, &notification_id, &now]).await?;
        if let Some(row) = taken {
            let entry = Entry {
                at: now,
                actor: sender,
                action: Action::Recall,
                reason: None,
                filter: json!({"notification_id": notification_id.to_string(), "sender": sender}),
                results: Some(row.get::<_, i32>("sent").into()),
            };
            audit::append_with(&tx, entry).await?;
        }
        let notice = get(&tx, sender, notification_id).await?;
        tx.commit().await?;
        Ok(notice)
    })
    .await
}
