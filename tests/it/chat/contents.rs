//! Every type of content: pushed, streamed, told to observers, listed, searched and exported, hot and cold.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;
use crate::delivery::callbacks::OPEN;
use crate::support::Observer;

/// A message of each newer type, with the text that is ready to show.
fn contents() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({"type": "voice", "content": {"url": "/v/1", "duration_ms": 12400, "size": 8000, "media_type": "audio/ogg"}}),
            "🎤 0:12",
        ),
        (
            json!({"type": "video", "content": {"url": "https://portal/v.mp4", "duration_ms": 95000, "width": 640,
                   "height": 480, "size": 1000000, "poster": "/v.jpg"}}),
            "🎬 1:35",
        ),
        (
            json!({"type": "location", "content": {"latitude": 31.2304, "longitude": 121.4737, "name": "人民广场",
                   "address": "黄浦区人民大道"}}),
            "📍 人民广场",
        ),
        (
            json!({"type": "markdown", "content": {"text": "# 周报\n\n- **done**: `tests`"}}),
            "周报 done: tests",
        ),
        (
            json!({"type": "link", "content": {"url": "https://oa.example/1", "title": "请假申请", "text": "三天",
                   "picture": "/p.png"}}),
            "🔗 请假申请",
        ),
        (json!({"type": "picture", "content": {"url": "/p", "name": "白板.png"}}), "🖼️ 白板.png"),
        (json!({"type": "text", "content": {"text": "收到"}}), ""),
    ]
}

/// A message is what was sent, with a preview unless it is a text.
fn assert_is(message: &Value, (sent, preview): &(Value, &str)) {
    assert_eq!((&message["type"], &message["content"]), (&sent["type"], &sent["content"]));
    let wanted = if preview.is_empty() { Value::Null } else { json!(preview) };
    assert_eq!(message["preview"], wanted, "{message}");
}

async fn send_all(app: &TestApp, sender: &str, channel: &str) -> Vec<String> {
    let mut ms_ids = Vec::new();
    for (content, _) in contents() {
        let path = format!("/channels/{channel}/messages");
        ms_ids.push(text(&app.person(sender).post(&path, content).await.expect(201)["ms_id"]));
    }
    ms_ids
}

#[tokio::test]
async fn each_type_reaches_the_gateway_streams_and_observers_with_a_preview() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["ann", "bob", "eve"]).await;
    let portal = Observer::start();
    let wish = json!({"url": portal.url(), "event_types": ["message.created"]});
    app.client("root", &["admin"]).post("/callbacks", wish).await.expect(201);
    let channel = app.direct("ann", "bob").await;
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let mut stream = app.person("bob").listen(None).await;
    stream.expect("hello").await;
    let ms_ids = send_all(&app, "ann", &channel).await;
    for wanted in contents() {
        let told = stream.expect("message.created").await.data;
        assert_fits("StreamedEvent", &told);
        assert_is(&told["data"], &wanted);
    }
    app.settled().await;
    app.gateway.read(|record| {
        for (ms_id, (sent, preview)) in ms_ids.iter().zip(contents()) {
            let mut messages = record.batches().flat_map(|batch| &batch.messages);
            let pushed = messages.find(|message| message.ms_id == *ms_id).expect("it was pushed");
            assert_eq!((&json!(pushed.kind), &pushed.content), (&sent["type"], &sent["content"]));
            assert_eq!(pushed.preview.as_deref().unwrap_or_default(), preview);
        }
    });
    portal.wait_for(|log| log.messages() == contents().len(), LONG).await;
    portal.read(|log| {
        for (event, wanted) in log.events().iter().zip(contents()) {
            assert_is(&event.data, &wanted);
        }
    });

    // The list of conversations has the text that is ready to show.
    let path = format!("/channels/{channel}/messages");
    for (content, preview) in contents() {
        app.person("ann").post(&path, content).await.expect(201);
        let last = app.conversation("bob", &channel).await["last_message"].clone();
        let shown = if preview.is_empty() { "收到" } else { preview };
        assert_eq!(last["preview"]["text"], shown, "{last}");
    }
    // A recall takes the preview, too.
    let voice = &ms_ids[0];
    app.person("ann").post(&format!("/messages/{voice}/recall"), json!({})).await.expect(200);
    let page = app.person("bob").get(&format!("/messages/{voice}")).await.expect(200);
    assert_eq!((&page["items"][0]["content"], &page["items"][0]["preview"]), (&json!({}), &Value::Null));
    app.person("eve").get(&format!("/messages/{}", ms_ids[1])).await.expect_problem(404, "not-found");
    app.settled().await;
}

