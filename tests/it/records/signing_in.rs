//! Signing in is one call: the list, what is unread across channels, and where the stream begins.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;
use crate::support::{Answer, Listener};

/// The words of messages, in the order given.
fn words(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|message| text(&message["content"]["text"])).collect()
}

/// Channels and seqs of the unread messages that a person is told of, page by page.
async fn all_unread(app: &TestApp, person: &str, limit: usize) -> Vec<(String, i64)> {
    let client = app.person(person);
    let (mut found, mut path) = (Vec::new(), format!("/sync/messages?limit={limit}"));
    loop {
        let page = client.get(&path).await.expect(200);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|m| (text(&m["channel_id"]), m["seq"].as_i64().expect("a seq"))));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/sync/messages?limit={limit}&cursor={cursor}"),
            None => return found,
        }
    }
}

/// `requirements`: A is online, B sends 5 and A does not read; A leaves; C sends 5; A signs in again, and finds what
/// is unread of both, newest first.
#[tokio::test]
async fn the_offline_story_in_one_call() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    let (with_b, with_c) = (app.direct("b", "a").await, app.direct("c", "a").await);
    let other = app.direct("c", "d").await;
    for i in 1..=5 {
        app.say("b", &with_b, &format!("b{i}")).await;
    }
    app.settled().await;
    app.gateway.answer(|_| Answer::all_except(&["a"], &[]));
    for i in 1..=5 {
        app.say("c", &with_c, &format!("c{i}")).await;
    }
    app.say("c", &other, "not for a").await;
    app.settled().await;
    let pushed = app.gateway.read(|r| r.distinct_pairs());

    let a = app.person("a");
    let first = a.get("/sync?newest=99").await.expect(200);
    assert_eq!(words(&first["messages"]), ["c5", "c4", "c3", "c2", "c1", "b5", "b4", "b3", "b2", "b1"]);
    assert_eq!(first["messages"]["next_cursor"], Value::Null);
    assert_eq!(first["messages"]["items"][0]["sender_name"], "C");
    assert_eq!(first["conversations"], a.get("/conversations").await.expect(200));
    assert_eq!(first["conversations"]["unread_total"], 10);
    let channels: Vec<_> =
        first["conversations"]["items"].as_array().unwrap().iter().map(|c| text(&c["channel_id"])).collect();
    assert_eq!(channels, [with_c.clone(), with_b.clone()]);
    assert_eq!(app.gateway.read(|r| r.distinct_pairs()), pushed, "signing in pushes nothing again");

    // What is read, recalled or one's own is not unread.
    a.post(&format!("/channels/{with_b}/read"), json!({"seq": 3})).await.expect(200);
    let slip = text(&first["messages"]["items"][1]["ms_id"]);
    app.person("c").post(&format!("/messages/{slip}/recall"), json!({})).await.expect(200);
    app.say("a", &with_c, "my own").await;
    let second = a.get("/sync?newest=4&limit=1").await.expect(200);
    assert_eq!(words(&second["messages"]), ["c5", "c3", "c2", "c1"]);
    assert_eq!(second["conversations"]["unread_total"], 6);
    assert_eq!(second["conversations"]["items"].as_array().map(Vec::len), Some(1));
    let path = format!("/sync/messages?cursor={}", text(&second["messages"]["next_cursor"]));
    assert_eq!(words(&a.get(&path).await.expect(200)), ["b5", "b4"]);
    let path = format!("/conversations?cursor={}", text(&second["conversations"]["next_cursor"]));
    let rest = a.get(&path).await.expect(200);
    let rows: Vec<String> =
        rest["items"].as_array().unwrap().iter().map(|c| text(&c["channel_id"])).collect();
    assert!(rows.contains(&with_b) && rest["unread_total"] == 6, "{rest}");

    // Another person is told of their own messages alone.
    let of_d = app.person("d").get("/sync").await.expect(200);
    assert_eq!(words(&of_d["messages"]), ["not for a"]);
    let none = a.get("/sync?newest=0").await.expect(200);
    assert_eq!((words(&none["messages"]), none["conversations"]["unread_total"].as_i64()), (vec![], Some(6)));
    for (query, pointer) in
        [("newest=201", "newest"), ("newest=-1", "newest"), ("limit=0", "limit"), ("x=1", "x")]
    {
        let refused = a.get(&format!("/sync?{query}")).await.expect_problem(400, "invalid-parameter");
        assert_eq!(refused["pointer"], pointer);
    }
    let refused = a.get("/sync/messages?cursor=x").await.expect_problem(400, "invalid-parameter");
    assert_eq!(refused["pointer"], "cursor");
    app.person("nobody").get("/sync").await.expect_problem(403, "unknown-user");
}

