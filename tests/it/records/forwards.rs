//! Forwards: copies of messages in other channels, with their files, hot and cold; and what is refused.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;
use crate::files::{put, read};

async fn send(app: &TestApp, sender: &str, channel: &str, ms_type: &str, content: Value) -> String {
    let message = json!({"type": ms_type, "content": content});
    let path = format!("/channels/{channel}/messages");
    text(&app.person(sender).post(&path, message).await.expect(201)["ms_id"])
}

/// The newest message of a channel, as a user sees it.
async fn newest(app: &TestApp, user: &str, channel: &str) -> Value {
    let page = app.person(user).get(&format!("/channels/{channel}/messages?limit=1")).await.expect(200);
    page["items"][0].clone()
}

fn statuses(results: &Value) -> Vec<i64> {
    results["results"].as_array().expect("results").iter().filter_map(|r| r["status"].as_i64()).collect()
}

/// The copies as cy reads them, in a channel with bob.
async fn check(app: &TestApp, channel: &str, file: &str) {
    let message = newest(app, "cy", channel).await;
    assert_eq!((&message["type"], &message["preview"]), (&json!("forward"), &json!("↪ ANN: 季度报告 (+2)")));
    let copies = message["content"]["messages"].as_array().expect("copies").clone();
    let shown: Vec<Value> =
        copies.iter().map(|c| json!([c["sender"], c["sender_name"], c["type"], c["preview"]])).collect();
    assert_eq!(
        shown,
        [
            json!(["ann", "ANN", "text", null]),
            json!(["ann", "ANN", "file", "📄 offer.pdf"]),
            json!(["bob", "BOB", "link", "🔗 新闻"]),
        ]
    );
    assert_eq!(copies[1]["content"]["file_id"], file);
    assert_eq!(read(&app.person("cy"), file).await, b"%PDF-1.7");
    for words in ["季度报告", "新闻", "offer"] {
        let found =
            app.person("cy").get(&format!("/search/messages?type=forward&q={words}")).await.expect(200);
        assert_eq!(found["items"][0]["ms_id"], message["ms_id"], "{words}");
    }
    app.person("eve").raw("GET", &format!("/files/{file}/content"), &[], &[]).await.0.expect(404);
}

#[tokio::test]
async fn copies_read_the_same_hot_and_cold_and_bring_their_files() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "eve"]).await;
    let (source, target) = (aged.direct("ann", "bob").await, aged.direct("bob", "cy").await);
    let file = text(&put(&aged.person("ann"), "offer.pdf", b"%PDF-1.7").await["file_id"]);
    let report = send(&aged, "ann", &source, "text", json!({"text": "季度报告"})).await;
    let offer = send(&aged, "ann", &source, "file", json!({"file_id": file})).await;
    let news = send(&aged, "bob", &source, "link", json!({"url": "https://a", "title": "新闻"})).await;
    let body = json!({"channel_ids": [target], "ms_ids": [offer, news]});
    let bob = aged.person("bob");
    assert_eq!(statuses(&bob.post(&format!("/messages/{report}/forward"), body).await.expect(200)), [201]);
    aged.settled().await;
    aged.indexed().await;
    check(&aged, &target, &file).await;
    // A copy stays when the original is taken back.
    aged.person("ann").post(&format!("/messages/{offer}/recall"), json!({})).await.expect(200);
    check(&aged, &target, &file).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    check(&aged, &target, &file).await;
    let last = aged.conversation("cy", &target).await["last_message"].clone();
    assert_eq!(last["preview"]["text"], "↪ ANN: 季度报告 (+2)");

    // A cold forward is forwarded on, with the files in it.
    let own = aged.direct("cy", "eve").await;
    let forward = text(&newest(&aged, "cy", &target).await["ms_id"]);
    let path = format!("/messages/{forward}/forward");
    assert_eq!(
        statuses(&aged.person("cy").post(&path, json!({"channel_ids": [own]})).await.expect(200)),
        [201]
    );
    let nested = newest(&aged, "eve", &own).await["content"]["messages"][0]["content"].clone();
    assert_eq!(nested["messages"][1]["content"]["file_id"], file);
    assert_eq!(read(&aged.person("eve"), &file).await, b"%PDF-1.7");
}