/// What a reader finds of the messages, in the history and by words, and what the export has.
async fn check(app: &TestApp, channel: &str) {
    let bob = app.person("bob");
    let page = bob.get(&format!("/channels/{channel}/messages?after_seq=0")).await.expect(200);
    for (message, wanted) in page["items"].as_array().expect("items").iter().zip(contents()) {
        assert_is(message, &wanted);
    }
    for (query, ms_type) in [
        ("q=人民广场", "location"),
        ("q=人民大道", "location"),
        ("q=请假申请", "link"),
        ("q=三天", "link"),
        ("q=周报", "markdown"),
        ("type=voice", "voice"),
        ("type=video", "video"),
        ("type=location&q=黄浦区", "location"),
        ("status=received&type=link", "link"),
    ] {
        let found = bob.get(&format!("/search/messages?{query}")).await.expect(200);
        let types: Vec<&Value> =
            found["items"].as_array().expect("hits").iter().map(|hit| &hit["type"]).collect();
        assert_eq!(types, [ms_type], "{query}");
    }
    let none = app.person("eve").get("/search/messages?type=voice").await.expect(200);
    assert_eq!(none["items"], json!([]));
    let desk = app.client("desk", &["support"]);
    let path = "/support/messages/export?type=link&reason=export";
    let csv = desk.get(&format!("{path}&format=csv")).await.expect(200);
    assert!(csv.as_str().expect("a file").contains("https://oa.example/1"), "{csv}");
    // One line is one JSON document.
    let line = desk.get(&format!("{path}&format=ndjson")).await.expect(200);
    assert_eq!(line["preview"], "🔗 请假申请");
    for wrong in ["sticker", "poll", ""] {
        let refused = bob.get(&format!("/search/messages?type={wrong}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], "type");
    }
}

#[tokio::test]
async fn each_type_reads_the_same_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "eve"]).await;
    let channel = aged.direct("ann", "bob").await;
    send_all(&aged, "ann", &channel).await;
    aged.settled().await;
    aged.indexed().await;
    check(&aged, &channel).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    check(&aged, &channel).await;
}

#[tokio::test]
async fn newer_contents_out_of_bounds_are_refused_with_their_place() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let of = |ms_type: &str, content: Value| json!({"type": ms_type, "content": content});
    let refused = [
        (of("sticker", json!({})), "/type"),
        (of("poll", json!({"title": "a"})), "/type"),
        (of("voice", json!({"url": "/v", "media_type": "audio/ogg"})), "/content/duration_ms"),
        (
            of("voice", json!({"url": "/v", "media_type": "audio/ogg", "duration_ms": 0})),
            "/content/duration_ms",
        ),
        (of("voice", json!({"url": "/v", "media_type": "audio", "duration_ms": 1})), "/content/media_type"),
        (
            of("voice", json!({"url": "javascript:a", "media_type": "audio/ogg", "duration_ms": 1})),
            "/content/url",
        ),
        (of("video", json!({"url": "/v", "duration_ms": 86_400_001})), "/content/duration_ms"),
        (of("video", json!({"url": "/v", "poster": "javascript:alert(1)"})), "/content/poster"),
        (of("video", json!({"url": "/v", "height": 100_001})), "/content/width"),
        (of("location", json!({"latitude": 90.1, "longitude": 0})), "/content/latitude"),
        (of("location", json!({"latitude": 0, "longitude": -180.5})), "/content/longitude"),
        (of("location", json!({"latitude": "31", "longitude": 0})), "/content/latitude"),
        (of("location", json!({"latitude": 1, "longitude": 1, "name": "\u{200b}"})), "/content/name"),
        (of("location", json!({"latitude": 1, "longitude": 1, "address": "a\nb"})), "/content/address"),
        (of("markdown", json!({"text": " "})), "/content/text"),
        (of("markdown", json!({"text": "x".repeat(20_001)})), "/content/text"),
        (of("link", json!({"url": "https://a"})), "/content/title"),
        (of("link", json!({"url": "data:text/html,x", "title": "a"})), "/content/url"),
        (of("link", json!({"url": "https://a", "title": "a", "text": "x".repeat(1_001)})), "/content/text"),
        (of("link", json!({"url": "https://a", "title": "a", "picture": "a b"})), "/content/picture"),
        (of("link", json!({"url": "https://a", "title": "a", "size": 1})), "/content/size"),
    ];
    for (message, at) in refused {
        let reply = app.person("a").post(&format!("/channels/{channel}/messages"), message.clone()).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], at, "{message}");
    }
    assert_eq!(app.count("SELECT last_seq FROM t_im_channel", &[]).await, 0);
    // Unused fields can be null, those of every type in the contract.
    let contract = serde_json::to_value(im_push_gateway::api::contract::api()).expect("JSON");
    let known = contract["components"]["schemas"]["Content"]["properties"].as_object().expect("fields");
    let mut voice: Value = known.keys().map(|name| (name.clone(), Value::Null)).collect();
    assert!(voice.as_object().is_some_and(|fields| fields.len() > 20));
    for (name, value) in [("url", json!("/v")), ("duration_ms", json!(1)), ("media_type", json!("audio/ogg"))]
    {
        voice[name] = value;
    }
    app.person("a").post(&format!("/channels/{channel}/messages"), of("voice", voice)).await.expect(201);
}
