//! `/support/channels` and `/support/users`: channels, members and messages of other users, and users who are suspended or
//! have left, with a reason that the audit keeps.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::around::AroundView;
use super::messages::Cursor;
use super::search::meant;
use super::wire::{
    Json, LIMIT_DEFAULT, LIMIT_MAX, Page, PathId, Query, check_limit, check_reason, read_cursor, rfc3339,
    write_cursor,
};
use super::{Api, Authenticated, Now};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::text::is_blank;
use crate::chat::channel::oversight::{self, Attendance, Interval, Overseen, Rescue, Wanted};
use crate::chat::channel::{ChannelType, MemberRole};
use crate::identity::Role;
use crate::people::contacts::Viewer;
use crate::people::users::{self, Absence, Absent, UserKind};
use crate::records::history::{self, Position, Reading};

/// Most characters of a search text.
const WORDS_MAX_CHARS: usize = 255;
/// Messages on each side of a hit, when the caller gives no `limit`, and at most.
const AROUND_DEFAULT: i64 = 20;
const AROUND_MAX: i64 = 100;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/support/channels", get(find))
        .route("/support/channels/{channel_id}", get(show))
        .route("/support/channels/{channel_id}/members", get(members))
        .route("/support/channels/{channel_id}/messages", get(messages))
        .route("/support/channels/{channel_id}/owner", post(rescue))
        .route("/support/users", get(absent))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindQuery {
    member: Option<String>,
    q: Option<String>,
    owner: Option<String>,
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonQuery {
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MembersQuery {
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AbsentQuery {
    state: Option<String>,
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct AbsentView {
    user_id: String,
    name: String,
    kind: UserKind,
    state: Absence,
    #[serde(with = "rfc3339::option")]
    left_at: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesQuery {
    around: Option<String>,
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    user_id: String,
    reason: String,
}

#[derive(Serialize)]
pub struct ChannelView {
    channel_id: ChannelId,
    #[serde(rename = "type")]
    channel_type: ChannelType,
    name: Option<String>,
    picture: Option<String>,
    creator: String,
    owner: Option<OwnerView>,
    pair: Vec<PersonName>,
    member_count: i32,
    last_seq: i64,
    #[serde(with = "rfc3339")]
    create_time: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    last_server_time: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    dissolved_at: Option<OffsetDateTime>,
    department_id: Option<String>,
    is_member: Option<bool>,
}

#[derive(Serialize)]
struct OwnerView {
    user_id: String,
    name: String,
    active: bool,
}

#[derive(Serialize)]
struct PersonName {
    user_id: String,
    name: String,
}

#[derive(Serialize)]
struct AttendanceView {
    user_id: String,
    name: String,
    kind: String,
    active: bool,
    intervals: Vec<IntervalView>,
}

#[derive(Serialize)]
pub struct IntervalView {
    from_seq: i64,
    to_seq: Option<i64>,
    sees_from_seq: i64,
    #[serde(with = "rfc3339")]
    joined_at: OffsetDateTime,
    role: MemberRole,
    received_seq: i64,
    read_seq: i64,
}

impl From<Overseen> for ChannelView {
    fn from(c: Overseen) -> Self {
        let owner = c.owner.map(|o| OwnerView { user_id: o.user_id, name: o.name, active: o.active });
        Self {
            channel_id: c.channel_id,
            channel_type: c.channel_type,
            name: c.name,
            picture: c.picture,
            creator: c.creator,
            owner,
            pair: c.pair.into_iter().map(|(user_id, name)| PersonName { user_id, name }).collect(),
            member_count: c.member_count,
            last_seq: c.last_seq,
            create_time: c.create_time,
            last_server_time: c.last_server_time,
            dissolved_at: c.dissolved_at,
            department_id: c.department_id,
            is_member: c.is_member,
        }
    }
}

impl From<Attendance> for AttendanceView {
    fn from(a: Attendance) -> Self {
        let intervals = a.intervals.into_iter().map(Into::into).collect();
        Self { user_id: a.user_id, name: a.name, kind: a.kind, active: a.active, intervals }
    }
}

impl From<Interval> for IntervalView {
    fn from(i: Interval) -> Self {
        Self {
            from_seq: i.from_seq,
            to_seq: i.to_seq,
            sees_from_seq: i.sees_from_seq,
            joined_at: i.joined_at,
            role: i.role,
            received_seq: i.received_seq,
            read_seq: i.read_seq,
        }
    }
}

/// A look at what belongs to others: by which user, when and why.
pub struct Look<'a> {
    api: &'a Api,
    actor: &'a str,
    at: OffsetDateTime,
    reason: String,
}

impl<'a> Look<'a> {
    /// Refuses callers without the role, and a missing reason.
    pub fn new(
        api: &'a Api,
        caller: &'a Authenticated,
        at: OffsetDateTime,
        reason: Option<&str>,
    ) -> Result<Self> {
        caller.must_be(Role::Support)?;
        let reason = check_reason(reason)?
            .ok_or_else(|| Error::parameter("reason", "is required: the audit records why you look"))?;
        Ok(Self { api, actor: &caller.0.user_id, at, reason: reason.to_owned() })
    }

    /// Records the look. The results are shown only after that.
    pub async fn record(self, action: Action, filter: Value, results: usize) -> Result<()> {
        let (at, actor, reason) = (self.at, self.actor, Some(self.reason.as_str()));
        let entry = Entry { at, actor, action, reason, filter, results: Some(results as i64) };
        audit::append(&self.api.store, entry).await
    }
}

impl FindQuery {
    /// Whether only groups without an active owner are asked for.
    fn ownerless(&self) -> Result<bool> {
        match self.owner.as_deref() {
            Some("none") if self.member.is_some() => {
                Err(Error::parameter("owner", "cannot be combined with `member`"))
            }
            Some("none") => Ok(true),
            Some(_) => Err(Error::parameter("owner", "must be `none`: groups without an active owner")),
            None if self.member.is_none() && self.q.is_none() => {
                Err(Error::parameter("q", "is missing: give `q`, `member` or both, or `owner=none`"))
            }
            None => Ok(false),
        }
    }
}

async fn find(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Query(query): Query<FindQuery>,
) -> Result<Reply<Page<ChannelView>>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let ownerless = query.ownerless()?;
    if query.q.as_ref().is_some_and(|q| is_blank(q) || q.chars().count() > WORDS_MAX_CHARS) {
        let rule = format!("must have 1 to {WORDS_MAX_CHARS} characters, at least one of them visible");
        return Err(Error::parameter("q", rule));
    }
    let member = match query.member.as_deref() {
        Some(typed) => Some(meant(&api.store, &Viewer::default(), "member", typed).await?),
        None => None,
    };
    let below = query.cursor.as_deref().map(read_cursor).transpose()?.map_or(ChannelId::MAX, ChannelId);
    let wanted = Wanted { member: member.as_deref(), words: query.q.as_deref().map(str::trim), ownerless };
    let (found, next) = oversight::find(&api.store, wanted, below, limit as usize).await?;
    let filter = json!({"member": member, "q": query.q, "owner": query.owner, "cursor": query.cursor});
    look.record(Action::Channels, filter, found.len()).await?;
    let next_cursor = next.map(|below| write_cursor(&below.0));
    Ok(Reply(Page { items: found, next_cursor }.map(Into::into)))
}

async fn show(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Query(query): Query<ReasonQuery>,
) -> Result<Reply<ChannelView>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let channel = oversight::get(&api.store, channel_id).await?;
    look.record(Action::Channels, json!({"channel_id": channel_id.to_string()}), 1).await?;
    Ok(Reply(channel.into()))
}

async fn members(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Query(query): Query<MembersQuery>,
) -> Result<Reply<Page<AttendanceView>>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let found = oversight::attendance(&api.store, channel_id, &after, limit).await?;
    let filter = json!({"channel_id": channel_id.to_string(), "cursor": query.cursor});
    look.record(Action::Members, filter, found.len()).await?;
    let items = found.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(items, limit, |one: &AttendanceView| one.user_id.clone())))
}

