//! A month later: progress, receivers and a recall of a notification whose messages are in the archive.

use im_push_gateway::notification::progress;
use serde_json::{Value, json};

use super::{OPEN, company, counts, names, notify, receivers, words};
use crate::app::text;
use crate::archive::moving::Aged;
use crate::support::Answer;

#[tokio::test]
async fn a_cold_notification_is_counted_and_recalled_as_a_hot_one() {
    let mut app = Aged::embedded().await;
    company(&app).await;
    app.app.gateway.answer(|_| Answer::all_except(&["d"], &[]));
    let path = notify(&app.person("oa"), words("1", json!({"user_ids": ["a", "b", "c", "d"]}))).await;
    app.until(OPEN, 0).await;
    // A message of the application beside them, and a read.
    let shown = receivers(&app.person("oa"), &path, "").await;
    let channel = |place: usize| text(&shown[place]["channel_id"]);
    app.say("oa", &channel(1), "one more").await;
    app.person("a").post(&format!("/channels/{}/read", channel(0)), json!({"seq": 1})).await.expect(200);
    app.settled().await;
    let hot = receivers(&app.person("oa"), &path, "").await;
    let before = json!({"read": 1, "received": 2, "unreceived": 1});
    assert_eq!(counts(&app.person("oa"), &path).await, before);

    app.app.clock("40 days").await;
    app.move_all().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 0, "all is cold");
    let oa = app.person("oa");
    assert_eq!(counts(&oa, &path).await, before);
    assert_eq!(receivers(&oa, &path, "limit=3").await, hot);
    assert_eq!(names(&oa, &path, "status=unread").await, ["b", "c", "d"]);

    // What comes late counts at once.
    let read = json!({"seq": 1});
    app.person("c").post(&format!("/channels/{}/read", channel(2)), read).await.expect(200);
    assert_eq!(counts(&oa, &path).await, json!({"read": 2, "received": 1, "unreceived": 1}));
    app.person("crm").get(&path).await.expect_problem(404, "not-found");

    oa.delete(&path).await.expect(202);
    app.until(OPEN, 0).await;
    assert_eq!(counts(&oa, &path).await, json!({"recalled": 4}));
    let page = app.person("b").get(&format!("/channels/{}/messages", channel(1))).await.expect(200);
    let contents: Vec<_> =
        page["items"].as_array().expect("items").iter().map(|m| m["content"].clone()).collect();
    assert_eq!(contents, [json!({"text": "one more"}), json!({})]);
}

/// The receivers with each status that is not 0, counted from the list, which asks the archive.
async fn tallied(app: &Aged, path: &str) -> Value {
    let mut tally = serde_json::Map::new();
    for receiver in receivers(&app.person("oa"), path, "").await {
        let count = tally.entry(text(&receiver["status"])).or_insert(json!(0));
        *count = json!(count.as_i64().unwrap_or_default() + 1);
    }
    Value::Object(tally)
}

async fn read(app: &Aged, user: &str, channel: &str, seq: i64) {
    app.person(user).post(&format!("/channels/{channel}/read"), json!({"seq": seq})).await.expect(200);
}

#[tokio::test]
async fn counts_of_cold_messages_are_exact_without_the_archive() {
    let mut app = Aged::embedded().await;
    app.app.set("notification_step", "2");
    app.app.clock("0 days").await;
    company(&app).await;
    let crowd = app.crowd(7).await;
    app.app.gateway.answer(|_| Answer::all_except(&["u00003", "u00004"], &[]));
    // Two at once, so that the messages of their pages lie among each other.
    let oa = app.person("oa");
    let body = |name: &str| words(name, json!({"user_ids": crowd}));
    let (one, other) = tokio::join!(notify(&oa, body("1")), notify(&oa, body("2")));
    app.until(OPEN, 0).await;
    app.settled().await;
    let shown = receivers(&oa, &one, "").await;
    let channel = |place: usize| text(&shown[place]["channel_id"]);
    let seq = async |place: usize| {
        let sql = "SELECT seq FROM t_im_message WHERE ms_id = $1";
        app.count(sql, &[&text(&shown[place]["ms_id"]).parse::<i64>().expect("an id")]).await
    };
    let first = seq(0).await;
    read(&app, "u00001", &channel(0), first).await;
    // The seqs of the others, for when they are cold.
    let (fifth, sixth) = (seq(4).await, seq(5).await);
    app.settled().await;
    let hot = [counts(&oa, &one).await, counts(&oa, &other).await];

    app.app.clock("40 days").await;
    app.move_all().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 0, "all is cold");
    let oa = app.person("oa");
    assert_eq!([counts(&oa, &one).await, counts(&oa, &other).await], hot);

    // Late reads, receipts and a recall count at once, and when the archive has them. A read counts in both, if it covers
    // both.
    read(&app, "u00005", &channel(4), fifth.max(2)).await;
    read(&app, "u00006", &channel(5), sixth).await;
    let received = |place: usize, user: &str| json!([{"ms_id": shown[place]["ms_id"], "receiver": user, "status": "received"}]);
    let gateway = app.client("gw", &["gateway"]);
    gateway.post("/receipts", received(2, "u00003")).await.expect(200);
    gateway.post("/receipts", received(5, "u00006")).await.expect(200);
    let of_last = text(&shown[6]["ms_id"]);
    app.client("root", &["admin"])
        .post(&format!("/messages/{of_last}/recall"), json!({"reason": "a test"}))
        .await
        .expect(200);
    let late = [counts(&oa, &one).await, counts(&oa, &other).await];
    assert_ne!(late, hot);
    assert_eq!(late[0], json!({"read": 3, "received": 2, "unreceived": 1, "recalled": 1}));
    for path in [&one, &other] {
        assert_eq!(counts(&oa, path).await, tallied(&app, path).await, "{path}");
    }
    app.settled().await;
    assert_eq!([counts(&oa, &one).await, counts(&oa, &other).await], late);
    for path in [&one, &other] {
        assert_eq!(counts(&oa, path).await, tallied(&app, path).await, "{path}");
    }
    // The counts come from the database alone.
    let id = one.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
    let (_, counted) = progress::get(&app.store, "oa", id).await.expect("counts");
    assert_eq!(counted.of(progress::ReceiverStatus::Read), 3);
}
