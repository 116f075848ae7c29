//! The host that a request names.

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::wire::is_host;
use crate::base::error::Error;

/// Refuses a request without exactly one `Host` (RFC 9112 §3.2). With two, a proxy and the service can read
/// different ones. HTTP/1.0 probes may send none.
pub async fn one_host(mut request: Request, next: Next) -> Response {
    take_authority(&mut request);
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_one = match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host),
        _ => false,
    };
    if is_one {
        return next.run(request).await;
    }
    Error::parameter("host", "send exactly one `Host` header: a name or an address, with an optional port")
        .into_response()
}

/// HTTP/2 has the host in `:authority` (RFC 9113 §8.3.1). Handlers find it where HTTP/1.1 has it. Another `Host` beside
/// it makes two.
fn take_authority(request: &mut Request) {
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    let Some(authority) = authority.and_then(|authority| HeaderValue::try_from(authority.as_str()).ok())
    else {
        return;
    };
    if request.headers().get(HOST) != Some(&authority) {
        request.headers_mut().append(HOST, authority);
    }
}
