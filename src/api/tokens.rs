//! `/tokens`: create, list and revoke the service's own bearer tokens.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{AtMost, Json, PathWord, check_client_id_if_any, rfc3339};
use super::{Api, Authenticated};
use crate::base::error::{Error, Result};
use crate::identity::token::{self, Issuer, Listed, Wish};
use crate::identity::{Role, Roles};
use crate::people::users::{self, Standing, UserKind};

/// Most roles of a token.
const ROLES_MAX: usize = Role::ALL.len();
const DAYS_DEFAULT: u32 = 365;

pub fn routes() -> Router<Api> {
    Router::new().route("/tokens", get(list).post(create)).route("/tokens/{token_id}", delete(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    client_id: Option<String>,
    name: String,
    user_id: String,
    roles: AtMost<ROLES_MAX, String>,
    days: Option<u32>,
}

#[derive(Serialize)]
struct Tokens {
    items: Vec<TokenView>,
}

#[derive(Serialize)]
struct TokenView {
    token_id: String,
    name: String,
    user_id: String,
    roles: Vec<&'static str>,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Serialize)]
struct CreatedView {
    #[serde(flatten)]
    token: TokenView,
    /// `None` in the answer to a repeat: only the hash is stored.
    secret: Option<String>,
}

impl From<Listed> for TokenView {
    fn from(listed: Listed) -> Self {
        Self {
            token_id: listed.token_id,
            name: listed.name,
            user_id: listed.user_id,
            roles: listed.roles.names(),
            created_at: listed.created_at,
            expires_at: listed.expires_at,
        }
    }
}

async fn list(State(api): State<Api>, caller: Authenticated) -> Result<Reply<Tokens>> {
    caller.must_be(Role::Admin)?;
    let items = token::list(&api.store).await?.into_iter().map(TokenView::from).collect();
    Ok(Reply(Tokens { items }))
}

async fn create(
    State(api): State<Api>,
    caller: Authenticated,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Reply<CreatedView>)> {
    caller.must_be(Role::Admin)?;
    check_client_id_if_any(new.client_id.as_deref())?;
    let roles = roles(&new.roles.0, &caller)?;
    check_user(&api, &new.user_id, roles).await?;
    let days = new.days.unwrap_or(DAYS_DEFAULT);
    let wish = Wish { name: &new.name, user_id: &new.user_id, roles, days };
    // The clock of the database, by which all replicas judge the expiry.
    let now = api.store.now().await?;
    let by = Issuer { actor: &caller.0.user_id, now, client_id: new.client_id.as_deref() };
    let issued = token::issue(&api.store, &wish, by).await?;
    let status = if issued.secret.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let secret = issued.secret.map(|secret| secret.expose().to_owned());
    Ok((status, Reply(CreatedView { token: issued.listed.into(), secret })))
}

/// The roles of a token. Except for `user`, which acts as an application, the caller must have them.
fn roles(names: &[String], caller: &Authenticated) -> Result<Roles> {
    let mut roles = Roles::default();
    for (place, name) in names.iter().enumerate() {
        let refuse = |why| Error::field(format!("/roles/{place}"), why);
        let role =
            Role::named(name).ok_or_else(|| refuse("must be user, gateway, directory, support or admin"))?;
        if roles.names().contains(&role.name()) {
            return Err(refuse("is named twice"));
        }
        if role != Role::User {
            caller.must_be(role)?;
        }
        roles = roles.with(role);
    }
    Ok(roles)
}

/// A token must not act as a person, nor write a person's id into the audit.
async fn check_user(api: &Api, user_id: &str, roles: Roles) -> Result<()> {
    let refuse = |why| Err(Error::field("/user_id", why));
    match users::standing(&api.store, user_id).await? {
        Some(Standing { kind: UserKind::Internal | UserKind::External, .. }) => {
            refuse("is a person: a token is for an application or a machine")
        }
        Some(Standing { active: false, .. }) => refuse("is an application that has left"),
        None if roles.has(Role::User) => {
            refuse("is not in the directory: the role user needs an application of the directory")
        }
        _ => Ok(()),
    }
}

async fn revoke(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(token_id): PathWord,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    let by = Issuer { actor: &caller.0.user_id, now: api.store.now().await?, client_id: None };
    token::withdraw(&api.store, &token_id, by).await?;
    Ok(StatusCode::NO_CONTENT)
}
