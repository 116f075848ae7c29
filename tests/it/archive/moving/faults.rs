//! What goes wrong around a move: an archive that lies or fails, readers in the way, a schedule that
//! is met late.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use im_push_gateway::archive::index::{self, Bound};
use im_push_gateway::archive::mover::{self, Archiver, State};
use im_push_gateway::archive::{self, Archive, Document, Find};
use im_push_gateway::base::error::{Error, Result};
use im_push_gateway::base::number::MsId;
use im_push_gateway::base::store::Store;
use im_push_gateway::base::worker::{Tick, Work};
use im_push_gateway::records::outbox::Outbox;
use serde_json::Value;

use super::{Aged, Kind, OUTBOX, QUICK};
use crate::app::{TestApp, config, text};
use crate::support::gateway::Answer;
use crate::support::{Elastic, shared};

type Meddling = Box<dyn Fn(usize, &[Document]) -> Written + Send>;

/// What becomes of a write.
enum Written {
    Whole,
    /// Said to be written, but some of it is not.
    Without(Vec<i64>),
    /// Some of it is written, and then nobody answers.
    Half,
}

/// An archive that does not do what it says.
struct Meddled {
    inner: Arc<dyn Archive>,
    writes: AtomicUsize,
    meddling: Mutex<Meddling>,
    /// A message that it seems not to have.
    hidden: AtomicI64,
}

impl Meddled {
    fn of(
        inner: Arc<dyn Archive>,
        meddling: impl Fn(usize, &[Document]) -> Written + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner,
            writes: AtomicUsize::new(0),
            meddling: Mutex::new(Box::new(meddling)),
            hidden: AtomicI64::new(0),
        })
    }

    fn set(&self, meddling: impl Fn(usize, &[Document]) -> Written + Send + 'static) {
        *self.meddling.lock().expect("no panic while held") = Box::new(meddling);
    }
}

impl Archive for Meddled {
    fn identity(&self) -> BoxFuture<'_, Result<String>> {
        self.inner.identity()
    }

    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>> {
        let nth = self.writes.fetch_add(1, Ordering::Relaxed);
        let written = (self.meddling.lock().expect("no panic while held"))(nth, documents);
        Box::pin(async move {
            match written {
                Written::Whole => self.inner.write(documents).await,
                Written::Without(ms_ids) => {
                    let kept: Vec<Document> =
                        documents.iter().filter(|d| !ms_ids.contains(&d.ms_id.0)).cloned().collect();
                    self.inner.write(&kept).await
                }
                Written::Half => {
                    self.inner.write(&documents[..documents.len() / 2]).await?;
                    Err(Error::unavailable("the archive is away"))
                }
            }
        })
    }

    fn refresh(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.refresh()
    }

    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>> {
        Box::pin(async move {
            let mut found = self.inner.find(find).await?;
            found.retain(|document| document.ms_id.0 != self.hidden.load(Ordering::Relaxed));
            Ok(found)
        })
    }
}

/// Gives it an old day with six messages in a group, and stops the service.
async fn an_old_day(mut aged: Aged) -> (Aged, Vec<String>) {
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let group = aged.group(&["ann", "bob"]).await;
    let mut ms_ids = Vec::new();
    for i in 0..6 {
        ms_ids.push(text(&aged.say("ann", &group, &format!("old {i}")).await["ms_id"]));
    }
    aged.settled().await;
    aged.app.clock("0").await;
    aged.app.halt().await;
    (aged, ms_ids)
}

/// The settings of a service of this database on its own archive.
fn settings(aged: &Aged, more: &str) -> im_push_gateway::base::config::Config {
    let archive: String =
        aged.archive.iter().map(|(key, value)| format!("{key} = {}\n", super::toml(value))).collect();
    config(&aged.database, &format!("{archive}{QUICK}{more}"))
}

async fn archiver(aged: &Aged, archive: Arc<dyn Archive>) -> Archiver {
    let bound = Arc::new(Bound::new(aged.store.clone(), archive));
    Archiver::new(aged.store.clone(), bound, &settings(aged, "")).expect("an archiver")
}

