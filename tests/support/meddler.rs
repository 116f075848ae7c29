//! Somebody between a client and an HTTP server who does what networks and tired servers do.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    Pass,
    /// Answered so, and never seen by the server.
    Refuse(u16),
    /// Seen by the server; of a bulk request, the item at this place is said to have come to so.
    SayOfItem(usize, u16),
    /// Seen by the server; of a search, a shard is said to have failed.
    SayShardFailed,
    /// Seen by the server; the answer takes this long.
    Delay(Duration),
    /// Seen by the server; the connection ends before the answer does.
    Cut,
}

type Policy = Arc<dyn Fn(&str) -> Meddling + Send + Sync>;

/// The proxy. Requests pass until it is told otherwise.
pub struct Meddler {
    url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

struct Inner {
    server: String,
    client: reqwest::Client,
    policy: RwLock<Policy>,
}

impl Meddler {
    pub async fn before(server: &str) -> Self {
        let inner = Arc::new(Inner {
            server: server.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            policy: RwLock::new(Arc::new(|_| Meddling::Pass)),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(meddle).layer(DefaultBodyLimit::disable()).with_state(inner.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, inner, serving }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on requests to a path that ends in `ending` are met so; the others pass.
    pub fn meet(&self, ending: &'static str, meddling: Meddling) {
        let policy = move |path: &str| if path.ends_with(ending) { meddling } else { Meddling::Pass };
        *self.inner.policy.write().expect("no panic while held") = Arc::new(policy);
    }

    /// The first so many requests to such a path are answered with a status, and those after them pass. Returns
    /// how many there were.
    pub fn refuse_first(&self, ending: &'static str, times: usize, status: u16) -> Arc<AtomicUsize> {
        let met = Arc::new(AtomicUsize::new(0));
        let counting = met.clone();
        let policy = move |path: &str| {
            let is_met = path.ends_with(ending) && counting.fetch_add(1, Ordering::SeqCst) < times;
            if is_met { Meddling::Refuse(status) } else { Meddling::Pass }
        };
        *self.inner.policy.write().expect("no panic while held") = Arc::new(policy);
        met
    }

    pub fn let_pass(&self) {
        self.meet("", Meddling::Pass);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn meddle(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let policy = inner.policy.read().expect("no panic while held").clone();
    let meddling = policy(uri.path());
    if let Meddling::Refuse(status) = meddling {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    let mut request = inner.client.request(method, format!("{}{uri}", inner.server)).body(body);
    for name in [header::CONTENT_TYPE, header::AUTHORIZATION, header::ACCEPT] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, answered) = (answer.status(), answer.bytes().await.unwrap_or_default());
    let body = match meddling {
        Meddling::SayOfItem(place, said) => reword(&answered, |answer| {
            answer["items"][place]["index"] = json!({ "status": said, "error": { "type": "said_so" } });
        }),
        Meddling::SayShardFailed => reword(&answered, |answer| answer["_shards"]["failed"] = json!(1)),
        Meddling::Delay(time) => {
            tokio::time::sleep(time).await;
            Body::from(answered)
        }
        Meddling::Cut => {
            let broken = Err::<Bytes, _>(std::io::Error::other("cut"));
            Body::from_stream(futures_util::stream::iter([Ok(answered.slice(..answered.len() / 2)), broken]))
        }
        Meddling::Pass | Meddling::Refuse(_) => Body::from(answered),
    };
    (
        status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::HeaderName::from_static("x-elastic-product"), "Elasticsearch"),
        ],
        body,
    )
        .into_response()
}

fn reword(answered: &[u8], change: impl FnOnce(&mut Value)) -> Body {
    let mut answer: Value = serde_json::from_slice(answered).expect("an answer in JSON");
    change(&mut answer);
    Body::from(answer.to_string())
}
