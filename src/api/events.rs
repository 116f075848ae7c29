//! `/events`: what happens in one's channels, as it happens.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;

use super::{Api, Now, Person};
use crate::error::Result;

/// What a browser resumes with; the parameters are for those who cannot set a header, under either usual name.
const HEADER: &str = "last-event-id";
const PARAMETERS: [&str; 2] = ["last_event_id", "lastEventId"];
/// Tells proxies of nginx's kind not to collect the answer.
const UNBUFFERED: &str = "x-accel-buffering";

/// Where streams are, as a whole.
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
    let after = last_event_id(&headers, uri.query().unwrap_or_default());
    let opened = api.streams.open(&caller, after, now).await?;
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

/// The last event a client has; empty it says nothing. The header is newer: a browser that comes again
/// repeats the address it began with. Nothing here is refused: an `EventSource` that is answered with an error
/// does not come again.
fn last_event_id(headers: &HeaderMap, query: &str) -> Option<i64> {
    let given = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, id)| PARAMETERS.contains(&name.as_ref()) && !id.is_empty())
        .last();
    given.filter(|id| !id.is_empty()).or(named.map(|(_, id)| id)).map(|id| read(&id))
}

/// What we have not given is an event beyond all that are: the client is told to load anew.
fn read(id: &str) -> i64 {
    let plain = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| plain).unwrap_or(i64::MAX)
}
