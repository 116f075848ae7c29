//! Errors on the wire: problem details for HTTP APIs (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::request;
use crate::base::error::{Error, Kind};

/// Prefix of the `type` of every problem. The slug of the kind follows.
const TYPE_PREFIX: &str = "urn:im-push-gateway:problem:";
/// `Retry-After` of a `503`, in seconds.
const RETRY_AFTER_S: &str = "1";

/// The problem object of an error, for a whole answer or one item of a bulk call.
pub fn problem(error: &Error) -> Value {
    let (status, slug, title) = error.kind.row();
    let mut problem = Map::new();
    problem.insert("type".into(), json!(format!("{TYPE_PREFIX}{slug}")));
    problem.insert("title".into(), json!(title));
    problem.insert("status".into(), json!(status));
    if !error.detail.is_empty() {
        problem.insert("detail".into(), json!(error.detail));
    }
    if let Some(pointer) = &error.pointer {
        problem.insert("pointer".into(), json!(pointer));
    }
    if let Some(call_id) = &error.call_id {
        problem.insert("call_id".into(), json!(call_id));
    }
    if let Some(epoch) = error.epoch {
        problem.insert("epoch".into(), json!(epoch));
    }
    if let Some(id) = request::id() {
        problem.insert("request_id".into(), json!(id));
    }
    Value::Object(problem)
}

/// Logs a failure that the caller did not cause. The span of the request adds its id. While the database is
/// away, the store logs that once.
pub fn log_failure(error: &Error) {
    if error.is_database_away() {
        tracing::debug!(%error, "request failed");
    } else if error.cause().is_some() || error.kind == Kind::Internal {
        tracing::error!(%error, "request failed");
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, ..) = self.kind.row();
        log_failure(&self);
        let retry_after_s = self.retry_after_s;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = problem(&self).to_string();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER_S));
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
