//! `/channels/{channel_id}/robots` and `/robots/{token}`: robots of a group, and the calls of programs.

use std::convert::Infallible;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json as Reply, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::messages::holding;
use super::problem::log_failure;
use super::wire::{Json, PathId, PathPair, PathWord, check_client_id_if_any, read_body, rfc3339};
use super::{Api, Person, request};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, FileId, Id};
use crate::chat::message::{Content, Outgoing};
use crate::chat::robot::{
    self, Address, Body, Called, Change, Dialect, Limits, Manager, NewRobot, Proof, Refusal, Robot, Said,
};
use crate::files::NewFile;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/channels/{channel_id}/robots", get(list).post(create))
        .route("/channels/{channel_id}/robots/{robot_id}", patch(change).delete(remove))
        .route("/channels/{channel_id}/robots/{robot_id}/rotate", post(rotate))
}

/// The address of a robot needs no identity: its token is the proof.
pub fn open_routes() -> Router<Api> {
    Router::new().route("/robots/{token}", post(receive))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    must_sign: Option<bool>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RobotChange {
    name: Option<String>,
    must_sign: Option<bool>,
}

#[derive(Serialize)]
struct RobotView {
    robot_id: Id,
    user_id: String,
    name: String,
    must_sign: bool,
    created_by: String,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    rotated_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct RobotsView {
    items: Vec<RobotView>,
}

/// A robot with its secrets, which are shown once.
#[derive(Serialize)]
struct NewRobotView {
    #[serde(flatten)]
    robot: RobotView,
    secret: Option<String>,
    urls: Option<Urls>,
}

/// The address as clients of each kind take it.
#[derive(Serialize)]
struct Urls {
    dingtalk: String,
    wecom: String,
}

impl From<Robot> for RobotView {
    fn from(robot: Robot) -> Self {
        let Robot { robot_id, user_id, name, must_sign, created_by, created_at, rotated_at } = robot;
        Self { robot_id: Id(robot_id), user_id, name, must_sign, created_by, created_at, rotated_at }
    }
}

impl NewRobotView {
    fn of(api: &Api, robot: Robot, address: Option<&Address>) -> Self {
        let secret = address.map(|address| address.secret().to_owned());
        Self { robot: robot.into(), secret, urls: address.map(|address| Urls::of(api, address)) }
    }
}

impl Urls {
    fn of(api: &Api, address: &Address) -> Self {
        let robots = match api.config.chat.robot_url.as_str() {
            "" => "/api/v1/robots",
            url => url.trim_end_matches('/'),
        };
        let url = format!("{robots}/{}", address.token());
        Self {
            // Clients append `&timestamp=…` without looking for a `?`.
            dingtalk: format!("{url}?robot=dingtalk"),
            wecom: format!("{url}?key={}", address.secret()),
        }
    }
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
) -> Result<Reply<RobotsView>> {
    let robots = robot::list(&api.store, channel_id, &caller.user_id).await?;
    Ok(Reply(RobotsView { items: robots.into_iter().map(Into::into).collect() }))
}

async fn create(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
    Json(new): Json<Wanted>,
) -> Result<impl IntoResponse> {
    check_client_id_if_any(new.client_id.as_deref())?;
    let Wanted { name, must_sign, client_id } = new;
    let new = NewRobot { name, must_sign: must_sign.unwrap_or(true), client_id };
    let by = Manager { channel_id, caller: &caller.user_id, now: api.store.now().await? };
    let limits =
        Limits { robots: api.config.chat.robots_per_group, members: api.config.chat.group_max_members };
    let (robot, address) = robot::create(&api.store, by, &new, limits).await?;
    let status = if address.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Reply(NewRobotView::of(&api, robot, address.as_ref()))))
}

async fn change(
    State(api): State<Api>,
    Person(caller): Person,
    PathPair(channel_id, robot_id): PathPair<ChannelId, i64>,
    Json(change): Json<RobotChange>,
) -> Result<Reply<RobotView>> {
    let RobotChange { name, must_sign } = change;
    let by = Manager { channel_id, caller: &caller.user_id, now: api.store.now().await? };
    Ok(Reply(robot::change(&api.store, by, robot_id, &Change { name, must_sign }).await?.into()))
}

async fn rotate(
    State(api): State<Api>,
    Person(caller): Person,
    PathPair(channel_id, robot_id): PathPair<ChannelId, i64>,
) -> Result<Reply<NewRobotView>> {
    let by = Manager { channel_id, caller: &caller.user_id, now: api.store.now().await? };
    let (robot, address) = robot::rotate(&api.store, by, robot_id).await?;
    Ok(Reply(NewRobotView::of(&api, robot, Some(&address))))
}

