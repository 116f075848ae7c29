//! The way of spans to a collector: OTLP over HTTP in protobuf (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Work never waits for it. Spans for which there is no room, or which the collector does not take, are counted and gone.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::random;
use crate::base::config::TraceSettings;
use crate::base::error::{Error, Result};
use crate::base::renewed::Renewed;
use crate::base::text::hex;

/// Pauses before a batch is sent again to a collector that is away or busy.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How often the log says that spans are lost.
const COMPLAINTS_APART: Duration = Duration::from_secs(60);
/// Most bytes of an answer that are read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// One more than the largest number that decides about a trace.
const RATIO_ONE: u64 = 1 << 63;

/// Where spans wait. The process has one, as it has one log.
static QUEUE: OnceLock<Queue> = OnceLock::new();

struct Queue {
    spans: mpsc::Sender<Span>,
    ratio: u64,
}

/// Whether spans go to a collector at all.
pub(super) fn is_on() -> bool {
    QUEUE.get().is_some()
}

/// Whether a new trace is recorded. Its random id decides, as OpenTelemetry's samplers by ratio do.
pub(super) fn samples(trace_id: &[u8; 16]) -> bool {
    QUEUE.get().is_some_and(|queue| is_below(trace_id, queue.ratio))
}

fn is_below(trace_id: &[u8; 16], ratio: u64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = *trace_id;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < ratio
}

/// The share as the number below which ids are recorded.
fn ratio_of(share: f64) -> u64 {
    ((share * RATIO_ONE as f64) as u64).min(RATIO_ONE)
}

/// Hands a span over, if there is room.
pub(super) fn export(span: Span) {
    if let Some(queue) = QUEUE.get()
        && queue.spans.try_send(span).is_err()
    {
        count_dropped("queue", 1);
    }
}

fn count_dropped(reason: &'static str, spans: u64) {
    metrics::counter!("impg_spans_dropped_total", "reason" => reason).increment(spans);
}

/// What sends the spans, in a task of its own.
pub struct Exporter {
    stop: CancellationToken,
    task: JoinHandle<()>,
    most: Duration,
}

impl Exporter {
    /// From now on spans go to the collector of the settings, if they name one.
    ///
    /// # Errors
    /// `Kind::Internal` if no client can be made, or on a second call in a process.
    pub fn start(settings: &TraceSettings, connection_life: Duration) -> Result<Option<Self>> {
        let Some(url) = settings.collector() else { return Ok(None) };
        let timeout = settings.timeout;
        let way = Way {
            url,
            headers: headers(settings)?,
            client: Renewed::new(connection_life, move || client(timeout))?,
            resource: resource(settings),
            batch: settings.batch,
            wait: settings.wait,
            complained: None,
            lost: 0,
        };
        for reason in ["queue", "refused", "unavailable"] {
            count_dropped(reason, 0);
        }
        metrics::counter!("impg_spans_exported_total").increment(0);
        let (spans, waiting) = mpsc::channel(settings.queue);
        let queue = Queue { spans, ratio: ratio_of(settings.share) };
        QUEUE.set(queue).map_err(|_| Error::internal("spans have an exporter already"))?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(way.run(waiting, stop.clone()));
        Ok(Some(Self { stop, task, most: timeout }))
    }

    /// Sends what waits, for at most `traces_timeout_ms`.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(self.most, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("stopped before the last spans were exported");
        }
    }
}

/// No redirects, no proxy, and a connection that is used again.
fn client(timeout: Duration) -> Result<Client> {
    Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .user_agent(concat!("im-push-gateway/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Error::internal)
}

fn headers(settings: &TraceSettings) -> Result<HeaderMap> {
    let mut headers = settings.headers().map_err(Error::internal)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(headers)
}

/// Who sends the spans. The instance is another one after each start.
fn resource(settings: &TraceSettings) -> Resource {
    let instance: [u8; 16] = random();
    let attributes = [
        ("service.name", settings.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", hex(&instance)),
    ];
    let attribute = |(key, value): (&str, String)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Any::StringValue(value)) }),
        ..KeyValue::default()
    };
    Resource { attributes: attributes.map(attribute).to_vec(), ..Resource::default() }
}

/// Why a batch is lost.
struct Loss {
    /// The label of the counter.
    reason: &'static str,
    why: String,
}

impl Loss {
    fn unavailable(why: String) -> Self {
        Self { reason: "unavailable", why }
    }

    fn refused(why: String) -> Self {
        Self { reason: "refused", why }
    }
}

struct Way {
    url: Url,
    headers: HeaderMap,
    client: Renewed<Client>,
    resource: Resource,
    batch: usize,
    wait: Duration,
    /// When the log said last that spans are lost.
    complained: Option<Instant>,
    /// Spans lost since then.
    lost: u64,
}

