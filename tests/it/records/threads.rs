//! Replies, topics, data and references: for those who see the messages, hot and cold, and after a recall.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;

fn saying(words: &str, more: Value) -> Value {
    let mut message = json!({"type": "text", "content": {"text": words}});
    message.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    message
}

async fn send(app: &TestApp, sender: &str, channel: &str, message: Value) -> String {
    let path = format!("/channels/{channel}/messages");
    text(&app.person(sender).post(&path, message).await.expect(201)["ms_id"])
}

fn seqs(items: &[Value]) -> Vec<i64> {
    items.iter().map(|item| item["seq"].as_i64().expect("a seq")).collect()
}

/// Seqs of a whole listing, two a page.
async fn listed(app: &TestApp, user: &str, path: &str) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let glue = if path.contains('?') { '&' } else { '?' };
        let page = app.person(user).get(&format!("{path}{glue}limit=2{cursor}")).await.expect(200);
        found.extend(seqs(page["items"].as_array().expect("items")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Pages of a topic: the cursor keeps it.
async fn of_topic(app: &TestApp, user: &str, channel: &str, topic: &str) -> Vec<i64> {
    let path = format!("/channels/{channel}/messages");
    let mut page = app.person(user).get(&format!("{path}?limit=1&topic={topic}")).await.expect(200);
    let mut found = Vec::new();
    loop {
        found.extend(seqs(page["items"].as_array().expect("items")));
        let Some(next) = page["next_cursor"].as_str() else { return found };
        page = app.person(user).get(&format!("{path}?limit=1&cursor={next}")).await.expect(200);
    }
}

async fn one(app: &TestApp, user: &str, ms_id: &str) -> Value {
    app.person(user).get(&format!("/messages/{ms_id}")).await.expect(200)["items"][0].clone()
}

/// A thread in a group of ann and bob: 1 ann asks, 2 a voice message of ann, 3 bob answers 1, 4 ann answers 3, 5 bob answers 2,
/// 6 bob answers 1 again.
async fn thread(app: &TestApp, channel: &str) -> Vec<String> {
    let mut ids =
        vec![send(app, "ann", channel, saying("几点？", json!({"topic": "会议", "ref": "m-1"}))).await];
    let voice =
        json!({"type": "voice", "content": {"url": "/v", "duration_ms": 12000, "media_type": "audio/ogg"}});
    ids.push(send(app, "ann", channel, voice).await);
    let answers = [
        ("bob", "三点", 0, json!({"topic": "会议"})),
        ("ann", "好", 2, json!({"ref": "m-1"})),
        ("bob", "听到了", 1, json!({})),
        ("bob", "改四点", 0, json!({"topic": "会议", "data": {"step": 2}})),
    ];
    for (sender, words, to, mut more) in answers {
        more["reply_to"] = json!(ids[to]);
        ids.push(send(app, sender, channel, saying(words, more)).await);
    }
    ids
}

/// What readers see of the thread, hot and cold.
async fn check(app: &TestApp, channel: &str, ids: &[String]) {
    for user in ["ann", "bob"] {
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[0])).await, [3, 6]);
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[1])).await, [5]);
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[5])).await, [0_i64; 0]);
        assert_eq!(of_topic(app, user, channel, "会议").await, [6, 3, 1]);
        assert_eq!(of_topic(app, user, channel, "别的").await, [0_i64; 0]);
        let topics =
            app.person(user).get(&format!("/channels/{channel}/topics")).await.expect(200)["items"].clone();
        assert_eq!(
            (&topics[0]["topic"], &topics[0]["last_seq"], &topics[1]),
            (&json!("会议"), &json!(6), &Value::Null)
        );
    }
    let page = app.person("bob").get(&format!("/channels/{channel}/messages?after_seq=0")).await.expect(200);
    let shown: Vec<Value> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|m| {
            json!([
                m["reply_count"],
                m["reply_to"]["preview"],
                m["reply_to"]["sender"],
                m["topic"],
                m["data"],
                m["ref"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!([2, null, null, "会议", null, "m-1"]),
            json!([1, null, null, null, null, null]),
            json!([1, "几点？", "ann", "会议", null, null]),
            json!([null, "三点", "bob", null, null, "m-1"]),
            json!([null, "🎤 0:12", "ann", null, null, null]),
            json!([null, "几点？", "ann", "会议", {"step": 2}, null]),
        ]
    );
    let quoted = &one(app, "bob", &ids[2]).await["reply_to"];
    let wanted = json!({"ms_id": ids[0], "seq": 1, "sender": "ann", "sender_name": "ANN", "type": "text", "preview": "几点？"});
    assert_eq!(*quoted, wanted);
    // Only the sender finds messages by reference.
    assert_eq!(listed(app, "ann", "/messages?ref=m-1").await, [4, 1]);
    assert_eq!(listed(app, "bob", "/messages?ref=m-1").await, [0_i64; 0]);
    assert_eq!(listed(app, "bob", "/search/messages?topic=会议").await, [6, 3, 1]);
    assert_eq!(listed(app, "bob", "/search/messages?topic=会议&q=三点").await, [3]);
    assert_eq!(listed(app, "ann", "/search/messages?topic=会议&status=received").await, [6, 3]);
    assert_eq!(listed(app, "eve", "/search/messages?topic=会议").await, [0_i64; 0]);
    // Who is not in the channel sees nothing of it.
    let eve = app.person("eve");
    for path in [
        format!("/messages/{}/replies", ids[0]),
        format!("/channels/{channel}/topics"),
        format!("/channels/{channel}/messages?topic=会议"),
    ] {
        eve.get(&path).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_thread_reads_the_same_hot_and_cold_and_after_recalls() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "eve"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let ids = thread(&aged, &channel).await;
    aged.settled().await;
    aged.indexed().await;
    check(&aged, &channel, &ids).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    check(&aged, &channel, &ids).await;
    aged.until("SELECT count(*) FROM t_im_mark", 0).await;
    check(&aged, &channel, &ids).await;

    // A hot reply to a cold message: the listings cross the horizon.
    let late = send(
        &aged,
        "ann",
        &channel,
        saying("五点", json!({"reply_to": ids[0], "topic": "会议", "ref": "m-1"})),
    )
    .await;
    assert_eq!(listed(&aged, "bob", &format!("/messages/{}/replies", ids[0])).await, [3, 6, 7]);
    assert_eq!(of_topic(&aged, "bob", &channel, "会议").await, [7, 6, 3, 1]);
    assert_eq!(listed(&aged, "ann", "/messages?ref=m-1").await, [7, 4, 1]);
    assert_eq!(one(&aged, "bob", &ids[0]).await["reply_count"], 3);
    assert_eq!(one(&aged, "bob", &late).await["reply_to"]["preview"], "几点？");

    // A cold message is taken back: its replies no longer show it, and a reply that is taken back does not count.
    let root = aged.client("root", &["admin"]);
    for ms_id in [&ids[0], &ids[5]] {
        root.post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    for reply in [&ids[2], &late] {
        let quoted = &one(&aged, "bob", reply).await["reply_to"];
        assert_eq!(
            (&quoted["preview"], &quoted["recalled"], &quoted["sender"]),
            (&Value::Null, &json!(true), &json!("ann"))
        );
    }
    assert_eq!(one(&aged, "bob", &ids[0]).await["reply_count"], 2);
    assert_eq!(listed(&aged, "bob", &format!("/messages/{}/replies", ids[0])).await, [3, 7]);
    assert_eq!(of_topic(&aged, "bob", &channel, "会议").await, [7, 3]);
}

#[tokio::test]
async fn a_hot_recall_takes_the_quote_and_the_count() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    let ids = thread(&app, &channel).await;
    for (ms_id, by) in [(&ids[0], "ann"), (&ids[5], "bob")] {
        app.person(by).post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    let quoted = &one(&app, "bob", &ids[2]).await["reply_to"];
    assert_eq!((&quoted["preview"], &quoted["recalled"]), (&Value::Null, &json!(true)));
    assert_eq!(one(&app, "bob", &ids[0]).await["reply_count"], 1);
    assert_eq!(listed(&app, "bob", &format!("/messages/{}/replies", ids[0])).await, [3]);
    assert_eq!(of_topic(&app, "bob", &channel, "会议").await, [3]);
    assert_eq!(listed(&app, "ann", "/messages?ref=m-1").await, [4]);
    let gone = one(&app, "bob", &ids[5]).await;
    assert_eq!(
        (&gone["reply_to"], &gone["topic"], &gone["data"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    // One can still answer what was taken back, and sees that it was.
    let late = send(&app, "bob", &channel, saying("?", json!({"reply_to": ids[0]}))).await;
    assert_eq!(one(&app, "ann", &late).await["reply_to"]["recalled"], json!(true));
    app.settled().await;
}

#[tokio::test]
async fn a_reply_is_pushed_and_streamed_with_what_it_answers() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let asked = text(&app.say("ann", &channel, "几点？").await["ms_id"]);
    let mut stream = app.person("ann").listen(None).await;
    stream.expect("hello").await;
    let more = json!({"reply_to": asked, "topic": "会议", "data": {"a": [1, null]}, "ref": "r"});
    let sent = send(&app, "bob", &channel, saying("三点", more)).await;
    let told = stream.expect("message.created").await.data;
    assert_fits("StreamedEvent", &told);
    let message = &told["data"];
    assert_eq!(
        (&message["topic"], &message["data"], &message["ref"]),
        (&json!("会议"), &json!({"a": [1, null]}), &json!("r"))
    );
    assert_eq!(
        (&message["reply_to"]["ms_id"], &message["reply_to"]["preview"]),
        (&json!(asked), &json!("几点？"))
    );
    app.gateway.wait_for(|r| r.seen(&sent, "ann") > 0, LONG).await;
    app.settled().await;
    app.gateway.read(|record| {
        let mut messages = record.batches().flat_map(|batch| &batch.messages);
        let pushed = messages.find(|m| m.ms_id == sent).expect("pushed");
        assert_eq!(pushed.reply_to.as_ref().expect("a quote")["preview"], "几点？");
        assert_eq!((&pushed.topic, &pushed.data), (&Some("会议".to_owned()), &Some(json!({"a": [1, null]}))));
    });
}

#[tokio::test]
async fn wrong_replies_topics_and_data_are_refused_with_their_place() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let (channel, other) = (app.group(&["ann", "bob"]).await, app.direct("ann", "cy").await);
    let first = text(&app.say("ann", &channel, "1").await["ms_id"]);
    let elsewhere = text(&app.say("ann", &other, "1").await["ms_id"]);
    app.person("ann")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["cy"]}))
        .await
        .expect(200);
    let path = format!("/channels/{channel}/messages");
    let refused = [
        ("ann", json!({"reply_to": elsewhere}), "/reply_to"),
        ("ann", json!({"reply_to": "1"}), "/reply_to"),
        ("ann", json!({"reply_to": 7}), "/reply_to"),
        // Who joined later does not see it.
        ("cy", json!({"reply_to": first}), "/reply_to"),
        ("ann", json!({"topic": ""}), "/topic"),
        ("ann", json!({"topic": "a\nb"}), "/topic"),
        ("ann", json!({"topic": "x".repeat(65)}), "/topic"),
        ("ann", json!({"ref": "\u{200b}"}), "/ref"),
        ("ann", json!({"ref": "x".repeat(129)}), "/ref"),
        ("ann", json!({"data": [1]}), "/data"),
        ("ann", json!({"data": {"a": "x".repeat(4_096)}}), "/data"),
        ("ann", json!({"data": {"a": "\u{0}"}}), "/data"),
    ];
    for (sender, more, pointer) in refused {
        let reply = app.person(sender).post(&path, saying("x", more.clone())).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], pointer, "{more}");
    }
    // A stranger does not learn whether there is such a message.
    for ms_id in [first.as_str(), elsewhere.as_str(), "1"] {
        let reply = app.person("eve").post(&path, saying("x", json!({"reply_to": ms_id}))).await;
        reply.expect_problem(404, "not-found");
    }
    let item = |more: Value| {
        let mut item = saying("x", more);
        item["channel_id"] = json!(channel);
        item
    };
    let items = json!([
        item(json!({"reply_to": first})),
        item(json!({"reply_to": elsewhere})),
        item(json!({"topic": "\n"})),
        item(json!({"reply_to": first, "mentions": ["eve"]}))
    ]);
    let results = app.person("ann").post("/messages", items).await.expect(200)["results"].clone();
    let statuses: Vec<i64> =
        results.as_array().expect("results").iter().filter_map(|r| r["status"].as_i64()).collect();
    assert_eq!(statuses, [201, 422, 422, 422]);
    let pointers: Vec<&Value> =
        results.as_array().expect("results")[1..].iter().map(|r| &r["problem"]["pointer"]).collect();
    assert_eq!(pointers, ["/1/reply_to", "/2/topic", "/3/mentions/0"]);
    // Nothing of what was refused is left.
    assert_eq!(app.count("SELECT count(*) FROM t_im_mark", &[]).await, 1);
    assert_eq!(app.count("SELECT replies FROM t_im_reply_count", &[]).await, 1);

    let ann = app.person("ann");
    for (path, parameter) in [
        (format!("{path}?topic=a&after_seq=0"), "topic"),
        (format!("{path}?topic="), "topic"),
        ("/messages?ref=".to_owned(), "ref"),
        ("/messages".to_owned(), "ref"),
        ("/search/messages?topic=".to_owned(), "topic"),
    ] {
        assert_eq!(
            ann.get(&path).await.expect_problem(400, "invalid-parameter")["pointer"],
            parameter,
            "{path}"
        );
    }
    ann.get("/messages/1/replies").await.expect_problem(404, "not-found");
    app.person("cy").get(&format!("/messages/{first}/replies")).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_connects_a_message_is_a_part_of_its_client_id() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let first = text(&app.say("ann", &channel, "1").await["ms_id"]);
    let path = format!("/channels/{channel}/messages");
    let body = |more: Value| {
        let mut body = saying("x", more);
        body["client_id"] = json!("k");
        body
    };
    let said = json!({"reply_to": first, "topic": "t", "data": {"b": 1, "a": 2}, "ref": "r"});
    let sent = app.person("ann").post(&path, body(said.clone())).await.expect(201);
    let again = app
        .person("ann")
        .post(&path, body(json!({"reply_to": first, "topic": "t", "data": {"a": 2, "b": 1}, "ref": "r"})))
        .await;
    assert_eq!(again.expect(200)["ms_id"], sent["ms_id"]);
    for field in ["reply_to", "topic", "data", "ref"] {
        let mut other = said.clone();
        other.as_object_mut().expect("an object").remove(field);
        app.person("ann").post(&path, body(other)).await.expect_problem(409, "client-id-reused");
    }
    assert_eq!(app.count("SELECT replies FROM t_im_reply_count", &[]).await, 1);
}
