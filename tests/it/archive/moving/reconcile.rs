//! The database and the archive are restored to different times, and made to agree.

use std::collections::BTreeSet;
use std::path::Path;

use im_push_gateway::archive::mover;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Aged, Kind};
use crate::app::{LONG, LOOK, text};
use crate::base::database::until;
use crate::support::{Client, Cluster, Elastic, Gateway, Service, shared, shared_elastic};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const PEOPLE: [&str; 3] = ["ann", "bob", "cy"];
/// Reads that the archive does not have yet.
const READS: &str = "SELECT count(*) FROM t_im_read";
const FREE: &str = "SELECT count(*) FROM t_im_lease WHERE until > im_clock()";

/// How `archive reconcile` ended.
struct Ended {
    code: Option<i32>,
    report: Value,
    said: String,
}

/// `im-push-gateway archive reconcile` with these settings. A fail point can end it.
async fn reconcile(settings: &[(&str, String)], apply: bool, fail_point: Option<&str>) -> Ended {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["archive", "reconcile", "--format", "json"]).args(apply.then_some("--apply"));
    command.env("IMPG_TRUSTED_PEERS", "127.0.0.1").env("IMPG_LEASE_MS", "1000").env("IMPG_POLL_MS", "20");
    for (key, value) in settings {
        command.env(format!("IMPG_{}", key.to_uppercase()), value);
    }
    command.envs(fail_point.map(|place| ("FAILPOINTS", format!("{place}=panic"))));
    let output = command.kill_on_drop(true).output().await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ended { code: output.status.code(), report, said }
}

/// The days of a report on which something was said, oldest first.
fn days(report: &Value) -> Vec<&Value> {
    let is_empty =
        |day: &&Value| day["documents"] == 0 && day["found_documents"] == 0 && day["unwritten"] == 0;
    report["days"].as_array().expect("days").iter().filter(|day| !is_empty(day)).collect()
}

/// Their states.
fn states(report: &Value) -> Vec<String> {
    days(report).iter().map(|day| text(&day["state"])).collect()
}

async fn say_all(aged: &Aged, group: &str, texts: &[&str]) -> Vec<String> {
    let mut ms_ids = Vec::new();
    for (i, words) in texts.iter().enumerate() {
        ms_ids.push(text(&aged.say(PEOPLE[i % PEOPLE.len()], group, words).await["ms_id"]));
    }
    aged.settled().await;
    aged.indexed().await;
    ms_ids
}

fn words(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["content"]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

impl Aged {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let url = ("database_url", shared().url(&self.database));
        self.archive.iter().cloned().chain([url]).collect()
    }

    async fn reconcile(&self, apply: bool) -> Ended {
        reconcile(&self.settings(), apply, None).await
    }

    /// Lets it die at a place, and waits until its leases have ended.
    async fn reconcile_killed(&self, place: &str) {
        let killed = reconcile(&self.settings(), true, Some(place)).await;
        assert_eq!(killed.code, Some(101), "{place} is not reached: {}", killed.said);
        self.until(FREE, 0).await;
    }

    async fn found(&self, query: &str) -> Vec<String> {
        words(&self.all(&self.person("ann"), &format!("/search/messages?{query}")).await)
    }

    async fn history(&self, group: &str) -> Vec<String> {
        let mut items = self.all(&self.person("ann"), &format!("/channels/{group}/messages?limit=4")).await;
        items.reverse();
        words(&items)
    }

    async fn begin(&mut self, offset: &str) -> String {
        self.app.clock(offset).await;
        self.people(&PEOPLE).await;
        self.group(&PEOPLE).await
    }
}

