//! `/files`: small uploads, descriptions, downloads, and the files of a user.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json as Reply, Router, body::Body};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::conditions::{Answer, decide};
use super::uploads::{Lingering, length, sha256};
use super::wire::{
    Page, PageQuery, PathId, PathWord, Query, check_client_id_if_any, refuse_encoded, rfc3339,
};
use super::{Api, Person};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::FileId;
use crate::base::text::hex;
use crate::files::{Content, File, NewFile, Usage, clean_name, is_shown};

/// What `filename*` leaves as it is (RFC 8187, section 3.2.1).
const NOT_IN_NAME: AsciiSet = NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/files/{file_id}", get(describe).delete(remove))
        .route("/files/{file_id}/content", get(download))
        .route("/files/{file_id}/link", get(link))
        .route("/users/me/files", get(list))
}

/// Routes without a sign-in: a signature is enough.
pub fn open_routes() -> Router<Api> {
    Router::new().route("/files/linked/{token}", get(linked))
}

/// Routes whose bodies are no JSON, and may be larger and take longer.
pub fn transfers() -> Router<Api> {
    Router::new().route("/files", post(upload))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    name: String,
    sha256: Option<String>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentQuery {
    form: Option<Form>,
}

#[derive(Serialize)]
struct LinkView {
    url: String,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Original,
    Preview,
    Thumbnail,
}

impl Form {
    fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Preview => "preview",
            Self::Thumbnail => "thumbnail",
        }
    }
}

#[derive(Serialize)]
struct FileView {
    file_id: FileId,
    uploader: String,
    name: String,
    size: i64,
    state: &'static str,
    stored: i64,
    media_type: Option<String>,
    sha256: Option<String>,
    width: Option<i32>,
    height: Option<i32>,
    forms: Vec<String>,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct UsageView {
    files: i64,
    bytes: i64,
    quota_files: u64,
    quota_bytes: u64,
}

#[derive(Serialize)]
struct FilesView {
    #[serde(flatten)]
    page: Page<FileView>,
    usage: UsageView,
}

/// The last file of a page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    file_id: FileId,
}

impl From<File> for FileView {
    fn from(file: File) -> Self {
        Self {
            file_id: file.file_id,
            uploader: file.owner,
            name: file.name,
            size: file.size,
            state: if file.is_ready { "ready" } else { "uploading" },
            stored: file.stored,
            media_type: file.media_type,
            sha256: file.sha256.as_deref().map(hex),
            width: file.width,
            height: file.height,
            forms: file.forms,
            created_at: file.created_at,
            expires_at: file.expires_at,
        }
    }
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        let Usage { files, bytes, quota_files, quota_bytes } = usage;
        Self { files, bytes, quota_files, quota_bytes }
    }
}

async fn upload(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = Lingering::of(body);
    refuse_encoded(&parts.headers)?;
    refuse_form(&parts.headers)?;
    let size = length(&parts.headers)?.ok_or_else(|| {
        Error::parameter(CONTENT_LENGTH.as_str(), "is missing: send it, or use /files/uploads")
    })?;
    check_client_id_if_any(query.client_id.as_deref())
        .map_err(|e| Error::parameter("client_id", e.detail))?;
    let new = NewFile {
        name: clean_name(&query.name, "name")?,
        size,
        metadata: None,
        sha256: query.sha256.as_deref().map(|hex| sha256(hex, "sha256")).transpose()?,
        client_id: query.client_id,
    };
    let now = api.store.now().await?;
    let (file_id, repeated) = api.files.put(&caller.user_id, new, body, now).await?;
    let file = api.files.get(file_id, &caller.user_id).await?;
    let status = if repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Reply(FileView::from(file))).into_response())
}

/// A form of a page would be stored with its boundaries.
fn refuse_form(headers: &HeaderMap) -> Result<()> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        let detail = "send the bytes of the file as the body, and its name as the parameter `name`";
        return Err(Error::new(Kind::UnsupportedMediaType, detail));
    }
    Ok(())
}

async fn describe(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
) -> Result<Reply<FileView>> {
    Ok(Reply(api.files.get(file_id, &caller.user_id).await?.into()))
}

