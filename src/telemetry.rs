//! What the service says of itself: structured logs and Prometheus metrics.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use crate::config::{Config, LogFormat};
use crate::error::{Error, Kind, Result};

/// Bounds of every duration histogram, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of batch sizes.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// How often histograms are folded, so that they do not grow between scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Starts the log. Bodies, secrets and people's data are never given to it.
pub fn init_log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|_| Error::new(Kind::Internal, "settings: log is no level and no EnvFilter directive"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_fit));
    registry.with(lines).try_init().map_err(Error::internal)
}

/// Libraries whose warnings say what we say ourselves, once.
const SILENT: &[&str] = &["deadpool", "refinery"];

/// Below a warning, the libraries that people's data pass through write it out: parameters of statements, headers,
/// entries of a directory. Only our own lines may go deeper, whatever `log` says.
fn is_fit(line: &Metadata<'_>) -> bool {
    let target = line.target();
    if target.starts_with(env!("CARGO_CRATE_NAME")) {
        return true;
    }
    *line.level() <= Level::WARN && !SILENT.iter().any(|library| target.starts_with(library))
}

/// Installs the metrics of the process; call once.
pub fn init_metrics() -> Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES))
        .map_err(Error::internal)?
        .install_recorder()
        .map_err(Error::internal)?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("impg_http_requests_total", "Requests answered, by route, method and status.");
    describe_counter!(
        "impg_connections_cut_total",
        "Connections closed for others: their first head did not come in time, or there was no more room."
    );
    describe_histogram!("impg_http_request_seconds", "Time to answer a request, by route.");
    describe_counter!("impg_sends_total", "Sends, by whether they were accepted.");
    describe_histogram!("impg_send_commit_seconds", "Time to commit a group of sends.");
    describe_histogram!("impg_send_batch_size", "Sends that shared a commit.");
    describe_histogram!("impg_callback_seconds", "Time from the POST of a batch to its answer.");
    describe_counter!("impg_callback_failures_total", "Batches that failed whole, by reason.");
    describe_counter!("impg_callback_breaker_opened_total", "Times the breaker opened.");
    describe_counter!("impg_push_pairs_total", "(message, receiver) pairs answered, by verdict.");
    describe_counter!(
        "impg_push_stale_total",
        "Answers that came after their lease had gone to another worker."
    );
    describe_counter!("impg_push_dead_batches_total", "Batches given up.");
    describe_gauge!(
        "impg_receipts_pending",
        "Receipts of sealed or cold messages that wait for the archive."
    );
    describe_gauge!("impg_reads_pending", "Reads that are still to be written into the ledger.");
    describe_gauge!("impg_push_backlog_pairs", "(message, receiver) pairs waiting to be pushed.");
    describe_gauge!("impg_push_backlog_age_seconds", "Age of the oldest push that waits.");
    describe_gauge!("impg_push_dead_letters", "Dead letters kept.");
    describe_counter!("impg_receipts_total", "Receipts taken.");
    describe_counter!("impg_receipts_advanced_total", "Receipts that advanced a status or a cursor.");
    describe_gauge!("impg_streams", "Event streams open on this replica.");
    describe_counter!("impg_stream_events_total", "Events told to at least one stream.");
    describe_counter!("impg_stream_resyncs_total", "Streams whose client was told to load anew, by reason.");
    describe_counter!("impg_worker_failures_total", "Background steps that failed, by worker.");
    describe_gauge!("impg_database_connections", "Pooled connections, by state.");
}
