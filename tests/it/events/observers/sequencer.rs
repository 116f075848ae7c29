//! The sequencer's promise: whoever has seen an id has missed none below it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use im_push_gateway::base::store::Store;
use im_push_gateway::base::worker::{Tick, Work};
use im_push_gateway::events::Sequencer;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::{Wish, say_many, start, subscribe};
use crate::app::{LONG, config, database};
use crate::support::{Observer, shared};

const WRITERS: i64 = 8;
const WRITES: i64 = 25;

/// A transaction that told something, or took it back.
struct Write {
    name: i64,
    committed: bool,
    from: Instant,
    to: Instant,
}

/// Follows the log as a stream does: whatever is above the last id seen.
#[derive(Default)]
struct Follower {
    last: i64,
    /// Id and name of each event.
    seen: Vec<(i64, i64)>,
}

impl Follower {
    async fn look(&mut self, sql: &Client) {
        let next = "SELECT event_id, (data ->> 'name')::bigint AS name FROM t_im_event \
                    WHERE event_id > $1 ORDER BY event_id";
        for row in sql.query(next, &[&self.last]).await.expect("the log is readable") {
            self.last = row.get("event_id");
            self.seen.push((self.last, row.get("name")));
        }
    }

    /// What breaks the promise, given who committed what.
    fn complaints(&self, writes: &[Write]) -> Vec<String> {
        let mut found = Vec::new();
        let seen: BTreeSet<i64> = self.seen.iter().map(|(_, name)| *name).collect();
        let wanted: BTreeSet<i64> = writes.iter().filter(|w| w.committed).map(|w| w.name).collect();
        if seen != wanted {
            let missed: Vec<_> = wanted.difference(&seen).collect();
            let invented: Vec<_> = seen.difference(&wanted).collect();
            found.push(format!("missed {missed:?}, invented {invented:?}"));
        }
        let ids: Vec<i64> = self.seen.iter().map(|(id, _)| *id).collect();
        if ids.iter().copied().ne(1..=ids.len() as i64) {
            found.push(format!("ids with gaps or repeats: {ids:?}"));
        }
        let id = |write: &Write| self.seen.iter().find(|(_, name)| *name == write.name).map(|(id, _)| *id);
        for early in writes.iter().filter(|w| w.committed) {
            let later = writes.iter().filter(|late| late.committed && early.to < late.from);
            for late in later.filter(|late| id(early) > id(late)) {
                found.push(format!(
                    "{} was committed before {} began, and comes after it",
                    early.name, late.name
                ));
            }
        }
        found
    }
}

fn sequencer(database: &str) -> Sequencer {
    let config = config(database, "");
    Sequencer::new(Store::new(&config).expect("a store"), &config, Arc::default(), Arc::default())
}

/// Transactions one after another, each held open for a chance time; one in eight is rolled back.
async fn write(database: String, writer: i64) -> Vec<Write> {
    let sql = shared().connect(&database).await;
    let mut writes = Vec::new();
    for turn in 0..WRITES {
        let name = writer * WRITES + turn;
        let committed = (writer + turn) % 8 != 0;
        let from = Instant::now();
        let tell = format!(
            "BEGIN; SELECT im_emit('channel.updated', {name}, 'a', '{{\"name\": {name}}}', NULL, im_clock()); \
             SELECT pg_sleep(random() * 0.02); {}",
            if committed { "COMMIT" } else { "ROLLBACK" }
        );
        sql.batch_execute(&tell).await.expect("it is told");
        writes.push(Write { name, committed, from, to: Instant::now() });
    }
    writes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_follows_the_last_id_misses_nothing() {
    let database = database().await;
    let sql = shared().connect(&database).await;
    let observer =
        "INSERT INTO t_im_callback (callback_id, url, event_types) VALUES ('o', 'http://o', '{channel.*}')";
    sql.batch_execute(observer).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(database.clone(), writer));
    }
    // Two replicas take turns, and one reader looks all the time.
    let done = Arc::new(AtomicBool::new(false));
    let mut replicas = JoinSet::new();
    for _ in 0..2 {
        let (sequencer, done) = (sequencer(&database), done.clone());
        replicas.spawn(async move {
            let mut last_round = false;
            while !last_round {
                last_round = done.load(Ordering::Relaxed);
                sequencer.tick().await.expect("a step");
            }
        });
    }
    let reader = shared().connect(&database).await;
    let told = done.clone();
    let following = tokio::spawn(async move {
        let mut follower = Follower::default();
        while !told.load(Ordering::Relaxed) {
            follower.look(&reader).await;
        }
        (follower, reader)
    });
    let writes: Vec<Write> = writers.join_all().await.into_iter().flatten().collect();
    done.store(true, Ordering::Relaxed);
    replicas.join_all().await;
    let (mut follower, reader) = following.await.unwrap();
    assert!(!follower.seen.is_empty(), "it read while others wrote");
    sequencer(&database).tick().await.unwrap();
    follower.look(&reader).await;
    let found = follower.complaints(&writes);
    assert!(found.is_empty(), "{found:#?}");
}

