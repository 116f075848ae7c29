//! (a) Direct sends acknowledged a second.

use std::time::Duration;

use super::http::Request;
use super::load::{Load, Work, closed};
use super::raw;
use super::report::{Figure, Report, count, spread};
use super::world::World;

const SENDERS: [usize; 4] = [1, 16, 64, 256];
/// Direct channels of each sender, used in turn.
const EACH: i32 = 8;
const LENGTH: Duration = Duration::from_secs(4);
const DRAIN: Duration = Duration::from_secs(20);
/// As the service: `send_lanes`.
const LANES: usize = 2;
const BULK: usize = 250;
const BULK_CALLERS: usize = 4;
/// Of hand-made sends: at the most senders, of one sender, in bulk.
const TARGET: f64 = 0.30;
const ONE_TARGET: f64 = 0.40;
const BULK_TARGET: f64 = 0.80;
/// PostgreSQL's processor time of a send and its push, of the hand-made statement's.
const TIME_TARGET: f64 = 1.7;
/// What a batch of pushes holds: what may be left a second after the load has ended.
const BACKLOG_TARGET: f64 = 10_000.0;
/// Of the 99th percentile of sends alone, for sends beside other work.
const BESIDE_TARGET: f64 = 1.5;

/// Who sends where.
pub type Senders = Vec<(String, Vec<i64>)>;

pub async fn seeded(world: &World<'_>, senders: usize) -> Senders {
    let senders = i32::try_from(senders).expect("not that many");
    world.people(senders * (EACH + 1)).await;
    let channels = world.directs(senders, EACH).await;
    world.settle_down().await;
    let names = (1..).map(|n| format!("u{n:07}"));
    names.zip(channels).collect()
}

pub fn work(senders: &[(String, Vec<i64>)]) -> Vec<Work> {
    let one =
        |(name, channels): &(String, Vec<i64>)| channels.iter().map(|c| Request::send(*c, name)).collect();
    senders.iter().map(one).collect()
}

/// Sends beside other work, and the same alone.
pub fn beside_alone(name: &str, beside: &mut Load, alone: &mut Load) -> Figure {
    let ratio = beside.percentile(0.99) / alone.percentile(0.99);
    Figure::new(name, spread(beside))
        .beside(format!("alone: {}", spread(alone)), ratio)
        .target(format!("p99 ≤ {BESIDE_TARGET} × alone"), ratio <= BESIDE_TARGET)
}

/// Returns sends a second at the most senders: the peak.
pub async fn measure(world: &World<'_>, report: &mut Report) -> f64 {
    let senders = seeded(world, SENDERS[SENDERS.len() - 1]).await;
    let (mut peak, mut by_hand) = (0.0, f64::INFINITY);
    for number in SENDERS {
        let senders = &senders[..number];
        world.watch_statements().await;
        let before = world.database_us();
        let mut load =
            closed(world.address(), work(senders), LENGTH, usize::MAX).await.or_panic("direct sends");
        let pairs = world.backlog().await;
        let drain = drain_time(world, report).await;
        let ours_us = (world.database_us() - before) / load.latencies.len() as f64;
        let profile = world.statement_profile(load.latencies.len()).await;
        let mut raw = raw::sends(world, senders, LANES.min(number), LENGTH).await;
        let ratio = load.per_second() / raw.per_second();
        let figure = Figure::new(
            format!("(a) direct sends, {number} senders"),
            format!("{}/s, {}", count(load.per_second()), spread(&mut load)),
        )
        .beside(format!("{}/s, {}", count(raw.per_second()), spread(&mut raw)), ratio);
        report.add(match number {
            256 => {
                (peak, by_hand) = (load.per_second(), raw.per_second());
                figure.target(format!("≥ {TARGET:.2} of raw"), ratio >= TARGET)
            }
            1 => figure.target(format!("≥ {ONE_TARGET:.2} of raw"), ratio >= ONE_TARGET),
            _ => figure,
        });
        if number == 256 {
            let before = world.database_us();
            let again = raw::sends(world, senders, LANES, LENGTH).await;
            let raw_us = (world.database_us() - before) / again.latencies.len() as f64;
            report.add(
                Figure::new(
                    "(a) PostgreSQL's processor time a direct send, to settled",
                    format!("{ours_us:.0} µs"),
                )
                .beside(format!("{raw_us:.0} µs"), ours_us / raw_us)
                .target(format!("≤ {TIME_TARGET} × raw"), ours_us / raw_us <= TIME_TARGET),
            );
        }
        report.note(format!(
            "(a) {number} senders: backlog at the end {pairs} pairs, drained in {drain}; PostgreSQL's time a send: {profile}"
        ));
    }
    bulk(world, &senders, by_hand, report).await;
    peak
}

/// The same by bulk calls: what is left when the requests are few.
async fn bulk(world: &World<'_>, senders: &[(String, Vec<i64>)], by_hand: f64, report: &mut Report) {
    // Whoever sends sends into channels of their own only.
    let work = senders
        .iter()
        .take(BULK_CALLERS)
        .map(|(name, channels)| vec![Request::send_many(channels, name, BULK)])
        .collect();
    let mut load: Load = closed(world.address(), work, LENGTH, usize::MAX).await.or_panic("bulk sends");
    let pairs = world.backlog().await;
    let drain = drain_time(world, report).await;
    let a_second = load.per_second() * BULK as f64;
    let ratio = a_second / by_hand;
    report.add(
        Figure::new(
            format!("(a) bulk sends, {BULK_CALLERS} callers × {BULK}"),
            format!("{}/s, {} a call", count(a_second), spread(&mut load)),
        )
        .beside(format!("{}/s at 256 senders", count(by_hand)), ratio)
        .target(format!("≥ {BULK_TARGET:.2} of raw"), ratio >= BULK_TARGET),
    );
    report.note(format!("(a) bulk: backlog at the end {pairs} pairs, drained in {drain}"));
}

/// Until nothing is left to push; what is left after a second is a figure.
pub async fn drain_time(world: &World<'_>, report: &mut Report) -> String {
    let started = std::time::Instant::now();
    let mut drained = world.drained(Duration::from_secs(1)).await;
    let left = if drained { 0.0 } else { world.backlog().await as f64 };
    report.add(
        Figure::new("    backlog a second after the load", format!("{} pairs", count(left)))
            .target(format!("≤ {}", count(BACKLOG_TARGET)), left <= BACKLOG_TARGET),
    );
    drained = drained || world.drained(DRAIN).await;
    if drained {
        format!("{:.2} s", started.elapsed().as_secs_f64())
    } else {
        format!("more than {DRAIN:?}: {} pairs are left", world.backlog().await)
    }
}
