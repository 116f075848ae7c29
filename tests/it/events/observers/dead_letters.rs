//! What is given up on, when, and how it is sent once more.

use serde_json::{Value, json};

use super::{Wish, blameless, change, say_many, start, subscribe, told};
use crate::app::{LONG, TestApp, text};
use crate::support::{Conduct, Observer};

/// Gives up at once on what fails while others get through.
const IMPATIENT: &str = "callback_give_up_ms = 1\ncallback_breaker_failures = 1000";

/// An observer of messages that has given up on some of a channel, one a dead letter.
async fn with_dead(app: &TestApp, count: i64) -> (Observer, String, String) {
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let portal = Observer::start();
    portal.behave(|_| Conduct::status(500));
    let wish = Wish { batch_events: 1, ..Wish::of(&["message.created"]) };
    let callback_id = subscribe(app, &portal.url(), wish).await;
    say_many(app, "a", &channel, usize::try_from(count).expect("few")).await;
    app.until("SELECT count(*) FROM t_im_push_dead", count).await;
    app.settled().await;
    portal.behave(|_| Conduct::Take);
    (portal, callback_id, channel)
}

async fn replay(app: &TestApp, callback_id: &str, which: Value) -> Value {
    app.client("root", &["admin"]).post(&format!("/callbacks/{callback_id}/replay"), which).await.expect(200)
}

/// The messages that were taken, each time that they were.
fn taken(portal: &Observer) -> Vec<i64> {
    portal.read(|log| {
        let taken = log.posts.iter().zip(&log.answers).filter(|(_, answer)| **answer == Some(200));
        let mut seqs: Vec<i64> =
            taken.flat_map(|(post, _)| &post.events).filter_map(|event| event.data["seq"].as_i64()).collect();
        seqs.sort_unstable();
        seqs
    })
}

#[tokio::test]
async fn dead_letters_are_shown_and_sent_again_some_or_all() {
    let app = start(IMPATIENT).await;
    let (portal, callback_id, channel) = with_dead(&app, 6).await;
    let path = format!("/callbacks/{callback_id}/dead-letters");
    let desk = app.client("desk", &["support"]);
    let mut letters = app.all(&desk, &format!("{path}?limit=4")).await;
    letters.reverse();
    assert_eq!(letters.len(), 6);
    let ids: Vec<Value> = letters.iter().map(|letter| letter["dead_id"].clone()).collect();
    let one = desk.get(&format!("{path}/{}", text(&ids[0]))).await.expect(200);
    for (field, value) in [
        ("channel_id", json!(channel)),
        ("pairs", json!(1)),
        ("reason", json!("answered 500: not 2xx")),
        ("event_types", json!(["message.created"])),
        ("event_ids", letters[0]["event_ids"].clone()),
        ("receivers", json!(null)),
        ("from_ms_id", json!(null)),
    ] {
        assert_eq!(one[field], value, "{field}");
    }
    desk.get(&format!("{path}/999999")).await.expect_problem(404, "not-found");
    app.client("desk", &["support"])
        .post(&format!("/callbacks/{callback_id}/replay"), json!({}))
        .await
        .expect_problem(403, "forbidden");

    let put = replay(&app, &callback_id, json!({"dead_ids": [ids[0]]})).await;
    assert_eq!(put, json!({"replayed": 1, "pairs": 1, "next_event_id": null}));
    app.settled().await;
    assert_eq!(taken(&portal).len(), 1);
    let range = json!({"from_dead_id": ids[1], "to_dead_id": ids[2]});
    assert_eq!(replay(&app, &callback_id, range.clone()).await["replayed"], 2);
    assert_eq!(replay(&app, &callback_id, range).await["replayed"], 0, "they are gone from there");
    app.settled().await;
    assert_eq!(taken(&portal).len(), 3);
    let since = json!({"since": letters[3]["dead_at"]});
    let put = replay(&app, &callback_id, json!({"since": "2999-01-01T00:00:00Z"})).await;
    assert_eq!(put["replayed"], 0);
    assert_eq!(replay(&app, &callback_id, since).await["replayed"], 3);
    app.settled().await;
    assert_eq!(taken(&portal), [1, 2, 3, 4, 5, 6]);
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
}