#[tokio::test]
async fn an_older_database_and_a_newer_archive_agree_again() {
    let mut aged = Aged::embedded().await;
    let group = aged.begin("-40 days").await;
    let old = say_all(&aged, &group, &["old 0", "old 1", "old 2"]).await;
    aged.app.clock("0").await;
    let mut kept = say_all(&aged, &group, &["kept 0", "kept 1"]).await;
    aged.app.halt().await;
    let dump = shared().dump(&aged.database);
    aged.app.run().await;

    // Later than the dump: messages, a recall, the move of the old day, and receipts of it.
    let lost = say_all(&aged, &group, &["lost 0", "lost 1", "lost 2"]).await;
    let mut stream = aged.person("ann").listen(None).await;
    aged.person("bob").post(&format!("/messages/{}/recall", kept[1]), json!({})).await.expect(200);
    aged.say("bob", &group, "lost 3").await;
    stream.through("lost 3").await;
    aged.settled_pushes().await;
    aged.indexed().await;
    aged.move_all().await;
    aged.person("cy").post(&format!("/channels/{group}/read"), json!({"seq": 3})).await.expect(200);
    aged.until(READS, 0).await;
    aged.app.halt().await;

    shared().restore(&aged.database, &dump).await;
    aged.app.clock("0").await;
    let busy = aged.reconcile(true).await;
    assert_eq!(busy.code, Some(1), "{}", busy.said);
    assert!(busy.said.contains("in use by another replica"), "{}", busy.said);
    aged.app.halt().await;
    let shown = aged.reconcile(false).await;
    assert_eq!(shown.code, Some(2), "{}{}", shown.report, shown.said);
    assert_eq!(states(&shown.report), [""; 0], "the dump knows of no move");
    assert_eq!(shown.report["hot"]["unknown"]["documents"], 4, "{}", shown.report);
    let first = &shown.report["hot"]["unknown"]["first"][0];
    assert_eq!((text(&first["ms_id"]), text(&first["sender"])), (lost[0].clone(), "ann".to_owned()));
    assert!(!shown.report.to_string().contains("lost 0"), "contents are not listed");
    assert_eq!(shown.report["hot"]["index_again"], 1, "the recall: {}", shown.report);
    let cold: Vec<&Value> = shown.report["hot"]["cold_before"].as_object().unwrap().values().collect();
    assert_eq!(cold, [3]);
    assert_eq!(aged.reconcile(false).await.report, shown.report, "nothing is changed unasked");

    for place in ["set-aside-one", "before-reconciled"] {
        aged.reconcile_killed(place).await;
    }
    let done = aged.reconcile(true).await;
    assert_eq!(done.code, Some(0), "{}{}", done.report, done.said);
    let again = aged.reconcile(true).await;
    assert_eq!((again.code, &again.report["hot"]["unknown"]["documents"]), (Some(0), &json!(0)));
    assert_eq!(again.report["hot"]["set_aside"]["documents"], 4, "kept: {}", again.report);
    assert_eq!(again.report["hot"]["index_again"], 0, "{}", again.report);

    aged.app.run().await;
    aged.indexed().await;
    let mut resumed = aged.person("ann").listen(stream.last_id).await;
    assert_eq!(resumed.expect("resync").await.data, json!({"reason": "incomplete"}));
    let new = say_all(&aged, &group, &["new 0"]).await;
    assert!(![&old[..], &kept, &lost].concat().contains(&new[0]));
    kept.extend(new);
    for moved in [false, true] {
        if moved {
            aged.move_all().await;
        }
        let all = ["old 0", "old 1", "old 2", "kept 0", "kept 1", "new 0"];
        assert_eq!(aged.history(&group).await, all, "moved: {moved}");
        assert_eq!(aged.found("q=old").await, ["old 2", "old 1", "old 0"], "moved: {moved}");
        assert_eq!(aged.found("q=kept").await, ["kept 1", "kept 0"], "its recall is lost, too");
        assert_eq!(aged.found("q=lost").await, [""; 0]);
        assert_eq!(
            aged.status(&old[0], "cy").await,
            "received",
            "what cy read later is lost with the database"
        );
    }
    aged.app.halt().await;
    let moved = aged.reconcile(true).await;
    assert_eq!((moved.code, states(&moved.report)), (Some(0), vec!["whole".to_owned()]), "{}", moved.report);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a file is copied");
    }
}

