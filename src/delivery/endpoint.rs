//! An endpoint: sign, POST, limit the answer, open the breaker. And the registry of all endpoints.
//!
//! The gateway is one endpoint: its answer decides which receivers have received. The gate is another: it is asked about
//! each message before it is stored. All others are observers.

mod breaker;
mod connection;
mod encrypt;
mod gateway;
mod guard;
mod in_force;
mod registry;
mod resource;
mod sign;
mod spec;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use url::Url;

use crate::base::named::named;
use crate::base::renewed::Renewed;
use crate::base::trace::Span;
use crate::delivery::status::{Verdicts, parse_answer};
use breaker::{Breaker, BreakerChange};
use guard::{Guard, Refused, Unresolved};

pub use breaker::Admission;
pub use in_force::{InForce, WithoutAnswer};
pub use registry::Callbacks;
pub use resource::{Endpoint, Manager, NewSecret, TestResult};
pub use spec::{EVENT_TYPES, EndpointSpec, FILTER_MAX};

/// The label in metrics of all endpoints of applications.
const OWNED: &str = "owned";
/// The callback whose answer decides `received`.
pub const GATEWAY: &str = "gateway";
/// The callback that is asked about each message before it is stored.
pub const GATE: &str = "gate";
/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Most bytes of an observer's answer that are read and shown. Its status line decides alone.
const OBSERVER_ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Longest wait for the body of such an answer after its status line.
const OBSERVER_ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The error if the guard refuses an address; see [`Guard`].
const NOT_ALLOWED: &str = "address not allowed by callback_allow";

named! {
    /// What an endpoint's answer means.
    pub enum Kind ("kind of callback") {
        /// The answer has a verdict for each receiver.
        Gateway = "gateway",
        /// The answer allows a message, refuses it or replaces its content.
        Gate = "gate",
        /// Any `2xx` accepts the whole batch.
        Observer = "observer",
    }
}

named! {
    /// Whether batches go to an endpoint.
    pub enum State ("state of a callback") {
        Active = "active",
        /// Nothing is sent; events are queued.
        Paused = "paused",
        /// It failed for too long, or answered that it is gone. Nothing is sent or queued.
        Disabled = "disabled",
    }
}

/// An endpoint in the memory of a replica. A change replaces it, with the same breaker.
pub struct Callback {
    pub callback_id: String,
    pub kind: Kind,
    pub state: State,
    pub url: Url,
    /// For the whole POST: connection, request and answer.
    pub timeout: Duration,
    /// Batches, or questions, that one replica sends at the same time.
    pub concurrency: usize,
    /// Most events in an observer's batch.
    pub batch_events: i32,
    /// Incremented with every change.
    pub revision: i64,
    /// Whether an application has made it for itself.
    owned: bool,
    headers: HeaderMap,
    secrets: Vec<Vec<u8>>,
    /// Ids of the secrets in the database; empty for a gateway of the settings.
    secret_ids: Vec<i64>,
    client: Arc<Renewed<reqwest::Client>>,
    /// Restricts endpoints created through the API. A gateway of the settings has none.
    guard: Option<Guard>,
    answer_max_bytes: usize,
    breaker: Arc<Breaker>,
    /// The questions that the gate can still take.
    slots: Semaphore,
}

/// The result of a POST. Every failure is a result too.
#[derive(Debug)]
pub struct Posted {
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The answer's body. Only its beginning for an observer, or if the batch is not accepted.
    pub answer: Vec<u8>,
    /// Why the batch is not accepted. Quotes nothing from the answer.
    pub error: Option<&'static str>,
    /// The answer's `Retry-After`, if the batch is refused.
    pub retry_after: Option<Duration>,
    pub request_bytes: usize,
    pub took: Duration,
}

impl Posted {
    /// Whether the endpoint itself works. One that refuses a batch (4xx) may accept another, so one bad batch
    /// must not open the breaker.
    pub fn endpoint_is_there(&self) -> bool {
        match self.status {
            _ if self.error.is_none() => true,
            Some(status) => (400..500).contains(&status) && ![401, 408, 429].contains(&status),
            None => false,
        }
    }

