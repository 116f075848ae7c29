//! (c) Sends while everybody is asked for, and everybody has changed.

use std::time::Duration;

use super::http::Request;
use super::load::{Load, Work, paced};
use super::report::{Figure, Report, count, spread};
use super::running::{open, run, words_are_down};
use super::{Bench, person};

const SENDERS: i32 = 16;
const RATE: f64 = 100.0;
const QUIET: Duration = Duration::from_secs(20);
const TARGET: f64 = 1.3;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let hr = bench.hr().await;
    let world = open(bench, &hr).await;
    run(&world, "full").await;
    let directs = world.directs(SENDERS, 1).await;
    world.settle_down().await;
    // What follows a run is neither with nor without it.
    words_are_down(&world).await;
    let work = || -> Vec<Work> {
        let one =
            |(n, channels): (usize, &Vec<i64>)| vec![Request::send(channels[0], &format!("u{:07}", n + 1))];
        directs.iter().enumerate().map(one).collect()
    };
    // What is new is slow: connections and statements.
    paced(world.address(), work(), QUIET / 4, RATE).await.or_panic("sends");
    let mut quiet = paced(world.address(), work(), QUIET, RATE).await.or_panic("sends");
    for (name, everybody) in
        [("while a full run changes everybody", true), ("while a full run changes nobody", false)]
    {
        if everybody {
            let mut books = hr.books();
            for n in 0..bench.people {
                books.put(person(bench, n, 2));
            }
        }
        let mut meanwhile = Load::default();
        let running = run(&world, "full");
        tokio::pin!(running);
        let took = loop {
            let some = paced(world.address(), work(), Duration::from_secs(2), RATE);
            tokio::pin!(some);
            let ended = tokio::select! {
                took = &mut running => Some(took),
                some = &mut some => { meanwhile.latencies.extend(some.or_panic("sends").latencies); None }
            };
            if let Some(took) = ended {
                meanwhile.latencies.extend(some.await.or_panic("sends").latencies);
                break took;
            }
        };
        let (p99, beside) = (meanwhile.percentile(0.99), quiet.percentile(0.99));
        report.add(
            Figure::new(format!("(c) send, {name} ({:.0} s)", took.as_secs_f64()), spread(&mut meanwhile))
                .beside(format!("without: {}", spread(&mut quiet)), p99 / beside)
                .target(format!("{TARGET} x"), p99 <= TARGET * beside),
        );
    }
    report.note(format!(
        "(c) {RATE} sends a second of {SENDERS} senders into direct channels, evenly, a latency counting from when the send was \
         due; {} people.",
        count(bench.people as f64)
    ));
    world.close().await;
}
