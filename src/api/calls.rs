//! `/calls`: calls in channels, their signals, and what a client needs to send sound and pictures.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::wire::{Json, PathId, Query, check_client_id_if_any, rfc3339};
use super::{Api, Now, Person};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::number::{CallId, ChannelId};
use crate::calls::{Call, IceServer, IceServers, Kept, NewCall, Room, Shared};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/calls", get(list).post(begin))
        .route("/calls/{call_id}", get(read))
        .route("/calls/{call_id}/accept", post(accept))
        .route("/calls/{call_id}/decline", post(decline))
        .route("/calls/{call_id}/end", post(end))
        .route("/calls/{call_id}/signal", post(signal))
        .route("/calls/{call_id}/data", post(share))
        .route("/calls/{call_id}/ice-servers", get(ice_servers))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    channel_id: ChannelId,
    media: String,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    to: String,
    data: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    name: String,
    data: Value,
    keep: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    channel_id: Option<ChannelId>,
    state: Option<String>,
}

#[derive(Serialize)]
struct CallView {
    call_id: CallId,
    channel_id: ChannelId,
    caller: String,
    media: String,
    state: String,
    outcome: Option<String>,
    #[serde(with = "rfc3339")]
    began_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    rings_until: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    answered_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    users: Vec<UserView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<Kept>>,
}

#[derive(Serialize)]
struct UserView {
    user_id: String,
    state: String,
    busy: bool,
}

#[derive(Serialize)]
struct CallsView {
    items: Vec<CallView>,
}

/// A call that the caller is in, with what is needed to take part.
#[derive(Serialize)]
struct JoinedView {
    #[serde(flatten)]
    call: CallView,
    #[serde(flatten)]
    media: MediaView,
}

#[derive(Serialize)]
struct MediaView {
    ice_servers: Vec<IceServer>,
    #[serde(with = "rfc3339")]
    ice_expires_at: OffsetDateTime,
    livekit: Option<RoomView>,
}

#[derive(Serialize)]
struct RoomView {
    url: String,
    token: String,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

impl From<Call> for CallView {
    fn from(call: Call) -> Self {
        let Call { call_id, channel_id, caller, media, state, outcome, began_at, rings_until, .. } = call;
        let (answered_at, ended_at, data) = (call.answered_at, call.ended_at, call.data);
        let users = call.users.into_iter();
        let users = users.map(|u| UserView { user_id: u.user_id, state: u.state, busy: u.busy }).collect();
        Self {
            call_id,
            channel_id,
            caller,
            media,
            state,
            outcome,
            began_at,
            rings_until,
            answered_at,
            ended_at,
            users,
            data,
        }
    }
}

impl From<Room> for RoomView {
    fn from(Room { url, token, expires_at }: Room) -> Self {
        Self { url, token, expires_at }
    }
}

impl MediaView {
    fn of(api: &Api, call_id: CallId, user_id: &str, now: OffsetDateTime) -> Result<Self> {
        let IceServers { servers, expires_at } = api.calls.ice_servers(user_id, now);
        let livekit = api.calls.room(call_id, user_id, now)?.map(Into::into);
        Ok(Self { ice_servers: servers, ice_expires_at: expires_at, livekit })
    }
}

async fn begin(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(Begin { channel_id, media, client_id }): Json<Begin>,
) -> Result<impl IntoResponse> {
    check_client_id_if_any(client_id.as_deref())?;
    let new = NewCall { channel_id, media, client_id };
    let (call, is_new) = api.calls.begin(&caller.user_id, &new).await?;
    let media = MediaView::of(&api, call.call_id, &caller.user_id, now)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Reply(JoinedView { call: call.into(), media })))
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    Query(Listed { channel_id, state }): Query<Listed>,
) -> Result<Reply<CallsView>> {
    if state.is_some_and(|state| state != "live") {
        return Err(Error::parameter("state", "must be live: the calls that go on"));
    }
    let calls = api.calls.open(&caller.user_id, channel_id).await?;
    Ok(Reply(CallsView { items: calls.into_iter().map(Into::into).collect() }))
}

async fn read(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(call_id): PathId<CallId>,
) -> Result<Reply<CallView>> {
    Ok(Reply(api.calls.get(call_id, &caller.user_id).await?.into()))
}

async fn accept(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(call_id): PathId<CallId>,
) -> Result<Reply<JoinedView>> {
    let call = api.calls.accept(call_id, &caller.user_id).await?;
    let media = MediaView::of(&api, call_id, &caller.user_id, now)?;
    Ok(Reply(JoinedView { call: call.into(), media }))
}

async fn decline(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(call_id): PathId<CallId>,
) -> Result<Reply<CallView>> {
    Ok(Reply(api.calls.decline(call_id, &caller.user_id).await?.into()))
}

async fn end(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(call_id): PathId<CallId>,
) -> Result<Reply<CallView>> {
    Ok(Reply(api.calls.leave(call_id, &caller.user_id).await?.into()))
}

async fn signal(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(call_id): PathId<CallId>,
    Json(Signal { to, data }): Json<Signal>,
) -> Result<StatusCode> {
    check_id(&to).map_err(|reason| Error::field("/to", reason))?;
    api.calls.signal(&api.streams, (call_id, &caller.user_id), &to, &data).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn share(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(call_id): PathId<CallId>,
    Json(Share { name, data, keep }): Json<Share>,
) -> Result<StatusCode> {
    let shared = Shared { name, data, keep: keep.unwrap_or_default() };
    api.calls.share(&api.streams, (call_id, &caller.user_id), &shared).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ice_servers(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(call_id): PathId<CallId>,
) -> Result<Reply<MediaView>> {
    api.calls.check_in(call_id, &caller.user_id).await?;
    Ok(Reply(MediaView::of(&api, call_id, &caller.user_id, now)?))
}
