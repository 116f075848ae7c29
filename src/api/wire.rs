//! Wire types that all resources share: ids as decimal strings, JSON bodies, parameters, pages.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Api;
use super::bodies::Refused;
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::number::{self, ChannelId};
use crate::base::strict;
use crate::base::text::is_label;
use crate::chat::message::check_client_id;

pub use crate::base::number::Id;

/// Entries on a page when the caller gives no `limit`.
pub const LIMIT_DEFAULT: i64 = 50;
/// Most entries on a page.
pub const LIMIT_MAX: i64 = 200;

/// Most characters of a `reason`.
const REASON_MAX_CHARS: usize = 500;

/// An id in a path, of the kind `T`. An invalid id is reported as not found.
pub struct PathId<T>(pub T);

impl<T: From<i64>> FromRequestParts<Api> for PathId<T> {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        let missing = || Error::not_found("no such resource").into_response();
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| missing())?;
        number::parse(&text).map(|id| Self(id.into())).ok_or_else(missing)
    }
}

/// A text in a path. A text that is not UTF-8 is reported as not found.
pub struct PathWord(pub String);

impl FromRequestParts<Api> for PathWord {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        let word = Path::<String>::from_request_parts(parts, api).await;
        word.map(|Path(word)| Self(word)).map_err(|_| Error::not_found("no such resource").into_response())
    }
}

/// Two parts of a path, each an id or a text. A wrong one is reported as not found.
pub struct PathPair<A, B>(pub A, pub B);

/// What a part of a path can be.
pub trait PathPart: Sized {
    /// None: it is no such id.
    fn read(text: String) -> Option<Self>;
}

impl PathPart for String {
    fn read(text: String) -> Option<Self> {
        Some(text)
    }
}

impl PathPart for i64 {
    fn read(text: String) -> Option<Self> {
        number::parse(&text)
    }
}

impl PathPart for ChannelId {
    fn read(text: String) -> Option<Self> {
        Self::parse(&text)
    }
}

impl<A: PathPart, B: PathPart> FromRequestParts<Api> for PathPair<A, B> {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        let missing = || Error::not_found("no such resource").into_response();
        let Path((one, other)) =
            Path::<(String, String)>::from_request_parts(parts, api).await.map_err(|_| missing())?;
        A::read(one).zip(B::read(other)).map(|(one, other)| Self(one, other)).ok_or_else(missing)
    }
}

/// A channel and a member in a path.
pub struct PathMember(pub ChannelId, pub String);

impl FromRequestParts<Api> for PathMember {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, Response> {
        let missing = |_| Error::not_found("no such member").into_response();
        let PathPair(channel_id, user_id) =
            PathPair::<ChannelId, String>::from_request_parts(parts, api).await.map_err(missing)?;
        check_id(&user_id).map_err(|_| Error::not_found("no such member").into_response())?;
        Ok(Self(channel_id, user_id))
    }
}

/// A JSON body. Its errors say what is wrong and where.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Response;
    async fn from_request(request: Request, api: &Api) -> std::result::Result<Self, Response> {
        let parsed = parse(request, api).await;
        parsed.map(Self).map_err(IntoResponse::into_response)
    }
}

/// An optional JSON body. An absent, empty or `null` body gives the default. An absent body needs no content
/// type.
pub struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for MaybeJson<T> {
    type Rejection = Response;
    async fn from_request(request: Request, api: &Api) -> std::result::Result<Self, Response> {
        parse_if_any(request, api).await.map(Self).map_err(IntoResponse::into_response)
    }
}

async fn parse<T: DeserializeOwned>(request: Request, api: &Api) -> Result<T> {
    refuse_encoded(request.headers())?;
    must_be_json(&request)?;
    strict::read(&read_body(request.into_body(), api).await?)
}

async fn parse_if_any<T: DeserializeOwned + Default>(request: Request, api: &Api) -> Result<T> {
    refuse_encoded(request.headers())?;
    let typed = request.headers().contains_key(CONTENT_TYPE);
    if typed {
        must_be_json(&request)?;
    }
    let bytes = read_body(request.into_body(), api).await?;
    match bytes.trim_ascii() {
        [] => Ok(T::default()),
        _ if !typed => Err(Error::new(Kind::UnsupportedMediaType, "")),
        _ => Ok(strict::read::<Option<T>>(&bytes)?.unwrap_or_default()),
    }
}

fn must_be_json(request: &Request) -> Result<()> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Error::new(Kind::UnsupportedMediaType, ""));
    }
    Ok(())
}

/// Reads the whole body. It fails if the body is too large or too slow, or if the replica is too busy for it.
pub async fn read_body(body: Body, api: &Api) -> Result<Bytes> {
    let (most_bytes, within) =
        (api.config.server.request_body_max_bytes, api.config.server.request_body_timeout);
    let Ok(body) = tokio::time::timeout(within, Limited::new(body, most_bytes).collect()).await else {
        return Err(Error::new(
            Kind::Timeout,
            format!("the body did not arrive within {} ms", within.as_millis()),
        ));
    };
    match body {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(Error::new(Kind::TooLarge, format!("the body can have at most {most_bytes} bytes")))
        }
        Err(e) => Err(match Refused::among(&*e) {
            Some(Refused(detail)) => Error::unavailable(detail),
            None => Error::new(Kind::MalformedBody, "the body is incomplete"),
        }),
    }
}

