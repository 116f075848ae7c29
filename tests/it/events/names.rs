//! What is told to others carries the names that they show: of the sender, of the channel, of the other person.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::support::gateway::PushedMessage;
use crate::support::{Listener, Log, Observer};

/// The names in a message as it was pushed.
fn pushed(app: &TestApp, ms_id: &Value) -> (Option<String>, String, Option<String>) {
    let names = |m: &PushedMessage| (m.channel_name.clone(), m.channel_type.clone(), m.sender_name.clone());
    let ms_id = text(ms_id);
    app.gateway.read(|record| {
        let mut messages = record.batches().flat_map(|batch| &batch.messages);
        messages.find(|message| message.ms_id == ms_id).map(names).expect("it was pushed")
    })
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The names in an event of a stream: of its channel, and of its message.
async fn heard(stream: &mut Listener) -> Value {
    let told = stream.expect("message.created").await.data;
    assert_fits("StreamedEvent", &told);
    let message = &told["data"];
    assert_eq!(told["channel_type"], message["channel_type"]);
    assert_eq!(told["channel_name"], message["channel_name"]);
    json!([message["channel_type"], message["channel_name"], message["sender_name"]])
}

#[tokio::test]
async fn a_message_carries_names_to_the_gateway_to_streams_and_to_observers() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["ann", "bob", "cy"]).await;
    let portal = Observer::start();
    let wish = json!({"url": portal.url(), "event_types": ["message.*", "channel.*", "user.*"]});
    app.client("root", &["admin"]).post("/callbacks", wish).await.expect(201);
    let (group, direct) = (app.group(&["ann", "bob"]).await, app.direct("ann", "bob").await);
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let mut stream = app.person("bob").listen(None).await;
    let mut outside = app.person("cy").listen(None).await;
    for listener in [&mut stream, &mut outside] {
        listener.expect("hello").await;
    }

    let sent = app.say("ann", &group, "in the group").await;
    assert_eq!(heard(&mut stream).await, json!(["group", "a group", "ANN"]));
    let alone = app.say("ann", &direct, "for bob").await;
    assert_eq!(heard(&mut stream).await, json!(["direct", null, "ANN"]));
    app.settled().await;
    assert_eq!(pushed(&app, &sent["ms_id"]), (some("a group"), "group".into(), some("ANN")));
    assert_eq!(pushed(&app, &alone["ms_id"]), (None, "direct".into(), some("ANN")));

    // The names of now: another name of the sender, and of the group.
    let renamed = json!({"users": [{"user_id": "ann", "name": "安娜"}]});
    app.client("hr", &["directory"]).post("/directory/changes", renamed).await.expect(200);
    app.person("ann").patch(&format!("/channels/{group}"), json!({"name": "项目组"})).await.expect(200);
    let told = stream.expect("channel.updated").await.data;
    assert_eq!((&told["channel_type"], &told["channel_name"]), (&json!("group"), &json!("项目组")));
    let later = app.say("ann", &group, "again").await;
    assert_eq!(heard(&mut stream).await, json!(["group", "项目组", "安娜"]));
    app.settled().await;
    assert_eq!(pushed(&app, &later["ms_id"]), (some("项目组"), "group".into(), some("安娜")));

    let has_all = |log: &Log| log.messages() == 3 && log.events().iter().any(|e| e.what == "user.updated");
    portal.wait_for(has_all, LONG).await;
    portal.read(|log| {
        for event in log.events() {
            let of_channel = event.channel_id.is_some();
            assert_eq!(event.channel_type.is_some(), of_channel, "{event:?}");
            let is_group = event.channel_type.as_deref() == Some("group");
            assert_eq!(event.channel_name.is_some(), is_group, "{event:?}");
        }
        let last = log.events().iter().rfind(|event| event.what == "message.created").expect("a message");
        assert_eq!(last.channel_name.as_deref(), Some("项目组"));
        assert_eq!(
            (&last.data["channel_name"], &last.data["sender_name"]),
            (&json!("项目组"), &json!("安娜"))
        );
    });
    // Who is in none of these channels hears of none, by any name.
    app.person("cy").get(&format!("/channels/{group}")).await.expect_problem(404, "not-found");
    let own = app.direct("cy", "ann").await;
    app.say("ann", &own, "for cy").await;
    assert_eq!(outside.expect("channel.created").await.data["channel_id"], own);
    assert_eq!(heard(&mut outside).await, json!(["direct", null, "安娜"]));
}

#[tokio::test]
async fn a_direct_conversation_says_who_the_other_is_and_whether_they_are_there() {
    let app = TestApp::start().await;
    let users = json!({"users": [
        {"user_id": "ann", "name": "Ann"}, {"user_id": "cy", "name": "Cy"},
        {"user_id": "bob", "name": "Bob", "head_icon": "/heads/bob.png", "kind": "external"},
        {"user_id": "oa", "name": "审批助手", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let (with_bob, with_oa) = (app.direct("ann", "bob").await, app.direct("oa", "ann").await);
    let group = app.group(&["ann", "bob"]).await;
    let peer = async |person: &str, channel: &str| app.conversation(person, channel).await["peer"].clone();
    let bob = |online: bool| json!({"user_id": "bob", "name": "Bob", "head_icon": "/heads/bob.png", "kind": "external", "online": online});
    assert_eq!(peer("ann", &with_bob).await, bob(false));
    assert_eq!(peer("bob", &with_bob).await["user_id"], "ann");
    assert_eq!(peer("ann", &with_oa).await["kind"], "application");
    assert_eq!(peer("ann", &group).await, Value::Null);
    assert_eq!(app.conversation("cy", &with_bob).await, Value::Null);

    let online = json!({"users": [{"user_id": "bob", "status": "online"}]});
    app.client("gw", &["gateway"]).put("/presence", online).await.expect(200);
    assert_eq!(peer("ann", &with_bob).await, bob(true));
    // With a third person it is a group, and has no other one.
    let path = format!("/channels/{with_bob}/members");
    app.person("ann").post(&path, json!({"user_ids": ["cy"]})).await.expect(200);
    assert_eq!(peer("ann", &with_bob).await, Value::Null);
}
