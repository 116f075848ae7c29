//! What is told about every request: metrics, log lines, and a span for the collector.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, Version};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::{request, service};
use crate::base::trace::{Span, TraceContext};

/// Measures the request and gives it an id. Labels use the route, never the content. Every log line of the
/// request carries the id, and the id of its trace.
pub async fn observe(scheme: &'static str, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", |m| m.as_str()).to_owned();
    let id = request::id_of(request.headers());
    let trace = TraceContext::of(request.headers());
    let mut told = told(&trace, scheme, &request, method);
    let span = tracing::error_span!("request", request_id = id, trace_id = trace.trace_id(), method, route);
    let answer = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        told.number("http.response.status_code", status);
        if response.status().is_server_error() {
            told.fail(status);
        }
        let took = started.elapsed();
        metrics::histogram!("impg_http_request_seconds", "route" => route.clone()).record(took);
        metrics::counter!("impg_http_requests_total", "route" => route.clone(), "method" => method,
            "status" => status.to_string())
        .increment(1);
        tracing::debug!(status, took_ms = took.as_millis() as u64, "answered");
        response
    };
    let mut response = request::ID.scope(id.clone(), trace.scope(answer.instrument(span))).await;
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(request::HEADER, id);
    }
    response
}

/// The request as a span for the collector. It ends when the answer begins. Probes are none.
fn told(trace: &TraceContext, scheme: &str, request: &Request, method: &'static str) -> Span {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = if method == "other" { "_OTHER" } else { method };
    let named = if method == "_OTHER" { "HTTP" } else { method };
    let name = || route.map_or_else(|| named.to_owned(), |route| format!("{named} {route}"));
    let mut span = Span::of_request(trace.clone(), name);
    span.text("http.request.method", method);
    span.text("url.scheme", scheme);
    span.text("network.protocol.version", if request.version() == Version::HTTP_2 { "2" } else { "1.1" });
    if let Some(route) = route {
        span.text("http.route", route);
    }
    if route.is_some_and(|route| service::PROBES.contains(&route)) {
        span.discard();
    }
    span
}

/// Callers can invent methods. Unknown ones share one label.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}
