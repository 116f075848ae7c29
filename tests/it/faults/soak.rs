//! `make soak`: half an hour of sends and reads, then an overload. It prints a table, and fails if a row does not hold.
//!
//! `SOAK_SECONDS` says how long. Below half an hour caches still fill, so what must stay flat is told and not judged.

use std::time::{Duration, Instant};

use super::overload::{self, memory, percentile};
use super::scene::{Scene, Talk, Try};
use crate::app::database;
use crate::support::{Client, shared};

const SECONDS: u64 = 1_800;
/// Windows of the whole time. What is compared is the median of the second quarter with that of the last.
const WINDOWS: usize = 60;
/// How much more the last quarter may have.
const FLAT: f64 = 1.05;
/// Tables whose rows come and go: their size with indexes, in kilobytes, is what bloat is seen by.
const COME_AND_GO: &str = "SELECT (sum(pg_total_relation_size(oid)) / 1024)::float8 FROM pg_class \
     WHERE relkind = 'r' AND relname IN ('t_im_push_commit', 't_im_push_queue', 't_im_push_batch', 't_im_read', \
     't_im_receipt_pending', 't_im_event_new', 't_im_event_tally', 't_im_channel', 't_im_channel_user', 't_im_lease', \
     't_im_callback')";

/// How long, by `SOAK_SECONDS`.
pub fn seconds() -> u64 {
    std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS)
}

/// A line of the table: a figure before and after, and whether it holds. None: it is told only.
pub struct Row {
    what: &'static str,
    figures: [f64; 2],
    holds: Option<bool>,
}

impl Row {
    pub fn told(what: &'static str, figures: [f64; 2]) -> Self {
        Self { what, figures, holds: None }
    }

    pub fn held(what: &'static str, figures: [f64; 2], holds: bool) -> Self {
        Self { what, figures, holds: Some(holds) }
    }
}

/// What one window of the soak had.
#[derive(Default)]
struct Window {
    sends: f64,
    p50: f64,
    p99: f64,
    reads_p99: f64,
    memory: f64,
    bloat: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak() {
    let mut rows = flat().await;
    rows.extend(overload::rows().await);
    println!("\n| figure | before | after | after ÷ before | holds |\n| --- | --- | --- | --- | --- |");
    for Row { what, figures: [before, after], holds } in &rows {
        let ratio = if *before > 0.0 { format!("{:.2}", after / before) } else { String::new() };
        let holds = holds.map_or("", |holds| if holds { "yes" } else { "NO" });
        println!("| {what} | {before:.1} | {after:.1} | {ratio} | {holds} |");
    }
    let broken: Vec<&str> = rows.iter().filter(|row| row.holds == Some(false)).map(|row| row.what).collect();
    assert_eq!(broken, [] as [&str; 0], "rows that do not hold");
}

/// Memory, times and tables over the whole time.
async fn flat() -> Vec<Row> {
    let scene = Scene::start(&shared().url(&database().await), 2, &[]).await;
    let talk = scene.talk();
    let window = Duration::from_secs(seconds()).div_f64(WINDOWS as f64);
    let mut windows = Vec::new();
    for number in 1..=WINDOWS {
        windows.push(watch(&scene, &talk, window).await);
        let Window { sends, p50, p99, reads_p99, memory, bloat } = windows[number - 1];
        println!(
            "{number} of {WINDOWS}: {sends:.0} sends, p50 {p50:.1} ms, p99 {p99:.1} ms, reads p99 {reads_p99:.0} ms, \
             {memory:.0} MB, {bloat:.0} KB"
        );
    }
    let (last, _) = talk.end().await;
    scene.verify(&last, false).await;
    assert_eq!(
        scene.services.iter().filter(|service| service.log().contains("\"ERROR\"")).count(),
        0,
        "no errors"
    );

    let of = |figure: fn(&Window) -> f64| {
        let quarter = |number: usize| {
            let of_quarter = &windows[number * WINDOWS / 4..(number + 1) * WINDOWS / 4];
            percentile(&mut of_quarter.iter().map(figure).collect::<Vec<_>>(), 0.5)
        };
        [quarter(1), quarter(3)]
    };
    let is_judged = seconds() >= SECONDS;
    let flat = |what: &'static str, figure: fn(&Window) -> f64| match (of(figure), is_judged) {
        (figures, true) => Row::held(what, figures, figures[1] <= FLAT * figures[0]),
        (figures, false) => Row::told(what, figures),
    };
    vec![
        Row::told("soak: sends a window", of(|w| w.sends)),
        flat("soak: p50 of sends, ms", |w| w.p50),
        flat("soak: p99 of sends, ms", |w| w.p99),
        flat("soak: p99 of reads, ms", |w| w.reads_p99),
        flat("soak: memory of two replicas, MB", |w| w.memory),
        flat("soak: tables whose rows come and go, KB", |w| w.bloat),
    ]
}

/// One window: people send, and somebody reads.
async fn watch(scene: &Scene, talk: &Talk, time: Duration) -> Window {
    let until = Instant::now() + time;
    let readers: Vec<Client> = scene
        .channels
        .iter()
        .zip(scene.services.iter().cycle())
        .map(|(channel, service)| Client::new(&service.api(), &channel.members[1], &[]))
        .collect();
    let mut reads = Vec::new();
    while Instant::now() < until {
        for (reader, channel) in readers.iter().zip(&scene.channels) {
            let began = Instant::now();
            reader.get("/conversations").await.expect(200);
            let page = reader.get(&format!("/channels/{}/messages?limit=20", channel.id)).await.expect(200);
            let seq = page["items"][0]["seq"].clone();
            if seq.is_i64() {
                let read = serde_json::json!({ "seq": seq });
                reader.post(&format!("/channels/{}/read", channel.id), read).await.expect(200);
            }
            reads.push(began.elapsed().as_secs_f64() * 1000.0);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // Its record would fill the memory of this process.
    scene.gateway.forget();
    let tries = talk.take();
    let mut times: Vec<f64> = tries.iter().map(|tried| tried.took.as_secs_f64() * 1000.0).collect();
    assert!(tries.iter().all(Try::is_done), "a send is refused");
    let row = scene.sql().await.query_one(COME_AND_GO, &[]).await.expect("sizes");
    Window {
        sends: times.len() as f64,
        p50: percentile(&mut times, 0.5),
        p99: percentile(&mut times, 0.99),
        reads_p99: percentile(&mut reads, 0.99),
        memory: scene.services.iter().map(memory).sum(),
        bloat: row.get(0),
    }
}
