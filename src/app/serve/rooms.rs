//! The connections of a listener: how many there can be, which of them are idle, and whether their clients still read.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::peers::PeerPermit;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Permits for connections. When all are taken, the connection that has been idle longest is closed. Clients
/// that only hold sockets cannot lock out others.
pub struct Rooms {
    free: Arc<Semaphore>,
    /// Requests of HTTP/2 count as much as connections do: each can have an answer that waits for its client.
    streams: Arc<Semaphore>,
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
    pub fn new(most: usize) -> Self {
        let permits = || Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { free: permits(), streams: permits(), resting: Mutex::default(), rested: Notify::new() }
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
        count_cut("room");
        true
    }

    pub async fn pause_after(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if ![ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind()) {
            tracing::error!(%error, "could not accept a connection");
            self.end_one();
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Counts a connection that the service closes.
pub fn count_cut(why: &'static str) {
    metrics::counter!("impg_connections_cut_total", "why" => why).increment(1);
}

/// The permit of one connection.
pub struct Seat {
    rooms: Arc<Rooms>,
    _room: Option<OwnedSemaphorePermit>,
    _peer: PeerPermit,
    /// Ends the connection.
    pub ended: CancellationToken,
    /// Whether a request has arrived.
    asked: AtomicBool,
    state: Mutex<State>,
}

/// What happens on a connection. With HTTP/2 it has several requests at a time.
struct State {
    /// Its position among the idle connections.
    place: u64,
    /// Requests whose answers are not written yet.
    at_work: usize,
    rested: Instant,
    /// Answers of which a part waits until the client reads.
    unread: usize,
    /// When the client last took a part of an answer, or the first of these parts began to wait.
    took: Instant,
}

/// What the service has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The next request.
    Idle,
    /// The client to read an answer.
    Unread,
}

impl Seat {
    pub async fn take(rooms: &Arc<Rooms>, peer: PeerPermit) -> Arc<Self> {
        let now = Instant::now();
        let seat = Self {
            _room: rooms.room().await,
            _peer: peer,
            rooms: rooms.clone(),
            ended: CancellationToken::new(),
            asked: AtomicBool::default(),
            state: Mutex::new(State { place: 0, at_work: 0, rested: now, unread: 0, took: now }),
        };
        seat.rest(&mut seat.state());
        Arc::new(seat)
    }

    /// Whether a request has arrived.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the client has been silent for these times: without a request, and without reading an answer.
    pub fn silence(&self, idle: Duration, write: Duration) -> Option<Silence> {
        let state = self.state();
        if state.at_work == 0 && state.rested.elapsed() >= idle {
            return Some(Silence::Idle);
        }
        (state.unread > 0 && state.took.elapsed() >= write).then_some(Silence::Unread)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, state: &mut State) {
        state.rested = Instant::now();
        let mut resting = self.rooms.resting();
        resting.last += 1;
        state.place = resting.last;
        resting.seats.insert(state.place, self.ended.clone());
        drop(resting);
        self.rooms.rested.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let place = self.state().place;
        self.rooms.resting().seats.remove(&place);
    }
}

/// A running request, until its answer is written.
pub struct Busy {
    seat: Arc<Seat>,
    /// Of a request of HTTP/2, unless there are too many.
    stream: Option<OwnedSemaphorePermit>,
    is_stream: bool,
}

impl Busy {
    /// Whether the request may be answered.
    pub fn is_admitted(&self) -> bool {
        self.stream.is_some() || !self.is_stream
    }

    pub fn of(seat: &Arc<Seat>, is_stream: bool) -> Self {
        seat.asked.store(true, Ordering::Relaxed);
        let mut state = seat.state();
        state.at_work += 1;
        if state.at_work == 1 {
            seat.rooms.resting().seats.remove(&state.place);
        }
        drop(state);
        let stream = is_stream.then(|| seat.rooms.streams.clone().try_acquire_owned().ok()).flatten();
        Self { seat: seat.clone(), stream, is_stream }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.seat.state();
        state.at_work -= 1;
        if state.at_work == 0 {
            self.seat.rest(&mut state);
        }
    }
}

/// The body of an answer. It keeps its connection busy.
pub struct Answer {
    body: Body,
    busy: Busy,
    /// Most bytes that are handed on at once.
    piece_bytes: usize,
    /// What is left of a part of the body.
    left: Bytes,
    /// Whether a part has been handed on, and no next one has been asked for: the client has not read it yet.
    is_unread: bool,
}

impl Answer {
    pub fn new(body: Body, busy: Busy, piece_bytes: usize) -> Self {
        Self { body, busy, piece_bytes, left: Bytes::new(), is_unread: false }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.left = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let count = self.left.len().min(self.piece_bytes);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(count)))))
    }

    /// The client has taken the part of before, if there was one. Whether another one waits now.
    fn took(&mut self, is_unread: bool) {
        let was_unread = std::mem::replace(&mut self.is_unread, is_unread);
        if !was_unread && !is_unread {
            return;
        }
        let mut state = self.busy.seat.state();
        // A part that begins to wait is no sign of the client while others wait.
        if was_unread || state.unread == 0 {
            state.took = Instant::now();
        }
        state.unread = state.unread + usize::from(is_unread) - usize::from(was_unread);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.took(false);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = self.poll_piece(cx);
        self.took(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, left) = (self.body.size_hint(), self.left.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}
