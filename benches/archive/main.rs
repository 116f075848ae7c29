//! `make bench`, second part: the move into the archive, reading and searching after it, and the console's search in
//! Chromium, on a real PostgreSQL and a real Elasticsearch.
//!
//! `cargo bench --bench archive -- a d` runs only those sections. What is compared is measured in one run,
//! one after the other, so that what else this machine does falls on both. `ARCHIVE_BENCH_MESSAGES=1000000,5000000`
//! are the sizes of (b) and (c), `ARCHIVE_BENCH_ROWS=1000000` the ledger rows of the day of (a), (d) and (e).
//! Nothing is asserted.

mod aged;
mod corpus;
// What is shared with the other part is used here in parts.
#[allow(dead_code)]
#[path = "../ledger/http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../ledger/load.rs"]
mod load;
mod moving;
mod painting;
mod raw;
mod reading;
#[path = "../ledger/report.rs"]
mod report;
mod sending;
#[path = "../../tests/support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../ledger/world.rs"]
mod world;

use std::time::Instant;

use http::Receiver;
use report::Report;
use support::{Cluster, Elastic};

/// As in the other part.
const SERVER: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "lz4"),
];
const ROWS: i64 = 1_000_000;
const SIZES: &str = "1000000,5000000";

/// The servers, and what is written about them.
pub struct Bench {
    pub cluster: Cluster,
    pub elastic: Elastic,
    pub receiver: Receiver,
    /// Ledger rows of an aged day.
    pub rows: i64,
    pub sizes: Vec<i64>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    let begun = Instant::now();
    let sections: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |section: &str| sections.is_empty() || sections.iter().any(|s| s == section);
    let Some(elastic) = Elastic::start() else {
        return;
    };
    let variable = |name: &str| std::env::var(name).ok();
    let sizes = variable("ARCHIVE_BENCH_MESSAGES").unwrap_or_else(|| SIZES.to_owned());
    let bench = Bench {
        cluster: Cluster::start_with(SERVER),
        elastic,
        receiver: Receiver::start().await,
        rows: variable("ARCHIVE_BENCH_ROWS").and_then(|n| n.parse().ok()).unwrap_or(ROWS),
        sizes: sizes.split(',').map(|n| n.trim().parse().expect("ARCHIVE_BENCH_MESSAGES=n,n")).collect(),
    };
    let mut report = Report::default();
    if wanted("a") || wanted("e") {
        moving::measure(&bench, &mut report).await;
    }
    if wanted("b") || wanted("c") {
        reading::measure(&bench, &mut report).await;
    }
    if wanted("d") {
        sending::measure(&bench, &mut report).await;
    }
    if wanted("f") {
        painting::measure(&bench, &mut report).await;
    }
    conditions(&bench, &mut report, begun).await;
    report.print();
}

async fn conditions(bench: &Bench, report: &mut Report, begun: Instant) {
    let sql = bench.cluster.connect("postgres").await;
    let version: String = sql.query_one("SHOW server_version", &[]).await.expect("a version").get(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    report.note(format!(
        "Conditions: {cores} cores shared by the bench, PostgreSQL {version} (fsync on) and Elasticsearch (one node, \
         no replicas, a heap of 512 MB, C1 only, as the tests start it); (a), (b), (c) and (e) run in the process of the \
         bench, (d) and (f) on the service as a process of its own; the whole run took {:.0} s.",
        begun.elapsed().as_secs_f64()
    ));
}
