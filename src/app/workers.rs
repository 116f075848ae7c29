//! The workers of a replica: what runs, how often, and what wakes it.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::App;
use super::maintenance::Maintenance;
use super::tasks::TaskSet;
use crate::base::config::GatewayTarget;
use crate::base::cron::Alarms;
use crate::base::replica::Replica;
use crate::base::store::Standby;
use crate::base::wakers::Wakers;
use crate::base::worker::{Failing, Tick, Worker};
use crate::calls::Calls;
use crate::chat::channel::department::Groups;
use crate::chat::channel::leavers;
use crate::chat::message::Lanes;
use crate::delivery::endpoint::GATEWAY;
use crate::delivery::escalation::Escalation;
use crate::delivery::push::Push;
use crate::delivery::reminder::Reminders;
use crate::events::Sequencer;
use crate::events::stream::Hub;
use crate::files::{Files, Sweeper};
use crate::notification::step::Notifications;
use crate::people::headcount::Headcount;
use crate::people::presence::{Presence, Sockets};
use crate::people::search_index;
use crate::records::receipt;
use crate::sync::Followers;

/// Interval of maintenance.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(30);

/// How often a replica tells that it is there.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// Edits that one replica sends to the source at once.
const EDITS_AT_ONCE: u32 = 4;

/// The sweeper of files looks for work as often as one in this many other workers. Requests wake it.
const SWEEPS_APART: u32 = 10;

/// What wakes the workers of this replica.
#[derive(Clone, Default)]
pub(super) struct Wakes {
    pub push: Arc<Wakers>,
    pub receipts: Arc<Notify>,
    pub index: Arc<Notify>,
    pub events: Arc<Notify>,
    pub directory: Arc<Notify>,
    pub archiver: Arc<Notify>,
    pub notifications: Arc<Notify>,
    /// Wakes the event streams after new events.
    pub stream: Arc<Notify>,
    pub followers: Followers,
}

impl App {
    /// Reminds receivers of messages that they have not read.
    pub(super) fn escalation(&self, wakes: &Wakes) -> Arc<Escalation> {
        let (push, events) = (wakes.push.gateway.clone(), wakes.events.clone());
        Arc::new(Escalation::new(self.store.clone(), &self.config, push, events))
    }

    /// What stores messages, and what a commit of them wakes.
    pub(super) fn lanes(&self, wakes: &Wakes) -> Lanes {
        Lanes {
            store: self.store.clone(),
            push: wakes.push.gateway.clone(),
            index: wakes.index.clone(),
            events: wakes.events.clone(),
        }
    }

    /// Sends notifications, and recalls them.
    pub(super) fn notifications(&self, wakes: &Wakes) -> Worker {
        let notifications = Arc::new(Notifications::new(&self.config, self.lanes(wakes)));
        Worker::new("notifications", self.config.workers.poll, notifications).woken_by(&wakes.notifications)
    }

    /// Ends the calls that no user ends.
    pub(super) fn calls(&self, wakes: &Wakes) -> Worker {
        let calls = Arc::new(Calls::new(&self.config, self.lanes(wakes)));
        Worker::new("calls", self.config.workers.poll, calls)
    }

