//! `/events`: the event stream of a user.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;

use super::{Api, Now, Person};
use crate::base::error::Result;
use crate::events::stream::Wants;

/// The header with which a browser resumes. Clients that cannot set headers use one of the parameters.
const HEADER: &str = "last-event-id";
const PARAMETERS: [&str; 2] = ["last_event_id", "lastEventId"];
/// Tells nginx and similar proxies not to buffer the answer.
const UNBUFFERED: &str = "x-accel-buffering";

/// The path of streams with its prefix.
pub const PATH: &str = "/api/v1/events";

pub fn routes() -> Router<Api> {
    Router::new().route("/events", get(listen))
}

async fn listen(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let query = uri.query().unwrap_or_default();
    let wants = Wants { presence: wants(query, "presence"), typing: false, calls: wants(query, "calls") };
    let opened = api.streams.open(&caller, (last_event_id(&headers, query), wants), now).await?;
    let pieces = stream::unfold(opened, async |mut opened| {
        let piece = opened.next().await?;
        Some((Ok::<_, Infallible>(piece), opened))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store, no-transform"),
        (UNBUFFERED, "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The last event that the client has. An empty value counts as none. The header wins, because a browser
/// reconnects with its first URL. An invalid value is not refused: an `EventSource` does not reconnect after
/// an error.
pub fn last_event_id(headers: &HeaderMap, query: &str) -> Option<i64> {
    let given = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, id)| PARAMETERS.contains(&name.as_ref()) && !id.is_empty())
        .last();
    given.filter(|id| !id.is_empty()).or(named.map(|(_, id)| id)).map(|id| read(&id))
}

/// Whether the listener hears of something beside events: `presence` of partners, `calls`. Another value than `true` counts
/// as no.
pub fn wants(query: &str, what: &str) -> bool {
    let named = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == what).last();
    named.is_some_and(|(_, value)| value == "true")
}

/// An id that was never assigned reads as an event in the future. The client is then told to reload.
fn read(id: &str) -> i64 {
    let plain = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| plain).unwrap_or(i64::MAX)
}
