//! Why a message has reached a user, or has not: each finding, as it comes about.

use serde_json::{Value, json};

use crate::app::{LONG, LOOK, TestApp, text};
use crate::archive::moving::Aged;
use crate::support::{Answer, Batch, Client, Gate};

const WHY: &str = "reason=ticket+7";

/// What support finds out.
pub async fn diagnosed(app: &TestApp, ms_id: &Value, user: &str) -> Value {
    let path = format!("/support/messages/{}/receivers/{user}?{WHY}", text(ms_id));
    app.client("desk", &["support"]).get(&path).await.expect(200)
}

pub async fn finding(app: &TestApp, ms_id: &Value, user: &str) -> String {
    text(&diagnosed(app, ms_id, user).await["finding"])
}

/// Waits for a finding.
pub async fn finding_becomes(app: &TestApp, ms_id: &Value, user: &str, wanted: &str) -> Value {
    let started = std::time::Instant::now();
    loop {
        let found = diagnosed(app, ms_id, user).await;
        if found["finding"] == wanted {
            return found;
        }
        assert!(started.elapsed() < LONG, "{wanted} does not come: {found}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A gateway where users are as their ids say: `off`, `refused`, `later`. All others get everything.
pub fn by_their_ids(batch: &Batch) -> Answer {
    let mut named: [Vec<&str>; 4] = Default::default();
    for receiver in batch.deliveries.iter().flat_map(|delivery| &delivery.receivers) {
        let at = ["", "off", "later", "refused"].iter().position(|id| id == receiver).unwrap_or_default();
        named[at].push(receiver);
    }
    let [received, offline, retry, rejected] = named;
    let rejected: Vec<(&str, &str)> = rejected.into_iter().map(|id| (id, "no device")).collect();
    Answer::lists(&received, &offline, &retry, &rejected)
}

pub async fn patch_gateway(root: &Client, state: &str) {
    root.patch("/callbacks/gateway", json!({"state": state})).await.expect(200);
}

#[tokio::test]
async fn each_verdict_and_each_membership_has_its_finding() {
    let app = TestApp::start().await;
    let ids = ["ann", "bob", "cy", "off", "later", "refused", "gone", "left", "new", "never"];
    app.people(&ids).await;
    let group = app.group(&["ann", "bob", "cy", "off", "later", "refused", "gone", "left"]).await;
    // A membership during which nothing was said leaves nothing behind.
    let first = app.say("ann", &group, "欢迎").await["ms_id"].clone();
    finding_becomes(&app, &first, "later", "received").await;
    app.person("left").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    app.gateway.answer(by_their_ids);
    let ms_id = app.say("ann", &group, "季度报告").await["ms_id"].clone();
    let members = format!("/channels/{group}/members");
    app.person("ann").post(&members, json!({"user_ids": ["new"]})).await.expect(200);
    finding_becomes(&app, &ms_id, "cy", "received").await;
    app.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 2})).await.expect(200);

    let off = finding_becomes(&app, &ms_id, "off", "offline").await;
    assert_eq!((&off["status"], &off["verdict"]), (&json!("unreceived"), &json!("offline")));
    assert_eq!(off["attempts"][0]["http_status"], 200, "{off}");
    assert!(text(&off["attempts"][0]["answer"]).contains("\"off\""), "{off}");
    assert_eq!(
        (&off["waiting"], &off["archived"], &off["gateway"]),
        (&Value::Null, &json!(false), &json!("ok"))
    );
    assert_eq!(off["intervals"][0]["from_seq"], 1);
    assert_eq!(off["message"]["content"]["text"], "季度报告");
    let refused = finding_becomes(&app, &ms_id, "refused", "rejected").await;
    assert_eq!(refused["verdict_reason"], "no device");
    let later = finding_becomes(&app, &ms_id, "later", "retrying").await;
    assert!(!later["waiting"].is_null(), "{later}");
    for (user, wanted) in [
        ("ann", "sender"),
        ("bob", "read"),
        ("cy", "received"),
        ("left", "left_before"),
        ("new", "joined_later"),
        ("never", "never_member"),
    ] {
        assert_eq!(finding(&app, &ms_id, user).await, wanted, "{user}");
    }

    let desk = app.client("desk", &["support"]);
    let path = |ms_id: &str, user: &str| format!("/support/messages/{ms_id}/receivers/{user}");
    let ms_id = text(&ms_id);
    desk.get(&path(&ms_id, "bob")).await.expect_problem(400, "invalid-parameter");
    desk.get(&format!("{}?{WHY}", path("99", "bob"))).await.expect_problem(404, "not-found");
    desk.get(&format!("{}?{WHY}", path(&ms_id, "nobody"))).await.expect_problem(404, "not-found");
    let bob = app.person("bob");
    bob.get(&format!("{}?{WHY}", path(&ms_id, "bob"))).await.expect_problem(403, "forbidden");
    let audit = app.client("root", &["admin"]).get("/audit?limit=1").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "receipts", "each look is kept");
    assert_eq!(audit["items"][0]["filter"], json!({"ms_id": ms_id, "user_id": "never"}));
}

