//! `/users/register`, `/users/login` and the other calls of people who sign in to this service itself.

use std::net::SocketAddr;

use axum::Json as Reply;
use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{Json, PathWord, rfc3339};
use super::{Api, Now, Person};
use crate::accounts::registration::NewAccount;
use crate::accounts::{Accounts, Admission, Grant, Listed, NewPassword, SignIn, With};
use crate::base::error::{Error, Kind, Result};
use crate::base::text::hex;

/// What a path has for the session of the call itself.
const CURRENT: &str = "current";
/// Calls that lie beside `/users/{user_id}`. A user with such an id has a card all the same.
pub const BESIDE_USERS: [&str; 5] = ["register", "login", "refresh", "logout", "password-reset"];

/// Calls of people who have an access token.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me", delete(cancel))
        .route("/users/me/password", put(change_password))
        .route("/users/me/sessions", get(list_sessions).delete(end_others))
        .route("/users/me/sessions/{session_id}", delete(end_session))
}

/// Calls of people who have none: what they send proves who they are.
pub fn open_routes() -> Router<Api> {
    Router::new()
        .route("/users/register", post(register))
        .route("/users/login", post(login))
        .route("/users/refresh", post(refresh))
        .route("/users/logout", post(logout))
        .route("/users/password-reset", post(reset_password))
}

impl Api {
    /// The accounts, where users sign in to this service. Elsewhere the answer says which setting turns them on.
    pub(super) fn accounts_on(&self) -> Result<&Accounts> {
        self.accounts.as_deref().ok_or_else(|| {
            let detail = "this call is for `identity_mode = \"accounts\"`; here a gateway signs users in";
            Error::new(Kind::AccountsOff, detail)
        })
    }
}

/// A call that shows a password. It is counted for its address before its body is read.
struct Admitted(Admission);
/// The same for a call that shows a refresh token or a one-time code.
struct AdmittedToken(Admission);

impl FromRequestParts<Api> for Admitted {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        admit(parts, api, With::Password).await.map(Self)
    }
}

impl FromRequestParts<Api> for AdmittedToken {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        admit(parts, api, With::Token).await.map(Self)
    }
}

