//! Assembles the service: modules, workers, listeners and graceful shutdown.

mod serve;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, Stages};
use crate::app::maintenance::Maintenance;
use crate::archive::index::{Bound, Index};
use crate::archive::mover::Archiver;
use crate::archive::{self, Archive};
use crate::base::config::Config;
use crate::base::cron::Alarms;
use crate::base::error::{Error, Result};
use crate::base::store::Store;
use crate::base::worker::Tick;
use crate::chat::channel::department::Groups;
use crate::chat::channel::leavers;
use crate::chat::message::{Lanes, Sender};
use crate::delivery::endpoint::{Callbacks, GATEWAY, Wakers};
use crate::delivery::push::Push;
use crate::events::Sequencer;
use crate::events::stream::Hub;
use crate::files::{Files, Sweeper};
use crate::identity::Identity;
use crate::people::headcount::Headcount;
use crate::people::presence::Presence;
use crate::people::search_index;
use crate::records::outbox::Outbox;
use crate::records::receipt::Inbox;
use crate::sync::Followers;
use crate::sync::Runner;
use crate::sync::edit::Edits;
use crate::{event, receipt, schedule, telemetry};
use serve::Bounds;

/// Interval of maintenance.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(30);

/// Most connections to the metrics endpoint.
const SCRAPERS_MAX: usize = 64;

/// The sweeper of files polls as often as one in this many other workers. Requests wake it.
const SWEEPS_APART: u32 = 10;

/// Edits that one replica sends to the source at once.
const EDITS_AT_ONCE: u32 = 4;

/// A worker that runs on one replica at a time. It gives its lease back when the replica stops.
macro_rules! leased {
    ($tasks:expr, $name:literal, $worker:expr, $poll:expr, $wake:expr, $stop:expr) => {{
        let (worker, poll, wake, stop) = ($worker, $poll, $wake, $stop);
        $tasks.spawn(async move {
            let ticking = worker.clone();
            schedule::run($name, poll, wake, stop, move || {
                let worker = ticking.clone();
                async move { worker.tick().await }
            })
            .await;
            if let Err(error) = worker.stop().await {
                tracing::debug!(worker = $name, %error, "could not give the lease back; it will expire");
            }
        });
    }};
}

/// A replica that is ready to run.
pub struct App {
    config: Config,
    store: Store,
    probes: Store,
    identity: Identity,
    callbacks: Arc<Callbacks>,
    archive_workers: Option<ArchiveWorkers>,
    directory: Option<Arc<Runner>>,
    edits: Arc<Edits>,
}

/// The archive and its workers.
#[derive(Clone)]
struct ArchiveWorkers {
    archive: Arc<Bound>,
    index: Arc<Index>,
    outbox: Arc<Outbox>,
    archiver: Arc<Archiver>,
}

/// The tasks of a replica. If one panics, the replica stops: a replica with missing workers is worse than
/// none. The database holds all unfinished work.
#[derive(Clone, Default)]
pub struct TaskSet {
    tracker: TaskTracker,
    broken: CancellationToken,
}

impl TaskSet {
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let broken = self.broken.clone();
        self.tracker.spawn(async move {
            if std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!("a worker panicked");
                broken.cancel();
            }
        });
    }
}

/// The endpoint that Prometheus scrapes.
pub struct MetricsEndpoint {
    pub listener: TcpListener,
    pub handle: PrometheusHandle,
}

/// The wake-ups of the workers.
#[derive(Clone, Default)]
struct Wakes {
    push: Arc<Wakers>,
    receipts: Arc<Notify>,
    index: Arc<Notify>,
    events: Arc<Notify>,
    directory: Arc<Notify>,
    archiver: Arc<Notify>,
    /// Wakes the event streams after new events.
    stream: Arc<Notify>,
    followers: Followers,
}

impl ArchiveWorkers {
    /// Opens the archive of the settings. The start succeeds without a reachable archive. It fails if the
    /// database belongs to another archive.
    async fn open(config: &Config, store: &Store) -> Result<Option<Self>> {
        let Some(archive) = archive::open(config).await? else {
            return Ok(None);
        };
        let bound = Arc::new(Bound::new(store.clone(), archive));
        match bound.refuse_another().await {
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the archive is away: new messages wait to be indexed");
            }
            bound => bound?,
        }
        Ok(Some(Self {
            archive: bound.clone(),
            index: Arc::new(Index::new(store.clone(), bound.clone(), config)),
            outbox: Arc::new(Outbox::new(store.clone(), bound.clone(), config)),
            archiver: Arc::new(Archiver::new(store.clone(), bound, config)?),
        }))
    }
}

