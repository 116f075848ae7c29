//! The database is busy, switched over, read-only or away: what callers, probes and operators are told.

use std::time::Instant;

use serde_json::{Value, json};

use im_push_gateway::app::App;
use im_push_gateway::base::config::Config;
use im_push_gateway::base::error::{Error, Kind};

use crate::app::{LONG, LOOK, TestApp, text};
use crate::support::sandbox::{free_port, signal};
use crate::support::{Client, Cluster, Reply, shared};

/// Every write of an emoji runs this statement first.
pub const TRAP: &str = "CREATE TABLE trap (statement text);
    CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE armed text; BEGIN
            FOR armed IN SELECT statement FROM trap LOOP EXECUTE armed; END LOOP; RETURN NEW;
        END $$;
    CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON t_im_emoji FOR EACH ROW EXECUTE FUNCTION spring()";

async fn arm(app: &TestApp, statement: &str) {
    let sql = app.sql().await;
    sql.batch_execute("TRUNCATE trap").await.unwrap();
    sql.execute("INSERT INTO trap VALUES ($1)", &[&statement]).await.unwrap();
}

async fn put_emoji(app: &TestApp) -> Reply {
    app.client("root", &["admin"]).put("/emojis/e", json!({"address": "/e"})).await
}

/// A service on a server of its own, of which the test does what it likes.
async fn on(cluster: &Cluster, settings: &str) -> TestApp {
    cluster.create_database("life", None).await;
    let url = format!("database_url = \"{}\"\n", cluster.url("life"));
    TestApp::start_on("life".into(), &format!("{url}{settings}")).await
}

/// Asks until the answer is what it should become.
pub async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, wanted: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < LONG, "still {answer:?}");
        tokio::time::sleep(LOOK).await;
    }
}

// ── states that mean "not now" or "not here" ─────────────────────────────────────────────────

#[tokio::test]
async fn states_that_mean_not_now_are_503_and_say_when_to_repeat() {
    let app = TestApp::start().await;
    app.sql().await.batch_execute(TRAP).await.unwrap();
    let raise = |code: &str| format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
    for code in [
        "08000", "08003", "08006", "08P01", "25006", "25P03", "26000", "40001", "40003", "40P01", "42P05",
        "53000", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "58000",
        "58030", "58P01",
    ] {
        arm(&app, &raise(code)).await;
        let reply = put_emoji(&app).await;
        assert_eq!(reply.header("retry-after"), "1", "{code}: {reply:?}");
        let told = reply.expect_problem(503, "unavailable");
        assert!(!text(&told["detail"]).is_empty(), "{code}: {told}");
    }
    app.sql().await.batch_execute("TRUNCATE trap").await.unwrap();
    for code in ["0A000", "22012", "42501", "54000"] {
        let ours = app.sql().await.batch_execute(&raise(code)).await.unwrap_err();
        assert_eq!(Error::from(ours).kind, Kind::Internal, "{code}");
    }
    put_emoji(&app).await.expect(200);
}

/// Every connection of the pool knows the statement that lists emojis.
async fn prepare_everywhere(app: &TestApp) {
    let root = app.client("root", &["admin"]);
    let lists = (0..64).map(|_| root.get("/emojis"));
    for reply in futures_util::future::join_all(lists).await {
        reply.expect(200);
    }
}

#[tokio::test]
async fn a_connection_whose_statements_are_out_of_date_is_made_anew() {
    let app = TestApp::start().await;
    app.people(&["root"]).await;
    put_emoji(&app).await;
    app.sql().await.batch_execute(TRAP).await.unwrap();
    let root = app.client("root", &["admin"]);
    let listed = || async {
        let reply = root.get("/emojis").await;
        assert!([200, 503].contains(&reply.status), "{reply:?}");
        reply.status
    };
    for change in [
        "ALTER TABLE t_im_emoji ALTER COLUMN address TYPE varchar(2049)",
        "INSERT INTO trap VALUES ('DEALLOCATE ALL')",
    ] {
        prepare_everywhere(&app).await;
        app.sql().await.batch_execute(change).await.unwrap();
        let puts = (0..32).map(|_| put_emoji(&app));
        for put in futures_util::future::join_all(puts).await {
            assert!([200, 503].contains(&put.status), "{put:?}");
        }
        app.sql().await.batch_execute("TRUNCATE trap").await.unwrap();
        until(listed, |status| *status == 200).await;
        for _ in 0..16 {
            listed().await;
        }
    }
}

