//! (a) How soon an observer of `message.created` and the gateway have a message, at several rates.

use std::time::{Duration, Instant};

use super::Bench;
use super::http::Request;
use super::load::{Work, paced};
use super::report::{Figure, Report, count};
use super::takers::{Moment, OPEN, Takers, observe, spread};
use super::world::World;

const SENDERS: i32 = 64;
/// Direct channels of each sender, used in turn.
const EACH: i32 = 16;
/// Above this rate messages come in bulk calls of so many, as HTTP is not what is measured.
const ALONE_MAX: usize = 1_000;
const BULK: usize = 25;
const WARM: Duration = Duration::from_secs(2);
/// What was offered beyond what is carried may take this long to arrive; it counts.
const LATE: Duration = Duration::from_secs(60);
/// The rate that has a target, and the target.
const JUDGED: usize = 1_000;
const TARGET_MS: f64 = 50.0;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let takers = Takers::start(2);
    let world = World::open_with(&bench.cluster, &takers.url(0), OPEN).await;
    let senders = directs(&world).await;
    observe(&world, &takers.url(1)).await;
    // What is new is slow: connections, statements, the observer's line.
    tell(&world, &takers, work(&senders, 1), (WARM, JUDGED, 1)).await;
    for rate in &bench.rates {
        let bulk = if *rate > ALONE_MAX { BULK } else { 1 };
        let warm = tell(&world, &takers, work(&senders, bulk), (WARM, *rate, bulk)).await;
        let told = tell(&world, &takers, work(&senders, bulk), (bench.length, *rate, bulk)).await;
        let all = warm.all && told.all;
        told.add_to(report, *rate, bulk, all);
    }
    report.note(format!(
        "(a) {} direct channels of {SENDERS} senders; one observer of message.created and the gateway, both healthy; above \
         {ALONE_MAX} a second in bulk calls of {BULK}",
        SENDERS * EACH
    ));
    world.close().await;
}

/// People and their channels, by sender.
pub async fn directs(world: &World<'_>) -> Vec<(String, Vec<i64>)> {
    world.people(SENDERS * (EACH + 1)).await;
    let channels = world.directs(SENDERS, EACH).await;
    world.settle_down().await;
    (1..).map(|n| format!("u{n:07}")).zip(channels).collect()
}

/// One at a time, or so many a call.
pub fn work(senders: &[(String, Vec<i64>)], bulk: usize) -> Vec<Work> {
    let one = |(name, channels): &(String, Vec<i64>)| match bulk {
        1 => channels.iter().map(|channel| Request::send(*channel, name)).collect(),
        many => vec![Request::send_many(channels, name, many)],
    };
    senders.iter().map(one).collect()
}

/// What came of a run.
pub struct Telling {
    /// Messages that were acknowledged, and how many a second.
    pub sent: usize,
    per_second: f64,
    acknowledged: super::load::Load,
    /// Whether everything arrived.
    pub all: bool,
    observer: (super::load::Load, usize),
    gateway: (super::load::Load, usize),
    machine: String,
}

/// Sends `rate` messages a second for `length`, `bulk` in each call, and waits until all of them are told.
pub async fn tell(
    world: &World<'_>,
    takers: &Takers,
    work: Vec<Work>,
    (length, rate, bulk): (Duration, usize, usize),
) -> Telling {
    takers.forget();
    let moment = Moment::now();
    let started = Instant::now();
    let load = paced(world.address(), work, length, rate as f64 / bulk as f64).await;
    let took = started.elapsed().as_secs_f64();
    let acknowledged = load.or_panic("sends");
    let sent = acknowledged.latencies.len() * bulk;
    let all = takers.wait_for(0..2, sent, LATE).await;
    Telling {
        sent,
        per_second: sent as f64 / took,
        acknowledged,
        all,
        observer: takers.delays(1..2, moment),
        gateway: takers.delays(0..1, moment),
        machine: super::load_average(),
    }
}

impl Telling {
    fn add_to(mut self, report: &mut Report, rate: usize, bulk: usize, all: bool) {
        let name = count(rate as f64);
        let (told, posts) = &mut self.observer;
        let mut figure =
            Figure::new(format!("(a) {name} messages a second, until an observer has them"), spread(told));
        if rate == JUDGED {
            let p95 = told.percentile(0.95);
            figure = figure.target(format!("p95 < {TARGET_MS:.0} ms"), all && p95 < TARGET_MS);
        }
        report.add(figure);
        let each = told.latencies.len() as f64 / *posts as f64;
        let (pushed, pushes) = &mut self.gateway;
        report.add(Figure::new("    … until the gateway has them", spread(pushed)));
        let each_push = pushed.latencies.len() as f64 / *pushes as f64;
        report.note(format!(
            "(a) {name} offered: {:.0} a second acknowledged (calls of {bulk}: p50 {:.1} p99 {:.1} ms); {each:.1} events a \
             POST, {each_push:.1} messages a push; {}; load of the machine {}",
            self.per_second,
            self.acknowledged.percentile(0.5),
            self.acknowledged.percentile(0.99),
            if all { "all arrived" } else { "NOT ALL ARRIVED in time" },
            self.machine
        ));
    }
}
