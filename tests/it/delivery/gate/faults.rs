//! A gate that is away, slow or wrong, and a service that is killed between its answer and the commit.

use std::time::Duration;

use futures_util::future::select_all;
use serde_json::{Value, json};

use super::{Filter, STORED, newest, send};
use crate::app::{LONG, TestApp, text};
use crate::base::database::until;
use crate::delivery::callbacks::OPEN;
use crate::support::{Client, Script, Service, shared};

/// The breaker stays out of it.
const PATIENT: &str = "callback_breaker_failures = 1000\n";

/// Sends that wait for a lock while they are stored.
const STORING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND wait_event_type = 'Lock' AND query LIKE '-- Stores the sends%'";
/// Ends them, and counts those that are left.
const END: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND query LIKE '-- Stores the sends%'";

#[tokio::test]
async fn without_an_answer_the_rule_of_the_gate_counts() {
    let app = TestApp::start_with(&format!("{OPEN}{PATIENT}")).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let admin = app.client("root", &["admin"]);
    let filter = Filter::start(&admin, json!({"timeout_ms": 200})).await;
    let allow = r#"{"verdict": "allow"}"#;
    let silences = [
        Script::status(500, &[], allow),
        Script::status(201, &[], allow),
        Script::status(404, &[], ""),
        Script::status(307, &["location: http://127.0.0.1:1/"], ""),
        Script::status(200, &[], ""),
        Script::status(200, &[], "allow"),
        Script::status(200, &[], r#"{"verdict": "perhaps"}"#),
        Script::status(200, &[], r#"{"verdict": "replace"}"#),
        Script::raw("SSH-2.0-OpenSSH_9.2\r\n"),
        Script::raw(""),
        Script::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"),
        Script::raw("").then_endlessly("", LONG),
        Script::raw("HTTP/1.1 200 OK\r\n\r\n").then_endlessly(" ", Duration::from_millis(50)),
    ];
    for (rule, status) in [("refuse", 503), ("allow", 201)] {
        admin.patch("/callbacks/gate", json!({"without_answer": rule})).await.expect(200);
        for silence in &silences {
            filter.receiver.answer(silence.clone());
            let reply = send(&app, "a", &channel, "x").await;
            assert_eq!(reply.status, status, "{silence:?} {reply:?}");
            if status == 503 {
                assert_eq!(reply.header("retry-after"), "1");
                reply.expect_problem(503, "gate-unanswered");
            } else {
                assert_eq!(reply.body.get("replaced"), None);
            }
        }
    }
    assert_eq!(app.count(STORED, &[]).await, silences.len() as i64);
    filter.answers(&json!({"verdict": "allow"}));
    send(&app, "a", &channel, "x").await.expect(201);
}

#[tokio::test]
async fn an_open_breaker_asks_nothing_and_closes_when_the_filter_is_back() {
    let settings = format!("{OPEN}callback_breaker_failures = 2\ncallback_breaker_probe_ms = 86400000\n");
    let mut app = TestApp::start_with(&settings).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let admin = app.client("root", &["admin"]);
    let filter = Filter::start(&admin, json!({})).await;
    filter.receiver.answer(Script::status(500, &[], ""));
    for _ in 0..2 {
        send(&app, "a", &channel, "x").await.expect_problem(503, "gate-unanswered");
    }
    assert_eq!(admin.get("/callbacks/gate").await.expect(200)["breaker"], "open");
    filter.replaces_by("other");
    for _ in 0..5 {
        send(&app, "a", &channel, "x").await.expect_problem(503, "gate-unanswered");
    }
    admin.patch("/callbacks/gate", json!({"without_answer": "allow"})).await.expect(200);
    assert_eq!(send(&app, "a", &channel, "x").await.expect(201).get("replaced"), None);
    assert_eq!(filter.receiver.received().len(), 2, "it is left alone");

    app.halt().await;
    app.set("callback_breaker_probe_ms", "100");
    app.run().await;
    let admin = app.client("root", &["admin"]);
    filter.receiver.answer(Script::status(500, &[], ""));
    for _ in 0..2 {
        send(&app, "a", &channel, "x").await.expect(201);
    }
    filter.replaces_by("other");
    let back = |reply: &crate::support::Reply| reply.body["replaced"] == true;
    until(|| send(&app, "a", &channel, "x"), back).await.expect(201);
    assert_eq!(admin.get("/callbacks/gate").await.expect(200)["breaker"], "closed");
}

#[tokio::test]
async fn a_filter_that_hangs_stops_nothing_that_it_is_not_asked_about() {
    let settings = format!("{OPEN}{PATIENT}gate_questions_max = 2\ngate_concurrency = 1\nrequests_max = 8\n");
    let app = TestApp::start_with(&settings).await;
    app.people(&["a", "b"]).await;
    let oa = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", oa).await.expect(200);
    let group = app.group(&["a", "b", "oa"]).await;
    let fields = json!({"timeout_ms": 10_000, "sender_kinds": ["internal", "external"]});
    let filter = Filter::start(&app.client("root", &["admin"]), fields).await;
    filter.hangs();
    let path = format!("/channels/{group}/messages");
    let body = json!({"type": "text", "content": {"text": "x"}});
    let sends = (0..3).map(|_| {
        let (a, path, body) = (app.person("a"), path.clone(), body.clone());
        tokio::spawn(async move { a.post(&path, body).await })
    });
    // One is asked, one waits, and there is no place for a third.
    let (reply, _, waiting) = select_all(sends).await;
    reply.unwrap().expect_problem(503, "gate-unanswered");
    for n in 0..5 {
        send(&app, "oa", &group, &n.to_string()).await.expect(201);
        app.person("a").get("/conversations").await.expect(200);
        assert_eq!(newest(&app, "a", &group).await["content"]["text"], n.to_string());
    }
    assert_eq!(filter.receiver.received().len(), 1);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_kill_between_the_answer_and_the_commit_leaves_nothing_and_the_repeat_asks_again() {
    let database = crate::app::database().await;
    let url = shared().url(&database);
    let keys = OPEN.lines().next().and_then(|line| line.split('"').nth(1)).unwrap();
    let settings = [
        ("database_url", &*url),
        ("callback_url", "none"),
        ("callback_keys", keys),
        ("callback_allow", "127.0.0.0/8"),
        ("identity_roles_header", "x-user-roles"),
    ];
    let mut service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let client = |id: &str, roles: &[&str]| Client::new(&service.api(), id, roles);
    let people = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    client("hr", &["directory"]).post("/directory/changes", people).await.expect(200);
    let a = client("a", &[]);
    let made = a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let path = format!("/channels/{}/messages", text(&made["channel_id"]));
    let filter = Filter::start(&client("root", &["admin"]), json!({})).await;
    filter.replaces_by("other");

    // The commit waits after the answer.
    let (sql, watch) = (shared().connect(&database).await, shared().connect(&database).await);
    sql.batch_execute("BEGIN; LOCK TABLE t_im_ledger IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let body = json!({"client_id": "1", "type": "text", "content": {"text": "zebra-7341"}});
    let cut = tokio::spawn({
        let (a, path, body) = (a.clone(), path.clone(), body.clone());
        async move { a.try_call(reqwest::Method::POST, &path, Some(body)).await.is_err() }
    });
    let storing = || async { watch.query_one(STORING, &[]).await.unwrap().get::<_, i64>(0) };
    until(storing, |storing| *storing > 0).await;
    assert_eq!(filter.asked().len(), 1);
    service.kill9();
    assert!(cut.await.unwrap(), "there was no answer");
    // The server would go on with what it was sent before it notices that its client is gone.
    until(|| async { watch.query_one(END, &[]).await.unwrap().get::<_, i64>(0) }, |left| *left == 0).await;
    sql.batch_execute("ROLLBACK").await.unwrap();
    service.restart().await;
    assert_eq!(sql.query_one(STORED, &[]).await.unwrap().get::<_, i64>(0), 0);

    let first = a.post(&path, body.clone()).await.expect(201);
    assert_eq!((&first["replaced"], filter.asked().len()), (&json!(true), 2));
    let again = a.post(&path, body).await.expect(200);
    assert_eq!((&again["ms_id"], &again["replaced"]), (&first["ms_id"], &json!(true)));
    assert_eq!(filter.asked().len(), 2);
    let stored: Value = sql.query_one("SELECT content FROM t_im_message", &[]).await.unwrap().get(0);
    assert_eq!(stored, json!({"text": "other"}));
    for words in ["zebra-7341", "other\""] {
        assert!(!service.log().contains(words), "no content is logged");
    }
}
