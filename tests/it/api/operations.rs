//! The overview: what needs a person, and the last hours in numbers.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Answer;

async fn overview(app: &TestApp) -> Value {
    app.client("root", &["admin"]).get("/operations/overview").await.expect(200)
}

fn kinds(overview: &Value) -> Vec<String> {
    overview["attention"].as_array().expect("a list").iter().map(|one| text(&one["kind"])).collect()
}

/// The sum of a field over the hours.
fn sum(overview: &Value, field: &str) -> i64 {
    let hours = overview["numbers"]["traffic"]["hours"].as_array().expect("hours");
    hours.iter().map(|hour| hour[field].as_i64().expect("a count")).sum()
}

#[tokio::test]
async fn the_overview_counts_each_stage_of_the_last_hours() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "off"]).await;
    let group = app.group(&["a", "b", "c", "off"]).await;
    app.gateway.answer(|_| Answer::all_except(&["off"], &[]));
    for words in ["one", "two"] {
        app.say("a", &group, words).await;
    }
    app.settled().await;
    app.person("b").post(&format!("/channels/{group}/read"), json!({"seq": 2})).await.expect(200);
    app.settled().await;
    let found = overview(&app).await;
    let traffic = &found["numbers"]["traffic"];
    assert_eq!((traffic["hours"].as_array().map(Vec::len), &traffic["estimated"]), (Some(24), &json!(false)));
    let stages = ["messages", "receivers", "pushed", "received", "read"].map(|field| sum(&found, field));
    assert_eq!(stages, [2, 6, 6, 4, 2], "{found}");
    assert_eq!(kinds(&found), [] as [String; 0], "{found}");
    assert_eq!(found["readiness"]["status"], "ready");
    app.client("desk", &["support"]).get("/operations/overview").await.expect_problem(403, "forbidden");
    app.person("a").get("/operations/overview").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn what_needs_a_person_comes_worst_first() {
    let app = TestApp::with_archive("").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let root = app.client("root", &["admin"]);
    root.patch("/callbacks/gateway", json!({"state": "paused"})).await.expect(200);
    app.say("a", &channel, "waits").await;
    let more = "INSERT INTO t_im_directory_run (mode, asked_by, dry_run, asked_at, state) \
                VALUES ('full', 'hand', false, now(), 'held'); \
                INSERT INTO t_im_directory_edit (user_id, source, attributes, base, state, due_at, set_at, give_up_at, \
                                                 asked_by, asked_at, ended_at) \
                VALUES ('b', 'hr', '{}', '{}', 'conflict', now(), now(), now(), 'a', now(), now()); \
                INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, reason, dead_at) \
                VALUES ('gateway', 1, 1, 1, 1, 1, 1, 1, 'x', now())";
    app.sql().await.batch_execute(more).await.unwrap();
    let found = overview(&app).await;
    assert_eq!(kinds(&found), ["endpoint_paused", "run_held", "dead_letters", "edit_conflicts"], "{found}");
    let first = &found["attention"][0];
    assert_eq!(
        (&first["level"], &first["callback_id"], &first["count"], &first["runbook"]),
        (&json!("critical"), &json!("gateway"), &json!(1), &json!("ImPushGatewayPushBehind"))
    );
    assert_eq!(found["numbers"]["push"]["paused"], 1, "{found}");
    root.patch("/callbacks/gateway", json!({"state": "active"})).await.expect(200);
    app.settled().await;
    assert_eq!(kinds(&overview(&app).await), ["run_held", "dead_letters", "edit_conflicts"]);
    let old = "UPDATE t_im_directory_run SET state = 'failed', ended_at = now()";
    app.sql().await.batch_execute(old).await.unwrap();
    let found = overview(&app).await;
    assert_eq!(
        (kinds(&found)[0].as_str(), &found["attention"][0]["level"]),
        ("directory_failed", &json!("critical"))
    );
}