#[tokio::test]
async fn a_replay_keeps_to_its_rate_and_holds_nothing_new() {
    let app = start(IMPATIENT).await;
    let (portal, callback_id, channel) = with_dead(&app, 6).await;
    // One a second: the last is due after five.
    let put = replay(&app, &callback_id, json!({"per_second": 1})).await;
    assert_eq!(put["replayed"], 6);
    let spread = "SELECT (extract(epoch FROM max(due_at) - min(queued_at)))::bigint FROM t_im_push_queue WHERE NOT in_turn";
    assert_eq!(app.count(spread, &[]).await, 5);
    app.say("a", &channel, "new").await;
    portal.wait_for(|log| log.seqs(&channel).contains(&7), LONG).await;
    assert!(taken(&portal).len() < 7, "what is new does not wait for what is old");
    let hurry = "UPDATE t_im_push_queue SET due_at = queued_at WHERE NOT in_turn";
    app.sql().await.execute(hurry, &[]).await.unwrap();
    app.settled().await;
    assert_eq!(taken(&portal), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn the_log_can_be_told_again() {
    let app = start("").await;
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let (portal, other) = (Observer::start(), Observer::start());
    let wish =
        Wish { batch_events: 3, channels: Some(vec![super::id(&one)]), ..Wish::of(&["message.created"]) };
    let callback_id = subscribe(&app, &portal.url(), wish).await;
    subscribe(&app, &other.url(), Wish::of(&["message.*"])).await;
    say_many(&app, "a", &one, 8).await;
    say_many(&app, "a", &two, 3).await;
    told(&portal, &[&one], 8).await;
    told(&other, &[&two], 3).await;
    app.settled().await;
    let (before, others) = (portal.read(|log| log.posts.len()), other.read(|log| log.posts.len()));
    let put = replay(&app, &callback_id, json!({"events_since": "2000-01-01T00:00:00Z"})).await;
    assert_eq!((&put["replayed"], &put["next_event_id"]), (&json!(8), &json!(null)));
    app.settled().await;
    assert_eq!(taken(&portal), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]);
    let again: Vec<usize> = portal.read(|log| log.posts[before..].iter().map(|p| p.events.len()).collect());
    assert!(again.iter().all(|size| *size <= 3), "{again:?}");
    assert_eq!(other.read(|log| log.posts.len()), others, "it is for one");
    let last = portal.read(|log| log.events().iter().map(|event| event.event_id).nth(5)).unwrap();
    let after = json!({"events_since": "2000-01-01T00:00:00Z", "after_event_id": last.to_string()});
    assert_eq!(replay(&app, &callback_id, after).await["replayed"], 2);
    // Whoever goes by departments keeps some of what is looked at.
    change(&app, &callback_id, "department_ids = '{nowhere}', channel_ids = NULL").await;
    let all = replay(&app, &callback_id, json!({"events_since": "2000-01-01T00:00:00Z"})).await;
    assert_eq!((&all["replayed"], &all["next_event_id"]), (&json!(0), &json!(null)));
    let sql = app.sql().await;
    let looked = sql.prepare(include_str!("../../../../sql/delivery/push/replay_events.sql")).await.unwrap();
    let now = app.store.now().await.unwrap();
    let none: Option<i32> = None;
    let since = time::OffsetDateTime::UNIX_EPOCH;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&callback_id, &since, &0_i64, &4_i32, &now, &none, &false];
    let row = sql.query_one(&looked, &params).await.unwrap();
    assert_eq!(
        (row.get("events"), row.get("last")),
        (0_i64, Some(4_i64)),
        "it goes on after what it looked at"
    );
    let none = json!({"events_since": "2999-01-01T00:00:00Z", "per_second": 5});
    assert_eq!(replay(&app, &callback_id, none).await["replayed"], 0);
    app.settled().await;
}

#[tokio::test]
async fn nothing_is_given_up_while_an_endpoint_is_away() {
    let mut app = start("callback_give_up_ms = 60000\ncallback_breaker_failures = 1").await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["message.created"])).await;
    app.say("a", &one, "before").await;
    told(&portal, &[&one], 1).await;
    portal.down();
    for _ in 0..3 {
        app.say("a", &one, "meanwhile").await;
        app.say("a", &two, "meanwhile").await;
    }
    let failed = "SELECT least(count(*), 3) FROM t_im_push_attempt WHERE error = 'no connection'";
    app.until(failed, 3).await;
    for hours in 1..=2 {
        app.sql().await.execute("DELETE FROM t_im_push_attempt", &[]).await.unwrap();
        app.clock(&format!("{hours} hours")).await;
        app.until(failed, 3).await;
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
    portal.up();
    told(&portal, &[&one], 4).await;
    told(&portal, &[&two], 3).await;
    app.settled().await;
    blameless(&portal);
}
