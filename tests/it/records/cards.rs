//! Cards: sent, acted on, updated; seen by everyone in the newest state.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use im_push_gateway::records::card;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;
use crate::delivery::callbacks::OPEN;
use crate::support::{Observer, Reply};

/// A request for leave, with two buttons.
fn leave() -> Value {
    json!({"title": "请假申请", "fields": [{"name": "申请人", "value": "张三"}, {"name": "天数", "value": "3"}],
           "buttons": [{"id": "agree", "text": "同意", "style": "primary"}, {"id": "refuse", "text": "拒绝", "url": "/oa/1"}]})
}

async fn send(app: &TestApp, sender: &str, channel: &str) -> String {
    let body = json!({"type": "card", "content": leave()});
    text(&app.person(sender).post(&format!("/channels/{channel}/messages"), body).await.expect(201)["ms_id"])
}

async fn act(app: &TestApp, user: &str, ms_id: &str, body: Value) -> Reply {
    app.person(user).post(&format!("/messages/{ms_id}/actions"), body).await
}

async fn update(app: &TestApp, user: &str, ms_id: &str, body: Value) -> Reply {
    app.person(user).patch(&format!("/messages/{ms_id}/card"), body).await
}

async fn shown(app: &TestApp, reader: &str, ms_id: &str) -> Value {
    app.person(reader).get(&format!("/messages/{ms_id}")).await.expect(200)["items"][0].clone()
}

pub async fn observer(app: &TestApp, types: &[&str]) -> Observer {
    let portal = Observer::start();
    let wish = json!({"url": portal.url(), "event_types": types});
    app.client("root", &["admin"]).post("/callbacks", wish).await.expect(201);
    portal
}

#[tokio::test]
async fn a_card_is_acted_on_and_gets_its_next_state() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["oa", "ann", "bob", "eve"]).await;
    let portal = observer(&app, &["card.*", "message.updated"]).await;
    let group = app.group(&["oa", "ann", "bob"]).await;
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let mut stream = app.person("ann").listen(None).await;
    stream.expect("hello").await;
    let ms_id = send(&app, "oa", &group).await;
    let card = shown(&app, "ann", &ms_id).await;
    assert_eq!((&card["type"], &card["preview"]), (&json!("card"), &json!("🗂️ 请假申请")));
    let mut wanted = leave();
    wanted["version"] = json!(1);
    assert_eq!(card["content"], wanted);
    app.gateway.wait_for(|record| record.receivers_of(&ms_id) == 2, LONG).await;

    // Once a person and version.
    let agree = json!({"button_id": "agree", "value": "好", "version": 1});
    let acted = act(&app, "ann", &ms_id, agree.clone()).await.expect(201);
    assert_eq!((&acted["version"], &acted["repeated"]), (&json!(1), &json!(false)));
    assert_eq!(act(&app, "ann", &ms_id, agree).await.expect(200)["repeated"], true);
    act(&app, "ann", &ms_id, json!({"button_id": "refuse"})).await.expect_problem(409, "conflict");
    act(&app, "ann", &ms_id, json!({"button_id": "agree"})).await.expect_problem(409, "conflict");
    act(&app, "oa", &ms_id, json!({"button_id": "agree"})).await.expect_problem(403, "forbidden");
    act(&app, "eve", &ms_id, json!({"button_id": "agree"})).await.expect_problem(404, "not-found");
    let refused = act(&app, "bob", &ms_id, json!({"button_id": "later"})).await;
    assert_eq!(refused.expect_problem(422, "invalid-field")["pointer"], "/button_id");
    let long = json!({"button_id": "agree", "value": "长".repeat(1_001)});
    let refused = act(&app, "bob", &ms_id, long).await;
    assert_eq!(refused.expect_problem(422, "invalid-field")["pointer"], "/value");

    // The next state.
    let done = json!({"title": "已同意", "buttons": [], "version": 1});
    update(&app, "ann", &ms_id, done.clone()).await.expect_problem(403, "forbidden");
    update(&app, "eve", &ms_id, done.clone()).await.expect_problem(404, "not-found");
    let updated = update(&app, "oa", &ms_id, done.clone()).await.expect(200);
    let wanted = json!({"title": "已同意", "fields": leave()["fields"], "buttons": [], "version": 2});
    assert_eq!(updated["content"], wanted);
    let told = update(&app, "oa", &ms_id, done).await.expect_problem(409, "conflict");
    assert_eq!(told["detail"], "the card is at version 2: read it again");
    act(&app, "bob", &ms_id, json!({"button_id": "agree", "version": 1}))
        .await
        .expect_problem(409, "conflict");
    act(&app, "bob", &ms_id, json!({"button_id": "agree"})).await.expect_problem(422, "invalid-field");

    // Everyone sees it.
    for reader in ["oa", "ann", "bob"] {
        let card = shown(&app, reader, &ms_id).await;
        assert_eq!((&card["content"], &card["preview"]), (&wanted, &json!("🗂️ 已同意")));
    }
    let last = app.conversation("bob", &group).await["last_message"].clone();
    assert_eq!(last["preview"]["text"], "🗂️ 已同意");
    stream.expect("message.created").await;
    let told = stream.expect("message.updated").await.data;
    assert_fits("StreamedEvent", &told);
    assert_eq!((&told["data"]["content"], &told["data"]["ms_id"]), (&wanted, &json!(ms_id)));
    portal.wait_for(|log| log.events().len() == 2, LONG).await;
    portal.read(|log| {
        let [action, update] = log.events() else { panic!("{:?}", log.events()) };
        let seq = action.data["seq"].clone();
        let wanted_action = json!({"ms_id": ms_id, "channel_id": group, "seq": seq, "user_id": "ann", "version": 1,
                                   "button_id": "agree", "value": "好"});
        assert_eq!((action.what.as_str(), &action.data), ("card.action", &wanted_action));
        assert_eq!((update.what.as_str(), &update.data["content"]), ("message.updated", &wanted));
    });
    // A later message is the last one of the conversation, also after an update of the card.
    app.say("ann", &group, "谢谢").await;
    update(&app, "oa", &ms_id, json!({"title": "已归档", "version": 2})).await.expect(200);
    assert_eq!(app.conversation("bob", &group).await["last_message"]["preview"]["text"], "谢谢");
    app.person("oa").post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    update(&app, "oa", &ms_id, json!({"title": "x", "version": 3})).await.expect_problem(409, "conflict");
    act(&app, "bob", &ms_id, json!({"button_id": "agree"})).await.expect_problem(409, "conflict");
    let plain = text(&app.say("ann", &group, "hello").await["ms_id"]);
    update(&app, "ann", &plain, json!({"title": "x", "version": 1})).await.expect_problem(409, "conflict");
    act(&app, "bob", &plain, json!({"button_id": "agree"})).await.expect_problem(409, "conflict");
    app.settled().await;
}

