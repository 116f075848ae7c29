//! Back: receipts only advance, in whatever order they come; cursors are reads.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Answer;

fn receipt(ms_id: &Value, receiver: &str, status: &str) -> Value {
    json!({"ms_id": ms_id, "receiver": receiver, "status": status})
}

fn outcomes(reply: &Value) -> Vec<String> {
    reply["results"].as_array().unwrap().iter().map(|r| text(&r["status"])).collect()
}

#[tokio::test]
async fn receipts_come_in_bulk_and_never_take_a_status_back() {
    let app = TestApp::start().await;
    app.gateway.answer(|_| Answer::all_except(&["b", "c"], &[]));
    app.people(&["a", "b", "c", "stranger"]).await;
    let channel = app.group(&["a", "b", "c"]).await;
    let sent = app.say("a", &channel, "hello").await;
    app.settled().await;
    let id = &sent["ms_id"];
    let gateway = app.client("gw", &["gateway"]);
    let bulk = json!([
        receipt(id, "b", "received"),
        receipt(id, "b", "received"),
        receipt(id, "c", "read"),
        receipt(id, "a", "received"),
        receipt(id, "stranger", "read"),
        receipt(&json!("1"), "b", "received"),
    ]);
    let reply = gateway.post("/receipts", bulk.clone()).await.expect(200);
    assert_eq!(outcomes(&reply)[2..], ["advanced", "unknown", "unknown", "unknown"]);
    assert!(outcomes(&reply)[..2].contains(&"advanced".to_owned()));
    app.settled().await;
    gateway.post("/receipts", json!([receipt(id, "c", "received")])).await.expect(200);
    gateway.post("/receipts", json!([receipt(id, "b", "read")])).await.expect(200);
    gateway.post("/receipts", bulk).await.expect(200);
    app.settled().await;
    let all_read = "SELECT count(*) FROM t_im_message_push WHERE status = 2";
    assert_eq!(app.count(all_read, &[]).await, 2, "written into the ledger itself");
    app.person("b")
        .post("/receipts", json!([receipt(id, "b", "read")]))
        .await
        .expect_problem(403, "forbidden");
    let unread = json!([receipt(id, "b", "unreceived")]);
    assert_eq!(
        gateway.post("/receipts", unread).await.expect_problem(422, "invalid-field")["pointer"],
        "/0/status"
    );
}

#[tokio::test]
async fn a_read_receipt_moves_the_cursor_to_its_message() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let mut sent = Vec::new();
    for i in 0..4 {
        sent.push(app.say("a", &channel, &i.to_string()).await["ms_id"].clone());
    }
    let gateway = app.client("gw", &["gateway"]);
    gateway
        .post("/receipts", json!([receipt(&sent[2], "b", "read"), receipt(&sent[0], "b", "read")]))
        .await
        .expect(200);
    assert_eq!(app.conversation("b", &channel).await["read_seq"], 3);
    assert_eq!(app.unread("b", &channel).await, 1);
    // Derived at once, written later, the same either way.
    for settled in [false, true] {
        if settled {
            app.settled().await;
        }
        let statuses: Vec<String> = {
            let mut all = Vec::new();
            for id in &sent {
                all.push(app.ledger(id).await[0].1.clone());
            }
            all
        };
        assert_eq!(statuses[..3], ["read", "read", "read"]);
        assert_ne!(statuses[3], "read");
    }
}

#[tokio::test]
async fn the_read_cursor_goes_forward_only_and_not_past_the_end() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.direct("a", "b").await;
    for i in 0..3 {
        app.say("a", &channel, &i.to_string()).await;
    }
    app.say("b", &channel, "own").await;
    let path = format!("/channels/{channel}/read");
    let b = app.person("b");
    assert_eq!(b.post(&path, json!({"seq": 2})).await.expect(200), json!({"read_seq": 2, "unread_count": 1}));
    assert_eq!(b.post(&path, json!({"seq": 1})).await.expect(200), json!({"read_seq": 2, "unread_count": 1}));
    assert_eq!(
        b.post(&path, json!({"seq": 5})).await.expect_problem(422, "invalid-field")["pointer"],
        "/seq"
    );
    assert_eq!(
        b.post(&path, json!({"seq": -1})).await.expect_problem(422, "invalid-field")["pointer"],
        "/seq"
    );
    app.person("c").post(&path, json!({"seq": 1})).await.expect_problem(404, "not-found");
    assert_eq!(b.post(&path, json!({"seq": 4})).await.expect(200), json!({"read_seq": 4, "unread_count": 0}));
    assert_eq!(app.unread("a", &channel).await, 1);
}

