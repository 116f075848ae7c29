//! A gateway as far as we can tell from outside: it takes push callbacks over HTTP, checks their
//! signatures, remembers all it saw, and answers as it is told.

mod answer;
mod record;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use answer::{Answer, Gate};
pub use record::{Arrival, Batch, Delivery, PushedMessage, Record, Refusal};

use super::sandbox::free_port;

/// What the gateway and the service share unless a test says otherwise.
pub const SECRET: &str = "whsec_aW0tcHVzaC1nYXRld2F5IHRlc3RzOiBub3QgYSBzZWNyZXQ=";
/// Connections of a gateway that is going down are given this long to close.
const DOWN: Duration = Duration::from_secs(5);

type Policy = Arc<dyn Fn(&Batch) -> Answer + Send + Sync>;

struct Inner {
    webhook: RwLock<Webhook>,
    /// Whether a signature counts whenever it was made: for tests that move the service's clock.
    timeless: AtomicBool,
    policy: RwLock<Policy>,
    record: watch::Sender<Record>,
}

/// The receiver. On a thread of its own: a test that blocks does not make it slow.
pub struct Gateway {
    address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Mutex<Option<Runtime>>,
}

impl Gateway {
    /// Knows [`SECRET`] and says that everybody got everything.
    pub fn start() -> Self {
        Self::start_with(SECRET)
    }

    pub fn start_with(secret: &str) -> Self {
        let gateway = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            inner: Arc::new(Inner {
                webhook: RwLock::new(Webhook::new(secret).expect("a Standard Webhooks secret")),
                timeless: AtomicBool::new(false),
                policy: RwLock::new(Arc::new(|_| Answer::All)),
                record: watch::Sender::default(),
            }),
            runtime: Mutex::new(None),
        };
        gateway.up();
        gateway
    }

    /// Where to push.
    pub fn url(&self) -> String {
        format!("http://{}/push", self.address)
    }

    /// From now on every batch is answered as `policy` says.
    pub fn answer(&self, policy: impl Fn(&Batch) -> Answer + Send + Sync + 'static) {
        *self.inner.policy.write().expect("no panic while held") = Arc::new(policy);
    }

    /// From now on batches with this channel are refused, and all others are received.
    pub fn refuse(&self, channel_id: &str) {
        let refused = channel_id.to_owned();
        self.answer(move |batch| {
            if batch.channels().contains(refused.as_str()) { Answer::status(400) } else { Answer::All }
        });
    }

    /// From now on only signatures by this secret count.
    pub fn expect_secret(&self, secret: &str) {
        let webhook = Webhook::new(secret).expect("a Standard Webhooks secret");
        *self.inner.webhook.write().expect("no panic while held") = webhook;
    }

    /// From now on signatures count whenever they were made.
    pub fn ignore_time(&self) {
        self.inner.timeless.store(true, Ordering::Relaxed);
    }

    /// Looks at the record. Nothing arrives while `look` runs.
    pub fn read<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.inner.record.borrow())
    }

    /// Waits until the record is as `condition` wants it; looks once an arrival, not on a clock.
    /// Too late is a panic that says what came.
    pub async fn wait_for(&self, condition: impl FnMut(&Record) -> bool, timeout: Duration) {
        let mut record = self.inner.record.subscribe();
        let waited = tokio::time::timeout(timeout, record.wait_for(condition)).await.is_ok();
        assert!(waited, "not seen within {timeout:?}: {}", self.read(Record::summary));
    }

    /// Forgets all that came: for benches, which would fill the memory with it.
    pub fn forget(&self) {
        self.inner.record.send_modify(|record| *record = Record::default());
    }

    /// Stops listening and closes every connection: the next caller is refused.
    pub fn down(&self) {
        if let Some(runtime) = self.runtime.lock().expect("no panic while held").take() {
            // A runtime must not be waited for on a thread of another one.
            let stopping = std::thread::spawn(move || runtime.shutdown_timeout(DOWN));
            stopping.join().expect("the gateway's runtime stops");
        }
    }

    /// Listens again on the same address.
    pub fn up(&self) {
        self.down();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("gateway")
            .enable_all()
            .build()
            .expect("a runtime for the gateway");
        let listener = TcpListener::bind(self.address).expect("the gateway's port is free");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let app =
            Router::new().fallback(receive).layer(DefaultBodyLimit::disable()).with_state(self.inner.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            axum::serve(listener, app).await
        });
        *self.runtime.lock().expect("no panic while held") = Some(runtime);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().ok().and_then(|mut runtime| runtime.take()) {
            runtime.shutdown_background();
        }
    }
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let batch = match inner.accept(&method, uri.path(), &headers, &body) {
        Ok(batch) => batch,
        Err((status, reason)) => {
            inner.record.send_modify(|record| record.refusals.push(Refusal { headers, reason }));
            return status.into_response();
        }
    };
    let mut batch = Some(batch);
    let mut arrived = None;
    inner.record.send_modify(|record| arrived = batch.take().map(|batch| record.arrive(batch)));
    let batch = arrived.expect("send_modify runs its closure");
    let policy = inner.policy.read().expect("no panic while held").clone();
    let answer = policy(&batch);
    inner.record.send_modify(|record| {
        // Gone, if all was forgotten meanwhile.
        let arrival = record.arrivals.get_mut(batch.order);
        if let Some(arrival) = arrival.filter(|arrival| Arc::ptr_eq(&arrival.batch, &batch)) {
            arrival.answer = Some(answer.clone());
        }
    });
    answer::give(answer).await
}

impl Inner {
    fn accept(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Batch, (StatusCode, String)> {
        if method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, format!("{method} {path}")));
        }
        let webhook = self.webhook.read().expect("no panic while held");
        let verified = match self.timeless.load(Ordering::Relaxed) {
            true => verify_ever(&webhook, body, headers),
            false => webhook.verify(body, headers).map_err(|e| e.to_string()),
        };
        verified.map_err(|reason| (StatusCode::UNAUTHORIZED, reason))?;
        let wrong = |reason: String| (StatusCode::BAD_REQUEST, reason);
        let parsed: record::Body = serde_json::from_slice(body).map_err(|e| wrong(e.to_string()))?;
        let known: BTreeSet<&str> = parsed.messages.iter().map(|message| message.ms_id.as_str()).collect();
        let mut named = parsed.deliveries.iter().flat_map(|delivery| &delivery.ms_ids);
        if let Some(stranger) = named.find(|ms_id| !known.contains(ms_id.as_str())) {
            return Err(wrong(format!("a delivery names {stranger}, which is not among the messages")));
        }
        Ok(Batch {
            order: 0,
            attempt: 0,
            webhook_id: headers["webhook-id"].to_str().expect("verified").to_owned(),
            headers: headers.clone(),
            path: path.to_owned(),
            size_bytes: body.len(),
            batch_id: parsed.batch_id,
            messages: parsed.messages,
            deliveries: parsed.deliveries,
        })
    }
}

/// The signature alone, whatever its time.
fn verify_ever(webhook: &Webhook, body: &Bytes, headers: &HeaderMap) -> Result<(), String> {
    let header = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let time = header("webhook-timestamp").parse().map_err(|_| "no timestamp".to_owned())?;
    let made = webhook.sign(header("webhook-id"), time, body).map_err(|e| e.to_string())?;
    let told = header("webhook-signature").split(' ').any(|signature| signature == made);
    if told { Ok(()) } else { Err("the signature does not match".to_owned()) }
}
