//! Endpoints that take all they are sent and note when it came, on a thread of their own; and endpoints
//! that are dead.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::AsyncWriteExt;

use super::http::{EVERYBODY, read_message};
use super::load::Load;
use super::support::Client;
use super::world::World;

const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
/// What stands before the stamp of each message, in a push and in an event alike.
const STAMP: &[u8] = b"\"server_time\":\"";
/// Before the size of what came, and where, when.
type Arrival = (usize, Instant, Vec<u8>);
const LOOK: Duration = Duration::from_millis(20);

/// What the service needs for observers on loopback.
pub const OPEN: &[(&str, &str)] =
    &[("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), ("callback_allow", "127.0.0.0/8")];

/// So many endpoints, the first of which is a gateway: it says that everybody got everything.
pub struct Takers {
    addresses: Vec<SocketAddr>,
    taken: Arc<Taken>,
}

struct Taken {
    arrivals: Mutex<Vec<Arrival>>,
    /// Messages that came to each endpoint.
    messages: Vec<AtomicUsize>,
}

/// One moment on both clocks: ours, and the one that messages are stamped by.
#[derive(Clone, Copy)]
pub struct Moment {
    at: Instant,
    stamp: OffsetDateTime,
}

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "compared with what the database's clock has stamped")]
    pub fn now() -> Self {
        Self { at: Instant::now(), stamp: OffsetDateTime::now_utc() }
    }

    /// How long after it was stamped something came; nothing for what was stamped before this moment.
    pub fn delay(&self, stamp: OffsetDateTime, came: Instant) -> Option<Duration> {
        let stamped: Duration = (stamp - self.stamp).try_into().ok()?;
        Some((came - self.at).saturating_sub(stamped))
    }
}

impl Takers {
    pub fn start(count: usize) -> Self {
        let listener = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listeners: Vec<TcpListener> = (0..count).map(listener).collect();
        let addresses = listeners.iter().map(|l| l.local_addr().expect("a bound socket")).collect();
        let messages = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let taken = Arc::new(Taken { arrivals: Mutex::default(), messages });
        let taking = taken.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                for (endpoint, listener) in listeners.into_iter().enumerate() {
                    tokio::spawn(taking.clone().listen(endpoint, listener));
                }
                std::future::pending::<()>().await;
            });
        });
        Self { addresses, taken }
    }

    pub fn url(&self, endpoint: usize) -> String {
        url(self.addresses[endpoint])
    }

    /// Forgets all that came.
    pub fn forget(&self) {
        self.taken.arrivals().clear();
        for messages in &self.taken.messages {
            messages.store(0, Ordering::Relaxed);
        }
    }

    /// Waits until so many messages have come to each of `endpoints`, at most so long; whether they have.
    pub async fn wait_for(&self, endpoints: Range<usize>, messages: usize, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        let all = || {
            let mut counts = self.taken.messages[endpoints.clone()].iter();
            counts.all(|count| count.load(Ordering::Relaxed) >= messages)
        };
        while !all() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        all()
    }

    /// How long after its stamp each message came to these endpoints, of those stamped since `moment`; and
    /// in how many POSTs.
    pub fn delays(&self, endpoints: Range<usize>, moment: Moment) -> (Load, usize) {
        let mut all = Load::default();
        let mut posts = 0;
        for (endpoint, came, body) in self.taken.arrivals().iter() {
            if endpoints.contains(endpoint) {
                posts += 1;
                all.latencies.extend(stamps(body).filter_map(|stamp| moment.delay(stamp, *came)));
            }
        }
        (all, posts)
    }
}

impl Taken {
    async fn listen(self: Arc<Self>, endpoint: usize, listener: TcpListener) {
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
        while let Ok((mut stream, _)) = listener.accept().await {
            let taken = self.clone();
            tokio::spawn(async move {
                let mut buffer = Vec::with_capacity(1 << 16);
                while let Some(length) = read_message(&mut stream, &mut buffer).await {
                    let came = Instant::now();
                    let answer = if endpoint == 0 { EVERYBODY } else { TAKEN };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                    let body: Vec<u8> = buffer.drain(..length).collect();
                    let messages = places(&body).count();
                    taken.arrivals().push((endpoint, came, body));
                    taken.messages[endpoint].fetch_add(messages, Ordering::Relaxed);
                }
            });
        }
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody is there: half of them refuse, half take the connection and say nothing.
pub struct Dead {
    addresses: Vec<SocketAddr>,
    _silent: Vec<TcpListener>,
}

impl Dead {
    pub fn new(count: usize) -> Self {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let all: Vec<TcpListener> = (0..count).map(|_| bind()).collect();
        let addresses = all.iter().map(|l| l.local_addr().expect("a bound socket")).collect();
        let silent = all.into_iter().skip(count / 2).collect();
        Self { addresses, _silent: silent }
    }

    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| url(*address)).collect()
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/events")
}

/// Makes an observer of `message.created`, as an admin does.
pub async fn observe(world: &World<'_>, url: &str) {
    let admin = Client::new(&world.service.api(), "u0000001", &["admin"]);
    let body = json!({ "url": url, "event_types": ["message.created"] });
    admin.post("/callbacks", body).await.expect(201);
}

/// When each message of a text was stamped.
pub fn stamps(text: &[u8]) -> impl Iterator<Item = OffsetDateTime> {
    places(text).filter_map(|at| {
        let rest = &text[at + STAMP.len()..];
        let end = rest.iter().position(|byte| *byte == b'"')?;
        OffsetDateTime::parse(std::str::from_utf8(&rest[..end]).ok()?, &Rfc3339).ok()
    })
}

/// Where the stamps of a text stand.
pub fn places(text: &[u8]) -> impl Iterator<Item = usize> {
    let windows = text.windows(STAMP.len()).enumerate();
    windows.filter(|(_, window)| *window == STAMP).map(|(at, _)| at)
}

/// Percentiles in a line.
pub fn spread(load: &mut Load) -> String {
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| load.percentile(share));
    format!("p50 {p50:.1} p95 {p95:.1} p99 {p99:.1} ms")
}
