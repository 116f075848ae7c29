//! A month later: what moved reads as before, and what comes late for it counts.

mod faults;
mod reconcile;

use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{LONG, LOOK, TestApp, text};
use crate::support::gateway::Answer;
use crate::support::{Client, Service, shared, shared_elastic};
use im_push_gateway::archive::mover;

/// Short times, so that a day is dropped soon after it is cold; and a schedule that leaves it to the test
/// when something moves. Every send slows the move down, to its floor.
const QUICK: &str = "request_timeout_ms = 2000\narchive_drop_grace_ms = 2001\npoll_ms = 20\n\
                     background_send_wait_ms = 0\n\
                     archive_schedule = \"0 0 29 2 *\"\n";

/// A service with an archive, whose clock may be moved. It begins at noon.
pub struct Aged {
    pub app: TestApp,
    archive: Vec<(&'static str, String)>,
    folder: TempDir,
}

#[derive(Clone, Copy)]
enum Kind {
    Embedded,
    Elasticsearch,
}

/// Whether all runs have ended well, and how far the days and the runs are.
const PROGRESS: &str = "SELECT NOT EXISTS (SELECT FROM t_im_archive_run WHERE ended_at IS NULL OR outcome <> 'done') AS is_done, \
     (SELECT coalesce(string_agg(concat_ws(' ', day, step, written_ms_id), ', ' ORDER BY day), '') FROM t_im_archive_day) \
     || (SELECT coalesce(string_agg(concat_ws(' ', '; run', run_id, outcome, doing), '' ORDER BY run_id), '') \
         FROM t_im_archive_run) AS progress";

/// A number as it is, anything else in quotes.
fn toml(value: &str) -> String {
    if value.parse::<u32>().is_ok() { value.to_owned() } else { format!("{value:?}") }
}

impl std::ops::Deref for Aged {
    type Target = TestApp;
    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl Aged {
    pub async fn embedded() -> Self {
        Self::on(Kind::Embedded).await.expect("a folder is always there")
    }

    /// None where no Elasticsearch can be started.
    async fn on(kind: Kind) -> Option<Self> {
        Self::on_node(kind, None).await
    }

    /// On a node of its own, if one is given.
    async fn on_node(kind: Kind, node: Option<String>) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let database = crate::app::database().await;
        let archive = match kind {
            Kind::Embedded => vec![("archive_url", format!("embedded:{}", folder.path().display()))],
            Kind::Elasticsearch => vec![
                ("archive_url", node.or_else(|| Some(shared_elastic()?.url()))?),
                ("archive_index", database.clone()),
                ("archive_replicas", "0".to_owned()),
            ],
        };
        let toml: String = archive.iter().map(|(key, value)| format!("{key} = {}\n", toml(value))).collect();
        let app = TestApp::start_at_noon_on(database, &format!("{toml}{QUICK}")).await;
        app.gateway.ignore_time();
        Some(Self { app, archive, folder })
    }

