//! A nudge: the first step by hand.

use serde_json::{Value, json};

use super::{DONE, marks, observer_of, read, say_with, told};
use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::support::Reply;

async fn nudge(app: &TestApp, person: &str, ms_id: &str) -> Reply {
    app.person(person).post(&format!("/messages/{ms_id}/nudge"), json!(null)).await
}

#[tokio::test]
async fn a_sender_nudges_those_who_have_not_read_once_in_a_while() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c", "stranger"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let ms_id = text(&app.say("a", &group, "please").await["ms_id"]);
    app.settled().await;
    nudge(&app, "b", &ms_id).await.expect_problem(403, "forbidden");
    nudge(&app, "stranger", &ms_id).await.expect_problem(404, "not-found");
    nudge(&app, "a", "1").await.expect_problem(404, "not-found");
    nudge(&app, "nobody", &ms_id).await.expect_problem(403, "unknown-user");
    read(&app, "b", &group, 1).await;
    let nudged = nudge(&app, "a", &ms_id).await.expect(200);
    assert_eq!(nudged, json!({"ms_id": ms_id, "urged": 1, "over_limit": [], "over_limit_count": 0}));
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(
        app.gateway.read(|r| marks(r, &ms_id, &["b", "c"])),
        [vec!["normal"], vec!["normal", "urgent"]]
    );

    let soon = nudge(&app, "a", &ms_id).await;
    let wait: u32 = soon.header("retry-after").parse().expect("seconds");
    assert!((1..=300).contains(&wait), "{wait}");
    soon.expect_problem(429, "nudged-recently");
    app.clock("6 minutes").await;
    assert_eq!(nudge(&app, "a", &ms_id).await.expect(200)["urged"], 1);
    // The clock steps back: the last nudge was later than now.
    app.clock("0").await;
    read(&app, "c", &group, 1).await;
    assert_eq!(nudge(&app, "a", &ms_id).await.expect(200)["urged"], 0, "all have read");
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "c")), ["normal", "urgent", "urgent"]);
    // What was refused is not in the audit.
    let kept =
        "SELECT count(*) FROM t_im_audit WHERE action = 'nudge' AND actor = 'a' AND filter->>'ms_id' = $1";
    assert_eq!(app.count(kept, &[&ms_id]).await, 3);
    assert_eq!(app.count("SELECT count(*) FROM t_im_audit WHERE action = 'nudge'", &[]).await, 3);
}

#[tokio::test]
async fn what_is_gone_is_not_nudged() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (recalled, dissolved, left) =
        (app.group(&["a", "b"]).await, app.group(&["a", "b"]).await, app.group(&["b", "a"]).await);
    let say = async |channel: &str| text(&app.say("a", channel, "please").await["ms_id"]);
    let (of_recalled, of_dissolved, of_left) =
        (say(&recalled).await, say(&dissolved).await, say(&left).await);
    let a = app.person("a");
    a.post(&format!("/messages/{of_recalled}/recall"), Value::Null).await.expect(200);
    a.delete(&format!("/channels/{dissolved}")).await.expect(204);
    a.post(&format!("/channels/{left}/leave"), json!({})).await.expect(204);
    nudge(&app, "a", &of_recalled).await.expect_problem(409, "conflict");
    nudge(&app, "a", &of_dissolved).await.expect_problem(409, "channel-dissolved");
    nudge(&app, "a", &of_left).await.expect_problem(404, "not-found");
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_nudge", &[]).await, 0);
}

#[tokio::test]
async fn a_nudge_whose_call_has_died_is_ended_by_the_worker() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let ms_id = say_with(&app, "a", &direct, json!({})).await;
    app.settled().await;
    // As its first transaction leaves it.
    let begun = "INSERT INTO t_im_escalation (ms_id, channel_id, seq, kind, after_s, due_at, set_at) \
                 SELECT ms_id, channel_id, seq, 'urgent', 0, im_clock() + interval '1 minute', im_clock() FROM t_im_message";
    app.sql().await.execute(begun, &[]).await.unwrap();
    app.clock("2 minutes").await;
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "b")), ["normal", "urgent"]);
}

#[tokio::test]
async fn a_block_ends_the_steps_and_the_nudge_that_wait_in_the_direct_channel() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let observer = observer_of(&app).await;
    let (direct, group) = (app.direct("a", "b").await, app.group(&["a", "b"]).await);
    let steps = json!({"escalate": [{"after_s": 60, "priority": "urgent"}, {"after_s": 61, "event": true}]});
    let of_direct = say_with(&app, "a", &direct, steps.clone()).await;
    let of_group = say_with(&app, "a", &group, steps).await;
    app.settled().await;
    // A nudge under way, as its first transaction leaves it.
    let begun = "INSERT INTO t_im_escalation (ms_id, channel_id, seq, kind, after_s, due_at, set_at) \
                 SELECT ms_id, channel_id, seq, 'urgent', 0, im_clock() + interval '1 minute', im_clock() \
                 FROM t_im_message WHERE channel_id = $1::bigint";
    let direct_id: i64 = direct.parse().expect("a number");
    app.sql().await.execute(begun, &[&direct_id]).await.unwrap();
    app.person("b").put("/users/me/relations/a", json!({"kind": "block"})).await.expect(200);

    app.clock("2 minutes").await;
    app.until(DONE, 0).await;
    app.settled().await;
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    assert_eq!(app.gateway.read(|r| r.marks(&of_direct, "b")), ["normal"], "nothing more is pushed");
    assert_eq!(told(&observer, &of_direct).len(), 0);
    assert_eq!(app.gateway.read(|r| r.marks(&of_group, "b")), ["normal", "urgent"], "groups go on");
    assert_eq!(told(&observer, &of_group).len(), 1);
}
