//! Structured logs and Prometheus metrics of the service.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use crate::base::config::{LogFormat, LogSettings};
use crate::base::error::{Error, Kind, Result};

/// Bucket limits of duration histograms, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket limits of batch sizes.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Interval at which histograms are aggregated, so that they do not grow between scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Starts the log. It never contains bodies, secrets or personal data.
pub fn init_log(settings: &LogSettings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|_| Error::new(Kind::Internal, "settings: log must be a level or an EnvFilter directive"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_fit));
    registry.with(lines).try_init().map_err(Error::internal)
}

/// Libraries whose warnings the service already logs itself.
const SILENT: &[&str] = &["deadpool", "refinery"];

/// Below warning, some libraries log personal data: statement parameters, headers, directory entries. Only
/// the service's own lines may use lower levels, whatever `log` says.
fn is_fit(line: &Metadata<'_>) -> bool {
    let target = line.target();
    if target.starts_with(env!("CARGO_CRATE_NAME")) {
        return true;
    }
    *line.level() <= Level::WARN && !SILENT.iter().any(|library| target.starts_with(library))
}

/// Installs the metrics of the process. Call it once.
pub fn init_metrics() -> Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES))
        .map_err(Error::internal)?
        .install_recorder()
        .map_err(Error::internal)?;
    describe();
    start_counters();
    gauge!("impg_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Counters that an alert watches. They exist from the start: `increase` does not see a counter's first value.
/// Those of workers start with the workers.
fn start_counters() {
    for name in [
        "impg_archive_gaps_total",
        "impg_archive_requests_shed_total",
        "impg_archive_verify_failures_total",
        "impg_callback_disabled_total",
        "impg_events_undelivered_total",
        "impg_gate_unanswered_total",
        "impg_gateway_changes_total",
        "impg_jwks_failures_total",
        "impg_outbox_held_up_total",
        "impg_push_dead_batches_total",
        "impg_requests_shed_total",
    ] {
        counter!(name).increment(0);
    }
    counter!("impg_directory_runs_total", "outcome" => "failed").increment(0);
    counter!("impg_notification_failures_total", "result" => "given_up").increment(0);
    counter!("impg_tls_reloads_total", "outcome" => "failed").increment(0);
}

fn describe() {
    describe_requests();
    describe_delivery();
    describe_data();
    describe_files();
    describe_database();
}

fn describe_requests() {
    describe_counter!("impg_http_requests_total", "HTTP requests answered, by route, method and status.");
    describe_histogram!("impg_http_request_seconds", "Seconds until a request was answered, by route.");
    describe_counter!(
        "impg_connections_cut_total",
        "Connections closed by the service. why=head: no request head in time; why=room: connections_max was reached; \
         why=peer: connections_per_peer was reached; why=tls: the TLS handshake failed; why=write: the client did not \
         read its answers."
    );
    describe_counter!(
        "impg_tls_reloads_total",
        "Changed certificate files read again, by outcome: done or failed."
    );
    describe_gauge!(
        "impg_tls_certificate_expiry_timestamp_seconds",
        "When the certificate for callers, or one between it and its authority, expires: seconds since 1970. Only with TLS."
    );
    describe_gauge!(
        "impg_ready",
        "1 while /readyz says that the replica is ready, 0 while it is not. Updated every 5 s."
    );
    describe_counter!("impg_spans_exported_total", "Spans that the collector of traces_url took.");
    describe_counter!(
        "impg_spans_dropped_total",
        "Spans that are lost, by reason. queue: traces_queue were waiting; unavailable: the collector was away or busy; \
         refused: it did not take them."
    );
    describe_counter!(
        "impg_requests_shed_total",
        "Requests refused because requests_max were at work, or connections_max of HTTP/2 without a whole answer."
    );
    describe_counter!(
        "impg_rate_limited_total",
        "Requests refused because their caller sends too many, by policy: user or machine."
    );
    describe_counter!("impg_sends_total", "Messages sent, by result: accepted or refused.");
    describe_histogram!("impg_send_commit_seconds", "Seconds to commit a batch of sends.");
    describe_histogram!("impg_send_batch_size", "Sends in one commit.");
    describe_counter!("impg_receipts_total", "Receipts accepted.");
    describe_counter!("impg_receipts_advanced_total", "Receipts that advanced a status or a read cursor.");
    describe_counter!("impg_searches_total", "Pages of a message search answered.");
    describe_gauge!("impg_streams", "Event streams open on this replica, sockets among them.");
    describe_gauge!("impg_sockets", "Sockets open on this replica, by kind: im.v1 or im.v0.");
    describe_counter!(
        "impg_sockets_ended_total",
        "Sockets ended, by why. closed: by the client or the network; silent: nothing came from the client; slow: it \
         read too slowly; fault: it sent what no socket takes; gone, aged, stopping, broken: as streams end."
    );
    describe_counter!(
        "impg_socket_requests_total",
        "Requests over sockets answered, by method and status. Of im.v0 the status is the errno."
    );
    describe_counter!("impg_stream_events_total", "Events sent to at least one stream.");
    describe_counter!("impg_stream_resyncs_total", "Streams whose client was told to reload, by reason.");
    describe_counter!("impg_jwks_failures_total", "Failed requests for the keys of jwt_jwks_url.");
}

fn describe_delivery() {
    describe_histogram!(
        "impg_callback_seconds",
        "Seconds from the POST of a batch to its answer, by kind and endpoint."
    );
    describe_counter!(
        "impg_callback_failures_total",
        "Batches that failed as a whole, by endpoint and error."
    );
    describe_counter!("impg_callback_breaker_opened_total", "Times a circuit breaker opened.");
    describe_counter!("impg_callback_disabled_total", "Observers disabled after too many failures or a 410.");
    describe_counter!(
        "impg_callback_stale_connections_total",
        "POSTs repeated at once because the endpoint had closed the kept connection."
    );
    describe_histogram!("impg_gate_seconds", "Seconds of a question to the gate, with its wait.");
    describe_counter!("impg_gate_verdicts_total", "Verdicts of the gate: allow, refuse or replace.");
    describe_counter!(
        "impg_gate_unanswered_total",
        "Messages for which the gate gave no answer that counts: its own rule decided."
    );
    describe_counter!("impg_gate_failures_total", "The same, by reason.");
    describe_counter!("impg_gateway_changes_total", "Changes of the gateway's endpoint by any replica.");
    describe_counter!("impg_push_pairs_total", "(message, receiver) pairs answered, by verdict.");
    describe_counter!("impg_push_stale_total", "Answers that came after another worker took the batch over.");
    describe_counter!("impg_push_dead_batches_total", "Batches that became dead letters.");
    describe_gauge!(
        "impg_push_backlog_pairs",
        "(message, receiver) pairs waiting for the gateway. Updated every 30 s."
    );
    describe_gauge!("impg_push_backlog_age_seconds", "Age of the oldest waiting push. Updated every 30 s.");
    describe_gauge!("impg_push_dead_letters", "Dead letters of the gateway. Updated every 30 s.");
    describe_counter!("impg_urgent_pushes_total", "Urgent pushes after the first one.");
    describe_counter!("impg_urgent_over_total", "Receivers with too many urgent messages for one more.");
    describe_counter!(
        "impg_urgent_undecided_total",
        "Urgent pushes sent as normal ones because the receivers' urgent messages were not counted in time."
    );
    describe_counter!("impg_reminders_total", "Users who missed messages, named to observers.");
    describe_counter!("impg_events_sequenced_total", "Events written to the event log.");
    describe_counter!(
        "impg_events_undelivered_total",
        "Events that became too old before an observer received them."
    );
    describe_counter!(
        "impg_presence_gateways_gone_total",
        "Gateway instances that were silent for too long."
    );
}

fn describe_data() {
    describe_counter!("impg_directory_runs_total", "Directory runs ended, by outcome: done or failed.");
    describe_gauge!(
        "impg_directory_age_seconds",
        "Seconds since the last run that followed the whole directory or its changes. Updated every 30 s."
    );
    describe_counter!("impg_directory_edits_total", "Attempts to write an edit to the source, by outcome.");
    describe_counter!("impg_indexed_messages_total", "Messages written to the search index.");
    describe_counter!("impg_index_refused_total", "Messages that the archive refused to index.");
    describe_gauge!("impg_index_lag_seconds", "Age of the oldest message not indexed. Updated every 30 s.");
    describe_gauge!("impg_index_backlog_commits", "Commits waiting for the index. Updated every 30 s.");
    describe_counter!(
        "impg_archive_requests_shed_total",
        "Requests refused because archive_requests_max waited for the archive."
    );
    describe_counter!("impg_archive_runs_total", "Archive runs ended, by outcome: done or failed.");
    describe_counter!("impg_archive_steps_total", "Steps of days moving into the archive, by step.");
    describe_counter!("impg_archive_messages_moved_total", "Messages moved into the archive.");
    describe_counter!("impg_archive_ledger_rows_moved_total", "Ledger rows moved into the archive.");
    describe_counter!(
        "impg_archive_verify_failures_total",
        "Days that stay in PostgreSQL because the archive does not hold what was written."
    );
    describe_counter!("impg_archive_gaps_total", "Reads that found messages missing in the archive.");
    describe_gauge!(
        "impg_archive_horizon_age_seconds",
        "Age of the horizon: what is older is in the archive alone. Updated every 30 s."
    );
    describe_gauge!("impg_archive_alarm", "1 while the archive run is overdue or failed, by alarm.");
    describe_gauge!(
        "impg_receipts_pending",
        "Receipts of sealed or cold messages that wait for the archive. Updated every 30 s."
    );
    describe_gauge!(
        "impg_reads_pending",
        "Reads that wait to be written into the ledger. Updated every 30 s."
    );
    describe_counter!(
        "impg_outbox_held_up_total",
        "Late changes of cold messages that could not be applied."
    );
}

fn describe_files() {
    describe_counter!("impg_file_stored_bytes_total", "Bytes of uploads written to the file store.");
    describe_counter!("impg_files_removed_total", "Files removed: expired, unused or deleted.");
    describe_counter!(
        "impg_file_orphans_removed_total",
        "Objects of the file store removed that no file has."
    );
    describe_counter!(
        "impg_file_objects_missing_total",
        "Objects that the file store lacks though a file has them."
    );
}

fn describe_database() {
    describe_gauge!("impg_build_info", "1, with the version that runs.");
    describe_gauge!(
        "impg_database_connections",
        "Pooled connections, by state: open, idle or waited_for. Read at each scrape."
    );
    describe_counter!("impg_database_restored_total", "Restores of the database that the service noticed.");
    describe_gauge!(
        "impg_background_share",
        "The share of its time that background work gets, from 0.1 to 1. Below 1 it gives way to sends."
    );
    describe_gauge!(
        "impg_background_rest_seconds",
        "Time that background work has rested since the start, by work."
    );
    describe_gauge!("impg_partitions", "Partitions of the messages in PostgreSQL.");
    describe_gauge!(
        "impg_lock_room_share",
        "Locks that the replica may need, as a share of the server's. Above 1: see database_pool_size."
    );
    describe_counter!(
        "impg_standby_reads_total",
        "Reads that may go to the standby, by result: standby, or behind, away or failed: answered by the primary."
    );
    describe_gauge!("impg_standby_used", "1 while reads go to the standby, 0 while all go to the primary.");
    describe_gauge!("impg_standby_lag_seconds", "How long the standby takes to have what the primary has.");
    describe_counter!(
        "impg_notification_receivers_total",
        "Receivers of notifications, by result: sent, failed or recalled."
    );
    describe_counter!(
        "impg_notification_failures_total",
        "Failed steps of notifications, by result: retried or given_up."
    );
    describe_counter!("impg_worker_failures_total", "Failed steps of background workers, by worker.");
}
