//! (a) Ledger rows a second moved: sealed, written, verified, switched, dropped. (e) Their bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use im_push_gateway::archive::embedded::Embedded;
use im_push_gateway::archive::index::Bound;
use im_push_gateway::archive::mover::{self, Archiver};
use im_push_gateway::archive::{Archive, Document, Find, Group, Ledger, Order, Parts};
use im_push_gateway::base::config::Config;
use im_push_gateway::base::number::MsId;
use im_push_gateway::base::worker::{Tick, Work};
use tempfile::TempDir;

use super::aged::{self, Aged, MEMBERS};
use super::raw::Raw;
use super::report::{Figure, Report, count};
use super::{Bench, world};

const RAW_TARGET: f64 = 0.8;
const RECEIVER_TARGET: f64 = 20.0;
const BYTES_TARGET: f64 = 0.1;
/// Documents of one receiver that are written, to know the rate of all.
const SINGLES: usize = 100_000;
/// No limit; nobody reads, so nobody is waited for.
const QUICK: &str = "archive_rows_per_second = 0\nrequest_timeout_ms = 1\narchive_drop_grace_ms = 2\n\
                     archive_schedule = \"0 0 29 2 *\"\n";
const LOOK: Duration = Duration::from_millis(1);

pub async fn measure(bench: &Bench, report: &mut Report) {
    let aged = Aged::open(bench).await;
    let raw = Raw::new(bench);
    // The first warms both servers up, and every cache.
    for (days_ago, name) in [(60, "warm"), (50, "one"), (49, "two")] {
        let rows = if name == "warm" { bench.rows / 4 } else { bench.rows };
        let partition = aged::fill(&aged.world, &aged.groups, days_ago, rows).await;
        let hot = hot_bytes(&aged.world, &partition).await;
        let config = aged.config(bench, "move", QUICK);
        let archive = aged::elastic(&config);
        let moved = day_moves(&config, archive.clone()).await;
        let documents = documents_of(&*archive, &aged.world, days_ago).await;
        let beside = format!("raw-{name}");
        let other = aged::elastic(&aged.config(bench, &beside, ""));
        let by_hand = raw.bulk(&*other, &beside, &documents).await;
        let begun = Instant::now();
        let plain = aged::elastic(&aged.config(bench, &format!("plain-{name}"), ""));
        plain.write(&documents).await.expect("documents are written");
        let by_write = begun.elapsed().as_secs_f64();
        if name != "warm" {
            compare(report, name, moved, rows, [by_hand, by_write]);
        }
        if name == "two" {
            receivers(bench, &aged, &raw, (&documents, moved, rows), report).await;
            sizes(&raw, &beside, hot, (&documents, rows), report).await;
        }
        for index in [beside, format!("plain-{name}")] {
            raw.forget(&index).await;
        }
    }
    raw.forget("move").await;
    aged.world.close().await;
}

fn compare(report: &mut Report, name: &str, moved: f64, rows: i64, [by_hand, by_write]: [f64; 2]) {
    let rows = rows as f64;
    report.add(
        Figure::new(
            format!("(a) ledger rows moved, day {name}"),
            format!("{} rows/s ({moved:.1} s)", count(rows / moved)),
        )
        .beside(format!("{} rows/s in bulk by hand", count(rows / by_hand)), by_hand / moved)
        .target(format!("{RAW_TARGET:.2}"), by_hand / moved >= RAW_TARGET),
    );
    report.add(
        Figure::new("    … beside Archive::write alone", format!("{} rows/s", count(rows / moved)))
            .beside(format!("{} rows/s", count(rows / by_write)), by_write / moved),
    );
}

/// From the asking to the end of the run; seconds.
async fn day_moves(config: &Config, archive: Arc<impl Archive + 'static>) -> f64 {
    let store = aged::store(config);
    let bound = Arc::new(Bound::new(store.clone(), archive));
    let archiver = Archiver::new(store.clone(), bound, config).expect("an archiver");
    let now = store.now().await.expect("a clock");
    let begun = Instant::now();
    mover::ask(&store, "hand", now).await.expect("a run");
    loop {
        let tick = match archiver.tick().await {
            // Elasticsearch answers 503 while the shard of a new index starts.
            Err(error) if error.is_unavailable() => Tick::Idle,
            tick => tick.expect("a step"),
        };
        let run = mover::runs(&store, i64::MAX, 1).await.expect("runs").pop().expect("a run");
        if let Some(outcome) = run.outcome {
            assert_eq!(outcome.as_str(), "done", "{:?}", run.doing);
            break;
        }
        if std::env::var_os("ARCHIVE_BENCH_STEPS").is_some() {
            eprintln!("    {:.2} s: {}", begun.elapsed().as_secs_f64(), run.doing.unwrap_or_default());
        }
        if tick == Tick::Idle {
            tokio::time::sleep(LOOK).await;
        }
    }
    let moved = begun.elapsed().as_secs_f64();
    archiver.release().await.expect("the lease is given back");
    moved
}

