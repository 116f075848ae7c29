//! The database's clock steps back by an hour: nothing waits for it to come by again.

use serde_json::json;

use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::support::{Answer, Hr, Mood, Observer};

/// An hour ahead of what it is set to later.
async fn ahead(settings: &str) -> TestApp {
    let mut app = TestApp::start_with(settings).await;
    app.gateway.ignore_time();
    app.clock("1 hour").await;
    app
}

/// Everything is as it will be for a while: a batch waits for an hour, as the gateway wished.
async fn a_batch_that_waits() -> TestApp {
    let app = ahead("").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|_| Answer::retry_after(503, 3_600));
    app.say("a", &channel, "hello").await;
    let waits = "SELECT count(*) FROM t_im_push_batch WHERE lease_until IS NULL AND due_at > im_clock() + interval '50 minutes'";
    app.until(waits, 1).await;
    app.gateway.answer(|_| Answer::All);
    app
}

/// What was sent has come, though nothing was due before the clock had come by again.
async fn everything_comes(app: &mut TestApp) {
    app.clock("0").await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await, 1);
}

#[tokio::test]
async fn a_batch_that_waits_does_not_wait_an_hour_longer() {
    let mut app = a_batch_that_waits().await;
    everything_comes(&mut app).await;
}

#[tokio::test]
async fn a_batch_whose_replica_died_is_sent_by_another() {
    let mut app = a_batch_that_waits().await;
    app.halt().await;
    let leased = "UPDATE t_im_push_batch \
                  SET due_at = im_clock(), set_at = im_clock(), lease_until = im_clock() + interval '15 seconds'";
    app.sql().await.execute(leased, &[]).await.unwrap();
    everything_comes(&mut app).await;
}

#[tokio::test]
async fn receivers_who_are_tried_again_do_not_wait_an_hour_longer() {
    let mut app = ahead("callback_retry_base_ms = 60000\ncallback_retry_max_ms = 60000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|_| Answer::all_except(&[], &["b"]));
    app.say("a", &channel, "hello").await;
    app.until("SELECT count(*) FROM t_im_push_queue WHERE NOT in_turn", 1).await;
    app.gateway.answer(|_| Answer::All);
    everything_comes(&mut app).await;
}

#[tokio::test]
async fn an_endpoint_with_a_rate_does_not_wait_an_hour_longer() {
    let mut app = ahead(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let observer = Observer::start();
    let endpoint = json!({"url": observer.url(), "event_types": ["message.created"], "events_per_second": 1});
    let id =
        text(&app.client("root", &["admin"]).post("/callbacks", endpoint).await.expect(201)["callback_id"]);
    app.say("a", &channel, "one").await;
    observer.wait_for(|log| log.messages() == 1, LONG).await;
    app.halt().await;
    // As after a batch of a hundred.
    let paced =
        "UPDATE t_im_callback SET paced_until = paced_at + interval '100 seconds' WHERE callback_id = $1";
    assert_eq!(app.sql().await.execute(paced, &[&id]).await.unwrap(), 1);
    app.clock("0").await;
    app.say("a", &channel, "two").await;
    observer.wait_for(|log| log.messages() == 2, LONG).await;
}

#[tokio::test]
async fn an_endpoint_that_fails_has_not_failed_since_later() {
    let mut app = ahead(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.down();
    app.say("a", &channel, "hello").await;
    app.until("SELECT count(*) FROM t_im_callback WHERE failing_since > im_clock() - interval '1 minute'", 1)
        .await;
    app.clock("0").await;
    app.until("SELECT count(*) FROM t_im_callback WHERE failing_since <= im_clock()", 1).await;
}

#[tokio::test]
async fn an_edit_that_waits_does_not_wait_an_hour_longer() {
    let hr = Hr::start().await;
    hr.books().put(json!({"id": "e1", "name": "张三", "phone": "100"}));
    let mut app = TestApp::start_with(&hr.write_settings()).await;
    app.clock("1 hour").await;
    let desk = app.client("desk", &["directory"]);
    desk.post("/directory/sync", json!({"mode": "full"})).await.expect(202);
    app.until("SELECT count(*) FROM t_im_user WHERE user_id = 'e1'", 1).await;
    hr.books().moods.push_back(Mood::Answer(503, Some(3_600)));
    desk.patch("/users/e1", json!({"phone": "101"})).await.expect(202);
    let waits = "SELECT count(*) FROM t_im_directory_edit WHERE state = 'waiting' AND due_at > im_clock() + interval '50 minutes'";
    app.until(waits, 1).await;
    app.clock("0").await;
    let taken = "SELECT count(*) FROM t_im_directory_edit \
                 WHERE state = 'applied' AND give_up_at <= im_clock() + interval '1 day'";
    app.until(taken, 1).await;
    assert_eq!(hr.books().of("e1", "phone"), "101");
}

#[tokio::test]
async fn events_are_not_kept_for_listeners_an_hour_longer() {
    let mut app = ahead("stream_keep_ms = 60000").await;
    app.people(&["a"]).await;
    let far = "UPDATE t_im_event_head SET streams_until = im_clock() + interval '1 minute'";
    app.sql().await.execute(far, &[]).await.unwrap();
    app.clock("0").await;
    let stream = app.person("a").listen(None).await;
    app.until(
        "SELECT count(*) FROM t_im_event_head WHERE streams_until > im_clock() + interval '2 minutes'",
        0,
    )
    .await;
    drop(stream);
}
