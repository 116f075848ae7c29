//! `make bench`, third part: how soon observers, the gateway and streams are told, what it costs the
//! database, and what endpoints that are dead do to the others.
//!
//! `cargo bench --bench events -- a c` runs only those sections. Each has a database and a service
//! process of its own. `EVENTS_BENCH_SECONDS` is the length of each timed run, `EVENTS_BENCH_RATES=50,200`
//! are the messages a second of (a), `EVENTS_BENCH_TOLD` those that every endpoint of (c) is told of, and
//! `EVENTS_BENCH_STREAMS` the streams of (d); `BENCH_POSTGRES='key=value;…'` sets more of the server.
//! Nothing is asserted while anything is timed.

mod dead;
// What is shared with the first part is used here in parts.
#[allow(dead_code)]
#[path = "../ledger/http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../ledger/load.rs"]
mod load;
#[allow(dead_code)]
#[path = "../ledger/report.rs"]
mod report;
mod statements;
mod streams;
#[path = "../../tests/support/mod.rs"]
mod support;
mod takers;
mod telling;
#[allow(dead_code)]
#[path = "../ledger/world.rs"]
mod world;

use std::time::{Duration, Instant};

use report::Report;
use support::Cluster;

/// As in the other parts; and what counts statements.
const SERVER: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "lz4"),
    ("pg_stat_statements.track", "top"),
];
const SECONDS: u64 = 10;
const RATES: &str = "50,200,1000,5000";
const TOLD: usize = 2;
const STREAMS: usize = 1_000;

/// The server, and how much of everything.
pub struct Bench {
    pub cluster: Cluster,
    /// Of each timed run.
    pub length: Duration,
    /// Messages a second of (a).
    pub rates: Vec<usize>,
    /// Messages a second that each endpoint of (c) is told of.
    pub told: usize,
    pub streams: usize,
}

fn main() {
    // One thread for the load; endpoints and listeners have theirs, so that a burst of sends makes none late.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    let begun = Instant::now();
    let sections: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |section: &str| sections.is_empty() || sections.iter().any(|s| s == section);
    let profiling = std::env::var("BENCH_POSTGRES").unwrap_or_default();
    let mut server = SERVER.to_vec();
    server.extend(profiling.split(';').filter_map(|setting| setting.split_once('=')));
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let rates = std::env::var("EVENTS_BENCH_RATES").unwrap_or_else(|_| RATES.to_owned());
    let bench = Bench {
        cluster: Cluster::start_with(&server),
        length: Duration::from_secs(number("EVENTS_BENCH_SECONDS").map_or(SECONDS, |n| n as u64)),
        rates: rates.split(',').map(|n| n.trim().parse().expect("EVENTS_BENCH_RATES=n,n")).collect(),
        told: number("EVENTS_BENCH_TOLD").unwrap_or(TOLD),
        streams: number("EVENTS_BENCH_STREAMS").unwrap_or(STREAMS),
    };
    let mut report = Report::default();
    if wanted("a") {
        telling::measure(&bench, &mut report).await;
    }
    if wanted("b") {
        statements::measure(&bench, &mut report).await;
    }
    if wanted("c") {
        dead::measure(&bench, &mut report).await;
    }
    if wanted("d") {
        streams::measure(&bench, &mut report).await;
    }
    conditions(&bench, &mut report, begun).await;
    report.print();
}

async fn conditions(bench: &Bench, report: &mut Report, begun: Instant) {
    let sql = bench.cluster.connect("postgres").await;
    let version: String = sql.query_one("SHOW server_version", &[]).await.expect("a version").get(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let settings: Vec<String> = SERVER.iter().map(|(key, value)| format!("{key} {value}")).collect();
    report.note(format!(
        "Conditions: {cores} cores shared by load, service, endpoints and PostgreSQL {version} (fsync on, {}); every \
         setting of the service at its default but identity mode headers; sends at a steady pace whether or not the \
         service keeps up, {:.0} s each; a delay counts from the message's server_time, which is minted before its \
         commit, to the last byte of the POST at the endpoint's socket, on one clock; load of the machine at the \
         end {}; the whole run took {:.0} s.",
        settings.join(", "),
        bench.length.as_secs_f64(),
        load_average(),
        begun.elapsed().as_secs_f64()
    ));
}

/// Of the last minute: what else this machine does is part of every figure.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
