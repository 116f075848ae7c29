//! (c) What endpoints that are dead do to those that are not.

use std::time::{Duration, Instant};

use super::Bench;
use super::http::Request;
use super::load::{Load, paced};
use super::report::{Figure, Report};
use super::takers::{Dead, Moment, OPEN, Takers, observe, spread};
use super::world::World;

const ENDPOINTS: usize = 100;
const DEAD: usize = 20;
/// Each way so often, in turn, so that what else this machine does falls on both.
const ROUNDS: usize = 2;
const SENDERS: i32 = 16;
const EACH: i32 = 4;
const WARM: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(30);
const TARGET: f64 = 1.2;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let (mut without, mut with) = (Load::default(), Load::default());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut one = run(bench, 0, report).await;
        let mut other = run(bench, DEAD, report).await;
        rounds.push(format!("{} and {}", spread(&mut one), spread(&mut other)));
        without.latencies.append(&mut one.latencies);
        with.latencies.append(&mut other.latencies);
    }
    for share in [0.95, 0.99] {
        let (beside, measured) = (without.percentile(share), with.percentile(share));
        report.add(
            Figure::new(
                format!(
                    "(c) p{:.0} of {} endpoints beside {DEAD} dead ones",
                    share * 100.0,
                    ENDPOINTS - DEAD
                ),
                format!("{measured:.1} ms"),
            )
            .beside(format!("none dead: {beside:.1} ms"), measured / beside)
            .target(format!("{TARGET} x"), measured / beside <= TARGET),
        );
    }
    report.note(format!(
        "(c) {} messages a second, each told to all {ENDPOINTS} observers; half of the dead refuse, half take the connection and \
         say nothing until the timeout of 10 s; counted are the same {} endpoints in both, from the first failure on; \
         without and with dead ones, in turn: {}; load of the machine {}",
        bench.told,
        ENDPOINTS - DEAD,
        rounds.join("; "),
        super::load_average()
    ));
}

/// How soon the first endpoints were told, the last `dead` being so.
async fn run(bench: &Bench, dead: usize, report: &mut Report) -> Load {
    let healthy = ENDPOINTS - DEAD;
    let takers = Takers::start(ENDPOINTS + 1);
    let gone = Dead::new(dead);
    let world = World::open_with(&bench.cluster, &takers.url(0), OPEN).await;
    world.people(SENDERS * (EACH + 1)).await;
    let channels = world.directs(SENDERS, EACH).await;
    world.settle_down().await;
    let urls = (1..=ENDPOINTS - dead).map(|n| takers.url(n)).chain(gone.urls());
    for url in urls {
        observe(&world, &url).await;
    }
    let work = || {
        let one = |(n, channels): (usize, &Vec<i64>)| {
            channels.iter().map(|channel| Request::send(*channel, &format!("u{:07}", n + 1))).collect()
        };
        channels.iter().enumerate().map(one).collect()
    };
    let rate = bench.told as f64;
    let warm = paced(world.address(), work(), WARM, rate).await.or_panic("sends");
    takers.wait_for(1..healthy + 1, warm.latencies.len(), LATE).await;
    takers.forget();
    let (moment, started) = (Moment::now(), Instant::now());
    let sent = paced(world.address(), work(), bench.length, rate).await.or_panic("sends");
    let took = started.elapsed().as_secs_f64();
    let all = takers.wait_for(1..healthy + 1, sent.latencies.len(), LATE).await;
    let (told, posts) = takers.delays(1..healthy + 1, moment);
    report.note(format!(
        "(c) {dead} dead: {:.1} messages a second, {:.0} POSTs a second to the healthy ones, {}",
        sent.latencies.len() as f64 / took,
        posts as f64 / started.elapsed().as_secs_f64(),
        if all { "all arrived" } else { "NOT ALL ARRIVED in time" }
    ));
    world.close().await;
    told
}
