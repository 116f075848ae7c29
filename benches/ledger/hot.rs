//! (g) What a receiver and a message cost on the disk while they are hot, and (h) sends while a reader holds a snapshot.

use std::time::{Duration, Instant};

use super::direct::{drain_time, seeded, work};
use super::http::Request;
use super::load::closed;
use super::report::{Figure, Report, count};
use super::world::World;

const MEMBERS: i32 = 200;
const MESSAGES: usize = 200;
const READERS: i32 = 100;
const BYTES_TARGET: f64 = 12.0;
/// Direct messages of each sender.
const EACH: usize = 1_000;
const WRITTEN: Duration = Duration::from_secs(60);
const FOREVER: Duration = Duration::from_secs(600);
const SENDERS: usize = 64;
const THIRD: Duration = Duration::from_secs(6);
const HELD_TARGET: f64 = 0.95;

/// A group of 200: received by all, read by half of them, one message after another.
pub async fn bytes(world: &World<'_>, report: &mut Report) {
    world.people(MEMBERS).await;
    let group = world.group(MEMBERS).await;
    world.settle_down().await;
    let sends = vec![vec![Request::send(group, "u0000001")]];
    closed(world.address(), sends, FOREVER, MESSAGES).await.or_panic("sends");
    drain_time(world, report).await;
    let path = format!("/channels/{group}/read");
    let reads = (2..2 + READERS).map(|reader| {
        let body = |seq| format!(r#"{{"seq":{seq}}}"#);
        (1..=MESSAGES).map(|seq| Request::post(&path, &format!("u{reader:07}"), &body(seq))).collect()
    });
    closed(world.address(), reads.collect(), FOREVER, MESSAGES).await.or_panic("reads");
    let started = Instant::now();
    while world.number("SELECT count(*) FROM t_im_read").await > 0 && started.elapsed() < WRITTEN {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let size = "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 't_im_ledger'::regclass";
    let receivers = (MESSAGES as i32 * (MEMBERS - 1)) as f64;
    let each = world.number(size).await as f64 / receivers;
    let read = world.number("SELECT coalesce(sum(bit_count(read)), 0)::bigint FROM t_im_ledger").await;
    assert_eq!(read, i64::from(READERS) * MESSAGES as i64, "(g): every read is in the ledger");
    report.add(
        Figure::new("(g) hot bytes a receiver, group of 200", format!("{each:.1}"))
            .beside("a row a receiver: 207", each / 207.0)
            .target(format!("≤ {BYTES_TARGET:.0}"), each <= BYTES_TARGET),
    );
}

/// A direct message and its receiver: in all tables with their indexes, and in the WAL.
pub async fn message(world: &World<'_>, report: &mut Report) {
    let senders = seeded(world, SENDERS).await;
    let size = "SELECT pg_database_size(current_database())";
    let written = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
    let before = (world.number(size).await, world.number(written).await);
    closed(world.address(), work(&senders), FOREVER, EACH).await.or_panic("sends");
    drain_time(world, report).await;
    let each = |before: i64, after: i64| (after - before) as f64 / (SENDERS * EACH) as f64;
    let figures = [
        ("(g) hot bytes a direct message, with its indexes", each(before.0, world.number(size).await)),
        (
            "(g) bytes of WAL a direct message, until it is settled",
            each(before.1, world.number(written).await),
        ),
    ];
    for (name, bytes) in figures {
        report.add(Figure::new(name, count(bytes)));
    }
}

/// Three thirds of the same load; in the middle one a reader holds on to what it saw first.
pub async fn snapshot(world: &World<'_>, report: &mut Report) {
    let senders = seeded(world, SENDERS).await;
    let mut rates = Vec::new();
    for held in [false, true, false] {
        let reader = world.session().await;
        if held {
            let begin =
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM t_im_push_commit";
            reader.batch_execute(begin).await.expect("a snapshot");
        }
        let load = closed(world.address(), work(&senders), THIRD, usize::MAX).await.or_panic("sends");
        rates.push(load.per_second());
        if held {
            reader.batch_execute("ROLLBACK").await.expect("the snapshot's end");
        }
    }
    let without = f64::midpoint(rates[0], rates[2]);
    let ratio = rates[1] / without;
    report.add(
        Figure::new("(h) direct sends, 64 senders, a snapshot held", format!("{}/s", count(rates[1])))
            .beside(format!("{}/s before, {}/s after", count(rates[0]), count(rates[2])), ratio)
            .target(format!("≥ {HELD_TARGET} of without"), ratio >= HELD_TARGET),
    );
    drain_time(world, report).await;
}