/// A row stands for as many messages as its commit had; a step is bounded by events, not by rows.
#[tokio::test]
async fn a_step_takes_no_more_events_than_it_may() {
    let mut app = start("").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    subscribe(&app, "http://127.0.0.1:9/", Wish::of(&["message.created"])).await;
    let holding = app.sql().await;
    holding.batch_execute("BEGIN; SELECT FROM t_im_event_head FOR UPDATE").await.unwrap();
    for _ in 0..3 {
        say_many(&app, "a", &channel, 250).await;
    }
    app.halt().await;
    holding.batch_execute("COMMIT").await.unwrap();
    let sequencer = sequencer(&app.database);
    let (mut ticks, mut before) = (0, 0);
    while sequencer.tick().await.unwrap() == Tick::More {
        let events = app.count("SELECT count(*) FROM t_im_event", &[]).await;
        assert!(events - before <= 500, "{events} after {before}");
        (ticks, before) = (ticks + 1, events);
    }
    assert!(ticks > 0);
    assert_eq!(app.count("SELECT count(DISTINCT seq) FROM t_im_event", &[]).await, 750);
    assert_eq!(app.count("SELECT count(*) FROM t_im_event_new", &[]).await, 0);
}

/// What was counted before the clock stepped back does not wait for it to come round again.
#[tokio::test]
async fn a_clock_that_steps_back_holds_no_tally() {
    let mut app = start("event_window_ms = 60000").await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["message.received"])).await;
    app.say("a", &channel, "hello").await;
    app.until("SELECT count(*) FROM t_im_event_tally", 1).await;
    app.set("event_window_ms", "100");
    app.clock("-1 hours").await;
    portal.wait_for(|log| log.events().len() == 1, LONG).await;
}

/// The sequencer as it must not be: ids are given by whoever writes, before the commit.
#[tokio::test]
async fn ids_given_before_the_commit_are_found_out() {
    let database = database().await;
    let (one, two, reader) = (
        shared().connect(&database).await,
        shared().connect(&database).await,
        shared().connect(&database).await,
    );
    one.batch_execute("CREATE SEQUENCE broken").await.unwrap();
    let tell = |name: i64| {
        format!(
            "BEGIN; INSERT INTO t_im_event (event_id, type, data, at) \
             VALUES (nextval('broken'), 'channel.updated', '{{\"name\": {name}}}', im_clock())"
        )
    };
    let from = Instant::now();
    one.batch_execute(&tell(1)).await.unwrap();
    two.batch_execute(&tell(2)).await.unwrap();
    two.batch_execute("COMMIT").await.unwrap();
    let mut follower = Follower::default();
    follower.look(&reader).await;
    one.batch_execute("COMMIT").await.unwrap();
    follower.look(&reader).await;
    let to = Instant::now();
    let write = |name| Write { name, committed: true, from, to };
    let found = follower.complaints(&[write(1), write(2)]);
    assert!(found.iter().any(|complaint| complaint.contains("missed [1]")), "{found:?}");

    let swapped = Follower { last: 2, seen: vec![(1, 2), (2, 1)] };
    let later = Write { from: to + Duration::from_secs(1), to: to + Duration::from_secs(2), ..write(2) };
    assert_eq!(swapped.complaints(&[write(1), later]).len(), 1, "ids rise in the order of commits");
    let repeated = Follower { last: 1, seen: vec![(1, 1), (1, 2)] };
    assert_eq!(repeated.complaints(&[write(1), write(2)]).len(), 1, "no id is given twice");
}