async fn remove(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
) -> Result<StatusCode> {
    let now = api.store.now().await?;
    api.files.remove(file_id, &caller.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    Query(page): Query<PageQuery>,
) -> Result<Reply<FilesView>> {
    let limit = page.limit()?;
    let below = page.cursor::<Cursor>()?.map_or(FileId::MAX, |cursor| cursor.file_id);
    let files = api.files.of_owner(&caller.user_id, below, limit).await?;
    let files = files.into_iter().map(FileView::from).collect();
    let page = Page::new(files, limit, |last: &FileView| Cursor { file_id: last.file_id });
    let usage = api.files.usage(&caller.user_id).await?.into();
    Ok(Reply(FilesView { page, usage }))
}

async fn download(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
    Query(query): Query<ContentQuery>,
    request: Request,
) -> Result<Response> {
    let form = query.form.unwrap_or(Form::Original);
    let now = api.store.now().await?;
    let content = api.files.content(file_id, &caller.user_id, form.as_str(), now).await?;
    answer(content, request.headers(), request.method() == Method::GET)
}

async fn link(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(file_id): PathId<FileId>,
    Query(query): Query<ContentQuery>,
) -> Result<Reply<LinkView>> {
    let form = query.form.unwrap_or(Form::Original);
    let now = api.store.now().await?;
    let (token, expires_at) = api.files.link(file_id, &caller.user_id, form.as_str(), now).await?;
    let files = match api.config.files.url.as_str() {
        "" => "/api/v1/files",
        url => url.trim_end_matches('/'),
    };
    Ok(Reply(LinkView { url: format!("{files}/linked/{token}"), expires_at }))
}

/// The link names a user. It ends with the user's right to read the file.
async fn linked(State(api): State<Api>, PathWord(token): PathWord, request: Request) -> Result<Response> {
    let now = api.store.now().await?;
    let link = api.files.linked(&token, now)?;
    let gone = || Error::not_found("no such link, or it has expired");
    crate::people::users::check_active(&api.store, &link.user_id).await.map_err(|e| match e.kind {
        Kind::UnknownUser => gone(),
        _ => e,
    })?;
    let content = api.files.content(link.file_id, &link.user_id, &link.form, now).await?;
    answer(content, request.headers(), request.method() == Method::GET)
}

/// Answers with the content, or with a part of it. A browser that shows it runs nothing of it.
fn answer(content: Content, headers: &HeaderMap, is_get: bool) -> Result<Response> {
    let size = content.size;
    let (status, range) = match decide(headers, is_get, &content.tag, size) {
        Answer::Whole => (StatusCode::OK, 0..size),
        Answer::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Answer::PreconditionFailed => {
            return Err(Error::new(Kind::PreconditionFailed, "the file has another tag"));
        }
        Answer::OutOfRange => {
            let error = Error::new(Kind::RangeNotSatisfiable, format!("the file has {size} bytes"));
            return Ok(([(CONTENT_RANGE, format!("bytes */{size}"))], error).into_response());
        }
    };
    let mut headers_out = HeaderMap::new();
    headers_out.insert(ETAG, header(content.tag.clone())?);
    // The caller may lose the right to read it at any time.
    headers_out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if status == StatusCode::NOT_MODIFIED {
        return Ok((status, headers_out).into_response());
    }
    headers_out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers_out.insert(CONTENT_TYPE, header(content.media_type.clone())?);
    headers_out.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers_out.insert(CONTENT_DISPOSITION, header(disposition(&content))?);
    headers_out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers_out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end - 1;
        headers_out.insert(CONTENT_RANGE, header(format!("bytes {}-{last}/{size}", range.start))?);
    }
    Ok((status, headers_out, Body::from_stream(content.stream(range)?)).into_response())
}

/// The name for a download (RFC 6266), in full in `filename*`, and in ASCII for old clients.
fn disposition(content: &Content) -> String {
    let kind = if is_shown(&content.media_type) { "inline" } else { "attachment" };
    let name = &content.file.name;
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%/;".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let full = utf8_percent_encode(name, &NOT_IN_NAME);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{full}")
}

fn header(value: String) -> Result<HeaderValue> {
    HeaderValue::try_from(value).map_err(Error::internal)
}
