//! Two replicas, one database, a gateway in every mood, people who never stop, and SIGKILL.
//!
//! `TORTURE_SECONDS` says how long, `TORTURE_CROWD` how many people one more group has, `TORTURE_SEED` repeats what was
//! thrown (not its timing).

mod checker;
mod checker_tests;
pub mod dice;
mod found;
mod history;
mod killer;
mod load;
mod moods;
mod world;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dice::Dice;
use history::{Attempt, Evidence, SendAnswer};
use killer::{CUT_BATCHES, CUT_SENDS, CUT_STRETCHES, Kill, Killer, Victim, cut_sends};
use world::World;

const SECONDS: u64 = 60;
/// Violations that a failure shows.
const SHOWN: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let seed = setting("TORTURE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let time = Duration::from_secs(setting("TORTURE_SECONDS").unwrap_or(SECONDS));
    println!("TORTURE_SEED={seed}, {time:?}");
    let mut dice = Dice::new(seed);
    let (world, services) = World::build(&mut dice).await;

    let mut load = load::start(&world, &mut dice);
    let (kills, services) = Killer::new(world.clone(), services, dice.fork()).run(time).await;
    world.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("the load does not panic");
    }

    let ended = Instant::now();
    world.moods.calm();
    found::drained(&world).await;
    let drained = ended.elapsed();
    let mut evidence = world.recorder.take();
    found::collect(&world, &mut evidence, &mut dice).await;
    let violations = checker::check(&evidence);
    report(&evidence, &kills, drained);
    println!("verified after {:?}", ended.elapsed());

    drop(services);
    let shown: Vec<String> = violations.iter().take(SHOWN).map(ToString::to_string).collect();
    assert!(
        violations.is_empty(),
        "TORTURE_SEED={seed}: {} violations\n{}",
        violations.len(),
        shown.join("\n")
    );
    let sends = cut_sends(&evidence, &kills);
    let batches = cut_batches(&evidence, &kills);
    let messages = kills.iter().filter(|kill| kill.mid_message).count();
    assert!(sends >= CUT_SENDS, "only {sends} kills cut a send");
    assert!(batches >= CUT_BATCHES, "only {batches} kills cut a batch");
    assert!(messages >= CUT_STRETCHES, "only {messages} kills cut the push of a large message");
}

/// How many kills cut a batch that was in flight: it had to come again.
fn cut_batches(evidence: &Evidence, kills: &[Kill]) -> usize {
    let came = |batch_id: &String| evidence.arrivals.iter().filter(|a| a.batch_id == *batch_id).count();
    let held = kills.iter().filter_map(Kill::cut_batch);
    held.filter(|batch_id| came(batch_id) > 1).count()
}

fn report(evidence: &Evidence, kills: &[Kill], drained: Duration) {
    let attempts = || evidence.sends.iter().flat_map(|send| &send.attempts);
    let answers = |is: fn(&SendAnswer) -> bool| attempts().filter(|a| is(&a.answer)).count();
    let mut slowest: Vec<u64> = attempts().map(|a| (a.to - a.from) / 1000).collect();
    slowest.sort_unstable();
    let quiet = |a: &&Attempt| kills.iter().all(|kill| a.to < kill.from || a.from > kill.up);
    let undisturbed = attempts().filter(quiet).map(|a| (a.to - a.from) / 1000).max();
    let down: u64 = kills.iter().map(|kill| kill.up - kill.from).sum();
    let killed = |is: fn(&Victim) -> bool| kills.iter().filter(|kill| is(&kill.victim)).count();
    println!(
        "{} sends, {} attempts ({} unclear, {} refused; median {} ms, slowest {:?} ms, with all up {undisturbed:?} ms)",
        evidence.sends.len(),
        slowest.len(),
        answers(|a| *a == SendAnswer::Unclear),
        answers(|a| matches!(a, SendAnswer::Refused(_))),
        slowest.get(slowest.len() / 2).unwrap_or(&0),
        slowest.last()
    );
    println!(
        "{} joins and leaves, {} receipts, {} reads",
        evidence.changes.len(),
        evidence.receipts.len(),
        evidence.reads.len()
    );
    println!(
        "{} messages, {} ledger rows, {} POSTs ({} without a usable answer), drained in {drained:?}",
        evidence.messages.len(),
        evidence.ledger.len(),
        evidence.arrivals.len(),
        evidence.arrivals.iter().filter(|a| a.answer.is_none()).count()
    );
    println!(
        "{} kills, {} s of something down: {} of one replica, {} of both, {} of PostgreSQL, {} pauses; {} cut sends, {} batches, {} large messages",
        kills.len(),
        down / 1_000_000,
        killed(|v| matches!(v, Victim::Replica(_))),
        killed(|v| *v == Victim::Replicas),
        killed(|v| *v == Victim::Postgres),
        killed(|v| matches!(v, Victim::Paused(_))),
        cut_sends(evidence, kills),
        cut_batches(evidence, kills),
        kills.iter().filter(|kill| kill.mid_message).count()
    );
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
