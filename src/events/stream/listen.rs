//! One stream: missed events from the log, then new events from the queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::log::{self, Head, Stretch};
use super::queue::{End, Next, Queue, Reason, Wants};
use super::{StreamPermit, TEXTS};
use crate::base::error::{Error, Result};

/// Most events of the log that a stream reads at once to catch up.
const STRETCH: i64 = 2_000;
/// A client that has missed more events than this reloads, which is cheaper.
const MISSED_MAX: i64 = 100_000;
/// Reconnect delay for clients: at least this, plus a spread. It prevents all disconnected clients from
/// returning at once.
const RETRY_MS: u64 = 500;
const RETRY_SPREAD_MS: u64 = 1_000;

/// The output of one stream. Dropping it removes it from the hub.
pub struct Stream {
    place: StreamPermit,
    opening: Opening,
    /// The event from which the log was complete when the stream began.
    complete_from: i64,
    /// Serialized output that is sent next.
    ready: VecDeque<Bytes>,
    stage: Stage,
    end: Option<End>,
}

/// How a stream is opened.
pub(super) struct Opening {
    /// SHA-256 of the service's own token that opens it.
    pub proof: Option<Vec<u8>>,
    pub wants: Wants,
    /// When the authentication expires or the stream reaches its maximum age.
    pub ends: Instant,
}

enum Stage {
    CatchingUp(Missed),
    Live(Arc<Queue>),
    Over,
}

/// Catching up from the log. A long backlog is read before the stream joins the tail, so that its queue does
/// not fill up. After joining, only the gap remains.
#[derive(Default)]
struct Missed {
    after: i64,
    /// Events of this user up to `after` that are not serialized yet.
    event_ids: VecDeque<i64>,
    is_last: bool,
    queue: Option<Arc<Queue>>,
}

impl Stream {
    /// Joins the tail at once, or reads first what came after the event `after`.
    pub(super) fn begin(
        place: StreamPermit,
        opening: Opening,
        after: Option<i64>,
        head: Head,
    ) -> Result<Self> {
        let (complete_from, ready) = (head.complete_from, VecDeque::from([greeting()]));
        let mut stream = Self { place, opening, complete_from, ready, stage: Stage::Over, end: None };
        let refused = after.and_then(|after| refused(after, &head));
        match after {
            Some(after) if refused.is_none() => {
                // Not with the newest id: a client that disconnects now resumes from its own id.
                stream.ready.push_back(hello(after));
                stream.stage = Stage::CatchingUp(Missed { after, ..Missed::default() });
            }
            _ => {
                let queue = stream.join(head.last_event_id)?;
                // Comes first. A client that knows only the new id would continue without a reload.
                stream.ready.extend(refused.map(|reason| reason.text(queue.joined)));
                stream.ready.push_back(hello(queue.joined));
                stream.stage = Stage::Live(queue);
            }
        }
        Ok(stream)
    }

