//! (b) A page of history, hot, cold and across the horizon, and (c) searches, over more and more messages.

use std::time::Instant;

use im_push_gateway::archive::Archive;
use im_push_gateway::archive::elastic::Elastic;
use im_push_gateway::base::analyzer;
use im_push_gateway::base::number::{ChannelId, MsId};
use im_push_gateway::base::store::Store;
use im_push_gateway::records::history::{Position, Reading};
use im_push_gateway::records::search::{Scope, Search, Searching};

use super::Bench;
use super::aged::{self, Aged};
use super::corpus::{CHANNELS, Corpus, FREQUENT, PHRASE, RARE, READER};
use super::load::Load;
use super::raw::Raw;
use super::report::{Figure, Report, count, spread};
use super::world::World;

const CALLS: usize = 500;
const WARM: usize = 50;
const LIMIT: i64 = 50;
const PAGE_GROWTH: f64 = 1.5;
const COLD_MS: f64 = 50.0;
const SEARCH_GROWTH: f64 = 2.0;
const SEARCH_MS: f64 = 100.0;
/// In a tenth of the channels.
const SOMEBODY: &str = "u0000002";

/// What was measured of one size: a name, whether it is a search, and how long it took.
type Loads = Vec<(&'static str, bool, Load)>;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let mut before: Option<(i64, Loads)> = None;
    for &size in &bench.sizes {
        let mut loads = one(bench, size, report).await;
        for (at, (name, search, load)) in loads.iter_mut().enumerate() {
            let p99 = load.percentile(0.99);
            let section = if *search { "(c) search" } else { "(b) page" };
            let most = if *search { SEARCH_MS } else { COLD_MS };
            let mut figure =
                Figure::new(format!("{section}, {name}, {} messages", count(size as f64)), spread(load));
            figure = match &mut before {
                Some((smaller, earlier)) => {
                    let growth = p99 / earlier[at].2.percentile(0.99);
                    let limit = if *search { SEARCH_GROWTH } else { PAGE_GROWTH };
                    figure
                        .beside(
                            format!("at {}: {}", count(*smaller as f64), spread(&mut earlier[at].2)),
                            growth,
                        )
                        .target(format!("{limit} x, p99 < {most} ms"), growth <= limit && p99 < most)
                }
                None => figure.target(format!("p99 < {most} ms"), p99 < most),
            };
            report.add(figure);
        }
        before = Some((size, loads));
    }
}

async fn one(bench: &Bench, size: i64, report: &mut Report) -> Loads {
    let mut world = World::open(&bench.cluster, &bench.receiver).await;
    world.service.kill9();
    let corpus = Corpus::of(&world, size).await;
    let channels = corpus.seed(&world).await;
    let aged = Aged { world, groups: Vec::new() };
    let config = aged.config(bench, "read", "");
    let (store, archive) = (aged::store(&config), aged::elastic(&config));
    let begun = Instant::now();
    corpus.write(&*archive, &channels).await;
    let took = begun.elapsed().as_secs_f64();
    report.note(format!(
        "{} documents of 5 receivers written to Elasticsearch in {took:.0} s: {} a second",
        count(corpus.cold as f64),
        count(corpus.cold as f64 / took)
    ));
    let reads = Reads { store: &store, archive: &archive, corpus, channels: &channels };
    let mut loads = Loads::new();
    for name in ["hot", "cold", "across the horizon"] {
        loads.push((name, false, reads.pages(name).await));
    }
    for name in
        ["a frequent word", "a rare word", "a phrase", "a person's own channels", "support, a rare word"]
    {
        loads.push((name, true, reads.searches(name).await));
    }
    Raw::new(bench).forget("read").await;
    aged.world.close().await;
    loads
}

struct Reads<'a> {
    store: &'a Store,
    archive: &'a Elastic,
    corpus: Corpus,
    channels: &'a [ChannelId],
}

impl Reads<'_> {
    /// One page after the other, each somewhere else.
    async fn pages(&self, name: &str) -> Load {
        let (cold, all) = self.corpus.seqs();
        let mut load = Load::default();
        for n in 0..WARM + CALLS {
            let at = (n as i64 * 7_919) % CHANNELS;
            let (seq, ms_id) = match name {
                "hot" => (all + 1, MsId::MAX),
                "cold" => {
                    let seq = LIMIT + 2 + (n as i64 * 104_729) % (cold - LIMIT - 2);
                    (seq, self.corpus.cold_ms_id(at, seq))
                }
                // Below the 26th hot one: the 25 before it and as many cold ones.
                _ => (cold + LIMIT / 2 + 1, MsId::MAX),
            };
            let place = Position { seq, ms_id };
            let reading = Reading {
                store: self.store,
                archive: Some(self.archive as &dyn Archive),
                channel_id: self.channels[at as usize],
                reader: Some(READER),
            };
            let begun = Instant::now();
            let (messages, _) = reading.before(place, 0, LIMIT).await.expect("a page");
            if n >= WARM {
                load.latencies.push(begun.elapsed());
            }
            let expected = if name == "hot" { LIMIT.min(all - cold) } else { LIMIT };
            assert!(messages.len() as i64 >= expected, "{name}: {}", messages.len());
        }
        load
    }

    async fn searches(&self, name: &str) -> Load {
        let (scope, words) = match name {
            "a frequent word" => (Scope::Own(READER), FREQUENT),
            "a rare word" => (Scope::Own(READER), RARE),
            "a phrase" => (Scope::Own(READER), PHRASE),
            "a person's own channels" => (Scope::Own(SOMEBODY), FREQUENT),
            _ => (Scope::Everybody, RARE),
        };
        let search = Search { words: analyzer::parse_query(words), ..Search::default() };
        let searching = Searching {
            store: self.store,
            archive: Some(self.archive as &dyn Archive),
            scope,
            search: &search,
        };
        let mut load = Load::default();
        for n in 0..WARM + CALLS {
            // Every one below another place, so that no cache has its answer.
            let before = (self.corpus.horizon_ms - (n as i64 * 7_919 % 90) * 86_400_000 - n as i64) << 22;
            let begun = Instant::now();
            searching.page(MsId(before), LIMIT as usize).await.expect("hits");
            if n >= WARM {
                load.latencies.push(begun.elapsed());
            }
        }
        load
    }
}