    /// An error as people read it, after the status of the answer. Labels of metrics and the log have the error
    /// alone.
    pub fn reason(&self, error: &str) -> String {
        self.status.map_or_else(|| error.to_owned(), |status| format!("answered {status}: {error}"))
    }

    /// Whether the endpoint answers that it is gone for good.
    pub fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE.as_u16())
    }
}

/// What the gateway's answer to a batch means.
#[derive(Debug)]
pub enum Answer {
    /// A verdict for every receiver.
    Judged(Verdicts),
    /// No receiver got it, with the reason.
    Failed(&'static str),
}

impl Answer {
    /// Reads the result of a POST. In doubt, no receiver has received.
    pub fn of(posted: &Posted, is_receiver: impl Fn(&str) -> bool) -> Self {
        match posted.error {
            Some(error) => Self::Failed(error),
            None => parse_answer(&posted.answer, is_receiver)
                .map_or(Self::Failed("answer contains no verdicts"), Self::Judged),
        }
    }

    /// Whether the gateway works: see [`Posted::endpoint_is_there`]. A `200` without verdicts does not count.
    pub fn endpoint_is_there(&self, posted: &Posted) -> bool {
        match self {
            Self::Judged(_) => true,
            Self::Failed(_) => posted.error.is_some() && posted.endpoint_is_there(),
        }
    }
}

impl Callback {
    /// The endpoint in metrics. Those that applications make and remove as they like share a label, so that there are few.
    pub fn label(&self) -> String {
        if self.owned { OWNED.to_owned() } else { self.callback_id.clone() }
    }

    /// POSTs `body` under `id`, signed with every valid secret. Redirects are refused. The size and time of
    /// the answer are limited.
    pub async fn post(&self, id: &str, body: Vec<u8>, now: OffsetDateTime) -> Posted {
        self.post_within(self.timeout, id, body, now).await
    }

    /// The same with a shorter timeout.
    pub(in crate::delivery) async fn post_within(
        &self,
        most: Duration,
        id: &str,
        body: Vec<u8>,
        now: OffsetDateTime,
    ) -> Posted {
        let started = Instant::now();
        let request_bytes = body.len();
        let mut span = self.span(id, request_bytes);
        let (status, retry_after, answer, error) =
            match self.send(&span, (most.min(self.timeout), id, body, now)).await {
                Ok(mut response) => {
                    let status = response.status();
                    let (answer, error) = self.read(&mut response).await;
                    (Some(status.as_u16()), retry_after(response.headers()), answer, error)
                }
                Err(error) => (None, None, Vec::new(), Some(error)),
            };
        if let Some(status) = status {
            span.number("http.response.status_code", status);
        }
        if let Some(error) = error {
            span.fail(error);
        }
        Posted { status, answer, error, retry_after, request_bytes, took: started.elapsed() }
    }

    /// The POST as a span. Of the URL only the server: the rest may hold a secret.
    fn span(&self, id: &str, request_bytes: usize) -> Span {
        let mut span = Span::of_call("POST");
        span.text("http.request.method", "POST");
        span.number("http.request.body.size", request_bytes);
        span.text("server.address", self.url.host_str().unwrap_or_default());
        span.number("server.port", self.url.port_or_known_default().unwrap_or_default());
        span.text("impg.callback.id", &self.callback_id);
        span.text("impg.callback.kind", self.kind.as_str());
        span.text("impg.batch.id", id);
        span
    }

