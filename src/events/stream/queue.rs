//! The queue of one stream. It is bounded and freed when the stream ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

/// Most bytes in a queue. One event always fits.
const BYTES_MAX: usize = 1 << 20;
/// Most texts in a queue that are not of the log.
const LIVE_MAX: usize = 64;

/// What a listener wants beside the events of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Presence and statuses of partners.
    pub presence: bool,
    /// Which members are typing.
    pub typing: bool,
    /// Signals and data of calls.
    pub calls: bool,
}

impl Wants {
    pub(super) fn any(self) -> bool {
        self.presence || self.typing || self.calls
    }
}

/// Why a client must reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The log no longer holds the events after the client's event.
    TooOld,
    /// The client has missed so much that a reload is cheaper.
    TooFar,
    /// The log has no such event.
    UnknownEvent,
    /// Events were not written for a while, because there were no listeners.
    Incomplete,
    /// The client reads more slowly than events arrive.
    TooSlow,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooFar => "too_far",
            Self::UnknownEvent => "unknown_event",
            Self::Incomplete => "incomplete",
            Self::TooSlow => "too_slow",
        }
    }

    /// The `resync` event. A client can resume after `event_id`.
    pub(super) fn text(self, event_id: i64) -> Bytes {
        let reason = self.as_str();
        metrics::counter!("impg_stream_resyncs_total", "reason" => reason).increment(1);
        format!("id: {event_id}\nevent: resync\ndata: {{\"reason\":\"{reason}\"}}\n\n").into()
    }
}

/// How the service ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client must reload. It can resume after this event.
    Resync(Reason, i64),
    /// The stream reached its maximum age, or the authentication expired. The client reconnects.
    Aged,
    /// A failure. The client resumes.
    Broken,
    /// The user has left, or the token or the session has ended.
    Gone,
    /// The service stops. The client resumes at another replica or later.
    Stopping,
}

impl End {
    pub(super) fn text(self) -> Bytes {
        match self {
            Self::Resync(reason, event_id) => reason.text(event_id),
            Self::Aged => Bytes::from_static(b": connect again\n\n"),
            Self::Broken => Bytes::from_static(b": internal error, connect again\n\n"),
            Self::Gone => {
                Bytes::from_static(b": the user has left, or the token or the session has ended\n\n")
            }
            Self::Stopping => Bytes::from_static(b": the service is stopping, connect again\n\n"),
        }
    }
}

/// The events that wait for a stream.
pub(super) struct Queue {
    pub user_id: Arc<str>,
    /// What opened the stream and can be withdrawn: SHA-256 of the service's own token, or the id of a session.
    pub proof: Option<Vec<u8>>,
    pub wants: Wants,
    /// The event at which it joined the tail. The stream reads earlier events from the log.
    pub joined: i64,
    /// Most events in the queue.
    most: usize,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

struct Waiting {
    /// The last event taken. A repeated event is ignored.
    after: i64,
    texts: VecDeque<Bytes>,
    bytes: usize,
    /// The newest total of unread messages. It comes after the events, and an older one is dropped.
    unread: Option<Bytes>,
    /// Texts that are not of the log. They come last.
    live: VecDeque<Bytes>,
    end: Option<End>,
}

/// The next output of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Event(Bytes),
    End(End),
}

impl Queue {
    /// A queue of at most `most` events, for events after `joined`.
    pub fn new(
        user_id: Arc<str>,
        (proof, wants): (Option<Vec<u8>>, Wants),
        joined: i64,
        most: usize,
    ) -> Self {
        let (texts, live) = (VecDeque::new(), VecDeque::new());
        let waiting = Mutex::new(Waiting { after: joined, texts, bytes: 0, unread: None, live, end: None });
        Self { user_id, proof, wants, joined, most, waiting, filled: Notify::new() }
    }

