//! The calls of the API as a socket makes them: the same operations, behind the same limits.

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::api::problem::{log_failure, problem};
use crate::api::rates::Rates;
use crate::api::request;
use crate::base::error::Error;
use crate::base::trace::TraceContext;
use crate::identity::Caller;

/// Most bytes of an answer. It is more than a page of the longest messages has.
const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The operations of the API, behind the authentication, with their limits.
#[derive(Clone)]
pub struct Calls {
    pub operations: Router,
    pub rates: Rates,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    /// The path without its prefix, with the query.
    pub target: String,
    pub body: Value,
}

impl Call {
    pub fn get(target: String) -> Self {
        Self { method: Method::GET, target, body: Value::Null }
    }

    pub fn post(target: String, body: Value) -> Self {
        Self { method: Method::POST, target, body }
    }
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// How many seconds the caller should wait, if the call is refused for now.
    pub retry_after: Option<u64>,
}

impl Answer {
    /// The answer that an error gives.
    pub fn refusal(error: &Error) -> Self {
        log_failure(error);
        let (status, ..) = error.kind.row();
        Self { status, body: problem(error), retry_after: error.retry_after_s }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Calls {
    /// Makes a call for `caller`. It is a request of its own: with an id, and a trace.
    pub async fn make(&self, caller: &Caller, call: Call) -> Answer {
        let (id, trace) = (Uuid::now_v7().to_string(), TraceContext::start());
        let span = tracing::error_span!("request", request_id = id, trace_id = trace.trace_id());
        let made = async { self.answer(caller, call).await.unwrap_or_else(|error| Answer::refusal(&error)) };
        request::ID.scope(id, trace.scope(made.instrument(span))).await
    }

    async fn answer(&self, caller: &Caller, call: Call) -> Result<Answer, Error> {
        let Call { method, target, body } = call;
        let mut request = Request::builder().method(method).uri(target);
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header(CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        };
        let mut request = request.body(body).map_err(Error::internal)?;
        request.extensions_mut().insert(caller.clone());
        let response = match self.operations.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let bytes = bytes.map_err(Error::internal)?.to_bytes();
        let body = if bytes.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&bytes).map_err(Error::internal)?
        };
        Ok(Answer { status, body, retry_after: wait })
    }
}
