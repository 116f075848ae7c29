//! Event streams: each listener gets the events of their channels, from the event log.
//!
//! A replica has one hub. Its tail reads the log only while there are listeners. Once for each page it asks
//! which listener gets which event. It serializes each event once and puts it into bounded queues.

mod keep;
mod listen;
mod live;
mod log;
mod queue;
mod roster;
mod unread;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore};

use crate::base::config::StreamSettings;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::Store;
use crate::base::worker::{Tick, Work};
use crate::identity::Caller;

use listen::Opening;
pub use listen::Stream;
use live::Live;
pub use live::Typed;
use log::Event;
use queue::Queue;
pub use queue::{End, Reason, Wants};
use roster::Roster;
use unread::Unread;

/// Most events that the tail reads at once.
const PAGE: i64 = 200;
/// Most serialized events in memory at once.
const TEXTS: usize = 50;
/// Streams that read missed events at the same time. Others wait.
const CATCHING_UP: usize = 4;
/// A lookup of one user costs about as much as reading this many members in order.
const LOOK_UP_COST: usize = 4;

/// Limits of a replica's streams. See the settings of the same names.
#[derive(Debug, Clone, Copy)]
struct Limits {
    streams: usize,
    per_user: usize,
    queue: usize,
    heartbeat: Duration,
    life: Duration,
    keep: Duration,
    unread: Duration,
}

/// The streams of a replica.
pub struct Hub {
    store: Store,
    limits: Limits,
    wake: Arc<Notify>,
    crowd: Mutex<Listeners>,
    /// Every event up to this one is in its queues.
    delivered: AtomicI64,
    catching_up: Semaphore,
    /// Wakes the worker that tells new streams their total of unread messages.
    greet: Arc<Notify>,
    /// When totals that changed were last told.
    totals_told: Mutex<Instant>,
    /// What is told beside the log.
    live: Live,
}

/// The listeners, and the position of the tail.
#[derive(Default)]
struct Listeners {
    streams: usize,
    people: HashMap<Arc<str>, Listener>,
    /// Built again after a listener came or went.
    roster: Option<Arc<Roster>>,
    tail: Option<Tail>,
    /// When the listeners were last checked.
    seen: Option<Instant>,
    closed: bool,
}

#[derive(Default)]
struct Listener {
    streams: usize,
    queues: Vec<Arc<Queue>>,
    unread: Unread,
    /// Whether the partners whose presence the user hears of are to be read (again).
    partners_due: bool,
    /// Whether a new stream wants to know who is online.
    greet: bool,
}

/// The position of the tail. A stream that joins gets the events after it. The stream reads earlier events
/// itself.
#[derive(Debug, Clone, Copy)]
struct Tail {
    event_id: i64,
    /// The event from which the log was complete. If it moves, events were not written.
    complete_from: i64,
}

/// The permit of one stream. Dropping it frees the permit.
struct StreamPermit {
    hub: Arc<Hub>,
    user_id: Arc<str>,
}

impl Hub {
    /// `wake` is notified after writes to the log on this replica. Polling finds the rest.
    pub fn new(store: Store, settings: &StreamSettings, wake: Arc<Notify>) -> Self {
        let limits = Limits {
            streams: settings.max,
            per_user: settings.per_user,
            queue: settings.queue,
            heartbeat: settings.heartbeat,
            life: settings.life,
            keep: settings.keep,
            unread: settings.unread,
        };
        let crowd = Mutex::default();
        let (delivered, catching_up) = (AtomicI64::new(0), Semaphore::new(CATCHING_UP));
        let (greet, totals_told) = (Arc::default(), Mutex::new(Instant::now()));
        let live = Live::new(settings);
        Self { store, limits, wake, crowd, delivered, catching_up, greet, totals_told, live }
    }

    /// Opens a stream for `caller`, from now on or after the event `after`, with what it wants beside events.
    ///
    /// # Errors
    /// `Kind::TooManyStreams` if the user has too many streams. `Kind::Unavailable` if the replica has too
    /// many, if the service stops, or if the log cannot be completed.
    pub async fn open(
        self: &Arc<Self>,
        caller: &Caller,
        (after, wants): (Option<i64>, Wants),
        now: OffsetDateTime,
    ) -> Result<Stream> {
        let place = self.take_place(&caller.user_id)?;
        let ends_in = match caller.until {
            Some(until) => self.limits.life.min((until - now).try_into().unwrap_or_default()),
            None => self.limits.life,
        };
        let head = keep::whole(&self.store, self.limits.keep).await?;
        let proof = caller.token_hash.clone().or_else(|| caller.session_id.clone());
        let ends = Instant::now() + ends_in;
        Stream::begin(place, Opening { proof, wants, ends }, after, head)
    }

