//! One open socket: what comes from the stream goes out, what comes from the client is done, and what ends it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::{sleep, timeout};
use tungstenite::Error as Fault;

use super::Connection;
use super::session::{Context, Session};
use crate::events::stream::{End, Stream};
use crate::people::presence::OpenSocket;

/// How long the client has to answer when the service closes the socket.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pings within the time after which a silent client is gone.
const PINGS: u32 = 3;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The client closed it, or the connection is lost.
    Closed,
    /// Nothing came from the client for too long.
    Silent,
    /// The client did not read for too long.
    Unread,
    /// The client sent what no socket takes.
    Fault(u16, &'static str),
    /// The stream has ended.
    Stream(Option<End>),
}

impl Ending {
    /// The close code with its reason. `None`: nothing can be sent any more.
    fn close(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Closed | Self::Silent | Self::Unread => return None,
            Self::Fault(code, reason) => (code, reason),
            Self::Stream(Some(End::Gone)) => {
                (close_code::POLICY, "the user has left or the token is revoked")
            }
            Self::Stream(Some(End::Stopping)) => (close_code::AWAY, "the service is stopping; connect again"),
            Self::Stream(Some(End::Aged)) => (close_code::RESTART, "connect again"),
            Self::Stream(Some(End::Resync(..))) => (close_code::RESTART, "load again and connect again"),
            Self::Stream(Some(End::Broken) | None) => (close_code::ERROR, "internal error; connect again"),
        })
    }

    /// For the metric.
    fn why(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Unread | Self::Stream(Some(End::Resync(..))) => "slow",
            Self::Fault(..) => "fault",
            Self::Stream(Some(End::Gone)) => "gone",
            Self::Stream(Some(End::Stopping)) => "stopping",
            Self::Stream(Some(End::Aged)) => "aged",
            Self::Stream(Some(End::Broken) | None) => "broken",
        }
    }
}

/// An open socket.
pub struct Talk {
    context: Arc<Context>,
    stream: Stream,
    _online: Option<OpenSocket>,
    _connection: Option<Connection>,
}

impl Talk {
    pub fn new(context: Arc<Context>, stream: Stream, connection: Option<Connection>) -> Self {
        let online = context.api.sockets.as_ref().map(|sockets| sockets.open(&context.caller.user_id));
        metrics::gauge!("impg_sockets", "kind" => context.protocol.name()).increment(1);
        Self { context, stream, _online: online, _connection: connection }
    }

    /// Talks until the socket ends.
    pub async fn run(mut self, mut socket: WebSocket) {
        let ending = self.talk(&mut socket).await;
        metrics::counter!("impg_sockets_ended_total", "why" => ending.why()).increment(1);
        let Some((code, reason)) = ending.close() else { return };
        let write_timeout = self.context.api.config.server.write_timeout;
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let farewell = async {
            if socket.send(close).await.is_err() {
                return;
            }
            match ending {
                // Nothing more is read of it. It has the reason before the connection ends.
                Ending::Fault(..) => sleep(FAREWELL).await,
                _ => while let Some(Ok(_)) = socket.recv().await {},
            }
        };
        // A client that reads slowly has much to read before it learns why.
        let within = match ending {
            Ending::Stream(Some(End::Resync(..))) => write_timeout,
            _ => FAREWELL,
        };
        let _ = timeout(within, farewell).await;
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Ending {
        let settings = &self.context.api.config.streams;
        let silence = settings.socket_silence;
        let (beat, write) =
            (settings.heartbeat.min(silence / PINGS), self.context.api.config.server.write_timeout);
        let mut session = Session::new(self.context.clone());
        let mut heard = Instant::now();
        let mut pause = pin!(sleep(beat));
        loop {
            // Kept until it gives a piece: what it reads meanwhile is not read twice.
            let mut next = pin!(self.stream.next());
            let piece = loop {
                let frames = tokio::select! {
                    piece = next.as_mut() => break piece,
                    frames = session.answer() => frames,
                    received = socket.recv(), if session.has_room() => {
                        heard = Instant::now();
                        match take(&mut session, received) {
                            None => continue,
                            Some(ending) => return ending,
                        }
                    }
                    () = pause.as_mut() => {
                        // A client whose requests wait is not read.
                        if session.has_room() && heard.elapsed() >= silence {
                            return Ending::Silent;
                        }
                        pause.as_mut().reset(tokio::time::Instant::now() + beat);
                        if let Err(ending) = send(socket, Message::Ping(Default::default()), write).await {
                            return ending;
                        }
                        continue;
                    }
                };
                for frame in frames {
                    if let Err(ending) = send(socket, Message::Text(frame.into()), write).await {
                        return ending;
                    }
                }
            };
            let Some(piece) = piece else { break };
            let began = Instant::now();
            for frame in session.frames(&piece) {
                if let Err(ending) = send(socket, Message::Text(frame.into()), write).await {
                    return ending;
                }
            }
            if began.elapsed() >= beat {
                // It took what had waited for it, so it is there. What it has said meanwhile is read from now on.
                heard = Instant::now();
            }
        }
        Ending::Stream(self.stream.end())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        metrics::gauge!("impg_sockets", "kind" => self.context.protocol.name()).decrement(1);
    }
}

/// Sends a message, unless the client reads nothing for too long.
async fn send(socket: &mut WebSocket, message: Message, within: Duration) -> Result<(), Ending> {
    match timeout(within, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Closed),
        Err(_) => Err(Ending::Unread),
    }
}

/// Takes what came from the client. Returns why the socket ends, if it does.
fn take(session: &mut Session, received: Option<Result<Message, axum::Error>>) -> Option<Ending> {
    match received {
        Some(Ok(Message::Text(text))) => {
            session.take(text);
            None
        }
        Some(Ok(Message::Binary(_))) => Some(Ending::Fault(close_code::UNSUPPORTED, "send frames of text")),
        // A ping is answered below, and after a close comes the end.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => None,
        Some(Err(error)) => Some(fault(error)),
        None => Some(Ending::Closed),
    }
}

/// What is wrong with what the client sent.
fn fault(error: axum::Error) -> Ending {
    match error.into_inner().downcast::<Fault>().map(|fault| *fault) {
        Ok(Fault::Capacity(_)) => Ending::Fault(close_code::SIZE, "the frame exceeds socket_frame_max_bytes"),
        Ok(Fault::Utf8(_)) => Ending::Fault(close_code::INVALID, "a frame of text must be UTF-8"),
        // A connection that is lost in the middle.
        Ok(Fault::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            Ending::Closed
        }
        Ok(Fault::Protocol(_)) => Ending::Fault(close_code::PROTOCOL, "this is not RFC 6455"),
        _ => Ending::Closed,
    }
}
