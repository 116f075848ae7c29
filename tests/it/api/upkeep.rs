//! What operators and support ask for beside messages: days of the archive, jobs, replicas, groups without an owner, users
//! who are suspended or have left.

use std::time::Instant;

use serde_json::{Value, json};

use crate::app::{LONG, LOOK, TestApp, database, text};
use crate::support::{Client, Hr};

/// A schedule that leaves it to the test when something moves.
pub const RARELY: &str = "archive_schedule = \"0 0 29 2 *\"\n";

/// Three days: one that failed, one that the archive has lost records of, and one that is cold.
pub const DAYS: &str = "\
    WITH run AS ( \
        INSERT INTO t_im_archive_run (asked_by, asked_at, ended_at, outcome, doing, messages) \
        VALUES ('hand', now() - interval '1 hour', now() - interval '50 minutes', 'failed', \
                'PostgreSQL has 3 messages, the archive gives 2', 7) RETURNING run_id), \
    days (ago, step, messages, lost) AS (VALUES (39, 'sealed', 0, 0), (40, 'dropped', 3, 2), (41, 'dropped', 4, 0)) \
    INSERT INTO t_im_archive_day (day, run_id, step, from_ms_id, below_ms_id, written_ms_id, messages, documents, \
                                  ledger_rows, sealed_at, switched_at, dropped_at, lost_documents) \
    SELECT current_date - ago, run_id, step, im_first_ms_id((current_date - ago)::timestamptz), \
           im_first_ms_id((current_date - ago + 1)::timestamptz), 0, messages, messages, messages * 2, now(), \
           CASE step WHEN 'dropped' THEN now() END, CASE step WHEN 'dropped' THEN now() END, lost \
    FROM days CROSS JOIN run";

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().expect("items")
}

