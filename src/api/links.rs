//! `/callbacks/{id}/links`: links for the developer of one callback, and what a caller with such a link may do.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{Json, PathPair, PathWord, check_client_id_if_any, rfc3339};
use super::{Api, Authenticated};
use crate::base::error::{Error, Kind, Result};
use crate::delivery::endpoint;
use crate::identity::link::{self, Link, Listed, NewLink};
use crate::identity::token::Issuer;
use crate::identity::{Caller, Role};

/// Where links lead, below the console. The secret follows behind `#`: browsers do not send it.
const OPENING: &str = "developer/open";
/// Where the operations are, as the outside sees them.
const BASE: &str = "/api/v1";
/// All that a caller with a link may do, with the callback of the link alone. `x-endpoint-link` marks them in the contract.
const OPEN: &[(&str, &str)] = &[
    ("GET", "/callbacks/{callback_id}"),
    ("GET", "/callbacks/{callback_id}/statistics"),
    ("POST", "/callbacks/{callback_id}/test"),
    ("GET", "/callbacks/{callback_id}/deliveries"),
    ("GET", "/callbacks/{callback_id}/deliveries/{attempt_id}/payload"),
    ("GET", "/callbacks/{callback_id}/dead-letters"),
    ("GET", "/callbacks/{callback_id}/dead-letters/{dead_id}"),
    ("POST", "/callbacks/{callback_id}/replay"),
];

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/callbacks/{callback_id}/links", get(list).post(create))
        .route("/callbacks/{callback_id}/links/{link_id}", delete(revoke))
}

/// Refuses a caller with a link everything but [`OPEN`], and other callbacks than their own. Other callers pass.
pub async fn confine(parts: &mut Parts, caller: &Caller) -> Result<()> {
    let Some(link) = &caller.link else { return Ok(()) };
    let matched = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let matched = matched.unwrap_or_default();
    let path = matched.strip_prefix(BASE).unwrap_or(&matched);
    let is_open = OPEN.contains(&(parts.method.as_str(), path));
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let is_theirs = params.is_ok_and(|params| {
        params.iter().any(|(name, value)| name == "callback_id" && value == link.callback_id)
    });
    if is_open && is_theirs { Ok(()) } else { Err(out_of_reach(link)) }
}

fn out_of_reach(link: &Link) -> Error {
    let why = format!(
        "this link is for the callback {} alone: its state, its deliveries, a test, a replay",
        link.callback_id
    );
    Error::new(Kind::Forbidden, why)
}

/// The same for calls that pages make.
pub async fn confined(request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Error::new(Kind::Unauthenticated, "").into_response();
    };
    let (mut parts, body) = request.into_parts();
    match confine(&mut parts, &caller).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(e) => e.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEndpointLink {
    client_id: Option<String>,
    name: Option<String>,
    hours: u32,
}

#[derive(Serialize)]
struct Links {
    items: Vec<LinkView>,
}

#[derive(Serialize)]
struct LinkView {
    link_id: String,
    callback_id: String,
    name: String,
    created_by: String,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    opened_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct CreatedView {
    #[serde(flatten)]
    link: LinkView,
    /// `None` in the answer to a repeat: only the hash is stored.
    url: Option<String>,
}

impl From<Listed> for LinkView {
    fn from(listed: Listed) -> Self {
        Self {
            link_id: listed.link_id,
            callback_id: listed.callback_id,
            name: listed.name,
            created_by: listed.created_by,
            created_at: listed.created_at,
            expires_at: listed.expires_at,
            opened_at: listed.opened_at,
        }
    }
}

async fn list(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
) -> Result<Reply<Links>> {
    caller.must_be(Role::Admin)?;
    check_observer(&api, &callback_id).await?;
    let items = link::list(&api.store, &callback_id).await?.into_iter().map(LinkView::from).collect();
    Ok(Reply(Links { items }))
}

async fn create(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    Json(new): Json<NewEndpointLink>,
) -> Result<(StatusCode, Reply<CreatedView>)> {
    caller.must_be(Role::Admin)?;
    check_client_id_if_any(new.client_id.as_deref())?;
    check_observer(&api, &callback_id).await?;
    let settings = &api.config.callbacks;
    let wish = NewLink {
        callback_id: &callback_id,
        name: new.name.as_deref().unwrap_or("developer"),
        hours: new.hours,
        hours_max: settings.link_max_hours,
    };
    // The clock of the database, by which `find_link` judges the expiry for all replicas.
    let now = api.store.now().await?;
    let by = Issuer { actor: &caller.0.user_id, now, client_id: new.client_id.as_deref() };
    let issued = link::issue(&api.store, &wish, by).await?;
    let status = if issued.secret.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let url = issued.secret.map(|secret| address(&settings.console_url, secret.expose()));
    Ok((status, Reply(CreatedView { link: issued.listed.into(), url })))
}

fn address(console_url: &str, secret: &str) -> String {
    let console = if console_url.is_empty() { "/console" } else { console_url.trim_end_matches('/') };
    format!("{console}/{OPENING}#{secret}")
}

async fn revoke(
    State(api): State<Api>,
    caller: Authenticated,
    PathPair(callback_id, link_id): PathPair<String, String>,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    let by = Issuer { actor: &caller.0.user_id, now: api.store.now().await?, client_id: None };
    link::revoke(&api.store, &callback_id, &link_id, by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Links are for observers: the gateway and the gate get the messages of people.
async fn check_observer(api: &Api, callback_id: &str) -> Result<()> {
    let shown = api.callbacks.show(callback_id, None, api.store.now().await?).await?;
    if shown.kind == endpoint::Kind::Observer {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "the gateway and the gate have no links: a link is for the developer of an observer",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_stands_where_browsers_do_not_send_it() {
        assert_eq!(address("", "impl_x"), "/console/developer/open#impl_x");
        assert_eq!(
            address("https://im.example/im/console/", "s"),
            "https://im.example/im/console/developer/open#s"
        );
    }
}
