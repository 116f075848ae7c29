//! Notifications that wait, expire, and are recalled.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{OPEN, company, counts, names, notify, receivers, words};
use crate::app::{TestApp, text};

async fn from_now(app: &TestApp, minutes: i64) -> Value {
    let now: OffsetDateTime = app.store.now().await.expect("a clock");
    json!((now + Duration::minutes(minutes)).format(&Rfc3339).expect("a time"))
}

#[tokio::test]
async fn a_scheduled_one_is_sent_at_its_time_unless_it_is_recalled_or_expired() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    company(&app).await;
    let oa = app.person("oa");
    let (send_at, expires_at) = (from_now(&app, 60).await, from_now(&app, 90).await);
    let scheduled = |name: &str| {
        let mut body = words(name, json!({"user_ids": ["a", "b"]}));
        body["send_at"] = send_at.clone();
        body
    };
    let mut expiring = scheduled("expiring");
    expiring["expires_at"] = expires_at;
    let [kept, expiring, recalled] = [
        notify(&oa, scheduled("kept")).await,
        notify(&oa, expiring).await,
        notify(&oa, scheduled("recalled")).await,
    ];
    let mut passed = words("passed", json!({"user_ids": ["c"]}));
    passed["send_at"] = json!("2020-01-01T00:00:00Z");
    let passed = notify(&oa, passed).await;
    app.until(OPEN, 3).await;
    assert_eq!(oa.get(&passed).await.expect(200)["state"], "sent", "a time that has passed means now");
    assert_eq!(oa.get(&kept).await.expect(200)["state"], "scheduled");
    assert_eq!(counts(&oa, &kept).await, json!({"waiting": 2}));
    assert_eq!(oa.delete(&recalled).await.expect(202)["state"], "recalling");
    app.until(OPEN, 2).await;
    let hr = app.client("hr", &["directory"]);
    let leaves = json!({"users": [{"user_id": "b", "name": "B", "active": false}]});
    hr.post("/directory/changes", leaves).await.expect(200);

    app.clock("59 minutes").await;
    assert_eq!(app.person("oa").get(&kept).await.expect(200)["state"], "scheduled");
    app.clock("100 minutes").await;
    let oa = app.person("oa");
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(oa.get(&kept).await.expect(200)["state"], "sent");
    assert_eq!(counts(&oa, &kept).await, json!({"received": 1, "failed": 1}));
    let failed = receivers(&oa, &kept, "status=failed").await;
    assert_eq!((&failed[0]["user_id"], &failed[0]["reason"]), (&json!("b"), &json!("left")));
    assert_eq!(oa.get(&expiring).await.expect(200)["state"], "expired");
    assert_eq!(counts(&oa, &expiring).await, json!({"expired": 2}));
    assert_eq!(oa.get(&recalled).await.expect(200)["state"], "recalled");
    assert_eq!(counts(&oa, &recalled).await, json!({"cancelled": 2}));
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 2);
}

/// Locks a channel until the transaction ends.
async fn hold<'a>(sql: &'a mut tokio_postgres::Client, channel: &str) -> tokio_postgres::Transaction<'a> {
    let tx = sql.transaction().await.expect("a transaction");
    let lock = format!("SELECT FROM t_im_channel WHERE channel_id = {channel} FOR UPDATE");
    tx.execute(&lock, &[]).await.expect("a lock");
    tx
}

#[tokio::test]
async fn one_whose_channels_are_all_held_lets_the_others_pass() {
    let app = TestApp::start().await;
    company(&app).await;
    let (oa, channel) = (app.person("oa"), app.direct("oa", "a").await);
    let mut sql = app.sql().await;
    let tx = hold(&mut sql, &channel).await;
    let held = notify(&oa, words("held", json!({"user_ids": ["a"]}))).await;
    app.until("SELECT count(*) FROM t_im_notification WHERE paused_until IS NOT NULL", 1).await;
    let other = notify(&oa, words("other", json!({"user_ids": ["b", "c"]}))).await;
    app.until(OPEN, 1).await;
    assert_eq!(oa.get(&held).await.expect(200)["state"], "sending");
    tx.rollback().await.expect("the end of the lock");
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &held).await, json!({"received": 1}));
    assert_eq!(counts(&oa, &other).await, json!({"received": 2}));
}

#[tokio::test]
async fn a_channel_that_is_held_waits_and_a_recall_in_the_middle_takes_back_what_was_sent() {
    let app = TestApp::start_with("notification_step = 100\nnotification_receivers_max = 600").await;
    company(&app).await;
    let crowd = app.crowd(600).await;
    let (oa, held) = (app.person("oa"), app.direct("oa", "u00350").await);
    let sent = "SELECT sum(sent)::bigint FROM t_im_notification";
    let mut sql = app.sql().await;

    // The fourth page lacks one receiver until the channel is free.
    let tx = hold(&mut sql, &held).await;
    let path = notify(&oa, words("1", json!({"user_ids": crowd}))).await;
    app.until(sent, 399).await;
    assert_eq!(oa.get(&path).await.expect(200)["state"], "sending");
    tx.rollback().await.expect("the end of the lock");
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &path).await, json!({"received": 600}));
    assert_eq!(app.count("SELECT count(*) FROM t_im_message WHERE seq = 1", &[]).await, 600);

    let tx = hold(&mut sql, &held).await;
    let path = notify(&oa, words("2", json!({"user_ids": crowd}))).await;
    app.until(sent, 600 + 399).await;
    let recalled = oa.delete(&path).await.expect(202);
    assert_eq!((&recalled["state"], &recalled["sent"]), (&json!("recalling"), &json!(399)));
    tx.rollback().await.expect("the end of the lock");
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &path).await, json!({"recalled": 399, "cancelled": 201}));
    assert_eq!(names(&oa, &path, "status=cancelled&limit=200").await.len(), 201);
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 999);
    let first = &receivers(&oa, &path, "limit=1").await[0];
    let page = app.person("u00001").get(&format!("/channels/{}/messages", text(&first["channel_id"]))).await;
    let newest = page.expect(200)["items"][0].clone();
    assert_eq!((&newest["content"], &newest["recalled"]["by"]), (&json!({}), &json!("oa")));
    assert_eq!(app.unread("u00001", &text(&first["channel_id"])).await, 1, "the first one");

    // A repeat changes nothing. The audit has it once.
    let again = oa.delete(&path).await.expect(202);
    assert_eq!(again["content"], json!({}));
    assert_eq!((&again["state"], &again["recalled_at"]), (&json!("recalled"), &recalled["recalled_at"]));
    let audit = app.client("root", &["admin"]).get("/audit").await.expect(200);
    let entries = audit["items"].as_array().expect("entries");
    assert_eq!(
        (entries.len(), &entries[0]["action"], &entries[0]["results"]),
        (1, &json!("recall"), &json!(399))
    );
}
