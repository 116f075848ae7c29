//! A month later: progress, receivers and a recall of a notification whose messages are in the archive.

use serde_json::json;

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
