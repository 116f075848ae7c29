//! `/callbacks`: create, show, change, remove, rotate secrets, test.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use url::Url;

use super::wire::{AtMost, Id, Json, MaybeJson, PathWord, check_client_id_if_any, rfc3339};
use super::{Api, Authenticated};
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::delivery::endpoint::{
    self, Endpoint, EndpointSpec, FILTER_MAX, Manager, NewSecret, TestResult, WithoutAnswer,
};
use crate::identity::Role;
use crate::people::users::{self, Standing, UserKind};

/// Most event types in one filter.
const EVENT_TYPES_MAX: usize = 64;
/// Most kinds of senders that a gate names: all of them.
const SENDER_KINDS_MAX: usize = UserKind::ALL.len();
/// Share of the request timeout that a test call may use.
const TEST_SHARE: f64 = 0.8;
/// Longest time during which old secrets still sign.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);

type Names = AtMost<EVENT_TYPES_MAX, String>;
type Filter<T> = AtMost<FILTER_MAX, T>;
type SenderKinds = AtMost<SENDER_KINDS_MAX, String>;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/callbacks", get(list).post(create))
        .route("/callbacks/{callback_id}", get(show).patch(change).delete(remove))
        .route("/callbacks/{callback_id}/secrets", post(rotate))
        .route("/callbacks/{callback_id}/test", post(test))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCallback {
    client_id: Option<String>,
    kind: Option<String>,
    url: String,
    description: Option<String>,
    event_types: Option<Names>,
    channel_ids: Option<Filter<ChannelId>>,
    department_ids: Option<Filter<String>>,
    headers: Option<BTreeMap<String, String>>,
    timeout_ms: Option<i32>,
    concurrency: Option<i32>,
    batch_events: Option<i32>,
    events_per_second: Option<i32>,
    without_answer: Option<String>,
    sender_kinds: Option<SenderKinds>,
    state: Option<String>,
}

/// An absent field stays unchanged. `null` restores the default, if the field has one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallbackChange {
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    event_types: Option<Names>,
    #[serde(default, deserialize_with = "given")]
    channel_ids: Option<Option<Filter<ChannelId>>>,
    #[serde(default, deserialize_with = "given")]
    department_ids: Option<Option<Filter<String>>>,
    #[serde(default, deserialize_with = "given")]
    headers: Option<Option<BTreeMap<String, String>>>,
    #[serde(default, deserialize_with = "given")]
    timeout_ms: Option<Option<i32>>,
    #[serde(default, deserialize_with = "given")]
    concurrency: Option<Option<i32>>,
    #[serde(default, deserialize_with = "given")]
    batch_events: Option<Option<i32>>,
    #[serde(default, deserialize_with = "given")]
    events_per_second: Option<Option<i32>>,
    #[serde(default, deserialize_with = "given")]
    without_answer: Option<String>,
    #[serde(default, deserialize_with = "given")]
    sender_kinds: Option<Option<SenderKinds>>,
    #[serde(default, deserialize_with = "given")]
    state: Option<String>,
}

/// Distinguishes an absent field from `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(de: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(de).map(Some)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Rotation {
    client_id: Option<String>,
    overlap_ms: Option<u64>,
}

#[derive(Serialize)]
struct Callbacks {
    items: Vec<CallbackView>,
}

#[derive(Serialize)]
struct CallbackView {
    callback_id: String,
    kind: &'static str,
    url: String,
    owner: Option<String>,
    from_settings: bool,
    description: Option<String>,
    event_types: Vec<String>,
    channel_ids: Option<Vec<ChannelId>>,
    department_ids: Option<Vec<String>>,
    header_names: Option<Vec<String>>,
    timeout_ms: i32,
    concurrency: i32,
    batch_events: i32,
    events_per_second: Option<i32>,
    without_answer: Option<WithoutAnswer>,
    sender_kinds: Option<Vec<String>>,
    state: &'static str,
    #[serde(with = "rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
    disabled_reason: Option<String>,
    secrets: Vec<SecretView>,
    #[serde(with = "rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    updated_at: Option<OffsetDateTime>,
    waiting_rows: i64,
    waiting_pairs: i64,
    #[serde(with = "rfc3339::option")]
    oldest_queued_at: Option<OffsetDateTime>,
    batches_in_flight: i64,
    dead_letters: i64,
    counts_estimated: bool,
    breaker: &'static str,
}