impl App {
    /// Checks the settings and the database, then updates the schema. Shared state changes last, so a failed
    /// start changes none of it.
    pub async fn build(config: Config) -> Result<Self> {
        let identity = Identity::new(&config)?;
        let store = Store::new(&config)?;
        let probes = store.for_probes(&config)?;
        store.check_sessions().await?;
        store.check_durable().await?;
        store.migrate(&config).await?;
        event::notice_restored(&store, None).await?;
        let callbacks = Callbacks::open(store.clone(), &config, store.now().await?).await?;
        let archive_workers = ArchiveWorkers::open(&config, &store).await?;
        let directory = Runner::open(store.clone(), &config)?.map(Arc::new);
        let edits = Arc::new(Edits::open(store.clone(), &config)?);
        if let Some(archive_workers) = &archive_workers {
            archive_workers.archive.adopt().await?;
        }
        callbacks.settle_gateway(store.now().await?).await?;
        Ok(Self {
            config,
            store,
            probes,
            identity,
            callbacks: Arc::new(callbacks),
            archive_workers,
            directory,
            edits,
        })
    }

    /// Answers on `listener` until `stop`. Then waits for running requests and batches.
    pub async fn run(
        self,
        listener: TcpListener,
        metrics: Option<MetricsEndpoint>,
        stop: CancellationToken,
    ) -> Result<()> {
        let grace = self.config.shutdown_grace;
        let (tasks, wakes) = (TaskSet::default(), Wakes::default());
        // Workers stop after the listener, because they process what the last requests wrote.
        let stop_workers = CancellationToken::new();
        self.spawn_workers(&tasks, &wakes, &stop_workers);
        let streams = self.spawn_streams(&tasks, &wakes, &stop, &stop_workers);
        let files = self.spawn_files(&tasks, &stop, &stop_workers);
        let bounds = Bounds::of(&self.config);
        let alarms = self.start_alarms(&wakes).await;
        if let Some(endpoint) = metrics {
            tasks.spawn(serve_metrics(endpoint, bounds, stop_workers.clone()));
        }
        let lanes = Lanes {
            store: self.store.clone(),
            push: wakes.push.gateway.clone(),
            index: wakes.index,
            events: wakes.events,
        };
        let sender = Sender::open(&self.config, lanes, |lane| tasks.spawn(lane));
        let inbox = Inbox::open(self.store.clone(), |worker| tasks.spawn(worker));
        tasks.tracker.close();
        let presence = Presence::new(self.store.clone(), &self.config);
        let api = Api::new(Stages {
            config: self.config,
            store: self.store,
            probes: self.probes,
            identity: self.identity,
            sender,
            inbox,
            callbacks: self.callbacks,
            presence,
            archive: self
                .archive_workers
                .as_ref()
                .map(|archive_workers| archive_workers.archive.clone() as Arc<dyn Archive>),
            index: self.archive_workers.as_ref().map(|archive_workers| archive_workers.index.clone()),
            archiver: self.archive_workers.map(|archive_workers| archive_workers.archiver),
            streams,
            receipts: wakes.receipts,
            wakers: wakes.push,
            directory: wakes.directory,
            followers: wakes.followers,
            edits: self.edits,
            files: files.clone(),
        });
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let broken = tasks.broken.clone();
        let served = tokio::select! {
            () = serve::serve(listener, api.router(), bounds, stop.clone()) => Ok(()),
            () = broken.cancelled() => Err(Error::internal("a worker panicked; restart to resume its work")),
            () = late => Ok(()),
        };
        // What came of an upload is stored, so that the next request goes on there.
        if tokio::time::timeout(grace, files.written()).await.is_err() {
            tracing::warn!("stopped before all uploads had ended; their clients resume them");
        }
        stop_workers.cancel();
        if let Some(alarms) = alarms {
            alarms.stop().await;
        }
        // Kubernetes counts both grace periods: see terminationGracePeriodSeconds of the chart.
        if tokio::time::timeout(grace, tasks.tracker.wait()).await.is_err() {
            tracing::warn!("stopped before all work had ended; the next start resumes it");
        }
        served
    }