#[tokio::test]
async fn what_keeps_the_gateway_from_getting_it_is_found() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let (direct, root) = (app.direct("ann", "bob").await, app.client("root", &["admin"]));
    patch_gateway(&root, "paused").await;
    let paused = app.say("ann", &direct, "one").await["ms_id"].clone();
    finding_becomes(&app, &paused, "bob", "gateway_paused").await;
    app.gateway.answer(|_| Answer::status(503));
    patch_gateway(&root, "active").await;
    let failing = finding_becomes(&app, &paused, "bob", "gateway_failing").await;
    assert_eq!(failing["attempts"][0]["error"], "answered 503: not 200", "{failing}");
    app.gateway.answer(|_| Answer::All);
    finding_becomes(&app, &paused, "bob", "received").await;
}

/// A message whose push to `bob` was given up.
pub async fn given_up() -> (TestApp, Value) {
    let app = TestApp::start_with("callback_give_up_ms = 1\ncallback_breaker_failures = 1000").await;
    app.people(&["ann", "bob", "cy"]).await;
    let (bad, good) = (app.direct("ann", "bob").await, app.direct("ann", "cy").await);
    app.gateway.refuse(&bad);
    let lost = app.say("ann", &bad, "poison").await["ms_id"].clone();
    app.say("ann", &good, "fine").await;
    (app, lost)
}

/// As when `callback_keep_days` have passed.
pub async fn forget_dead_letters(app: &TestApp) {
    app.sql().await.execute("DELETE FROM t_im_push_dead", &[]).await.expect("old letters go");
}

#[tokio::test]
async fn what_was_given_up_or_has_no_gateway_is_found() {
    let (app, lost) = given_up().await;
    let dead = finding_becomes(&app, &lost, "bob", "dead_letter").await;
    assert_eq!(dead["dead_letter"]["reason"], "answered 400: not 200", "{dead}");
    assert!(dead["attempts"].as_array().is_some_and(|all| !all.is_empty()), "{dead}");
    forget_dead_letters(&app).await;
    assert_eq!(finding(&app, &lost, "bob").await, "not_delivered");

    let app = TestApp::start_with("callback_url = \"\"").await;
    app.people(&["ann", "bob"]).await;
    let direct = app.direct("ann", "bob").await;
    let held = app.say("ann", &direct, "hello").await["ms_id"].clone();
    let found = finding_becomes(&app, &held, "bob", "no_gateway").await;
    assert_eq!(found["waiting"]["held"], true, "{found}");
}