#[derive(Serialize)]
struct SecretView {
    secret_id: Id,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct CreatedView {
    #[serde(flatten)]
    callback: CallbackView,
    secret: String,
}

#[derive(Serialize)]
struct RotatedView {
    secret_id: Id,
    secret: String,
    #[serde(with = "rfc3339::option")]
    others_until: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct TestedView {
    taken: bool,
    http_status: Option<u16>,
    error: Option<String>,
    duration_ms: u64,
    request_bytes: usize,
    answer: String,
}

impl CallbackView {
    /// The callback as this caller may see it. Only an administrator and its application see the query of the URL,
    /// because it can hold a credential.
    fn of(shown: Endpoint, caller: &Authenticated) -> Self {
        let is_own = shown.owner.as_ref() == Some(&caller.0.user_id);
        let is_admin = is_own || caller.must_be(Role::Admin).is_ok();
        let public = |url: String| Url::parse(&url).map_or(url, |url| endpoint::public_url(&url));
        let secret = |(id, created_at, expires_at)| SecretView { secret_id: Id(id), created_at, expires_at };
        Self {
            callback_id: shown.callback_id,
            kind: shown.kind.as_str(),
            url: if is_admin { shown.url } else { public(shown.url) },
            owner: shown.owner,
            from_settings: shown.from_settings,
            description: shown.description,
            event_types: shown.event_types,
            channel_ids: shown.channel_ids,
            department_ids: shown.department_ids,
            header_names: shown.header_names,
            timeout_ms: shown.timeout_ms,
            concurrency: shown.concurrency,
            batch_events: shown.batch_events,
            events_per_second: shown.events_per_second,
            without_answer: shown.without_answer,
            sender_kinds: shown.sender_kinds,
            state: shown.state.as_str(),
            failing_since: shown.failing_since,
            disabled_reason: shown.disabled_reason,
            secrets: shown.secrets.into_iter().map(secret).collect(),
            created_at: shown.created_at,
            updated_at: shown.updated_at,
            waiting_rows: shown.waiting_rows,
            waiting_pairs: shown.waiting_pairs,
            oldest_queued_at: shown.oldest_queued_at,
            batches_in_flight: shown.batches,
            dead_letters: shown.dead,
            counts_estimated: shown.estimated,
            breaker: shown.breaker,
        }
    }
}

impl From<NewSecret> for RotatedView {
    fn from(new: NewSecret) -> Self {
        Self { secret_id: Id(new.secret_id), secret: new.secret, others_until: new.others_until }
    }
}

impl From<TestResult> for TestedView {
    fn from(TestResult { posted, answer }: TestResult) -> Self {
        Self {
            taken: posted.error.is_none(),
            http_status: posted.status,
            error: posted.error.map(|error| posted.reason(error)),
            duration_ms: u64::try_from(posted.took.as_millis()).unwrap_or(u64::MAX),
            request_bytes: posted.request_bytes,
            answer,
        }
    }
}

impl NewCallback {
    fn spec(self) -> EndpointSpec {
        EndpointSpec {
            url: Some(self.url),
            description: self.description.map(Some),
            event_types: self.event_types.map(|names| names.0),
            channel_ids: self.channel_ids.map(|ids| Some(ids.0)),
            department_ids: self.department_ids.map(|ids| Some(ids.0)),
            headers: self.headers.map(Some),
            timeout_ms: self.timeout_ms.map(Some),
            concurrency: self.concurrency.map(Some),
            batch_events: self.batch_events.map(Some),
            events_per_second: self.events_per_second.map(Some),
            without_answer: self.without_answer,
            sender_kinds: self.sender_kinds.map(|kinds| Some(kinds.0)),
            state: self.state,
        }
    }
}

impl CallbackChange {
    fn spec(self) -> EndpointSpec {
        EndpointSpec {
            url: self.url,
            description: self.description,
            event_types: self.event_types.map(|names| names.0),
            channel_ids: self.channel_ids.map(|ids| ids.map(|ids| ids.0)),
            department_ids: self.department_ids.map(|ids| ids.map(|ids| ids.0)),
            headers: self.headers,
            timeout_ms: self.timeout_ms,
            concurrency: self.concurrency,
            batch_events: self.batch_events,
            events_per_second: self.events_per_second,
            without_answer: self.without_answer,
            sender_kinds: self.sender_kinds.map(|kinds| kinds.map(|kinds| kinds.0)),
            state: self.state,
        }
    }
}

async fn list(State(api): State<Api>, caller: Authenticated) -> Result<Reply<Callbacks>> {
    let by = manager(&api, &caller, Role::Support).await?;
    let all = api.callbacks.list(by.owner(), by.now).await?;
    Ok(Reply(Callbacks { items: all.into_iter().map(|shown| CallbackView::of(shown, &caller)).collect() }))
}

async fn show(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
) -> Result<Reply<CallbackView>> {
    let by = manager_of(&api, &caller, Role::Support, &callback_id).await?;
    view(&api, (&caller, by), &callback_id).await.map(Reply)
}

/// The callback as it is after what the manager did.
async fn view(
    api: &Api,
    (caller, by): (&Authenticated, Manager<'_>),
    callback_id: &str,
) -> Result<CallbackView> {
    let now = api.store.now().await?;
    Ok(CallbackView::of(api.callbacks.show(callback_id, by.owner(), now).await?, caller))
}

/// Who manages callbacks now: a caller with this role, or an application.
pub(super) async fn manager<'a>(api: &Api, caller: &'a Authenticated, role: Role) -> Result<Manager<'a>> {
    let actor = caller.0.user_id.as_str();
    let refused = caller.must_be(role).err();
    let is_application =
        refused.is_some() && caller.must_be(Role::User).is_ok() && is_application(api, actor).await?;
    if let Some(refused) = refused.filter(|_| !is_application) {
        return Err(refused);
    }
    Ok(Manager { actor, is_application, now: api.store.now().await?, client_id: None })
}

/// The same for one callback, also for a caller with a link to it.
pub(super) async fn manager_of<'a>(
    api: &Api,
    caller: &'a Authenticated,
    role: Role,
    callback_id: &str,
) -> Result<Manager<'a>> {
    let actor = caller.0.user_id.as_str();
    if caller.0.link.as_ref().is_some_and(|link| link.callback_id == callback_id) {
        return Ok(Manager { actor, is_application: false, now: api.store.now().await?, client_id: None });
    }
    manager(api, caller, role).await
}