/// Newest first, or around a hit. The cursors of both lead on in both directions.
async fn messages(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Query(query): Query<MessagesQuery>,
) -> Result<Reply<AroundView>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let reading = Reading { store: &api.store, archive: api.archive(), channel_id, reader: None };
    let view = match (&query.around, &query.cursor) {
        (Some(_), Some(_)) => {
            return Err(Error::parameter("cursor", "cannot be combined with `around`"));
        }
        (Some(ms_id), None) => {
            let ms_id = MsId::parse(ms_id)
                .ok_or_else(|| Error::parameter("around", "must be the `ms_id` of a message"))?;
            let each = check_limit(query.limit, AROUND_DEFAULT, AROUND_MAX)?;
            around(&api, reading, ms_id, each).await?
        }
        (None, cursor) => {
            let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
            let cursor = cursor.as_deref().map(read_cursor).transpose()?;
            page(reading, cursor, limit).await?
        }
    };
    let filter =
        json!({"channel_id": channel_id.to_string(), "around": query.around, "cursor": query.cursor});
    look.record(Action::Messages, filter, view.len()).await?;
    Ok(Reply(view))
}

async fn around(api: &Api, reading: Reading<'_>, ms_id: MsId, each: i64) -> Result<AroundView> {
    let missing = || Error::not_found("no such message in this channel");
    let found = history::locate(&api.store, api.archive(), ms_id).await?;
    let (_, place) = found.filter(|(of, _)| *of == reading.channel_id).ok_or_else(missing)?;
    Ok(reading.around(place, each).await?.ok_or_else(missing)?.into())
}