async fn remove(
    State(api): State<Api>,
    Person(caller): Person,
    PathPair(channel_id, robot_id): PathPair<ChannelId, i64>,
) -> Result<StatusCode> {
    let by = Manager { channel_id, caller: &caller.user_id, now: api.store.now().await? };
    robot::remove(&api.store, by, robot_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parameters of a call. Clients repeat some of them; the last one counts. Others are ignored.
#[derive(Default)]
struct Parameters {
    timestamp: Option<String>,
    sign: Option<String>,
    key: Option<String>,
}

impl Parameters {
    fn read(query: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "timestamp" => &mut read.timestamp,
                "sign" => &mut read.sign,
                "key" => &mut read.key,
                _ => continue,
            };
            *place = Some(value.into_owned());
        }
        read
    }

    /// WeCom's clients give a `key`.
    fn dialect(&self) -> Dialect {
        if self.key.is_some() { Dialect::WeCom } else { Dialect::DingTalk }
    }

    fn proof(&self) -> Proof<'_> {
        let Self { timestamp, sign, key } = self;
        Proof { timestamp: timestamp.as_deref(), sign: sign.as_deref(), key: key.as_deref() }
    }
}

/// The media type of the body does not count, because many scripts give none. The body of a stranger is not read, so
/// that it takes no room from others.
async fn receive(
    State(api): State<Api>,
    PathWord(token): PathWord,
    RawQuery(query): RawQuery,
    body: HttpBody,
) -> Result<Response> {
    let parameters = Parameters::read(&query.unwrap_or_default());
    let sent = match robot::called(&api.store, &token, &parameters.proof()).await {
        Ok(called) => send(&api, &called, &read_body(body, &api).await?).await,
        Err(refusal) => Err(refusal),
    };
    Ok(answer(parameters.dialect(), sent))
}

async fn send(api: &Api, called: &Called, body: &Bytes) -> std::result::Result<(), Refusal> {
    let body = Body::parse(body)?;
    // What cannot be a message takes no place.
    if !matches!(body.said, Said::Picture(_)) {
        body.said.content()?;
    }
    // The clock of the database, so that all replicas count the same minute.
    let now = api.store.now().await?;
    called.take_place(&api.store, api.config.chat.robot_per_minute, now).await?;
    if let Said::Picture(bytes) = body.said {
        return send_picture(api, called, bytes, now).await;
    }
    let mentions = called.mentions(&api.store, &body.mentions).await?;
    let outgoing = outgoing(called, &body.said.content()?)?.with_mentions(mentions);
    say(api, outgoing).await
}

fn outgoing(called: &Called, content: &Content) -> Result<Outgoing> {
    Outgoing::new(called.channel_id, &called.user_id, None, content)
}

async fn say(api: &Api, outgoing: Outgoing) -> std::result::Result<(), Refusal> {
    api.send(outgoing).await?;
    Ok(())
}

/// Stores a picture as a file of the robot, which the readers of the message can read. Of a call that is refused no file is
/// left.
async fn send_picture(
    api: &Api,
    called: &Called,
    bytes: Vec<u8>,
    now: OffsetDateTime,
) -> std::result::Result<(), Refusal> {
    let new = NewFile {
        name: "image".to_owned(),
        size: bytes.len() as u64,
        metadata: None,
        sha256: None,
        client_id: None,
    };
    let bytes = stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
    let (file_id, _) = api.files.put(&called.user_id, new, bytes, now).await?;
    let sent = say_picture(api, called, file_id).await;
    if sent.is_err()
        && let Err(error) = api.files.remove(file_id, &called.user_id, now).await
    {
        // As every file that no message holds, it expires. A message holds it if only the answer to the send was lost.
        tracing::debug!(%error, %file_id, "the picture of a refused call was not removed");
    }
    sent
}

async fn say_picture(api: &Api, called: &Called, file_id: FileId) -> std::result::Result<(), Refusal> {
    let file = api.files.get(file_id, &called.user_id).await?;
    if !file.media_type.is_some_and(|media_type| media_type.starts_with("image/")) {
        return Err(Refusal::BadPicture);
    }
    let content = Said::picture(json!({"file_id": file_id.to_string()}))?;
    let outgoing = outgoing(called, &content)?;
    say(api, holding(api, &called.user_id, outgoing, content, "").await?).await
}

/// Answers as DingTalk and WeCom do: `200` with a code. Only a failure of the service has another status, too, so that
/// every client notices it.
fn answer(dialect: Dialect, sent: std::result::Result<(), Refusal>) -> Response {
    let refusal = match sent {
        Ok(()) => return Reply(json!({"errcode": 0, "errmsg": "ok"})).into_response(),
        Err(refusal) => refusal,
    };
    refusal.failure().into_iter().for_each(log_failure);
    let status = refusal.failure().map_or(StatusCode::OK, |_: &Error| StatusCode::SERVICE_UNAVAILABLE);
    let (errcode, errmsg) = refusal.told(dialect, &request::id().unwrap_or_default());
    let mut response = (status, Reply(json!({"errcode": errcode, "errmsg": errmsg}))).into_response();
    if let Some(wait_s) = refusal.wait_s() {
        response.headers_mut().insert(RETRY_AFTER, wait_s.into());
    }
    response
}
