//! What is said: content within bounds, client ids, bulk sends.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{TestApp, text};

fn words(text: &str) -> Value {
    json!({"type": "text", "content": {"text": text}})
}

#[tokio::test]
async fn text_emoji_picture_and_file_are_kept_as_they_are() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let admin = app.client("root", &["admin"]);
    admin.put("/emojis/smile", json!({"address": "/e/smile.png"})).await.expect(200);
    admin.put("/emojis/smile", json!({"address": "/e/smile2.png"})).await.expect(200);
    app.person("a").put("/emojis/x", json!({"address": "/x"})).await.expect_problem(403, "forbidden");
    let emojis = app.person("a").get("/emojis").await.expect(200);
    assert_eq!(emojis["items"], json!([{"emoji_id": "smile", "address": "/e/smile2.png"}]));

    let channel = app.direct("a", "b").await;
    let said = [
        words("你好 [:smile:] and [:unknown:] 𝄞"),
        json!({"type": "picture", "content": {"url": "https://portal/p.png", "width": 640, "height": 480}}),
        json!({"type": "file", "content": {"url": "/f/1", "name": "报告.pdf", "size": 12345, "media_type": "application/pdf"}}),
    ];
    let path = format!("/channels/{channel}/messages");
    for message in &said {
        app.person("a").post(&path, message.clone()).await.expect(201);
    }
    let page = app.person("b").get(&format!("{path}?after_seq=0")).await.expect(200);
    for (message, kept) in said.iter().zip(page["items"].as_array().unwrap()) {
        assert_eq!((&kept["type"], &kept["content"]), (&message["type"], &message["content"]));
    }
    admin.delete("/emojis/smile").await.expect(204);
    admin.delete("/emojis/smile").await.expect_problem(404, "not-found");
    app.settled().await;
}

#[tokio::test]
async fn content_out_of_bounds_is_refused_with_its_place() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let file = |name: &str| {
        let content = json!({"url": "/f", "name": name, "size": 1, "media_type": "a/b"});
        json!({"type": "file", "content": content})
    };
    let refused = [
        (words(""), "/content/text"),
        (words(&"x".repeat(20_001)), "/content/text"),
        (words("nul \u{0}"), "/content/text"),
        (words(" \n\u{3000}"), "/content/text"),
        (words("\u{200B}\u{FEFF}"), "/content/text"),
        (file("\u{200B} "), "/content/name"),
        (file("invoice_\u{202E}fdp.exe"), "/content/name"),
        (file("a\u{2066}b.pdf"), "/content/name"),
        (json!({"type": "picture", "content": {"url": "/p", "name": "\u{3164}"}}), "/content/name"),
        (json!({"type": "text", "content": {"text": 7}}), "/content/text"),
        (json!({"type": "text", "content": {"text": "a", "bold": true}}), "/content/bold"),
        (json!({"type": "text", "content": {}}), "/content/text"),
        (json!({"type": "sticker", "content": {}}), "/type"),
        (json!({"type": "picture", "content": {"url": "javascript:alert(1)"}}), "/content/url"),
        (json!({"type": "picture", "content": {"url": "/p", "width": 0}}), "/content/width"),
        (file(""), "/content/name"),
        (
            json!({"type": "file", "content": {"url": "/f", "name": "f", "size": 9007199254740992u64, "media_type": "a/b"}}),
            "/content/size",
        ),
        (
            json!({"type": "file", "content": {"url": "/f", "name": "f", "size": 1, "media_type": "pdf"}}),
            "/content/media_type",
        ),
        (json!({"type": "text", "content": {"text": "a"}, "client_id": ""}), "/client_id"),
        (json!({"type": "text", "content": {"text": "a"}, "client_id": "a\nb"}), "/client_id"),
    ];
    for (message, at) in refused {
        let reply = app.person("a").post(&format!("/channels/{channel}/messages"), message.clone()).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], at, "{message}");
    }
    assert_eq!(app.count("SELECT last_seq FROM t_im_channel", &[]).await, 0);
}

#[tokio::test]
async fn a_repeated_send_is_stored_once_and_another_body_is_refused() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let other = app.group(&["a", "b"]).await;
    let send = |channel: &str, text: &str| {
        let body = json!({"type": "text", "content": {"text": text}, "client_id": "k1"});
        let (client, path) = (app.person("a"), format!("/channels/{channel}/messages"));
        async move { client.post(&path, body).await }
    };
    let first = send(&channel, "once").await.expect(201);
    let again = send(&channel, "once").await.expect(200);
    assert_eq!(again["repeated"], true);
    for field in ["ms_id", "seq", "server_time"] {
        assert_eq!(first[field], again[field]);
    }
    send(&channel, "twice").await.expect_problem(409, "client-id-reused");
    send(&other, "once").await.expect_problem(409, "client-id-reused");
    // Whoever has left may still ask what became of a send.
    app.person("b")
        .post(
            &format!("/channels/{channel}/messages"),
            json!({"type": "text", "content": {"text": "b"}, "client_id": "k1"}),
        )
        .await
        .expect(201);
    assert_eq!(app.seqs("a", &channel, "").await, [2, 1]);
}

