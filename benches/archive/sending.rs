//! (d) Sends while a day moves, and while somebody reads on through its switch and drop.

use std::time::Duration;

use super::Bench;
use super::aged::{self, GROUPS};
use super::http::Request;
use super::load::{Load, Work, paced};
use super::report::{Figure, Report, spread};
use super::world::World;

const SENDERS: i32 = 16;
const RATE: f64 = 100.0;
const QUIET: Duration = Duration::from_secs(20);
/// How long the reader's transaction stays open.
const READER: &str = "SELECT pg_sleep(5)";
const LOOK: Duration = Duration::from_millis(20);
const TARGET: f64 = 1.3;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let elastic = bench.elastic.url();
    let settings = [
        ("archive_url", elastic.as_str()),
        ("archive_index", "send"),
        ("archive_replicas", "0"),
        ("request_timeout_ms", "2000"),
        ("archive_drop_grace_ms", "2001"),
        ("archive_schedule", "0 0 29 2 *"),
    ];
    let world = World::open_with(&bench.cluster, &bench.receiver.url(), &settings).await;
    let groups = aged::people(&world).await;
    assert_eq!(groups.len() as i64, GROUPS);
    let directs = world.directs(SENDERS, 1).await;
    world.settle_down().await;
    let work = || -> Vec<Work> {
        let one =
            |(n, channels): (usize, &Vec<i64>)| vec![Request::send(channels[0], &format!("u{:07}", n + 1))];
        directs.iter().enumerate().map(one).collect()
    };
    // What is new is slow: connections, statements, the archive's first index.
    paced(world.address(), work(), QUIET / 4, RATE).await.or_panic("sends");
    let mut quiet = paced(world.address(), work(), QUIET, RATE).await.or_panic("sends");
    let quiet_p99 = quiet.percentile(0.99);
    for (name, days_ago, reader) in [
        ("while a day moves", 50, false),
        ("… and a reader holds on for 5 s at the switch and drop", 49, true),
    ] {
        aged::fill(&world, &groups, days_ago, bench.rows).await;
        let mut again = paced(world.address(), work(), QUIET, RATE).await.or_panic("sends");
        let mut moving = while_moving(&world, work(), reader).await;
        let p99 = moving.percentile(0.99);
        let beside = again.percentile(0.99).max(quiet_p99);
        report.add(
            Figure::new(format!("(d) send, {name}"), spread(&mut moving))
                .beside(format!("without, before it: {}", spread(&mut again)), p99 / again.percentile(0.99))
                .target(format!("{TARGET} x"), p99 <= TARGET * beside),
        );
    }
    report.note(format!(
        "(d) {RATE} sends a second of {SENDERS} senders into direct channels, evenly, a latency counting from when the send \
         was due; the day has {} ledger rows and moves at the default archive_rows_per_second; without a move p99 was {quiet_p99:.1} ms at first.",
        super::report::count(bench.rows as f64)
    ));
    super::raw::Raw::new(bench).forget("send").await;
    world.close().await;
}

/// Sends from the asking until the run has ended; with a reader, from the verification on.
async fn while_moving(world: &World<'_>, work: Vec<Work>, reader: bool) -> Load {
    let sql = world.cluster.connect(&world.database).await;
    sql.execute("INSERT INTO t_im_archive_run (asked_by, asked_at) VALUES ('hand', now())", &[])
        .await
        .expect("a run");
    let mut holding = None;
    if reader {
        until(
            &sql,
            "SELECT EXISTS (SELECT FROM t_im_archive_day WHERE step IN ('written', 'verified', 'switched'))",
        )
        .await;
        let client = world.cluster.connect(&world.database).await;
        let read =
            "BEGIN; SELECT count(*) FROM t_im_message; SELECT count(*) FROM t_im_ledger WHERE ms_id = 0";
        client.batch_execute(read).await.expect("a reader");
        holding = Some(tokio::spawn(async move {
            client.batch_execute(READER).await.expect("a reader");
            client.batch_execute("COMMIT").await.expect("a reader");
        }));
    }
    let mut all = Load::default();
    loop {
        // A second at a time, as nobody knows how long it takes.
        let work = clone(&work);
        let some = paced(world.address(), work, Duration::from_secs(5), RATE).await.or_panic("sends");
        all.latencies.extend(some.latencies);
        let row = sql
            .query_one("SELECT NOT EXISTS (SELECT FROM t_im_archive_run WHERE ended_at IS NULL)", &[])
            .await;
        if row.expect("the run").get(0) {
            break;
        }
    }
    if let Some(holding) = holding {
        holding.await.expect("a reader");
    }
    all
}

fn clone(work: &[Work]) -> Vec<Work> {
    work.iter().map(|requests| requests.to_vec()).collect()
}

async fn until(sql: &tokio_postgres::Client, question: &str) {
    while !sql.query_one(question, &[]).await.expect("an answer").get::<_, bool>(0) {
        tokio::time::sleep(LOOK).await;
    }
}
