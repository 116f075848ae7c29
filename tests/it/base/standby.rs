//! Reads on a standby: they show all that was acknowledged before, and a standby that fails costs no answer.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use im_push_gateway::archive::mover;
use im_push_gateway::base::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::app::{LEFT_OVER, LONG, LOOK, config, text};
use crate::base::database::until;
use crate::support::gateway::SECRET;
use crate::support::sandbox::{free_port, signal};
use crate::support::{Client, Cluster, Gateway, Pooler, Service};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
/// What the log says when reads begin to go to the standby.
const USED: &str = "reads go to the standby";
/// A limit that no busy machine reaches.
const PATIENT: &str = "20000";

/// A primary with its standby, and a replica of the service that reads from both.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    gateway: Gateway,
    service: Service,
    _folder: TempDir,
}

impl Pair {
    /// `clock`: how far the clock of messages is from the real one, as an interval.
    async fn start(clock: &str, settings: &[(&str, &str)]) -> Self {
        let (primary, gateway) = (Cluster::start(), Gateway::start());
        gateway.ignore_time();
        primary.create_database("life", None).await;
        let sql = primary.connect("life").await;
        let prepared = format!(
            "CREATE EXTENSION pg_stat_statements; ALTER DATABASE life SET pg_stat_statements.track = top; \
             ALTER DATABASE life SET impg.clock_offset = '{clock}'"
        );
        for statement in prepared.split(';') {
            sql.batch_execute(statement).await.expect(statement);
        }
        let (standby, folder) = (primary.standby(), TempDir::new().expect("a folder"));
        let service = replica(&primary, &standby, &gateway, &folder, settings).await;
        let pair = Self { primary, standby, gateway, service, _folder: folder };
        pair.logged(USED, 1).await;
        pair
    }

    fn client(&self, user_id: &str, roles: &[&str]) -> Client {
        Client::new(&self.service.api(), user_id, roles)
    }

    async fn people(&self, ids: &[&str]) {
        let users: Vec<Value> =
            ids.iter().map(|id| json!({"user_id": id, "name": id.to_uppercase()})).collect();
        self.client("hr", &["directory"])
            .post("/directory/changes", json!({"users": users}))
            .await
            .expect(200);
    }

    /// Makes a department, or gives it another name.
    async fn department(&self, id: &str, name: &str) {
        let departments = json!({"departments": [{"department_id": id, "name": name}]});
        self.client("hr", &["directory"]).post("/directory/changes", departments).await.expect(200);
    }