#[tokio::test]
async fn days_are_listed_with_where_their_messages_are() {
    let app = TestApp::with_archive(RARELY).await;
    app.sql().await.batch_execute(DAYS).await.expect("days");
    let root = app.client("root", &["admin"]);
    let all = app.all(&root, "/archive/days?limit=2").await;
    let states: Vec<&str> = all.iter().filter_map(|day| day["state"].as_str()).collect();
    assert_eq!(&states[states.len() - 3..], ["failed", "lost", "cold"], "{all:?}");
    assert!(states[..states.len() - 3].iter().all(|state| *state == "hot"), "{all:?}");
    let [.., failed, lost, cold] = &all[..] else { panic!("{all:?}") };
    assert_eq!(failed["reason"], "PostgreSQL has 3 messages, the archive gives 2");
    assert_eq!((&lost["lost_documents"], &lost["messages"]), (&json!(2), &json!(3)));
    assert_eq!((&cold["step"], &cold["bytes"]), (&json!("dropped"), &Value::Null));
    let today = &all[0];
    assert!(today["bytes"].as_i64().is_some_and(|bytes| bytes > 0) && today["step"].is_null(), "{today}");
    // Only the days that were asked for.
    let day = text(&lost["day"]);
    let one = root.get(&format!("/archive/days?from={day}&to={day}")).await.expect(200);
    assert_eq!(items(&one).len(), 1, "{one}");
    for wrong in ["from=2026-W48-7", "from=yesterday", "from=2026-02-02&to=2026-02-01", "cursor=IjIwMjYi"] {
        root.get(&format!("/archive/days?{wrong}")).await.expect_problem(400, "invalid-parameter");
    }
    let desk = app.client("desk", &["support"]);
    for path in ["/archive/days", "/schedule", "/replicas"] {
        desk.get(path).await.expect_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn jobs_are_listed_with_their_last_and_next_time() {
    let hr = Hr::start().await;
    let settings = format!("{}directory.time_zone = \"Europe/Berlin\"\n", hr.settings());
    let settings = settings.replace("directory.schedule = \"\"", "directory.schedule = \"0 5 1 1 *\"");
    let app =
        TestApp::with_archive(&format!("archive_time_zone = \"Asia/Shanghai\"\n{RARELY}{settings}")).await;
    let root = app.client("root", &["admin"]);
    app.until("SELECT count(*) FROM t_im_schedule WHERE name IN ('archiver', 'directory')", 2).await;
    let found = root.get("/schedule").await.expect(200);
    let [archive, directory, full] = &items(&found)[..] else { panic!("{found}") };
    assert_eq!((&archive["job"], &archive["cron"]), (&json!("archive"), &json!("0 0 29 2 *")));
    assert!(text(&archive["next_local"]).ends_with("-02-29 00:00:00"), "{archive}");
    assert!(text(&archive["next_at"]).ends_with("-02-28T16:00:00Z"), "of Shanghai: {archive}");
    assert!(!archive["last_begun_at"].is_null() && archive["due_since"].is_null(), "{archive}");
    assert!(text(&directory["next_at"]).ends_with("-01-01T04:00:00Z"), "of Berlin: {directory}");
    assert_eq!((&full["cron"], &full["next_at"]), (&Value::Null, &Value::Null), "it never begins: {full}");

    let app = TestApp::start().await;
    let none = app.client("root", &["admin"]).get("/schedule").await.expect(200);
    assert_eq!(items(&none).len(), 0, "neither an archive nor a source: {none}");
}

/// Waits until a replica that is listed holds this work.
async fn held_work(root: &Client, work: &str) -> Value {
    let started = Instant::now();
    loop {
        let found = root.get("/replicas").await.expect(200);
        let (replicas, leases) = (found["replicas"].as_array(), found["leases"].as_array());
        let lease =
            leases.expect("leases").iter().find(|lease| lease["work"] == work && lease["is_held"] == true);
        let holder = lease.map(|lease| &lease["replica_id"]);
        if replicas.expect("replicas").iter().any(|one| Some(&one["replica_id"]) == holder) {
            return found;
        }
        assert!(started.elapsed() < LONG, "no replica holds {work}: {found}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test]
async fn replicas_tell_of_themselves_with_the_work_that_they_hold() {
    let database = database().await;
    let hr = Hr::start().await;
    let app = TestApp::start_on(database.clone(), &hr.settings()).await;
    let mut other = TestApp::start_on(database, &hr.settings()).await;
    app.until("SELECT count(*) FROM t_im_replica", 2).await;
    let root = app.client("root", &["admin"]);
    let found = held_work(&root, "directory").await;
    let replicas = found["replicas"].as_array().expect("replicas");
    assert_eq!(replicas.len(), 2, "{found}");
    for one in replicas {
        assert_eq!((&one["version"], &one["is_silent"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(false)));
        assert_eq!(one["failing"], json!([]), "{one}");
    }
    // One that stops is gone, and its work goes to the other.
    other.halt().await;
    let found = root.get("/replicas").await.expect(200);
    assert_eq!(found["replicas"].as_array().map(Vec::len), Some(1), "{found}");
    held_work(&root, "directory").await;
    // One that died is silent.
    let died = "INSERT INTO t_im_replica (replica_id, version, host, started_at, seen_at) \
                VALUES (gen_random_uuid(), '0.1.0', 'pod-7', im_clock() - interval '1 hour', im_clock() - interval '1 minute')";
    app.sql().await.execute(died, &[]).await.expect("a row");
    let found = root.get("/replicas").await.expect(200);
    let silent = &found["replicas"][0];
    assert_eq!((&silent["host"], &silent["is_silent"]), (&json!("pod-7"), &json!(true)), "{found}");
}

#[tokio::test]
async fn groups_without_an_active_owner_are_listed_and_so_are_users_who_left() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "boss"]).await;
    let fine = app.group(&["ann", "bob"]).await;
    let (orphan, left) = (app.group(&["bob", "cy"]).await, app.group(&["cy", "ann"]).await);
    let (sql, desk) = (app.sql().await, app.client("desk", &["support"]));
    let owner = "UPDATE t_im_channel SET owner = $2 WHERE channel_id = $1::text::bigint";
    sql.execute(owner, &[&orphan, &None::<String>]).await.expect("no owner");
    sql.execute(owner, &[&left, &"boss"]).await.expect("an owner who leaves");
    sql.execute("UPDATE t_im_user SET active = false WHERE user_id = 'boss'", &[]).await.expect("it leaves");
    let found = app.all(&desk, "/support/channels?owner=none&limit=1&reason=why").await;
    let ids: Vec<String> = found.iter().map(|one| text(&one["channel_id"])).collect();
    assert_eq!(ids, [left.clone(), orphan.clone()], "the newest first, and not {fine}");
    assert_eq!(found[0]["owner"]["active"], false);
    let named = desk.get("/support/channels?owner=none&q=nothing&reason=why").await.expect(200);
    assert_eq!(items(&named).len(), 0);
    let called = "UPDATE t_im_channel SET channel_name = 'Apollo'";
    sql.execute(called, &[]).await.expect("names");
    let pages = app.all(&desk, "/support/channels?owner=none&q=apollo&limit=1&reason=why").await;
    assert_eq!(pages.iter().map(|one| text(&one["channel_id"])).collect::<Vec<_>>(), ids);
    for wrong in ["owner=none&member=ann", "owner=ann", "q="] {
        let path = format!("/support/channels?{wrong}&reason=why");
        desk.get(&path).await.expect_problem(400, "invalid-parameter");
    }
    let absent = desk.get("/support/users?reason=why").await.expect(200);
    assert_eq!(items(&absent)[0]["user_id"], "boss", "{absent}");
    assert_eq!((&items(&absent)[0]["state"], items(&absent).len()), (&json!("suspended"), 1));
    assert_eq!(items(&desk.get("/support/users?state=left&reason=why").await.expect(200)).len(), 0);
    desk.get("/support/users?state=gone&reason=why").await.expect_problem(400, "invalid-parameter");
    desk.get("/support/users").await.expect_problem(400, "invalid-parameter");
    app.person("ann").get("/support/users?reason=why").await.expect_problem(403, "forbidden");
    // An administrator gives one back, and it is no longer listed.
    let new = json!({"user_id": "cy", "reason": "its owner is gone"});
    let root = app.client("root", &["admin"]);
    root.post(&format!("/support/channels/{orphan}/owner"), new).await.expect(204);
    assert_eq!(app.all(&desk, "/support/channels?owner=none&reason=why").await.len(), 1);
    let kept = "SELECT count(*) FROM t_im_audit WHERE action IN ('users', 'channels') AND reason = 'why'";
    assert!(app.count(kept, &[]).await >= 4, "each look is kept");
}