    /// The table of workers, beside those of notifications and calls and the one that starts the workers of the endpoints.
    /// All replicas have the same; leases decide who works.
    pub(super) fn workers(
        &self,
        wakes: &Wakes,
        stop: &CancellationToken,
        escalation: &Arc<Escalation>,
        files: &Files,
    ) -> Vec<Worker> {
        let (poll, config, store) = (self.config.workers.poll, &self.config, &self.store);
        let sequencer = Sequencer::new(store.clone(), config, wakes.stream.clone(), wakes.push.clone());
        let groups = Groups::new(store.clone(), config.chat.group_max_members);
        let maintenance = self.maintenance();
        let mut workers = vec![
            self.receipts().woken_by(&wakes.receipts),
            Worker::new("events", config.events.poll, Arc::new(sequencer)).woken_by(&wakes.events),
            Worker::new("maintenance", MAINTENANCE_EVERY, maintenance.clone()),
            freeze(maintenance, stop.clone()),
            Worker::new("presence", poll, Arc::new(Presence::new(store.clone(), &config.people))),
            self.leavers(),
            self.search_index().woken_by(&wakes.followers.search_index),
            Worker::new("headcount", poll, Arc::new(Headcount::new(store.clone())))
                .woken_by(&wakes.followers.headcount),
            Worker::new("department_groups", poll, Arc::new(groups))
                .woken_by(&wakes.followers.department_groups),
            Worker::new("escalation", poll, escalation.clone()),
            Worker::new("reminders", poll, Arc::new(self.reminders(wakes))),
            Worker::new(
                "files",
                poll * SWEEPS_APART,
                Arc::new(Sweeper::new(files.clone(), config.workers.lease)),
            )
            .woken_by(&files.wake()),
        ];
        workers.extend(self.standby.as_ref().map(Standby::worker));
        if let Some(runner) = &self.directory {
            workers.push(Worker::new("directory", poll, runner.clone()).woken_by(&wakes.directory));
        }
        if self.edits.has_source() {
            // All edit workers together poll as often as one other worker. New edits wake them.
            let each = || Worker::new("edits", poll * EDITS_AT_ONCE, self.edits.clone());
            workers.extend((0..EDITS_AT_ONCE).map(|_| each().woken_by(&self.edits.wake())));
        }
        if let Some(cold) = &self.archive {
            workers.push(Worker::new("index", poll, cold.index.clone()).woken_by(&wakes.index));
            workers.push(Worker::new("outbox", poll, cold.outbox.clone()));
            workers.push(Worker::new("archiver", poll, cold.archiver.clone()).woken_by(&wakes.archiver));
        }
        workers
    }

    /// Starts and stops the workers of the endpoints.
    pub(super) fn dispatch(&self, wakes: &Wakes, tasks: &TaskSet, stop: &CancellationToken) -> Worker {
        if self.callbacks.get(GATEWAY).is_none() {
            let days = self.config.callbacks.hold_days;
            tracing::warn!(
                callback_hold_days = days,
                "this replica has no gateway: messages wait to be pushed"
            );
        }
        let watched = tasks.clone();
        let push = Arc::new(Push::new(
            self.callbacks.clone(),
            &self.config,
            wakes.push.clone(),
            move |worker| watched.spawn(worker),
            stop.clone(),
        ));
        let step = move || {
            let push = push.clone();
            async move { push.dispatch().await }
        };
        Worker::of("dispatch", self.config.workers.poll, step).woken_by(&wakes.push.dispatch)
    }

    fn reminders(&self, wakes: &Wakes) -> Reminders {
        let presence = Presence::new(self.store.clone(), &self.config.people);
        Reminders::new(self.store.clone(), &self.config, presence, wakes.events.clone())
    }

    fn receipts(&self) -> Worker {
        let store = self.store.clone();
        Worker::of("receipts", self.config.workers.poll, move || {
            let store = store.clone();
            async move { receipt::tick(&store).await }
        })
    }

    fn search_index(&self) -> Worker {
        let store = self.store.clone();
        Worker::of("search_index", self.config.workers.poll, move || {
            let store = store.clone();
            async move { search_index::tick(&store).await }
        })
    }

    fn leavers(&self) -> Worker {
        let store = self.store.clone();
        let returns = leavers::Returns {
            within: time::Duration::days(self.config.directory.return_days.into()),
            most_members: self.config.chat.group_max_members,
        };
        Worker::of("leavers", self.config.workers.poll, move || {
            let store = store.clone();
            async move { leavers::tick(&store, returns).await }
        })
    }

    /// Starts the workers, and one that tells of this replica and of those that fail.
    pub(super) fn spawn_workers(&self, workers: Vec<Worker>, tasks: &TaskSet, stop: &CancellationToken) {
        let failing = Failing::default();
        let replica = Replica::new(self.store.clone(), failing.clone());
        let replica = Worker::new("replica", BEAT_EVERY, Arc::new(replica));
        for worker in workers.into_iter().chain([replica]) {
            tasks.spawn(worker.noted_in(&failing).run(stop.clone()));
        }
    }

