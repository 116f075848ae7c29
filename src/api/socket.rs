//! `/ws`: the events of a stream and requests over one WebSocket. A subprotocol says how frames look; the calls and
//! their limits are those of HTTP.

mod calls;
mod session;
mod talk;
mod v0;
mod v1;

use std::any::Any;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::events::{last_event_id, wants};
use super::origin::is_foreign;
use super::{Api, Now, Person};
use crate::base::config::IdentityMode;
use crate::base::error::{Error, Kind, Result};
use crate::events::stream::Wants;
pub use calls::Calls;
use session::Context;
use talk::Talk;

/// What a browser offers as a subprotocol to send a token, for it cannot set headers.
const BEARER: &str = "bearer.";
/// Bytes that are read at once. An idle socket has a buffer of this size.
const READ_BYTES: usize = 1_024;

/// How the frames of a socket look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    V1,
    V0,
}

impl Protocol {
    /// In the order in which they are chosen when a client offers both.
    const ALL: [Self; 2] = [Self::V1, Self::V0];

    const fn name(self) -> &'static str {
        match self {
            Self::V1 => "im.v1",
            Self::V0 => "im.v0",
        }
    }
}

/// The connection under a socket. While this is held, it counts as one that is in use.
#[derive(Clone)]
pub struct Connection(pub Arc<dyn Any + Send + Sync>);

/// The route. `calls` are what its requests are made of.
pub fn routes(calls: Calls) -> Router<Api> {
    Router::new().route("/ws", get(open)).layer(Extension(calls))
}

/// Refuses pages of other sites, and takes a token from where a browser can put it. Comes before the authentication.
pub async fn admit(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    if is_refused(&api, request.headers()) {
        let detail = "a page of another site cannot open a socket; an operator can list its origin in `socket_origins`";
        return Error::new(Kind::Forbidden, detail).into_response();
    }
    // In other modes the gateway says who is calling, and takes tokens out of what passes it.
    if matches!(api.config.identity.mode, IdentityMode::Jwt | IdentityMode::Accounts) {
        take_bearer(request.headers_mut());
    }
    next.run(request).await
}

/// Whether a page of another site asks, which the settings do not list.
fn is_refused(api: &Api, headers: &HeaderMap) -> bool {
    let origins = &api.config.streams.socket_origins;
    let is_listed = headers.get(ORIGIN).is_some_and(|origin| origins.iter().any(|listed| origin == listed));
    !is_listed && is_foreign(headers)
}

/// The subprotocols that a client offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Makes a token that is offered as a subprotocol the token of the request, unless there is one.
fn take_bearer(headers: &mut HeaderMap) {
    if headers.contains_key(AUTHORIZATION) {
        return;
    }
    let token =
        offered(headers).find_map(|name| name.strip_prefix(BEARER)).map(|token| format!("Bearer {token}"));
    if let Some(mut value) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

/// What a request for a socket says.
struct Opening {
    upgrade: WebSocketUpgrade,
    protocol: Protocol,
    after: Option<i64>,
    wants: Wants,
    calls: Calls,
    connection: Option<Connection>,
}

impl FromRequestParts<Api> for Opening {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        Self::read(parts, api).await.map_err(IntoResponse::into_response)
    }
}

impl Opening {
    async fn read(parts: &mut Parts, api: &Api) -> Result<Self> {
        let calls = parts.extensions.get::<Calls>().cloned();
        let calls = calls.ok_or_else(|| Error::internal("the calls of sockets are missing"))?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, api).await.map_err(|_| {
            Error::parameter(
                "upgrade",
                "must open a WebSocket (RFC 6455, version 13) over HTTP/1.1; a proxy in between must pass `Upgrade` and \
                 `Connection` on",
            )
        })?;
        let protocol = Protocol::ALL
            .into_iter()
            .find(|protocol| offered(&parts.headers).any(|name| name == protocol.name()))
            .ok_or_else(|| Error::parameter("sec-websocket-protocol", "must offer `im.v1` or `im.v0`"))?;
        let query = parts.uri.query().unwrap_or_default();
        // Friends of the older protocol are told of each other without being asked.
        let presence = protocol == Protocol::V0 || wants(query, "presence");
        Ok(Self {
            upgrade: upgrade.protocols([protocol.name()]),
            protocol,
            after: last_event_id(&parts.headers, query),
            wants: Wants { presence, typing: true, calls: protocol == Protocol::V1 },
            calls,
            connection: parts.extensions.remove::<Connection>(),
        })
    }
}

async fn open(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    opening: Opening,
) -> Result<Response> {
    let Opening { upgrade, protocol, after, wants, calls, connection } = opening;
    let stream = api.streams.open(&caller, (after, wants), now).await?;
    let most = api.config.streams.socket_frame_max_bytes;
    let context = Arc::new(Context { api, caller, calls, protocol });
    let upgrade =
        upgrade.read_buffer_size(READ_BYTES).write_buffer_size(0).max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(move |socket| Talk::new(context, stream, connection).run(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_the_subprotocols_unless_there_is_another() {
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("im.v1, bearer.abc.def"));
        take_bearer(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Bearer abc.def");
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer of.the.gateway"));
        take_bearer(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Bearer of.the.gateway");
        assert_eq!(offered(&headers).collect::<Vec<_>>(), ["im.v1", "bearer.abc.def"]);
    }
}