    /// The newest event. A stream that begins after it misses nothing that is committed from now on.
    ///
    /// # Errors
    /// `Kind::Unavailable` if the log cannot be completed.
    pub async fn position(&self) -> Result<i64> {
        Ok(keep::whole(&self.store, self.limits.keep).await?.last_event_id)
    }

    /// Ends all streams. New ones are refused.
    pub fn close(&self) {
        let roster = {
            let mut crowd = self.crowd();
            crowd.closed = true;
            crowd.roster()
        };
        self.end_each(&roster, End::Stopping);
    }

    /// A listener that joins from now on reads events up to `reached` from the log. All others get them from
    /// the tail.
    fn claim(&self, reached: i64) -> Arc<Roster> {
        let mut crowd = self.crowd();
        if let Some(tail) = &mut crowd.tail {
            tail.event_id = reached;
        }
        crowd.roster()
    }

    /// The log is incomplete. All listeners must reload and reconnect.
    fn begin_anew(&self, last_event_id: i64) {
        let roster = {
            let mut crowd = self.crowd();
            crowd.tail = None;
            crowd.roster()
        };
        self.end_each(&roster, End::Resync(Reason::Incomplete, last_event_id));
    }

    /// Puts the events of a page into the queues of their listeners. Returns false if some events were
    /// deleted.
    async fn deliver_events(&self, events: &[Event], roster: &Roster, reached: i64) -> Result<bool> {
        let channels: Vec<ChannelId> = events.iter().filter_map(|event| event.channel_id).collect();
        let most_read = roster.queues.len().saturating_mul(LOOK_UP_COST);
        let spans = log::members(&self.store, &channels, &roster.json, most_read).await?;
        let heard = events.iter().map(|event| (event, roster.listeners(event, &spans)));
        let heard: Vec<(&Event, Vec<usize>)> = heard.filter(|(_, listeners)| !listeners.is_empty()).collect();
        self.note_counts(&heard, roster);
        self.note_partners(&heard, roster);
        for step in heard.chunks(TEXTS) {
            let ids: Vec<i64> = step.iter().map(|(event, _)| event.event_id).collect();
            let texts = log::texts(&self.store, &ids, None).await?;
            if texts.len() < ids.len() {
                return Ok(false);
            }
            for (text, (event, listeners)) in texts.iter().zip(step) {
                let of_channel = event.channel_id.and_then(|channel_id| spans.get(&channel_id));
                let of_channel = of_channel.map_or(&[][..], Vec::as_slice);
                let seeing = text.seeing(of_channel);
                for number in listeners {
                    let shown = text.shown(*number, &seeing);
                    for queue in &roster.queues[*number] {
                        if !queue.push(event.event_id, shown) {
                            self.end(queue, End::Resync(Reason::TooSlow, reached));
                        }
                    }
                }
            }
            metrics::counter!("impg_stream_events_total").increment(step.len() as u64);
        }
        Ok(true)
    }

    /// Ends the streams of users who have left, of revoked tokens and of sessions that have ended.
    async fn see_who_is_gone(&self) -> Result<()> {
        let roster = {
            let mut crowd = self.crowd();
            if crowd.seen.is_some_and(|seen| seen.elapsed() < self.limits.heartbeat) {
                return Ok(());
            }
            crowd.seen = Some(Instant::now());
            crowd.roster()
        };
        let queues: Vec<&Arc<Queue>> = roster.queues.iter().flatten().collect();
        for number in log::gone(&self.store, &queues).await? {
            self.end(queues[number], End::Gone);
        }
        Ok(())
    }

    /// The position of the tail, if there are listeners.
    fn tail(&self) -> Option<Tail> {
        let mut crowd = self.crowd();
        if crowd.people.values().all(|person| person.queues.is_empty()) {
            crowd.tail = None;
            crowd.seen = None;
        }
        crowd.tail
    }