/// A page of a channel. It is newest first in both directions.
async fn page(reading: Reading<'_>, cursor: Option<Cursor>, limit: i64) -> Result<AroundView> {
    let Position { seq, ms_id } = Position::END;
    Ok(match cursor.unwrap_or(Cursor::Before { seq, ms_id, after_seq: 0 }) {
        Cursor::Before { seq, ms_id, after_seq } => {
            let (messages, full) = reading.before(Position { seq, ms_id }, after_seq, limit).await?;
            AroundView::of(messages, full, false)
        }
        Cursor::After { seq, ms_id } => {
            let (mut messages, full) = reading.after(Position { seq, ms_id }, limit).await?;
            messages.reverse();
            AroundView::of(messages, false, full)
        }
        Cursor::Topic { .. } => return Err(Error::parameter("cursor", "must be a cursor of this list")),
    })
}

async fn absent(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Query(query): Query<AbsentQuery>,
) -> Result<Reply<Page<AbsentView>>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let unknown = || Error::parameter("state", "must be `suspended` or `left`");
    let state = query.state.as_deref().map(|name| Absence::parse(name).ok_or_else(unknown)).transpose()?;
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let found = users::absent(&api.store, state, &after, limit).await?;
    let filter = json!({"state": state, "cursor": query.cursor});
    look.record(Action::Users, filter, found.len()).await?;
    let view = |one: Absent| AbsentView {
        user_id: one.user_id,
        name: one.name,
        kind: one.kind,
        state: one.state,
        left_at: one.left_at,
    };
    let views = found.into_iter().map(view).collect();
    Ok(Reply(Page::new(views, limit, |one: &AbsentView| one.user_id.clone())))
}

async fn rescue(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Json(new): Json<NewOwner>,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    let refuse = |e: Error| Error::field("/reason", e.detail);
    let reason = check_reason(Some(&new.reason)).map_err(refuse)?.unwrap_or_default();
    let (admin, new_owner) = (caller.0.user_id.as_str(), new.user_id.as_str());
    oversight::rescue(&api.store, Rescue { channel_id, new_owner, admin, reason, now }).await?;
    Ok(StatusCode::NO_CONTENT)
}
