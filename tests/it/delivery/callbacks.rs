//! Endpoints as a resource: made, shown, changed, given new secrets, tried, removed.

mod allowed;
mod connections;
pub mod links;
mod own;
mod signatures;

use std::sync::Arc;

use im_push_gateway::delivery::endpoint::Callbacks;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::app::{TestApp, text};
use crate::support::{Client, Received, Receiver, Script};

/// Two keys, and loopback, where the receivers of tests are.
pub const OPEN: &str = "callback_keys = [\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]\n\
     callback_allow = [\"127.0.0.0/8\"]\n";
const OTHER_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// An observer of everything that happens in channels, as an admin makes it.
pub async fn observer(admin: &Client, url: &str) -> Value {
    let body = json!({"url": url, "event_types": ["message.*", "channel.*"]});
    admin.post("/callbacks", body).await.expect(201)
}

fn path(callback: &Value, rest: &str) -> String {
    format!("/callbacks/{}{rest}", text(&callback["callback_id"]))
}

#[tokio::test]
async fn secrets_are_shown_once_and_kept_sealed() {
    let app = TestApp::start_with(OPEN).await;
    let (admin, desk) = (app.client("root", &["admin"]), app.client("desk", &["support"]));
    let body = json!({
        "url": "http://127.0.0.1:9/hook?token=a-credential",
        "event_types": ["message.created"],
        "headers": {"Authorization": "Bearer a-credential", "X-Portal": "OA"},
    });
    desk.post("/callbacks", body.clone()).await.expect_problem(403, "forbidden");
    let made = admin.post("/callbacks", body).await.expect(201);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("whsec_"), "{made}");
    assert_eq!(made["header_names"], json!(["Authorization", "X-Portal"]));
    assert_eq!(made["url"], "http://127.0.0.1:9/hook?token=a-credential");

    let shown = admin.get(&path(&made, "")).await.expect(200);
    let to_support = desk.get(&path(&made, "")).await.expect(200);
    assert_eq!(to_support["url"], "http://127.0.0.1:9/hook");
    let list = desk.get("/callbacks").await.expect(200);
    let audit = app.client("root", &["admin", "support"]).get("/audit").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "callback-created");
    assert_eq!(audit["items"][0]["filter"]["callback_id"], made["callback_id"]);
    for seen in [&to_support, &list, &audit] {
        assert!(!seen.to_string().contains("a-credential"), "{seen}");
    }
    for seen in [&shown, &to_support, &list, &audit] {
        assert!(!seen.to_string().contains("whsec_"), "{seen}");
        assert!(!seen.to_string().contains("Bearer"), "{seen}");
    }
    let kept = app
        .sql()
        .await
        .query_one(
            "SELECT c.headers, s.sealed FROM t_im_callback c JOIN t_im_callback_secret s USING (callback_id)",
            &[],
        )
        .await
        .unwrap();
    for (column, plain) in [("headers", "credential"), ("sealed", &secret["whsec_".len()..])] {
        let sealed: Vec<u8> = kept.get(column);
        assert!(!String::from_utf8_lossy(&sealed).contains(plain), "{column}");
    }
}

