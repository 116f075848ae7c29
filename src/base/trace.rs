//! Which trace some work belongs to, and the header that takes the trace to other services: W3C Trace Context, Level 1
//! (<https://www.w3.org/TR/trace-context-1/>). Its ids are those of the spans that go to a collector, and of the log.

mod exporter;
mod span;

use std::future::Future;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::base::text::hex;
pub use exporter::Exporter;
pub use span::{Link, Span, within};

/// The header with the trace and the calling span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with what the systems that trace have to say. It is passed on as it came.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The version that this service writes.
const VERSION: &str = "00";
/// Characters of a header of this version.
const CHARS: usize = 55;
/// The only flag of this version: the caller records the trace.
const SAMPLED: u8 = 1;
/// Most bytes of `tracestate` that are passed on. A service must pass on this many.
const STATE_MAX_BYTES: usize = 512;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A trace, and the span of it that this work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// The span that this one is a part of, if there is one.
    parent_id: Option<[u8; 8]>,
    /// Whether this work becomes a span. A step of a worker does not: the spans in it have no parent.
    is_span: bool,
    /// Whether the spans of the trace are recorded: as the caller says, or as `traces_share` decides for a new trace.
    is_sampled: bool,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// A new trace.
    pub fn start() -> Self {
        let trace_id = random();
        Self {
            trace_id,
            span_id: random(),
            parent_id: None,
            is_span: false,
            is_sampled: exporter::samples(&trace_id),
            state: None,
        }
    }

    /// The trace of a request. Without exactly one valid `traceparent` it is a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(parent), None) => parent.to_str().ok().and_then(parse),
            _ => None,
        };
        let Some(Parent { trace_id, span_id, is_sampled }) = parent else {
            return Self { is_span: true, ..Self::start() };
        };
        let parent_id = Some(span_id);
        Self { trace_id, span_id: random(), parent_id, is_span: true, is_sampled, state: state(headers) }
    }

    /// A span of the same trace that is a part of this one. If it is not recorded, it needs no ids of its own.
    fn part(self) -> Self {
        if self.is_recorded() { self.child() } else { self }
    }

    fn child(&self) -> Self {
        Self {
            span_id: random(),
            parent_id: self.is_span.then_some(self.span_id),
            is_span: true,
            ..self.clone()
        }
    }

    /// A trace whose first span is recorded, whatever the share of recorded traces is.
    fn recorded() -> Self {
        Self { is_span: true, is_sampled: true, ..Self::start() }
    }

    /// Whether the spans of this trace go to the collector.
    fn is_recorded(&self) -> bool {
        self.is_sampled && exporter::is_on()
    }

    /// The id of the trace, as logs and tracing systems write it.
    pub fn trace_id(&self) -> String {
        hex(&self.trace_id)
    }

    /// Does `work` as a part of this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The header of a call to another service, whose parent is this span.
    fn traceparent(&self) -> HeaderValue {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        let text = format!("{VERSION}-{}-{}-{flags:02x}", hex(&self.trace_id), hex(&self.span_id));
        HeaderValue::try_from(text).expect("hexadecimal digits and dashes")
    }

    /// The headers of a call to another service that carry the trace on.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(TRACEPARENT, self.traceparent());
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
        headers
    }
}

/// The trace that this task works for. Outside of any, a new one.
pub fn current() -> TraceContext {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| TraceContext::start())
}

/// `traceparent` of a call to another service.
pub fn traceparent() -> HeaderValue {
    current().traceparent()
}

/// The headers of a call to another service that carry the trace on.
pub fn headers() -> HeaderMap {
    current().headers()
}

/// What a caller says about its trace.
struct Parent {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// The caller records it.
    is_sampled: bool,
}

/// What the header says. None if it is not valid. Of a later version only the part that this one knows is read (Level
/// 1, section 3.2.4).
fn parse(header: &str) -> Option<Parent> {
    if !header.is_ascii() || header.len() < CHARS {
        return None;
    }
    let (known, rest) = header.split_at(CHARS);
    let [version, trace_id, span_id, flags] = known.split('-').collect::<Vec<_>>().try_into().ok()?;
    let [version] = bytes::<1>(version)?;
    let (trace_id, span_id, [flags]) = (bytes::<16>(trace_id)?, bytes::<8>(span_id)?, bytes::<1>(flags)?);
    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let is_valid = is_whole && trace_id != [0; 16] && span_id != [0; 8];
    is_valid.then_some(Parent { trace_id, span_id, is_sampled: flags & SAMPLED != 0 })
}

