//! Groups that users join by themselves: found, joined, asked for; invites; and silences of members.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::channels::ChannelView;
use super::wire::{
    Json, LIMIT_DEFAULT, LIMIT_MAX, MaybeJson, Page, PageQuery, PathId, PathMember, PathPair, Query,
    check_client_id_if_any, check_limit, read_cursor, rfc3339, write_cursor,
};
use super::{Api, Person, Viewer};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::chat::channel::invite::{self, Invite, NewInvite};
use crate::chat::channel::joining::{self, Answer, Found, JoinRequest};
use crate::chat::channel::{self, JoinRule, silence};
use crate::identity::Caller;

/// Most characters of a search text, and of a code.
const TYPED_MAX_CHARS: usize = 255;
const CODE_MAX_CHARS: usize = 64;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/channels/search", get(search))
        .route("/channels/join", post(join_by_code))
        .route("/channels/{channel_id}/join", post(join))
        .route("/channels/{channel_id}/requests", get(requests).post(ask).delete(withdraw))
        .route("/channels/{channel_id}/requests/{user_id}/approve", post(approve))
        .route("/channels/{channel_id}/requests/{user_id}/decline", post(decline))
        .route("/channels/{channel_id}/invites", get(invites).post(create_invite))
        .route("/channels/{channel_id}/invites/{invite_id}", delete(revoke_invite))
        .route("/channels/{channel_id}/members/{user_id}/silence", put(set_silence).delete(end_silence))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedInvite {
    uses: Option<u32>,
    #[serde(default, with = "rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedSilence {
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
}

#[derive(Serialize)]
struct FoundView {
    channel_id: ChannelId,
    name: Option<String>,
    picture: Option<String>,
    description: Option<String>,
    member_count: i32,
    join: JoinRule,
    is_member: bool,
}

#[derive(Serialize)]
struct RequestedView {
    #[serde(with = "rfc3339")]
    requested_at: OffsetDateTime,
}

#[derive(Serialize)]
struct RequestView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    message: Option<String>,
    #[serde(with = "rfc3339")]
    requested_at: OffsetDateTime,
}

#[derive(Serialize)]
struct InviteView {
    invite_id: String,
    code: String,
    uses_left: i32,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
    created_by: String,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
}

#[derive(Serialize)]
struct Invites {
    items: Vec<InviteView>,
}

impl From<Found> for FoundView {
    fn from(f: Found) -> Self {
        let Found { channel_id, name, picture, description, member_count, join, is_member } = f;
        Self { channel_id, name, picture, description, member_count, join, is_member }
    }
}

impl From<JoinRequest> for RequestView {
    fn from(r: JoinRequest) -> Self {
        let JoinRequest { user_id, name, head_icon, message, requested_at } = r;
        Self { user_id, name, head_icon, message, requested_at }
    }
}

impl From<Invite> for InviteView {
    fn from(i: Invite) -> Self {
        let Invite { invite_id, code, uses_left, expires_at, created_by, created_at } = i;
        Self { invite_id: invite_id.to_string(), code, uses_left, expires_at, created_by, created_at }
    }
}

/// Refuses external users: they see only groups that they were added to, or have a code for.
async fn must_be_inside(api: &Api, caller: &Caller) -> Result<()> {
    let Viewer(viewer) = Viewer::of(api, caller).await?;
    match viewer.external() {
        None => Ok(()),
        Some(_) => {
            let detail = "external users join a group with a code: POST /channels/join";
            Err(Error::new(Kind::Forbidden, detail))
        }
    }
}

