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
const TARGET: f64 = 0.5;

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

/// Returns sends a second at the most senders: the peak.
pub async fn measure(world: &World<'_>, report: &mut Report) -> f64 {
    let senders = seeded(world, SENDERS[SENDERS.len() - 1]).await;
    let mut peak = 0.0;
    for number in SENDERS {
        let senders = &senders[..number];
        let mut load =
            closed(world.address(), work(senders), LENGTH, usize::MAX).await.or_panic("direct sends");
        let (_, pairs, _) = world.backlog().await;
        let drain = drain_time(world).await;
        let mut raw = raw::sends(world, senders, LANES.min(number), LENGTH).await;
        let ratio = load.per_second() / raw.per_second();
        let figure = Figure::new(
            format!("(a) direct sends, {number} senders"),
            format!("{}/s, {}", count(load.per_second()), spread(&mut load)),
        )
        .beside(format!("{}/s, {}", count(raw.per_second()), spread(&mut raw)), ratio);
        report.add(if number == 256 {
            peak = load.per_second();
            figure.target(format!("≥ {TARGET:.2} of raw"), ratio >= TARGET)
        } else {
            figure
        });
        report.note(format!("(a) {number} senders: backlog at the end {pairs} pairs, drained in {drain}"));
    }
    bulk(world, &senders, report).await;
    peak
}

/// The same by bulk calls: what is left when the requests are few.
async fn bulk(world: &World<'_>, senders: &[(String, Vec<i64>)], report: &mut Report) {
    // Whoever sends sends into channels of their own only.
    let work = senders
        .iter()
        .take(BULK_CALLERS)
        .map(|(name, channels)| vec![Request::send_many(channels, name, BULK)])
        .collect();
    let mut load: Load = closed(world.address(), work, LENGTH, usize::MAX).await.or_panic("bulk sends");
    let (_, pairs, _) = world.backlog().await;
    let drain = drain_time(world).await;
    report.add(Figure::new(
        format!("(a) bulk sends, {BULK_CALLERS} callers × {BULK}"),
        format!("{}/s, {} a call", count(load.per_second() * BULK as f64), spread(&mut load)),
    ));
    report.note(format!("(a) bulk: backlog at the end {pairs} pairs, drained in {drain}"));
}

pub async fn drain_time(world: &World<'_>) -> String {
    let started = std::time::Instant::now();
    if world.drained(DRAIN).await {
        format!("{:.2} s", started.elapsed().as_secs_f64())
    } else {
        let (_, pairs, messages) = world.backlog().await;
        format!("more than {DRAIN:?}: {pairs} pairs and the rows of {messages} messages are left")
    }
}