    /// Returns whether there was room. An ended queue ignores events and returns true.
    #[must_use]
    pub fn push(&self, event_id: i64, text: &Bytes) -> bool {
        let mut waiting = self.waiting();
        if event_id <= waiting.after || waiting.end.is_some() {
            return true;
        }
        let full = waiting.texts.len() >= self.most || waiting.bytes.saturating_add(text.len()) > BYTES_MAX;
        if full && !waiting.texts.is_empty() {
            return false;
        }
        waiting.after = event_id;
        waiting.bytes += text.len();
        waiting.texts.push_back(text.clone());
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// Puts the total of unread messages behind the events, in place of an older one.
    pub fn put_unread(&self, text: Bytes) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            waiting.unread = Some(text);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Puts a text that is not of the log behind the events. Returns whether there was room. An ended queue ignores
    /// it and returns true.
    #[must_use]
    pub fn put_live(&self, text: &Bytes) -> bool {
        let mut waiting = self.waiting();
        if waiting.end.is_some() {
            return true;
        }
        if waiting.live.len() >= LIVE_MAX || waiting.bytes.saturating_add(text.len()) > BYTES_MAX {
            return false;
        }
        waiting.bytes += text.len();
        waiting.live.push_back(text.clone());
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// Ends the queue and drops its events. The first end stays.
    pub fn end(&self, end: End) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            (waiting.texts, waiting.bytes, waiting.end) = (VecDeque::new(), 0, Some(end));
            (waiting.unread, waiting.live) = (None, VecDeque::new());
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for the next output.
    pub async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.filled.notified().await;
        }
    }

    /// The next output, if there is one.
    pub fn try_next(&self) -> Option<Next> {
        let mut waiting = self.waiting();
        if let Some(text) = waiting.texts.pop_front() {
            waiting.bytes -= text.len();
            return Some(Next::Event(text));
        }
        if let Some(total) = waiting.unread.take() {
            return Some(Next::Event(total));
        }
        if let Some(text) = waiting.live.pop_front() {
            waiting.bytes -= text.len();
            return Some(Next::Event(text));
        }
        waiting.end.map(Next::End)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(most: usize) -> Queue {
        Queue::new("a".into(), (None, Wants::default()), 10, most)
    }

    fn text(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn a_queue_takes_what_comes_after_its_place_and_no_more_than_it_holds() {
        let queue = queue(2);
        for event_id in [9, 10, 11, 11, 12, 11] {
            assert!(queue.push(event_id, &text(event_id as usize)));
        }
        assert!(!queue.push(13, &text(1)));
        assert_eq!(queue.try_next(), Some(Next::Event(text(11))));
        assert!(queue.push(13, &text(13)));
        assert_eq!(queue.try_next(), Some(Next::Event(text(12))));
        assert_eq!(queue.try_next(), Some(Next::Event(text(13))));
        assert_eq!(queue.try_next(), None);
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_but_takes_any_one_event() {
        let queue = queue(100);
        assert!(queue.push(11, &text(2 * BYTES_MAX)));
        assert!(!queue.push(12, &text(1)));
        assert!(queue.try_next().is_some());
        assert!(queue.push(13, &text(BYTES_MAX)));
        assert!(!queue.push(14, &text(1)));
    }

    #[test]
    fn the_newest_total_comes_after_the_events_and_takes_no_room() {
        let queue = queue(1);
        queue.put_unread(text(1));
        assert!(queue.push(11, &text(11)));
        queue.put_unread(text(2));
        assert_eq!(queue.try_next(), Some(Next::Event(text(11))));
        assert_eq!(queue.try_next(), Some(Next::Event(text(2))));
        assert_eq!(queue.try_next(), None);
        queue.put_unread(text(3));
        queue.end(End::Stopping);
        queue.put_unread(text(4));
        assert_eq!(queue.try_next(), Some(Next::End(End::Stopping)));
    }

    #[test]
    fn what_is_not_of_the_log_comes_last_and_is_bounded() {
        let queue = queue(1);
        for i in 0..LIVE_MAX {
            assert!(queue.put_live(&text(i)));
        }
        assert!(!queue.put_live(&text(1)));
        assert!(queue.push(11, &text(7)), "events have their own room");
        assert_eq!(queue.try_next(), Some(Next::Event(text(7))));
        assert_eq!(queue.try_next(), Some(Next::Event(text(0))));
        assert!(queue.put_live(&text(1)));
        queue.end(End::Stopping);
        assert!(queue.put_live(&text(1)));
        assert_eq!(queue.try_next(), Some(Next::End(End::Stopping)));
    }

    #[test]
    fn what_ends_a_queue_empties_it_and_the_first_end_stays() {
        let queue = queue(1);
        assert!(queue.push(11, &text(1)));
        queue.end(End::Resync(Reason::TooSlow, 12));
        queue.end(End::Stopping);
        assert!(queue.push(13, &text(1)), "it is no longer full");
        let end = End::Resync(Reason::TooSlow, 12);
        assert_eq!(queue.try_next(), Some(Next::End(end)));
        assert_eq!(end.text(), "id: 12\nevent: resync\ndata: {\"reason\":\"too_slow\"}\n\n");
    }
}
