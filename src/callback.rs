//! An endpoint: sign, POST, judge the answer, back off, break.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use sha2::Sha256;
use time::OffsetDateTime;
use url::Url;

use crate::config::{Config, Secret};
use crate::delivery::{Verdicts, judge};
use crate::error::{Error, Kind, Result};

/// Begins a secret of Standard Webhooks.
const SECRET_MARK: &str = "whsec_";
/// Fewest bytes of a secret, as Standard Webhooks demands.
const SECRET_MIN_BYTES: usize = 24;
/// Idle connections kept to the endpoint.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// Longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How one POST ended.
#[derive(Debug)]
pub enum Answer {
    /// A verdict for every receiver.
    Judged(Verdicts),
    /// Nobody got it: why, with the HTTP status if there was one, and how long to stay away.
    Failed { status: Option<u16>, error: &'static str, retry_after: Option<Duration> },
}

impl Answer {
    /// Whether the endpoint itself works: one that refuses a batch (4xx) would take another, and
    /// one poisoned batch must not stop all.
    pub fn endpoint_is_there(&self) -> bool {
        match self {
            Self::Judged(_) => true,
            Self::Failed { status, .. } => {
                status.is_some_and(|s| (400..500).contains(&s) && ![401, 408, 429].contains(&s))
            }
        }
    }
}

/// The gateway's endpoint with the state of its breaker.
pub struct Callback {
    url: Url,
    secrets: Vec<Vec<u8>>,
    client: reqwest::Client,
    answer_max_bytes: usize,
    breaker: Mutex<Breaker>,
    breaker_failures: u32,
    breaker_probe: Duration,
}

struct Breaker {
    failures: u32,
    /// While open: when the next probe may go.
    probe_at: Option<Instant>,
}

/// Whether batches go out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// As many as may run at once.
    Closed,
    /// One, to see whether the endpoint is back.
    Probe,
    /// None before this moment.
    Open(Instant),
}

impl Callback {
    /// The endpoint of the settings, or `None` when nothing is to be pushed.
    pub fn from_config(config: &Config) -> Result<Option<Self>> {
        if config.callback_url.is_empty() {
            return Ok(None);
        }
        let refuse = |why: &'static str| Error::new(Kind::Internal, why);
        let url = Url::parse(&config.callback_url).map_err(|_| refuse("callback_url is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("callback_url must be http or https"));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.callback_timeout)
            .connect_timeout(config.callback_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .no_proxy()
            .user_agent(concat!("im-push-gateway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        Ok(Some(Self {
            url,
            secrets: config.callback_secrets.iter().map(decode_secret).collect::<Result<_>>()?,
            client,
            answer_max_bytes: config.callback_answer_max_bytes,
            breaker: Mutex::new(Breaker { failures: 0, probe_at: None }),
            breaker_failures: config.callback_breaker_failures.max(1),
            breaker_probe: config.callback_breaker_probe,
        }))
    }

    /// POSTs `body` under `batch_id` and judges what comes back. Never an error: whatever
    /// goes wrong is an answer that nobody got it.
    pub async fn post(
        &self,
        batch_id: &str,
        body: Vec<u8>,
        now: OffsetDateTime,
        is_receiver: impl Fn(&str) -> bool,
    ) -> Answer {
        let timestamp = now.unix_timestamp().to_string();
        let signature = sign(&self.secrets, batch_id, &timestamp, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header("webhook-id", batch_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(e) => return failed(None, describe(&e)),
        };
        let status = response.status();
        if status != StatusCode::OK {
            let retry_after = retry_after(response.headers());
            let error = if status.is_redirection() { "redirect refused" } else { "not 200" };
            return Answer::Failed { status: Some(status.as_u16()), error, retry_after };
        }
        match self.read_bounded(response).await {
            Ok(answer) => match judge(&answer, is_receiver) {
                Some(verdicts) => Answer::Judged(verdicts),
                None => failed(Some(200), "answer says nothing of receivers"),
            },
            Err(error) => failed(Some(200), error),
        }
    }

    async fn read_bounded(
        &self,
        mut response: reqwest::Response,
    ) -> std::result::Result<Vec<u8>, &'static str> {
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| describe(&e))? {
            if answer.len() + part.len() > self.answer_max_bytes {
                return Err("answer too large");
            }
            answer.extend_from_slice(&part);
        }
        Ok(answer)
    }

    /// Whether a batch may go now. A probe is handed out once an interval.
    pub fn gate(&self) -> Gate {
        let mut breaker = self.lock();
        match breaker.probe_at {
            None => Gate::Closed,
            Some(at) if at > Instant::now() => Gate::Open(at),
            Some(_) => {
                breaker.probe_at = Some(Instant::now() + self.breaker_probe);
                Gate::Probe
            }
        }
    }

    /// Tells the breaker how a POST ended.
    pub fn note(&self, succeeded: bool) {
        let mut breaker = self.lock();
        if succeeded {
            if breaker.probe_at.take().is_some() {
                tracing::info!("callback answers again");
            }
            breaker.failures = 0;
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= self.breaker_failures {
            if breaker.probe_at.is_none() {
                tracing::warn!(failures = breaker.failures, "callback does not answer, breaker opens");
                metrics::counter!("impg_callback_breaker_opened_total").increment(1);
            }
            breaker.probe_at = Some(Instant::now() + self.breaker_probe);
        }
    }

    /// Whether batches go out; while they do not, nothing is given up.
    pub fn is_closed(&self) -> bool {
        self.lock().probe_at.is_none()
    }

    /// `closed`, `half-open` (a probe is due or under way) or `open`.
    pub fn state(&self) -> &'static str {
        match self.lock().probe_at {
            None => "closed",
            Some(at) if at <= Instant::now() => "half-open",
            Some(_) => "open",
        }
    }

    /// Where it is, without what may be secret in it.
    pub fn public_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The `webhook-signature` header of Standard Webhooks 1.0: one `v1` signature a secret.
fn sign(secrets: &[Vec<u8>], id: &str, timestamp: &str, body: &[u8]) -> String {
    let one = |secret: &Vec<u8>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn decode_secret(secret: &Secret) -> Result<Vec<u8>> {
    let refuse = || {
        Error::new(
            Kind::Internal,
            "a callback secret must be whsec_ and the base64 of at least 24 random bytes",
        )
    };
    let encoded = secret.expose().strip_prefix(SECRET_MARK).ok_or_else(refuse)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| refuse())?;
    if bytes.len() < SECRET_MIN_BYTES { Err(refuse()) } else { Ok(bytes) }
}

/// Only the form in seconds counts (RFC 9110, 10.2.3), and it can only delay.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn failed(status: Option<u16>, error: &'static str) -> Answer {
    Answer::Failed { status, error, retry_after: None }
}

/// Names the failure without what it may quote (addresses, bodies).
fn describe(e: &reqwest::Error) -> &'static str {
    if e.is_timeout() {
        "timeout"
    } else if e.is_connect() {
        "no connection"
    } else if e.is_body() || e.is_decode() {
        "answer cut off"
    } else {
        "connection broke"
    }
}
