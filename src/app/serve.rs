//! Accepts connections: limits their number, their waiting time and their shutdown. `axum::serve` has none of
//! these limits. With it, a client that sends half a request head keeps its socket forever.
//!
//! A connection speaks HTTP/1.1 or HTTP/2: with TLS as the handshake says, without it as the client begins.

mod peers;
mod slots;
mod version;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::UPGRADE;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Connection;
use crate::base::certificate::{Certificate, HTTP2};
use crate::base::config::Config;
use crate::base::error::Error;
use peers::Peers;
use slots::{Answer, RunningRequest, Silence, Slot, Slots, count_cut};
use wire::Wire;

/// File descriptors reserved for callbacks, the archive and files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// HTTP/2: most bytes of bodies that a client sends before they are read, of one request and of all of a connection. When
/// 16 uploads wait for a slow file store, the bodies of other requests on the same connection wait, too.
const UNREAD_OF_REQUEST: u32 = 64 * 1024;
const UNREAD_OF_CONNECTION: u32 = 1024 * 1024;
/// HTTP/2: most bytes of an answer that wait in memory until the client takes them.
const UNSENT_OF_ANSWER: usize = 64 * 1024;
/// When the service stops: how long a connection without a running request has to end in order.
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
pub struct Server {
    pub router: Router,
    pub bounds: Bounds,
    /// `None`: the connections are not encrypted.
    pub certificate: Option<Arc<Certificate>>,
}

/// Answers on `listener` until `stop`. Then waits until every running request has its answer.
pub async fn serve(listener: TcpListener, server: Server, stop: CancellationToken) {
    let (slots, peers) = (Arc::new(Slots::new(server.bounds.most)), Peers::new(server.bounds.of_peer));
    let (server, connections) = (Arc::new(server), TaskTracker::new());
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let Some(permit) = peers.admit(peer.ip()) else {
                        count_cut("peer");
                        continue;
                    };
                    configure_socket(&socket, server.bounds.write);
                    let slot = Slot::take(&slots, permit).await;
                    let upgraded = connections.clone();
                    let connected = Connected { peer, slot, upgraded };
                    connections.spawn(connection(socket, server.clone(), connected, stop.clone()));
                }
                Err(error) => slots.pause_after(&error).await,
            }
        }
    };
    let following = async {
        match server.certificate.clone() {
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

/// Makes a connection ready for its first request. Returns whether it speaks HTTP/2.
async fn open(socket: TcpStream, server: &Server) -> io::Result<(bool, Wire)> {
    let Some(certificate) = &server.certificate else {
        let (is_http2, socket) = version::detect(socket).await?;
        return Ok((is_http2, Wire::new(socket)));
    };
    let socket = TlsAcceptor::from(certificate.current()).accept(socket).await.inspect_err(|error| {
        count_cut("tls");
        tracing::debug!(%error, "no handshake");
    })?;
    let is_http2 = socket.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((is_http2, Wire::new(socket)))
}

/// What belongs to one connection.
struct Connected {
    peer: SocketAddr,
    slot: Arc<Slot>,
    /// Connections whose requests have become sockets are waited for, too.
    upgraded: TaskTracker,
}

async fn connection(socket: TcpStream, server: Arc<Server>, connected: Connected, stop: CancellationToken) {
    let Connected { peer, slot, upgraded } = connected;
    let first_head = pin!(tokio::time::sleep(server.bounds.head));
    let mut supervisor = Supervisor { bounds: server.bounds, slot, stop, first_head };
    let Some(Ok((is_http2, socket))) = supervisor.before_head(open(socket, &server)).await else { return };
    let (router, slot) = (TowerToHyperService::new(server.router.clone()), supervisor.slot.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let running = RunningRequest::of(&slot, is_http2);
        request.extensions_mut().insert(ConnectInfo(peer));
        if !is_http2 && request.headers().contains_key(UPGRADE) {
            // A socket is a request under way for as long as it is open.
            let held = (RunningRequest::of(&slot, false), upgraded.token());
            request.extensions_mut().insert(Connection(Arc::new(held)));
        }
        let answer = running.is_admitted().then(|| router.call(request));
        async move {
            let response = match answer {
                Some(answer) => answer.await?,
                None => too_many_streams(),
            };
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, running)))
        }
    });
    if is_http2 {
        let serving = pin!(speak_http2(supervisor.bounds).serve_connection(TokioIo::new(socket), service));
        supervisor.supervise(serving, http2::Connection::graceful_shutdown).await;
    } else {
        let http = speak_http1(supervisor.bounds);
        let serving = pin!(http.serve_connection(TokioIo::new(socket), service).with_upgrades());
        // hyper ends idle connections of HTTP/1.1 by itself, after the last byte of an answer.
        supervisor.bounds.idle = Duration::MAX;
        supervisor.supervise(serving, http1::UpgradeableConnection::graceful_shutdown).await;
    }
}

/// The answer to a request of HTTP/2 while `connections_max` others have no whole answer yet.
fn too_many_streams() -> Response {
    metrics::counter!("impg_requests_shed_total").increment(1);
    Error::unavailable("the replica has too many requests of HTTP/2; send the request again").into_response()
}

fn speak_http1(bounds: Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Time from the end of an answer to the end of the next request head. The first head has a shorter limit,
    // in `supervise`.
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
struct Supervisor<'a> {
    bounds: Bounds,
    slot: Arc<Slot>,
    stop: CancellationToken,
    /// The time by which the first head must have come.
    first_head: Pin<&'a mut Sleep>,
}

impl Supervisor<'_> {
    /// What comes before the first head. `None` if the connection ends before.
    async fn before_head<T>(&mut self, opening: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            opened = opening => Some(opened),
            () = self.slot.ended.cancelled() => None,
            () = self.stop.cancelled() => None,
            () = self.first_head.as_mut() => {
                count_cut("head");
                None
            }
        }
    }

    /// Serves until the connection ends, or has to.
    async fn supervise<C: Future>(mut self, mut serving: Pin<&mut C>, shut_down: impl Fn(Pin<&mut C>)) {
        let Bounds { idle, write, .. } = self.bounds;
        let mut check = pin!(tokio::time::sleep(idle.min(write)));
        let (mut waiting, mut stopping, mut leaving) = (true, false, false);
        loop {
            tokio::select! {
                _ = serving.as_mut() => return,
                () = self.slot.ended.cancelled() => return,
                () = self.first_head.as_mut(), if waiting => {
                    if !self.slot.was_asked() {
                        return count_cut("head");
                    }
                    waiting = false;
                }
                () = self.stop.cancelled(), if !stopping => {
                    shut_down(serving.as_mut());
                    stopping = true;
                    check.as_mut().reset(Instant::now() + LAST_ANSWER);
                }
                () = check.as_mut() => {
                    // A client that does not answer does not hold up the stop.
                    let idle = if stopping { LAST_ANSWER } else { idle };
                    match self.slot.silence(idle, write) {
                        Some(Silence::Idle) if stopping => return,
                        // The client learns which requests were not taken. If it does not answer, the next check ends
                        // the connection.
                        Some(Silence::Idle) if !leaving && self.slot.was_asked() => {
                            shut_down(serving.as_mut());
                            leaving = true;
                        }
                        Some(Silence::Idle) if leaving => return,
                        Some(Silence::Unread) => return count_cut("write"),
                        _ => leaving = false,
                    }
                    check.as_mut().reset(Instant::now() + idle.min(write));
                }
            }
        }
    }
}
