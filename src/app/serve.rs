//! Accepts connections: limits their number, their waiting time and their shutdown. `axum::serve` has none of
//! these limits. With it, a client that sends half a request head keeps its socket forever.
//!
//! A connection speaks HTTP/1.1 or HTTP/2: with TLS as the handshake says, without it as the client begins.

mod peers;
mod rooms;
mod version;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::certificate::{Certificate, HTTP2};
use crate::base::config::Config;
use peers::Peers;
use rooms::{Answer, Busy, Rooms, Seat, Silence, count_cut};

/// File descriptors reserved for callbacks, the archive and files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// HTTP/2: most bytes of bodies that a client sends before they are read, of one request and of all of a connection. So
/// many uploads have to wait for a slow file store before the other requests of the connection wait behind them.
const UNREAD_OF_REQUEST: u32 = 64 * 1024;
const UNREAD_OF_CONNECTION: u32 = 1024 * 1024;
/// HTTP/2: most bytes of an answer that wait in memory until the client takes them.
const UNSENT_OF_ANSWER: usize = 64 * 1024;
/// Most bytes of an answer that are handed on at once. A client that takes none of the rest is noticed by it.
const PIECE_BYTES: usize = 16 * 1024;

/// HTTP/2: how long a client has to answer that its connection ends, when the service stops.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    most: usize,
    of_peer: usize,
    head: Duration,
    idle: Duration,
    head_max_bytes: usize,
    write: Duration,
    http2_streams: u32,
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
            http2_streams: config.server.http2_streams_max,
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

/// What all connections of a listener share.
pub struct Site {
    pub router: Router,
    pub bounds: Bounds,
    /// `None`: the connections are not encrypted.
    pub certificate: Option<Arc<Certificate>>,
}

/// Answers on `listener` until `stop`. Then waits until every running request has its answer.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) {
    let (rooms, peers) = (Arc::new(Rooms::new(site.bounds.most)), Peers::new(site.bounds.of_peer));
    let (site, connections) = (Arc::new(site), TaskTracker::new());
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let Some(permit) = peers.admit(peer.ip()) else {
                        count_cut("peer");
                        continue;
                    };
                    configure_socket(&socket, site.bounds.write);
                    let seat = Seat::take(&rooms, permit).await;
                    connections.spawn(connection((socket, peer), site.clone(), seat, stop.clone()));
                }
                Err(error) => rooms.pause_after(&error).await,
            }
        }
    };
    let following = async {
        match site.certificate.clone() {
            Some(certificate) => certificate.follow().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! { () = stop.cancelled() => {}, () = accepting => {}, () = following => {} }
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

/// A socket, encrypted or not.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Makes a connection ready for its first request. Returns whether it speaks HTTP/2.
async fn open(socket: TcpStream, site: &Site) -> io::Result<(bool, Box<dyn Socket>)> {
    let Some(certificate) = &site.certificate else {
        let (is_http2, socket) = version::detect(socket).await?;
        return Ok((is_http2, Box::new(socket)));
    };
    let socket = TlsAcceptor::from(certificate.current()).accept(socket).await.inspect_err(|error| {
        count_cut("tls");
        tracing::debug!(%error, "no handshake");
    })?;
    let is_http2 = socket.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((is_http2, Box::new(socket)))
}

async fn connection(
    (socket, peer): (TcpStream, SocketAddr),
    site: Arc<Site>,
    seat: Arc<Seat>,
    stop: CancellationToken,
) {
    let first_head = pin!(tokio::time::sleep(site.bounds.head));
    let mut visit = Visit { bounds: site.bounds, seat, stop, first_head };
    let Some(Ok((is_http2, socket))) = visit.before_head(open(socket, &site)).await else { return };
    let (router, seat) = (TowerToHyperService::new(site.router.clone()), visit.seat.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::of(&seat, is_http2);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = busy.is_admitted().then(|| router.call(request));
        async move {
            let response = match answer {
                Some(answer) => answer.await?,
                None => too_many_streams(),
            };
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, busy, PIECE_BYTES)))
        }
    });
    if is_http2 {
        let serving = pin!(speak_http2(visit.bounds).serve_connection(TokioIo::new(socket), service));
        visit.attend(serving, http2::Connection::graceful_shutdown).await;
    } else {
        let serving = pin!(speak_http1(visit.bounds).serve_connection(TokioIo::new(socket), service));
        // hyper ends idle connections of HTTP/1.1 by itself, after the last byte of an answer.
        visit.bounds.idle = Duration::MAX;
        visit.attend(serving, http1::Connection::graceful_shutdown).await;
    }
}

