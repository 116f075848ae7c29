//! `/events`: what happens in one's channels, as it happens.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;

use super::wire::Query;
use super::{Api, Now, Person};
use crate::error::{Error, Result};

/// What a browser resumes with; the parameter is for those who cannot set a header.
const HEADER: &str = "last-event-id";
const PARAMETER: &str = "last_event_id";
/// Tells proxies of nginx's kind not to collect the answer.
const UNBUFFERED: &str = "x-accel-buffering";
/// As many as the greatest id has.
const DIGITS_MAX: usize = 19;

pub fn routes() -> Router<Api> {
    Router::new().route("/events", get(listen))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    last_event_id: Option<String>,
}

async fn listen(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let after = last_event_id(&headers, &query)?;
    let opened = api.streams.open(&caller, after, now).await?;
    let pieces = stream::unfold(opened, async |mut opened| {
        let piece = opened.next().await?;
        Some((Ok::<_, Infallible>(piece), opened))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        (UNBUFFERED, "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The last event a client has. The header is newer: a browser that comes again repeats the address it
/// began with.
fn last_event_id(headers: &HeaderMap, query: &EventsQuery) -> Result<Option<i64>> {
    let header = headers.get(HEADER).map(|value| parse(HEADER, value.to_str().unwrap_or_default()));
    let parameter = query.last_event_id.as_deref().map(|text| parse(PARAMETER, text));
    Ok(header.transpose()?.or(parameter.transpose()?))
}

/// An id beyond all we could have given is one that we have not.
fn parse(name: &'static str, text: &str) -> Result<i64> {
    let plain = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        Ok(text.parse().unwrap_or(i64::MAX))
    } else {
        Err(Error::parameter(
            name,
            format!("must be an id that came with an event, of 1 to {DIGITS_MAX} digits"),
        ))
    }
}