#[tokio::test]
async fn a_send_repeated_at_once_on_two_replicas_is_stored_once() {
    let one = TestApp::start().await;
    let two = TestApp::start_on(one.database.clone(), "").await;
    one.people(&["a", "b"]).await;
    let channel = one.direct("a", "b").await;
    for round in 0..10 {
        let body = json!({"type": "text", "content": {"text": "same"}, "client_id": format!("r{round}")});
        let path = format!("/channels/{channel}/messages");
        let clients: Vec<_> =
            (0..8).map(|i| if i % 2 == 0 { one.person("a") } else { two.person("a") }).collect();
        let replies = join_all(clients.iter().map(|c| c.post(&path, body.clone()))).await;
        assert_eq!(replies.iter().filter(|r| r.status == 201).count(), 1, "one stores it");
        let ids: std::collections::HashSet<String> = replies.iter().map(|r| text(&r.body["ms_id"])).collect();
        assert_eq!(ids.len(), 1, "all name it");
    }
    assert_eq!(one.count("SELECT count(*) FROM t_im_message", &[]).await, 10);
    assert_eq!(one.count("SELECT last_seq FROM t_im_channel", &[]).await, 10);
}

#[tokio::test]
async fn one_bad_item_does_not_fail_its_neighbours() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let good =
        |id: &str| json!({"channel_id": channel, "client_id": id, "type": "text", "content": {"text": "ok"}});
    let items = json!([
        good("1"),
        {"channel_id": "999999", "type": "text", "content": {"text": "lost"}},
        {"channel_id": channel, "type": "text", "content": {"text": ""}},
        {"channel_id": 7, "type": "text", "content": {"text": "x"}},
        good("1"),
        {"channel_id": channel, "client_id": "1", "type": "text", "content": {"text": "other"}},
        good("2"),
    ]);
    let reply = app.person("a").post("/messages", items).await.expect(200);
    let statuses: Vec<i64> =
        reply["results"].as_array().unwrap().iter().map(|r| r["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [201, 404, 422, 422, 200, 409, 201]);
    assert_eq!(reply["results"][2]["problem"]["pointer"], "/2/content/text");
    assert_eq!(reply["results"][3]["problem"]["pointer"], "/3/channel_id");
    assert_eq!(app.seqs("b", &channel, "").await, [2, 1]);
    app.person("a").post("/messages", json!([])).await.expect_problem(422, "invalid-field");
    app.person("unknown").post("/messages", json!([good("3")])).await.expect_problem(403, "unknown-user");
}

#[tokio::test]
async fn many_senders_at_once_leave_one_gapless_order() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.group(&["a", "b", "c"]).await;
    let senders = ["a", "b", "c"].map(|p| app.person(p));
    let path = format!("/channels/{channel}/messages");
    let sends = (0..300).map(|i| senders[i % 3].post(&path, words(&i.to_string())));
    for reply in join_all(sends).await {
        reply.expect(201);
    }
    let rising = "SELECT count(*) FROM (SELECT seq, ms_id > lag(ms_id) OVER w AND server_time > lag(server_time) OVER w AS ok, \
                  row_number() OVER w AS n FROM t_im_message WINDOW w AS (ORDER BY seq)) t WHERE seq = n AND ok IS NOT FALSE";
    assert_eq!(app.count(rising, &[]).await, 300);
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await, 600);
    let seen: Vec<i64> = app.gateway.read(|r| r.first_sightings(&channel).into_iter().map(|s| s.0).collect());
    assert!(seen.is_sorted(), "first deliveries are in order");
    assert_eq!(app.unread("a", &channel).await, 200, "own messages are not unread");
}

#[tokio::test]
async fn a_client_id_is_taken_by_the_first_send_that_is_accepted() {
    // One lane: the three share a commit.
    let app = TestApp::start_with("send_lanes = 1").await;
    app.people(&["a", "b", "c"]).await;
    let (theirs, ours) = (app.direct("b", "c").await, app.direct("a", "b").await);
    let to = |channel: &str| json!({"channel_id": channel, "client_id": "x", "type": "text", "content": {"text": "hi"}});
    // The first is refused and takes nothing from its neighbours.
    let reply =
        app.person("a").post("/messages", json!([to(&theirs), to(&ours), to(&ours)])).await.expect(200);
    let results = reply["results"].as_array().unwrap();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [404, 201, 200], "{reply}");
    assert_eq!(results[1]["ms_id"], results[2]["ms_id"]);
    app.settled().await;
}
