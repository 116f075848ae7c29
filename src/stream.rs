//! Live: whoever listens is told what happens in their channels, out of the log of events.
//!
//! A replica has one hub. Its tail reads the log only while somebody listens, asks once a page who of
//! those who listen gets what, writes each event out once, and puts it into bounded queues.

mod keep;
mod listen;
mod log;
mod queue;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore};

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::identity::Caller;
use crate::schedule::Tick;
use crate::store::Store;

pub use listen::Stream;
use log::{Event, Span};
use queue::{End, Queue, Reason};

/// Events of the log that the tail reads at once.
const PAGE: i64 = 200;
/// Events written out at once: what is held of them in memory.
const TEXTS: usize = 50;
/// Streams that read at once what they have missed; the others wait for their turn.
const CATCHING_UP: usize = 4;
/// Looking somebody up costs about as much as reading this many members beside each other.
const LOOK_UP_COST: usize = 4;

/// What bounds a replica's streams; see the settings of the same names.
#[derive(Debug, Clone, Copy)]
struct Limits {
    streams: usize,
    per_user: usize,
    queue: usize,
    heartbeat: Duration,
    life: Duration,
    keep: Duration,
}

/// The streams of a replica.
pub struct Hub {
    store: Store,
    limits: Limits,
    wake: Arc<Notify>,
    crowd: Mutex<Crowd>,
    /// Every event up to this one is in the queues it belongs to.
    delivered: AtomicI64,
    catching_up: Semaphore,
}

/// Who listens, and where the tail is.
#[derive(Default)]
struct Crowd {
    streams: usize,
    people: HashMap<Arc<str>, Person>,
    /// Made again when somebody has come or gone.
    roster: Option<Arc<Roster>>,
    tail: Option<Tail>,
    /// When those who listen were last looked at.
    seen: Option<Instant>,
    closed: bool,
}

#[derive(Default)]
struct Person {
    streams: usize,
    queues: Vec<Arc<Queue>>,
}

/// Where the tail is. A stream that joins gets what comes after it; what lies before, it reads itself.
#[derive(Debug, Clone, Copy)]
struct Tail {
    event_id: i64,
    /// From where on the log was whole when this began. If it moves, something was not written.
    complete_from: i64,
}

/// Those who listen, numbered.
struct Roster {
    queues: Vec<Vec<Arc<Queue>>>,
    numbers: HashMap<Arc<str>, usize>,
    /// The numbers again, as the database takes them.
    json: Box<RawValue>,
}

/// A place among the streams, given back when dropped.
struct Place {
    hub: Arc<Hub>,
    user_id: Arc<str>,
}

impl Hub {
    /// `wake` is notified by whoever writes to the log on this replica; the settings' poll finds the rest.
    pub fn new(store: Store, config: &Config, wake: Arc<Notify>) -> Self {
        let limits = Limits {
            streams: config.streams_max,
            per_user: config.streams_per_user,
            queue: config.stream_queue,
            heartbeat: config.stream_heartbeat,
            life: config.stream_life,
            keep: config.stream_keep,
        };
        let crowd = Mutex::default();
        let (delivered, catching_up) = (AtomicI64::new(0), Semaphore::new(CATCHING_UP));
        Self { store, limits, wake, crowd, delivered, catching_up }
    }

    /// A stream for `caller` of what happens from now on, or after the event `after`, the last one they have.
    ///
    /// # Errors
    /// `Kind::TooManyStreams` for one person's, `Kind::Unavailable` for the replica's limit, while the
    /// service stops, and while the log cannot be made whole.
    pub async fn open(
        self: &Arc<Self>,
        caller: &Caller,
        after: Option<i64>,
        now: OffsetDateTime,
    ) -> Result<Stream> {
        let place = self.take_place(&caller.user_id)?;
        let ends_in = match caller.until {
            Some(until) => self.limits.life.min((until - now).try_into().unwrap_or_default()),
            None => self.limits.life,
        };
        let head = keep::whole(&self.store, self.limits.keep).await?;
        Stream::begin(place, caller.token_hash.clone(), after, (head, Instant::now() + ends_in))
    }

    /// Ends all streams; who comes later is told to come again.
    pub fn close(&self) {
        let roster = {
            let mut crowd = self.crowd();
            crowd.closed = true;
            crowd.roster()
        };
        self.end_each(&roster, End::Stopping);
    }

