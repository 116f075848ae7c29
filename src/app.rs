//! Assembles the service: modules, workers, listeners and graceful shutdown.

mod cold;
pub mod maintenance;
mod metrics;
mod serve;
mod tasks;
mod workers;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use metrics::MetricsEndpoint;
use metrics::Probe;

use crate::accounts::Accounts;
use crate::api::{Api, GatedSender, Stages};
use crate::archive::{Archive, Shedding};
use crate::base::certificate::Certificate;
use crate::base::config::Config;
use crate::base::error::{Error, Result};
use crate::base::store::{Standby, Store};
use crate::calls::Calls;
use crate::chat::message::Sender;
use crate::delivery::endpoint::Callbacks;
use crate::delivery::gate::Gate;
use crate::events;
use crate::files::Files;
use crate::identity::Identity;
use crate::people::presence::Presence;
use crate::records::receipt::Inbox;
use crate::sync::Runner;
use crate::sync::edit::Edits;
use cold::ArchiveWorkers;
use serve::{Bounds, Server};
use tasks::TaskSet;
use workers::Wakes;

/// A replica that is ready to run.
pub struct App {
    config: Config,
    store: Store,
    probes: Store,
    standby: Option<Arc<Standby>>,
    certificate: Option<Arc<Certificate>>,
    identity: Identity,
    accounts: Option<Arc<Accounts>>,
    callbacks: Arc<Callbacks>,
    archive: Option<ArchiveWorkers>,
    directory: Option<Arc<Runner>>,
    edits: Arc<Edits>,
}

impl App {
    /// Checks the settings and the database, then updates the schema. Shared state changes last, so a failed
    /// start changes none of it.
    pub async fn build(config: Config) -> Result<Self> {
        let identity = Identity::new(&config.identity)?;
        let certificate = Certificate::open(&config.server)?;
        let store = Store::new(&config)?;
        let accounts = identity.account_tokens().map(|tokens| Accounts::open(store.clone(), &config, tokens));
        let accounts = accounts.transpose()?.map(Arc::new);
        let probes = store.for_probes(&config)?;
        let standby = Standby::open(&config, &store)?;
        store.check_sessions().await?;
        store.check_locks().await?;
        store.check_durable().await?;
        store.migrate(&config).await?;
        events::notice_restored(&store, None).await?;
        let callbacks = Callbacks::open(store.clone(), &config, store.now().await?).await?;
        let archive = ArchiveWorkers::open(&config, &store).await?;
        let directory = Runner::open(store.clone(), &config)?.map(Arc::new);
        let edits = Arc::new(Edits::open(store.clone(), &config)?);
        if let Some(cold) = &archive {
            cold.archive.adopt().await?;
        }
        callbacks.settle_gateway(store.now().await?).await?;
        Ok(Self {
            config,
            store,
            probes,
            standby,
            certificate,
            identity,
            accounts,
            callbacks: Arc::new(callbacks),
            archive,
            directory,
            edits,
        })
    }

    /// The archive as requests use it.
    fn archive_of_requests(&self) -> Option<Arc<dyn Archive>> {
        let cold = self.archive.as_ref()?;
        Some(Arc::new(Shedding::new(cold.archive.clone(), &self.config)))
    }

    fn probe(&self) -> Probe {
        Probe { store: self.probes.clone(), wait: self.config.database.readiness_wait }
    }

    /// Serves the metrics, if the settings have an address for them.
    fn spawn_metrics(
        &self,
        endpoint: Option<MetricsEndpoint>,
        bounds: Bounds,
        tasks: &TaskSet,
        stop: &CancellationToken,
    ) {
        if let Some(endpoint) = endpoint {
            let (store, probe) = (self.store.clone(), self.probe());
            tasks.spawn(metrics::serve_metrics(endpoint, store, bounds, probe, stop.clone()));
        }
    }

    /// Sends pass the gate of the company, if there is one, and then the lanes.
    fn sender(&self, wakes: &Wakes, tasks: &TaskSet) -> GatedSender {
        let sender = Sender::open(&self.config, self.lanes(wakes), |lane| tasks.spawn(lane));
        GatedSender::new(sender, Gate::new(self.callbacks.clone(), &self.config))
    }

    /// Answers on `listener` until `stop`. Then waits for running requests and batches.
    pub async fn run(
        self,
        listener: TcpListener,
        metrics: Option<MetricsEndpoint>,
        stop: CancellationToken,
    ) -> Result<()> {
        let grace = self.config.server.shutdown_grace;
        let (tasks, wakes) = (TaskSet::default(), Wakes::default());
        // Workers stop after the listener, because they process what the last requests wrote.
        let stop_workers = CancellationToken::new();
        // Uploads end when the service begins to stop: their clients resume them.
        let files = Files::new(self.store.clone(), &self.config.files, stop.clone());
        let escalation = self.escalation(&wakes);
        let mut workers = self.workers(&wakes, &stop_workers, &escalation, &files);
        workers.extend([self.notifications(&wakes), self.calls(&wakes)]);
        workers.push(self.dispatch(&wakes, &tasks, &stop_workers));
        self.spawn_workers(workers, &tasks, &stop_workers);
        let streams = self.spawn_streams(&tasks, &wakes, &stop, &stop_workers);
        let sockets = self.spawn_sockets(&tasks, &stop_workers);
        let bounds = Bounds::of(&self.config);
        let alarms = self.start_alarms(&wakes).await;
        self.spawn_metrics(metrics, bounds, &tasks, &stop_workers);
        let sender = self.sender(&wakes, &tasks);
        let calls = Calls::new(&self.config, self.lanes(&wakes));
        let inbox = Inbox::open(self.store.clone(), |worker| tasks.spawn(worker));
        tasks.tracker.close();
        let presence = Presence::new(self.store.clone(), &self.config.people);
        let archive = self.archive_of_requests();
        let api = Api::new(Stages {
            config: self.config,
            store: self.store,
            probes: self.probes,
            standby: self.standby,
            identity: self.identity,
            accounts: self.accounts,
            sender,
            calls,
            inbox,
            callbacks: self.callbacks,
            presence,
            sockets,
            escalation,
            archive,
            index: self.archive.as_ref().map(|cold| cold.index.clone()),
            archiver: self.archive.map(|cold| cold.archiver),
            streams,
            receipts: wakes.receipts,
            wakers: wakes.push,
            directory: wakes.directory,
            followers: wakes.followers,
            edits: self.edits,
            files: files.clone(),
            notifications: wakes.notifications,
        });
        let server = Server { router: api.router(), bounds, certificate: self.certificate };
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let broken = tasks.broken.clone();
        let served = tokio::select! {
            () = serve::serve(listener, server, stop.clone()) => Ok(()),
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
}