    /// The folder of an embedded archive.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Moves everything that is old enough, and waits until it is cold.
    pub async fn move_all(&self) {
        let now = self.store.now().await.expect("a clock");
        mover::ask(&self.store, "hand", now).await.expect("a run is asked for");
        let client = self.sql().await;
        let (mut last, mut moved) = (String::new(), Instant::now());
        loop {
            let row = client.query_one(PROGRESS, &[]).await.expect("how far it is");
            if row.get("is_done") {
                return;
            }
            // How long it takes in all is the machine's affair; that it gets no further is not.
            let progress: String = row.get("progress");
            if progress != last {
                (last, moved) = (progress, Instant::now());
            }
            assert!(moved.elapsed() < LONG, "it gets no further: {last}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything that readers can see of these channels.
    async fn seen(&self, people: &[&str], channels: &[&str]) -> Vec<Value> {
        let mut seen = Vec::new();
        for person in people {
            let client = self.person(person);
            for channel in channels {
                for query in ["?limit=7", "?after_seq=0&limit=3", "?after_seq=11&newest=4"] {
                    seen.push(json!(
                        self.all(&client, &format!("/channels/{channel}/messages{query}")).await
                    ));
                }
            }
            seen.push(client.get("/conversations").await.expect(200));
        }
        seen
    }

    /// What a receiver has of a message.
    async fn status(&self, ms_id: &str, receiver: &str) -> String {
        let rows = self.ledger(&json!(ms_id)).await;
        rows.into_iter().find(|(who, ..)| who == receiver).map_or_else(String::new, |(_, status, _)| status)
    }

    /// Waits until nothing is to be pushed.
    async fn settled_pushes(&self) {
        self.until(
            "SELECT (SELECT count(*) FROM v_im_push_item) + (SELECT count(*) FROM t_im_push_batch)",
            0,
        )
        .await;
    }

    async fn receipts(&self, ms_ids: &[String]) -> Vec<Value> {
        let desk = self.client("desk", &["support"]);
        let mut all = Vec::new();
        for ms_id in ms_ids {
            all.push(desk.get(&format!("/messages/{ms_id}/receipts?reason=a+test")).await.expect(200));
        }
        all
    }
}

#[tokio::test]
async fn what_moved_reads_as_before() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "dee"]).await;
    let group = aged.group(&["ann", "bob", "cy"]).await;
    let direct = aged.direct("ann", "bob").await;
    let mut ms_ids = Vec::new();
    for i in 0..8 {
        let sender = ["ann", "bob", "cy"][i % 3];
        ms_ids.push(text(&aged.say(sender, &group, &format!("old {i} 季度报告")).await["ms_id"]));
    }
    ms_ids.push(text(&aged.say("ann", &direct, "just us").await["ms_id"]));
    aged.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 3})).await.expect(200);
    aged.settled().await;
    aged.app.clock("-38 days").await;
    for i in 8..12 {
        ms_ids.push(text(&aged.say("bob", &group, &format!("later {i}")).await["ms_id"]));
    }
    // A newcomer who sees nothing earlier, and one who leaves and comes back.
    aged.person("ann")
        .post(&format!("/channels/{group}/members"), json!({"user_ids": ["dee"]}))
        .await
        .expect(200);
    ms_ids.push(text(&aged.say("ann", &group, "welcome dee").await["ms_id"]));
    aged.person("cy").post(&format!("/channels/{group}/leave"), json!({})).await;
    ms_ids.push(text(&aged.say("ann", &group, "without cy").await["ms_id"]));
    aged.person("ann")
        .post(&format!("/channels/{group}/members"), json!({"user_ids": ["cy"]}))
        .await
        .expect(200);
    aged.settled().await;
    aged.app.clock("0").await;
    for i in 14..20 {
        ms_ids.push(text(&aged.say("cy", &group, &format!("new {i}")).await["ms_id"]));
    }
    aged.settled().await;
    let people = ["ann", "bob", "cy"];
    let before = aged.seen(&people, &[&group]).await;
    let dee = aged.seen(&["dee"], &[&group]).await;
    let receipts = aged.receipts(&ms_ids).await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 6, "the days are gone");
    let old = "SELECT count(*) FROM pg_class WHERE relname ~ '_p[0-9]{8}$' \
               AND to_date(right(relname, 8), 'YYYYMMDD') < im_clock() - interval '31 days'";
    assert_eq!(aged.count(old, &[]).await, 0, "and so are their tables");
    assert_eq!(aged.seen(&people, &[&group]).await, before);
    assert_eq!(aged.seen(&["dee"], &[&group]).await, dee);
    assert_eq!(aged.receipts(&ms_ids).await, receipts);
    let stranger = aged.person("dee");
    stranger.get(&format!("/messages/{}/receipts", ms_ids[0])).await.expect(404);
    stranger.get(&format!("/channels/{direct}/messages")).await.expect(404);
}

