//! How deep the JSON of messages can be: the deepest is pushed, streamed, indexed, moved and read; one deeper is refused.

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;

/// The limits of the contract.
const DATA_MAX_DEPTH: usize = 32;
const FORWARDS_MAX: usize = 10;

/// An object of so many levels.
fn deep(levels: usize) -> Value {
    (1..levels).fold(json!({"end": "深处"}), |inner, _| json!({ "a": inner }))
}

fn with_data(levels: usize) -> Value {
    json!({"type": "text", "content": {"text": "数据"}, "data": deep(levels)})
}

/// A card in `FORWARDS_MAX` forwards, in the channel. Returns the last forward.
async fn nest(app: &TestApp, channel: &str) -> String {
    let card = json!({"title": "请假", "fields": [{"name": "天数", "value": "三天"}], "buttons": []});
    let path = format!("/channels/{channel}/messages");
    let ann = app.person("ann");
    let mut last =
        text(&ann.post(&path, json!({"type": "card", "content": card})).await.expect(201)["ms_id"]);
    for _ in 0..FORWARDS_MAX {
        let sent = ann.post(&format!("/messages/{last}/forward"), json!({"channel_ids": [channel]})).await;
        last = text(&sent.expect(200)["results"][0]["ms_id"]);
    }
    last
}

/// What bob reads and finds of the channel.
async fn read(app: &TestApp, channel: &str) -> Vec<Value> {
    let page = app.person("bob").get(&format!("/channels/{channel}/messages?limit=100")).await.expect(200);
    let mut seen = page["items"].as_array().expect("items").clone();
    let found = app.person("bob").get("/search/messages?type=forward&q=三天").await.expect(200);
    seen.push(json!(found["items"].as_array().expect("items").len()));
    seen
}

#[tokio::test]
async fn the_deepest_values_go_everywhere_and_one_level_more_is_refused() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let channel = aged.direct("ann", "bob").await;
    let (ann, path) = (aged.person("ann"), format!("/channels/{channel}/messages"));
    let data = text(&ann.post(&path, with_data(DATA_MAX_DEPTH)).await.expect(201)["ms_id"]);
    let problem = ann.post(&path, with_data(DATA_MAX_DEPTH + 1)).await.expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/data");
    assert!(text(&problem["detail"]).contains("as text"), "it says what to do: {problem}");
    let mut item = with_data(DATA_MAX_DEPTH + 1);
    item["channel_id"] = json!(channel);
    let results = ann.post("/messages", json!([item])).await.expect(200)["results"].clone();
    assert_eq!(results[0]["problem"]["pointer"], "/0/data");

    let forward = nest(&aged, &channel).await;
    let too_deep = ann.post(&format!("/messages/{forward}/forward"), json!({"channel_ids": [channel]})).await;
    let problem = too_deep.expect_problem(413, "too-large");
    assert!(text(&problem["detail"]).contains("new message"), "it says what to do: {problem}");
    for ms_id in [&data, &forward] {
        aged.gateway.wait_for(|record| record.seen(ms_id, "bob") > 0, LONG).await;
    }
    aged.settled().await;
    aged.indexed().await;
    let hot = read(&aged, &channel).await;
    assert_eq!(hot.len(), 13, "the data, the card, its forwards and the number of hits");
    assert_eq!((&hot[11]["data"], &hot[12]), (&deep(DATA_MAX_DEPTH), &json!(FORWARDS_MAX)));
    let mut inner = &hot[0]["content"];
    for _ in 0..FORWARDS_MAX {
        inner = &inner["messages"][0]["content"];
    }
    assert_eq!(inner["fields"][0]["value"], "三天");

    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    assert_eq!(read(&aged, &channel).await, hot);
    // A cold forward is as deep as a hot one.
    let own = aged.direct("bob", "ann").await;
    let too_deep =
        aged.person("bob").post(&format!("/messages/{forward}/forward"), json!({"channel_ids": [own]})).await;
    too_deep.expect_problem(413, "too-large");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_stops_neither_push_nor_index() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy"]).await;
    let (broken, other) = (app.direct("ann", "bob").await, app.direct("ann", "cy").await);
    // No request can write it: it stands for what an earlier build has stored.
    app.gateway.down();
    let ms_id = text(&app.say("ann", &broken, "坏").await["ms_id"]);
    app.indexed().await;
    let sql = app.sql().await;
    // The gateway of the tests skips fields that it does not know, of any depth.
    let spoil = "UPDATE t_im_message SET extra = ('{\"zz\": ' || repeat('{\"a\": ', 200) || '1' || repeat('}', 201))::jsonb \
                 WHERE ms_id = $1";
    let id: i64 = ms_id.parse().expect("an id");
    assert_eq!(sql.execute(spoil, &[&id]).await.expect("it is spoilt"), 1);
    let again = "INSERT INTO t_im_index_queue (ms_ids, queued_at) VALUES (ARRAY[$1::bigint], now())";
    sql.execute(again, &[&id]).await.expect("it is queued");
    app.gateway.up();
    let good = text(&app.say("ann", &other, "好消息").await["ms_id"]);
    for (ms_id, user) in [(&ms_id, "bob"), (&good, "cy")] {
        app.gateway.wait_for(|record| record.seen(ms_id, user) > 0, LONG).await;
    }
    app.indexed().await;
    let found = app.person("cy").get("/search/messages?q=好消息").await.expect(200);
    assert_eq!(found["items"][0]["ms_id"], good);
    app.settled().await;
}
