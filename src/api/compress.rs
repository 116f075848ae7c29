//! Compresses answers of text, as clients accept it. Streams of events, files and small answers are sent as they are.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::middleware::Next;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;

/// Media types that are compressed, besides those that end with `json`.
const TEXTS: &[&str] =
    &["text/html", "text/css", "text/javascript", "text/csv", "application/yaml", "application/x-ndjson"];

/// Compresses answers of at least this many bytes. 0: none.
pub fn layer(min_bytes: u64) -> CompressionLayer<Worth> {
    // An answer is made once and read once, and its sender waits.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Worth { min_bytes })
}

/// Takes out that a client refuses answers that are not compressed. It gets them nevertheless, as RFC 9110 §12.5.3
/// allows: the layer would say 406 about a request that has already been done.
pub async fn accept_plain(mut request: Request, next: Next) -> axum::response::Response {
    if let Some(codings) = codings(request.headers()) {
        request.headers_mut().insert(ACCEPT_ENCODING, codings);
    }
    next.run(request).await
}

fn codings(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let all: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let left: Vec<&str> = all.iter().copied().filter(|coding| !refuses_plain(coding)).collect();
    (left.len() < all.len()).then(|| HeaderValue::try_from(left.join(", ")).ok()).flatten()
}

/// Whether a member of `Accept-Encoding` is `identity;q=0` or `*;q=0`.
fn refuses_plain(coding: &str) -> bool {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let is_plain = ["*", "identity"].iter().any(|plain| name.trim().eq_ignore_ascii_case(plain));
    let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
    is_plain && weight.parse() == Ok(0.0_f32)
}

/// Decides which answers are compressed.
#[derive(Clone, Copy)]
pub struct Worth {
    min_bytes: u64,
}

impl Predicate for Worth {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        let size = response.body().size_hint().exact();
        self.min_bytes > 0
            && size.is_none_or(|size| size >= self.min_bytes)
            && is_text(headers)
            && may_change(headers)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_text(headers: &HeaderMap) -> bool {
    let media_type = text(headers, &CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    media_type.ends_with("json") || TEXTS.contains(&media_type)
}

/// Whether the bytes can be others than those that a strong entity tag or `no-transform` speaks of.
fn may_change(headers: &HeaderMap) -> bool {
    let tag = text(headers, &ETAG);
    (tag.is_empty() || tag.starts_with("W/")) && !text(headers, &CACHE_CONTROL).contains("no-transform")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_compressed(size: usize, headers: &[(&str, &str)]) -> bool {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(vec![b' '; size])).expect("an answer");
        Worth { min_bytes: 100 }.should_compress(&response)
    }

    #[test]
    fn long_texts_are_compressed_and_nothing_else_is() {
        for media_type in
            ["application/json", "application/problem+json", "text/html; charset=utf-8", "text/csv"]
        {
            assert!(is_compressed(100, &[("content-type", media_type)]), "{media_type}");
            assert!(!is_compressed(99, &[("content-type", media_type)]), "{media_type}");
        }
        for media_type in ["text/event-stream", "image/webp", "application/octet-stream", ""] {
            assert!(!is_compressed(1_000, &[("content-type", media_type)]), "{media_type}");
        }
        let json = ("content-type", "application/json");
        assert!(!is_compressed(1_000, &[json, ("etag", "\"a\"")]), "a strong tag is of these bytes");
        assert!(is_compressed(1_000, &[json, ("etag", "W/\"a\"")]));
        assert!(!is_compressed(1_000, &[json, ("cache-control", "no-store, no-transform")]));
    }

    #[test]
    fn an_answer_that_is_not_compressed_is_always_acceptable() {
        for (said, left) in [
            ("gzip, br", None),
            ("gzip;q=0, identity;q=0.5, *", None),
            ("gzip;q=0.5, identity;q=0, *;q=0.000", Some("gzip;q=0.5")),
            ("identity;q=0", Some("")),
            ("Identity ; Q=0,*", Some("*")),
        ] {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(said))].into_iter().collect();
            assert_eq!(codings(&headers), left.map(HeaderValue::from_static), "{said}");
        }
        assert_eq!(codings(&HeaderMap::new()), None);
    }
}