#[tokio::test]
async fn what_comes_late_counts_at_once_and_for_good() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy"]).await;
    let group = aged.group(&["ann", "bob", "cy"]).await;
    aged.gateway.answer(|_| Answer::all_except(&["ann", "bob", "cy"], &[]));
    let mut ms_ids = Vec::new();
    for i in 0..6 {
        let sender = if i == 4 { "bob" } else { "ann" };
        ms_ids.push(text(&aged.say(sender, &group, &format!("old {i}")).await["ms_id"]));
    }
    aged.settled().await;
    aged.app.clock("0").await;
    aged.say("ann", &group, "new").await;
    aged.settled_pushes().await;
    aged.move_all().await;
    assert_eq!(aged.unread("bob", &group).await, 6, "his own is not unread");
    let hub = aged.client("hub", &["gateway"]);
    let receipts = json!([
        {"ms_id": ms_ids[0], "receiver": "cy", "status": "received"},
        {"ms_id": ms_ids[1], "receiver": "cy", "status": "read"},
        {"ms_id": ms_ids[5], "receiver": "nobody", "status": "read"},
        {"ms_id": "4194304", "receiver": "cy", "status": "received"},
    ]);
    let results = hub.post("/receipts", receipts).await.expect(200);
    assert_eq!(results["results"], json!(vec![json!({"status": "waiting"}); 4]));
    let read =
        aged.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 3})).await.expect(200);
    assert_eq!(read, json!({"read_seq": 3, "unread_count": 3}), "old 3, old 5 and new");
    // The admin takes back what bob has not read, and what he has.
    let admin = aged.client("root", &["admin"]);
    for i in [0, 5] {
        admin.post(&format!("/messages/{}/recall", ms_ids[i]), json!({"reason": "leaked"})).await.expect(200);
    }
    for settled in [false, true] {
        if settled {
            // A read by a receipt moves the cursor, once the archive has said where to.
            assert_eq!(aged.status(&ms_ids[0], "cy").await, "read", "the cursor went over it");
            assert_eq!(aged.unread("cy", &group).await, 4, "2, 3, 4 and new, without the recalled 5");
        }
        assert_eq!(aged.status(&ms_ids[1], "cy").await, "read");
        assert_eq!(aged.status(&ms_ids[2], "cy").await, "unreceived");
        assert_eq!(aged.status(&ms_ids[2], "bob").await, "read");
        assert_eq!(aged.status(&ms_ids[3], "bob").await, "unreceived");
        assert_eq!(aged.unread("bob", &group).await, 2, "the recalled one is not unread");
        let page = aged.person("cy").get(&format!("/channels/{group}/messages")).await.expect(200);
        let recalled: Vec<bool> =
            page["items"].as_array().expect("items").iter().map(|m| m.get("recalled").is_some()).collect();
        assert_eq!(recalled, [false, true, false, false, false, false, true]);
        assert!(page["items"][1]["content"].as_object().expect("content").is_empty());
        // A receipt of a message that nobody knows is kept for a while: an index may be away.
        aged.until(OUTBOX, 1).await;
    }
}

/// What waits for the archive.
const OUTBOX: &str = "SELECT (SELECT count(*) FROM t_im_receipt_pending) + (SELECT count(*) FROM t_im_read) \
     + (SELECT count(*) FROM t_im_recall WHERE NOT archived)";

