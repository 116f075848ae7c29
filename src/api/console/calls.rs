//! Calls of the API on behalf of the caller of a page.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt;
use url::form_urlencoded::Serializer;

use super::visit::Visit;
use crate::base::error::Error;
use crate::console::answers::Problem;
use crate::console::problem::{FOREIGN_FORM, OPERATORS_ONLY};
use crate::identity::Caller;

/// Most bytes of an answer. Answers of a page are far smaller.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The operations of the API, behind the authentication.
#[derive(Clone)]
pub struct Operations(pub Router);

/// Why there is no page.
pub enum Refusal {
    /// The API refused the call.
    Problem(Problem),
    Error(Error),
}

impl Refusal {
    /// A request that came from another site.
    pub fn foreign() -> Self {
        Self::Problem(Problem { status: 403, kind: FOREIGN_FORM.to_owned(), ..Problem::default() })
    }

    /// A page for operators, asked for by another caller.
    pub fn not_an_operator() -> Self {
        Self::Problem(Problem { status: 403, kind: OPERATORS_ONLY.to_owned(), ..Problem::default() })
    }

    /// A page that does not exist.
    pub fn not_found() -> Self {
        Self::Problem(Problem { status: 404, ..Problem::default() })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Error(error) => error.into_response(),
            Self::Problem(problem) => {
                let status =
                    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let body = json!({
                    "status": problem.status, "type": problem.kind, "detail": problem.detail,
                    "pointer": problem.pointer, "request_id": problem.request_id,
                });
                (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                    .into_response()
            }
        }
    }
}

/// A part of a path.
pub fn part(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The problem in an answer.
pub async fn problem_of(status: StatusCode, body: Body) -> Problem {
    let bytes = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map(|body| body.to_bytes());
    let read = bytes.ok().and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok());
    Problem { status: status.as_u16(), ..read.unwrap_or_default() }
}

/// The calls of one page.
pub struct Calls<'a> {
    operations: &'a Operations,
    caller: &'a Caller,
    /// Empty on pages that show nothing of other people.
    reason: &'a str,
    /// The calls so far, as a command line sends them. The reason is left out: it can be about people.
    pub made: Vec<String>,
}

impl<'a> Calls<'a> {
    /// `None`: the caller has to give a reason first.
    pub fn of(operations: &'a Operations, visit: &'a Visit) -> Option<Self> {
        let reason = visit.reason.as_deref()?;
        Some(Self { operations, caller: &visit.caller, reason, made: Vec::new() })
    }

    /// The calls of a page that shows nothing of other people: without a case.
    pub fn without_case(operations: &'a Operations, visit: &'a Visit) -> Self {
        Self { operations, caller: &visit.caller, reason: "", made: Vec::new() }
    }

    /// The calls of a page for a caller who is no user: without a case.
    pub fn by(operations: &'a Operations, caller: &'a Caller) -> Self {
        Self { operations, caller, reason: "", made: Vec::new() }
    }

    /// A call that needs no reason.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<T, Refusal> {
        let target = target(path, params);
        self.made.push(target.clone());
        read(self.send(Method::GET, &target, None).await?).await
    }

    /// A call that changes something, with a JSON body or none. An answer without a body is `null`.
    pub async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Refusal> {
        read(self.send(method, path, body).await?).await
    }

    /// A call with the reason of the case.
    pub async fn look<T: DeserializeOwned>(
        &mut self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<T, Refusal> {
        let mut with_reason = params.to_vec();
        with_reason.push(("reason", self.reason));
        let shown = target(path, params);
        let glue = if shown.contains('?') { '&' } else { '?' };
        self.made.push(format!("{shown}{glue}reason=$REASON"));
        read(self.send(Method::GET, &target(path, &with_reason), None).await?).await
    }

    /// The same, as it comes.
    pub async fn stream(&self, path: &str, params: &[(&str, &str)]) -> Result<Response, Refusal> {
        let mut params = params.to_vec();
        params.push(("reason", self.reason));
        self.send(Method::GET, &target(path, &params), None).await
    }

    async fn send(&self, method: Method, target: &str, json: Option<&Value>) -> Result<Response, Refusal> {
        let request = Request::builder().method(method).uri(target);
        let request = match json {
            Some(json) => {
                let request = request.header(header::CONTENT_TYPE, "application/json");
                request.body(Body::from(json.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let mut request = request.map_err(Error::internal)?;
        request.extensions_mut().insert(self.caller.clone());
        match self.operations.0.clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}

fn target(path: &str, params: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(params);
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The answer, or the problem.
pub async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Refusal> {
    let status = response.status();
    if !status.is_success() {
        return Err(Refusal::Problem(problem_of(status, response.into_body()).await));
    }
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    let bytes = body.map_err(Error::internal)?.to_bytes();
    let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    Ok(serde_json::from_slice(json).map_err(Error::internal)?)
}
