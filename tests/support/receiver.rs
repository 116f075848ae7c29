//! An endpoint that keeps what it is sent byte for byte, and answers as no well-behaved one would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub target: String,
    /// Names in small letters, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// What is written in answer to a request; after it the connection ends, unless it is kept.
#[derive(Debug, Clone)]
pub struct Script {
    bytes: Vec<u8>,
    /// Written again and again, with this pause before each time.
    endless: Option<(Vec<u8>, Duration)>,
}

impl Script {
    /// An answer as HTTP has it, with further header lines.
    pub fn status(status: u16, headers: &[&str], body: &str) -> Self {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        Self::raw(&format!(
            "HTTP/1.1 {status} x\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }

    /// Exactly these bytes.
    pub fn raw(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), endless: None }
    }

    /// Then these, without end.
    pub fn then_endlessly(self, text: &str, pause: Duration) -> Self {
        Self { endless: Some((text.as_bytes().to_vec(), pause)), ..self }
    }
}

/// The endpoint. It belongs to the runtime it was started on.
pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

struct Inner {
    /// Requests that a connection answers, if it is kept at all; it ends under the one after them.
    keeps: AtomicUsize,
    script: RwLock<Script>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    /// On loopback, and answers `204`.
    pub async fn start() -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    pub async fn start_on(address: SocketAddr) -> Self {
        let inner = Arc::new(Inner {
            keeps: AtomicUsize::new(0),
            script: RwLock::new(Script::raw("HTTP/1.1 204 x\r\nconnection: close\r\n\r\n")),
            received: Mutex::default(),
        });
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taking = inner.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(taking.clone().take(stream));
            }
        });
        Self { address, inner, serving }
    }

    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on every request is answered so.
    pub fn answer(&self, script: Script) {
        *self.inner.script.write().expect("no panic while held") = script;
    }

    /// From now on a connection is kept for so many requests, and ends under the next one: what a receiver that
    /// closes idle connections looks like, if the next request comes at that moment.
    pub fn keep_for(&self, requests: usize) {
        self.answer(Script::raw("HTTP/1.1 204 x\r\n\r\n"));
        self.inner.keeps.store(requests, Ordering::SeqCst);
    }

    /// All that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().expect("no panic while held").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inner {
    /// One request of a connection, or as many as it is kept for. What is no request, or is cut off, is forgotten.
    async fn take(self: Arc<Self>, mut stream: TcpStream) {
        for answered in 0.. {
            let Some(received) = read(&mut stream).await else {
                return;
            };
            let keeps = self.keeps.load(Ordering::SeqCst);
            if answered > 0 && answered >= keeps {
                return;
            }
            self.answer(received, &mut stream).await;
            if keeps == 0 {
                return;
            }
        }
    }

    async fn answer(&self, received: Received, stream: &mut TcpStream) {
        self.received.lock().expect("no panic while held").push(received);
        let Script { bytes, endless } = self.script.read().expect("no panic while held").clone();
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        while let Some((more, pause)) = &endless {
            tokio::time::sleep(*pause).await;
            if stream.write_all(more).await.is_err() {
                return;
            }
        }
        if self.keeps.load(Ordering::SeqCst) == 0 {
            let _ = stream.shutdown().await;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(place) = bytes.windows(END.len()).position(|part| part == END) {
            break place;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_ends].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut received = Received {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers: lines.map(header).collect::<Option<_>>()?,
        body: Vec::new(),
    };
    // A request that does not say how long its body is has none.
    let length: usize = received.header("content-length").parse().unwrap_or(0);
    while bytes.len() < head_ends + END.len() + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    received.body = bytes.split_off(head_ends + END.len());
    Some(received)
}