/// The answer to a request of HTTP/2 while `connections_max` requests of HTTP/2 are at work.
fn too_many_streams() -> Response {
    metrics::counter!("impg_requests_shed_total").increment(1);
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response()
}

fn speak_http1(bounds: Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Time from the end of an answer to the end of the next request head. The first head has a shorter limit,
    // in `attend`.
    http.timer(TokioTimer::new()).header_read_timeout(bounds.idle);
    http.max_header_size(bounds.head_max_bytes).max_buf_size(bounds.head_max_bytes);
    http
}

/// Requests that a client begins and resets at once are bounded by hyper: after 20 that wait, and after 1,024 in all
/// that the service resets, it closes the connection.
fn speak_http2(bounds: Bounds) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).max_concurrent_streams(bounds.http2_streams);
    http.max_header_list_size(u32::try_from(bounds.head_max_bytes).unwrap_or(u32::MAX));
    http.initial_stream_window_size(UNREAD_OF_REQUEST).initial_connection_window_size(UNREAD_OF_CONNECTION);
    http.max_send_buf_size(UNSENT_OF_ANSWER);
    http
}

/// One connection, and what ends it.
struct Visit<'a> {
    bounds: Bounds,
    seat: Arc<Seat>,
    stop: CancellationToken,
    /// The time by which the first head must have come.
    first_head: Pin<&'a mut Sleep>,
}

impl Visit<'_> {
    /// What comes before the first head. `None` if the connection ends before.
    async fn before_head<T>(&mut self, opening: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            opened = opening => Some(opened),
            () = self.seat.ended.cancelled() => None,
            () = self.stop.cancelled() => None,
            () = self.first_head.as_mut() => {
                count_cut("head");
                None
            }
        }
    }

    /// Serves until the connection ends, or has to.
    async fn attend<C: Future>(mut self, mut serving: Pin<&mut C>, shut_down: impl Fn(Pin<&mut C>)) {
        let Bounds { idle, write, .. } = self.bounds;
        let mut look = pin!(tokio::time::sleep(idle.min(write)));
        let (mut waiting, mut stopping, mut leaving) = (true, false, false);
        loop {
            tokio::select! {
                _ = serving.as_mut() => return,
                () = self.seat.ended.cancelled() => return,
                () = self.first_head.as_mut(), if waiting => {
                    if !self.seat.was_asked() {
                        return count_cut("head");
                    }
                    waiting = false;
                }
                () = self.stop.cancelled(), if !stopping => {
                    shut_down(serving.as_mut());
                    stopping = true;
                    look.as_mut().reset(Instant::now() + LAST_ANSWER);
                }
                () = look.as_mut() => {
                    // A client that does not answer the end of its connection holds up no stop.
                    let idle = if stopping { LAST_ANSWER } else { idle };
                    match self.seat.silence(idle, write) {
                        Some(Silence::Idle) if stopping => return,
                        // The client learns which requests were not taken. If it does not answer, the next look ends
                        // the connection.
                        Some(Silence::Idle) if !leaving && self.seat.was_asked() => {
                            shut_down(serving.as_mut());
                            leaving = true;
                        }
                        Some(Silence::Idle) if leaving => return,
                        Some(Silence::Unread) => return count_cut("write"),
                        _ => leaving = false,
                    }
                    look.as_mut().reset(Instant::now() + idle.min(write));
                }
            }
        }
    }
}
