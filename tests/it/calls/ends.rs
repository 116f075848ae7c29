//! Every way in which a call ends leaves one message, also in a race.

use futures_util::future::join_all;
use serde_json::json;

use super::{act, left, only, open, ring};
use crate::app::TestApp;

const OPEN: &str = "SELECT count(*) FROM t_im_call WHERE state <> 'ended'";

#[tokio::test]
async fn a_call_that_no_user_accepts_is_missed_once_by_two_replicas() {
    let settings = "call_ring_ms = 300";
    let one = TestApp::start_with(settings).await;
    let _two = TestApp::start_on(one.database.clone(), settings).await;
    one.people(&["a", "b", "c"]).await;
    let mut channels = Vec::new();
    for other in ["b", "c"] {
        channels.push(one.direct("a", other).await);
    }
    let mut b = open(&one, "b").await;
    for channel in &channels {
        ring(&one, "a", channel).await;
    }
    let ended = b.until("call.ended").await;
    assert_eq!(ended["data"]["data"]["outcome"], "missed");
    one.until(OPEN, 0).await;
    for channel in &channels {
        let message = only(&one, "a", channel).await;
        assert_eq!((&message["sender"], &message["content"]["outcome"]), (&json!("a"), &json!("missed")));
        assert_eq!(message["content"]["user_ids"], json!(["a"]));
        assert!(message["content"]["duration_ms"].is_null(), "{message}");
        assert_eq!(message["preview"], "📹 ✕");
    }
}

#[tokio::test]
async fn all_who_end_a_call_at_once_leave_one_message() {
    let app = TestApp::start().await;
    let people = ["a", "b", "c", "d", "e"];
    app.people(&people).await;
    for _ in 0..5 {
        let group = app.group(&people).await;
        let call = ring(&app, "a", &group).await;
        join_all(people[1..].iter().map(|user| act(&app, user, &call, "accept"))).await;
        let ends = join_all(people.iter().map(|user| act(&app, user, &call, "end"))).await;
        assert!(ends.iter().all(|reply| reply.status == 200), "{ends:?}");
        assert_eq!(only(&app, "a", &group).await["content"]["outcome"], "ended");
    }
}

#[tokio::test]
async fn an_accept_and_an_end_at_once_leave_one_message() {
    let app = TestApp::start_with("call_ring_ms = 200").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    for round in 1..=5 {
        let call = ring(&app, "a", &direct).await;
        let (accepted, ended) = tokio::join!(act(&app, "b", &call, "accept"), act(&app, "a", &call, "end"));
        assert!(matches!(accepted.status, 200 | 409), "{accepted:?}");
        ended.expect(200);
        app.until(OPEN, 0).await;
        assert_eq!(left(&app, "a", &direct).await.len(), round);
    }
}

#[tokio::test]
async fn a_call_is_declined_by_all_or_cancelled_by_its_caller() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (direct, group) = (app.direct("a", "b").await, app.group(&["a", "b", "c"]).await);
    let call = ring(&app, "a", &direct).await;
    act(&app, "b", &call, "decline").await.expect(200);
    assert_eq!(only(&app, "b", &direct).await["content"]["outcome"], "declined");
    let call = ring(&app, "a", &group).await;
    act(&app, "b", &call, "decline").await.expect(200);
    act(&app, "b", &call, "decline").await.expect(200);
    // One who is called cannot end it for the others, and the caller does not decline.
    act(&app, "c", &call, "end").await.expect_problem(409, "conflict");
    act(&app, "a", &call, "decline").await.expect_problem(409, "conflict");
    let ended = act(&app, "a", &call, "end").await.expect(200);
    assert_eq!((&ended["state"], &ended["outcome"]), (&json!("ended"), &json!("cancelled")));
    assert_eq!(only(&app, "c", &group).await["content"]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_call_that_lasts_too_long_or_whose_users_are_gone_ends_by_itself() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (direct, group) = (app.direct("a", "b").await, app.group(&["c", "a", "b"]).await);
    let long = ring(&app, "a", &direct).await;
    act(&app, "b", &long, "accept").await.expect(200);
    app.sql().await.batch_execute("UPDATE t_im_call SET ends_by = now()").await.expect("its time is over");
    app.until(OPEN, 0).await;
    let message = only(&app, "a", &direct).await;
    assert_eq!(message["content"]["outcome"], "ended");
    // The caller has left the channel: the message is of the next one who can send.
    let call = ring(&app, "a", &group).await;
    act(&app, "b", &call, "accept").await.expect(200);
    app.person("a").post(&format!("/channels/{group}/leave"), json!(null)).await.expect(204);
    app.until(OPEN, 0).await;
    assert_eq!(only(&app, "b", &group).await["sender"], "b");
}

#[tokio::test]
async fn a_call_ends_although_the_service_was_away_when_its_time_was_over() {
    let mut app = TestApp::start_with("call_ring_ms = 60000").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    ring(&app, "a", &direct).await;
    app.clock("2 minutes").await;
    app.until(OPEN, 0).await;
    assert_eq!(only(&app, "a", &direct).await["content"]["outcome"], "missed");
}
