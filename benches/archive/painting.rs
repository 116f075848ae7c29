//! (f) The console's search over many messages, in Chromium: when the page is painted, and its bytes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::Bench;
use super::aged::{self, Aged};
use super::corpus::{Corpus, FREQUENT, PHRASE, RARE};
use super::load::Load;
use super::raw::Raw;
use super::report::{Figure, Report, count};
use super::support::run_script;
use super::world::World;

const MESSAGES: i64 = 1_000_000;
const SEARCHES: usize = 20;
const PAINT_MS: f64 = 300.0;
const PAGE_BYTES: usize = 100_000;
const INDEX: &str = "painted";
/// Common and rare words, in both languages.
const WORDS: [&str; 5] = [FREQUENT, "please check", RARE, PHRASE, "sheet"];

#[derive(Deserialize)]
struct Paint {
    ms: f64,
    bytes: usize,
    rows: usize,
}

pub async fn measure(bench: &Bench, report: &mut Report) {
    let url = bench.elastic.url();
    // The hot messages are not moved meanwhile.
    let settings = [
        ("archive_url", url.as_str()),
        ("archive_index", INDEX),
        ("archive_replicas", "0"),
        ("archive_schedule", "0 0 29 2 *"),
    ];
    let mut world = World::open_with(&bench.cluster, &bench.receiver.url(), &settings).await;
    world.service.kill9();
    let corpus = Corpus::of(&world, MESSAGES).await;
    let channels = corpus.seed(&world).await;
    let mut aged = Aged { world, groups: Vec::new() };
    let config = aged.config(bench, INDEX, "");
    corpus.write(&*aged::elastic(&config), &channels).await;
    aged.world.service.restart().await;
    let mut paints = paint(&aged.world.service.url()).await;
    // The first one starts the browser's processes and fills the caches.
    let bytes = paints.iter().map(|one| one.bytes).max().unwrap_or_default();
    assert!(paints.iter().all(|one| one.rows > 0), "each search finds messages");
    let took = paints.drain(1..).map(|one| Duration::from_secs_f64(one.ms / 1e3)).collect();
    let mut load = Load { latencies: took, ..Load::default() };
    let (p50, p95) = (load.percentile(0.5), load.percentile(0.95));
    let name = format!("(f) console, first paint of a search, {} messages", count(MESSAGES as f64));
    let figure = Figure::new(name, format!("p50 {p50:.0} p95 {p95:.0} ms"));
    report.add(figure.target(format!("p95 < {PAINT_MS} ms"), p95 < PAINT_MS));
    let figure =
        Figure::new("(f) the largest of these pages, with its style and script", format!("{bytes} bytes"));
    report.add(figure.target(format!("< {PAGE_BYTES} bytes"), bytes < PAGE_BYTES));
    Raw::new(bench).forget(INDEX).await;
    aged.world.close().await;
}

/// Each search in a tab of its own, after one that is not counted.
async fn paint(base: &str) -> Vec<Paint> {
    let address = |n: usize| {
        let words =
            url::form_urlencoded::byte_serialize(WORDS[n % WORDS.len()].as_bytes()).collect::<String>();
        // Other days each time, so that no cache has its answer.
        format!("search?q={words}&from=2020-01-{:02}", n + 1)
    };
    let addresses: Vec<String> = (0..=SEARCHES).map(address).collect();
    let plan = json!({
        "base": base, "user": "desk", "roles": "support", "reason": "bench", "addresses": addresses,
    });
    serde_json::from_value(run_script("paint", &plan).await).expect("paints")
}
