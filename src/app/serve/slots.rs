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
/// Most bytes of an answer that are handed on at once. Each shows that the client has read the one before.
const PIECE_BYTES: usize = 16 * 1024;

/// Permits for connections. When all are taken, the connection that has been idle longest is closed. Clients
/// that only hold sockets cannot lock out others.
pub struct Slots {
    free: Arc<Semaphore>,
    /// Requests of HTTP/2 count as much as connections do: each can have an answer that waits for its client.
    streams: Arc<Semaphore>,
    idle_slots: Mutex<IdleSlots>,
    /// Signals that a connection became idle.
    became_idle: Notify,
}

/// Idle connections, in the order in which their last request ended.
#[derive(Default)]
struct IdleSlots {
    last: u64,
    tokens: BTreeMap<u64, CancellationToken>,
}

impl Slots {
    pub fn new(most: usize) -> Self {
        let permits = || Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { free: permits(), streams: permits(), idle_slots: Mutex::default(), became_idle: Notify::new() }
    }

    fn idle_slots(&self) -> MutexGuard<'_, IdleSlots> {
        self.idle_slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn free_slot(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                return Some(permit);
            }
            let ended = self.end_one();
            tokio::select! {
                permit = self.free.clone().acquire_owned() => return permit.ok(),
                () = self.became_idle.notified(), if !ended => {}
            }
        }
    }

    /// Closes the longest idle connection. Returns whether there was one.
    fn end_one(&self) -> bool {
        let Some((_, slot)) = self.idle_slots().tokens.pop_first() else { return false };
        slot.cancel();
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
pub struct Slot {
    slots: Arc<Slots>,
    _permit: Option<OwnedSemaphorePermit>,
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
    requests: usize,
    idle_since: Instant,
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

impl Slot {
    pub async fn take(slots: &Arc<Slots>, peer: PeerPermit) -> Arc<Self> {
        let now = Instant::now();
        let slot = Self {
            _permit: slots.free_slot().await,
            _peer: peer,
            slots: slots.clone(),
            ended: CancellationToken::new(),
            asked: AtomicBool::default(),
            state: Mutex::new(State { place: 0, requests: 0, idle_since: now, unread: 0, took: now }),
        };
        slot.set_idle(&mut slot.state());
        Arc::new(slot)
    }

    /// Whether a request has arrived.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the client has been silent for these times: without a request, and without reading an answer.
    pub fn silence(&self, idle: Duration, write: Duration) -> Option<Silence> {
        let state = self.state();
        if state.requests == 0 && state.idle_since.elapsed() >= idle {
            return Some(Silence::Idle);
        }
        (state.unread > 0 && state.took.elapsed() >= write).then_some(Silence::Unread)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_idle(&self, state: &mut State) {
        state.idle_since = Instant::now();
        let mut idle_slots = self.slots.idle_slots();
        idle_slots.last += 1;
        state.place = idle_slots.last;
        idle_slots.tokens.insert(state.place, self.ended.clone());
        drop(idle_slots);
        self.slots.became_idle.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let place = self.state().place;
        self.slots.idle_slots().tokens.remove(&place);
    }
}

/// A running request, until its answer is written.
pub struct RunningRequest {
    slot: Arc<Slot>,
    /// Of a request of HTTP/2, unless there are too many.
    stream: Option<OwnedSemaphorePermit>,
    is_stream: bool,
}

impl RunningRequest {
    /// Whether the request may be answered.
    pub fn is_admitted(&self) -> bool {
        self.stream.is_some() || !self.is_stream
    }

    pub fn of(slot: &Arc<Slot>, is_stream: bool) -> Self {
        slot.asked.store(true, Ordering::Relaxed);
        let mut state = slot.state();
        state.requests += 1;
        if state.requests == 1 {
            slot.slots.idle_slots().tokens.remove(&state.place);
        }
        drop(state);
        let stream = is_stream.then(|| slot.slots.streams.clone().try_acquire_owned().ok()).flatten();
        Self { slot: slot.clone(), stream, is_stream }
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        state.requests -= 1;
        if state.requests == 0 {
            self.slot.set_idle(&mut state);
        }
    }
}

/// The body of an answer. While it lasts, its connection is not idle.
pub struct Answer {
    body: Body,
    request: RunningRequest,
    /// What is left of a part of the body.
    left: Bytes,
    /// Whether a part has been handed on, and no next one has been asked for: the client has not read it yet.
    is_unread: bool,
}

impl Answer {
    pub fn new(body: Body, request: RunningRequest) -> Self {
        Self { body, request, left: Bytes::new(), is_unread: false }
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
        let count = self.left.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(count)))))
    }

    /// The client has taken the part of before, if there was one. Whether another one waits now.
    fn took(&mut self, is_unread: bool) {
        let was_unread = std::mem::replace(&mut self.is_unread, is_unread);
        if !was_unread && !is_unread {
            return;
        }
        let mut state = self.request.slot.state();
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::app::serve::peers::Peers;

    #[tokio::test]
    async fn a_long_part_of_an_answer_is_handed_on_in_pieces_and_each_shows_that_the_client_reads() {
        let (slots, peers) = (Arc::new(Slots::new(1)), Peers::new(0));
        let peer = peers.admit([127, 0, 0, 1].into()).expect("a permit");
        let slot = Slot::take(&slots, peer).await;
        let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 1).map(|i| i as u8).collect();
        let mut answer = Answer::new(Body::from(bytes.clone()), RunningRequest::of(&slot, false));
        let (mut pieces, mut took) = (Vec::new(), slot.state().took);
        for length in [PIECE_BYTES, PIECE_BYTES, 1] {
            let piece = answer.frame().await.expect("a piece").expect("no error").into_data().expect("bytes");
            assert_eq!(piece.len(), length);
            pieces.extend_from_slice(&piece);
            let now = std::mem::replace(&mut took, slot.state().took);
            assert!(took > now, "the wait begins anew");
        }
        assert!(answer.frame().await.is_none() && pieces == bytes);
        assert_eq!(slot.silence(Duration::MAX, Duration::ZERO), None, "nothing is unread");
    }
}