#[tokio::test]
async fn only_what_one_sees_goes_into_ones_own_channels_and_a_repeat_once() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let (source, one, other, foreign) = (
        app.direct("ann", "bob").await,
        app.direct("ann", "cy").await,
        app.group(&["ann", "cy"]).await,
        app.direct("bob", "cy").await,
    );
    let ms_id = text(&app.say("bob", &source, "1").await["ms_id"]);
    let hidden = text(&app.say("bob", &foreign, "hidden").await["ms_id"]);
    let gone = text(&app.say("ann", &source, "gone").await["ms_id"]);
    let ann = app.person("ann");
    ann.post(&format!("/messages/{gone}/recall"), json!({})).await.expect(200);
    let path = format!("/messages/{ms_id}/forward");
    let body = json!({"channel_ids": [one, foreign, other], "client_id": "k"});
    let first = ann.post(&path, body.clone()).await.expect(200);
    assert_eq!(statuses(&first), [201, 404, 201]);
    let again = ann.post(&path, body).await.expect(200);
    assert_eq!(statuses(&again), [200, 404, 200]);
    assert_eq!(again["results"][0]["ms_id"], first["results"][0]["ms_id"]);
    assert_eq!((app.seqs("cy", &one, "").await, app.seqs("cy", &other, "").await), (vec![1], vec![1]));
    // Another message with the same client id.
    let second = text(&app.say("bob", &source, "2").await["ms_id"]);
    let reused = ann
        .post(&format!("/messages/{second}/forward"), json!({"channel_ids": [one], "client_id": "k"}))
        .await;
    assert_eq!(statuses(&reused.expect(200)), [409]);

    let long = (1..=100).map(|n| n.to_string()).collect::<Vec<_>>();
    for (body, pointer) in [
        (json!({"channel_ids": []}), "/channel_ids"),
        (json!({"channel_ids": [one, other, one]}), "/channel_ids/2"),
        (json!({"channel_ids": ["x"]}), "/channel_ids/0"),
        (json!({}), "/channel_ids"),
        (json!({"channel_ids": [one], "ms_ids": long}), "/ms_ids"),
        (json!({"channel_ids": [one], "client_id": "a\nb"}), "/client_id"),
    ] {
        let problem = ann.post(&path, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    for ms_id in [hidden.as_str(), "1"] {
        ann.post(&format!("/messages/{ms_id}/forward"), json!({"channel_ids": [one]}))
            .await
            .expect_problem(404, "not-found");
    }
    let problem = ann.post(&path, json!({"channel_ids": [one], "ms_ids": [ms_id, hidden]})).await;
    assert_eq!(problem.expect_problem(404, "not-found")["pointer"], "/ms_ids/1");
    ann.post(&format!("/messages/{gone}/forward"), json!({"channel_ids": [one]}))
        .await
        .expect_problem(409, "conflict");
    app.person("eve").post(&path, json!({"channel_ids": [one]})).await.expect_problem(404, "not-found");
    // Nobody sends the type by hand.
    let by_hand = json!({"type": "forward", "content": {"messages": []}});
    let problem =
        ann.post(&format!("/channels/{one}/messages"), by_hand).await.expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/type");
    // Too much at once.
    let mut long = Vec::new();
    for _ in 0..15 {
        long.push(send(&app, "bob", &source, "text", json!({"text": "x".repeat(20_000)})).await);
    }
    ann.post(&path, json!({"channel_ids": [one], "ms_ids": long})).await.expect_problem(413, "too-large");
    app.settled().await;
}

#[tokio::test]
async fn a_repeat_finds_what_was_sent_when_the_original_is_gone() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy"]).await;
    let (source, one, other) =
        (app.direct("ann", "bob").await, app.direct("ann", "cy").await, app.group(&["ann", "cy"]).await);
    let ms_id = text(&app.say("bob", &source, "1").await["ms_id"]);
    let second = text(&app.say("bob", &source, "2").await["ms_id"]);
    let (ann, path) = (app.person("ann"), format!("/messages/{ms_id}/forward"));
    let body = |channels: &[&String]| json!({"channel_ids": channels, "ms_ids": [second], "client_id": "k"});
    let first = ann.post(&path, body(&[&one])).await.expect(200);
    for gone in [&ms_id, &second] {
        app.person("bob").post(&format!("/messages/{gone}/recall"), json!({})).await.expect(200);
    }
    let again = ann.post(&path, body(&[&one])).await.expect(200);
    assert_eq!(statuses(&again), [200]);
    assert_eq!(again["results"][0]["ms_id"], first["results"][0]["ms_id"]);
    // A channel that has no copy yet gets none.
    let more = ann.post(&path, body(&[&other, &one])).await.expect(200);
    assert_eq!(statuses(&more), [409, 200]);
    ann.post(&path, body(&[&other])).await.expect_problem(409, "conflict");
    // Other messages under the same client id.
    let reused = json!({"channel_ids": [one], "client_id": "k"});
    assert_eq!(statuses(&ann.post(&path, reused).await.expect(200)), [409]);
}