/// Where the move is stopped and killed.
const PLACES: &[&str] = &[
    "before-seal",
    "sealed",
    "written-some",
    "before-written",
    "written",
    "refreshed",
    "verified",
    "before-switch",
    "switched",
    "before-drop",
    "dropped-one",
];
/// The first of the old days is this old.
const OLDEST: usize = 60;
const PEOPLE: [&str; 4] = ["ann", "bob", "cy", "dee"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_embedded() {
    killed_anywhere(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_elasticsearch() {
    killed_anywhere(Kind::Elasticsearch).await;
}

/// What must be seen: every message in order, and what everybody has of it.
#[derive(Default)]
struct Book {
    /// `(ms_id, sender, recalled)`, by seq from 1.
    messages: Vec<(String, &'static str, bool)>,
    /// Of whom it was reported: `(ms_id, receiver)`.
    received: Vec<(String, &'static str)>,
    cursors: std::collections::HashMap<&'static str, usize>,
}

impl Book {
    fn status(&self, seq: usize, receiver: &'static str) -> &'static str {
        let (ms_id, ..) = &self.messages[seq - 1];
        if self.cursors.get(receiver).is_some_and(|cursor| *cursor >= seq) {
            "read"
        } else if self.received.contains(&(ms_id.clone(), receiver)) {
            "received"
        } else {
            "unreceived"
        }
    }
}

/// The service as a process of its own, to be killed while it moves a day.
struct Victim<'a> {
    aged: &'a Aged,
    service: Service,
    group: String,
    book: Book,
}

async fn killed_anywhere(kind: Kind) {
    let Some(mut aged) = Aged::on(kind).await else {
        return;
    };
    aged.gateway.answer(|_| Answer::all_except(&PEOPLE, &[]));
    let mut book = Book::default();
    let mut group = String::new();
    for day in 0..PLACES.len() {
        aged.app.clock(&format!("-{} days", OLDEST - day)).await;
        if day == 0 {
            aged.people(&PEOPLE).await;
            group = aged.group(&PEOPLE).await;
        }
        for i in 0..6 {
            let sender = PEOPLE[(day + i) % PEOPLE.len()];
            let said = aged.say(sender, &group, &format!("day {day} 消息 {i}")).await;
            book.messages.push((text(&said["ms_id"]), sender, false));
        }
        aged.settled_pushes().await;
    }
    aged.app.clock("0").await;
    aged.app.halt().await;
    let url = shared().url(&aged.database);
    let callback = aged.gateway.url();
    let mut settings = vec![
        ("database_url", url.as_str()),
        ("callback_url", &callback),
        ("callback_secrets", crate::support::gateway::SECRET),
        ("request_timeout_ms", "1000"),
        ("archive_drop_grace_ms", "1001"),
        ("poll_ms", "20"),
        ("lease_ms", "1000"),
        ("archive_schedule", "0 0 29 2 *"),
        ("log", "info,im_push_gateway::archive::mover=debug"),
    ];
    settings.extend(aged.archive.iter().map(|(key, value)| (*key, value.as_str())));
    let service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let mut victim = Victim { aged: &aged, service, group, book };
    for (day, place) in PLACES.iter().enumerate() {
        victim.kill_at(place, day).await;
        // The day that moved, overlaid and then for good; at the end every day.
        let days = day * 6..day * 6 + 6;
        victim.check(place, days.clone()).await;
        aged.until(OUTBOX, 0).await;
        victim.check(place, days).await;
    }
    let all = 0..victim.book.messages.len();
    victim.check("the end", all).await;
    let old = "SELECT count(*) FROM t_im_message WHERE server_time < im_clock() - interval '40 days'";
    assert_eq!(aged.count(old, &[]).await, 0, "every day is dropped");
    assert_eq!(victim.service.stop().await.code(), Some(0));
}

impl Victim<'_> {
    fn client(&self, user: &str, roles: &[&str]) -> Client {
        Client::new(&self.service.api(), user, roles)
    }

    /// Lets one more day move, stops it at a place, lets things arrive there, kills it, and lets
    /// another start finish.
    async fn kill_at(&mut self, place: &str, day: usize) {
        self.service.kill9();
        self.service.set_environment("FAILPOINTS", Some(&format!("{place}=return")));
        self.service.set("archive_age_days", &(OLDEST - 1 - day).to_string());
        let before = self.service.log().len();
        self.service.restart().await;
        let now = self.aged.store.now().await.expect("a clock");
        mover::ask(&self.aged.store, "hand", now).await.expect("a run is asked for");
        let reached = format!("\"place\":\"{place}\"");
        let started = std::time::Instant::now();
        while !self.service.log()[before..].contains(&reached) {
            assert!(started.elapsed() < LONG, "{place} is not reached:\n{}", self.service.log_tail());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.arrive(day).await;
        self.service.kill9();
        self.service.set_environment("FAILPOINTS", None);
        self.service.restart().await;
        self.aged.until("SELECT count(*) FROM t_im_archive_run WHERE ended_at IS NULL", 0).await;
        let failed =
            self.aged.count("SELECT count(*) FROM t_im_archive_run WHERE outcome <> 'done'", &[]).await;
        assert_eq!(failed, 0, "{place}:\n{}", self.service.log_tail());
        let moved = "SELECT count(*) FROM t_im_archive_day WHERE step = 'dropped'";
        assert_eq!(self.aged.count(moved, &[]).await, day as i64 + 1, "{place}");
    }

    /// A receipt, a read by a cursor, a read by a receipt, a recall, for the day that is moving; and
    /// a new message.
    async fn arrive(&mut self, day: usize) {
        let first = day * 6;
        let ms_id = |i: usize| self.book.messages[first + i].0.clone();
        let (taken_back, got) = (ms_id(4), ms_id(5));
        let receiver = |i: usize| PEOPLE[(day + i + 1) % PEOPLE.len()];
        let (got_by, read_by) = (receiver(5), receiver(2));
        let read = ms_id(2);
        let receipts = json!([
            {"ms_id": got, "receiver": got_by, "status": "received"},
            {"ms_id": read, "receiver": read_by, "status": "read"},
        ]);
        self.client("hub", &["gateway"]).post("/receipts", receipts).await.expect(200);
        let path = format!("/channels/{}/read", self.group);
        let reader = PEOPLE.into_iter().find(|who| ![got_by, read_by].contains(who)).expect("somebody else");
        self.client(reader, &[]).post(&path, json!({"seq": first + 2})).await.expect(200);
        let path = format!("/messages/{taken_back}/recall");
        self.client("root", &["admin"]).post(&path, json!({})).await.expect(200);
        let said = json!({"type": "text", "content": {"text": format!("meanwhile {day}")}});
        let path = format!("/channels/{}/messages", self.group);
        let said = self.client("ann", &[]).post(&path, said).await.expect(201);
        self.book.messages.push((text(&said["ms_id"]), "ann", false));
        self.book.messages[first + 4].2 = true;
        self.book.received.push((got, got_by));
        for (who, seq) in [(reader, first + 2), (read_by, first + 3)] {
            let cursor = self.book.cursors.entry(who).or_default();
            *cursor = seq.max(*cursor);
        }
    }

    /// Everything is there once, in order, both ways, with the status it must have.
    async fn check(&self, place: &str, with_receipts: std::ops::Range<usize>) {
        let ann = self.client("ann", &[]);
        let wanted: Vec<(String, bool)> =
            self.book.messages.iter().map(|(ms_id, _, recalled)| (ms_id.clone(), *recalled)).collect();
        let history = format!("/channels/{}/messages", self.group);
        for query in ["?limit=200", "?limit=200&after_seq=0"] {
            let whole = ann.get(&format!("{history}{query}")).await;
            assert_eq!(whole.status, 200, "{place}, {query}:\n{}", self.service.log_tail());
        }
        let mut newest = self.aged.all(&ann, &format!("{history}?limit=7")).await;
        newest.reverse();
        for seen in [newest, self.aged.all(&ann, &format!("{history}?after_seq=0&limit=9")).await] {
            let seen: Vec<(String, bool)> =
                seen.iter().map(|m| (text(&m["ms_id"]), m.get("recalled").is_some())).collect();
            assert_eq!(seen, wanted, "{place}");
        }
        let desk = self.client("desk", &["support"]);
        for i in with_receipts {
            let (ms_id, sender, _) = &self.book.messages[i];
            let page = desk.get(&format!("/messages/{ms_id}/receipts?reason=a+test")).await.expect(200);
            let seen: Vec<(String, String)> = page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|r| (text(&r["receiver"]), text(&r["status"])))
                .collect();
            let wanted: Vec<(String, String)> = PEOPLE
                .into_iter()
                .filter(|who| who != sender)
                .map(|who| (who.to_owned(), self.book.status(i + 1, who).to_owned()))
                .collect();
            assert_eq!(seen, wanted, "{place}, seq {}", i + 1);
        }
    }
}