    fn maintenance(&self) -> Arc<Maintenance> {
        Arc::new(Maintenance {
            client_id_page: AtomicI64::default(),
            store: self.store.clone(),
            config: self.config.clone(),
            callbacks: self.callbacks.clone(),
            archiver: self.archive.as_ref().map(|cold| cold.archiver.clone()),
        })
    }

    /// Starts the hub and its tail. Streams end when the service begins to stop, so that shutdown does not
    /// wait for them.
    pub(super) fn spawn_streams(
        &self,
        tasks: &TaskSet,
        wakes: &Wakes,
        stop: &CancellationToken,
        stop_workers: &CancellationToken,
    ) -> Arc<Hub> {
        let hub = Arc::new(Hub::new(self.store.clone(), &self.config.streams, wakes.stream.clone()));
        let tail = Worker::new("stream", self.config.streams.poll, hub.clone()).woken_by(&wakes.stream);
        tasks.spawn(tail.run(stop_workers.clone()));
        let totals = hub.clone();
        let totals = Worker::of("unread", self.config.streams.unread, move || {
            let totals = totals.clone();
            async move { totals.tell_totals().await }
        });
        tasks.spawn(totals.woken_by(&hub.greet()).run(stop_workers.clone()));
        let live = hub.clone();
        let live = Worker::of("live", self.config.streams.presence_window, move || {
            let live = live.clone();
            async move { live.tell_live().await }
        });
        tasks.spawn(live.woken_by(&hub.live_wake()).run(stop_workers.clone()));
        let (signalled, until) = (hub.clone(), stop_workers.clone());
        tasks.spawn(async move { signalled.follow_signals(until).await });
        let (closing, stop, stop_workers) = (hub.clone(), stop.clone(), stop_workers.clone());
        tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => {}, () = stop_workers.cancelled() => {} }
            closing.close();
        });
        hub
    }

    /// The users with open sockets, if no gateway says who is online.
    pub(super) fn spawn_sockets(&self, tasks: &TaskSet, stop: &CancellationToken) -> Option<Arc<Sockets>> {
        if self.config.callbacks.gateway() != GatewayTarget::Off {
            return None;
        }
        let sockets = Arc::new(Sockets::new(self.store.clone(), &self.config.people));
        let worker = Worker::new("sockets", self.config.workers.poll, sockets.clone());
        tasks.spawn(worker.woken_by(&sockets.wake()).run(stop.clone()));
        Some(sockets)
    }

    /// Starts the schedules of the settings. Without them workers find due work at their next poll.
    pub(super) async fn start_alarms(&self, wakes: &Wakes) -> Option<Alarms> {
        let directory = &self.config.directory;
        let schedules = [
            (self.config.archive.schedule().ok().filter(|_| self.archive.is_some()), &wakes.archiver),
            (directory.schedule().ok().flatten().filter(|_| self.directory.is_some()), &wakes.directory),
            (directory.full_schedule().ok().flatten().filter(|_| self.directory.is_some()), &wakes.directory),
        ];
        let alarms: Vec<_> =
            schedules.into_iter().filter_map(|(schedule, wake)| Some((schedule?, wake.clone()))).collect();
        if alarms.is_empty() {
            return None;
        }
        let started = Alarms::start(&alarms).await;
        started
            .inspect_err(
                |error| tracing::warn!(%error, "schedules did not start; workers find due work by polling"),
            )
            .ok()
    }
}

/// The server finishes a step of freezing that has begun. The replica does not wait for it.
fn freeze(maintenance: Arc<Maintenance>, stop: CancellationToken) -> Worker {
    Worker::of("freeze", MAINTENANCE_EVERY, move || {
        let (maintenance, stopped) = (maintenance.clone(), stop.clone());
        async move {
            tokio::select! { () = stopped.cancelled() => Ok(Tick::Idle), done = maintenance.freeze() => done }
        }
    })
}
