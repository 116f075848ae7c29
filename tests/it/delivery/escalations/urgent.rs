//! Urgent messages: marked from the first push on, and only so many for a receiver.

use serde_json::json;

use super::{DONE, marks, observer_of, read, say_with, told};
use crate::app::{LONG, TestApp};
use crate::delivery::callbacks::OPEN;

#[tokio::test]
async fn an_urgent_message_is_heard_by_the_muted_and_in_quiet_hours() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    let group = app.group(&["a", "b", "c", "d", "e"]).await;
    let whole_day = json!({"quiet": [{"from": "00:00", "to": "00:00", "time_zone": "UTC"}]});
    app.person("b").put("/users/me/notifications", whole_day).await.expect(200);
    let muted = json!({"muted": true});
    app.person("c").put(&format!("/channels/{group}/settings"), muted).await.expect(200);
    app.person("d").put("/users/me/notifications", json!({"every_s": 600})).await.expect(200);
    let members = ["b", "c", "d", "e"];
    let plain = say_with(&app, "a", &group, json!({"priority": "normal"})).await;
    let urgent = say_with(&app, "a", &group, json!({"priority": "urgent"})).await;
    let after = say_with(&app, "a", &group, json!({})).await;
    app.settled().await;
    app.gateway.read(|r| {
        assert_eq!(marks(r, &plain, &members), [["silent"], ["silent"], ["normal"], ["normal"]]);
        assert_eq!(marks(r, &urgent, &members), [["urgent"]; 4]);
        assert_eq!(marks(r, &after, &members), [["silent"], ["silent"], ["silent"], ["normal"]]);
    });
}

#[tokio::test]
async fn beyond_urgent_max_a_push_is_normal_and_the_receiver_is_named() {
    let app = TestApp::start_with(&format!("urgent_max = 2\nnudge_every_ms = 0\n{OPEN}")).await;
    app.people(&["a", "b", "c"]).await;
    let (group, direct) = (app.group(&["a", "b", "c"]).await, app.direct("a", "b").await);
    let observer = observer_of(&app).await;
    let urgent = async |channel: &str| {
        let ms_id = say_with(&app, "a", channel, json!({"priority": "urgent"})).await;
        app.settled().await;
        ms_id
    };
    let first = urgent(&group).await;
    read(&app, "c", &group, 1).await;
    let second = urgent(&direct).await;
    let third = urgent(&group).await;
    app.gateway.read(|r| {
        assert_eq!(marks(r, &first, &["b", "c"]), [["urgent"], ["urgent"]]);
        assert_eq!(marks(r, &second, &["b"]), [["urgent"]]);
        assert_eq!(marks(r, &third, &["b", "c"]), [["normal"], ["urgent"]], "b has two open ones");
    });
    observer.wait_for(|log| log.events().len() == 1, LONG).await;
    assert_eq!(told(&observer, &third), [("urgent_max".to_owned(), 0, vec![json!({"user_id": "b"})])]);
    // A nudge for one that is urgent already, and for one that is over the limit.
    let nudge = async |ms_id: &str| {
        app.person("a").post(&format!("/messages/{ms_id}/nudge"), json!(null)).await.expect(200)
    };
    let nudged = nudge(&first).await;
    assert_eq!(
        (&nudged["urged"], &nudged["over_limit_count"]),
        (&json!(1), &json!(0)),
        "b, who has not read"
    );
    let nudged = nudge(&third).await;
    assert_eq!(
        (&nudged["urged"], &nudged["over_limit"], &nudged["over_limit_count"]),
        (&json!(1), &json!(["b"]), &json!(1))
    );
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(
        app.gateway.read(|r| marks(r, &third, &["b", "c"])),
        [vec!["normal"], vec!["urgent", "urgent"]]
    );
    // Reading makes room.
    read(&app, "b", &direct, 1).await;
    let fourth = urgent(&group).await;
    assert_eq!(app.gateway.read(|r| marks(r, &fourth, &["b"])), [["urgent"]]);
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_urgent WHERE user_id = 'b' AND NOT is_over", &[]).await,
        2
    );
}

#[tokio::test]
async fn a_batch_that_comes_again_tells_of_the_limit_once() {
    let app = TestApp::start_with(&format!("urgent_max = 0\n{OPEN}")).await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let observer = observer_of(&app).await;
    app.gateway.answer(|batch| match batch.attempt {
        1..=3 => crate::support::Answer::status(500),
        _ => crate::support::Answer::All,
    });
    let ms_id = say_with(&app, "a", &direct, json!({"priority": "urgent"})).await;
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "b")), ["normal"; 4]);
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    app.settled().await;
    assert_eq!(told(&observer, &ms_id).len(), 1);
}

#[tokio::test]
async fn a_push_that_cannot_count_urgent_messages_in_time_is_a_normal_one() {
    let app = TestApp::start_with("callback_lease_margin_ms = 200").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let mut counting = app.sql().await;
    let counting = counting.transaction().await.unwrap();
    counting.execute("SELECT pg_advisory_xact_lock(hashtext('im_urgent'))", &[]).await.unwrap();
    let first = say_with(&app, "a", &direct, json!({"priority": "urgent"})).await;
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&first, "b")), ["normal"]);
    counting.rollback().await.unwrap();
}

#[tokio::test]
async fn rows_that_are_read_recalled_or_left_make_room() {
    let app = TestApp::start_with("urgent_max = 3").await;
    app.people(&["a", "b"]).await;
    let (direct, group, other) =
        (app.direct("a", "b").await, app.group(&["a", "b"]).await, app.group(&["a", "b"]).await);
    let urgent = async |channel: &str| {
        let ms_id = say_with(&app, "a", channel, json!({"priority": "urgent"})).await;
        app.settled().await;
        app.gateway.read(|r| (r.marks(&ms_id, "b"), ms_id.clone()))
    };
    let mut sent = Vec::new();
    for channel in [&direct, &group, &other] {
        let (marks, ms_id) = urgent(channel).await;
        assert_eq!(marks, ["urgent"]);
        sent.push(ms_id);
    }
    assert_eq!(urgent(&direct).await.0, ["normal"]);
    app.person("a").post(&format!("/messages/{}/recall", sent[1]), json!({})).await.expect(200);
    assert_eq!(urgent(&direct).await.0, ["urgent"], "recalled");
    assert_eq!(urgent(&direct).await.0, ["normal"]);
    app.person("b").post(&format!("/channels/{other}/leave"), json!({})).await.expect(204);
    assert_eq!(urgent(&direct).await.0, ["urgent"], "left");
    assert_eq!(urgent(&direct).await.0, ["normal"]);
    read(&app, "b", &direct, 1).await;
    assert_eq!(urgent(&direct).await.0, ["urgent"], "read");
    assert_eq!(urgent(&direct).await.0, ["normal"]);
}
