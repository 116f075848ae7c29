//! Spans: what the service did, for how long, as a part of what. Their names and attributes are those of OpenTelemetry's
//! semantic conventions (<https://opentelemetry.io/docs/specs/semconv/>), where it has some. They hold no bodies, no
//! queries, no secrets and nothing about people: of a path only its route.

use std::fmt::Display;
use std::future::Future;
use std::time::{Instant, SystemTime};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as proto, SpanFlags, Status, span};

use super::{SAMPLED, TraceContext, current, exporter};
use crate::base::error::Result;

/// Most links of a span. The same is the usual limit of OpenTelemetry's own libraries.
const LINKS_MAX: usize = 128;
/// Flags of a span and of a link: the trace is recorded, and whether the parent is of another service is known.
const FLAGS: u32 = SAMPLED as u32 | SpanFlags::ContextHasIsRemoteMask as u32;
const REMOTE: u32 = SpanFlags::ContextIsRemoteMask as u32;

/// A span while its work is under way. Dropped, it goes to the collector. It is empty if there is no collector, or if its
/// trace is not recorded.
pub struct Span {
    trace: TraceContext,
    record: Option<Record>,
}

struct Record {
    span: Box<proto::Span>,
    began: Instant,
}

/// A span of another trace that had a part in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

impl Link {
    /// The span that this task works for, if it is recorded.
    pub fn to_current() -> Option<Self> {
        if !exporter::is_on() {
            return None;
        }
        let trace = current();
        let (trace_id, span_id) = (trace.trace_id, trace.span_id);
        (trace.is_span && trace.is_recorded()).then_some(Self { trace_id, span_id })
    }
}

impl Span {
    /// A request that is answered. `name` is only made if it is recorded.
    pub fn of_request(trace: TraceContext, name: impl FnOnce() -> String) -> Self {
        Self::new(trace, span::SpanKind::Server, name)
    }

    /// A request to another service.
    pub fn of_call(method: &'static str) -> Self {
        Self::new(current().part(), span::SpanKind::Client, || method.to_owned())
    }

    /// A part of the work of this task.
    pub fn of_work(name: &'static str) -> Self {
        Self::new(current().part(), span::SpanKind::Internal, || name.to_owned())
    }

    /// Work for several others: a trace of its own, if one of theirs is recorded.
    pub fn of_all(name: &'static str, mut links: Vec<Link>) -> Option<Self> {
        // A request with many sends is named once.
        links.dedup();
        if links.is_empty() {
            return None;
        }
        let mut new = Self::new(TraceContext::recorded(), span::SpanKind::Internal, || name.to_owned());
        if let Some(Record { span, .. }) = &mut new.record {
            span.dropped_links_count = links.len().saturating_sub(LINKS_MAX).try_into().unwrap_or(u32::MAX);
            span.links = links.into_iter().take(LINKS_MAX).map(told).collect();
        }
        Some(new)
    }

    fn new(trace: TraceContext, kind: span::SpanKind, name: impl FnOnce() -> String) -> Self {
        let record = trace.is_recorded().then(|| {
            let remote = if kind == span::SpanKind::Server && trace.parent_id.is_some() { REMOTE } else { 0 };
            let span = proto::Span {
                trace_id: trace.trace_id.to_vec(),
                span_id: trace.span_id.to_vec(),
                parent_span_id: trace.parent_id.map_or_else(Vec::new, |id| id.to_vec()),
                trace_state: trace
                    .state
                    .as_ref()
                    .and_then(|state| state.to_str().ok())
                    .unwrap_or("")
                    .to_owned(),
                flags: FLAGS | remote,
                name: name(),
                kind: kind.into(),
                start_time_unix_nano: unix_ns(),
                ..proto::Span::default()
            };
            Record { span: Box::new(span), began: Instant::now() }
        });
        Self { trace, record }
    }

    /// The trace with this span as the current one.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// Does `work` as a part of this span.
    pub async fn scope<F: Future>(&self, work: F) -> F::Output {
        self.trace.clone().scope(work).await
    }

    /// Sets an attribute to a text.
    pub fn text(&mut self, key: &'static str, value: impl Display) {
        self.set(key, || Any::StringValue(value.to_string()));
    }

    /// Sets an attribute to a number.
    pub fn number(&mut self, key: &'static str, value: impl TryInto<i64>) {
        self.set(key, || Any::IntValue(value.try_into().unwrap_or(i64::MAX)));
    }

    fn set(&mut self, key: &'static str, value: impl FnOnce() -> Any) {
        if let Some(Record { span, .. }) = &mut self.record {
            let value = Some(AnyValue { value: Some(value()) });
            span.attributes.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
        }
    }

    /// The work failed. `why` is one of few: it tells kinds of failures apart.
    pub fn fail(&mut self, why: impl Display) {
        self.text("error.type", why);
        if let Some(Record { span, .. }) = &mut self.record {
            span.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        }
    }

    /// Forgets the span: there was nothing to do.
    pub fn discard(&mut self) {
        self.record = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(Record { mut span, began }) = self.record.take() {
            let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            span.end_time_unix_nano = span.start_time_unix_nano.saturating_add(took_ns);
            exporter::export(*span);
        }
    }
}

/// Does `work` as a span.
pub async fn within<T>(name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut span = Span::of_work(name);
    let done = span.scope(work).await;
    if let Err(error) = &done {
        span.fail(format_args!("{:?}", error.kind));
    }
    done
}

fn told(link: Link) -> span::Link {
    let (trace_id, span_id) = (link.trace_id.to_vec(), link.span_id.to_vec());
    span::Link { trace_id, span_id, flags: FLAGS, ..span::Link::default() }
}

/// The time now, since 1970. Spans tell the time of this machine, which a collector compares with that of others.
#[expect(clippy::disallowed_methods, reason = "the one place where spans get their time")]
fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
