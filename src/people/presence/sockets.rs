//! Presence by the open sockets of a replica, for a service without a gateway. The replica reports its users as an
//! instance of a gateway does. So a replica that dies counts as gone after `presence_expire_ms`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Presence, Report, Snapshot};
use crate::base::config::PeopleSettings;
use crate::base::error::Result;
use crate::base::store::Store;
use crate::base::worker::{Tick, Work};

/// Most users of one report.
const REPORT: usize = 10_000;
/// Reports within the time after which an instance counts as gone.
const REPORTS: u32 = 4;

/// The users with open sockets on this replica.
pub struct Sockets {
    presence: Presence,
    /// The name of the replica as an instance. No gateway has it: it is new at each start.
    instance: String,
    every: Duration,
    people: Mutex<People>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct People {
    /// The number of open sockets of each user.
    open: HashMap<Arc<str>, usize>,
    /// Users whose sockets came or went since the last report.
    changed: HashSet<Arc<str>>,
    /// Whether the database may not know all users of the replica.
    is_unknown: bool,
    reported: Option<Instant>,
}

/// An open socket of a user. Dropping it says that it is closed.
pub struct OpenSocket {
    sockets: Arc<Sockets>,
    user_id: Arc<str>,
}

impl Sockets {
    pub fn new(store: Store, settings: &PeopleSettings) -> Self {
        Self {
            presence: Presence::new(store, settings),
            instance: format!("sockets.{}", Uuid::now_v7()),
            every: settings.presence_expire / REPORTS,
            people: Mutex::new(People { is_unknown: true, ..People::default() }),
            wake: Arc::default(),
        }
    }

    /// The worker is woken when a user comes.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// A user has opened a socket.
    pub fn open(self: &Arc<Self>, user_id: &str) -> OpenSocket {
        let user_id: Arc<str> = user_id.into();
        let mut people = self.people();
        *people.open.entry(user_id.clone()).or_default() += 1;
        people.changed.insert(user_id.clone());
        drop(people);
        self.wake.notify_one();
        OpenSocket { sockets: self.clone(), user_id }
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reports to send now. What they tell counts as told.
    fn reports(&self) -> Vec<Report> {
        let mut people = self.people();
        let is_due = people.reported.is_none_or(|reported| reported.elapsed() >= self.every);
        // A replica without sockets need not be known.
        if people.changed.is_empty() && (people.open.is_empty() || !is_due) {
            return Vec::new();
        }
        people.reported = Some(Instant::now());
        let changed = std::mem::take(&mut people.changed);
        if std::mem::take(&mut people.is_unknown) {
            return self.snapshot(people.open.keys().map(|name| name.to_string()).collect());
        }
        let told = changed.iter().map(|name| (name.to_string(), people.open.contains_key(name))).collect();
        vec![Report { gateway: self.instance.clone(), people: told, snapshot: None }]
    }

    /// All users of the replica, in parts.
    fn snapshot(&self, mut names: Vec<String>) -> Vec<Report> {
        names.sort_unstable();
        let id = Some(Uuid::now_v7().to_string());
        let mut parts: Vec<BTreeMap<String, bool>> =
            names.chunks(REPORT).map(|part| part.iter().map(|name| (name.clone(), true)).collect()).collect();
        if parts.is_empty() {
            parts.push(BTreeMap::new());
        }
        let last = parts.len() - 1;
        let report = |(place, people): (usize, BTreeMap<String, bool>)| {
            let snapshot = Some(Snapshot { id: id.clone(), more: place < last });
            Report { gateway: self.instance.clone(), people, snapshot }
        };
        parts.into_iter().enumerate().map(report).collect()
    }

    async fn report(&self, reports: &[Report]) -> Result<bool> {
        let mut is_known = true;
        for report in reports {
            let now = self.presence.store.now().await?;
            is_known = !self.presence.report(report, now).await?.snapshot_wanted;
        }
        Ok(is_known)
    }
}

impl Work for Sockets {
    /// Reports the users whose sockets came or went, and a sign of life.
    async fn tick(&self) -> Result<Tick> {
        let reports = self.reports();
        if reports.is_empty() {
            return Ok(Tick::Idle);
        }
        let reported = self.report(&reports).await;
        if reported.as_ref().is_ok_and(|is_known| *is_known) {
            return Ok(Tick::Idle);
        }
        let mut people = self.people();
        (people.is_unknown, people.reported) = (true, None);
        let open: Vec<Arc<str>> = people.open.keys().cloned().collect();
        // Also when all have gone meanwhile: the snapshot is then an empty one.
        people.changed.extend(open);
        people
            .changed
            .extend(reports.iter().flat_map(|report| report.people.keys().map(|name| name.as_str().into())));
        drop(people);
        reported.map(|_| Tick::More)
    }

    /// The users of a replica that stops are no longer online through it.
    async fn release(&self) -> Result<()> {
        if self.people().reported.is_none() {
            return Ok(());
        }
        self.report(&self.snapshot(Vec::new())).await.map(drop)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let mut people = self.sockets.people();
        if let Some(count) = people.open.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                people.open.remove(&self.user_id);
                // Told with the next look of the worker: a client that connects again at once does not flap.
                people.changed.insert(self.user_id.clone());
            }
        }
    }
}
