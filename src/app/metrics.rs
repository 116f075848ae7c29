//! The listener for Prometheus.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::serve::{self, Bounds, Server};
use crate::base::store::Store;
use crate::base::telemetry;

/// Most connections to the metrics endpoint.
const SCRAPERS_MAX: usize = 64;

/// The endpoint that Prometheus scrapes.
pub struct MetricsEndpoint {
    pub listener: TcpListener,
    pub handle: PrometheusHandle,
}

/// What a probe of this replica would find: the store for probes, and the time for an answer.
pub(super) struct Probe {
    pub store: Store,
    pub wait: Duration,
}

impl Probe {
    /// Sets the metric to what `/readyz` says. No scrape waits for the database.
    async fn look(&self) {
        let found = tokio::time::timeout(self.wait, self.store.readiness()).await;
        let is_ready = found.is_ok_and(|found| found.is_ok_and(|found| found.is_ready()));
        metrics::gauge!("impg_ready").set(if is_ready { 1.0 } else { 0.0 });
    }
}

/// Answers scrapes until `stop`.
pub(super) async fn serve_metrics(
    endpoint: MetricsEndpoint,
    store: Store,
    bounds: Bounds,
    probe: Probe,
    stop: CancellationToken,
) {
    let MetricsEndpoint { listener, handle } = endpoint;
    let folding = handle.clone();
    let upkeep = async move {
        loop {
            probe.look().await;
            tokio::time::sleep(telemetry::UPKEEP).await;
            folding.run_upkeep();
        }
    };
    let scrape = move || {
        read_pool(&store);
        std::future::ready(handle.render())
    };
    let router = Router::new().route("/metrics", get(scrape));
    let server = Server { router, bounds: bounds.at_most(SCRAPERS_MAX), certificate: None };
    tokio::select! {
        () = serve::serve(listener, server, stop) => {}
        () = upkeep => {}
    }
}

/// Reads the pool at each scrape. A worker could not: it waits for a connection itself while none is free.
fn read_pool(store: &Store) {
    let pool = store.pool_status();
    for (state, connections) in [("open", pool.size), ("idle", pool.available), ("waited_for", pool.waiting)]
    {
        metrics::gauge!("impg_database_connections", "state" => state).set(connections as f64);
    }
}