async fn search(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<SearchQuery>,
) -> Result<Reply<Page<FoundView>>> {
    must_be_inside(&api, &caller).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let typed = query.q.as_deref().map(str::trim).filter(|typed| !typed.is_empty());
    if typed.is_some_and(|typed| typed.chars().count() > TYPED_MAX_CHARS) {
        return Err(Error::parameter("q", format!("must have at most {TYPED_MAX_CHARS} characters")));
    }
    let below: Option<i64> = query.cursor.as_deref().map(read_cursor).transpose()?;
    let below = ChannelId(below.unwrap_or(i64::MAX));
    let (found, next) = joining::search(&api.store, &caller.user_id, typed, (below, limit)).await?;
    let next_cursor = next.map(|below| write_cursor(&below.0));
    Ok(Reply(Page { items: found, next_cursor }.map(Into::into)))
}

async fn join_by_code(
    State(api): State<Api>,
    Person(caller): Person,
    Json(Code { code }): Json<Code>,
) -> Result<Reply<ChannelView>> {
    if code.is_empty() || code.chars().count() > CODE_MAX_CHARS {
        return Err(Error::field("/code", format!("must have 1 to {CODE_MAX_CHARS} characters")));
    }
    let most = api.config.chat.group_max_members;
    let id = invite::join(&api.store, &code, &caller.user_id, most).await?;
    joined(&api, &caller, id).await
}

async fn join(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
) -> Result<Reply<ChannelView>> {
    must_be_inside(&api, &caller).await?;
    joining::join(&api.store, id, &caller.user_id, api.config.chat.group_max_members).await?;
    joined(&api, &caller, id).await
}

async fn joined(api: &Api, caller: &Caller, id: ChannelId) -> Result<Reply<ChannelView>> {
    Ok(Reply(channel::get(&api.store, id, &caller.user_id).await?.into()))
}

async fn ask(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    MaybeJson(asked): MaybeJson<Asked>,
) -> Result<Reply<RequestedView>> {
    must_be_inside(&api, &caller).await?;
    let most = api.config.chat.join_requests_max;
    let requested_at = joining::ask(&api.store, id, &caller.user_id, asked.message.as_deref(), most).await?;
    Ok(Reply(RequestedView { requested_at }))
}

async fn withdraw(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
) -> Result<StatusCode> {
    joining::withdraw(&api.store, id, &caller.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn requests(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<RequestView>>> {
    let limit = page.limit()?;
    let after: String = page.cursor()?.unwrap_or_default();
    let waiting = joining::requests(&api.store, id, &caller.user_id, (&after, limit)).await?;
    let page = Page::new(waiting, limit, |request: &JoinRequest| request.user_id.clone());
    Ok(Reply(page.map(Into::into)))
}

async fn approve(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
) -> Result<StatusCode> {
    let answer = Answer::Approve { most_members: api.config.chat.group_max_members };
    joining::answer(&api.store, id, &caller.user_id, &user, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn decline(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
) -> Result<StatusCode> {
    joining::answer(&api.store, id, &caller.user_id, &user, Answer::Decline).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_invite(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    MaybeJson(wanted): MaybeJson<WantedInvite>,
) -> Result<impl IntoResponse> {
    let WantedInvite { uses, expires_at, client_id } = wanted;
    check_client_id_if_any(client_id.as_deref())?;
    let new = NewInvite { uses, expires_at, client_id };
    let (made, is_new) = invite::create(&api.store, id, &caller.user_id, &new, &api.config.chat).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Reply(InviteView::from(made))))
}

async fn invites(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
) -> Result<Reply<Invites>> {
    let invites = invite::list(&api.store, id, &caller.user_id).await?;
    Ok(Reply(Invites { items: invites.into_iter().map(Into::into).collect() }))
}

async fn revoke_invite(
    State(api): State<Api>,
    Person(caller): Person,
    PathPair(id, invite_id): PathPair<ChannelId, i64>,
) -> Result<StatusCode> {
    invite::revoke(&api.store, id, &caller.user_id, invite_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_silence(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
    Json(WantedSilence { until }): Json<WantedSilence>,
) -> Result<StatusCode> {
    silence::set(&api.store, id, &caller.user_id, &user, Some(until)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_silence(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
) -> Result<StatusCode> {
    silence::set(&api.store, id, &caller.user_id, &user, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
