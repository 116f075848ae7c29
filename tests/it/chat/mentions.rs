//! Mentions: who may mention whom, and how the mentioned learn of it: the push, the stream, the list of conversations, the
//! search, hot and cold.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;

fn saying(words: &str, mentions: Value) -> Value {
    json!({"type": "text", "content": {"text": words}, "mentions": mentions})
}

async fn send(app: &TestApp, sender: &str, channel: &str, message: Value) -> Value {
    app.person(sender).post(&format!("/channels/{channel}/messages"), message).await.expect(201)
}

/// The oldest unread mention of each of these users, as their lists show it.
async fn marks(app: &TestApp, channel: &str, users: &[&str]) -> Vec<Value> {
    let mut marks = Vec::new();
    for user in users {
        marks.push(app.conversation(user, channel).await["mentioned_seq"].clone());
    }
    marks
}

async fn read(app: &TestApp, user: &str, channel: &str, seq: i64) {
    app.person(user).post(&format!("/channels/{channel}/read"), json!({"seq": seq})).await.expect(200);
}

/// Seqs of the messages that mention a user.
async fn found(app: &TestApp, user: &str, filter: &str) -> Vec<i64> {
    let hits = app.all(&app.person(user), &format!("/search/messages?mentions=me{filter}")).await;
    hits.iter().map(|hit| hit["seq"].as_i64().expect("a seq")).collect()
}

#[tokio::test]
async fn a_mention_is_pushed_and_streamed_and_breaks_through_the_mute_of_the_channel() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "dee"]).await;
    let channel = app.group(&["ann", "bob", "cy", "dee"]).await;
    for muted in ["bob", "cy"] {
        let path = format!("/channels/{channel}/settings");
        app.person(muted).put(&path, json!({"muted": true})).await.expect(200);
    }
    let mut stream = app.person("bob").listen(None).await;
    stream.expect("hello").await;
    let mut pushed = Vec::new();
    for mentions in [json!(["bob", "dee", "bob"]), json!("all"), json!([]), Value::Null] {
        pushed.push(text(&send(&app, "ann", &channel, saying("看一下", mentions)).await["ms_id"]));
    }
    for mentions in [json!(["bob", "dee"]), json!("all"), Value::Null, Value::Null] {
        let told = stream.expect("message.created").await.data;
        assert_fits("StreamedEvent", &told);
        assert_eq!(told["data"]["mentions"], mentions);
    }
    app.gateway.wait_for(|r| pushed.iter().all(|ms_id| r.seen(ms_id, "dee") > 0), LONG).await;
    app.settled().await;
    app.gateway.read(|record| {
        let of = |ms_id: &String| ["bob", "cy", "dee"].map(|who| record.marks(ms_id, who));
        assert_eq!(of(&pushed[0]), [["normal"], ["silent"], ["normal"]]);
        assert_eq!(of(&pushed[1]), [["normal"]; 3]);
        assert_eq!(of(&pushed[2]), [["silent"], ["silent"], ["normal"]]);
        let messages: Vec<_> = record.batches().flat_map(|batch| &batch.messages).collect();
        let mentions =
            |ms_id: &String| messages.iter().find(|m| m.ms_id == *ms_id).expect("pushed").mentions.clone();
        assert_eq!(
            pushed.iter().map(mentions).collect::<Vec<_>>(),
            [Some(json!(["bob", "dee"])), Some(json!("all")), None, None]
        );
    });
}

#[tokio::test]
async fn a_mention_in_quiet_hours_stays_silent() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    let quiet = json!({"quiet": [{"from": "00:00", "to": "23:59", "time_zone": "UTC"},
                                 {"from": "23:00", "to": "01:00", "time_zone": "UTC"}]});
    app.person("bob").put("/users/me/notifications", quiet).await.expect(200);
    let ms_id = text(&send(&app, "ann", &channel, saying("x", json!(["bob"]))).await["ms_id"]);
    app.gateway.wait_for(|r| r.seen(&ms_id, "bob") > 0, LONG).await;
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "bob")), ["silent"]);
}