    /// How many reads had this result: `standby`, `behind`, `away` or `failed`.
    async fn reads(&self, result: &str) -> u64 {
        let text = reqwest::get(self.service.metrics_url()).await.unwrap().text().await.unwrap();
        let series = format!("impg_standby_reads_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
    }

    /// Waits until the log has this so many times.
    async fn logged(&self, what: &str, times: usize) {
        let started = Instant::now();
        while self.service.log().matches(what).count() < times {
            assert!(started.elapsed() < LONG, "no {what:?}:\n{}", self.service.log_tail());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a read is answered by the standby.
    async fn is_read(&self) {
        let (before, a) = (self.reads("standby").await, self.client("a", &[]));
        let read = || async {
            a.get("/departments").await.expect(200);
            self.reads("standby").await
        };
        until(read, |reads| *reads > before).await;
    }

    async fn count(&self, cluster: &Cluster, sql: &str) -> i64 {
        cluster.connect("life").await.query_one(sql, &[]).await.expect("a count").get(0)
    }
}

/// A replica of the service on a primary and its standby.
async fn replica(
    primary: &Cluster,
    standby: &Cluster,
    gateway: &Gateway,
    folder: &TempDir,
    settings: &[(&str, &str)],
) -> Service {
    let (url, read_url, callback) = (primary.url("life"), standby.url("life"), gateway.url());
    let archive = format!("embedded:{}", folder.path().display());
    let mut all = vec![
        ("database_url", url.as_str()),
        ("database_read_url", &read_url),
        ("database_read_max_lag_ms", PATIENT),
        ("callback_url", &callback),
        ("callback_secrets", SECRET),
        ("archive_url", &archive),
        ("archive_schedule", "0 0 29 2 *"),
        ("user_requests_per_second", "0"),
        ("poll_ms", "50"),
        ("log", "warn,im_push_gateway=info"),
    ];
    all.extend_from_slice(settings);
    Service::start(BINARY, &all).await
}

/// Reads again and again until it is ended. Each answer must be right.
struct Reader {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Reader {
    fn of<F: Future<Output = ()> + Send + 'static>(read: impl Fn() -> F + Send + Sync + 'static) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, done) = (stop.clone(), rounds.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                read().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, rounds, task }
    }

    /// Waits for so many more rounds.
    async fn rounds(&self, more: usize) {
        let (wanted, started) = (self.rounds.load(Ordering::Relaxed) + more, Instant::now());
        while self.rounds.load(Ordering::Relaxed) < wanted {
            assert!(!self.task.is_finished() && started.elapsed() < LONG * 4, "reads do not go on");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("each answer is right");
    }
}

// ── what the standby answers ─────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_to_the_standby_and_see_each_write_of_any_replica_at_once() {
    // An embedded archive allows one replica.
    let pair = Pair::start("0", &[("archive_url", "")]).await;
    pair.people(&["a"]).await;
    let folder = TempDir::new().expect("a folder");
    let other = replica(&pair.primary, &pair.standby, &pair.gateway, &folder, &[("archive_url", "")]).await;
    let a = Client::new(&other.api(), "a", &[]);
    let by_a = |pair: &Pair| pair.client("a", &[]);
    for n in 0..20 {
        let (path, name) = (format!("/departments/d{n}"), format!("of round {n}"));
        pair.department(&format!("d{n}"), &name).await;
        assert_eq!(a.get(&path).await.expect(200)["name"], name);
        pair.department(&format!("d{n}"), "renamed").await;
        assert_eq!(by_a(&pair).get(&path).await.expect(200)["name"], "renamed");
    }
    // The servers themselves count.
    let counted = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
                   WHERE query LIKE '-- A department with its ancestors%'";
    let (there, here) = (pair.count(&pair.standby, counted).await, pair.count(&pair.primary, counted).await);
    assert!(there >= 30, "the standby has answered {there} reads, the primary {here}");
    assert!(pair.reads("standby").await >= 15);
}

/// Every kind of read that may go to the standby.
async fn kinds(pair: &Pair, channel: &str) -> Vec<(Client, String)> {
    let (a, desk) = (pair.client("a", &[]), pair.client("desk", &["support"]));
    let first = a.get(&format!("/channels/{channel}/messages?limit=4")).await.expect(200);
    let (ms_id, cursor) = (text(&first["items"][1]["ms_id"]), text(&first["next_cursor"]));
    let of_a = [
        format!("/channels/{channel}/messages?cursor={cursor}&limit=4"),
        format!("/messages/{ms_id}?around=2"),
        format!("/messages/{ms_id}/replies"),
        "/search/messages?q=said".to_owned(),
        "/search/messages?status=received&receiver=b".to_owned(),
        "/users?q=B".to_owned(),
        "/departments".to_owned(),
        "/departments/rd".to_owned(),
        "/departments/rd/users?below=true".to_owned(),
    ];
    let of_support = [
        "/support/messages?q=said&reason=a+test".to_owned(),
        "/support/messages/export?q=said&format=ndjson&reason=a+test".to_owned(),
    ];
    let of_a = of_a.into_iter().map(|path| (a.person("a"), path));
    of_a.chain(of_support.into_iter().map(|path| (desk.person("desk").with_roles(&["support"]), path)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_read_gives_the_same_on_the_standby_and_without_it() {
    let mut pair = Pair::start("-3 days", &[]).await;
    pair.people(&["a", "b"]).await;
    pair.department("rd", "Research").await;
    let a = pair.client("a", &[]);
    let members = json!({"type": "direct", "members": ["b"]});
    let channel = text(&a.post("/channels", members).await.expect(201)["channel_id"]);
    for n in 0..12 {
        let message = json!({"type": "text", "content": {"text": format!("said {n}")}});
        a.post(&format!("/channels/{channel}/messages"), message).await.expect(201);
    }
    until(|| pair.count(&pair.primary, LEFT_OVER), |left| *left == 0).await;
    let found = || a.get("/search/messages?q=said");
    until(found, |reply| reply.body["items"].as_array().is_some_and(|hits| hits.len() == 12)).await;
    until(|| a.get("/users?q=B"), |reply| reply.body["items"][0]["user_id"] == "b").await;
    // Three days later: these are messages of an earlier day.
    pair.service.stop().await;
    let now = "ALTER DATABASE life SET impg.clock_offset = '0'";
    pair.primary.connect("life").await.batch_execute(now).await.unwrap();
    pair.service.restart().await;
    pair.logged(USED, 2).await;
    let kinds = kinds(&pair, &channel).await;
    let mut answers = Vec::new();
    for (client, path) in &kinds {
        let before = pair.reads("standby").await;
        answers.push(client.get(path).await.expect(200));
        assert!(pair.reads("standby").await > before, "{path} is not read on the standby");
    }
    pair.standby.kill9();
    pair.logged("the standby is not used", 1).await;
    let before = pair.reads("standby").await;
    for ((client, path), answer) in kinds.iter().zip(&answers) {
        assert_eq!(client.get(path).await.expect(200), *answer, "{path}");
    }
    assert_eq!(pair.reads("standby").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_moves_to_the_archive_is_read_whole_on_the_standby() {
    let quick = [("request_timeout_ms", "5000"), ("archive_drop_grace_ms", "5001"), ("poll_ms", "20")];
    let mut pair = Pair::start("-40 days", &quick).await;
    pair.people(&["a", "b"]).await;
    let a = pair.client("a", &[]);
    let members = json!({"type": "direct", "members": ["b"]});
    let channel = text(&a.post("/channels", members).await.expect(201)["channel_id"]);
    for n in 0..40 {
        let message = json!({"type": "text", "content": {"text": format!("said {n}")}});
        a.post(&format!("/channels/{channel}/messages"), message).await.expect(201);
    }
    until(|| pair.count(&pair.primary, LEFT_OVER), |left| *left == 0).await;
    pair.service.stop().await;
    let now = "ALTER DATABASE life SET impg.clock_offset = '0'";
    pair.primary.connect("life").await.batch_execute(now).await.unwrap();
    pair.service.restart().await;
    pair.logged(USED, 2).await;

    let path = format!("/channels/{channel}/messages");
    let a = Arc::new(pair.client("a", &[]));
    let reader = Reader::of(move || {
        let (a, path) = (a.clone(), path.clone());
        async move {
            let (mut seqs, mut at) = (Vec::new(), format!("{path}?limit=7"));
            loop {
                let page = a.get(&at).await.expect(200);
                seqs.extend(page["items"].as_array().unwrap().iter().map(|one| one["seq"].as_i64().unwrap()));
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                at = format!("{path}?limit=7&cursor={cursor}");
            }
            assert!(seqs.iter().copied().eq((1..=40).rev()), "lost or doubled: {seqs:?}");
        }
    });
    reader.rounds(1).await;
    let settings = format!("database_url = \"{}\"", pair.primary.url("life"));
    let store = Store::new(&config("life", &settings)).expect("a store");
    mover::ask(&store, "hand", store.now().await.unwrap()).await.expect("a run is asked for");
    let moved = "SELECT count(*) FROM t_im_archive_day WHERE step = 'dropped'";
    let started = Instant::now();
    while pair.count(&pair.primary, moved).await == 0 {
        assert!(started.elapsed() < LONG * 4, "the day does not move:\n{}", pair.service.log_tail());
        reader.rounds(1).await;
    }
    reader.rounds(2).await;
    reader.end().await;
    let there = "SELECT count(*) FROM t_im_message";
    until(|| pair.count(&pair.standby, there), |messages| *messages == 0).await;
    assert!(pair.reads("standby").await > 10, "{}", pair.service.log_tail());
}

// ── a standby that fails ─────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_behind_is_passed_over_until_it_has_caught_up() {
    let pair = Pair::start("0", &[("database_read_max_lag_ms", "2000")]).await;
    pair.people(&["a"]).await;
    pair.is_read().await;
    let standby = pair.standby.connect("life").await;
    standby.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    let a = pair.client("a", &[]);
    // The first of these may wait for it.
    for n in 0..3 {
        pair.department("rd", &format!("name {n}")).await;
        assert_eq!(a.get("/departments/rd").await.expect(200)["name"], format!("name {n}"));
    }
    pair.logged("the standby is behind: reads go to the primary", 1).await;
    let (log, before) = (pair.service.log().len(), pair.reads("behind").await);
    for n in 3..13 {
        pair.department("rd", &format!("name {n}")).await;
        assert_eq!(a.get("/departments/rd").await.expect(200)["name"], format!("name {n}"));
    }
    assert!(pair.reads("behind").await >= before + 10);
    assert!(!pair.service.log()[log..].contains("standby"), "only a change is logged");
    let metrics = reqwest::get(pair.service.metrics_url()).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("impg_standby_used 0"), "{metrics}");
    standby.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    pair.is_read().await;
    assert_eq!(a.get("/departments/rd").await.expect(200)["name"], "name 12");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_hangs_or_ends_costs_no_answer() {
    let pair = Pair::start("0", &[("database_read_max_lag_ms", "2000")]).await;
    pair.people(&["a"]).await;
    pair.department("rd", "Research").await;
    let a = Arc::new(pair.client("a", &[]));
    let reader = Reader::of(move || {
        let a = a.clone();
        async move { assert_eq!(a.get("/departments/rd").await.expect(200)["name"], "Research") }
    });
    pair.is_read().await;
    signal("STOP", &pair.standby.processes());
    pair.logged("does not answer within", 1).await;
    reader.rounds(3).await;
    signal("CONT", &pair.standby.processes());
    pair.is_read().await;
    pair.standby.kill9();
    pair.logged("nothing listens at", 1).await;
    reader.rounds(3).await;
    pair.standby.restart().await;
    pair.is_read().await;
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_is_not_read() {
    let pair = Pair::start("0", &[]).await;
    pair.people(&["a"]).await;
    pair.department("rd", "Research").await;
    pair.is_read().await;
    let a = Arc::new(pair.client("a", &[]));
    let reader = Reader::of(move || {
        let a = a.clone();
        async move { assert_eq!(a.get("/departments/rd").await.expect(200)["name"], "Research") }
    });
    reader.rounds(1).await;
    let promoted = pair.standby.connect("life").await;
    assert!(promoted.query_one("SELECT pg_promote()", &[]).await.unwrap().get::<_, bool>(0));
    // What is written there is of another database from now on.
    let other = "UPDATE t_im_department SET name = 'of another log'";
    assert_eq!(promoted.execute(other, &[]).await.unwrap(), 1);
    pair.logged("is no standby: it was promoted", 1).await;
    reader.rounds(5).await;
    reader.end().await;
    let before = pair.reads("standby").await;
    pair.client("a", &[]).get("/departments/rd").await.expect(200);
    assert_eq!(pair.reads("standby").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_the_replay_cancels_is_answered_by_the_primary() {
    let pair = Pair::start("0", &[]).await;
    let users = json!({"users": [{"user_id": "guest", "name": "Guest", "kind": "external"},
        {"user_id": "a", "name": "A"}]});
    let hr = pair.client("hr", &["directory"]);
    hr.post("/directory/changes", users).await.expect(200);
    pair.department("rd", "Research").await;
    hr.put("/departments/rd/grants/guest", json!(null)).await.expect(204);
    let standby = pair.standby.connect("life").await;
    for statement in ["ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()"] {
        standby.batch_execute(statement).await.unwrap();
    }
    // On the standby alone the read takes long.
    let primary = pair.primary.connect("life").await;
    let slow = "CREATE OR REPLACE FUNCTION im_granted(viewer text, department_ids text[]) RETURNS boolean \
                LANGUAGE plpgsql STABLE AS $$ BEGIN \
                    IF pg_is_in_recovery() THEN PERFORM pg_sleep(600); END IF; RETURN true; END $$";
    primary.batch_execute(slow).await.unwrap();
    let guest = pair.client("guest", &[]);
    let read = tokio::spawn(async move { guest.get("/departments/rd").await });
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(|| pair.count(&pair.standby, sleeps), |reads| *reads == 1).await;
    // Its replay needs a lock that the read holds.
    let lock = "BEGIN; LOCK TABLE t_im_department IN ACCESS EXCLUSIVE MODE; COMMIT";
    primary.batch_execute(lock).await.unwrap();
    assert_eq!(read.await.unwrap().expect(200)["name"], "Research");
    assert_eq!(pair.reads("failed").await, 1);
    let conflicts = "SELECT confl_lock FROM pg_stat_database_conflicts WHERE datname = 'life'";
    until(|| pair.count(&pair.standby, conflicts), |conflicts| *conflicts >= 1).await;
}

// ── what operators are told ──────────────────────────────────────────────────────────────────

/// The binary with these arguments, on a primary and what is named as its standby.
async fn command(database: &str, standby: &str, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        command.env_remove(key);
    }
    command.env("IMPG_DATABASE_URL", database).env("IMPG_DATABASE_READ_URL", standby);
    command.env("IMPG_TRUSTED_PEERS", "127.0.0.1").env("IMPG_DATABASE_READ_MAX_LAG_MS", PATIENT);
    command.env("IMPG_METRICS_LISTEN", "").args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_why_a_standby_is_not_used() {
    let pair = Pair::start("0", &[]).await;
    let (primary, standby) = (pair.primary.url("life"), pair.standby.url("life"));
    let (output, told) = command(&primary, &standby, &["check"]).await;
    assert!(
        told.contains("ok       standby      is read from, and has what the primary has after"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(0), "{told}");
    let keeping = Pooler::before(&pair.standby, "pool_mode = session\ndefault_pool_size = 30").await;
    let (_, told) = command(&primary, &keeping.url("life"), &["check"]).await;
    assert!(told.contains("ok       standby"), "{told}");

    let sharing = Pooler::before(&pair.standby, "pool_mode = transaction").await;
    let nowhere = format!("postgresql://postgres@127.0.0.1:{}/life", free_port());
    // Another address of the primary.
    let same = format!("postgresql://postgres@localhost:{}/life", pair.primary.port());
    for (url, reason) in [
        (sharing.url("life"), "database_read_url leads to a pooler that shares sessions"),
        (nowhere, "nothing listens at 127.0.0.1:"),
        (same, "is no standby: it was promoted, or is a primary"),
        (pair.standby.url("postgres"), "has no tables of this service: correct database_read_url"),
    ] {
        let (output, told) = command(&primary, &url, &["check"]).await;
        assert!(told.contains("warning  standby      not used: ") && told.contains(reason), "{url}: {told}");
        assert_eq!(output.status.code(), Some(1), "{told}");
    }

    // A standby that goes on following the old primary.
    let left_behind = pair.primary.standby();
    let promoted = pair.standby.connect("life").await;
    assert!(promoted.query_one("SELECT pg_promote()", &[]).await.unwrap().get::<_, bool>(0));
    let (_, told) = command(&standby, &left_behind.url("life"), &["check"]).await;
    assert!(told.contains("is not a standby of the database in database_url"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_for_support_has_the_state_of_the_standby() {
    let (pair, folder) = (Pair::start("0", &[]).await, TempDir::new().unwrap());
    let out = folder.path().join("support.tar.gz").display().to_string();
    let (primary, standby) = (pair.primary.url("life"), pair.standby.url("life"));
    let secret = standby.replacen('@', ":planted-password@", 1);
    let (output, told) = command(&primary, &secret, &["support", "gather", "--out", &out]).await;
    assert_eq!(output.status.code(), Some(0), "{told}");
    let unpacked = Command::new("tar").args(["-xzOf", &out]).output().unwrap();
    let all = String::from_utf8_lossy(&unpacked.stdout);
    assert!(told.contains("standby.json") && all.contains("recovery_min_apply_delay"), "{told}");
    assert!(all.contains("is read from, and has what the primary has after"), "no finding of `check`");
    assert!(!all.contains("planted-password"));
}