#[tokio::test]
async fn after_a_switchover_new_connections_are_used() {
    let cluster = Cluster::start();
    let app = on(&cluster, "").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let probe = Client::anonymous(&app.base);
    let admin = cluster.connect("postgres").await;
    // Open connections lead to the old primary …
    admin.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let read_only = |reply: &Reply| reply.body["database"] == "read_only";
    until(|| probe.get("/readyz"), read_only).await.expect(503);
    let body = || json!({"type": "text", "content": {"text": "x"}});
    let path = format!("/channels/{channel}/messages");
    let a = app.person("a");
    let refused = a.post(&path, body()).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.expect_problem(503, "unavailable")["detail"], "the database is read-only");
    a.get("/conversations").await.expect(200);
    // … and new ones to the new one.
    for change in ["SET", "ALTER DATABASE life SET"] {
        admin.batch_execute(&format!("{change} default_transaction_read_only = off")).await.unwrap();
    }
    until(|| a.post(&path, body()), |reply| reply.status != 503).await.expect(201);
    until(|| probe.get("/readyz"), |reply| reply.status == 200).await;
}

/// The whole log of the primary has arrived on the standby.
async fn caught_up(primary: &Cluster, standby: &Cluster) {
    let (primary, standby) = (primary.connect("postgres").await, standby.connect("postgres").await);
    let position: String = primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let ask = || async {
        let there = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";
        standby.query_one(there, &[&position]).await.unwrap().get::<_, bool>(0)
    };
    until(ask, |there| *there).await;
}

#[tokio::test]
async fn a_standby_that_takes_over_serves_reads_at_once_and_sends_once_it_is_promoted() {
    let primary = Cluster::start();
    let standby = primary.standby();
    let both =
        format!("postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/life", primary.port(), standby.port());
    primary.create_database("life", None).await;
    let app = TestApp::start_on("life".into(), &format!("database_url = \"{both}\"\n")).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "on the primary").await;
    caught_up(&primary, &standby).await;
    let alone = start_on(&standby.url("life")).await;
    assert!(alone.contains("only reads: name the primary in database_url"), "{alone}");

    primary.kill9();
    let (probe, a) = (Client::anonymous(&app.base), app.person("a"));
    until(|| probe.get("/readyz"), |reply| reply.body["database"] == "read_only").await.expect(503);
    let path = format!("/channels/{channel}/messages");
    let send = || a.post(&path, json!({"type": "text", "content": {"text": "on the standby"}}));
    let read_only = |reply: &Reply| {
        assert_eq!(reply.status, 503, "{reply:?}");
        reply.body["detail"] == "the database is read-only"
    };
    let refused = until(send, read_only).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.expect_problem(503, "unavailable");
    until(|| a.get(&path), |reply| reply.status == 200).await;

    let promoted = standby.connect("postgres").await.query_one("SELECT pg_promote()", &[]).await.unwrap();
    assert!(promoted.get::<_, bool>(0));
    let sent = until(send, |reply| reply.status != 503).await;
    sent.expect(201);
    until(|| probe.get("/readyz"), |reply| reply.status == 200).await;
}

// ── probes ───────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_busy_service_is_ready() {
    let app =
        TestApp::start_with("database_wait_ms = 60000\nrequest_timeout_ms = 60000\nreadiness_wait_ms = 5000")
            .await;
    app.people(&["a"]).await;
    let locking = app.sql().await;
    locking.batch_execute("BEGIN; LOCK TABLE t_im_user IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let requests: Vec<_> = (0..64)
        .map(|_| {
            let a = app.person("a");
            tokio::spawn(async move { a.get("/users/me").await.status })
        })
        .collect();
    // All of the pool waits for the lock.
    let waiting = "SELECT (count(*) >= 8)::int::bigint FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    app.until(waiting, 1).await;
    let probe = Client::anonymous(&app.base);
    assert_eq!(probe.get("/readyz").await.expect(200)["database"], "ok");
    assert_eq!(probe.get("/healthz").await.expect(200)["status"], "alive");
    locking.batch_execute("ROLLBACK").await.unwrap();
    for request in requests {
        // On a very slow machine the lock was waited for too long.
        assert!([200, 503].contains(&request.await.unwrap()));
    }
}