async fn documents_of(archive: &dyn Archive, world: &world::World<'_>, days_ago: i32) -> Vec<Document> {
    let bound = |days: i32| {
        format!(
            "SELECT im_first_ms_id(((now() AT TIME ZONE 'UTC')::date - {days})::timestamp AT TIME ZONE 'UTC')"
        )
    };
    let find = Find {
        from: MsId(world.number(&bound(days_ago)).await),
        below: MsId(world.number(&bound(days_ago - 1)).await),
        parts: Parts::All,
        order: Order::Oldest,
        ..Find::newest(100)
    };
    let mut all: Vec<Document> = Vec::new();
    loop {
        let after = all.last().map(|d| (d.ms_id, d.part));
        let some = archive.find(&Find { after, ..find.clone() }).await.expect("what was moved");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The same with a document for every receiver, as far as it takes to know the rate.
async fn receivers(
    bench: &Bench,
    aged: &Aged<'_>,
    raw: &Raw,
    (documents, moved, rows): (&[Document], f64, i64),
    report: &mut Report,
) {
    let mut singles = Vec::with_capacity(SINGLES);
    'all: for document in documents {
        let ledger = document.ledger.as_ref().expect("moved with its ledger");
        for (name, group) in ledger.groups() {
            for (who, at) in group.receivers.iter().zip(&group.after_us) {
                let one = Group { receivers: vec![who.clone()], after_us: vec![*at], reasons: Vec::new() };
                let ledger = match name {
                    "read" => Ledger { read: one, ..Ledger::default() },
                    "received" => Ledger { received: one, ..Ledger::default() },
                    _ => Ledger { offline: one, ..Ledger::default() },
                };
                let version = singles.len() as i64;
                singles.push(Document { version, ledger: Some(ledger), ..document.clone() });
                if singles.len() == SINGLES {
                    break 'all;
                }
            }
        }
    }
    let archive = aged::elastic(&aged.config(bench, "single", ""));
    let took = raw.bulk(&*archive, "single", &singles).await;
    let (ours, theirs) = (rows as f64 / moved, singles.len() as f64 / took);
    report.add(
        Figure::new(
            format!("(a) beside a document a receiver, {MEMBERS} members"),
            format!("{} rows/s", count(ours)),
        )
        .beside(format!("{} rows/s in bulk by hand", count(theirs)), ours / theirs)
        .target(format!("{RECEIVER_TARGET} x"), ours / theirs >= RECEIVER_TARGET),
    );
    raw.forget("single").await;
}

async fn hot_bytes(world: &world::World<'_>, day: &str) -> f64 {
    let sql = format!("SELECT pg_total_relation_size('t_im_ledger_p{day}')");
    world.number(&sql).await as f64
}

async fn sizes(raw: &Raw, index: &str, hot: f64, (documents, rows): (&[Document], i64), report: &mut Report) {
    let hot = hot / rows as f64;
    let elastic = raw.merged_bytes(index).await / rows as f64;
    let folder = TempDir::new().expect("a folder");
    let embedded = Embedded::open(folder.path()).expect("an archive");
    for some in documents.chunks(100) {
        embedded.write(some).await.expect("documents are written");
    }
    drop(embedded);
    let files = std::fs::read_dir(folder.path()).expect("our folder").flatten();
    let bytes: u64 = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    for (name, cold) in [("Elasticsearch", elastic), ("embedded, unmerged", bytes as f64 / rows as f64)] {
        report.add(
            Figure::new(format!("(e) bytes per ledger row, {name}"), format!("cold {cold:.1}"))
                .beside(format!("hot {hot:.1} with its index"), cold / hot)
                .target(format!("{BYTES_TARGET}"), cold / hot <= BYTES_TARGET),
        );
    }
}
