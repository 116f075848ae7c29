//! What is told live and is no event of the log: presence and statuses of partners, which members are typing, and the signals
//! of calls.
//!
//! Transactions signal by NOTIFY which users have changed. A signal is only a hint. A replica reads the state of the users
//! that its listeners watch, compares it with what it has told, and tells the difference. So a lost signal only delays
//! it until the next check of all. A user who changes often is told once in a window.

mod relay;
mod signals;
mod state;
mod typing;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::log::Event;
use super::queue::{End, Reason};
use super::roster::Roster;
use super::{Hub, Listener};
use crate::base::config::StreamSettings;
use crate::base::error::Result;
use crate::base::worker::Tick;
use state::{State, Told};
pub use typing::Typed;
use typing::Typing;
use watch::Watch;

/// Listeners whose partners are read in one statement, and users whose state is.
const LISTENERS: usize = 50;
const USERS: usize = 1_000;
/// How often the state of all watched users is read, in case that a signal was lost.
const RECHECK: Duration = Duration::from_secs(30);

/// The live part of a hub.
pub(super) struct Live {
    partners_max: usize,
    window: Duration,
    typing_members_max: i32,
    wake: Arc<Notify>,
    /// Signalled when a listener wants something of it.
    wanted: Notify,
    watch: Mutex<Watch>,
    typing: Mutex<Vec<Typing>>,
}

impl Live {
    pub fn new(settings: &StreamSettings) -> Self {
        Self {
            partners_max: settings.presence_partners,
            window: settings.presence_window,
            typing_members_max: i32::try_from(settings.typing_members_max).unwrap_or(i32::MAX),
            wake: Arc::default(),
            wanted: Notify::new(),
            watch: Mutex::default(),
            typing: Mutex::default(),
        }
    }

    /// A listener wants what is told live.
    pub fn wake(&self) {
        self.wanted.notify_one();
        self.wake.notify_one();
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// The worker of [`Self::tell_live`] is woken when there is something to tell.
    pub fn live_wake(&self) -> Arc<Notify> {
        self.live.wake.clone()
    }

    /// Tells what is live: who is typing, who is online now, what users say of themselves.
    pub async fn tell_live(&self) -> Result<Tick> {
        self.tell_typing().await?;
        let more = self.follow_partners().await?;
        self.tell_changes().await?;
        Ok(if more { Tick::More } else { Tick::Idle })
    }

    /// Has the partners of listeners read again whose channels have changed.
    pub(super) fn note_partners(&self, heard: &[(&Event, Vec<usize>)], roster: &Roster) {
        let mut crowd = self.crowd();
        let mut is_due = false;
        for (_, listeners) in heard.iter().filter(|(event, _)| event.is_of_members) {
            for number in listeners {
                if let Some(person) = crowd.people.get_mut(&roster.names[*number])
                    && person.hears_presence()
                {
                    person.partners_due = true;
                    is_due = true;
                }
            }
        }
        drop(crowd);
        if is_due {
            self.live.wake.notify_one();
        }
    }

    /// Reads the partners of listeners who are new or whose channels have changed. Returns whether others wait.
    async fn follow_partners(&self) -> Result<bool> {
        let due: Vec<Arc<str>> = {
            let crowd = self.crowd();
            let mut watch = self.live.watch();
            watch.keep(|name| crowd.people.get(name).is_some_and(Listener::hears_presence));
            let listening = crowd.people.iter().filter(|(_, person)| person.hears_presence());
            let due = listening.filter(|(_, person)| person.partners_due || person.greet);
            due.map(|(name, _)| name.clone()).take(LISTENERS).collect()
        };
        if due.is_empty() || self.live.partners_max == 0 {
            return Ok(false);
        }
        let greeted = self.settle_due(&due);
        let gained = match self.read_partners(&due).await {
            Ok(gained) => gained,
            Err(error) => {
                self.set_due(&due, &greeted);
                return Err(error);
            }
        };
        let told: Vec<(Arc<str>, Told)> = {
            let watch = self.live.watch();
            let listeners = due.iter().zip(greeted).zip(&gained);
            let told = listeners.map(|((name, greet), gained)| {
                let told = if greet { watch.greeting(name) } else { watch.present(gained) };
                (name.clone(), told)
            });
            told.collect()
        };
        self.tell(&told);
        Ok(due.len() == LISTENERS)
    }

    /// Marks the partners of these listeners as read. Returns which of them are to be greeted.
    fn settle_due(&self, due: &[Arc<str>]) -> Vec<bool> {
        let mut crowd = self.crowd();
        let mut settle = |name: &Arc<str>| match crowd.people.get_mut(name) {
            Some(person) => {
                person.partners_due = false;
                std::mem::take(&mut person.greet)
            }
            None => false,
        };
        due.iter().map(&mut settle).collect()
    }

    /// Has the partners of these listeners read again, after an error.
    fn set_due(&self, due: &[Arc<str>], greeted: &[bool]) {
        let mut crowd = self.crowd();
        for (name, greet) in due.iter().zip(greeted) {
            if let Some(person) = crowd.people.get_mut(name) {
                (person.partners_due, person.greet) = (true, person.greet || *greet);
            }
        }
    }

    /// Reads the partners of listeners. Returns those who are new to each.
    async fn read_partners(&self, due: &[Arc<str>]) -> Result<Vec<Vec<Arc<str>>>> {
        let mut partners = state::partners(&self.store, due, self.live.partners_max).await?;
        let (gained, unseen) = {
            let mut watch = self.live.watch();
            let mut follow =
                |name: &Arc<str>| watch.follow(name, partners.remove(&**name).unwrap_or_default());
            let gained: Vec<Vec<Arc<str>>> = due.iter().map(&mut follow).collect();
            (gained, watch.unseen())
        };
        for step in unseen.chunks(USERS) {
            let states = state::read(&self.store, step).await?;
            self.live.watch().see(step, states);
        }
        Ok(gained)
    }

    /// Tells the changes of watched users, each user at most once in a window.
    async fn tell_changes(&self) -> Result<()> {
        let due = self.live.watch().due(self.live.window, RECHECK);
        for step in due.chunks(USERS) {
            match state::read(&self.store, step).await {
                Ok(states) => {
                    let told = self.live.watch().change(step, states);
                    self.tell(&told);
                }
                Err(error) => {
                    self.live.watch().hint(due.iter().cloned());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Puts what is told into the queues of listeners. A queue without room ends: its client reads too slowly.
    fn tell(&self, told: &[(Arc<str>, Told)]) {
        let mut full = Vec::new();
        {
            let crowd = self.crowd();
            for (name, told) in told {
                let Some(person) = crowd.people.get(name) else { continue };
                let texts = told.texts();
                for queue in person.queues.iter().filter(|queue| queue.wants.presence) {
                    if !texts.iter().all(|text| queue.put_live(text)) {
                        full.push(queue.clone());
                    }
                }
            }
        }
        let reached = self.delivered.load(std::sync::atomic::Ordering::Acquire);
        for queue in full {
            self.end(&queue, End::Resync(Reason::TooSlow, reached.max(queue.joined)));
        }
    }

    /// Whether a listener wants what is told live.
    fn is_live_wanted(&self) -> bool {
        let crowd = self.crowd();
        crowd.people.values().any(|person| person.queues.iter().any(|queue| queue.wants.any()))
    }
}

impl Listener {
    fn hears_presence(&self) -> bool {
        self.queues.iter().any(|queue| queue.wants.presence)
    }
}

/// The states of users, by id.
type States = HashMap<String, State>;

/// The time that is left until then.
fn left(since: Instant, window: Duration) -> Option<Duration> {
    window.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}
