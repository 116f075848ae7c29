//! A notification whose steps fail does not hold up the others.

use serde_json::json;

use super::{OPEN, company, counts, names, notify, receivers, words};
use crate::app::{TestApp, text};
use crate::support::{Client, Service, shared};

/// The reason of the failure below: a number is out of range.
const CAUSE: &str = "Internal error (SQLSTATE 22003)";

/// Spoils a channel: the number of its next message is out of range, so that each statement that stores one fails.
async fn spoil(app: &TestApp, channel: &str) {
    set_seq(app, channel, i64::MAX).await;
}

async fn set_seq(app: &TestApp, channel: &str, seq: i64) {
    let set = format!("UPDATE t_im_channel SET last_seq = {seq} WHERE channel_id = {channel}");
    app.sql().await.batch_execute(&set).await.expect("a number");
}

/// An urgent notification, which comes before others.
async fn urgent(app: &TestApp, name: &str, users: &[&str]) -> String {
    let mut body = words(name, json!({"user_ids": users}));
    body["priority"] = json!("urgent");
    notify(&app.person("oa"), body).await
}

#[tokio::test]
async fn one_that_always_fails_lets_the_others_pass_and_ends_with_its_reason() {
    let mut app = TestApp::start_with("notification_step = 1").await;
    company(&app).await;
    let oa = app.person("oa");
    let channel = app.direct("oa", "b").await;
    spoil(&app, &channel).await;
    let poisonous = urgent(&app, "poison", &["a", "b", "c"]).await;
    let mut others = Vec::new();
    for name in ["1", "2", "3"] {
        others.push(notify(&oa, words(name, json!({"user_ids": ["a", "c", "d"]}))).await);
    }
    app.until(OPEN, 1).await;
    app.until("SELECT least(failures, 1)::bigint FROM t_im_notification WHERE is_open", 1).await;
    app.settled().await;
    for other in &others {
        assert_eq!(counts(&oa, other).await, json!({"received": 3}));
    }
    let shown = oa.get(&poisonous).await.expect(200);
    assert_eq!((&shown["state"], &shown["failure"]), (&json!("sending"), &json!(CAUSE)));
    assert_eq!(counts(&oa, &poisonous).await, json!({"received": 1, "waiting": 2}));
    let pause = "SELECT count(*) FROM t_im_notification \
                 WHERE is_open AND paused_until > paused_at AND paused_until <= paused_at + interval '5 minutes'";
    assert_eq!(app.count(pause, &[]).await, 1);

    // Its pauses are over at once. The last steps are those of another replica, which counts them.
    app.halt().await;
    let before = app.count("SELECT sum(failures)::bigint FROM t_im_notification", &[]).await;
    let url = shared().url(&app.database);
    let settings = [
        ("database_url", url.as_str()),
        ("database_pool_size", "8"),
        ("poll_ms", "20"),
        ("callback_url", "none"),
    ];
    let replica = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let hurry = "WITH hurried AS (UPDATE t_im_notification SET paused_until = paused_at WHERE is_open) \
                 SELECT count(*) FROM t_im_notification WHERE is_open";
    app.until(hurry, 0).await;
    assert_eq!(app.count("SELECT sum(failures)::bigint FROM t_im_notification", &[]).await, 20);
    let (_, metrics) = Client::anonymous(&replica.metrics_url()).raw("GET", "", &[], &[]).await;
    let metrics = String::from_utf8(metrics).expect("text");
    for (result, failures) in [("retried", 19 - before), ("given_up", 1)] {
        let line = format!("impg_notification_failures_total{{result=\"{result}\"}} {failures}");
        assert!(metrics.contains(&line), "{line}");
    }
    drop(replica);
    app.run().await;
    let oa = app.person("oa");
    let shown = oa.get(&poisonous).await.expect(200);
    assert_eq!((&shown["state"], &shown["failure"]), (&json!("failed"), &json!(CAUSE)));
    assert_eq!(counts(&oa, &poisonous).await, json!({"received": 1, "failed": 2}));
    let failed = receivers(&oa, &poisonous, "status=failed").await;
    assert!(failed.iter().all(|one| one["reason"] == "given_up" && one["ms_id"].is_null()), "{failed:?}");

    // A failed one can be recalled.
    assert_eq!(oa.delete(&poisonous).await.expect(202)["state"], "recalling");
    app.until(OPEN, 0).await;
    assert_eq!(counts(&oa, &poisonous).await, json!({"recalled": 1, "cancelled": 2}));
    let shown = oa.get(&poisonous).await.expect(200);
    assert_eq!((&shown["state"], &shown["failure"]), (&json!("recalled"), &json!(null)));
}