/// Bytes of exactly so many lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// All `tracestate` of a request, joined. Dropped if it is too long.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let all: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    let joined = all.join(b",".as_slice());
    if joined.is_empty() || joined.len() > STATE_MAX_BYTES {
        return None;
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// Random bytes that are not all zero: zeros are no id.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness the id is the same for all: tracing suffers, and nothing else.
    if getrandom::fill(&mut bytes).is_err() || bytes == [0; N] {
        bytes[N - 1] = 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(headers: &[(&'static str, &str)]) -> TraceContext {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        TraceContext::of(&map)
    }

    #[test]
    fn a_valid_parent_gives_the_trace_and_never_the_span() {
        for (parent, flags) in [
            (VALID.to_owned(), "01"),
            (VALID.replace("-01", "-00"), "00"),
            // Flags that this version does not know are not passed on.
            (VALID.replace("-01", "-ff"), "01"),
            (VALID.replacen("00", "cc", 1), "01"),
            (format!("{}-what-the-future-brings", VALID.replacen("00", "cc", 1)), "01"),
        ] {
            let trace = of(&[("traceparent", &parent)]);
            assert_eq!(trace.trace_id(), TRACE, "{parent}");
            let passed = trace.traceparent();
            let passed = passed.to_str().expect("text");
            assert!(
                passed.starts_with(&format!("00-{TRACE}-")) && passed.ends_with(&format!("-{flags}")),
                "{passed}"
            );
            assert!(!passed.contains("b7ad6b7169203331") && passed.len() == CHARS, "{passed}");
        }
    }

    #[test]
    fn a_parent_that_is_not_valid_begins_a_new_trace() {
        let not_valid = [
            String::new(),
            TRACE.to_owned(),
            VALID.to_uppercase(),
            VALID.replacen("00", "ff", 1),
            VALID.replacen("00", "0", 1),
            VALID.replace(TRACE, &"0".repeat(32)),
            VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            VALID.replace('-', "_"),
            VALID.replace("0af", "0ag"),
            format!("{VALID}-more"),
            format!("{}x", VALID.replacen("00", "cc", 1)),
            VALID[..54].to_owned(),
            format!(" {VALID}"),
        ];
        for parent in not_valid {
            let trace = of(&[("traceparent", &parent), ("tracestate", "a=1")]);
            assert_ne!(trace.trace_id(), TRACE, "{parent:?}");
            assert!(trace.trace_id().len() == 32 && trace.state.is_none(), "{trace:?}");
        }
        assert_ne!(of(&[("traceparent", VALID), ("traceparent", VALID)]).trace_id(), TRACE);
        assert_ne!(of(&[]).trace_id(), of(&[]).trace_id());
    }

    #[test]
    fn a_span_within_a_request_is_a_part_of_it_and_the_first_of_a_step_of_none() {
        let request = of(&[("traceparent", VALID)]);
        assert_eq!(request.parent_id.map(|id| hex(&id)).as_deref(), Some("b7ad6b7169203331"));
        let child = request.child();
        assert_eq!((child.trace_id, child.parent_id), (request.trace_id, Some(request.span_id)));
        assert_ne!(child.span_id, request.span_id);
        let step = TraceContext::start();
        let first = step.child();
        assert_eq!((first.trace_id, first.parent_id), (step.trace_id, None));
        assert_eq!(first.child().parent_id, Some(first.span_id));
        // Without a collector nothing is recorded, and a new trace tells others so.
        assert!(!request.is_recorded() && !step.is_sampled && request.is_sampled);
    }

    #[tokio::test]
    async fn a_call_out_carries_the_trace_and_its_state() {
        let long = "a=".to_owned() + &"1".repeat(STATE_MAX_BYTES);
        for (states, passed) in
            [(vec!["a=1", "b=2"], Some("a=1,b=2")), (vec![], None), (vec![long.as_str()], None)]
        {
            let given: Vec<_> = states.iter().map(|state| ("tracestate", *state)).collect();
            let trace = of(&[&[("traceparent", VALID)], given.as_slice()].concat());
            let headers = trace.scope(async { headers() }).await;
            let parent = headers[TRACEPARENT].to_str().expect("text");
            assert!(parent.contains(TRACE), "{parent}");
            assert_eq!(headers.get(TRACESTATE).map(|state| state.to_str().expect("text")), passed);
        }
        assert_ne!(traceparent(), traceparent());
    }
}
