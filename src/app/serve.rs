//! Accepts connections: limits their number, their waiting time and their shutdown. `axum::serve` has none of
//! these limits. With it, a client that sends half a request head keeps its socket forever.

mod peers;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::config::Config;
use peers::{PeerPermit, Peers};

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// File descriptors reserved for callbacks, the archive and files.
const DESCRIPTORS_BESIDE: u64 = 256;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    most: usize,
    of_peer: usize,
    head: Duration,
    idle: Duration,
    head_max_bytes: usize,
    write: Duration,
}

impl Bounds {
    pub fn of(config: &Config) -> Self {
        Self {
            most: affordable(config),
            of_peer: config.server.connections_per_peer,
            head: config.server.head_timeout,
            idle: config.server.idle_timeout,
            head_max_bytes: config.server.head_max_bytes,
            write: config.server.write_timeout,
        }
    }

    /// The same limits with at most this many connections.
    pub fn at_most(self, most: usize) -> Self {
        Self { most: most.min(self.most), ..self }
    }
}

/// The connection limit of the settings, reduced to the file descriptors of the process. Raises the soft
/// limit first, if needed and allowed.
fn affordable(config: &Config) -> usize {
    let beside = DESCRIPTORS_BESIDE + config.database.pool_size as u64;
    let needed = beside + config.server.connections_max as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
            tracing::debug!(%error, "could not raise the limit of open files");
        }
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(current.saturating_sub(beside).max(1)).unwrap_or(usize::MAX);
    if most < config.server.connections_max {
        tracing::warn!(connections = most, "connections_max exceeds the limit of open files");
    }
    most.min(config.server.connections_max)
}

/// Answers on `listener` until `stop`. Then waits until every running request has its answer.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let (rooms, peers) = (Arc::new(Rooms::new(bounds.most)), Peers::new(bounds.of_peer));
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let Some(permit) = peers.admit(peer.ip()) else {
                        metrics::counter!("impg_connections_cut_total", "why" => "peer").increment(1);
                        continue;
                    };
                    configure_socket(&socket, bounds.write);
                    let seat = Seat::take(&rooms, permit).await;
                    connections.spawn(connection(
                        Accepted { socket, peer },
                        router.clone(),
                        bounds,
                        seat,
                        stop.clone(),
                    ));
                }
                Err(error) => rooms.pause_after(&error).await,
            }
        }
    };
    tokio::select! { () = stop.cancelled() => {}, () = accepting => {} }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Sets socket options. An event is sent at once and not with the next one. A client that is gone or reads
/// nothing loses its connection.
fn configure_socket(socket: &TcpStream, write_timeout: Duration) {
    let set = socket
        .set_nodelay(true)
        .and_then(|()| SockRef::from(socket).set_tcp_user_timeout(Some(write_timeout)));
    if let Err(error) = set {
        tracing::debug!(%error, "could not configure a socket");
    }
}

/// A socket, and the address of its client.
struct Accepted {
    socket: TcpStream,
    peer: SocketAddr,
}

async fn connection(
    Accepted { socket, peer }: Accepted,
    router: Router,
    bounds: Bounds,
    seat: Arc<Seat>,
    stop: CancellationToken,
) {
    let (router, answering) = (TowerToHyperService::new(router), seat.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::of(&answering);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.call(request);
        async move { answer.await.map(|response| response.map(|body| Answer { body, _busy: busy })) }
    });
    let mut http = http1::Builder::new();
    // Time from the end of an answer to the end of the next request head. The first head has a shorter limit,
    // below.
    http.timer(TokioTimer::new()).header_read_timeout(bounds.idle);
    http.max_header_size(bounds.head_max_bytes).max_buf_size(bounds.head_max_bytes);
    let mut serving = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut first_head = pin!(tokio::time::sleep(bounds.head));
    let (mut waiting, mut stopping) = (true, false);
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = seat.ended.cancelled() => return,
            () = first_head.as_mut(), if waiting => {
                if !seat.asked.load(Ordering::Relaxed) {
                    metrics::counter!("impg_connections_cut_total", "why" => "head").increment(1);
                    return;
                }
                waiting = false;
            }
            () = stop.cancelled(), if !stopping => {
                serving.as_mut().graceful_shutdown();
                stopping = true;
            }
        }
    }
}

/// Permits for connections. When all are taken, the connection that has been idle longest is closed. Clients
/// that only hold sockets cannot lock out others.
struct Rooms {
    free: Arc<Semaphore>,
    resting: Mutex<Resting>,
    /// Signals that a connection became idle.
    rested: Notify,
}

/// Idle connections, in the order in which their last request ended.
#[derive(Default)]
struct Resting {
    last: u64,
    seats: BTreeMap<u64, CancellationToken>,
}

impl Rooms {
    fn new(most: usize) -> Self {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { free, resting: Mutex::default(), rested: Notify::new() }
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                return Some(permit);
            }
            let ended = self.end_one();
            tokio::select! {
                permit = self.free.clone().acquire_owned() => return permit.ok(),
                () = self.rested.notified(), if !ended => {}
            }
        }
    }

    /// Closes the longest idle connection. Returns whether there was one.
    fn end_one(&self) -> bool {
        let Some((_, seat)) = self.resting().seats.pop_first() else { return false };
        seat.cancel();
        metrics::counter!("impg_connections_cut_total", "why" => "room").increment(1);
        true
    }

    async fn pause_after(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if ![ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind()) {
            tracing::error!(%error, "could not accept a connection");
            self.end_one();
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// The permit of one connection.
struct Seat {
    rooms: Arc<Rooms>,
    _room: Option<OwnedSemaphorePermit>,
    _peer: PeerPermit,
    ended: CancellationToken,
    /// Its position among the idle connections.
    place: AtomicU64,
    /// Whether a request has arrived.
    asked: AtomicBool,
}

impl Seat {
    async fn take(rooms: &Arc<Rooms>, peer: PeerPermit) -> Arc<Self> {
        let seat = Self {
            _room: rooms.room().await,
            _peer: peer,
            rooms: rooms.clone(),
            ended: CancellationToken::new(),
            place: AtomicU64::default(),
            asked: AtomicBool::default(),
        };
        seat.rest();
        Arc::new(seat)
    }

    fn rest(&self) {
        let mut resting = self.rooms.resting();
        resting.last += 1;
        let place = resting.last;
        resting.seats.insert(place, self.ended.clone());
        self.place.store(place, Ordering::Relaxed);
        drop(resting);
        self.rooms.rested.notify_one();
    }

    fn rise(&self) {
        self.rooms.resting().seats.remove(&self.place.load(Ordering::Relaxed));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rise();
    }
}

/// A running request, until its answer is written.
struct Busy(Arc<Seat>);

impl Busy {
    fn of(seat: &Arc<Seat>) -> Self {
        seat.asked.store(true, Ordering::Relaxed);
        seat.rise();
        Self(seat.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// The body of an answer. It keeps its connection busy.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