#[tokio::test]
async fn a_locked_archive_keeps_no_probe_waiting() {
    let app = TestApp::with_archive("readiness_wait_ms = 2000").await;
    let locking = app.sql().await;
    locking.batch_execute("BEGIN; LOCK TABLE t_im_index_queue IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let probe = Client::anonymous(&app.base);
    let unknown = |reply: &Reply| reply.status == 200 && reply.body["archive"] == "unknown";
    let readiness = until(|| probe.get("/readyz"), unknown).await.body;
    assert_eq!((&readiness["database"], &readiness["index_lag_seconds"]), (&json!("ok"), &Value::Null));
}

#[tokio::test]
async fn a_database_that_hangs_is_away() {
    let cluster = Cluster::start();
    let app = on(&cluster, "readiness_wait_ms = 500").await;
    let probe = Client::anonymous(&app.base);
    until(|| probe.get("/readyz"), |reply| reply.status == 200).await;
    signal("STOP", &cluster.processes());
    for _ in 0..2 {
        assert_eq!(probe.get("/readyz").await.expect(503)["database"], "away");
    }
    signal("CONT", &cluster.processes());
    until(|| probe.get("/readyz"), |reply| reply.status == 200).await;
}

// ── what an operator is told at the start ────────────────────────────────────────────────────

/// What a start on this address says when it fails.
async fn start_on(url: &str) -> String {
    let settings =
        format!("database_url = \"{url}\"\ndatabase_wait_ms = 60000\ntrusted_peers = [\"127.0.0.1\"]");
    let started = App::build(Config::from_toml(&settings).expect("settings")).await;
    started.err().unwrap_or_else(|| panic!("{url} starts")).to_string()
}

#[tokio::test]
async fn a_start_without_a_database_says_what_to_do() {
    let cluster = shared();
    let (port, closed) = (cluster.port(), free_port());
    let administrator = cluster.connect("postgres").await;
    administrator.batch_execute("CREATE ROLE ungranted LOGIN").await.unwrap();
    let empty = cluster.fresh_database(None).await;
    // No name server is asked for a label that is too long.
    let nowhere = "x".repeat(64);
    for (url, told) in [
        (cluster.url("nodb"), "has no database \"nodb\": CREATE DATABASE nodb OWNER postgres"),
        (
            format!("postgresql://stranger@127.0.0.1:{port}/{empty}"),
            "does not let the role \"stranger\" in: CREATE ROLE",
        ),
        (format!("postgresql://im@127.0.0.1:{closed}/im"), "nothing listens at 127.0.0.1:"),
        (format!("postgresql://im@{nowhere}/im"), "has no address: correct the host in database_url"),
        (
            format!("postgresql://ungranted@127.0.0.1:{port}/{empty}"),
            "GRANT CREATE ON SCHEMA public TO ungranted",
        ),
    ] {
        let said = start_on(&url).await;
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("internal") && !said.contains("db error"), "{said}");
    }
}

/// What CockroachDB has in place of the locks: functions that say yes.
const STUBS: &str = "CREATE FUNCTION stubs.pg_advisory_lock(bigint) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION stubs.pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION stubs.pg_advisory_unlock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION stubs.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION stubs.pg_advisory_xact_lock_shared(bigint) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION stubs.pg_try_advisory_xact_lock_shared(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'";

#[tokio::test]
async fn a_store_whose_locks_are_stubs_is_refused() {
    let (session, transaction): (Vec<&str>, Vec<&str>) =
        STUBS.split(';').partition(|stub| !stub.contains("xact"));
    for stubs in [STUBS.to_owned(), session.join(";"), transaction.join(";")] {
        let database = crate::app::database().await;
        let sql = shared().connect(&database).await;
        sql.batch_execute(&format!("CREATE SCHEMA stubs; {stubs}")).await.unwrap();
        let first = format!("ALTER DATABASE {database} SET search_path = stubs, pg_catalog, public");
        sql.batch_execute(&first).await.unwrap();
        let said = start_on(&shared().url(&database)).await;
        assert!(said.contains("the advisory locks of the database keep no other session out"), "{said}");
        assert!(said.contains("Name a PostgreSQL server, 15 or newer"), "{said}");
    }
}

#[tokio::test]
async fn a_start_on_a_schema_of_others_says_whose_it_is() {
    for (change, told) in [
        (
            "INSERT INTO refinery_schema_history VALUES (999, 'future', '2026-01-01T00:00:00Z', '1')",
            "a newer im-push-gateway has upgraded this database to schema V999",
        ),
        (
            "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 3",
            "was made by another build: its schema V3",
        ),
        (
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
            "only reads: name the primary in database_url",
        ),
    ] {
        let database = crate::app::database().await;
        shared().connect(&database).await.batch_execute(change).await.unwrap();
        let said = start_on(&shared().url(&database)).await;
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("internal") && !said.contains("db error"), "{said}");
    }
}