#[tokio::test]
async fn what_is_unread_comes_newest_first_over_more_channels_than_one_read_takes() {
    let app = TestApp::start().await;
    app.people(&["boss"]).await;
    let crowd = app.crowd(130).await;
    let mut sent = Vec::new();
    for (i, person) in crowd.iter().enumerate() {
        let channel = app.direct(person, "boss").await;
        app.say(person, &channel, "first").await;
        sent.push((channel.clone(), 1));
        // Some channels get a newer message than all that come after them; it is the boss's own, and not unread.
        if i % 10 == 0 {
            app.say("boss", &channel, "own").await;
        }
    }
    for i in [3, 77, 120] {
        let channel = sent[i].0.clone();
        let seq = app.say(&crowd[i], &channel, "again").await["seq"].as_i64().expect("a seq");
        sent.push((channel, seq));
    }
    sent.reverse();
    for limit in [200, 50, 7] {
        assert_eq!(all_unread(&app, "boss", limit).await, sent, "pages of {limit}");
    }
    let total = app.person("boss").get("/sync?newest=1").await.expect(200);
    assert_eq!(total["conversations"]["unread_total"].as_u64(), Some(sent.len() as u64));
}

#[tokio::test]
async fn what_is_unread_and_cold_is_there_and_a_page_crosses_the_horizon() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy"]).await;
    let (group, direct) = (aged.group(&["ann", "bob", "cy"]).await, aged.direct("ann", "cy").await);
    let mut sent = Vec::new();
    for i in 1..=6 {
        let channel = if i % 2 == 0 { &group } else { &direct };
        let seq = aged.say("ann", channel, &format!("old {i}")).await["seq"].as_i64().expect("a seq");
        sent.push((channel.clone(), seq));
    }
    let slip = text(&aged.say("ann", &group, "a slip").await["ms_id"]);
    aged.say("cy", &group, "of cy").await;
    aged.settled().await;
    aged.app.clock("0").await;
    for channel in [&direct, &group] {
        let seq = aged.say("ann", channel, "new").await["seq"].as_i64().expect("a seq");
        sent.push((channel.clone(), seq));
    }
    aged.client("root", &["admin"]).post(&format!("/messages/{slip}/recall"), json!({})).await.expect(200);
    aged.person("cy").post(&format!("/channels/{direct}/read"), json!({"seq": 1})).await.expect(200);
    aged.settled().await;
    sent.remove(0);
    sent.reverse();
    for cold in [false, true] {
        if cold {
            aged.move_all().await;
            assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 2);
        }
        for limit in [50, 3, 1] {
            assert_eq!(all_unread(&aged, "cy", limit).await, sent, "pages of {limit}, cold: {cold}");
        }
        let first = aged.person("cy").get("/sync?newest=3").await.expect(200);
        assert_eq!(first["messages"]["items"].as_array().map(Vec::len), Some(3));
        assert!(first["messages"]["next_cursor"].is_string());
        assert_eq!(first["conversations"]["unread_total"].as_u64(), Some(sent.len() as u64));
    }
    // Bob has one more: what cy said.
    assert_eq!(all_unread(&aged, "bob", 50).await.len(), 5);
}

/// Everything in a snapshot, and everything in the stream that begins after it, is everything: nothing falls between.
#[tokio::test]
async fn there_is_no_hole_between_the_answer_and_the_stream() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let busy = app.person("a");
    let path = format!("/channels/{channel}/messages");
    let saying = tokio::spawn(async move {
        for i in 0..150 {
            let body = json!({"type": "text", "content": {"text": i.to_string()}});
            busy.post(&path, body).await.expect(201);
        }
    });
    // The first one turns the log on while messages are under way.
    let mut readers = Vec::<(BTreeSet<i64>, Listener)>::new();
    for _ in 0..8 {
        let answer = app.person("b").get("/sync?newest=200").await.expect(200);
        let items = answer["messages"]["items"].as_array().expect("items").iter();
        let seen = items.map(|message| message["seq"].as_i64().expect("a seq")).collect();
        let event_id = text(&answer["event_id"]).parse().expect("an id");
        let mut stream = app.person("b").listen(Some(event_id)).await;
        stream.expect("hello").await;
        readers.push((seen, stream));
    }
    saying.await.expect("all is said");
    let all: BTreeSet<i64> = (1..=150).collect();
    for (mut seen, mut stream) in readers {
        while seen.len() < all.len() {
            let told = stream.next().await.expect("an event");
            assert_eq!(told.event, "message.created", "nothing is told to be loaded again");
            seen.insert(told.data["data"]["seq"].as_i64().expect("a seq"));
        }
        assert_eq!(seen, all);
    }
}
