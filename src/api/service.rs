//! `/healthz`, `/readyz`, the API contracts and the page that shows them.

use axum::Json as Reply;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use super::{Api, Now, contract};
use crate::archive::index;
use crate::base::error::Result;
use crate::base::store::Readiness;

/// The page loads nothing from other sites, and no other site can frame it.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The paths below. They are asked all the time.
pub const PROBES: [&str; 2] = ["/healthz", "/readyz"];

pub fn probes() -> Router<Api> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/openapi.json", get(async || asset("application/json", &contract::API_JSON)))
        .route("/openapi-scim.json", get(async || asset("application/json", &contract::SCIM_JSON)))
        .route("/openapi-push-callback.json", get(async || asset("application/json", &contract::PUSH_JSON)))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/", get(async || Redirect::temporary("/docs")))
        .route("/docs", get(docs))
        .route("/docs/scim", get(docs))
        .route("/docs/push-callback", get(docs))
        .route("/docs-terms.js", get(async || asset("text/javascript", include_str!("docs-terms.js"))))
        .route("/docs.js", get(async || asset("text/javascript", include_str!("docs.js"))))
        .route("/docs.css", get(async || asset("text/css", include_str!("docs.css"))))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// What a replica says of itself.
#[derive(Serialize)]
pub struct Ready {
    pub status: &'static str,
    pub database: &'static str,
    pub partitions: &'static str,
    pub callback: &'static str,
    pub archive: &'static str,
    /// Seconds since the oldest message that is not in the archive was sent.
    pub index_lag_seconds: Option<f64>,
}

impl Ready {
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// The process is alive.
async fn healthz() -> Reply<Health> {
    Reply(Health { status: "alive" })
}

/// The replica is ready when it can store messages. An unreachable callback or archive does not change that,
/// because senders do not need them. The check uses its own connection and has a time limit. A busy service
/// is still ready.
async fn readyz(State(api): State<Api>, Now(now): Now) -> Response {
    let readiness = readiness(&api, now).await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Reply(readiness)).into_response()
}

/// Whether the replica is ready, and what else it knows of itself, within the time limit of the setting.
pub async fn readiness(api: &Api, now: OffsetDateTime) -> Ready {
    let until = Instant::now() + api.config.database.readiness_wait;
    let found = timeout_at(until, api.probes.readiness()).await.ok().and_then(Result::ok);
    let (database, partitions) = match found {
        Some(Readiness { writable: false, .. }) => ("read_only", "unknown"),
        Some(Readiness { partitions: true, .. }) if is_crowded(api, until).await => ("ok", "many"),
        Some(Readiness { partitions: true, .. }) => ("ok", "ok"),
        Some(Readiness { partitions: false, .. }) => ("ok", "missing"),
        None => ("away", "unknown"),
    };
    let now = found.map_or(now, |found| found.now);
    let archive = timeout_at(until, archive_state(api, now)).await.ok().and_then(Result::ok);
    let (archive, index_lag_seconds) = archive.unwrap_or(("unknown", None));
    let ready = found.is_some_and(|found| found.is_ready());
    Ready {
        status: if ready { "ready" } else { "unready" },
        database,
        partitions,
        callback: api.callbacks.gateway_state(now),
        archive,
        index_lag_seconds,
    }
}

async fn is_crowded(api: &Api, until: Instant) -> bool {
    let crowding = timeout_at(until, api.probes.crowding(api.config.database.pool_size)).await;
    crowding.is_ok_and(|crowding| crowding.is_ok_and(|crowding| crowding.is_crowded()))
}

async fn archive_state(api: &Api, now: OffsetDateTime) -> Result<(&'static str, Option<f64>)> {
    let (Some(index), Some(archiver)) = (&api.index, &api.archiver) else {
        return Ok(("none", None));
    };
    let lag = index::backlog(&api.probes).await?.lag_seconds(now);
    let state = if index.is_away() { "away" } else { archiver.state(&api.probes, now).await?.as_str() };
    Ok((state, Some(lag)))
}

/// The public keys of access tokens (RFC 7517 §5).
async fn jwks(State(api): State<Api>) -> Result<impl IntoResponse> {
    let keys = api.accounts_on()?.public_keys().await?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], Reply(keys)))
}

async fn docs() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(include_str!("docs.html")))
}

fn asset(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
}
