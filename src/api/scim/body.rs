//! SCIM request and response bodies.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::api::{Api, wire};
use crate::base::error::Kind;
use crate::base::strict;
use crate::sync::scim::{Error, Query, Refusal, Shown};

const MEDIA_TYPE: &str = "application/scim+json";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// An error in the SCIM format.
pub struct RefusedBody(Error);

impl<E: Into<Error>> From<E> for RefusedBody {
    fn from(e: E) -> Self {
        Self(e.into())
    }
}

impl IntoResponse for RefusedBody {
    fn into_response(self) -> Response {
        let failed = match self.0 {
            Error::Refused(refusal) => return refused(&refusal),
            Error::Failed(e) => e,
        };
        let (kind, detail) = (failed.kind, failed.detail().to_owned());
        // Reuses the headers and the log line of other errors.
        let mut response = failed.into_response();
        let status = if kind == Kind::InvalidField { StatusCode::BAD_REQUEST } else { response.status() };
        let body = error(status, None, &detail);
        *response.status_mut() = status;
        *response.body_mut() = body.to_string().into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.remove(header::CONTENT_LENGTH);
        response
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, &error(status, refusal.scim_type, &refusal.detail))
}

fn error(status: StatusCode, scim_type: Option<&str>, detail: &str) -> Value {
    let mut error = json!({"schemas": [ERROR], "status": status.as_str(), "detail": detail});
    if let Some(scim_type) = scim_type {
        error["scimType"] = scim_type.into();
    }
    error
}

pub fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response()
}

/// Deepest nesting of a body. What a resource has is stored, a patch can put it deeper, and readers take 127 levels.
const DEPTH_MAX: usize = 32;

/// A JSON body under either of the two media types.
pub struct Body(pub Value);

impl FromRequest<Api> for Body {
    type Rejection = RefusedBody;
    async fn from_request(request: Request, api: &Api) -> Result<Self, RefusedBody> {
        let media_type =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if ![MEDIA_TYPE, "application/json"].iter().any(|known| essence.eq_ignore_ascii_case(known)) {
            let detail = "the body must be application/scim+json or application/json".into();
            return Err(Error::Refused(Refusal { status: 415, scim_type: None, detail }).into());
        }
        wire::refuse_encoded(request.headers())?;
        let bytes = wire::read_body(request.into_body(), api).await?;
        let value: Value = strict::read(&bytes).map_err(|e| Error::invalid_syntax(e.detail().to_owned()))?;
        if strict::depth(&value) > DEPTH_MAX {
            return Err(
                Error::invalid_syntax("must be at most 32 levels deep: leave out deeper attributes").into()
            );
        }
        Ok(Self(value))
    }
}

/// The body of a search by POST.
pub struct Search(pub Query);

impl FromRequest<Api> for Search {
    type Rejection = RefusedBody;
    async fn from_request(request: Request, api: &Api) -> Result<Self, RefusedBody> {
        let Body(body) = Body::from_request(request, api).await?;
        let body = body.as_object().ok_or_else(|| Error::invalid_syntax("a search must be an object"))?;
        let schemas = body.get("schemas").and_then(Value::as_array);
        if !schemas.is_some_and(|urns| urns.iter().any(|urn| urn == SEARCH)) {
            return Err(Error::invalid_syntax(format!("schemas must contain {SEARCH}")).into());
        }
        let (only, without) = (names(body, "attributes")?, names(body, "excludedAttributes")?);
        Ok(Self(Query {
            filter: text(body, "filter")?,
            sort_by: text(body, "sortBy")?,
            descending: descending(text(body, "sortOrder")?.as_deref())?,
            start_index: number(body, "startIndex")?,
            count: number(body, "count")?,
            shown: Shown::of(only.as_deref(), without.as_deref())?,
        }))
    }
}

pub fn descending(order: Option<&str>) -> crate::sync::scim::Result<bool> {
    match order {
        None => Ok(false),
        Some(order) if order.eq_ignore_ascii_case("ascending") => Ok(false),
        Some(order) if order.eq_ignore_ascii_case("descending") => Ok(true),
        Some(_) => Err(Error::invalid_value("sortOrder must be ascending or descending")),
    }
}

fn text(body: &Map<String, Value>, name: &str) -> crate::sync::scim::Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::invalid_value(format!("{name} must be a string"))),
    }
}

fn number(body: &Map<String, Value>, name: &str) -> crate::sync::scim::Result<Option<i64>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => Err(Error::invalid_value(format!("{name} must be a whole number"))),
        },
    }
}

/// A list of names, or one string with commas.
fn names(body: &Map<String, Value>, name: &str) -> crate::sync::scim::Result<Option<String>> {
    match body.get(name) {
        Some(Value::Array(list)) => {
            let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let names =
                names.ok_or_else(|| Error::invalid_value(format!("{name} must be a list of strings")))?;
            Ok(Some(names.join(",")).filter(|names| !names.is_empty()))
        }
        _ => text(body, name),
    }
}