impl Way {
    /// Sends batches until `stop`, and then those that are left.
    async fn run(mut self, mut waiting: mpsc::Receiver<Span>, stop: CancellationToken) {
        loop {
            let spans = self.next(&mut waiting, &stop).await;
            if spans.is_empty() {
                return;
            }
            let count = spans.len() as u64;
            let body = self.body(spans);
            match self.deliver(body, &stop).await {
                Ok(refused) => self.took(count, refused),
                Err(loss) => self.lose(count, &loss),
            }
        }
    }

    /// A batch: what comes within `traces_wait_ms` after the first span. Empty when the service stops.
    async fn next(&self, waiting: &mut mpsc::Receiver<Span>, stop: &CancellationToken) -> Vec<Span> {
        let mut spans = Vec::new();
        let until = tokio::time::sleep(Duration::MAX);
        tokio::pin!(until);
        while spans.len() < self.batch {
            tokio::select! {
                biased;
                span = waiting.recv() => match span {
                    Some(span) => spans.push(span),
                    None => break,
                },
                () = stop.cancelled() => break,
                () = &mut until => break,
            }
            if spans.len() == 1 {
                until.as_mut().reset(tokio::time::Instant::now() + self.wait);
            }
        }
        spans
    }

    fn body(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
    }

    /// Sends a batch, and again after a pause while the collector is away or busy. Returns how many of its spans the
    /// collector refused.
    async fn deliver(&self, body: Bytes, stop: &CancellationToken) -> std::result::Result<u64, Loss> {
        for pause in PAUSES {
            match self.post(body.clone()).await {
                Err(Loss { reason: "unavailable", .. }) if !stop.is_cancelled() => {}
                ended => return ended,
            }
            tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(pause) => {} }
        }
        self.post(body).await
    }

    async fn post(&self, body: Bytes) -> std::result::Result<u64, Loss> {
        let request = self.client.get().post(self.url.clone()).headers(self.headers.clone()).body(body);
        // The address may hold a token.
        let away = |e: reqwest::Error| Loss::unavailable(e.without_url().to_string());
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(away)? {
            if answer.len() + part.len() > ANSWER_MAX_BYTES {
                return Err(Loss::refused(format!("the answer is longer than {ANSWER_MAX_BYTES} bytes")));
            }
            answer.extend_from_slice(&part);
        }
        match status {
            _ if status.is_success() => Ok(refused(&answer)),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Loss::unavailable(format!("it answered {status}"))),
            _ => Err(Loss::refused(format!("it answered {status}"))),
        }
    }

    fn took(&mut self, spans: u64, refused: u64) {
        let refused = refused.min(spans);
        metrics::counter!("impg_spans_exported_total").increment(spans - refused);
        if refused > 0 {
            self.lose(refused, &Loss::refused("it took a part of a batch".to_owned()));
        } else if self.complained.is_some_and(|at| at.elapsed() >= COMPLAINTS_APART) {
            self.complained = None;
            let lost = std::mem::take(&mut self.lost);
            tracing::info!(lost, "the collector of traces takes spans again");
        }
    }

    /// Counts spans that are lost. The log says so once a minute at most.
    fn lose(&mut self, spans: u64, loss: &Loss) {
        count_dropped(loss.reason, spans);
        self.lost += spans;
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINTS_APART) {
            self.complained = Some(Instant::now());
            let lost = std::mem::take(&mut self.lost);
            tracing::warn!(lost, why = loss.why, "the collector of traces takes no spans: they are lost");
        }
    }
}

/// Spans of a batch that a collector did not take although it took the others.
fn refused(answer: &[u8]) -> u64 {
    let partly = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    partly.map_or(0, |partly| partly.rejected_spans.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_recorded_and_an_id_always_decides_the_same() {
        let ids: Vec<[u8; 16]> = (0..4_000).map(|_| random()).collect();
        let recorded = |share: f64| ids.iter().filter(|id| is_below(id, ratio_of(share))).count();
        assert_eq!((recorded(0.0), recorded(1.0)), (0, ids.len()));
        assert!((800..1_200).contains(&recorded(0.25)), "{}", recorded(0.25));
        let mut last = [0; 16];
        last[8..].fill(0xff);
        assert!(is_below(&last, ratio_of(1.0)) && !is_below(&last, ratio_of(0.999_999)));
    }

    #[test]
    fn a_part_that_was_refused_is_told_by_the_collector() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
        let partly = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partly) }.encode_to_vec();
        assert_eq!((refused(&answer), refused(b""), refused(b"ok")), (3, 0, 0));
    }
}