async fn is_application(api: &Api, user_id: &str) -> Result<bool> {
    Ok(users::standing(&api.store, user_id).await?.is_some_and(Standing::is_active_application))
}

async fn create(
    State(api): State<Api>,
    caller: Authenticated,
    Json(new): Json<NewCallback>,
) -> Result<(StatusCode, Reply<CreatedView>)> {
    let by = manager(&api, &caller, Role::Admin).await?;
    let kind = endpoint::Kind::parse(new.kind.as_deref().unwrap_or("observer"))
        .ok_or_else(|| Error::field("/kind", "must be observer, gateway or gate"))?;
    if kind != endpoint::Kind::Observer {
        caller.must_be(Role::Admin)?;
    }
    check_client_id_if_any(new.client_id.as_deref())?;
    let client_id = new.client_id.clone();
    let by = Manager { client_id: client_id.as_deref(), ..by };
    let (callback_id, secret) = api.callbacks.create(kind, &new.spec(), by).await?;
    api.wakers.dispatch.notify_one();
    let callback = view(&api, (&caller, by), &callback_id).await?;
    Ok((made(&secret), Reply(CreatedView { callback, secret: secret.secret })))
}

async fn change(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    Json(change): Json<CallbackChange>,
) -> Result<Reply<CallbackView>> {
    let by = manager(&api, &caller, Role::Admin).await?;
    api.callbacks.change(&callback_id, &change.spec(), by).await?;
    api.wakers.dispatch.notify_one();
    view(&api, (&caller, by), &callback_id).await.map(Reply)
}

async fn remove(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
) -> Result<StatusCode> {
    let by = manager(&api, &caller, Role::Admin).await?;
    api.callbacks.remove(&callback_id, by).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    MaybeJson(rotation): MaybeJson<Rotation>,
) -> Result<(StatusCode, Reply<RotatedView>)> {
    let by = manager(&api, &caller, Role::Admin).await?;
    let overlap = rotation.overlap_ms.map_or(api.config.callbacks.secret_overlap, Duration::from_millis);
    if overlap > OVERLAP_MAX {
        return Err(Error::field("/overlap_ms", "must be at most 2592000000 (30 days)"));
    }
    check_client_id_if_any(rotation.client_id.as_deref())?;
    let by = Manager { client_id: rotation.client_id.as_deref(), ..by };
    let new = api.callbacks.rotate(&callback_id, overlap, by).await?;
    Ok((made(&new), Reply(new.into())))
}

fn made(secret: &NewSecret) -> StatusCode {
    if secret.repeated { StatusCode::OK } else { StatusCode::CREATED }
}

async fn test(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
) -> Result<Reply<TestedView>> {
    let by = manager_of(&api, &caller, Role::Admin, &callback_id).await?;
    let patience = api.config.server.request_timeout.mul_f64(TEST_SHARE);
    Ok(Reply(api.callbacks.test(&callback_id, patience, by).await?.into()))
}
