//! `/accounts` and `/invitations`: what administrators do about accounts.

use axum::Json as Reply;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{
    AtMost, Id, Json, Page, PageQuery, PathId, PathWord, Query, check_client_id_if_any, rfc3339, write_cursor,
};
use super::{Api, Authenticated, Now};
use crate::accounts::admin::{self, Account, Act};
use crate::accounts::invitation::{self, Invitation, NewInvitation};
use crate::base::error::{Error, Result};
use crate::identity::token::Issuer;
use crate::identity::{Role, Roles};

/// Most roles of an account beside `user`.
const ROLES_MAX: usize = 3;
const USES_DEFAULT: i32 = 1;
const DAYS_DEFAULT: u32 = 7;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/accounts", get(list))
        .route("/accounts/{user_id}", get(show))
        .route("/accounts/{user_id}/roles", put(set_roles))
        .route("/accounts/{user_id}/suspension", put(suspend).delete(lift))
        .route("/accounts/{user_id}/password-reset", post(start_reset))
        .route("/invitations", get(list_invitations).post(invite))
        .route("/invitations/{invitation_id}", delete(revoke))
}

#[derive(Serialize)]
struct AccountView {
    user_id: String,
    username: String,
    roles: Vec<&'static str>,
    has_password: bool,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    last_seen_at: Option<OffsetDateTime>,
    suspension: Option<SuspensionView>,
}

#[derive(Serialize)]
struct SuspensionView {
    #[serde(with = "rfc3339")]
    until: OffsetDateTime,
    reason: String,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            user_id: account.user_id,
            username: account.username,
            roles: account.roles.names(),
            has_password: account.has_password,
            created_at: account.created_at,
            last_seen_at: account.last_seen_at,
            suspension: account.suspended.map(|(until, reason)| SuspensionView { until, reason }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRoles {
    roles: AtMost<ROLES_MAX, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSuspension {
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    reason: String,
}

#[derive(Serialize)]
struct CodeView {
    code: String,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedInvitation {
    client_id: Option<String>,
    note: Option<String>,
    uses: Option<i32>,
    days: Option<u32>,
}

#[derive(Serialize)]
struct InvitationView {
    invitation_id: Id,
    note: Option<String>,
    uses: i32,
    uses_max: i32,
    created_by: String,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Serialize)]
struct NewInvitationView {
    #[serde(flatten)]
    invitation: InvitationView,
    /// `None` in the answer to a repeat: only the hash is stored.
    code: Option<String>,
}

#[derive(Serialize)]
struct InvitationsView {
    items: Vec<InvitationView>,
}

impl From<Invitation> for InvitationView {
    fn from(of: Invitation) -> Self {
        Self {
            invitation_id: Id(of.invitation_id),
            note: of.note,
            uses: of.uses,
            uses_max: of.uses_max,
            created_by: of.created_by,
            created_at: of.created_at,
            expires_at: of.expires_at,
        }
    }
}

fn act<'a>(caller: &'a Authenticated, user_id: &'a str, now: OffsetDateTime) -> Act<'a> {
    Act { actor: &caller.0.user_id, user_id, now }
}

async fn list(
    State(api): State<Api>,
    caller: Authenticated,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<AccountView>>> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    let (limit, after): (_, Option<admin::Cursor>) = (page.limit()?, page.cursor()?);
    let (found, next) = admin::list(&api.store, after.as_ref(), limit).await?;
    let items = found.into_iter().map(AccountView::from).collect();
    Ok(Reply(Page { items, next_cursor: next.map(|place| write_cursor(&place)) }))
}

async fn show(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(user_id): PathWord,
) -> Result<Reply<AccountView>> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    Ok(Reply(admin::get(&api.store, &user_id).await?.into()))
}

async fn set_roles(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(user_id): PathWord,
    Json(body): Json<NewRoles>,
) -> Result<Reply<AccountView>> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    admin::set_roles(&api.store, act(&caller, &user_id, now), roles(&body.roles.0)?).await?;
    Ok(Reply(admin::get(&api.store, &user_id).await?.into()))
}

/// The roles that an account can be given. `gateway` is for machines: it could forge receipts.
fn roles(names: &[String]) -> Result<Roles> {
    let mut roles = Roles::default();
    for (place, name) in names.iter().enumerate() {
        let refuse = |why| Error::field(format!("/roles/{place}"), why);
        let role = Role::named(name).filter(|role| !matches!(role, Role::User | Role::Gateway));
        let role = role.ok_or_else(|| refuse("must be support, directory or admin"))?;
        if roles.given(role) {
            return Err(refuse("is named twice"));
        }
        roles = roles.with(role);
    }
    Ok(roles)
}

async fn suspend(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(user_id): PathWord,
    Json(body): Json<NewSuspension>,
) -> Result<Reply<AccountView>> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    admin::suspend(&api.store, act(&caller, &user_id, now), (body.until, &body.reason)).await?;
    Ok(Reply(admin::get(&api.store, &user_id).await?.into()))
}

async fn lift(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(user_id): PathWord,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    admin::lift(&api.store, act(&caller, &user_id, now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start_reset(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(user_id): PathWord,
) -> Result<impl IntoResponse> {
    caller.must_be(Role::Admin)?;
    let (code, expires_at) = api.accounts_on()?.start_reset(act(&caller, &user_id, now)).await?;
    let view = CodeView { code: code.expose().to_owned(), expires_at };
    Ok(([(header::CACHE_CONTROL, "no-store")], Reply(view)))
}

async fn list_invitations(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
) -> Result<Reply<InvitationsView>> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    let items = invitation::list(&api.store, now).await?;
    Ok(Reply(InvitationsView { items: items.into_iter().map(Into::into).collect() }))
}

async fn invite(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Json(wanted): Json<WantedInvitation>,
) -> Result<impl IntoResponse> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    let new = NewInvitation {
        note: wanted.note.as_deref(),
        uses: wanted.uses.unwrap_or(USES_DEFAULT),
        days: wanted.days.unwrap_or(DAYS_DEFAULT),
    };
    check_client_id_if_any(wanted.client_id.as_deref())?;
    let by = Issuer { actor: &caller.0.user_id, now, client_id: wanted.client_id.as_deref() };
    let (made, code) = invitation::create(&api.store, new, by).await?;
    let status = if code.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let view = NewInvitationView { invitation: made.into(), code: code.map(|code| code.expose().to_owned()) };
    Ok((status, [(header::CACHE_CONTROL, "no-store")], Reply(view)))
}

async fn revoke(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(invitation_id): PathId<i64>,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    api.accounts_on()?;
    invitation::revoke(&api.store, invitation_id, &caller.0.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