/// Refuses a compressed body, because the service does not decode any encoding.
pub fn refuse_encoded(headers: &HeaderMap) -> Result<()> {
    let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(Error::new(Kind::UnsupportedMediaType, "send the body without Content-Encoding"))
}

/// Whether a `Host` header is a name or an address with an optional port.
pub fn is_host(host: &HeaderValue) -> bool {
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

/// A list of at most `MOST` items. A longer list is refused before it is in memory.
pub struct AtMost<const MOST: usize, T>(pub Vec<T>);

impl<const MOST: usize, T> Default for AtMost<MOST, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, const MOST: usize, T: Deserialize<'de>> Deserialize<'de> for AtMost<MOST, T> {
    fn deserialize<D: Deserializer<'de>>(de: D) -> std::result::Result<Self, D::Error> {
        struct Items<const MOST: usize, T>(PhantomData<T>);
        impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Items<MOST, T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of at most {MOST} items")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MOST {
                        return Err(A::Error::invalid_length(MOST + 1, &self));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        de.deserialize_seq(Items::<MOST, T>(PhantomData)).map(Self)
    }
}

/// Query parameters. Unknown ones are refused.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> std::result::Result<Self, Response> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self).map_err(IntoResponse::into_response)
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T> {
    let reader = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|e| {
        let (path, reason) = (e.path().to_string(), strict::reason(&e.inner().to_string()));
        let named = |words: &str| Some(reason.strip_prefix(words)?.split('`').next()?.to_owned());
        if let Some(missing) = named("missing field `") {
            Error::parameter(missing, "is missing")
        } else if let Some(twice) = named("duplicate field `") {
            Error::parameter(twice, "is given twice")
        } else if let Some(unknown) = named("unknown field `") {
            let known = reason.split_once(", expected ").map_or("none", |(_, known)| known);
            Error::parameter(unknown, format!("is not a parameter of this operation; it takes {known}"))
        } else {
            // Other messages come from Rust's parsers and would confuse the caller.
            let number = ["digit", "integer", "number"].iter().any(|word| reason.contains(word));
            let why = if number { "must be a whole number within its bounds".into() } else { reason };
            Error::parameter(path, why)
        }
    })
}

/// `limit` and `cursor` of a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

impl PageQuery {
    pub fn limit(&self) -> Result<i64> {
        check_limit(self.limit, LIMIT_DEFAULT, LIMIT_MAX)
    }

    pub fn limit_up_to(&self, most: i64) -> Result<i64> {
        check_limit(self.limit, LIMIT_DEFAULT, most)
    }

    pub fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.cursor.as_deref().map(read_cursor).transpose()
    }
}

pub fn check_limit(limit: Option<i64>, default: i64, most: i64) -> Result<i64> {
    let limit = limit.unwrap_or(default);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(Error::parameter("limit", format!("must be 1 to {most}")))
    }
}

/// Checks an optional `reason`. It explains why the caller reads or changes data of other users.
pub fn check_reason(reason: Option<&str>) -> Result<Option<&str>> {
    if !reason.is_none_or(|reason| is_label(reason, REASON_MAX_CHARS)) {
        let detail =
            format!("must be one line of 1 to {REASON_MAX_CHARS} characters, at least one of them visible");
        return Err(Error::parameter("reason", detail));
    }
    Ok(reason.map(str::trim))
}

/// Checks an optional `client_id`.
pub fn check_client_id_if_any(client_id: Option<&str>) -> Result<()> {
    client_id.map_or(Ok(()), |client_id| check_client_id(client_id, ""))
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of items. A full page has a `next_cursor`: the `place` of its last item.
    pub fn new<C: Serialize>(items: Vec<T>, limit: i64, place: impl Fn(&T) -> C) -> Self {
        let next_cursor =
            items.last().filter(|_| items.len() as i64 >= limit).map(|last| write_cursor(&place(last)));
        Self { items, next_cursor }
    }

    /// The same page with its items as the caller sees them.
    pub fn map<U>(self, shown: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(shown).collect(), next_cursor: self.next_cursor }
    }
}

/// Encodes a cursor: JSON in base64. Cursors are opaque, so their content can change.
pub fn write_cursor(place: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

pub fn read_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T> {
    let refuse = || Error::parameter("cursor", "must be the `next_cursor` of the previous page");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refuse())?;
    // U+0000 as JSON writes it. PostgreSQL cannot store it.
    if bytes.windows(6).any(|six| six == br"\u0000") {
        return Err(refuse());
    }
    serde_json::from_slice(&bytes).map_err(|_| refuse())
}

/// Times on the wire: RFC 3339, UTC.
pub mod rfc3339 {
    pub use time::serde::rfc3339::{option, serialize};
}
