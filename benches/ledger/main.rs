//! `make bench`: what the ledger does, beside the same rows written by hand-made SQL.
//!
//! One run, one server, one after the other, so that what else this machine does falls on both.
//! `cargo bench --bench ledger -- a d` runs only those sections. Each has a database and a service
//! process of its own. `BENCH_POSTGRES='key=value;…'` sets more of the server, to see why a figure is
//! as it is (`session_preload_libraries=auto_explain;…`). `BENCH_SETTINGS` sets more of the service, to try a setting.
//! All timing is done before anything is asserted.

mod acks;
mod conversations;
mod direct;
mod group;
mod hot;
mod http;
mod load;
mod notify;
mod raw;
mod report;
mod sign_ins;
#[path = "../../tests/support/mod.rs"]
mod support;
mod world;

use std::time::{Duration, Instant};

use http::Receiver;
use report::Report;
use support::Cluster;
use world::{POOL, World};

/// Of a machine that has this much to do; for hand-made SQL and the service alike.
const SERVER: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "lz4"),
    // What the statements of a send cost the server.
    ("pg_stat_statements.track", "top"),
];
const IDLE_TARGET: f64 = 64.0;
/// After its start, a service has this long to come to rest.
const REST: Duration = Duration::from_secs(3);
/// For a run of (c) without (a): the peak is then not known.
const PEAK_UNKNOWN: f64 = 4_000.0;

fn main() {
    // One thread for load and receiver: what they take, service and database have not.
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
    let cluster = Cluster::start_with(&server);
    let receiver = Receiver::start().await;
    let mut report = Report::default();
    let mut peak = PEAK_UNKNOWN;
    if wanted("a") {
        let world = World::open(&cluster, &receiver).await;
        peak = direct::measure(&world, &mut report).await;
        world.close().await;
    }
    if wanted("b") || wanted("e") {
        let world = World::open(&cluster, &receiver).await;
        tokio::time::sleep(REST).await;
        report.add(group::memory("(e) memory, idle", world.memory(), IDLE_TARGET));
        group::large(&world, &mut report).await;
        world.close().await;
    }
    if wanted("c") {
        let world = World::open(&cluster, &receiver).await;
        acks::measure(&world, peak, &mut report).await;
        world.close().await;
    }
    if wanted("d") {
        let world = World::open(&cluster, &receiver).await;
        conversations::measure(&world, &mut report).await;
        world.close().await;
    }
    if wanted("f") {
        let world = World::open(&cluster, &receiver).await;
        group::busy(&world, &mut report).await;
        world.close().await;
    }
    if wanted("g") {
        let world = World::open(&cluster, &receiver).await;
        hot::bytes(&world, &mut report).await;
        world.close().await;
        let world = World::open(&cluster, &receiver).await;
        hot::message(&world, &mut report).await;
        world.close().await;
    }
    if wanted("h") {
        let world = World::open(&cluster, &receiver).await;
        hot::snapshot(&world, &mut report).await;
        world.close().await;
    }
    if wanted("i") {
        let world = World::open(&cluster, &receiver).await;
        notify::measure(&world, &mut report).await;
        world.close().await;
    }
    if wanted("j") {
        let world = World::open_with(&cluster, &receiver.url(), sign_ins::SETTINGS).await;
        sign_ins::measure(&world, &mut report).await;
        world.close().await;
    }
    conditions(&cluster, &mut report, begun).await;
    report.print();
}

async fn conditions(cluster: &Cluster, report: &mut Report, begun: Instant) {
    let sql = cluster.connect("postgres").await;
    let version: String = sql.query_one("SHOW server_version", &[]).await.expect("a version").get(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let settings: Vec<String> = SERVER.iter().map(|(key, value)| format!("{key} {value}")).collect();
    report.note(format!(
        "Conditions: {cores} cores shared by load, service, receiver and PostgreSQL {version} (fsync on, {}); \
         identity mode headers, pool of {POOL} connections, every other setting at its default; a live callback \
         answers that everybody received; load and receiver are one thread of plain HTTP/1.1, connections kept, \
         one request at a time on each; the whole run took {:.0} s.",
        settings.join(", "),
        begun.elapsed().as_secs_f64()
    ));
}