/// Asks for a run and ticks until it has ended, over failures; its outcome, and what it said.
async fn run(aged: &Aged, archiver: &Archiver) -> (String, String) {
    let now = aged.store.now().await.expect("a clock");
    mover::ask(&aged.store, "hand", now).await.expect("a run is asked for");
    for _ in 0..2_000 {
        let ticked = archiver.tick().await;
        let last = mover::runs(&aged.store, i64::MAX, 1).await.expect("runs").pop().expect("a run");
        if let Some(outcome) = last.outcome {
            return (outcome.as_str().to_owned(), last.doing.unwrap_or_default());
        }
        if !matches!(ticked, Ok(Tick::More)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("the run does not end");
}

const HOT: &str = "SELECT count(*) FROM t_im_message";
/// Days with messages that are read from the archive, and whose tables are still there. (Days without any
/// move, too: those that were made ahead.)
const COLD: &str = "SELECT count(*) FROM t_im_archive_day WHERE step = 'switched' AND messages > 0";

#[tokio::test]
async fn a_difference_in_verification_keeps_the_day_and_raises_an_alarm() {
    let (mut aged, ms_ids) = an_old_day(Aged::embedded().await).await;
    let lost: i64 = ms_ids[3].parse().expect("an id");
    let real = archive::open(&settings(&aged, "")).await.expect("it opens").expect("an archive");
    // The live index knew the message: what verifies must not be content with that.
    let lying = Meddled::of(real, move |_, _| Written::Without(vec![lost]));
    let archiver = archiver(&aged, lying.clone()).await;
    let (outcome, why) = run(&aged, &archiver).await;
    assert_eq!(outcome, "failed");
    assert!(why.contains("PostgreSQL has 6 messages"), "{why}");
    assert_eq!(aged.count(HOT, &[]).await, 6, "nothing is dropped");
    assert_eq!(aged.count("SELECT ms_id FROM t_im_horizon", &[]).await, 0, "nothing is cold");
    let now = aged.store.now().await.expect("a clock");
    assert_eq!(archiver.state(&aged.store, now).await.expect("a state"), State::Failed);
    // The next run writes it again, above what is there.
    lying.set(|_, _| Written::Whole);
    assert_eq!(run(&aged, &archiver).await.0, "done");
    assert_eq!(aged.count(HOT, &[]).await, 0);
    assert_eq!(archiver.state(&aged.store, now).await.expect("a state"), State::Ok);
    drop((archiver, lying));
    aged.app.run().await;
    assert_eq!(aged.receipts(&ms_ids).await.len(), 6);
}

#[tokio::test]
async fn writes_that_fail_half_way_are_written_again() {
    let (mut aged, ms_ids) = an_old_day(Aged::embedded().await).await;
    let real = archive::open(&settings(&aged, "")).await.expect("it opens").expect("an archive");
    let failing = Meddled::of(real, |nth, _| if nth < 3 { Written::Half } else { Written::Whole });
    let archiver = archiver(&aged, failing.clone()).await;
    assert_eq!(run(&aged, &archiver).await.0, "done");
    assert!(failing.writes.load(Ordering::Relaxed) > 3);
    drop((archiver, failing));
    aged.app.run().await;
    assert_eq!(aged.receipts(&ms_ids).await.len(), 6);
}

#[tokio::test]
async fn elasticsearch_killed_during_a_move_only_delays_it() {
    let Some(node) = Elastic::start() else {
        return;
    };
    let node = Arc::new(node);
    let aged = Aged::on_node(Kind::Elasticsearch, Some(node.url())).await.expect("it runs");
    let (mut aged, ms_ids) = an_old_day(aged).await;
    let real = archive::open(&settings(&aged, "")).await.expect("it opens").expect("an archive");
    let (victim, killed) = (node.clone(), Arc::new(AtomicBool::new(false)));
    let is_killed = killed.clone();
    let dying = Meddled::of(real, move |nth, _| {
        if nth == 0 {
            victim.kill9();
            killed.store(true, Ordering::Relaxed);
        }
        Written::Whole
    });
    let archiver = archiver(&aged, dying).await;
    let now = aged.store.now().await.expect("a clock");
    mover::ask(&aged.store, "hand", now).await.expect("a run is asked for");
    // A node that has only just started may answer 503 before it is killed.
    while archiver.tick().await.is_ok() || !is_killed.load(Ordering::Relaxed) {}
    assert_eq!(aged.count(HOT, &[]).await, 6, "nothing is dropped");
    let run_row = mover::runs(&aged.store, i64::MAX, 1).await.expect("runs").pop().expect("a run");
    assert!(run_row.doing.is_some_and(|doing| doing.starts_with("waits: ")), "the run says that it waits");
    node.restart().await;
    assert_eq!(run(&aged, &archiver).await.0, "done");
    assert_eq!(aged.count(HOT, &[]).await, 0);
    aged.app.run().await;
    assert_eq!(aged.receipts(&ms_ids).await.len(), 6);
}

#[tokio::test]
async fn readers_see_everything_once_and_in_order_while_days_move() {
    for kind in [Kind::Embedded, Kind::Elasticsearch] {
        let Some(mut aged) = Aged::on(kind).await else {
            continue;
        };
        let (mut group, mut sent) = (String::new(), 0);
        for day in 0..4 {
            aged.app.clock(&format!("-{} days", 40 - day)).await;
            if day == 0 {
                aged.people(&["ann", "bob"]).await;
                group = aged.group(&["ann", "bob"]).await;
            }
            for _ in 0..9 {
                sent += 1;
                aged.say("ann", &group, "a word").await;
            }
        }
        aged.settled().await;
        aged.app.clock("0").await;
        aged.say("ann", &group, "today").await;
        let wanted: Vec<i64> = (1..=sent + 1).collect();
        let history = format!("/channels/{group}/messages");
        // The first day that goes waits for whoever reads it still. Nothing is dropped before a whole pass has
        // gone over days that are cold and there, however slow the readers are.
        let mut holding = aged.sql().await;
        let one_snapshot = tokio_postgres::IsolationLevel::RepeatableRead;
        let open = holding.build_transaction().isolation_level(one_snapshot).start().await;
        let open = open.expect("a transaction");
        open.query_one(HOT, &[]).await.expect("a count");
        let reading = async {
            let (bob, mut open) = (aged.person("bob"), Some(open));
            loop {
                let cold = aged.count(COLD, &[]).await;
                for query in ["?after_seq=0&limit=4", "?limit=7"] {
                    let page = aged.all(&bob, &format!("{history}{query}")).await;
                    let mut seqs: Vec<i64> = page.iter().map(|m| m["seq"].as_i64().expect("seq")).collect();
                    if query == "?limit=7" {
                        seqs.reverse();
                    }
                    assert_eq!(seqs, wanted, "{query}");
                }
                if cold == 4
                    && let Some(open) = open.take()
                {
                    assert_eq!(aged.count(COLD, &[]).await, 4, "no day is dropped yet");
                    open.commit().await.expect("the reader ends");
                }
                if aged.count("SELECT count(*) FROM t_im_archive_run WHERE outcome = 'done'", &[]).await == 1
                {
                    assert!(open.is_none(), "a day went while somebody read it");
                    return;
                }
            }
        };
        tokio::join!(reading, aged.move_all());
        assert_eq!(aged.count(HOT, &[]).await, 1);
    }
}

#[tokio::test]
async fn nobody_waits_for_a_reader_of_the_day_that_goes() {
    let (mut aged, _) = an_old_day(Aged::embedded().await).await;
    aged.app.run().await;
    let group = text(&aged.person("ann").get("/conversations").await.expect(200)["items"][0]["channel_id"]);
    let mut reader = aged.sql().await;
    let one_snapshot = tokio_postgres::IsolationLevel::RepeatableRead;
    let open = reader.build_transaction().isolation_level(one_snapshot).start().await.expect("a transaction");
    let seen: i64 = open.query_one(HOT, &[]).await.expect("a count").get(0);
    let now = aged.store.now().await.expect("a clock");
    mover::ask(&aged.store, "hand", now).await.expect("a run is asked for");
    aged.until(COLD, 1).await;
    // Until the detaching waits for the reader; meanwhile sends go on into their own day.
    aged.until("SELECT count(*) FROM pg_inherits WHERE inhdetachpending", 1).await;
    for i in 0..20 {
        aged.say("ann", &group, &format!("meanwhile {i}")).await;
    }
    let still: i64 = open
        .query_one("SELECT count(*) FROM t_im_message WHERE seq <= 6", &[])
        .await
        .expect("a count")
        .get(0);
    assert_eq!((seen, still), (6, 6), "the reader keeps what it sees");
    open.commit().await.expect("the reader ends");
    aged.until("SELECT count(*) FROM t_im_archive_run WHERE ended_at IS NULL", 0).await;
    assert_eq!(aged.count(HOT, &[]).await, 20);
}

#[tokio::test]
async fn a_day_whose_pushes_wait_is_held() {
    let mut aged = Aged::embedded().await;
    aged.gateway.answer(|_| Answer::Status(500, None));
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let group = aged.group(&["ann", "bob"]).await;
    let said = aged.say("ann", &group, "not pushed yet").await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count(HOT, &[]).await, 1, "it waits for its push");
    let desk = aged.client("desk", &["support"]);
    let runs = desk.get("/archive/runs").await.expect(200);
    assert!(
        text(&runs["items"][0]["doing"]).contains("is held: 1 pushes or reminders are waiting"),
        "{runs}"
    );
    aged.gateway.answer(|_| Answer::All);
    aged.settled().await;
    aged.move_all().await;
    assert_eq!(aged.count(HOT, &[]).await, 0);
    let rows = aged.ledger(&said["ms_id"]).await;
    assert_eq!(rows, [("bob".to_owned(), "received".to_owned(), Value::Null)]);
    aged.until(OUTBOX, 0).await;
}

/// The service's clock, moved under a store's feet.
async fn at(database: &str, offset: &str) -> Store {
    let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{offset}'");
    shared().connect(database).await.batch_execute(&alter).await.expect("the clock moves");
    Store::new(&config(database, "")).expect("a store")
}

#[tokio::test]
async fn late_ticks_clock_changes_and_killed_runners_do_not_end_the_schedule() {
    let database = crate::app::database().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let settings = config(
        &database,
        &format!(
            "archive_url = \"embedded:{}\"\narchive_schedule = \"0 2 * * *\"\nlease_ms = 15000\n\
             archive_age_days = 3000",
            folder.path().display()
        ),
    );
    let archive = archive::open(&settings).await.expect("it opens").expect("an archive");
    let on = |store: &Store| {
        let bound = Arc::new(Bound::new(store.clone(), archive.clone()));
        Archiver::new(store.clone(), bound, &settings).expect("an archiver")
    };
    let ended = "SELECT count(*) FROM t_im_archive_run WHERE outcome = 'done' AND asked_by = 'schedule'";
    let count = |sql: &'static str| {
        let database = database.clone();
        async move {
            let client = shared().connect(&database).await;
            client.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0)
        }
    };
    // The first tick of a new database only remembers: the next turn is the first.
    let store = at(&database, "0").await;
    let first = on(&store);
    assert_eq!(first.tick().await.expect("a tick"), Tick::Idle);
    // Three days late, once.
    let store = at(&database, "3 days").await;
    let late = on(&store);
    assert_eq!(
        late.state(&store, store.now().await.expect("a clock")).await.expect("a state"),
        State::Overdue
    );
    while late.tick().await.expect("a tick") == Tick::More {}
    assert_eq!(count(ended).await, 1);
    // A runner that took the lease for a run and was killed: another goes on when the lease is over.
    let store = at(&database, "4 days 1 hour").await;
    let killed = on(&store);
    let now = store.now().await.expect("a clock");
    mover::ask(&store, "schedule", now).await.expect("a run is asked for");
    let other = on(&store);
    assert_eq!(killed.tick().await.expect("a tick"), Tick::More, "it ended a run that had nothing to move");
    mover::ask(&store, "schedule", now).await.expect("a run is asked for");
    assert_eq!(other.tick().await.expect("a tick"), Tick::Idle, "the lease is the other's");
    let store = at(&database, "4 days 2 hours").await;
    let heir = on(&store);
    while heir.tick().await.expect("a tick") == Tick::More {}
    assert_eq!(count("SELECT count(*) FROM t_im_archive_run WHERE ended_at IS NULL").await, 0);
    let before = count(ended).await;
    // The clock goes a year ahead by mistake, and back: runs go on.
    let store = at(&database, "370 days").await;
    let ahead = on(&store);
    while ahead.tick().await.expect("a tick") == Tick::More {}
    let after_ahead = count(ended).await;
    assert_eq!(after_ahead, before + 1);
    let store = at(&database, "5 days").await;
    let back = on(&store);
    while back.tick().await.expect("a tick") == Tick::More {}
    assert_eq!(count(ended).await, after_ahead + 1);
    let store = at(&database, "6 days 1 hour").await;
    let next = on(&store);
    while next.tick().await.expect("a tick") == Tick::More {}
    assert_eq!(count(ended).await, after_ahead + 2);
}