#[tokio::test]
async fn an_older_archive_is_written_again_as_far_as_the_database_has_it() {
    let mut aged = Aged::embedded().await;
    let group = aged.begin("-120 days").await;
    let alpha = say_all(&aged, &group, &["alpha 0", "alpha 1"]).await;
    aged.app.clock("-80 days").await;
    aged.move_all().await;
    let recalled = format!("/messages/{}/recall", alpha[1]);
    aged.app.halt().await;
    let (older, archive) = (TempDir::new().unwrap(), aged.folder().to_owned());
    copy(&archive, older.path());
    aged.app.run().await;
    aged.client("root", &["admin"]).post(&recalled, json!({})).await.expect(200);
    aged.until(super::OUTBOX, 0).await;
    say_all(&aged, &group, &["beta 0", "beta 1", "beta 2"]).await;
    aged.app.clock("-40 days").await;
    aged.move_all().await;
    say_all(&aged, &group, &["gamma 0", "gamma 1"]).await;
    // It stays with its tables for a while.
    aged.app.set("archive_drop_grace_ms", "600000");
    aged.app.clock("0").await;
    let now = aged.store.now().await.unwrap();
    mover::ask(&aged.store, "hand", now).await.unwrap();
    aged.until("SELECT count(*) FROM t_im_archive_day WHERE step = 'switched'", 1).await;
    say_all(&aged, &group, &["delta 0"]).await;
    aged.app.halt().await;
    let same = aged.reconcile(true).await;
    assert_eq!(
        (same.code, states(&same.report)),
        (Some(0), ["changed", "whole", "whole"].map(String::from).to_vec())
    );

    std::fs::remove_dir_all(&archive).unwrap();
    std::fs::create_dir(&archive).unwrap();
    copy(older.path(), &archive);
    let shown = aged.reconcile(false).await;
    assert_eq!(
        (shown.code, states(&shown.report)),
        (Some(3), ["whole", "lost", "hot_again"].map(String::from).to_vec())
    );
    let lost = days(&shown.report)[1];
    assert_eq!((&lost["documents"], &lost["found_documents"]), (&json!(3), &json!(0)));
    assert_eq!((&shown.report["recalls"], &shown.report["hot"]["index_again"]), (&json!(1), &json!(1)));
    let horizon = "SELECT ms_id FROM t_im_horizon";
    let before = aged.count(horizon, &[]).await;
    aged.reconcile_killed("before-reconciled").await;
    assert_eq!(aged.count(horizon, &[]).await, before);
    let done = aged.reconcile(true).await;
    assert_eq!(done.code, Some(3), "{}{}", done.report, done.said);
    assert!(aged.count(horizon, &[]).await < before, "the newest day is hot again");
    assert_eq!(states(&aged.reconcile(false).await.report), ["whole", "lost", "moving"]);
    let told = "SELECT sum(lost_documents)::bigint FROM t_im_archive_day WHERE step = 'sealed'";
    assert_eq!(
        aged.count(told, &[]).await,
        2,
        "readers are told that these are not found before they are written"
    );

    aged.app.set("archive_drop_grace_ms", "2001");
    assert_readers_are_told(&mut aged, &group).await;
    aged.app.halt().await;
    let end = aged.reconcile(true).await;
    assert_eq!(
        (end.code, states(&end.report)),
        (Some(3), ["changed", "lost", "whole"].map(String::from).to_vec())
    );
}

/// Days stay as they are until the transaction ends: no replica takes the lease.
async fn pause_moves(sql: &mut tokio_postgres::Client) -> tokio_postgres::Transaction<'_> {
    let paused = sql.transaction().await.unwrap();
    let held =
        paused.execute("SELECT FROM t_im_lease WHERE name = 'archiver' FOR UPDATE", &[]).await.unwrap();
    assert_eq!(held, 1);
    paused
}

