//! (b) A large group's ledger: send → rows → callback → received; (e) memory meanwhile; and
//! (f) one busy group of 200.

use std::time::{Duration, Instant};

use super::direct::drain_time;
use super::http::Request;
use super::load::closed;
use super::raw;
use super::report::{Figure, Report, count, spread};
use super::world::World;

const LARGE: i32 = 10_000;
const LARGE_MESSAGES: usize = 50;
const LARGE_TARGET: f64 = 10.0;
const BUSY: i32 = 200;
const BUSY_LENGTH: Duration = Duration::from_secs(5);
const BUSY_TARGET: f64 = 1.5;
const BUSY_ONE_TARGET: f64 = 0.7;
const BUSY_RECEIVERS: f64 = 20_000.0;
const LONG: Duration = Duration::from_secs(60);
const FOREVER: Duration = Duration::from_secs(600);
const MEMORY_TARGET: f64 = 150.0;
const PUSHED: &str = "SELECT coalesce(sum(received), 0)::bigint FROM t_im_push_attempt";
const RECEIVED: &str = "SELECT count(*) FROM t_im_message_push WHERE status = 1";

/// (b), and the peak of memory for (e).
pub async fn large(world: &World<'_>, report: &mut Report) {
    world.people(LARGE).await;
    let group = world.group(LARGE).await;
    world.settle_down().await;
    // One to begin with: connections, statements, plans.
    send(world, group, 1).await;
    world.watch_memory();
    let started = Instant::now();
    send(world, group, LARGE_MESSAGES).await;
    let acknowledged = started.elapsed().as_secs_f64();
    let pairs = world.backlog().await;
    assert!(world.drained(LONG).await, "(b) is not drained after {LONG:?}");
    let took = started.elapsed().as_secs_f64();
    let peak = world.memory_peak();
    let rows = LARGE_MESSAGES as f64 * f64::from(LARGE - 1);
    let received = world.number(RECEIVED).await as f64;
    assert_eq!(received, rows + f64::from(LARGE - 1), "(b): every receiver has every message");

    let one = raw::ledger(world, group, LARGE_MESSAGES as i64, false).await;
    let two = raw::ledger(world, group, LARGE_MESSAGES as i64, true).await;
    let ratio = one / took;
    report.add(
        Figure::new("(b) 10,000-member group, rows sent → received", format!("{}/s", count(rows / took)))
            .beside(format!("{}/s, one connection", count(rows / one)), ratio)
            .target(format!("≥ {LARGE_TARGET:.2} of raw"), ratio >= LARGE_TARGET),
    );
    report.add(
        Figure::new("(b) the same", format!("{}/s", count(rows / took)))
            .beside(format!("{}/s, rows beside updates", count(rows / two)), two / took),
    );
    report.add(memory("(e) memory, most during (b)", peak, MEMORY_TARGET));
    report.note(format!(
        "(b) {LARGE_MESSAGES} messages acknowledged in {acknowledged:.2} s; backlog then {pairs} pairs; \
         all received after {took:.2} s"
    ));
}

async fn send(world: &World<'_>, group: i64, messages: usize) {
    let work = vec![vec![Request::send(group, "u0000001")]];
    closed(world.address(), work, FOREVER, messages).await.or_panic("sends into a large group");
}

pub fn memory(name: &str, megabytes: f64, target: f64) -> Figure {
    Figure::new(name, format!("{megabytes:.0} MB")).target(format!("< {target:.0} MB"), megabytes < target)
}

/// (f)
pub async fn busy(world: &World<'_>, report: &mut Report) {
    world.people(BUSY).await;
    let group = world.group(BUSY).await;
    world.settle_down().await;
    for number in [1, 16] {
        let names: Vec<String> = (1..=number).map(|n| format!("u{n:07}")).collect();
        let work = names.iter().map(|name| vec![Request::send(group, name)]).collect();
        let pushed = world.number(PUSHED).await;
        let rows = world.number(LEDGER).await;
        let started = Instant::now();
        let mut load =
            closed(world.address(), work, BUSY_LENGTH, usize::MAX).await.or_panic("sends into a busy group");
        let answered = (world.number(PUSHED).await - pushed) as f64 / started.elapsed().as_secs_f64();
        let pairs = world.backlog().await;
        let drain = drain_time(world, report).await;
        let whole = started.elapsed().as_secs_f64();
        let answered_all = (world.number(PUSHED).await - pushed) as f64 / whole;
        let expected = load.latencies.len() as i64 * i64::from(BUSY - 1);
        assert_eq!(world.number(LEDGER).await - rows, expected, "(f): every message has its rows");

        let senders: Vec<_> = names.into_iter().map(|name| (name, vec![group])).collect();
        let mut raw = raw::sends(world, &senders, 1, BUSY_LENGTH).await;
        let ratio = load.per_second() / raw.per_second();
        let figure = Figure::new(
            format!("(f) one group of 200, {number} senders"),
            format!("{}/s, {}", count(load.per_second()), spread(&mut load)),
        )
        .beside(format!("{}/s, {}", count(raw.per_second()), spread(&mut raw)), ratio);
        report.add(if number == 1 {
            figure.target(format!("≥ {BUSY_ONE_TARGET:.2} of raw"), ratio >= BUSY_ONE_TARGET)
        } else {
            figure.target(format!("≥ {BUSY_TARGET:.2} of raw"), ratio >= BUSY_TARGET)
        });
        report.add(
            Figure::new(
                format!("(f) receivers answered, {number} senders"),
                format!("{}/s while sending, {}/s to the end", count(answered), count(answered_all)),
            )
            .target(format!("≥ {}/s", count(BUSY_RECEIVERS)), answered_all >= BUSY_RECEIVERS),
        );
        report.note(format!("(f) {number} senders: backlog at the end {pairs} pairs, drained in {drain}"));
    }
}

/// Every ledger row of the service, as its view shows them.
const LEDGER: &str = "SELECT count(*) FROM t_im_message_push";