#[tokio::test]
async fn one_that_is_mended_goes_on_also_after_the_clock_has_stepped_back() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    company(&app).await;
    let channel = app.direct("oa", "b").await;
    app.clock("2 days").await;
    spoil(&app, &channel).await;
    let path = urgent(&app, "poison", &["a", "b"]).await;
    app.until("SELECT count(*) FROM t_im_notification WHERE failures > 0", 1).await;
    set_seq(&app, &channel, 0).await;
    // The pause would end in two days.
    app.clock("0 days").await;
    let oa = app.person("oa");
    let due = "UPDATE t_im_notification SET send_at = im_clock()";
    app.sql().await.batch_execute(due).await.expect("it is due");
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &path).await, json!({"received": 2}));
    assert_eq!(names(&oa, &path, "status=received").await, ["a", "b"]);
    let shown = oa.get(&path).await.expect(200);
    assert_eq!((&shown["state"], &shown["failure"]), (&json!("sent"), &json!(null)));
    assert_eq!(text(&receivers(&oa, &path, "").await[1]["channel_id"]), channel);
}

#[tokio::test]
async fn one_that_ends_its_connections_lets_the_others_pass() {
    let app = TestApp::start().await;
    company(&app).await;
    let channel = app.direct("oa", "b").await;
    let cut = format!(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$; \
         CREATE TRIGGER cut BEFORE INSERT ON t_im_message FOR EACH ROW WHEN (NEW.channel_id = {channel}) \
         EXECUTE FUNCTION cut()"
    );
    app.sql().await.batch_execute(&cut).await.expect("a trigger");
    let cutting = urgent(&app, "cutting", &["a", "b"]).await;
    app.until("SELECT least(failures, 1)::bigint FROM t_im_notification", 1).await;
    let other = urgent(&app, "other", &["a", "c"]).await;
    app.until(OPEN, 1).await;
    app.settled().await;
    let oa = app.person("oa");
    assert_eq!(counts(&oa, &other).await, json!({"received": 2}));
    assert_eq!(oa.get(&cutting).await.expect(200)["state"], "sending");
    app.sql().await.batch_execute("DROP TRIGGER cut ON t_im_message").await.expect("no trigger");
    app.until("WITH hurried AS (UPDATE t_im_notification SET paused_until = paused_at WHERE is_open) SELECT count(*) FROM t_im_notification WHERE is_open", 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &cutting).await, json!({"received": 2}));
}

#[tokio::test]
async fn a_full_disk_ends_no_notification() {
    let app = TestApp::start().await;
    company(&app).await;
    let fill = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ \
                BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT ON t_im_message FOR EACH ROW EXECUTE FUNCTION full_disk()";
    app.sql().await.batch_execute(fill).await.expect("a full disk");
    let path = urgent(&app, "1", &["a", "b"]).await;
    // More often than a poisonous one may fail. Each pause is over at once.
    let hurry = "WITH hurried AS (UPDATE t_im_notification SET paused_until = paused_at WHERE is_open) \
                 SELECT least(max(failures), 25)::bigint FROM t_im_notification WHERE is_open";
    app.until(hurry, 25).await;
    app.sql().await.batch_execute("DROP TRIGGER full_disk ON t_im_message").await.expect("room");
    let hurry = "WITH hurried AS (UPDATE t_im_notification SET paused_until = paused_at WHERE is_open) \
                 SELECT count(*) FROM t_im_notification WHERE is_open";
    app.until(hurry, 0).await;
    app.settled().await;
    assert_eq!(counts(&app.person("oa"), &path).await, json!({"received": 2}));
}
