//! One person, or one machine, at the service's HTTP interface.

use std::sync::OnceLock;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::listener::Listener;

/// Where problem types live; see `src/base/error.rs`.
const PROBLEM: &str = "urn:im-push-gateway:problem:";

/// A request and what came of it, as observers see it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub method: &'a str,
    /// The whole path, without the query.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub request: Option<&'a Value>,
    pub reply: &'a Reply,
}

type Observer = Box<dyn Fn(&Exchange) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Shows every reply that any client gets from now on to `observer`, before its caller sees it.
/// The first observer stays.
pub fn observe(observer: impl Fn(&Exchange) + Send + Sync + 'static) {
    let _ = OBSERVER.set(Box::new(observer));
}

/// An answer of the service.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Method and address of the request, for messages of failed expectations.
    pub what: String,
    pub status: u16,
    /// JSON; other text as a string; null when empty.
    pub body: Value,
    pub headers: HeaderMap,
}

impl Reply {
    /// The body of a reply with this status; any other is a panic that shows it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}: {}", self.what, self.status, self.body);
        self.body
    }

    /// The body of a problem with this status and the last part of this type.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> Value {
        let media_type = self.header("content-type").to_owned();
        let body = self.expect(status);
        assert_eq!(media_type, "application/problem+json", "{body}");
        assert_eq!(body["type"], format!("{PROBLEM}{slug}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        body
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Calls as one identity. Belongs to the runtime it was first used on, as its connections do.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Client {
    /// A caller whom the gateway names `user_id`. Paths are appended to `base`.
    pub fn new(base: &str, user_id: &str, roles: &[&str]) -> Self {
        Self::anonymous(base).with_header("x-user-id", user_id).with_roles(roles)
    }

    /// A caller without any proof.
    pub fn anonymous(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // What a test sends is sent once.
            .retry(reqwest::retry::never())
            // Loading the system's certificates takes longer than most tests.
            .tls_certs_only([])
            .build()
            .expect("an HTTP client");
        Self { http, base: base.trim_end_matches('/').to_owned(), headers: HeaderMap::new() }
    }

    /// Somebody else, over the same connections.
    pub fn person(&self, user_id: &str) -> Self {
        let mut other = self.clone();
        other.headers.remove("x-user-roles");
        other.with_header("x-user-id", user_id)
    }

    pub fn with_roles(self, roles: &[&str]) -> Self {
        if roles.is_empty() { self } else { self.with_header("x-user-roles", &roles.join(",")) }
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.headers.insert(name, value);
        self
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, json: Value) -> Reply {
        self.call(Method::POST, path, Some(json)).await
    }

    pub async fn put(&self, path: &str, json: Value) -> Reply {
        self.call(Method::PUT, path, Some(json)).await
    }

    pub async fn patch(&self, path: &str, json: Value) -> Reply {
        self.call(Method::PATCH, path, Some(json)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    /// A call with headers and a body of bytes. The answer comes as bytes, too.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (Reply, Vec<u8>) {
        let method: Method = method.parse().expect("a method");
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.base)).headers(self.headers.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_vec());
        }
        let response = request.send().await.unwrap_or_else(|e| panic!("{method} {path}: {e:?}"));
        let (status, headers, url) =
            (response.status().as_u16(), response.headers().clone(), response.url().clone());
        let bytes = response.bytes().await.unwrap_or_else(|e| panic!("{method} {path}: {e:?}")).to_vec();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).unwrap_or(Value::String("bytes".into())),
        };
        let reply = Reply { what: format!("{method} {url}"), status, body, headers };
        if let Some(observer) = OBSERVER.get() {
            let (method, path, query) = (method.as_str(), url.path(), url.query());
            observer(&Exchange { method, path, query, request: None, reply: &reply });
        }
        (reply, bytes)
    }

    /// Opens the stream of this person's events, after the last one they have; an answer that is none is
    /// a panic.
    pub async fn listen(&self, last_event_id: Option<i64>) -> Listener {
        let mut request = self.http.get(format!("{}/events", self.base)).headers(self.headers.clone());
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "a stream");
        Listener::new(response)
    }

    async fn call(&self, method: Method, path: &str, json: Option<Value>) -> Reply {
        let what = format!("{method} {}{path}", self.base);
        self.try_call(method, path, json).await.unwrap_or_else(|e| panic!("{what}: {e:?}"))
    }

    /// The same for a service that may be gone: an error is a call without an answer.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        json: Option<Value>,
    ) -> Result<Reply, reqwest::Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), &url).headers(self.headers.clone());
        if let Some(json) = &json {
            request = request.header(CONTENT_TYPE, "application/json").body(json.to_string());
        }
        let response = request.send().await?;
        let (status, headers, url) =
            (response.status().as_u16(), response.headers().clone(), response.url().clone());
        let text = response.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        let reply = Reply { what: format!("{method} {url}"), status, body, headers };
        if let Some(observer) = OBSERVER.get() {
            observer(&Exchange {
                method: method.as_str(),
                path: url.path(),
                query: url.query(),
                request: json.as_ref(),
                reply: &reply,
            });
        }
        Ok(reply)
    }
}