#[tokio::test]
async fn the_cards_of_a_dissolved_group_stay_as_they_are() {
    let app = TestApp::start().await;
    app.people(&["oa", "ann", "bob"]).await;
    let group = app.group(&["oa", "ann", "bob"]).await;
    let ms_id = send(&app, "oa", &group).await;
    act(&app, "ann", &ms_id, json!({"button_id": "agree"})).await.expect(201);
    app.person("oa").delete(&format!("/channels/{group}")).await.expect(204);
    let agree = json!({"button_id": "agree"});
    act(&app, "bob", &ms_id, agree.clone()).await.expect_problem(409, "channel-dissolved");
    let next = json!({"title": "x", "version": 1});
    update(&app, "oa", &ms_id, next.clone()).await.expect_problem(409, "channel-dissolved");
    // What was refused before is refused for the same reason, and a repeat is a repeat.
    act(&app, "oa", &ms_id, agree.clone()).await.expect_problem(403, "forbidden");
    update(&app, "ann", &ms_id, next).await.expect_problem(403, "forbidden");
    assert_eq!(act(&app, "ann", &ms_id, agree).await.expect(200)["repeated"], true);
    assert_eq!(app.count("SELECT count(*) FROM t_im_card_action", &[]).await, 1);
    assert_eq!(shown(&app, "bob", &ms_id).await["content"]["version"], 1);
}

#[tokio::test]
async fn a_hundred_people_act_at_once_while_the_card_is_updated() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["oa"]).await;
    let people = app.crowd(100).await;
    let portal = observer(&app, &["card.action"]).await;
    let group = app.person("oa").post("/groups", json!({"name": "g", "members": people})).await.expect(201);
    let ms_id = send(&app, "oa", &text(&group["channel_id"])).await;
    // Each person presses both buttons, twice each, whatever the version is by then.
    let presses = people.iter().flat_map(|person| {
        ["agree", "refuse", "agree", "refuse"]
            .map(|button| act(&app, person, &ms_id, json!({"button_id": button})))
    });
    let updates = async {
        for version in 1..=4 {
            let next = json!({"title": format!("第 {version} 轮"), "version": version});
            update(&app, "oa", &ms_id, next).await.expect(200);
        }
    };
    let (replies, ()) = join(join_all(presses), updates).await;
    let mut counted = 0;
    for reply in replies {
        match reply.status {
            201 => counted += 1,
            200 => {}
            _ => drop(reply.expect_problem(409, "conflict")),
        }
    }
    assert!(counted >= people.len(), "{counted}");
    portal.wait_for(|log| log.events().len() >= counted, LONG).await;
    app.settled().await;
    portal.read(|log| {
        let of = |data: &Value| (text(&data["user_id"]), data["version"].as_i64().expect("a version"));
        let told: BTreeSet<(String, i64)> = log.events().iter().map(|event| of(&event.data)).collect();
        assert_eq!((log.events().len(), told.len()), (counted, counted), "one event a person and version");
        let users: BTreeSet<&String> = told.iter().map(|(user, _)| user).collect();
        assert_eq!(users.len(), people.len());
    });
    let kept = "SELECT count(*) FROM t_im_card_action";
    assert_eq!(app.count(kept, &[]).await, counted as i64);
    assert_eq!(shown(&app, "oa", &ms_id).await["content"]["version"], 5);
}

