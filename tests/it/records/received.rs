//! A page says up to which message it has everything: without the gateway, never lowering, hot and cold.

use serde_json::{Value, json};

use crate::app::{LONG, TestApp};
use crate::archive::moving::Aged;
use crate::support::{Answer, Log, Observer};

fn nobody_is_there(app: &TestApp) {
    app.gateway.answer(|batch| Answer::all_except(&batch.receivers().into_iter().collect::<Vec<_>>(), &[]));
}

/// Says of a person's client that it has a channel up to a seq; the position afterwards.
async fn have(app: &TestApp, person: &str, channel: &str, seq: i64) -> i64 {
    let path = format!("/channels/{channel}/received");
    let answer = app.person(person).post(&path, json!({"seq": seq})).await.expect(200);
    answer["received_seq"].as_i64().expect("a seq")
}

/// Statuses of one receiver, message by message.
async fn statuses(app: &TestApp, ms_ids: &[Value], receiver: &str) -> Vec<String> {
    let mut all = Vec::new();
    for ms_id in ms_ids {
        let rows = app.ledger(ms_id).await;
        all.extend(rows.into_iter().find(|(who, ..)| who == receiver).map(|(_, status, _)| status));
    }
    all
}

async fn say(app: &TestApp, sender: &str, channel: &str, count: usize) -> Vec<Value> {
    let mut ms_ids = Vec::new();
    for i in 0..count {
        ms_ids.push(app.say(sender, channel, &format!("said {i}")).await["ms_id"].clone());
    }
    ms_ids
}

#[tokio::test]
async fn a_page_says_what_it_has_and_the_ledger_says_so_at_once_and_later() {
    let app = TestApp::start_with(crate::delivery::callbacks::OPEN).await;
    nobody_is_there(&app);
    app.people(&["ann", "bob", "cy", "stranger"]).await;
    let portal = Observer::start();
    crate::delivery::callbacks::observer(&app.client("root", &["admin"]), &portal.url()).await;
    let channel = app.group(&["ann", "bob", "cy"]).await;
    let ms_ids = say(&app, "ann", &channel, 4).await;
    app.settled().await;
    assert_eq!(app.ledger(&ms_ids[0]).await[0].2, "offline");

    assert_eq!(have(&app, "bob", &channel, 2).await, 2);
    for settled in [false, true] {
        if settled {
            app.settled().await;
        }
        assert_eq!(
            statuses(&app, &ms_ids, "bob").await,
            ["received", "received", "unreceived", "unreceived"]
        );
        assert_eq!(statuses(&app, &ms_ids, "cy").await, ["unreceived"; 4]);
        assert_eq!(app.ledger(&ms_ids[0]).await[0].2, Value::Null, "no verdict on what was received");
        let view = "SELECT count(*) FROM t_im_message_push WHERE receiver = 'bob' AND status = 1";
        assert_eq!(app.count(view, &[]).await, 2);
    }
    // It only goes forward, and what is read is received.
    assert_eq!(have(&app, "bob", &channel, 1).await, 2);
    app.person("bob").post(&format!("/channels/{channel}/read"), json!({"seq": 3})).await.expect(200);
    assert_eq!(have(&app, "bob", &channel, 2).await, 3);
    assert_eq!(have(&app, "bob", &channel, 4).await, 4);
    assert_eq!(statuses(&app, &ms_ids, "bob").await, ["read", "read", "read", "received"]);
    app.person("bob").post(&format!("/channels/{channel}/read"), json!({"seq": 4})).await.expect(200);
    assert_eq!(app.unread("bob", &channel).await, 0);
    assert_eq!(app.unread("cy", &channel).await, 4, "what is received is not read");
    app.settled().await;
    assert_eq!(statuses(&app, &ms_ids, "bob").await, ["read"; 4]);

    // Those who are not in the channel, and what is not there.
    let path = format!("/channels/{channel}/received");
    app.person("stranger").post(&path, json!({"seq": 1})).await.expect_problem(404, "not-found");
    for seq in [json!(5), json!(-1), json!("1"), json!(null)] {
        let refused = app.person("bob").post(&path, json!({"seq": seq})).await;
        assert_eq!(refused.expect_problem(422, "invalid-field")["pointer"], "/seq");
    }
    assert_eq!(statuses(&app, &ms_ids, "cy").await, ["unreceived"; 4]);

    // An observer is told which messages were received, and by how many.
    let received = |log: &Log, seq: i64| {
        let events = log.events().iter().filter(|e| e.what == "message.received" && e.data["seq"] == seq);
        events.map(|event| event.data["people"].as_i64().expect("a number")).sum::<i64>()
    };
    portal.wait_for(|log| (received(log, 1), received(log, 2)) == (1, 1), LONG).await;
    assert_eq!(portal.read(|log| received(log, 3)), 0, "it was read before it was received");
}