    /// The next output; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(text);
            }
            match &self.stage {
                Stage::Live(queue) => {
                    let queue = queue.clone();
                    self.live(&queue).await;
                }
                // On the heap, so that a live stream does not reserve memory for it.
                Stage::CatchingUp(_) => Box::pin(self.catch_up()).await,
                Stage::Over => return None,
            }
        }
    }

    /// Why the stream has ended.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Waits for the next event or the next heartbeat.
    async fn live(&mut self, queue: &Queue) {
        let silent = (Instant::now() + self.place.hub.limits.heartbeat).min(self.opening.ends);
        let next = tokio::select! {
            next = queue.next() => Some(next),
            () = tokio::time::sleep_until(silent.into()) => None,
        };
        // Read before the second check of the queue. Events delivered until then are in the queue or were
        // taken from it.
        let delivered = self.place.hub.delivered.load(Ordering::Acquire).max(queue.joined);
        match next.or_else(|| queue.try_next()) {
            Some(Next::Event(text)) => self.ready.push_back(text),
            Some(Next::End(end)) => self.finish(end),
            None if silent == self.opening.ends => self.finish(End::Aged),
            None => self.ready.push_back(heartbeat(delivered)),
        }
    }

    /// One step of catching up. A failure ends the stream, and the client resumes.
    async fn catch_up(&mut self) {
        if let Err(error) = self.try_catch_up().await {
            tracing::debug!(%error, "a stream ends while it catches up");
            self.finish(End::Broken);
        }
    }

    async fn try_catch_up(&mut self) -> Result<()> {
        let hub = self.place.hub.clone();
        let _turn = hub.catching_up.acquire().await.map_err(Error::internal)?;
        let Stage::CatchingUp(missed) = &mut self.stage else {
            return Ok(());
        };
        if hub.crowd().closed {
            self.finish(End::Stopping);
            return Ok(());
        }
        if missed.event_ids.is_empty() {
            let span = (missed.after, missed.queue.as_ref().map(|queue| queue.joined));
            let stretch = log::missed(&hub.store, &self.place.user_id, span, STRETCH).await?;
            if let Some(reason) = broken(missed.after, self.complete_from, &stretch) {
                self.finish(End::Resync(reason, stretch.last_event_id));
                return Ok(());
            }
            (missed.after, missed.is_last) = (stretch.reached, stretch.is_last);
            missed.event_ids = stretch.event_ids.into();
        }
        let step: Vec<i64> = missed.event_ids.iter().take(TEXTS).copied().collect();
        let texts = log::texts(&hub.store, &step, Some(&self.place.user_id)).await?;
        if texts.len() < step.len() {
            let reached = missed.after;
            self.finish(End::Resync(Reason::TooOld, reached));
            return Ok(());
        }
        // Taken once they are read: a caller may stop to wait in between.
        missed.event_ids.drain(..step.len());
        self.ready.extend(texts.into_iter().map(|event| event.text));
        if missed.event_ids.is_empty() && missed.is_last {
            let (after, queue) = (missed.after, missed.queue.take());
            self.joined_or_live(after, queue)?;
        }
        Ok(())
    }

    /// Everything up to `after` is read. Goes live, or reads the gap first.
    fn joined_or_live(&mut self, after: i64, queue: Option<Arc<Queue>>) -> Result<()> {
        let queue = match queue {
            Some(queue) => queue,
            None => self.join(after)?,
        };
        self.stage = if queue.joined > after {
            Stage::CatchingUp(Missed { after, queue: Some(queue), ..Missed::default() })
        } else {
            Stage::Live(queue)
        };
        Ok(())
    }

    /// Joins the tail with a queue for events after `have`, or after the tail.
    fn join(&self, have: i64) -> Result<Arc<Queue>> {
        let (user_id, most) = (self.place.user_id.clone(), self.place.hub.limits.queue);
        let opening = (self.opening.proof.clone(), self.opening.wants);
        let queue = |tail: i64| Queue::new(user_id, opening, have.max(tail), most);
        self.place.hub.join(queue, have, self.complete_from)
    }

    fn finish(&mut self, end: End) {
        self.leave();
        self.end = Some(end);
        self.ready.push_back(end.text());
    }

    fn leave(&mut self) {
        let queue = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Live(queue) => Some(queue),
            Stage::CatchingUp(missed) => missed.queue,
            Stage::Over => None,
        };
        if let Some(queue) = queue {
            self.place.hub.leave(&queue);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Why a client cannot resume after the event `after`, if so.
fn refused(after: i64, head: &Head) -> Option<Reason> {
    if after > head.last_event_id {
        Some(Reason::UnknownEvent)
    } else if after < head.complete_from {
        Some(Reason::Incomplete)
    } else if after < head.last_event_id && is_pruned(after, head.oldest) {
        Some(Reason::TooOld)
    } else if head.last_event_id - after > MISSED_MAX {
        Some(Reason::TooFar)
    } else {
        None
    }
}

/// Why a part of the log after the event `after` is incomplete, if so.
fn broken(after: i64, complete_from: i64, stretch: &Stretch) -> Option<Reason> {
    if stretch.complete_from != complete_from {
        Some(Reason::Incomplete)
    } else if stretch.reached > after && is_pruned(after, stretch.oldest) {
        Some(Reason::TooOld)
    } else {
        None
    }
}

/// Whether events right after the event `after` were deleted.
fn is_pruned(after: i64, oldest: Option<i64>) -> bool {
    oldest.is_none_or(|oldest| oldest > after + 1)
}

fn greeting() -> Bytes {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    // Steps of the golden ratio spread any number of clients evenly.
    let step = RETRY_SPREAD_MS * 618 / 1_000;
    let spread = OPENED.fetch_add(1, Ordering::Relaxed).wrapping_mul(step) % RETRY_SPREAD_MS;
    format!(": events of im-push-gateway\nretry: {}\n\n", RETRY_MS + spread).into()
}

fn hello(event_id: i64) -> Bytes {
    format!("id: {event_id}\nevent: hello\ndata: {{}}\n\n").into()
}

/// A comment that keeps the connection open, and an id without an event. A client that got no events for long
/// resumes from this id.
fn heartbeat(event_id: i64) -> Bytes {
    format!(":\nid: {event_id}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(oldest: Option<i64>) -> Head {
        Head { last_event_id: 200_000, complete_from: 50, oldest, due: false }
    }

    #[test]
    fn who_cannot_resume_is_told_why() {
        for (after, oldest, reason) in [
            (200_000, Some(1), None),
            (200_000, None, None),
            (199_999, Some(200_000), None),
            (199_998, Some(200_000), Some(Reason::TooOld)),
            (199_999, None, Some(Reason::TooOld)),
            (100_000, Some(1), None),
            (99_999, Some(1), Some(Reason::TooFar)),
            (49, Some(1), Some(Reason::Incomplete)),
            (200_001, Some(1), Some(Reason::UnknownEvent)),
        ] {
            assert_eq!(refused(after, &head(oldest)), reason, "{after} {oldest:?}");
        }
    }

    #[test]
    fn a_log_that_changes_while_it_is_read_is_noticed() {
        let stretch = |complete_from, oldest, reached| Stretch {
            last_event_id: 100,
            complete_from,
            oldest,
            reached,
            is_last: true,
            event_ids: Vec::new(),
        };
        assert_eq!(broken(60, 50, &stretch(50, Some(61), 100)), None);
        assert_eq!(broken(60, 50, &stretch(50, Some(62), 100)), Some(Reason::TooOld));
        assert_eq!(broken(100, 50, &stretch(50, None, 100)), None);
        assert_eq!(broken(60, 50, &stretch(99, Some(1), 100)), Some(Reason::Incomplete));
    }
}