/// Readers who reach the day that is lost are refused. The day that is hot again moves again.
async fn assert_readers_are_told(aged: &mut Aged, group: &str) {
    let mut sql = aged.sql().await;
    let paused = pause_moves(&mut sql).await;
    aged.app.run().await;
    aged.until(super::OUTBOX, 0).await;
    let ann = aged.person("ann");
    let newest = ann.get(&format!("/channels/{group}/messages?limit=3")).await.expect(200);
    assert_eq!(words(newest["items"].as_array().unwrap()), ["delta 0", "gamma 1", "gamma 0"]);
    let lost = ann.get(&format!("/channels/{group}/messages?limit=4&after_seq=2")).await;
    lost.expect_problem(503, "unavailable");
    let topic = ann.get(&format!("/channels/{group}/messages?topic=plans")).await;
    topic.expect_problem(503, "unavailable");
    let unread = ann.get("/sync/messages").await.expect(200);
    assert_eq!(words(unread["items"].as_array().unwrap()), ["gamma 1"]);
    let next = format!("/sync/messages?cursor={}", text(&unread["next_cursor"]));
    ann.get(&next).await.expect_problem(503, "unavailable");
    paused.rollback().await.unwrap();
    aged.move_all().await;
    aged.indexed().await;
    let found = ann.get("/search/messages?q=gamma").await.expect(200);
    assert_eq!(words(found["items"].as_array().unwrap()), ["gamma 1", "gamma 0"]);
    let cursor = text(&found["next_cursor"]);
    let told = ann.get(&format!("/search/messages?q=gamma&cursor={cursor}")).await;
    let told = told.expect_problem(503, "unavailable");
    let detail = text(&told["detail"]);
    let day = detail.split("set `to` to ").nth(1).expect("what to do");
    assert_eq!(aged.found(&format!("q=alpha&to={day}")).await, ["alpha 0"], "the recall is there again");
}

/// Snapshots of the indices of one archive, in the server's own repository.
struct Snapshots<'a> {
    server: &'a Elastic,
    index: String,
}

impl Snapshots<'_> {
    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(method, format!("{}{path}", self.server.url()));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn take(&self, name: &str) {
        let location = self.server.snapshots().join(&self.index).display().to_string();
        let repository = json!({"type": "fs", "settings": {"location": location}});
        self.call(reqwest::Method::PUT, &format!("/_snapshot/{}", self.index), repository).await;
        let path = format!("/_snapshot/{}/{name}?wait_for_completion=true", self.index);
        let indices = json!({"indices": format!("{}-*", self.index), "include_global_state": false});
        let taken = self.call(reqwest::Method::PUT, &path, indices).await;
        assert_eq!(taken["snapshot"]["state"], "SUCCESS", "{taken}");
    }

    async fn restore(&self, name: &str) {
        let path = format!("/_cat/indices/{}-*?format=json", self.index);
        let there = self.call(reqwest::Method::GET, &path, Value::Null).await;
        for index in there.as_array().unwrap() {
            let path = format!("/{}", index["index"].as_str().unwrap());
            self.call(reqwest::Method::DELETE, &path, Value::Null).await;
        }
        let path = format!("/_snapshot/{}/{name}/_restore?wait_for_completion=true", self.index);
        let indices = json!({"indices": format!("{}-*", self.index), "include_global_state": false});
        self.call(reqwest::Method::POST, &path, indices).await;
    }
}