#[tokio::test]
async fn of_two_updates_at_once_one_counts() {
    let app = TestApp::start().await;
    app.people(&["oa", "bob"]).await;
    let direct = app.direct("oa", "bob").await;
    let ms_id = send(&app, "oa", &direct).await;
    let updates = (0..8).map(|n| update(&app, "oa", &ms_id, json!({"title": n.to_string(), "version": 1})));
    let mut statuses: Vec<u16> = join_all(updates).await.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(shown(&app, "bob", &ms_id).await["content"]["version"], 2);
}

/// The ids of the messages that a search finds.
async fn found(app: &TestApp, words: &str) -> Vec<Value> {
    let found = app.person("bob").get(&format!("/search/messages?q={words}")).await.expect(200);
    found["items"].as_array().expect("hits").iter().map(|hit| hit["ms_id"].clone()).collect()
}

#[tokio::test]
async fn the_newest_state_is_found_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["oa", "bob"]).await;
    let direct = aged.direct("oa", "bob").await;
    let ms_id = send(&aged, "oa", &direct).await;
    aged.indexed().await;
    assert_eq!(found(&aged, "请假申请").await, [json!(ms_id)]);
    assert_eq!(found(&aged, "张三").await, [json!(ms_id)]);
    act(&aged, "bob", &ms_id, json!({"button_id": "agree"})).await.expect(201);
    for version in 1..=3 {
        let next = json!({"title": format!("已同意{version}"), "fields": [], "version": version});
        update(&aged, "oa", &ms_id, next).await.expect(200);
    }
    aged.settled().await;
    aged.indexed().await;
    let before = shown(&aged, "bob", &ms_id).await;
    assert_eq!(found(&aged, "已同意3").await, [json!(ms_id)]);
    for old in ["请假申请", "张三", "已同意1"] {
        assert_eq!(found(&aged, old).await, [] as [Value; 0], "{old}");
    }
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    assert_eq!(shown(&aged, "bob", &ms_id).await, before);
    assert_eq!(found(&aged, "已同意3").await, [json!(ms_id)]);
    assert_eq!(found(&aged, "请假申请").await, [] as [Value; 0]);
    update(&aged, "oa", &ms_id, json!({"title": "x", "version": 4})).await.expect_problem(404, "not-found");
    act(&aged, "bob", &ms_id, json!({"button_id": "agree"})).await.expect_problem(404, "not-found");
    // The value stays while the event may still be pushed or replayed.
    let now = aged.store.now().await.expect("a time");
    let acted: OffsetDateTime = aged
        .sql()
        .await
        .query_one("SELECT acted_at FROM t_im_card_action", &[])
        .await
        .expect("an action")
        .get(0);
    assert_eq!(card::prune(&aged.store, acted, 100).await.expect("a prune"), 0);
    assert_eq!(card::prune(&aged.store, now, 100).await.expect("a prune"), 1);
}

#[tokio::test]
async fn a_card_out_of_bounds_is_refused_with_its_place() {
    let app = TestApp::start().await;
    app.people(&["oa", "bob"]).await;
    let direct = app.direct("oa", "bob").await;
    let with = |name: &str, value: Value| {
        let mut card = leave();
        card[name] = value;
        card
    };
    let button = |id: &str, more: Value| {
        let mut button = json!({"id": id, "text": "t"});
        button.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        button
    };
    let many = |count: usize| (0..count).map(|n| button(&n.to_string(), json!({}))).collect::<Vec<_>>();
    let large: Vec<Value> =
        (0..20).map(|n| json!({"name": n.to_string(), "value": "长".repeat(2_000)})).collect();
    for (card, at) in [
        (with("title", json!("")), "/content/title"),
        (with("title", json!(null)), "/content/title"),
        (with("text", json!("x")), "/content/text"),
        (with("version", json!(2)), "/content/version"),
        (with("fields", json!([{"name": "a"}])), "/content/fields/0/value"),
        (with("fields", json!([{"name": "a", "value": "a\0"}])), "/content/fields"),
        (with("fields", json!([{"name": "a\nb", "value": "a"}])), "/content/fields"),
        (with("fields", json!(large)), "/content/fields"),
        (with("buttons", json!(many(21))), "/content/buttons"),
        (with("buttons", json!([button("a", json!({})), button("a", json!({}))])), "/content/buttons"),
        (with("buttons", json!([button("a", json!({"url": "javascript:alert(1)"}))])), "/content/buttons"),
        (with("buttons", json!([button("a", json!({"style": "loud"}))])), "/content/buttons/0/style"),
    ] {
        let body = json!({"type": "card", "content": card});
        let reply = app.person("oa").post(&format!("/channels/{direct}/messages"), body.clone()).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], at, "{body}");
    }
    let ms_id = send(&app, "oa", &direct).await;
    let reply = update(&app, "oa", &ms_id, json!({"buttons": many(21), "version": 1})).await;
    assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], "/buttons");
    assert_eq!(shown(&app, "bob", &ms_id).await["content"]["version"], 1);
}
