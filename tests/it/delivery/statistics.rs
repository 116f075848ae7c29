//! How an endpoint has answered, how large its queue is, and which dead letters there are.

use serde_json::{Value, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::app::{TestApp, text};
use crate::support::Answer;

/// A failed batch is given up once another one succeeds. The breaker stays closed.
const IMPATIENT: &str = "callback_give_up_ms = 1\ncallback_breaker_failures = 1000";

#[tokio::test]
async fn the_statistics_count_attempts_by_time_and_failures_by_kind() {
    let app = TestApp::start_with("callback_breaker_failures = 1000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|batch| match batch.attempt {
        1 => Answer::status(500),
        2 => Answer::garbage(),
        _ => Answer::All,
    });
    app.say("a", &channel, "x").await;
    app.settled().await;
    // An attempt of the day before counts in no stretch of 24 hours, and is still among the newest.
    let old = "INSERT INTO t_im_push_attempt (callback_id, batch_id, attempted_at, duration_ms, error, pairs, received, offline, rejected, retried, unknown) \
               OVERRIDING SYSTEM VALUE SELECT 'gateway', gen_random_uuid(), now() - interval '30 hours', 7, 'timeout', 1, 0, 0, 0, 0, 0";
    let old = old
        .replace("(callback_id", "(attempt_id, callback_id")
        .replace("SELECT 'gateway'", "SELECT 0, 'gateway'");
    app.sql().await.batch_execute(&old).await.unwrap();
    let root = app.client("root", &["admin"]);
    let found = root.get("/callbacks/gateway/statistics").await.expect(200);
    let stretches = found["stretches"].as_array().unwrap();
    let sum = |field: &str| stretches.iter().map(|stretch| stretch[field].as_i64().unwrap()).sum::<i64>();
    assert_eq!((stretches.len(), sum("attempts"), sum("failed"), sum("received")), (24, 3, 2, 1), "{found}");
    assert!(stretches.iter().all(|stretch| stretch["truncated"] == false), "{found}");
    let kinds: Vec<Value> =
        found["failures"].as_array().unwrap().iter().map(|failure| failure["http_status"].clone()).collect();
    assert_eq!(kinds, [json!(200), json!(500), Value::Null], "newest first: {found}");
    let long = root.get("/callbacks/gateway/statistics?hours=48").await.expect(200);
    let counts =
        long["stretches"].as_array().unwrap().iter().map(|stretch| stretch["attempts"].as_i64().unwrap());
    assert_eq!(counts.sum::<i64>(), 4, "{long}");
    for wrong in ["0", "169", "x"] {
        root.get(&format!("/callbacks/gateway/statistics?hours={wrong}"))
            .await
            .expect_problem(400, "invalid-parameter");
    }
    app.person("a").get("/callbacks/gateway/statistics").await.expect_problem(403, "forbidden");
    root.get("/callbacks/cb-none/statistics").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn dead_letters_are_chosen_by_reason_and_time_and_counted_before_a_replay() {
    let app = TestApp::start_with(IMPATIENT).await;
    let base = (app.store.now().await.unwrap() - Duration::hours(6)).replace_nanosecond(0).unwrap();
    let at = |hours: i64| (base + Duration::hours(hours)).format(&Rfc3339).unwrap();
    let rows = "INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, reason, dead_at) \
                SELECT 'gateway', 1, i, i, im_first_ms_id(now()) + i, im_first_ms_id(now()) + i, 2, 1, \
                       CASE WHEN i <= 3 THEN 'answered 500: not 200' ELSE 'timeout' END, \
                       $1::timestamptz + i * interval '1 hour' \
                FROM generate_series(1, 5) AS i";
    app.sql().await.execute(rows, &[&base]).await.unwrap();
    let root = app.client("root", &["admin"]);
    let ids = async |query: &str| {
        let page = root.get(&format!("/callbacks/gateway/dead-letters?{query}")).await.expect(200);
        page["items"].as_array().unwrap().iter().map(|one| text(&one["dead_id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids("reason=answered").await, ["3", "2", "1"]);
    assert_eq!(ids("reason=answered+500%3A+not+200&limit=2").await, ["3", "2"]);
    assert_eq!(ids(&format!("since={}&until={}", at(2), at(4))).await, ["3", "2"]);
    assert_eq!(ids("reason=%25").await, [] as [String; 0], "no pattern");
    for (query, name) in [("since=yesterday", "since"), ("until=2026-13-01T00:00:00Z", "until")] {
        let problem = root.get(&format!("/callbacks/gateway/dead-letters?{query}")).await;
        assert!(problem.expect_problem(400, "invalid-parameter").to_string().contains(name));
    }
    let replay = async |body: Value| root.post("/callbacks/gateway/replay", body).await;
    root.patch("/callbacks/gateway", json!({"state": "paused"})).await.expect(200);
    let which = json!({"reason": "answered", "until": at(3), "to_dead_id": "3"});
    let mut dry = which.clone();
    dry["dry_run"] = json!(true);
    let counted = replay(dry).await.expect(200);
    assert_eq!((&counted["replayed"], &counted["pairs"]), (&json!(2), &json!(4)));
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 5, "nothing is done");
    assert_eq!(replay(which).await.expect(200), counted);
    assert_eq!(ids("limit=50").await, ["5", "4", "3"]);
    let audit = root.get("/audit?actor=root&limit=1").await.expect(200);
    let entry = &audit["items"][0];
    let filter = json!({
        "callback_id": "gateway", "reason": "answered", "until": at(3), "to_dead_id": "3",
    });
    assert_eq!(
        (&entry["action"], &entry["filter"], &entry["results"]),
        (&json!("callback-replayed"), &filter, &json!(2))
    );
    let both = json!({"events_since": "2026-01-01T00:00:00Z", "reason": "x"});
    replay(both).await.expect_problem(422, "invalid-field");
    app.sql().await.batch_execute("DELETE FROM t_im_push_queue; DELETE FROM t_im_push_dead").await.unwrap();
}

#[tokio::test]
async fn a_page_and_a_count_read_200_000_dead_letters_and_the_next_page_goes_on() {
    let app = TestApp::start_with(IMPATIENT).await;
    let rows = "INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, reason, dead_at) \
                SELECT 'gateway', 1, i, i, im_first_ms_id(now()) + i, im_first_ms_id(now()) + i, 1, 1, \
                       CASE i WHEN 1 THEN 'rare' ELSE 'timeout' END, now() \
                FROM generate_series(1, 200001) AS i";
    app.sql().await.execute(rows, &[]).await.unwrap();
    let root = app.client("root", &["admin"]);
    let list = "/callbacks/gateway/dead-letters?reason=rare";
    let first = root.get(list).await.expect(200);
    assert_eq!(first["items"], json!([]));
    let second = root.get(&format!("{list}&cursor={}", text(&first["next_cursor"]))).await.expect(200);
    assert_eq!((&second["items"][0]["dead_id"], &second["next_cursor"]), (&json!("1"), &Value::Null));
    let count = async |mut which: Value| {
        which["dry_run"] = json!(true);
        root.post("/callbacks/gateway/replay", which).await.expect(200)["replayed"].clone()
    };
    assert_eq!(count(json!({})).await, 200_000);
    assert_eq!(count(json!({"reason": "rare"})).await, 0, "it is not among the newest");
    assert_eq!(count(json!({"reason": "rare", "to_dead_id": "100"})).await, 1);
    assert_eq!(count(json!({"dead_ids": ["1", "2", "2"]})).await, 2);
    assert_eq!(count(json!({"dead_ids": ["1", "2"], "reason": "rare"})).await, 1);
    app.sql().await.batch_execute("DELETE FROM t_im_push_dead").await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_has_the_attempts_that_held_it() {
    let app = TestApp::start_with(IMPATIENT).await;
    app.people(&["a", "b", "c"]).await;
    let (bad, good) = (app.direct("a", "b").await, app.direct("a", "c").await);
    app.gateway.refuse(&bad);
    app.say("a", &bad, "poison").await;
    app.until("SELECT count(*) FROM t_im_push_dead", 1).await;
    app.say("a", &good, "later").await;
    app.settled().await;
    let root = app.client("root", &["admin"]);
    let letters = root.get("/callbacks/gateway/dead-letters").await.expect(200);
    let path = format!("/callbacks/gateway/dead-letters/{}", text(&letters["items"][0]["dead_id"]));
    let found = root.get(&path).await.expect(200);
    let attempts = found["attempts"].as_array().unwrap();
    assert!(!attempts.is_empty() && attempts.iter().all(|one| one["http_status"] == 400), "{found}");
}

#[tokio::test]
async fn a_large_queue_is_estimated_by_a_part_of_it() {
    let app = TestApp::start().await;
    let root = app.client("root", &["admin"]);
    root.patch("/callbacks/gateway", json!({"state": "paused"})).await.expect(200);
    let shown = root.get("/callbacks/gateway").await.expect(200);
    assert_eq!((&shown["waiting_rows"], &shown["counts_estimated"]), (&json!(0), &json!(false)));
    let rows = "INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, queued_at, due_at) \
                SELECT 'gateway', i, 1, 1, i, i, 3, 10, now(), now() FROM generate_series(1, 20000) AS i; \
                INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, reason, dead_at) \
                SELECT 'gateway', i, 1, 1, i, i, 3, 10, 'x', now() FROM generate_series(1, 12000) AS i";
    app.sql().await.batch_execute(rows).await.unwrap();
    let shown = root.get("/callbacks/gateway").await.expect(200);
    assert_eq!(shown["counts_estimated"], true);
    for (field, truth) in [("waiting_rows", 20_000), ("waiting_pairs", 60_000), ("dead_letters", 12_000)] {
        let error = (shown[field].as_i64().unwrap() - truth).abs();
        assert!(error * 20 <= truth, "{field} within 5 %: {shown}");
    }
    app.sql().await.batch_execute("TRUNCATE t_im_push_queue, t_im_push_dead").await.unwrap();
}