    async fn send(
        &self,
        span: &Span,
        (timeout, id, body, now): (Duration, &str, Vec<u8>, OffsetDateTime),
    ) -> Result<Response, &'static str> {
        if let Some(guard) = &self.guard {
            guard.check(&self.url).map_err(|_| NOT_ALLOWED)?;
        }
        let timestamp = now.unix_timestamp().to_string();
        let signature = sign::sign(&self.secrets, id, &timestamp, &body);
        let body = Bytes::from(body);
        let client = self.client.get();
        let trace = span.trace().headers();
        let request = || {
            client
                .post(self.url.clone())
                .timeout(timeout)
                .headers(self.headers.clone())
                .headers(trace.clone())
                .header("webhook-id", id)
                .header("webhook-timestamp", &timestamp)
                .header("webhook-signature", &signature)
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone())
        };
        connection::send(request).await.map_err(|e| describe(&e))
    }

    /// The answer's body, and what is wrong with the answer. If the status decides alone, the body is only
    /// shown and may be cut or missing.
    async fn read(&self, response: &mut Response) -> (Vec<u8>, Option<&'static str>) {
        let status = response.status();
        let refused = match self.kind {
            _ if status.is_redirection() => Some("redirect refused"),
            Kind::Gateway | Kind::Gate if status != StatusCode::OK => Some("not 200"),
            Kind::Observer if !status.is_success() => Some("not 2xx"),
            _ => None,
        };
        let mut answer = Vec::new();
        if self.kind != Kind::Observer && refused.is_none() {
            let error = read_up_to(response, self.answer_max_bytes, &mut answer).await.err();
            return (answer, error);
        }
        let reading = read_up_to(response, OBSERVER_ANSWER_MAX_BYTES, &mut answer);
        // Late, cut off or too large: what came is shown.
        let _ = tokio::time::timeout(OBSERVER_ANSWER_WAIT, reading).await;
        (answer, refused)
    }

    /// Whether a batch may go now. Each interval allows one probe.
    pub fn admission(&self, now: OffsetDateTime) -> Admission {
        self.breaker.admission(now)
    }

    /// The questions that can still be asked at the same time.
    pub(in crate::delivery) fn slots(&self) -> &Semaphore {
        &self.slots
    }

    /// Reports the result of a POST to the breaker.
    pub fn note(&self, succeeded: bool, now: OffsetDateTime) {
        let callback_id = &self.callback_id;
        match self.breaker.note(succeeded, now) {
            BreakerChange::Nothing => {}
            BreakerChange::ClosedAgain => tracing::info!(callback_id, "callback answers again"),
            BreakerChange::Opened => {
                tracing::warn!(callback_id, "callback does not answer, breaker opens");
                metrics::counter!("impg_callback_breaker_opened_total").increment(1);
            }
        }
    }

    /// Whether batches go out. While they do not, no batch is given up.
    pub fn is_closed(&self) -> bool {
        self.breaker.is_closed()
    }

    /// `closed`, `half-open` (a probe is due or under way) or `open`.
    pub fn breaker_state(&self, now: OffsetDateTime) -> &'static str {
        self.breaker.state(now)
    }

    /// The URL without secrets.
    pub fn public_url(&self) -> String {
        public_url(&self.url)
    }
}

/// A URL without user, password and query: a query may hold a token.
pub fn public_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Reads into `answer` until the end. More than `most` bytes are an error.
async fn read_up_to(
    response: &mut Response,
    most: usize,
    answer: &mut Vec<u8>,
) -> std::result::Result<(), &'static str> {
    while let Some(part) = response.chunk().await.map_err(|e| describe(&e))? {
        let room = most - answer.len();
        answer.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            return Err("answer too large");
        }
    }
    Ok(())
}

/// Only seconds are honoured (RFC 9110, 10.2.3): they can only delay.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Names the failure without quoting addresses or bodies.
fn describe(e: &reqwest::Error) -> &'static str {
    let causes = || std::iter::successors(std::error::Error::source(e), |cause| cause.source());
    if e.is_timeout() {
        "timeout"
    } else if causes().any(|cause| cause.is::<Refused>()) {
        NOT_ALLOWED
    } else if causes().any(|cause| cause.is::<Unresolved>()) {
        "name not found"
    } else if e.is_connect() {
        "no connection"
    } else if e.is_body() || e.is_decode() {
        "answer cut off"
    } else {
        "connection broke"
    }
}