#[tokio::test]
async fn who_is_no_member_is_not_mentioned_and_only_admins_mention_all() {
    let app = TestApp::start().await;
    let users = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let channel = app.group(&["ann", "bob", "cy", "oa"]).await;
    let path = format!("/channels/{channel}/messages");
    let refused = [
        (json!(["bob", "eve"]), "/mentions/1"),
        (json!(["bob", "bob", "nobody"]), "/mentions/2"),
        (json!(["a/b"]), "/mentions/0"),
        (json!([7]), "/mentions/0"),
        (json!("everyone"), "/mentions"),
        (json!({"all": true}), "/mentions"),
        (json!((0..201).map(|i| format!("u{i}")).collect::<Vec<_>>()), "/mentions"),
    ];
    for (mentions, pointer) in refused {
        let reply = app.person("ann").post(&path, saying("x", mentions.clone())).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], pointer, "{mentions}");
    }
    // A stranger learns nothing of the members.
    app.person("eve").post(&path, saying("x", json!(["bob"]))).await.expect_problem(404, "not-found");

    let all = || saying("x", json!("all"));
    let problem = app.person("bob").post(&path, all()).await.expect_problem(403, "only-admins-mention-all");
    assert_eq!(problem["pointer"], "/mentions");
    assert_eq!(app.count("SELECT last_seq FROM t_im_channel", &[]).await, 0);
    send(&app, "ann", &channel, all()).await;
    send(&app, "oa", &channel, all()).await;
    app.person("ann")
        .put(&format!("/channels/{channel}/members/bob/role"), json!({"role": "admin"}))
        .await
        .expect(204);
    send(&app, "bob", &channel, all()).await;
    let direct = app.direct("bob", "cy").await;
    send(&app, "cy", &direct, all()).await;

    // In a bulk send each item is refused for itself, with its own place.
    let item = |channel: &str, mentions: Value| {
        let mut item = saying("x", mentions);
        item["channel_id"] = json!(channel);
        item
    };
    let items = json!([
        item(&channel, json!(["bob"])),
        item(&channel, json!(["eve"])),
        item(&channel, json!("all")),
        item(&direct, json!(["bob"]))
    ]);
    let results = app.person("cy").post("/messages", items).await.expect(200)["results"].clone();
    let statuses: Vec<i64> =
        results.as_array().expect("results").iter().filter_map(|r| r["status"].as_i64()).collect();
    assert_eq!(statuses, [201, 422, 403, 201]);
    assert_eq!(results[1]["problem"]["pointer"], "/1/mentions/0");
    assert_eq!(results[2]["problem"]["pointer"], "/2/mentions");
    // Nothing of a refused send is left.
    assert_eq!(app.count("SELECT count(*) FROM t_im_mention WHERE user_id = 'eve'", &[]).await, 0);
}

#[tokio::test]
async fn the_operator_lets_everybody_mention_all() {
    let app = TestApp::start_with("mention_all = \"everybody\"").await;
    app.people(&["ann", "bob"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    send(&app, "bob", &channel, saying("x", json!("all"))).await;
    assert_eq!(marks(&app, &channel, &["ann", "bob"]).await, [json!(1), Value::Null]);
}

#[tokio::test]
async fn a_repeat_is_a_repeat_though_the_mentioned_has_left() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy"]).await;
    let channel = app.group(&["ann", "bob", "cy"]).await;
    let path = format!("/channels/{channel}/messages");
    let body = |mentions: Value| {
        let mut body = saying("x", mentions);
        body["client_id"] = json!("k");
        body
    };
    let first = app.person("ann").post(&path, body(json!(["bob"]))).await.expect(201);
    app.person("bob").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    let again = app.person("ann").post(&path, body(json!(["bob"]))).await.expect(200);
    assert_eq!((&again["ms_id"], &again["repeated"]), (&first["ms_id"], &json!(true)));
    for other in [json!(["cy"]), json!("all"), Value::Null] {
        app.person("ann").post(&path, body(other)).await.expect_problem(409, "client-id-reused");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_mention", &[]).await, 1);
}

/// The marks in the list follow what is read, recalled and joined.
#[tokio::test]
async fn the_list_shows_the_oldest_unread_mention() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "dee"]).await;
    let channel = app.group(&["ann", "bob", "cy"]).await;
    app.say("ann", &channel, "1").await;
    send(&app, "ann", &channel, saying("2", json!(["bob", "ann"]))).await;
    let all = text(&send(&app, "ann", &channel, saying("3", json!("all"))).await["ms_id"]);
    send(&app, "ann", &channel, saying("4", json!(["bob"]))).await;
    let users = ["ann", "bob", "cy"];
    assert_eq!(marks(&app, &channel, &users).await, [Value::Null, json!(2), json!(3)]);
    read(&app, "bob", &channel, 2).await;
    assert_eq!(marks(&app, &channel, &users).await, [Value::Null, json!(3), json!(3)]);
    // Nobody is mentioned by what was taken back.
    app.person("ann").post(&format!("/messages/{all}/recall"), json!({})).await.expect(200);
    assert_eq!(marks(&app, &channel, &users).await, [Value::Null, json!(4), Value::Null]);
    // A new member was not mentioned by what came before.
    send(&app, "ann", &channel, saying("5", json!("all"))).await;
    app.person("ann")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["dee"]}))
        .await
        .expect(200);
    assert_eq!(marks(&app, &channel, &["bob", "cy", "dee"]).await, [json!(4), json!(5), Value::Null]);
    read(&app, "bob", &channel, 5).await;
    read(&app, "cy", &channel, 5).await;
    assert_eq!(marks(&app, &channel, &["bob", "cy"]).await, [Value::Null, Value::Null]);
    let sync = app.person("dee").get("/sync?newest=5").await.expect(200);
    assert_eq!(sync["conversations"]["items"][0]["mentioned_seq"], Value::Null);
}