#[tokio::test]
async fn what_the_archive_seems_to_lack_is_not_forgotten_and_holds_up_nothing() {
    let (mut aged, ms_ids) = an_old_day(Aged::embedded().await).await;
    aged.app.run().await;
    aged.move_all().await;
    aged.app.halt().await;
    let sql = aged.sql().await;
    let receipts = "INSERT INTO t_im_receipt_pending (ms_id, receiver, received_at) SELECT ms_id, 'bob', now() FROM \
                    unnest($1::bigint[]) AS ms_id";
    let of: Vec<i64> = ms_ids[..2].iter().map(|id| id.parse().expect("an id")).collect();
    sql.execute(receipts, &[&of]).await.expect("receipts");
    let recalls = "INSERT INTO t_im_recall (ms_id, channel_id, seq, sender, recalled_by, recalled_at) \
                   SELECT ms_id, 1, 1, 'ann', 'root', now() FROM unnest($1::bigint[]) AS ms_id";
    sql.execute(recalls, &[&of]).await.expect("recalls");
    let settings = settings(&aged, "");
    let real = archive::open(&settings).await.expect("it opens").expect("an archive");
    let lacking = Meddled::of(real, |_, _| Written::Whole);
    lacking.hidden.store(of[0], Ordering::Relaxed);
    for (hidden, waiting) in [(of[0], 2), (0, 0)] {
        lacking.hidden.store(hidden, Ordering::Relaxed);
        let bound = Arc::new(Bound::new(aged.store.clone(), lacking.clone()));
        let outbox = Outbox::new(aged.store.clone(), bound, settings.workers.lease);
        while outbox.tick().await.expect("it goes on") == Tick::More {}
        outbox.release().await.expect("the lease is given back");
        assert_eq!(aged.count(OUTBOX, &[]).await, waiting, "the rest does not wait for it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_changes_of_what_the_archive_has_lost_wait_for_a_newer_copy() {
    let (mut aged, ms_ids) = an_old_day(Aged::embedded().await).await;
    aged.app.run().await;
    aged.move_all().await;
    aged.app.halt().await;
    let of: Vec<i64> = ms_ids[..3].iter().map(|id| id.parse().expect("an id")).collect();
    let settings = settings(&aged, "");
    let real = archive::open(&settings).await.expect("it opens").expect("an archive");
    let mut newer = Vec::new();
    for ms_id in &of {
        newer.extend(real.find(&Find::message(MsId(*ms_id))).await.expect("it answers"));
    }
    // As an older copy: the first is not there, the others have no ledger yet.
    let mut older = newer.clone();
    older.iter_mut().for_each(|document| (document.version, document.ledger) = (document.version + 1, None));
    older[0].set_aside = true;
    real.write(&older).await.expect("it takes them");
    real.refresh().await.expect("it answers");
    let sql = aged.sql().await;
    sql.batch_execute("UPDATE t_im_archive_day SET lost_documents = 1, lost_ledger_rows = 3")
        .await
        .expect("days");
    let receipts = "INSERT INTO t_im_receipt_pending (ms_id, receiver, received_at) \
                    SELECT ms_id, 'bob', im_clock() - interval '3 days' FROM unnest($1::bigint[]) AS ms_id";
    sql.execute(receipts, &[&&of[..2]]).await.expect("receipts");
    let read = "INSERT INTO t_im_read (channel_id, user_id, from_seq, to_seq, from_ms_id, to_ms_id, read_at) \
                VALUES ($1, 'bob', 3, 3, $2, $2, im_clock())";
    sql.execute(read, &[&newer[2].channel_id, &of[2]]).await.expect("a read");
    for (restored, waiting) in [(false, 3), (true, 0)] {
        if restored {
            newer.iter_mut().for_each(|document| document.version += 2);
            real.write(&newer).await.expect("it takes them");
            real.refresh().await.expect("it answers");
            let whole = "UPDATE t_im_archive_day SET lost_documents = 0, lost_ledger_rows = 0";
            sql.batch_execute(whole).await.expect("days");
        }
        let bound = Arc::new(Bound::new(aged.store.clone(), real.clone()));
        let outbox = Outbox::new(aged.store.clone(), bound, settings.workers.lease);
        while outbox.tick().await.expect("it goes on") == Tick::More {}
        outbox.release().await.expect("the lease is given back");
        assert_eq!(aged.count(OUTBOX, &[]).await, waiting, "restored: {restored}");
    }
    let last = real.find(&Find::message(MsId(of[2]))).await.expect("it answers");
    assert_eq!(last[0].ledger.as_ref().expect("a ledger").read.receivers, ["bob"]);
}

#[tokio::test]
async fn another_archive_is_not_adopted_under_a_replica_nor_used_by_one() {
    let app = TestApp::with_archive(QUICK).await;
    app.until("SELECT count(*) FROM t_im_lease WHERE name IN ('index', 'outbox', 'archiver')", 3).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let url = format!("archive_url = \"embedded:{}\"", folder.path().display());
    let other = archive::open(&config(&app.database, &url)).await.expect("it opens").expect("an archive");
    let refused = index::adopt(&app.store, &*other).await.expect_err("a replica works on the other");
    assert!(refused.detail.contains("stop it first"), "{refused}");
    let bound = Bound::new(app.store.clone(), other);
    let refused = bound.find(&Find::newest(1)).await.expect_err("it is not this database's");
    assert!(refused.detail.contains("another archive"), "{refused}");
}