/// A message that waits behind a batch of its channel, for as long as the gate is closed.
pub async fn behind_another(app: &TestApp, channel: &str) -> (Value, Gate) {
    let gate = Gate::closed();
    let held = gate.clone();
    app.gateway.answer(move |_| Answer::All.behind(&held));
    app.say("ann", channel, "one").await;
    app.until("SELECT count(*) FROM t_im_push_batch", 1).await;
    // The messages of a channel go one batch after another.
    (app.say("ann", channel, "two").await["ms_id"].clone(), gate)
}

#[tokio::test]
async fn what_waits_its_turn_is_found() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let direct = app.direct("ann", "bob").await;
    let (next, gate) = behind_another(&app, &direct).await;
    let found = diagnosed(&app, &next, "bob").await;
    assert_eq!((&found["finding"], &found["waiting"]["attempts"]), (&json!("waiting"), &json!(0)), "{found}");
    gate.open();
    finding_becomes(&app, &next, "bob", "received").await;
}

/// A user leaves the company.
pub async fn leaves(app: &TestApp, user_id: &str) {
    let leaver = json!({"users": [{"user_id": user_id, "name": user_id.to_uppercase(), "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", leaver).await.expect(200);
}

#[tokio::test]
async fn a_receiver_who_left_the_company_before_the_push_is_found() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let (direct, root) = (app.direct("ann", "bob").await, app.client("root", &["admin"]));
    patch_gateway(&root, "paused").await;
    let ms_id = app.say("ann", &direct, "hello").await["ms_id"].clone();
    finding_becomes(&app, &ms_id, "bob", "gateway_paused").await;
    leaves(&app, "bob").await;
    patch_gateway(&root, "active").await;
    let found = finding_becomes(&app, &ms_id, "bob", "left_company").await;
    assert_eq!((&found["user"]["active"], &found["waiting"]), (&json!(false), &Value::Null), "{found}");
}

/// A message in a group with `bob` and a robot, where push is off, and the id of the robot.
pub async fn push_off() -> (TestApp, Value, String) {
    let app = TestApp::start_with("callback_url = \"none\"").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    app.person("ann").post(&format!("/channels/{group}/robots"), json!({"name": "r"})).await.expect(201);
    let ms_id = app.say("ann", &group, "hello").await["ms_id"].clone();
    let robot = "SELECT user_id FROM t_im_robot WHERE channel_id = $1::text::bigint";
    let robot = app.sql().await.query_one(robot, &[&group]).await.expect("a robot").get(0);
    (app, ms_id, robot)
}

/// As when `callback_hold_days` have passed.
pub async fn forget_what_waits(app: &TestApp) {
    app.sql().await.batch_execute("DELETE FROM t_im_push_queue; DELETE FROM t_im_push_commit").await.unwrap();
}

#[tokio::test]
async fn push_that_is_off_and_a_robot_that_only_sends_are_found() {
    let (app, ms_id, robot) = push_off().await;
    finding_becomes(&app, &ms_id, "bob", "no_gateway").await;
    forget_what_waits(&app).await;
    let off = finding_becomes(&app, &ms_id, "bob", "push_off").await;
    assert_eq!((&off["gateway"], &off["waiting"]), (&json!("off"), &Value::Null), "{off}");
    let found = diagnosed(&app, &ms_id, &robot).await;
    assert_eq!((&found["finding"], &found["status"]), (&json!("not_receiver"), &Value::Null), "{found}");
}

#[tokio::test]
async fn an_archived_message_has_the_same_finding() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "off"]).await;
    aged.gateway.answer(by_their_ids);
    let group = aged.group(&["ann", "bob", "off"]).await;
    let ms_id = aged.say("ann", &group, "old").await["ms_id"].clone();
    aged.settled().await;
    aged.app.clock("0").await;
    for cold in [false, true] {
        if cold {
            aged.move_all().await;
        }
        for (user, wanted) in [("ann", "sender"), ("bob", "received"), ("off", "offline")] {
            let found = diagnosed(&aged, &ms_id, user).await;
            assert_eq!((&found["finding"], &found["archived"]), (&json!(wanted), &json!(cold)), "{user}");
        }
    }
}