/// What a reader finds of four messages: one for bob, one for all, one for cy, and one for nobody.
async fn check(app: &TestApp, channel: &str) {
    assert_eq!(marks(app, channel, &["bob", "cy"]).await, [json!(1), json!(2)]);
    assert_eq!(found(app, "bob", "").await, [2, 1]);
    assert_eq!(found(app, "cy", "").await, [3, 2]);
    assert_eq!(found(app, "ann", "").await, [0; 0], "one's own messages");
    assert_eq!(found(app, "eve", "").await, [0; 0]);
    assert_eq!(found(app, "bob", "&q=报告").await, [1]);
    assert_eq!(found(app, "bob", "&status=received").await, [2, 1]);
    let path = format!("/channels/{channel}/messages?after_seq=0");
    let page = app.person("cy").get(&path).await.expect(200);
    let mentions: Vec<&Value> =
        page["items"].as_array().expect("items").iter().map(|m| &m["mentions"]).collect();
    assert_eq!(mentions, [&json!(["bob"]), &json!("all"), &json!(["cy"]), &Value::Null]);
    let desk = app.client("desk", &["support"]);
    let export = "/support/messages/export?reason=export&format=csv";
    let csv = desk.get(export).await.expect(200);
    let ends: Vec<&str> = csv
        .as_str()
        .expect("a file")
        .lines()
        .map(|line| line.rsplit(',').next().unwrap_or_default())
        .collect();
    assert_eq!(ends, ["mentions", "\"\"", "\"cy\"", "\"all\"", "\"bob\""]);
}

#[tokio::test]
async fn mentions_are_found_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "eve"]).await;
    let channel = aged.group(&["ann", "bob", "cy"]).await;
    for (words, mentions) in
        [("报告", json!(["bob"])), ("大家", json!("all")), ("三", json!(["cy"])), ("四", Value::Null)]
    {
        send(&aged, "ann", &channel, saying(words, mentions)).await;
    }
    aged.settled().await;
    aged.indexed().await;
    check(&aged, &channel).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    check(&aged, &channel).await;

    let bob = aged.person("bob");
    for wrong in ["you", "bob", ""] {
        let refused = bob.get(&format!("/search/messages?mentions={wrong}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], "mentions");
    }
    let desk = aged.client("desk", &["support"]);
    desk.get("/support/messages?mentions=me&reason=x").await.expect_problem(400, "invalid-parameter");
    // A cold message that is recalled mentions nobody.
    let ms_id = text(&aged.all(&bob, &format!("/channels/{channel}/messages?limit=4")).await[3]["ms_id"]);
    aged.client("root", &["admin"]).post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    assert_eq!(marks(&aged, &channel, &["bob"]).await, [json!(2)]);
    assert_eq!(found(&aged, "bob", "").await, [2]);
}

#[tokio::test]
async fn old_mentions_are_forgotten() {
    let mut app = TestApp::start_with("mention_keep_days = 30").await;
    app.clock("-40 days").await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    app.gateway.ignore_time();
    send(&app, "ann", &channel, saying("x", json!(["bob"]))).await;
    app.clock("0").await;
    app.until("SELECT count(*) FROM t_im_mention", 0).await;
    assert_eq!(marks(&app, &channel, &["bob"]).await, [Value::Null]);
}