#[tokio::test]
async fn a_snapshot_of_elasticsearch_of_another_time_is_noticed_and_a_newer_one_repairs() {
    let Some(mut aged) = Aged::on(Kind::Elasticsearch).await else { return };
    let snapshots = Snapshots { server: shared_elastic().unwrap(), index: aged.database.clone() };
    let group = aged.begin("-80 days").await;
    say_all(&aged, &group, &["alpha 0", "alpha 1"]).await;
    aged.app.clock("-40 days").await;
    aged.move_all().await;
    let beta = say_all(&aged, &group, &["beta 0", "beta 1"]).await;
    snapshots.take("older").await;
    aged.app.clock("0").await;
    aged.move_all().await;
    say_all(&aged, &group, &["gamma 0"]).await;
    snapshots.take("newer").await;
    let running = aged.reconcile(false).await;
    assert_eq!(running.code, Some(1), "{}", running.report);
    assert!(running.said.contains("stop all replicas"), "{}", running.said);
    aged.app.halt().await;
    let same = aged.reconcile(true).await;
    assert_eq!(
        (same.code, states(&same.report)),
        (Some(0), ["whole", "whole"].map(String::from).to_vec()),
        "{}",
        same.said
    );

    snapshots.restore("older").await;
    let done = aged.reconcile(true).await;
    assert_eq!(
        (done.code, states(&done.report)),
        (Some(3), ["whole", "lost"].map(String::from).to_vec()),
        "{}",
        done.said
    );
    let lost = days(&done.report)[1];
    assert_eq!(
        (&lost["found_documents"], &lost["found_ledger_rows"]),
        (&json!(2), &json!(0)),
        "they were indexed"
    );
    assert_eq!(done.report["hot"]["index_again"], 1, "{}", done.report);
    aged.app.run().await;
    aged.indexed().await;
    let receipts = format!("/messages/{}/receipts?reason=a+test", beta[0]);
    let by_status = "/support/messages?receiver=bob&status=received&reason=a+test";
    assert_eq!(aged.found("q=beta").await, ["beta 1", "beta 0"], "messages are not lost");
    // Indexed again. Elasticsearch finds it after its next refresh.
    until(|| aged.found("q=gamma"), |found| *found == ["gamma 0"]).await;
    let desk = aged.client("desk", &["support"]);
    desk.get(&receipts).await.expect_problem(503, "unavailable");
    let hot = desk.get(by_status).await.expect(200);
    assert_eq!(words(hot["items"].as_array().unwrap()), ["gamma 0"]);
    let next = format!("{by_status}&cursor={}", text(&hot["next_cursor"]));
    desk.get(&next).await.expect_problem(503, "unavailable");
    aged.app.halt().await;

    snapshots.restore("newer").await;
    let done = aged.reconcile(true).await;
    assert_eq!(
        (done.code, states(&done.report)),
        (Some(0), ["whole", "whole"].map(String::from).to_vec()),
        "{}",
        done.said
    );
    aged.app.run().await;
    aged.indexed().await;
    let desk = aged.client("desk", &["support"]);
    assert_eq!(desk.get(&receipts).await.expect(200)["items"].as_array().unwrap().len(), 2);
    desk.get(by_status).await.expect(200);
    let all = ["alpha 0", "alpha 1", "beta 0", "beta 1", "gamma 0"];
    assert_eq!(aged.history(&group).await, all);
    for words in all {
        assert_eq!(aged.found(&format!("q={}", words.replace(' ', "+"))).await, [words]);
    }
    aged.move_all().await;
}

/// The service on a server of its own, which archives its WAL.
struct Recovered {
    service: Service,
    settings: Vec<(&'static str, String)>,
    _folder: TempDir,
    _gateway: Gateway,
}

impl Recovered {
    async fn start(cluster: &Cluster) -> Self {
        cluster.create_database("im", None).await;
        let (folder, gateway) = (TempDir::new().unwrap(), Gateway::start());
        let settings = vec![
            ("database_url", cluster.url("im")),
            ("archive_url", format!("embedded:{}", folder.path().display())),
        ];
        let callback = gateway.url();
        let mut all: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        all.extend([
            ("callback_url", callback.as_str()),
            ("callback_secrets", crate::support::gateway::SECRET),
            ("poll_ms", "20"),
            ("lease_ms", "1000"),
        ]);
        let service = Service::start(BINARY, &all).await;
        Self { service, settings, _folder: folder, _gateway: gateway }
    }

    fn client(&self, user: &str, roles: &[&str]) -> Client {
        Client::new(&self.service.api(), user, roles)
    }

    async fn group(&self) -> String {
        let body = json!({"name": "a group", "members": ["bob"]});
        text(&self.client("ann", &[]).post("/groups", body).await.expect(201)["channel_id"])
    }

