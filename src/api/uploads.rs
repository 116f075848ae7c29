//! `/files/uploads`: resumable uploads by tus 1.0, with creation, checksum, expiration and termination.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{Stream, StreamExt};
use time::OffsetDateTime;
use time::format_description::{self, OwnedFormatItem};

use super::wire::{PathId, refuse_encoded};
use super::{Api, Person};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::FileId;
use crate::chat::message::check_client_id;
use crate::files::{ALGORITHMS, Append, Checksum, NewFile, Progress, clean_name};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,expiration,termination";
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const DEFERRED: HeaderName = HeaderName::from_static("upload-defer-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const BYTES: &str = "application/offset+octet-stream";
/// How long the rest of a refused body is read. A client that still sends when its connection is closed does not see
/// the answer.
const LINGER: Duration = Duration::from_secs(3);
/// Most bytes of `Upload-Metadata`.
const METADATA_MAX: usize = 4_096;

/// The format of a date in a header (RFC 9110, section 5.6.7).
static HTTP_DATE: LazyLock<OwnedFormatItem> = LazyLock::new(|| {
    let format = "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT";
    format_description::parse_owned::<2>(format).expect("a format of the time crate")
});

pub fn routes() -> Router<Api> {
    let one = options(offer).head(look).patch(append).delete(end).post(overridden);
    Router::new().route("/files/uploads", options(offer).post(create)).route("/files/uploads/{file_id}", one)
}

/// Refuses other versions of the protocol.
pub async fn speak(request: Request, next: Next) -> Response {
    let version = request.headers().get(RESUMABLE);
    if request.method() == Method::OPTIONS || version.is_some_and(|version| version == VERSION) {
        return next.run(request).await;
    }
    let error = Error::new(Kind::PreconditionFailed, "send `Tus-Resumable: 1.0.0`").at(RESUMABLE.as_str());
    ([(VERSIONS, VERSION)], error).into_response()
}

/// Names the version of the protocol in every answer.
pub async fn name_version(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    response
}

async fn offer(State(api): State<Api>, _: Person) -> impl IntoResponse {
    let most = api.config.files.max_bytes.to_string();
    let headers = [
        (VERSIONS, VERSION.to_owned()),
        (HeaderName::from_static("tus-extension"), EXTENSIONS.to_owned()),
        (HeaderName::from_static("tus-max-size"), most),
        (HeaderName::from_static("tus-checksum-algorithm"), ALGORITHMS.to_owned()),
    ];
    (StatusCode::NO_CONTENT, headers)
}

async fn create(State(api): State<Api>, Person(caller): Person, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let (headers, body) = (&parts.headers, Lingering::of(body));
    refuse_encoded(headers)?;
    if headers.contains_key(DEFERRED) {
        return Err(Error::parameter(DEFERRED.as_str(), "is not supported: send `Upload-Length`"));
    }
    let (size, checksum) = (number(headers, LENGTH)?, checksum(headers)?);
    let new = new_file(headers, size)?;
    let now = api.store.now().await?;
    let (file_id, repeated) = api.files.create(&caller.user_id, &new, now).await?;
    let mut answer = HeaderMap::new();
    answer.insert(LOCATION, header(location(&api, file_id))?);
    let brings_bytes = headers.contains_key(CONTENT_TYPE) && length(headers)? != Some(0);
    let progress = if brings_bytes && !repeated {
        must_be_bytes(headers)?;
        let length = length(headers)?;
        let append = Append { file_id, owner: caller.user_id, offset: 0, length, checksum };
        api.files.append(append, body, now).await?
    } else {
        api.files.resume(file_id, &caller.user_id, now).await?
    };
    if brings_bytes {
        // Of a repeat too: the client goes on from there.
        answer.insert(OFFSET, header(progress.offset.to_string())?);
    }
    set_expiry(&mut answer, &progress)?;
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn look(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
) -> Result<Response> {
    let now = api.store.now().await?;
    let progress = api.files.resume(file_id, &caller.user_id, now).await?;
    let mut answer = HeaderMap::new();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(OFFSET, header(progress.offset.to_string())?);
    answer.insert(LENGTH, header(progress.size.to_string())?);
    if let Some(metadata) = &progress.metadata {
        answer.insert(METADATA, header(metadata.clone())?);
    }
    set_expiry(&mut answer, &progress)?;
    Ok((StatusCode::OK, answer).into_response())
}

async fn append(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let (headers, body) = (&parts.headers, Lingering::of(body));
    refuse_encoded(headers)?;
    must_be_bytes(headers)?;
    let offset = i64::try_from(number(headers, OFFSET)?)
        .map_err(|_| Error::parameter(OFFSET.as_str(), "must be the offset that HEAD gives"))?;
    let (length, checksum) = (length(headers)?, checksum(headers)?);
    let now = api.store.now().await?;
    let append = Append { file_id, owner: caller.user_id, offset, length, checksum };
    let progress = api.files.append(append, body, now).await?;
    let mut answer = HeaderMap::new();
    answer.insert(OFFSET, header(progress.offset.to_string())?);
    set_expiry(&mut answer, &progress)?;
    Ok((StatusCode::NO_CONTENT, answer).into_response())
}

async fn end(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
) -> Result<StatusCode> {
    let now = api.store.now().await?;
    api.files.remove(file_id, &caller.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The body of an upload. What is left of it when it is dropped is read and discarded for a moment.
pub struct Lingering(Option<BodyDataStream>);

impl Lingering {
    pub fn of(body: Body) -> Self {
        Self(Some(body.into_data_stream()))
    }
}

impl Stream for Lingering {
    type Item = std::result::Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let next = body.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            tokio::spawn(tokio::time::timeout(LINGER, rest.for_each(|_| std::future::ready(()))));
        }
    }
}

/// For clients that can send only GET and POST: the header names the method.
async fn overridden(
    state: State<Api>,
    person: Person,
    file_id: PathId<FileId>,
    request: Request,
) -> Result<Response> {
    match request.headers().get(OVERRIDE).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => append(state, person, file_id, request).await,
        Some(b"DELETE") => end(state, person, file_id).await.map(IntoResponse::into_response),
        Some(b"HEAD") => look(state, person, file_id).await,
        _ => {
            Ok(([(ALLOW, "OPTIONS,HEAD,PATCH,DELETE")], Error::new(Kind::MethodNotAllowed, ""))
                .into_response())
        }
    }
}

/// Reads what a client tells of a file in `Upload-Metadata`.
fn new_file(headers: &HeaderMap, size: u64) -> Result<NewFile> {
    let refuse = |why: &str| Error::parameter(METADATA.as_str(), why.to_owned());
    let metadata = match headers.get(METADATA) {
        Some(value) => Some(value.to_str().map_err(|_| refuse("must be ASCII"))?.to_owned()),
        None => None,
    };
    let mut known: Vec<(&str, String)> = Vec::new();
    for pair in
        metadata.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let text = BASE64_STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if !["filename", "name", "sha256", "client_id"].contains(&key) {
            continue;
        }
        let text = text.ok_or_else(|| refuse("must be pairs of a key and the base64 of a UTF-8 text"))?;
        if known.iter().any(|(other, _)| *other == key) {
            return Err(refuse("has a key twice"));
        }
        known.push((key, text));
    }
    if metadata.as_ref().is_some_and(|metadata| metadata.len() > METADATA_MAX) {
        return Err(refuse("must have at most 4,096 bytes"));
    }
    let mut take = |key: &str| {
        let at = known.iter().position(|(known, _)| *known == key)?;
        Some(known.swap_remove(at).1)
    };
    let name = take("filename").or_else(|| take("name")).ok_or_else(|| refuse("needs the key `filename`"))?;
    let name = clean_name(&name, METADATA_NAME)?;
    let client_id = take("client_id");
    if let Some(client_id) = &client_id {
        check_client_id(client_id, "").map_err(|e| Error::parameter(METADATA_NAME, e.detail))?;
    }
    let sha256 = take("sha256").map(|hex| sha256(&hex, METADATA_NAME)).transpose()?;
    Ok(NewFile { name, size, metadata, sha256, client_id })
}

