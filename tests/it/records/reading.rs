//! Read again: conversations, history both ways, and the offline story of the source.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Answer;

/// `requirements`: A is online, B sends 5 and A does not read; A leaves; C sends 5; A signs in
/// and finds both conversations, their unread counts, and what came past each read cursor.
#[tokio::test]
async fn the_offline_story() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (with_b, with_c) = (app.direct("b", "a").await, app.direct("c", "a").await);
    for i in 1..=5 {
        app.say("b", &with_b, &format!("b{i}")).await;
    }
    app.settled().await;
    app.gateway.answer(|_| Answer::all_except(&["a"], &[]));
    let mut last = Value::Null;
    for i in 1..=5 {
        last = app.say("c", &with_c, &format!("c{i}")).await;
    }
    app.settled().await;
    assert_eq!(app.ledger(&last["ms_id"]).await, [("a".into(), "unreceived".into(), json!("offline"))]);
    let pushed_before = app.gateway.read(|r| r.distinct_pairs());

    let list = app.person("a").get("/conversations").await.expect(200);
    let rows: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (
                text(&c["channel_id"]),
                text(&c["name"]),
                c["unread_count"].as_i64().unwrap(),
                c["read_seq"].as_i64().unwrap(),
                text(&c["last_message"]["preview"]["text"]),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [(with_c.clone(), "C".into(), 5, 0, "c5".into()), (with_b.clone(), "B".into(), 5, 0, "b5".into()),]
    );
    assert_eq!(list["items"][0]["last_message"]["sender_name"], "C");
    for channel in [&with_b, &with_c] {
        assert_eq!(app.seqs("a", channel, "?after_seq=0&newest=99").await, [5, 4, 3, 2, 1]);
    }
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.distinct_pairs()), pushed_before, "signing in pushes nothing again");
    app.person("a").post(&format!("/channels/{with_c}/read"), json!({"seq": 5})).await.expect(200);
    assert_eq!(app.ledger(&last["ms_id"]).await[0].1, "read");
    assert_eq!((app.unread("a", &with_b).await, app.unread("a", &with_c).await), (5, 0));
}

#[tokio::test]
async fn the_newest_99_past_the_cursor_are_the_newest() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let items: Vec<Value> = (0..150)
        .map(|i| json!({"channel_id": channel, "type": "text", "content": {"text": i.to_string()}}))
        .collect();
    app.person("a").post("/messages", json!(items)).await.expect(200);
    app.person("b").post(&format!("/channels/{channel}/read"), json!({"seq": 20})).await.expect(200);
    let newest = app.seqs("b", &channel, "?after_seq=20&newest=99").await;
    assert_eq!(newest, (52..=150).rev().collect::<Vec<_>>());
    assert_eq!(
        app.seqs("b", &channel, "?after_seq=100&newest=99").await,
        (101..=150).rev().collect::<Vec<_>>()
    );
    assert_eq!(app.unread("b", &channel).await, 130);
}

#[tokio::test]
async fn history_pages_both_ways_without_a_gap_or_a_repeat() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let items: Vec<Value> = (0..23)
        .map(|i| json!({"channel_id": channel, "type": "text", "content": {"text": i.to_string()}}))
        .collect();
    app.person("a").post("/messages", json!(items)).await.expect(200);
    for (start, expected) in
        [("?limit=5", (1..=23).rev().collect::<Vec<i64>>()), ("?limit=5&after_seq=3", (4..=23).collect())]
    {
        let (mut seen, mut query) = (Vec::new(), start.to_owned());
        loop {
            let page = app.person("b").get(&format!("/channels/{channel}/messages{query}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|m| m["seq"].as_i64().unwrap()));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("?limit=5&cursor={cursor}");
        }
        assert_eq!(seen, expected);
    }
    for query in [
        "?limit=0",
        "?limit=201",
        "?cursor=nonsense",
        "?newest=5",
        "?after_seq=-1",
        "?colour=red",
        "?after_seq=1&newest=0",
    ] {
        app.person("b")
            .get(&format!("/channels/{channel}/messages{query}"))
            .await
            .expect_problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn conversations_are_unread_first_then_latest_and_page_without_omission() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..12).map(|i| format!("p{i:02}")).collect();
    let mut people: Vec<&str> = names.iter().map(String::as_str).collect();
    people.push("moi");
    app.people(&people).await;
    let mut channels = Vec::new();
    for name in &names {
        let channel = app.direct(name, "moi").await;
        app.say(name, &channel, "hi").await;
        channels.push(channel);
    }
    // The even ones are read; the odd ones are not.
    for channel in channels.iter().step_by(2) {
        app.person("moi").post(&format!("/channels/{channel}/read"), json!({"seq": 1})).await.expect(200);
    }
    let expected: Vec<String> =
        channels.iter().skip(1).step_by(2).rev().chain(channels.iter().step_by(2).rev()).cloned().collect();
    let first = app.person("moi").get("/conversations?limit=12").await.expect(200);
    let ids = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|c| text(&c["channel_id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), expected);

    let page = app.person("moi").get("/conversations?limit=5").await.expect(200);
    let mut seen = ids(&page);
    // Somebody of a later page speaks: their conversation moves to the top, but is not missed.
    app.say("p00", &channels[0], "moved").await;
    let mut cursor = page["next_cursor"].clone();
    while let Some(next) = cursor.as_str() {
        let page = app.person("moi").get(&format!("/conversations?limit=5&cursor={next}")).await.expect(200);
        seen.extend(ids(&page));
        cursor = page["next_cursor"].clone();
    }
    for channel in &channels {
        assert!(seen.contains(channel));
    }
}

#[tokio::test]
async fn a_conversation_is_named_for_its_reader() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let direct = app.direct("a", "b").await;
    let unnamed =
        app.person("a").post("/channels", json!({"type": "group", "members": ["b", "c"]})).await.expect(201);
    let group = text(&unnamed["channel_id"]);
    assert_eq!(app.conversation("a", &direct).await["name"], "B");
    assert_eq!(app.conversation("b", &direct).await["name"], "A");
    assert_eq!(app.conversation("a", &group).await["name"], "B, C");
    assert_eq!(app.conversation("c", &group).await["last_message"], Value::Null);
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_refused() {
    use base64::Engine;
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let cursors = [
        r#"{"unread":true,"sorted_at_us":9223372036854775807,"channel_id":1,"read_at_us":0}"#,
        r#"{"unread":true,"sorted_at_us":-9223372036854775808,"channel_id":1,"read_at_us":0}"#,
        r#"{"unread":1}"#,
        "[]",
        "\u{0}",
    ];
    for cursor in cursors {
        let cursor = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(cursor);
        let path = format!("/conversations?cursor={cursor}");
        app.person("a").get(&path).await.expect_problem(400, "invalid-parameter");
    }
    app.person("a").get("/conversations").await.expect(200);
}