#[tokio::test]
async fn a_message_s_receipts_are_for_its_members_and_support() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.direct("a", "b").await;
    let sent = app.say("a", &channel, "private").await;
    let path = format!("/messages/{}/receipts", text(&sent["ms_id"]));
    app.person("b").get(&path).await.expect(200);
    app.person("c").get(&path).await.expect_problem(404, "not-found");
    let desk = app.client("desk", &["support"]);
    desk.get(&format!("{path}?reason=ticket")).await.expect(200);
    app.person("b").get("/messages/12345/receipts").await.expect_problem(404, "not-found");
    app.person("b").get("/messages/x/receipts").await.expect_problem(404, "not-found");
    app.person("b").get(&format!("{path}?status=lost")).await.expect_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn support_sees_receipts_of_others_only_with_a_reason_that_can_be_read() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let sent = app.say("a", &app.direct("a", "b").await, "private").await;
    let path = format!("/messages/{}/receipts", text(&sent["ms_id"]));
    // A machine that is nobody of the directory, a person of another channel, an administrator.
    for (who, role) in [("desk", "support"), ("c", "support"), ("root", "admin")] {
        let asking = app.client(who, &[role]);
        for query in [
            "",
            "?reason=",
            "?reason=+",
            "?reason=%E2%80%8B",
            "?reason=%E3%80%80%E2%81%A3",
            "?reason=%E2%80%AEx",
        ] {
            let refused = asking.get(&format!("{path}{query}")).await;
            assert_eq!(
                refused.expect_problem(400, "invalid-parameter")["pointer"],
                "reason",
                "{who} {query}"
            );
        }
    }
    // In their own channel they are a member like all others.
    app.client("b", &["support"]).get(&path).await.expect(200);
    let looks = "SELECT count(*) FROM t_im_audit";
    assert_eq!(app.count(looks, &[]).await, 0);
    app.client("b", &["support"]).get(&format!("{path}?reason=ticket")).await.expect(200);
    app.client("c", &["support"]).get(&format!("{path}?reason=%E2%80%8B工单")).await.expect(200);
    assert_eq!(app.count(looks, &[]).await, 2);
}

#[tokio::test]
async fn ten_thousand_receipts_over_two_hundred_messages_come_in_one_call() {
    let app = TestApp::start().await;
    app.gateway.answer(|batch| Answer::all_except(&Vec::from_iter(batch.receivers()), &[]));
    app.people(&["a"]).await;
    let crowd = app.crowd(50).await;
    let made = app.person("a").post("/groups", json!({"name": "g", "members": crowd})).await.expect(201);
    let channel = text(&made["channel_id"]);
    let said: Vec<Value> = (0..200)
        .map(|i| json!({"channel_id": channel, "type": "text", "content": {"text": i.to_string()}}))
        .collect();
    let sent = app.person("a").post("/messages", json!(said)).await.expect(200);
    app.settled().await;
    let ids = sent["results"].as_array().unwrap().iter().map(|r| &r["ms_id"]);
    let all: Vec<Value> =
        ids.flat_map(|id| crowd.iter().map(move |who| receipt(id, who, "received"))).collect();
    let gateway = app.client("gw", &["gateway"]);
    let reply = gateway.post("/receipts", json!(all)).await.expect(200);
    assert!(outcomes(&reply).iter().all(|outcome| outcome == "advanced"));
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await, 10_000);
    let reply = gateway.post("/receipts", json!(all)).await.expect(200);
    assert!(outcomes(&reply).iter().all(|outcome| outcome == "unchanged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_of_one_receipt_into_one_message_lose_none() {
    let app = TestApp::start().await;
    app.gateway.answer(|batch| Answer::all_except(&Vec::from_iter(batch.receivers()), &[]));
    app.people(&["a"]).await;
    let crowd = app.crowd(10_000).await;
    let made = app.person("a").post("/groups", json!({"name": "g", "members": crowd})).await.expect(201);
    let sent = app.say("a", &text(&made["channel_id"]), "hello").await;
    app.settled().await;
    let gateway = app.client("gw", &["gateway"]);
    let started = Instant::now();
    let calls = crowd
        .iter()
        .step_by(10)
        .map(|who| gateway.post("/receipts", json!([receipt(&sent["ms_id"], who, "received")])));
    for reply in join_all(calls).await {
        assert_eq!(outcomes(&reply.expect(200)), ["advanced"]);
    }
    println!("1,000 calls of one receipt at once: {:.0} a second", 1_000.0 / started.elapsed().as_secs_f64());
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await, 1_000);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(app.count(deadlocks, &[]).await, 0);
}

#[tokio::test]
async fn a_time_is_read_in_sql_as_it_was_written_whatever_its_width() {
    let app = TestApp::start().await;
    let sql = app.sql().await;
    for width in 1..=5 {
        let moments: [i64; 3] = [0, 7, (1 << (8 * width)) - 1];
        let times: Vec<u8> =
            moments.iter().flat_map(|moment| moment.to_be_bytes().into_iter().skip(8 - width)).collect();
        let row = "SELECT (extract(epoch FROM im_ledger_time(l, $2) - l.server_time) * 1000)::bigint \
                   FROM (SELECT (ROW(1, 1, 1, now(), NULL, 0, '111', '011', NULL, NULL, NULL, $1::bytea, NULL)::t_im_ledger).*) AS l";
        for (place, moment) in (0..).zip(moments) {
            let read: i64 = sql.query_one(row, &[&times, &place]).await.unwrap().get(0);
            assert_eq!(read, moment, "{width} bytes");
        }
    }
}
