//! `/notifications`: messages of an application to many receivers.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::gate;
use super::messages::{filled, is_false, readable};
use super::wire::{
    Id, Json, LIMIT_MAX, Page, PathId, Query, check_limit, read_cursor, rfc3339, write_cursor,
};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, MsId};
use crate::chat::message::{Content, Mls, NO_FILE, Urgency};
use crate::delivery::gate::Subject;
use crate::identity::Caller;
use crate::notification::notice::{self, Limits, NewNotice, Notice, Target};
use crate::notification::progress::{self, Counts, Cursor, Receiver, ReceiverStatus};
use crate::people::preference::Priority;
use crate::people::users::check_application;

const LIMIT_DEFAULT: i64 = 50;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/notifications", post(create).get(list))
        .route("/notifications/{notification_id}", get(show).delete(recall))
        .route("/notifications/{notification_id}/receivers", get(receivers))
}

/// An authenticated caller that is an application.
struct Application(Caller);

impl FromRequestParts<Api> for Application {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        let Person(caller) = Person::from_request_parts(parts, api).await?;
        check_application(&api.store, &caller.user_id).await.map_err(IntoResponse::into_response)?;
        Ok(Self(caller))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNotification {
    to: To,
    #[serde(rename = "type")]
    ms_type: String,
    content: Value,
    topic: Option<String>,
    data: Option<Value>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    client_id: String,
    #[serde(default, with = "rfc3339::option")]
    send_at: Option<OffsetDateTime>,
    #[serde(default, with = "rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    priority: Option<Priority>,
    escalate: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    user_ids: Option<Vec<String>>,
    department_ids: Option<Vec<String>>,
    below: Option<bool>,
    all: Option<bool>,
}

#[derive(Serialize)]
struct CreatedView {
    notification_id: Id,
    receivers: i32,
    problems: Value,
    #[serde(skip_serializing_if = "is_false")]
    replaced: bool,
}

#[derive(Serialize)]
struct NoticeView {
    notification_id: Id,
    client_id: String,
    state: &'static str,
    #[serde(rename = "type")]
    ms_type: String,
    content: Value,
    topic: Option<String>,
    data: Option<Value>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    priority: Priority,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    send_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    recalled_at: Option<OffsetDateTime>,
    receivers: i32,
    sent: i32,
    failed: i32,
    failure: Option<String>,
}

#[derive(Serialize)]
struct ProgressView {
    #[serde(flatten)]
    notice: NoticeView,
    counts: CountsView,
}

#[derive(Serialize)]
struct CountsView {
    waiting: i64,
    unreceived: i64,
    received: i64,
    read: i64,
    recalled: i64,
    cancelled: i64,
    expired: i64,
    failed: i64,
}

#[derive(Serialize)]
struct ReceiverView {
    user_id: String,
    name: String,
    status: &'static str,
    ms_id: Option<MsId>,
    channel_id: Option<ChannelId>,
    verdict: Option<&'static str>,
    reason: Option<String>,
    #[serde(with = "rfc3339::option")]
    last_modified_time: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    from: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiversQuery {
    status: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The page of a notification, and the last user of the page before.
#[derive(Serialize, Deserialize)]
struct After(i32, String);

impl NewNotification {
    /// The notification as the caller gives it. Its file is not read yet.
    fn read(self, api: &Api) -> Result<NewNotice> {
        let To { user_ids, department_ids, below, all } = self.to;
        let content = plain(Content::parse(&self.ms_type, self.content, "")?)?;
        Ok(NewNotice {
            client_id: self.client_id,
            to: Target {
                user_ids: user_ids.unwrap_or_default(),
                department_ids: department_ids.unwrap_or_default(),
                below: below.unwrap_or_default(),
                all: all.unwrap_or_default(),
            },
            said: (content.ms_type(), content.to_json()),
            content,
            replaced: false,
            topic: self.topic,
            data: self.data,
            reference: self.reference,
            urgency: Urgency::parse(self.priority, self.escalate, api.config.chat.escalate_within(), "")?,
            send_at: self.send_at,
            expires_at: self.expires_at,
        })
    }
}

/// Refuses an encrypted content: direct channels with an application are plain.
fn plain(content: Content) -> Result<Content> {
    if content.ms_type() == Mls::TYPE {
        return Err(Error::field(
            "/type",
            "must not be mls: a notification goes to many channels, and they are not encrypted",
        ));
    }
    Ok(content)
}

/// The content with what is known of its file, which each message will hold. The send checks again whether the sender can
/// read it.
async fn complete(
    api: &Api,
    sender: &str,
    content: Content,
    send_at: Option<OffsetDateTime>,
) -> Result<Content> {
    const AT: &str = "/content/file_id";
    let Some(file_id) = content.file_id() else { return Ok(content) };
    let Some(file) = readable(api, sender, file_id).await? else {
        return Err(Error::field(AT, NO_FILE));
    };
    if send_at.zip(file.expires_at).is_some_and(|(sent, removed)| removed <= sent) {
        let detail =
            "names a file that is removed before `send_at`: upload it later, or send a message with it";
        return Err(Error::field(AT, detail));
    }
    let filled = filled(content, file, AT)?;
    // The worker reads it in the same way.
    Content::parse(filled.ms_type(), filled.to_json(), "")
}

/// Asks the gate about a notification, once for all its receivers. Its content is then that of the gate, if the gate gives
/// another.
async fn pass(api: &Api, sender: &str, mut new: NewNotice) -> Result<NewNotice> {
    let Some(gate) = api.gate() else { return Ok(new) };
    let asked = gate::ask(api, &gate, Subject::Notification, (None, sender), new.to_json()).await?;
    let Some(by) = asked else { return Ok(new) };
    let made = match Content::parse(&by.ms_type, by.content, "").and_then(plain) {
        Ok(content) => complete(api, sender, content, new.send_at).await,
        Err(e) => Err(e),
    };
    if let Some(content) = gate::settle(&gate, made)? {
        (new.content, new.replaced) = (content, true);
    }
    Ok(new)
}

impl NoticeView {
    fn of(notice: Notice, now: OffsetDateTime) -> Self {
        Self {
            state: notice.state(now).as_str(),
            notification_id: Id(notice.notification_id),
            client_id: notice.client_id,
            ms_type: notice.ms_type,
            content: notice.content,
            topic: notice.topic,
            data: notice.data,
            reference: notice.reference,
            priority: if notice.is_urgent { Priority::Urgent } else { Priority::Normal },
            created_at: notice.created_at,
            send_at: notice.send_at,
            expires_at: notice.expires_at,
            recalled_at: notice.recalled_at,
            receivers: notice.receivers,
            sent: notice.sent,
            failed: notice.failed,
            failure: notice.failure,
        }
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            waiting: counts.of(ReceiverStatus::Waiting),
            unreceived: counts.of(ReceiverStatus::Unreceived),
            received: counts.of(ReceiverStatus::Received),
            read: counts.of(ReceiverStatus::Read),
            recalled: counts.of(ReceiverStatus::Recalled),
            cancelled: counts.of(ReceiverStatus::Cancelled),
            expired: counts.of(ReceiverStatus::Expired),
            failed: counts.of(ReceiverStatus::Failed),
        }
    }
}

impl From<Receiver> for ReceiverView {
    fn from(receiver: Receiver) -> Self {
        Self {
            user_id: receiver.user_id,
            name: receiver.name,
            status: receiver.status.as_str(),
            ms_id: receiver.ms_id,
            channel_id: receiver.channel_id,
            verdict: receiver.verdict.map(|verdict| verdict.as_str()),
            reason: receiver.reason,
            last_modified_time: receiver.last_modified_time,
        }
    }
}

async fn create(
    State(api): State<Api>,
    Application(caller): Application,
    Json(new): Json<NewNotification>,
) -> Result<impl IntoResponse> {
    let (new, sender) = (new.read(&api)?, caller.user_id.as_str());
    let created = match notice::repeated(&api.store, sender, &new).await? {
        Some(created) => created,
        None => {
            let content = complete(&api, sender, new.content, new.send_at).await?;
            let new = NewNotice { content, ..new };
            match pass(&api, sender, new.clone()).await {
                Ok(new) => {
                    // The clock of the database, by which the worker sends.
                    let (now, limits) = (api.store.now().await?, Limits::of(&api.config.notifications));
                    notice::create(&api.store, sender, &new, limits, now).await?
                }
                // Another call with its client id may have created it meanwhile.
                Err(e) => notice::repeated(&api.store, sender, &new).await?.ok_or(e)?,
            }
        }
    };
    api.notifications.notify_one();
    let status = if created.repeated { StatusCode::OK } else { StatusCode::ACCEPTED };
    let view = CreatedView {
        notification_id: Id(created.notification_id),
        receivers: created.receivers,
        problems: created.problems,
        replaced: created.replaced,
    };
    Ok((status, Reply(view)))
}

async fn list(
    State(api): State<Api>,
    Application(caller): Application,
    Query(query): Query<ListQuery>,
) -> Result<Reply<Page<NoticeView>>> {
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let below = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or(i64::MAX);
    let time = |text: &str| {
        let rule =
            || Error::parameter("from", "must be a time by RFC 3339, for example 2026-11-01T00:00:00Z");
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| rule())
    };
    let from = query.from.as_deref().map(time).transpose()?;
    let now = api.store.now().await?;
    let notices = notice::list(&api.store, &caller.user_id, from, (below, limit)).await?;
    let views = notices.into_iter().map(|notice| NoticeView::of(notice, now)).collect();
    Ok(Reply(Page::new(views, limit, |last: &NoticeView| last.notification_id.0)))
}

async fn show(
    State(api): State<Api>,
    Application(caller): Application,
    PathId(notification_id): PathId<i64>,
) -> Result<Reply<ProgressView>> {
    let now = api.store.now().await?;
    let (notice, counts) = progress::get(&api.store, &caller.user_id, notification_id).await?;
    Ok(Reply(ProgressView { notice: NoticeView::of(notice, now), counts: counts.into() }))
}

async fn recall(
    State(api): State<Api>,
    Application(caller): Application,
    PathId(notification_id): PathId<i64>,
) -> Result<(StatusCode, Reply<NoticeView>)> {
    let now = api.store.now().await?;
    let notice = notice::recall(&api.store, &caller.user_id, notification_id, now).await?;
    api.notifications.notify_one();
    Ok((StatusCode::ACCEPTED, Reply(NoticeView::of(notice, now))))
}

async fn receivers(
    State(api): State<Api>,
    Application(caller): Application,
    PathId(notification_id): PathId<i64>,
    Query(query): Query<ReceiversQuery>,
) -> Result<Reply<Page<ReceiverView>>> {
    let wanted = statuses(query.status.as_deref())?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: Option<After> = query.cursor.as_deref().map(read_cursor).transpose()?;
    let after = after.map(|After(page, user_id)| Cursor { page, user_id }).unwrap_or_default();
    let of = (caller.user_id.as_str(), notification_id);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (found, next) = progress::receivers(&api.store, api.archive(), of, &wanted, (after, limit)).await?;
    let next_cursor = next.map(|next| write_cursor(&After(next.page, next.user_id)));
    Ok(Reply(Page { items: found, next_cursor }.map(Into::into)))
}

/// The statuses in a list. `unread` stands for both that come before `read`.
fn statuses(text: Option<&str>) -> Result<Vec<ReceiverStatus>> {
    let mut statuses = Vec::new();
    for word in text.into_iter().flat_map(|text| text.split(',')) {
        match (word, ReceiverStatus::parse(word)) {
            ("unread", _) => statuses.extend([ReceiverStatus::Unreceived, ReceiverStatus::Received]),
            (_, Some(status)) => statuses.push(status),
            _ => {
                let words = ReceiverStatus::ALL.map(ReceiverStatus::as_str).join(", ");
                let rule = format!("must be unread, {words}, or several of them with commas between");
                return Err(Error::parameter("status", rule));
            }
        }
    }
    Ok(statuses)
}
