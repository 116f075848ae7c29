//! The gate as a resource: who makes it, what it needs, and when it counts.

use serde_json::{Value, json};

use super::{Filter, send};
use crate::app::TestApp;
use crate::base::database::until;
use crate::delivery::callbacks::OPEN;

const URL: &str = "http://127.0.0.1:9/gate";

#[tokio::test]
async fn there_is_one_gate_and_an_administrator_makes_it() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let admin = app.client("root", &["admin"]);
    let oa = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", oa).await.expect(200);
    let gate = json!({"kind": "gate", "url": URL, "without_answer": "allow"});
    for caller in [app.person("a"), app.person("oa"), app.client("desk", &["support"])] {
        caller.post("/callbacks", gate.clone()).await.expect_problem(403, "forbidden");
    }
    let with = |field: &str, value: Value| {
        let mut wish = gate.clone();
        wish[field] = value;
        wish
    };
    let observer = json!({"url": URL, "event_types": ["user.*"], "without_answer": "allow"});
    let kinds = json!({"kind": "gateway", "url": URL, "sender_kinds": ["internal"]});
    for (wish, pointer) in [
        (json!({"kind": "gate", "url": URL}), "/without_answer"),
        (with("without_answer", json!("maybe")), "/without_answer"),
        (with("timeout_ms", json!(10_001)), "/timeout_ms"),
        (with("sender_kinds", json!([])), "/sender_kinds"),
        (with("sender_kinds", json!(["internal", "internal"])), "/sender_kinds"),
        (with("sender_kinds", json!(["people"])), "/sender_kinds"),
        (with("event_types", json!(["user.*"])), "/event_types"),
        (with("url", json!("http://10.0.0.1/")), "/url"),
        (observer, "/without_answer"),
        (kinds, "/sender_kinds"),
    ] {
        let problem = admin.post("/callbacks", wish.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{wish}");
    }
    let made = admin.post("/callbacks", gate.clone()).await.expect(201);
    let shown = [("callback_id", json!("gate")), ("timeout_ms", json!(2_000)), ("concurrency", json!(32))];
    for (field, value) in shown {
        assert_eq!(made[field], value, "{field}");
    }
    admin.post("/callbacks", gate.clone()).await.expect_problem(409, "conflict");
    admin.post("/callbacks/gate/test", json!({})).await.expect_problem(409, "conflict");
    admin.post("/callbacks/gate/secrets", json!({})).await.expect(201);
    let changed = admin.patch("/callbacks/gate", json!({"sender_kinds": ["external"]})).await.expect(200);
    assert_eq!(
        (&changed["sender_kinds"], &changed["without_answer"]),
        (&json!(["external"]), &json!("allow"))
    );
    let problem =
        admin.patch("/callbacks/gateway", json!({"state": "active", "without_answer": "allow"})).await;
    assert!([409, 422].contains(&problem.status), "{problem:?}");
    let list = admin.get("/callbacks").await.expect(200);
    let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|one| &one["callback_id"]).collect();
    assert_eq!(ids, ["gateway", "gate"]);
    admin.delete("/callbacks/gate").await.expect(204);
    admin.get("/callbacks/gate").await.expect_problem(404, "not-found");
    let again = admin.post("/callbacks", gate).await.expect(201);
    assert_eq!(again["sender_kinds"], Value::Null, "nothing is left of the one before");
    assert_ne!(made["secret"], again["secret"]);
}

#[tokio::test]
async fn a_gate_counts_on_each_replica_and_one_that_cannot_ask_it_does_not_skip_it() {
    let one = TestApp::start_with(OPEN).await;
    let settings = format!("{OPEN}callback_url = \"\"");
    let two = TestApp::start_on(one.database.clone(), &settings).await;
    let keyless = TestApp::start_on(one.database.clone(), "callback_url = \"\"").await;
    one.people(&["a", "b"]).await;
    let channel = one.direct("a", "b").await;
    let admin = one.client("root", &["admin"]);
    let replicas = [&one, &two, &keyless];
    for replica in replicas {
        send(replica, "a", &channel, "before").await.expect(201);
    }
    let filter = Filter::start(&admin, json!({})).await;
    filter.refuses("no");
    send(&one, "a", &channel, "x").await.expect_problem(403, "gate-refused");
    until(|| send(&two, "a", &channel, "x"), |reply| reply.status != 201)
        .await
        .expect_problem(403, "gate-refused");
    let reply = until(|| send(&keyless, "a", &channel, "x"), |reply| reply.status != 201).await;
    reply.expect_problem(503, "gate-unanswered");

    // A change counts everywhere, too.
    admin.patch("/callbacks/gate", json!({"sender_kinds": ["application"]})).await.expect(200);
    for replica in replicas {
        until(|| send(replica, "a", &channel, "x"), |reply| reply.status == 201).await;
    }
    admin.patch("/callbacks/gate", json!({"sender_kinds": null})).await.expect(200);
    until(|| send(&two, "a", &channel, "x"), |reply| reply.status == 403).await;
    admin.patch("/callbacks/gate", json!({"state": "paused"})).await.expect(200);
    for replica in replicas {
        until(|| send(replica, "a", &channel, "x"), |reply| reply.status == 201).await;
    }
    admin.patch("/callbacks/gate", json!({"state": "active"})).await.expect(200);
    until(|| send(&two, "a", &channel, "x"), |reply| reply.status == 403).await;
    admin.delete("/callbacks/gate").await.expect(204);
    for replica in replicas {
        until(|| send(replica, "a", &channel, "x"), |reply| reply.status == 201).await;
    }
}