    async fn say(&self, group: &str, words: &str) -> String {
        let body = json!({"type": "text", "content": {"text": words}});
        let path = format!("/channels/{group}/messages");
        text(&self.client("bob", &[]).post(&path, body).await.expect(201)["ms_id"])
    }

    async fn found(&self, query: &str) -> Vec<String> {
        let page = self.client("ann", &[]).get(&format!("/search/messages?q={query}")).await.expect(200);
        words(page["items"].as_array().unwrap())
    }

    async fn until_found(&self, query: &str, wanted: &[&str]) {
        let started = std::time::Instant::now();
        while self.found(query).await != wanted {
            assert!(started.elapsed() < LONG, "{query}: {:?}", self.found(query).await);
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_recovery_to_a_point_in_time_no_id_is_given_twice() {
    let archive_command = "(test -d ../wal || mkdir ../wal) && cp %p ../wal/%f";
    let cluster = Cluster::start_with(&[("archive_mode", "on"), ("archive_command", archive_command)]);
    let mut world = Recovered::start(&cluster).await;
    let users = json!({"users": [{"user_id": "ann", "name": "Ann"}, {"user_id": "bob", "name": "Bob"}]});
    world.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let group = world.group().await;
    let mut used = BTreeSet::from([world.say(&group, "kept 0").await]);
    let backup = cluster.base_backup();
    used.insert(world.say(&group, "kept 1").await);
    let sql = cluster.connect("im").await;
    sql.batch_execute("SELECT pg_create_restore_point('here')").await.unwrap();
    let mut stream = world.client("ann", &[]).listen(None).await;
    used.insert(world.say(&group, "lost 0").await);
    let lost_group = world.group().await;
    used.insert(world.say(&group, "lost 1").await);
    stream.through("lost 1").await;
    let last_id = stream.last_id.expect("an id");
    world.until_found("lost", &["lost 1", "lost 0"]).await;
    let switch = "SELECT pg_walfile_name(pg_switch_wal())";
    let file: String = sql.query_one(switch, &[]).await.unwrap().get(0);
    let archived = "SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver";
    let started = std::time::Instant::now();
    while !sql.query_one(archived, &[&file]).await.unwrap().get::<_, bool>(0) {
        assert!(started.elapsed() < LONG, "{file} is not archived:\n{}", cluster.log_tail());
        tokio::time::sleep(LOOK).await;
    }
    world.service.kill9();
    cluster.kill9();

    backup.recover(&cluster.path().join("wal"), "here").await;
    world.settings[0].1 = backup.url("im");
    let recovered = backup.connect("im").await;
    let started = std::time::Instant::now();
    while recovered.query_one(FREE, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(started.elapsed() < LONG, "leases of the time of the restore point end");
        tokio::time::sleep(LOOK).await;
    }
    let done = reconcile(&world.settings, true, None).await;
    assert_eq!(done.code, Some(0), "{}{}", done.report, done.said);
    assert_eq!(done.report["hot"]["unknown"]["documents"], 2, "{}", done.report);
    world.service.set("database_url", &backup.url("im"));
    world.service.restart().await;
    let mut resumed = world.client("ann", &[]).listen(Some(last_id)).await;
    assert_eq!(resumed.expect("resync").await.data, json!({"reason": "incomplete"}));
    assert!(world.group().await.parse::<i64>().unwrap() > lost_group.parse().unwrap());
    for words in ["new 0", "new 1"] {
        assert!(used.insert(world.say(&group, words).await), "{used:?}");
    }
    let told = resumed.through("new 1").await;
    assert!(told.iter().all(|told| told.id > last_id), "{told:?}");
    world.until_found("new", &["new 1", "new 0"]).await;
    world.until_found("kept", &["kept 1", "kept 0"]).await;
    assert_eq!(world.found("lost").await, [""; 0]);
    let history = world.client("ann", &[]).get(&format!("/channels/{group}/messages")).await.expect(200);
    assert_eq!(words(history["items"].as_array().unwrap()), ["new 1", "new 0", "kept 1", "kept 0"]);
}
