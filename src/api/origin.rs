//! Whether a request comes from a page of another site. A browser sends cookies with it, whatever page asks.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use url::Url;

/// Whether the browser says that another site sent the request.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => !["same-origin", "none"].contains(&site),
        // Browsers leave it out on plain HTTP.
        None => text(ORIGIN.as_str()).is_some_and(|origin| !is_ours(headers, origin)),
    }
}

/// Whether an origin is the host that the browser asked, here or at the gateway.
fn is_ours(headers: &HeaderMap, origin: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let authority = &origin[url::Position::BeforeHost..url::Position::AfterPort];
    let hosts = [HOST.as_str(), "x-forwarded-host"];
    hosts.iter().any(|name| headers.get(*name).is_some_and(|host| host == authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_another_site_is_known() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
            pairs.collect::<HeaderMap>()
        };
        for (pairs, foreign) in [
            (&[("sec-fetch-site", "same-origin")][..], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("host", "im.corp"), ("origin", "http://im.corp")], false),
            (&[("host", "im.corp:8080"), ("origin", "http://im.corp:8080")], false),
            (&[("host", "10.0.0.1"), ("x-forwarded-host", "im.corp"), ("origin", "https://im.corp")], false),
            (&[("host", "im.corp"), ("origin", "http://evil.example")], true),
            (&[("host", "im.corp"), ("origin", "null")], true),
        ] {
            assert_eq!(is_foreign(&headers(pairs)), foreign, "{pairs:?}");
        }
    }
}