#[tokio::test]
async fn what_was_sent_before_joining_and_by_oneself_has_no_status_for_a_member() {
    let app = TestApp::start().await;
    nobody_is_there(&app);
    app.people(&["ann", "bob", "cy"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    let mut ms_ids = say(&app, "ann", &channel, 2).await;
    let members = format!("/channels/{channel}/members");
    app.person("ann").post(&members, json!({"user_ids": ["cy"]})).await.expect(200);
    ms_ids.extend(say(&app, "cy", &channel, 1).await);
    ms_ids.extend(say(&app, "ann", &channel, 1).await);
    assert_eq!(have(&app, "cy", &channel, 4).await, 4);
    app.settled().await;
    assert_eq!(statuses(&app, &ms_ids, "cy").await, ["received"], "of the last message alone");
    assert_eq!(statuses(&app, &ms_ids, "bob").await, ["unreceived"; 4]);
    // Back after leaving: the cursor is that of the new membership.
    app.person("cy").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    app.person("cy").post(&format!("/channels/{channel}/received"), json!({"seq": 4})).await.expect(404);
    ms_ids.extend(say(&app, "ann", &channel, 1).await);
    app.person("ann").post(&members, json!({"user_ids": ["cy"]})).await.expect(200);
    ms_ids.extend(say(&app, "ann", &channel, 2).await);
    assert_eq!(have(&app, "cy", &channel, 6).await, 6);
    app.settled().await;
    assert_eq!(statuses(&app, &ms_ids, "cy").await, ["received", "received", "unreceived"]);
}

#[tokio::test]
async fn what_is_sealed_or_cold_can_be_received_too() {
    let mut aged = Aged::embedded().await;
    nobody_is_there(&aged);
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy"]).await;
    let channel = aged.group(&["ann", "bob", "cy"]).await;
    let mut ms_ids = say(&aged, "ann", &channel, 4).await;
    assert_eq!(have(&aged, "bob", &channel, 1).await, 1);
    aged.settled().await;
    aged.app.clock("0").await;
    ms_ids.extend(say(&aged, "ann", &channel, 2).await);
    aged.settled().await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 2);
    let wanted = ["received", "received", "received", "unreceived", "unreceived", "unreceived"];
    // The seq is known to the archive alone; then a range that reaches from cold to hot.
    assert_eq!(have(&aged, "bob", &channel, 3).await, 3);
    assert_eq!(statuses(&aged, &ms_ids, "bob").await, wanted);
    let received = "/support/messages?receiver=bob&status=received&reason=a+test";
    let found = async || aged.all(&aged.client("desk", &["support"]), received).await.len();
    assert_eq!(found().await, 3);
    assert_eq!(have(&aged, "bob", &channel, 5).await, 5);
    for settled in [false, true] {
        if settled {
            aged.settled().await;
        }
        assert_eq!(statuses(&aged, &ms_ids, "bob").await[..5], ["received"; 5]);
        assert_eq!(statuses(&aged, &ms_ids, "bob").await[5], "unreceived");
        assert_eq!(statuses(&aged, &ms_ids, "cy").await, ["unreceived"; 6]);
        assert_eq!(found().await, 5);
    }
    aged.person("bob").post(&format!("/channels/{channel}/read"), json!({"seq": 4})).await.expect(200);
    aged.settled().await;
    assert_eq!(
        statuses(&aged, &ms_ids, "bob").await,
        ["read", "read", "read", "read", "received", "unreceived"]
    );
    aged.people(&["stranger"]).await;
    let path = format!("/channels/{channel}/received");
    aged.person("stranger").post(&path, json!({"seq": 3})).await.expect_problem(404, "not-found");
}