const METADATA_NAME: &str = "upload-metadata";

/// Reads a SHA-256 of 64 hexadecimal digits. `at` is the parameter.
pub fn sha256(hex: &str, at: &'static str) -> Result<Vec<u8>> {
    let refuse = || Error::parameter(at, "a SHA-256 must have 64 hexadecimal digits");
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(refuse());
    }
    (0..64).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).map_err(|_| refuse())).collect()
}

/// The URL of an upload: relative, if the settings do not name the address of the service.
fn location(api: &Api, file_id: FileId) -> String {
    match api.config.files.url.as_str() {
        // It is relative to `…/files/uploads`, so that it holds below every path of a gateway.
        "" => format!("uploads/{file_id}"),
        url => format!("{}/uploads/{file_id}", url.trim_end_matches('/')),
    }
}

fn must_be_bytes(headers: &HeaderMap) -> Result<()> {
    if headers.get(CONTENT_TYPE).is_some_and(|media_type| media_type == BYTES) {
        return Ok(());
    }
    Err(Error::new(Kind::UnsupportedMediaType, "send `Content-Type: application/offset+octet-stream`"))
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>> {
    let checksum = headers.get(CHECKSUM).map(|value| value.to_str().unwrap_or_default());
    checksum.map(Checksum::parse).transpose()
}

/// The number of bytes of the body, if the request says so.
pub fn length(headers: &HeaderMap) -> Result<Option<u64>> {
    headers.contains_key(CONTENT_LENGTH).then(|| number(headers, CONTENT_LENGTH)).transpose()
}

fn number(headers: &HeaderMap, name: HeaderName) -> Result<u64> {
    let Some(value) = headers.get(&name) else {
        return Err(Error::parameter(name.as_str(), "is missing"));
    };
    let text = value.to_str().unwrap_or_default();
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_digits);
    number.ok_or_else(|| Error::parameter(name.as_str(), "must be a whole number"))
}

fn set_expiry(answer: &mut HeaderMap, progress: &Progress) -> Result<()> {
    if let Some(at) = progress.expires_at {
        answer.insert(EXPIRES, header(http_date(at)?)?);
    }
    Ok(())
}

fn http_date(at: OffsetDateTime) -> Result<String> {
    at.to_offset(time::UtcOffset::UTC).format(&*HTTP_DATE).map_err(Error::internal)
}

fn header(value: String) -> Result<HeaderValue> {
    HeaderValue::try_from(value).map_err(Error::internal)
}
