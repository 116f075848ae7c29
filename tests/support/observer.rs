//! An observer as far as we can tell from outside: it takes batches of events over HTTP, remembers
//! all it saw, and behaves as it is told, which may be badly. On raw sockets: no library misbehaves
//! on purpose.

mod conduct;
mod log;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use conduct::Conduct;
pub use log::{Event, Log, MadeUp, Post};

use super::sandbox::free_port;

/// Connections of an observer that is going down are given this long to close.
const DOWN: Duration = Duration::from_secs(5);
/// Longest head of a request: more is not what we send.
const HEAD_MAX_BYTES: usize = 64 * 1024;

type Policy = Arc<dyn Fn(&Post) -> Conduct + Send + Sync>;

struct Inner {
    policy: RwLock<Policy>,
    log: watch::Sender<Log>,
}

/// The receiver. On a thread of its own: a test that blocks does not make it slow.
pub struct Observer {
    address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Mutex<Option<Runtime>>,
}

/// A request as it came.
struct Request {
    line: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Observer {
    /// Takes everything.
    pub fn start() -> Self {
        let observer = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            inner: Arc::new(Inner {
                policy: RwLock::new(Arc::new(|_| Conduct::Take)),
                log: watch::Sender::default(),
            }),
            runtime: Mutex::new(None),
        };
        observer.up();
        observer
    }

    /// Where to POST.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Where nobody speaks TLS.
    pub fn url_of_tls(&self) -> String {
        format!("https://{}/events", self.address)
    }

    /// From now on it behaves as `policy` says of each POST.
    pub fn behave(&self, policy: impl Fn(&Post) -> Conduct + Send + Sync + 'static) {
        *self.inner.policy.write().expect("no panic while held") = Arc::new(policy);
    }

    /// Looks at the log. Nothing arrives while `look` runs.
    pub fn read<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.inner.log.borrow())
    }

    /// Waits until the log is as `condition` wants it; looks once an arrival or answer, not on a
    /// clock. Too late is a panic that says what came.
    pub async fn wait_for(&self, condition: impl FnMut(&Log) -> bool, timeout: Duration) {
        let mut log = self.inner.log.subscribe();
        let waited = tokio::time::timeout(timeout, log.wait_for(condition)).await.is_ok();
        assert!(waited, "not seen within {timeout:?}: {}", self.read(Log::summary));
    }

    /// Stops listening and closes every connection: the next caller is refused.
    pub fn down(&self) {
        if let Some(runtime) = self.runtime.lock().expect("no panic while held").take() {
            // A runtime must not be waited for on a thread of another one.
            let stopping = std::thread::spawn(move || runtime.shutdown_timeout(DOWN));
            stopping.join().expect("the observer's runtime stops");
        }
    }

    /// Listens again on the same address.
    pub fn up(&self) {
        self.down();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("observer")
            .enable_all()
            .build()
            .expect("a runtime for the observer");
        let listener = TcpListener::bind(self.address).expect("the observer's port is free");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let inner = self.inner.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(talk(socket, inner.clone()));
            }
        });
        *self.runtime.lock().expect("no panic while held") = Some(runtime);
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().ok().and_then(|mut runtime| runtime.take()) {
            runtime.shutdown_background();
        }
    }
}

/// Takes request after request of a connection, until one is answered so that it ends.
async fn talk(mut socket: TcpStream, inner: Arc<Inner>) {
    while let Some(request) = read_request(&mut socket).await {
        let post = match request.and_then(|request| log::understand(&request)) {
            Ok(post) => post,
            Err(reason) => {
                inner.log.send_modify(|log| log.refusals.push(reason));
                conduct::refuse(&mut socket).await;
                return;
            }
        };
        let mut post = Some(post);
        let mut arrived = None;
        inner.log.send_modify(|log| arrived = post.take().map(|post| log.arrive(post)));
        let post = arrived.expect("send_modify runs its closure");
        let policy = inner.policy.read().expect("no panic while held").clone();
        let answered = conduct::show(policy(&post), &mut socket).await;
        inner.log.send_modify(|log| log.answered(post.order, answered.as_ref().ok().copied()));
        if answered.is_err() {
            return;
        }
    }
}

/// The next request; nothing at the end of the connection.
async fn read_request(socket: &mut TcpStream) -> Option<Result<Request, String>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let is_text = bytes.first().is_none_or(u8::is_ascii_uppercase);
        if !is_text || bytes.len() > HEAD_MAX_BYTES {
            return Some(Err("not HTTP".to_owned()));
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(length) = length else {
        return Some(Err(format!("{line}: no length")));
    };
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Ok(Request { line, headers, body }))
}

/// Speaks TLS with a certificate that nobody vouches for. Every connection is closed after the
/// handshake, which a careful caller breaks off.
pub struct Impostor {
    address: SocketAddr,
    /// How many callers broke off, and what the others said after the handshake.
    pub seen: Arc<Mutex<(usize, Vec<u8>)>>,
}

impl Impostor {
    /// With this certificate and key, both DER, for as long as the process lives.
    pub fn start(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS as everybody speaks it")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key.into())
            .expect("a certificate and its key");
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new((0, Vec::new())));
        let told = seen.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
                let mut stream = rustls::StreamOwned::new(connection, socket);
                let mut byte = [0];
                let read = stream.read(&mut byte);
                let mut told = told.lock().expect("no panic while held");
                match read {
                    Ok(_) => told.1.extend(byte),
                    Err(_) => told.0 += 1,
                }
                let _ = stream.flush();
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("https://{}/events", self.address)
    }

    pub fn refusals(&self) -> usize {
        self.seen.lock().expect("no panic while held").0
    }
}