async fn admit(parts: &mut Parts, api: &Api, with: With) -> std::result::Result<Admission, Response> {
    let Now(now) = Now::from_request_parts(parts, api).await?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.ok_or_else(|| Error::internal("the peer's address is missing").into_response())?;
    match &api.accounts {
        Some(accounts) => {
            accounts.admit(with, peer, &parts.headers, now).map_err(IntoResponse::into_response)
        }
        None => Ok(Admission { address: peer, with }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    username: String,
    password: String,
    name: String,
    email: Option<String>,
    invitation: Option<String>,
}

#[derive(Serialize)]
struct RegisteredView {
    user_id: String,
    username: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: String,
    device: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: String,
}

#[derive(Serialize)]
struct GrantView {
    user_id: String,
    session_id: String,
    access_token: String,
    expires_in: u64,
    refresh_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    password: String,
    new_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordReset {
    username: String,
    code: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    password: String,
}

#[derive(Serialize)]
struct SessionsView {
    items: Vec<SessionView>,
}

#[derive(Serialize)]
struct SessionView {
    session_id: String,
    current: bool,
    device: Option<String>,
    address: String,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    last_seen_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

impl SessionView {
    fn of(listed: Listed, current: Option<&str>) -> Self {
        Self {
            current: current == Some(listed.session_id.as_str()),
            session_id: listed.session_id,
            device: listed.device,
            address: listed.address,
            created_at: listed.created_at,
            last_seen_at: listed.last_seen_at,
            expires_at: listed.expires_at,
        }
    }
}

/// Tokens are shown once, and no cache may keep them (RFC 6749 §5.1).
fn granted(grant: Grant) -> impl IntoResponse {
    let view = GrantView {
        user_id: grant.user_id,
        session_id: grant.session_id,
        access_token: grant.access.token.expose().to_owned(),
        expires_in: grant.access.expires_in_s,
        refresh_token: grant.refresh.expose().to_owned(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Reply(view))
}

async fn register(
    State(api): State<Api>,
    Admitted(_): Admitted,
    Now(now): Now,
    Json(new): Json<Registration>,
) -> Result<(StatusCode, Reply<RegisteredView>)> {
    let account = NewAccount { username: &new.username, name: &new.name, email: new.email.as_deref() };
    let made = api.accounts_on()?.register(account, &new.password, new.invitation.as_deref(), now).await?;
    api.followers.wake();
    let view = RegisteredView { user_id: made.user_id, username: made.username };
    Ok((StatusCode::CREATED, Reply(view)))
}

async fn login(
    State(api): State<Api>,
    Admitted(admission): Admitted,
    Now(now): Now,
    headers: HeaderMap,
    Json(with): Json<Login>,
) -> Result<impl IntoResponse> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent: Option<String> =
        agent.map(|agent| agent.chars().take(200).collect()).filter(|a: &String| !a.trim().is_empty());
    let device = with.device.or(agent);
    let with = SignIn {
        username: &with.username,
        password: &with.password,
        device: device.as_deref(),
        address: admission.address,
    };
    let accounts = api.accounts_on()?;
    let grant = accounts.sign_in(with, now).await?;
    accounts.was_right(admission);
    Ok(granted(grant))
}

async fn refresh(
    State(api): State<Api>,
    AdmittedToken(admission): AdmittedToken,
    Now(now): Now,
    Json(body): Json<Refresh>,
) -> Result<impl IntoResponse> {
    let accounts = api.accounts_on()?;
    let grant = accounts.refresh(&body.refresh_token, now).await?;
    accounts.was_right(admission);
    Ok(granted(grant))
}

async fn logout(
    State(api): State<Api>,
    AdmittedToken(admission): AdmittedToken,
    Now(now): Now,
    Json(body): Json<Refresh>,
) -> Result<StatusCode> {
    let accounts = api.accounts_on()?;
    if accounts.sign_out(&body.refresh_token, now).await? {
        accounts.was_right(admission);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_password(
    State(api): State<Api>,
    AdmittedToken(admission): AdmittedToken,
    Now(now): Now,
    Json(new): Json<PasswordReset>,
) -> Result<StatusCode> {
    let new = NewPassword { username: &new.username, code: &new.code, password: &new.password };
    let accounts = api.accounts_on()?;
    accounts.reset_password(new, now).await?;
    accounts.was_right(admission);
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode> {
    let passwords = (body.password.as_str(), body.new_password.as_str());
    api.accounts_on()?.change_password(&caller.user_id, passwords, caller.session_id.as_deref(), now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(body): Json<Cancellation>,
) -> Result<StatusCode> {
    api.accounts_on()?.cancel(&caller.user_id, &body.password, now).await?;
    api.followers.wake();
    Ok(StatusCode::NO_CONTENT)
}

async fn list_sessions(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
) -> Result<Reply<SessionsView>> {
    let current = caller.session_id.as_deref().map(hex);
    let listed = api.accounts_on()?.sessions(&caller.user_id, now).await?;
    let items = listed.into_iter().map(|one| SessionView::of(one, current.as_deref())).collect();
    Ok(Reply(SessionsView { items }))
}

async fn end_others(State(api): State<Api>, Person(caller): Person) -> Result<StatusCode> {
    api.accounts_on()?.end_others(&caller.user_id, caller.session_id.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_session(
    State(api): State<Api>,
    Person(caller): Person,
    PathWord(session_id): PathWord,
) -> Result<StatusCode> {
    let own = caller.session_id.as_deref().map(hex).filter(|_| session_id == CURRENT);
    api.accounts_on()?.end_session(&caller.user_id, own.as_deref().unwrap_or(&session_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