    /// Starts the schedules of the settings. Without them workers find due work at their next poll.
    async fn start_alarms(&self, wakes: &Wakes) -> Option<Alarms> {
        let directory = &self.config.directory;
        let schedules = [
            (self.config.archive_schedule().ok().filter(|_| self.archive_workers.is_some()), &wakes.archiver),
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

    fn spawn_cold(
        &self,
        archive_workers: ArchiveWorkers,
        tasks: &TaskSet,
        wakes: &Wakes,
        stop: &CancellationToken,
    ) {
        let poll = self.config.poll;
        leased!(tasks, "index", archive_workers.index, poll, wakes.index.clone(), stop.clone());
        leased!(tasks, "outbox", archive_workers.outbox, poll, Arc::default(), stop.clone());
        leased!(tasks, "archiver", archive_workers.archiver, poll, wakes.archiver.clone(), stop.clone());
    }

    fn spawn_maintenance(&self, tasks: &TaskSet, stop: &CancellationToken) {
        let maintenance = Arc::new(Maintenance {
            client_id_page: AtomicI64::default(),
            store: self.store.clone(),
            config: self.config.clone(),
            callbacks: self.callbacks.clone(),
            archiver: self.archive_workers.as_ref().map(|archive_workers| archive_workers.archiver.clone()),
        });
        let freezing = (maintenance.clone(), stop.clone());
        tasks.spawn(schedule::run("freeze", MAINTENANCE_EVERY, Arc::default(), stop.clone(), move || {
            let (maintenance, stopped) = freezing.clone();
            async move {
                // The server finishes a step that has begun. The replica does not wait for it.
                tokio::select! { () = stopped.cancelled() => Ok(Tick::Idle), done = maintenance.freeze() => done }
            }
        }));
        tasks.spawn(schedule::run(
            "maintenance",
            MAINTENANCE_EVERY,
            Arc::default(),
            stop.clone(),
            move || {
                let maintenance = maintenance.clone();
                async move { maintenance.tick().await }
            },
        ));
    }

    /// Starts the hub and its tail. Streams end when the service begins to stop, so that shutdown does not
    /// wait for them.
    fn spawn_streams(
        &self,
        tasks: &TaskSet,
        wakes: &Wakes,
        stop: &CancellationToken,
        stop_workers: &CancellationToken,
    ) -> Arc<Hub> {
        let hub = Arc::new(Hub::new(self.store.clone(), &self.config, wakes.stream.clone()));
        let (poll, wake, tail) = (self.config.stream_poll, wakes.stream.clone(), hub.clone());
        tasks.spawn(schedule::run("stream", poll, wake, stop_workers.clone(), move || {
            let tail = tail.clone();
            async move { tail.tick().await }
        }));
        let (closing, stop, stop_workers) = (hub.clone(), stop.clone(), stop_workers.clone());
        tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => {}, () = stop_workers.cancelled() => {} }
            closing.close();
        });
        hub
    }

    /// Starts the sweeper of files. Uploads end when the service begins to stop: their clients resume them.
    fn spawn_files(
        &self,
        tasks: &TaskSet,
        stop: &CancellationToken,
        stop_workers: &CancellationToken,
    ) -> Files {
        let files = Files::new(self.store.clone(), &self.config, stop.clone());
        let (sweeper, every) = (Arc::new(Sweeper::new(files.clone())), self.config.poll * SWEEPS_APART);
        leased!(tasks, "files", sweeper, every, files.wake(), stop_workers.clone());
        files
    }

    fn spawn_workers(&self, tasks: &TaskSet, wakes: &Wakes, stop: &CancellationToken) {
        let poll = self.config.poll;
        let store = self.store.clone();
        tasks.spawn(schedule::run("receipts", poll, wakes.receipts.clone(), stop.clone(), move || {
            let store = store.clone();
            async move { receipt::tick(&store).await }
        }));
        let sequencer = Arc::new(Sequencer::new(
            self.store.clone(),
            &self.config,
            wakes.stream.clone(),
            wakes.push.clone(),
        ));
        let every = self.config.event_poll;
        tasks.spawn(schedule::run("events", every, wakes.events.clone(), stop.clone(), move || {
            let sequencer = sequencer.clone();
            async move { sequencer.tick().await }
        }));
        self.spawn_maintenance(tasks, stop);
        let presence = Presence::new(self.store.clone(), &self.config);
        tasks.spawn(schedule::run("presence", poll, Arc::default(), stop.clone(), move || {
            let presence = presence.clone();
            async move { presence.tick().await }
        }));
        if let Some(runner) = &self.directory {
            leased!(tasks, "directory", runner.clone(), poll, wakes.directory.clone(), stop.clone());
        }
        for _ in 0..if self.edits.has_source() { EDITS_AT_ONCE } else { 0 } {
            let edits = self.edits.clone();
            // All edit workers together poll as often as one other worker. New edits wake them.
            let each = poll * EDITS_AT_ONCE;
            tasks.spawn(schedule::run("edits", each, edits.wake(), stop.clone(), move || {
                let edits = edits.clone();
                async move { edits.tick().await }
            }));
        }
        let store = self.store.clone();
        let returns = leavers::Returns {
            within: time::Duration::days(self.config.directory.return_days.into()),
            most_members: self.config.group_max_members,
        };
        tasks.spawn(schedule::run("leavers", poll, Arc::default(), stop.clone(), move || {
            let store = store.clone();
            async move { leavers::tick(&store, returns).await }
        }));
        self.spawn_followers(tasks, &wakes.followers, stop);
        if let Some(archive_workers) = &self.archive_workers {
            self.spawn_cold(archive_workers.clone(), tasks, wakes, stop);
        }
        self.spawn_push(tasks, wakes, stop);
    }

    /// Starts the workers that apply changes of the directory.
    fn spawn_followers(&self, tasks: &TaskSet, wakes: &Followers, stop: &CancellationToken) {
        let poll = self.config.poll;
        let store = self.store.clone();
        tasks.spawn(schedule::run("words", poll, wakes.search_index.clone(), stop.clone(), move || {
            let store = store.clone();
            async move { search_index::tick(&store).await }
        }));
        let heads = Arc::new(Headcount::new(self.store.clone()));
        tasks.spawn(schedule::run("heads", poll, wakes.headcount.clone(), stop.clone(), move || {
            let heads = heads.clone();
            async move { heads.tick().await }
        }));
        let groups = Arc::new(Groups::new(self.store.clone(), self.config.group_max_members));
        tasks.spawn(schedule::run(
            "department_groups",
            poll,
            wakes.department_groups.clone(),
            stop.clone(),
            move || {
                let groups = groups.clone();
                async move { groups.tick().await }
            },
        ));
    }

    fn spawn_push(&self, tasks: &TaskSet, wakes: &Wakes, stop: &CancellationToken) {
        if self.callbacks.get(GATEWAY).is_none() {
            let days = self.config.callback_hold_days;
            tracing::warn!(
                callback_hold_days = days,
                "this replica has no gateway: messages wait to be pushed"
            );
        }
        let watched = tasks.clone();
        let push = Arc::new(Push::new(
            (self.store.clone(), self.callbacks.clone()),
            &self.config,
            wakes.push.clone(),
            move |worker| watched.spawn(worker),
            stop.clone(),
        ));
        let poll = self.config.poll;
        tasks.spawn(schedule::run("dispatch", poll, wakes.push.dispatch.clone(), stop.clone(), move || {
            let push = push.clone();
            async move { push.dispatch().await }
        }));
    }
}

async fn serve_metrics(endpoint: MetricsEndpoint, bounds: Bounds, stop: CancellationToken) {
    let MetricsEndpoint { listener, handle } = endpoint;
    let folding = handle.clone();
    let upkeep = async move {
        loop {
            tokio::time::sleep(telemetry::UPKEEP).await;
            folding.run_upkeep();
        }
    };
    let router = Router::new().route("/metrics", get(move || std::future::ready(handle.render())));
    tokio::select! {
        () = serve::serve(listener, router, bounds.at_most(SCRAPERS_MAX), stop) => {}
        () = upkeep => {}
    }
}
