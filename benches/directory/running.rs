//! (a) Everybody, beside the same rows by hand. (b) What has changed, beside everybody.

use std::time::{Duration, Instant};

use super::report::{Figure, Report, count};
use super::support::Hr;
use super::world::World;
use super::{Bench, person, raw};

/// One in a thousand.
const CHANGED: usize = 1_000;
const RAW_TARGET: f64 = 0.4;
const CHANGED_TARGET: f64 = 10.0;
const MEMORY_TARGET: f64 = 200.0;
/// The words of this many people are put down meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(5);

pub async fn measure(bench: &Bench, report: &mut Report) {
    let hr = bench.hr().await;
    let world = open(bench, &hr).await;
    let raw = {
        let world = World::open(&bench.cluster, &bench.receiver).await;
        let took = raw::write(bench, &world.sql).await;
        world.close().await;
        took
    };
    world.watch_memory();
    let first = run(&world, "full").await;
    let memory = world.memory_peak();
    let rate = |took: Duration| bench.people as f64 / took.as_secs_f64();
    let ratio = raw.as_secs_f64() / first.as_secs_f64();
    report.add(
        Figure::new(
            format!(
                "(a) full run, {} new people in {} departments",
                count(bench.people as f64),
                count(bench.departments as f64)
            ),
            format!("{:.1} s, {} people a second", first.as_secs_f64(), count(rate(first))),
        )
        .beside(format!("COPY and MERGE by hand: {:.1} s", raw.as_secs_f64()), ratio)
        .target(format!("{RAW_TARGET}"), ratio >= RAW_TARGET),
    );
    report.add(
        Figure::new("(a) most memory of the service during it", format!("{memory:.0} MB"))
            .target(format!("{MEMORY_TARGET:.0} MB"), memory < MEMORY_TARGET),
    );
    let again = run(&world, "full").await;
    {
        let mut books = hr.books();
        for n in (0..bench.people).step_by(CHANGED) {
            books.put(person(bench, n, 1));
        }
    }
    let changed = run(&world, "incremental").await;
    for (name, full) in [("the first full run", first), ("a full run that changes nobody", again)] {
        let ratio = full.as_secs_f64() / changed.as_secs_f64();
        report.add(
            Figure::new(
                format!("(b) incremental run, 0.1 % changed, beside {name}"),
                format!("{:.0} ms", changed.as_secs_f64() * 1e3),
            )
            .beside(format!("{:.1} s", full.as_secs_f64()), ratio)
            .target(format!("{CHANGED_TARGET:.0} x faster"), ratio >= CHANGED_TARGET),
        );
    }
    world.close().await;
}

pub async fn open<'a>(bench: &'a Bench, hr: &Hr) -> World<'a> {
    let pairs = hr.pairs();
    let mut settings: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    settings.push(("directory_page_size", "2000"));
    World::open_with(&bench.cluster, &bench.receiver.url(), &settings).await
}

/// How long a run takes, from the asking to its end.
pub async fn run(world: &World<'_>, mode: &str) -> Duration {
    let desk =
        super::support::Client::new(&format!("{}/api/v1", world.service.url()), "desk", &["directory"]);
    let begun = Instant::now();
    let asked = desk.post("/directory/sync", serde_json::json!({"mode": mode})).await.expect(202);
    let run_id = asked["run_id"].as_str().expect("a run").to_owned();
    loop {
        let sql = "SELECT state FROM t_im_directory_run WHERE run_id = $1::text::bigint";
        let row = world.sql.query_one(sql, &[&run_id]).await.expect("the run");
        match row.get(0) {
            "done" => return begun.elapsed(),
            "failed" | "held" => panic!("the run does not go through"),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// How long it takes until everybody can be found.
pub async fn words_are_down(world: &World<'_>) -> Duration {
    let begun = Instant::now();
    let due = "SELECT count(*) FROM (SELECT FROM t_im_user WHERE words_due LIMIT 1) AS due";
    while world.number(due).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "the words are not put down");
        tokio::time::sleep(LOOK * 40).await;
    }
    begun.elapsed()
}