    /// Tells those who listen what one page of the log holds for them. Rests while nobody listens.
    pub async fn tick(&self) -> Result<Tick> {
        let Some(tail) = self.tail() else {
            return Ok(Tick::Idle);
        };
        self.see_who_is_gone().await?;
        let head = log::head(&self.store, self.limits.keep).await?;
        if head.due {
            keep::put_off(&self.store, self.limits.keep).await?;
        }
        if head.complete_from != tail.complete_from {
            // Nobody was looked for in time: some events were not written.
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
        match self.told(&events, &roster, reached).await {
            Ok(true) => {}
            Ok(false) => self.begin_anew(reached),
            Err(error) => {
                // What is already in a queue is not taken twice.
                self.claim(tail.event_id);
                return Err(error);
            }
        }
        self.delivered.store(reached, Ordering::Release);
        Ok(if full { Tick::More } else { Tick::Idle })
    }

    /// Who joins from now on reads everything up to `reached` from the log; all others are told.
    fn claim(&self, reached: i64) -> Arc<Roster> {
        let mut crowd = self.crowd();
        if let Some(tail) = &mut crowd.tail {
            tail.event_id = reached;
        }
        crowd.roster()
    }

    /// The log does not hold all that was to be told: whoever listens loads anew, and comes again.
    fn begin_anew(&self, last_event_id: i64) {
        let roster = {
            let mut crowd = self.crowd();
            crowd.tail = None;
            crowd.roster()
        };
        self.end_each(&roster, End::Resync(Reason::Incomplete, last_event_id));
    }

    /// Puts a page's events into the queues of whoever gets them. False: some are not there any more.
    async fn told(&self, events: &[Event], roster: &Roster, reached: i64) -> Result<bool> {
        let channels: Vec<i64> = events.iter().filter_map(|event| event.channel_id).collect();
        let most_read = roster.queues.len().saturating_mul(LOOK_UP_COST);
        let spans = log::members(&self.store, &channels, &roster.json, most_read).await?;
        let told: Vec<(i64, Vec<usize>)> = events
            .iter()
            .map(|event| (event.event_id, roster.listeners(event, &spans)))
            .filter(|(_, listeners)| !listeners.is_empty())
            .collect();
        for step in told.chunks(TEXTS) {
            let ids: Vec<i64> = step.iter().map(|(event_id, _)| *event_id).collect();
            let texts = log::texts(&self.store, &ids).await?;
            if texts.len() < ids.len() {
                return Ok(false);
            }
            for (text, (event_id, listeners)) in texts.iter().zip(step) {
                for queue in listeners.iter().flat_map(|number| &roster.queues[*number]) {
                    if !queue.push(*event_id, text) {
                        self.end(queue, End::Resync(Reason::TooSlow, reached));
                    }
                }
            }
            metrics::counter!("impg_stream_events_total").increment(step.len() as u64);
        }
        Ok(true)
    }

    /// Ends the streams of people who have left, and those opened with a token that is revoked.
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

    /// Where the tail is, if anybody listens.
    fn tail(&self) -> Option<Tail> {
        let mut crowd = self.crowd();
        if crowd.people.values().all(|person| person.queues.is_empty()) {
            crowd.tail = None;
            crowd.seen = None;
        }
        crowd.tail
    }

    /// Puts a queue behind the tail. `newest` is a place at which the log was found whole from
    /// `complete_from` on; the tail begins there if it rests. Returns after which event the queue goes on.
    fn join(&self, queue: impl FnOnce(i64) -> Queue, newest: i64, complete_from: i64) -> Result<Arc<Queue>> {
        let known = self.crowd().tail.map_or(complete_from, |tail| tail.complete_from);
        if known < complete_from {
            // The tail has not seen yet that the log is another since it began.
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
            return Err(Error::unavailable("the log of events begins anew"));
        }
        let queue = Arc::new(queue(tail.event_id));
        let person = crowd.people.entry(queue.user_id.clone()).or_default();
        person.queues.push(queue.clone());
        crowd.roster = None;
        Ok(queue)
    }

    /// Takes a queue from behind the tail.
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

    fn take_place(self: &Arc<Self>, user_id: &str) -> Result<Place> {
        let mut crowd = self.crowd();
        if crowd.closed {
            return Err(stopping());
        }
        if crowd.streams >= self.limits.streams {
            return Err(Error::unavailable("this replica has as many streams as it takes"));
        }
        let user_id: Arc<str> = user_id.into();
        let person = crowd.people.entry(user_id.clone()).or_default();
        if person.streams >= self.limits.per_user {
            let detail = format!("one person has at most {} streams on a replica", self.limits.per_user);
            return Err(Error::new(Kind::TooManyStreams, detail));
        }
        person.streams += 1;
        crowd.streams += 1;
        metrics::gauge!("impg_streams").set(crowd.streams as f64);
        Ok(Place { hub: self.clone(), user_id })
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().expect("no panic while held")
    }
}

impl Drop for Place {
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

impl Crowd {
    fn roster(&mut self) -> Arc<Roster> {
        let people = &self.people;
        self.roster.get_or_insert_with(|| Arc::new(Roster::of(people))).clone()
    }
}

impl Roster {
    fn of(people: &HashMap<Arc<str>, Person>) -> Self {
        let listening = people.iter().filter(|(_, person)| !person.queues.is_empty());
        let (names, queues): (Vec<_>, Vec<_>) =
            listening.map(|(user_id, person)| (user_id.clone(), person.queues.clone())).unzip();
        let numbers: HashMap<Arc<str>, usize> =
            names.into_iter().enumerate().map(|(number, user_id)| (user_id, number)).collect();
        let by_name: HashMap<&str, usize> =
            numbers.iter().map(|(user_id, number)| (&**user_id, *number)).collect();
        let json = serde_json::value::to_raw_value(&by_name).expect("names and numbers are JSON");
        Self { queues, numbers, json }
    }

    /// Who gets an event: its audience, and whoever was a member at its place in the channel, or is one
    /// now if it has none.
    fn listeners(&self, event: &Event, spans: &HashMap<i64, Vec<Span>>) -> Vec<usize> {
        let audience = event.audience.iter().filter_map(|user_id| self.numbers.get(user_id.as_str()));
        let spans = event.channel_id.and_then(|channel_id| spans.get(&channel_id));
        let members = spans.into_iter().flatten().filter(|span| span.holds(event)).map(|span| &span.number);
        let mut listeners: Vec<usize> = audience.chain(members).copied().collect();
        listeners.sort_unstable();
        listeners.dedup();
        listeners
    }
}

fn stopping() -> Error {
    Error::unavailable("the service stops")
}