    /// Adds a queue to the tail. The log is complete from `complete_from` on, up to `newest`. A resting tail
    /// starts at `newest`. Returns the queue, with the event after which it continues.
    fn join(&self, queue: impl FnOnce(i64) -> Queue, newest: i64, complete_from: i64) -> Result<Arc<Queue>> {
        let known = self.crowd().tail.map_or(complete_from, |tail| tail.complete_from);
        if known < complete_from {
            // The tail has not noticed yet that the log was restarted.
            self.begin_anew(newest);
        }
        let mut crowd = self.crowd();
        if crowd.closed {
            return Err(stopping());
        }
        let tail = match crowd.tail {
            Some(tail) => tail,
            None => {
                self.delivered.store(newest, Ordering::Release);
                self.wake.notify_one();
                *crowd.tail.insert(Tail { event_id: newest, complete_from })
            }
        };
        if tail.complete_from != complete_from {
            return Err(Error::unavailable("the event log has restarted; connect again"));
        }
        let queue = Arc::new(queue(tail.event_id));
        let person = crowd.people.entry(queue.user_id.clone()).or_default();
        if person.queues.is_empty() {
            // Nothing was noted while no stream was in the tail.
            person.unread = Unread::default();
        }
        person.unread.tell_again();
        if queue.wants.presence {
            (person.partners_due, person.greet) = (true, true);
        }
        person.queues.push(queue.clone());
        crowd.roster = None;
        self.greet.notify_one();
        if queue.wants.any() {
            self.live.wake();
        }
        Ok(queue)
    }

    /// Removes a queue from the tail.
    fn leave(&self, queue: &Arc<Queue>) {
        let mut crowd = self.crowd();
        crowd.roster = None;
        if let Some(person) = crowd.people.get_mut(&queue.user_id) {
            person.queues.retain(|other| !Arc::ptr_eq(other, queue));
        }
    }

    fn end(&self, queue: &Arc<Queue>, end: End) {
        queue.end(end);
        self.leave(queue);
    }

    fn end_each(&self, roster: &Roster, end: End) {
        for queue in roster.queues.iter().flatten() {
            self.end(queue, end);
        }
    }

    fn take_place(self: &Arc<Self>, user_id: &str) -> Result<StreamPermit> {
        let mut crowd = self.crowd();
        if crowd.closed {
            return Err(stopping());
        }
        if crowd.streams >= self.limits.streams {
            return Err(Error::unavailable("this replica has reached streams_max; connect again later"));
        }
        let user_id: Arc<str> = user_id.into();
        let person = crowd.people.entry(user_id.clone()).or_default();
        if person.streams >= self.limits.per_user {
            let detail = format!("a user can have at most {} streams on a replica", self.limits.per_user);
            return Err(Error::new(Kind::TooManyStreams, detail));
        }
        person.streams += 1;
        crowd.streams += 1;
        metrics::gauge!("impg_streams").set(crowd.streams as f64);
        Ok(StreamPermit { hub: self.clone(), user_id })
    }

    fn crowd(&self) -> MutexGuard<'_, Listeners> {
        self.crowd.lock().expect("no panic while held")
    }
}

impl Work for Hub {
    /// Delivers one page of the log to the listeners. Rests while there are none.
    async fn tick(&self) -> Result<Tick> {
        let Some(tail) = self.tail() else {
            return Ok(Tick::Idle);
        };
        self.see_who_is_gone().await?;
        let head = log::head(&self.store, self.limits.keep).await?;
        if head.due {
            keep::extend(&self.store, self.limits.keep).await?;
        }
        if head.complete_from != tail.complete_from {
            // The log was not extended in time, and some events were not written.
            self.begin_anew(head.last_event_id);
            return Ok(Tick::Idle);
        }
        if head.last_event_id <= tail.event_id {
            return Ok(Tick::Idle);
        }
        let events = log::page(&self.store, (tail.event_id, head.last_event_id), PAGE).await?;
        let full = events.len() as i64 >= PAGE;
        let reached = events.last().filter(|_| full).map_or(head.last_event_id, |last| last.event_id);
        let roster = self.claim(reached);
        match self.deliver_events(&events, &roster, reached).await {
            Ok(true) => {}
            Ok(false) => self.begin_anew(reached),
            Err(error) => {
                // Events already in a queue must not be delivered twice.
                self.claim(tail.event_id);
                return Err(error);
            }
        }
        self.delivered.store(reached, Ordering::Release);
        Ok(if full { Tick::More } else { Tick::Idle })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut crowd = self.hub.crowd();
        crowd.streams -= 1;
        metrics::gauge!("impg_streams").set(crowd.streams as f64);
        if let Some(person) = crowd.people.get_mut(&self.user_id) {
            person.streams -= 1;
            if person.streams == 0 {
                crowd.people.remove(&self.user_id);
            }
        }
    }
}

impl Listeners {
    fn roster(&mut self) -> Arc<Roster> {
        let people = &self.people;
        self.roster.get_or_insert_with(|| Arc::new(Roster::of(people))).clone()
    }
}

fn stopping() -> Error {
    Error::unavailable("the service is stopping")
}