#[tokio::test]
async fn what_an_observer_is_can_be_changed() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let made = observer(&admin, "http://127.0.0.1:9/").await;
    let expected = [
        ("kind", json!("observer")),
        ("state", json!("active")),
        ("timeout_ms", json!(10_000)),
        ("concurrency", json!(4)),
        ("batch_events", json!(100)),
        ("events_per_second", Value::Null),
        ("channel_ids", Value::Null),
        ("breaker", json!("closed")),
        ("waiting_rows", json!(0)),
    ];
    for (field, value) in expected {
        assert_eq!(made[field], value, "{field}");
    }
    let change = json!({
        "description": "审批门户", "event_types": ["user.*", "presence.changed"], "channel_ids": ["7", "8"],
        "department_ids": ["d1"], "headers": {"x-a": "b"}, "timeout_ms": 500, "concurrency": 2,
        "batch_events": 10, "events_per_second": 50, "state": "paused",
    });
    let changed = admin.patch(&path(&made, ""), change.clone()).await.expect(200);
    for (field, value) in change.as_object().unwrap().iter().filter(|(field, _)| *field != "headers") {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(changed["header_names"], json!(["x-a"]));
    let cleared = json!({"description": null, "channel_ids": null, "headers": null, "batch_events": null, "timeout_ms": null});
    let cleared = admin.patch(&path(&made, ""), cleared).await.expect(200);
    assert_eq!((&cleared["channel_ids"], &cleared["batch_events"]), (&Value::Null, &json!(100)));
    assert_eq!((&cleared["header_names"], &cleared["timeout_ms"]), (&json!([]), &json!(10_000)));
    assert_eq!(cleared["department_ids"], json!(["d1"]), "what is left out stays");
    admin.patch("/callbacks/cb-none", json!({})).await.expect_problem(404, "not-found");
    let desk = app.client("desk", &["support"]);
    desk.patch(&path(&made, ""), json!({})).await.expect_problem(403, "forbidden");
    desk.delete(&path(&made, "")).await.expect_problem(403, "forbidden");

    let disable = "UPDATE t_im_callback SET state = 'disabled', failing_since = now(), disabled_reason = 'gone' \
                   WHERE kind = 'observer'";
    app.sql().await.batch_execute(disable).await.unwrap();
    let disabled = admin.patch(&path(&made, ""), json!({"description": "x"})).await.expect(200);
    assert_eq!((&disabled["state"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("gone")));
    let again = admin.patch(&path(&made, ""), json!({"state": "active"})).await.expect(200);
    assert_eq!(again["state"], "active");
    assert_eq!((&again["failing_since"], &again["disabled_reason"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_wish_that_cannot_be_granted_changes_nothing() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let good = json!({"url": "http://127.0.0.1:9/", "event_types": ["message.created"]});
    let many: Vec<String> = (1..=1_001).map(|id: i32| id.to_string()).collect();
    let wrong = [
        (json!({"url": "portal"}), "/url"),
        (json!({"url": "ftp://127.0.0.1/"}), "/url"),
        (json!({"url": "http://somebody@127.0.0.1/"}), "/url"),
        (json!({"url": "http://:password@127.0.0.1/"}), "/url"),
        (json!({"url": "http://127.0.0.1/#part"}), "/url"),
        (json!({"url": "http://169.254.169.254/latest/meta-data/"}), "/url"),
        (json!({"url": "http://10.0.0.1/"}), "/url"),
        (json!({"url": format!("http://127.0.0.1/{}", "x".repeat(2_048))}), "/url"),
        (json!({"kind": "portal"}), "/kind"),
        (json!({"event_types": []}), "/event_types"),
        (json!({"event_types": null}), "/event_types"),
        (json!({"event_types": ["message.created", "message.sent"]}), "/event_types/1"),
        (json!({"event_types": ["*"]}), "/event_types/0"),
        (json!({"event_types": ["message.*", "message.*"]}), "/event_types/1"),
        (json!({"channel_ids": []}), "/channel_ids"),
        (json!({"channel_ids": ["7", "7"]}), "/channel_ids"),
        (json!({"channel_ids": ["seven"]}), "/channel_ids/0"),
        (json!({"channel_ids": many}), "/channel_ids"),
        (json!({"department_ids": ["a,b"]}), "/department_ids/0"),
        (json!({"description": "x".repeat(501)}), "/description"),
        (json!({"headers": {"Host": "x"}}), "/headers/Host"),
        (json!({"headers": {"Content-Length": "0"}}), "/headers/Content-Length"),
        (json!({"headers": {"Transfer-Encoding": "chunked"}}), "/headers/Transfer-Encoding"),
        (json!({"headers": {"webhook-signature": "v1,"}}), "/headers/webhook-signature"),
        (json!({"headers": {"Traceparent": "00"}}), "/headers/Traceparent"),
        (json!({"headers": {"Webhook-Anything": "x"}}), "/headers/Webhook-Anything"),
        (json!({"headers": {"Proxy-Authorization": "x"}}), "/headers/Proxy-Authorization"),
        (json!({"headers": {"a b": "x"}}), "/headers/a b"),
        (json!({"headers": {"x-a": "one\r\nx-b: two"}}), "/headers/x-a"),
        (json!({"headers": {"x-a": "1", "X-A": "2"}}), "/headers/x-a"),
        (json!({"headers": {"x-a": 1}}), "/headers/x-a"),
        (json!({"timeout_ms": 99}), "/timeout_ms"),
        (json!({"timeout_ms": 60_001}), "/timeout_ms"),
        (json!({"concurrency": 0}), "/concurrency"),
        (json!({"batch_events": 1_001}), "/batch_events"),
        (json!({"events_per_second": 0}), "/events_per_second"),
        (json!({"state": "disabled"}), "/state"),
        (json!({"kind": "gateway", "event_types": ["message.created"]}), "/event_types"),
        (json!({"kind": "gateway", "event_types": null, "channel_ids": ["7"]}), "/channel_ids"),
    ];
    let made = admin.post("/callbacks", good.clone()).await.expect(201);
    for (wish, pointer) in wrong {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let problem = admin.post("/callbacks", body).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{wish}: {problem}");
        if wish.get("kind").is_none() && !wish["event_types"].is_null() {
            let problem =
                admin.patch(&path(&made, ""), wish.clone()).await.expect_problem(422, "invalid-field");
            assert_eq!(problem["pointer"], pointer, "{wish}: {problem}");
        }
    }
    admin.post("/callbacks", json!({"url": "http://127.0.0.1/"})).await.expect_problem(422, "invalid-field");
    assert_eq!(admin.get("/callbacks").await.expect(200)["items"].as_array().unwrap().len(), 2);
    let mut before = made.clone();
    before.as_object_mut().unwrap().remove("secret");
    assert_eq!(admin.get(&path(&made, "")).await.expect(200), before);
}

fn each_is_an_event_of_its_own(received: &[Received]) {
    let id = |request: &Received| {
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        text(&sent["events"][0]["event_id"]).parse::<i64>().unwrap()
    };
    let ids: Vec<i64> = received.iter().map(id).collect();
    assert!(ids[0] > 0 && ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[tokio::test]
async fn a_test_tells_how_the_endpoint_answers() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url(), "event_types": ["user.*"], "timeout_ms": 2_000, "headers": {"x-portal": "OA"}});
    let made = admin.post("/callbacks", body).await.expect(201);
    let quick = std::time::Duration::ZERO;
    let second = std::time::Duration::from_secs(1);
    let close = |head: &str| Script::raw(&format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n"));
    let said = format!("{{\"ok\": \"{}\"}}", "好".repeat(3_000));
    let stories = [
        (Script::status(204, &[], ""), true, json!(204), Value::Null),
        (Script::status(200, &[], &said), true, json!(200), Value::Null),
        (Script::status(299, &[], "whatever"), true, json!(299), Value::Null),
        (close("200 OK").then_endlessly(&"x".repeat(8_192), quick), true, json!(200), Value::Null),
        (close("200 OK").then_endlessly("x", second), true, json!(200), Value::Null),
        (Script::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut"), true, json!(200), Value::Null),
        (
            Script::status(307, &["location: http://127.0.0.1:1/"], ""),
            false,
            json!(307),
            json!("answered 307: redirect refused"),
        ),
        (Script::status(500, &[], "oh"), false, json!(500), json!("answered 500: not 2xx")),
        (Script::status(410, &[], ""), false, json!(410), json!("answered 410: not 2xx")),
        (Script::raw("H").then_endlessly("T", second), false, Value::Null, json!("timeout")),
        (
            Script::raw("HTTP/1.1 200 OK\r\n").then_endlessly("x-a: b\r\n", second / 5),
            false,
            Value::Null,
            json!("timeout"),
        ),
        (Script::raw("").then_endlessly("", second), false, Value::Null, json!("timeout")),
        (Script::raw("SSH-2.0-OpenSSH_9.2\r\n"), false, Value::Null, json!("connection broke")),
        (Script::raw(""), false, Value::Null, json!("connection broke")),
    ];
    for (script, taken, status, error) in stories {
        receiver.answer(script.clone());
        let tested = admin.post(&path(&made, "/test"), json!({})).await.expect(200);
        assert_eq!(
            (&tested["taken"], &tested["http_status"], &tested["error"]),
            (&json!(taken), &status, &error),
            "{script:?}"
        );
        assert!(tested["duration_ms"].as_i64().unwrap() < 3_000, "{script:?} {tested}");
        assert!(text(&tested["answer"]).chars().count() <= 2_000);
    }
    let received = receiver.received();
    let first = &received[0];
    assert_eq!(
        (first.method.as_str(), first.target.as_str(), first.header("x-portal")),
        ("POST", "/hook", "OA")
    );
    let sent: Value = serde_json::from_slice(&first.body).unwrap();
    crate::api::contract::check_observed(&sent);
    assert_eq!(sent["batch_id"], first.header("webhook-id"));
    assert_eq!(
        (&sent["callback_id"], &sent["events"][0]["type"]),
        (&made["callback_id"], &json!("callback.test"))
    );

    each_is_an_event_of_its_own(&received);

    drop(receiver);
    let tested = admin.post(&path(&made, "/test"), json!({})).await.expect(200);
    assert_eq!((&tested["taken"], &tested["error"]), (&json!(false), &json!("no connection")));
    assert_eq!(admin.get(&path(&made, "")).await.expect(200)["breaker"], "closed", "a test is no push");
    admin.post("/callbacks/gateway/test", json!({})).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn a_removed_observer_takes_its_queue_along_and_nobody_elses() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let (gone, stays) =
        (observer(&admin, "http://127.0.0.1:9/").await, observer(&admin, "http://127.0.0.1:9/").await);
    // Paused: nobody is to take what is queued here for events that never were.
    admin.patch(&path(&gone, ""), json!({"state": "paused"})).await.expect(200);
    admin.patch(&path(&stays, ""), json!({"state": "paused"})).await.expect(200);
    let queue = "WITH queued AS (
                     INSERT INTO t_im_push_queue (callback_id, channel_id, event_ids, pairs, bytes, queued_at, due_at)
                     SELECT c, i, ARRAY[1], 1, 1, now(), now() + interval '1 day' FROM unnest($1::text[]) c, generate_series(1, 6000) i
                     RETURNING t_im_push_queue AS item)
                 INSERT INTO t_im_push_batch (batch_id, callback_id, created_at, due_at, set_at, pairs, queued_at, items)
                 SELECT gen_random_uuid(), (item).callback_id, now(), now() + interval '1 day', now(), 2, now(), array_agg(item)
                 FROM queued WHERE (item).channel_id < 3 GROUP BY (item).callback_id";
    let ids = [text(&gone["callback_id"]), text(&stays["callback_id"])];
    app.sql().await.execute(queue, &[&ids.as_slice()]).await.unwrap();
    let before = admin.get(&path(&gone, "")).await.expect(200);
    let waiting =
        ["waiting_rows", "waiting_pairs", "batches_in_flight"].map(|field| before[field].as_i64().unwrap());
    assert_eq!(waiting, [6_002, 6_002, 1]);
    admin.delete(&path(&gone, "")).await.expect(204);
    for reply in [admin.get(&path(&gone, "")).await, admin.delete(&path(&gone, "")).await] {
        reply.expect_problem(404, "not-found");
    }
    admin.post(&path(&gone, "/secrets"), json!({})).await.expect_problem(404, "not-found");
    let left = "SELECT count(*) FROM v_im_push_item WHERE callback_id = $1";
    assert_eq!(app.count(left, &[&ids[0]]).await, 0);
    assert_eq!(app.count(left, &[&ids[1]]).await, 6_002);
    let secrets = "SELECT count(*) FROM t_im_callback_secret WHERE callback_id = $1";
    assert_eq!(app.count(secrets, &[&ids[0]]).await, 0);

    // The row itself goes once whatever was being queued for it must have arrived.
    let config = crate::app::config(&app.database, OPEN);
    let now = app.store.now().await.unwrap();
    let row = "SELECT count(*) FROM t_im_callback WHERE callback_id = $1";
    for (later, rows) in [(Duration::ZERO, 1), (Duration::hours(1), 0)] {
        let callbacks = Callbacks::open(app.store.clone(), &config, now).await.unwrap();
        callbacks.tidy(now + later).await.unwrap();
        assert_eq!(app.count(row, &[&ids[0]]).await, rows);
    }
    assert_eq!(app.count(row, &[&ids[1]]).await, 1);
}

#[tokio::test]
async fn there_is_one_gateway_and_the_settings_come_first() {
    let mut app = TestApp::start_with(&format!("{OPEN}callback_url = \"\"")).await;
    let admin = app.client("root", &["admin"]);
    assert_eq!(admin.get("/callbacks").await.expect(200)["items"], json!([]));
    admin.get("/callbacks/gateway").await.expect_problem(404, "not-found");
    let body = json!({"kind": "gateway", "url": app.gateway.url()});
    let made = admin.post("/callbacks", body.clone()).await.expect(201);
    assert_eq!((&made["callback_id"], &made["from_settings"]), (&json!("gateway"), &json!(false)));
    admin.post("/callbacks", body.clone()).await.expect_problem(409, "conflict");
    admin.delete("/callbacks/gateway").await.expect(204);
    let again = admin.post("/callbacks", body.clone()).await.expect(201);
    assert_ne!(made["secret"], again["secret"]);

    app.halt().await;
    app.set("callback_url", &format!("\"{}?token=x\"", app.gateway.url()));
    app.set("callback_secrets", &format!("[\"{}\"]", crate::support::gateway::SECRET));
    app.run().await;
    let admin = app.client("root", &["admin"]);
    let settled = admin.get("/callbacks/gateway").await.expect(200);
    assert_eq!((&settled["from_settings"], &settled["secrets"]), (&json!(true), &json!([])));
    assert_eq!(settled["url"], app.gateway.url(), "what may be secret of it is not in the database");
    admin.post("/callbacks", body).await.expect_problem(409, "conflict");
    admin.delete("/callbacks/gateway").await.expect_problem(409, "conflict");
    admin.post("/callbacks/gateway/secrets", json!({})).await.expect_problem(409, "conflict");
    admin.patch("/callbacks/gateway", json!({"timeout_ms": 500})).await.expect_problem(409, "conflict");
    let paused = admin.patch("/callbacks/gateway", json!({"state": "paused"})).await.expect(200);
    assert_eq!(paused["state"], "paused");

    app.halt().await;
    app.set("callback_url", "\"none\"");
    app.run().await;
    let admin = app.client("root", &["admin"]);
    admin.get("/callbacks/gateway").await.expect_problem(404, "not-found");
    admin.post("/callbacks", json!({"kind": "gateway", "url": app.gateway.url()})).await.expect(201);
    app.halt().await;
    app.run().await;
    let admin = app.client("root", &["admin"]);
    assert_eq!(admin.get("/callbacks/gateway").await.expect(200)["from_settings"], false);
}

#[tokio::test]
async fn without_a_key_nothing_is_made_and_a_replaced_key_still_opens() {
    let mut app = TestApp::start_with(OPEN).await;
    let receiver = Receiver::start().await;
    let made = observer(&app.client("root", &["admin"]), &receiver.url()).await;
    let test = path(&made, "/test");
    for (keys, works) in [
        (format!("[\"{OTHER_KEY}\", \"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]"), true),
        (format!("[\"{OTHER_KEY}\"]"), false),
        ("[]".to_owned(), false),
    ] {
        app.halt().await;
        app.set("callback_keys", &keys);
        app.run().await;
        let tested = app.client("root", &["admin"]).post(&test, json!({})).await;
        if works {
            assert_eq!(tested.expect(200)["taken"], true);
        } else {
            tested.expect_problem(409, "conflict");
        }
    }
    let admin = app.client("root", &["admin"]);
    let body = json!({"url": receiver.url(), "event_types": ["user.*"]});
    let problem = admin.post("/callbacks", body).await.expect_problem(409, "conflict");
    assert!(text(&problem["detail"]).contains("callback_keys"), "{problem}");
    assert_eq!(admin.get(&path(&made, "")).await.expect(200)["callback_id"], made["callback_id"]);
}

#[tokio::test]
async fn a_breaker_outlives_a_change_but_not_a_move() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let made = observer(&admin, "http://127.0.0.1:9/").await;
    let config = crate::app::config(&app.database, &format!("{OPEN}callback_breaker_failures = 1"));
    let now = app.store.now().await.unwrap();
    let callbacks = Callbacks::open(app.store.clone(), &config, now).await.unwrap();
    let held = || callbacks.get(&text(&made["callback_id"])).unwrap();
    let first = held();
    first.note(false, now);
    callbacks.refresh(now).await.unwrap();
    assert!(Arc::ptr_eq(&first, &held()), "what has not changed is not made again");
    admin.patch(&path(&made, ""), json!({"concurrency": 7})).await.expect(200);
    callbacks.refresh(now).await.unwrap();
    assert_eq!((held().concurrency, held().is_closed()), (7, false));
    admin.patch(&path(&made, ""), json!({"url": "http://127.0.0.1:10/"})).await.expect(200);
    callbacks.refresh(now).await.unwrap();
    assert!(held().is_closed());
    admin.delete(&path(&made, "")).await.expect(204);
    callbacks.refresh(now).await.unwrap();
    assert!(callbacks.get(&text(&made["callback_id"])).is_none());
}

/// When a time of an answer is.
fn moment(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().expect("a time"), &time::format_description::well_known::Rfc3339)
        .expect("RFC 3339")
}
