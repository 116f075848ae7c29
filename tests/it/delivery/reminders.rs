//! Users who missed messages: observers are told of exactly these, once, after a while and after quiet hours.

mod killed;

use serde_json::{Value, json};

use crate::api::contract;
use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::people::preferences::clock_at;
use crate::support::{Answer, ObservedEvent, Observer};

/// Nothing waits to be told.
const DONE: &str = "SELECT (SELECT count(*) FROM t_im_unreached) + (SELECT count(*) FROM t_im_reminder WHERE due_at IS NOT NULL) \
     + (SELECT count(*) FROM t_im_reminder_channel) + (SELECT count(*) FROM v_im_push_item) + (SELECT count(*) FROM t_im_event_new)";
/// The users who wait for the time to be told of.
const WAITING: &str = "SELECT count(*) - 100 * (SELECT count(*) FROM t_im_unreached) FROM t_im_reminder WHERE due_at IS NOT NULL";

/// An observer of the unreached, with more fields.
async fn observer_of(app: &TestApp, more: Value) -> Observer {
    let observer = Observer::start();
    let mut body = json!({"url": observer.url(), "event_types": ["message.unreceived"]});
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    app.client("root", &["admin"]).post("/callbacks", body).await.expect(201);
    observer
}

/// The gateway answers that these are offline, and everybody else has received.
fn offline(app: &TestApp, people: &'static [&'static str]) {
    app.gateway.answer(move |batch| {
        let receivers = batch.deliveries.iter().flat_map(|delivery| &delivery.receivers);
        let away: Vec<&str> =
            receivers.map(String::as_str).filter(|receiver| people.contains(receiver)).collect();
        Answer::all_except(&away, &[])
    });
}

/// The data of the events, each as documented, by user.
fn told(observer: &Observer) -> Vec<Value> {
    let events: Vec<ObservedEvent> = observer.read(|log| log.events().to_vec());
    let mut told: Vec<Value> = events.into_iter().map(|event| {
        let shown = json!({"event_id": event.event_id.to_string(), "type": event.what, "at": event.at, "data": event.data});
        contract::assert_fits("MessageUnreceivedEvent", &shown);
        event.data
    }).collect();
    told.sort_by_key(|data| text(&data["user_id"]));
    told
}

/// User, number of messages, and the channels with theirs.
fn short(data: &Value) -> (String, i64, Vec<(String, i64)>) {
    let channels = data["channels"].as_array().expect("channels");
    let channels =
        channels.iter().map(|c| (text(&c["channel_id"]), c["messages"].as_i64().expect("a number")));
    (text(&data["user_id"]), data["messages"].as_i64().expect("a number"), channels.collect())
}

#[tokio::test]
async fn observers_are_told_once_of_a_user_for_all_messages_of_a_while() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c", "d"]).await;
    let (group, direct) = (app.group(&["a", "b", "c", "d"]).await, app.direct("a", "b").await);
    let observer = observer_of(&app, json!({})).await;
    let only_direct = observer_of(&app, json!({"channel_ids": [direct]})).await;
    let wish = json!({"ways": ["email"], "offline_priority": "urgent"});
    app.person("b").put("/users/me/notifications", wish).await.expect(200);
    app.gateway.answer(|batch| {
        let is_group = batch.deliveries.iter().any(|d| d.receivers.contains(&"d".to_owned()));
        if is_group {
            Answer::lists(&["d"], &["b"], &[], &[("c", "no device")])
        } else {
            Answer::all_except(&["b"], &[])
        }
    });
    app.say("a", &group, "one").await;
    app.say("a", &group, "two").await;
    let newest = app.say("a", &group, "three").await;
    let last = app.say("a", &direct, "four").await;
    app.settled().await;
    app.until(WAITING, 2).await;
    app.clock("4 minutes").await;
    app.settled().await;
    assert_eq!(app.count(WAITING, &[]).await, 2, "nothing before its time");
    assert_eq!(told(&observer), Vec::<Value>::new());

    app.clock("6 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 2, LONG).await;
    app.settled().await;
    let events = told(&observer);
    assert_eq!(short(&events[0]), ("b".to_owned(), 4, vec![(direct.clone(), 1), (group.clone(), 3)]));
    assert_eq!((&events[0]["priority"], &events[0]["ways"]), (&json!("urgent"), &json!(["email"])));
    assert_eq!((&events[1]["priority"], &events[1]["ways"]), (&json!("normal"), &Value::Null));
    let newest = json!({"ms_id": newest["ms_id"], "seq": 3, "sender": "a", "sender_name": "A", "server_time": newest["server_time"]});
    let rejected = json!([{"channel_id": group, "channel_type": "group", "channel_name": "a group",
                           "messages": 3, "rejected": 3, "newest": newest}]);
    assert_eq!((&events[1]["user_id"], &events[1]["channels"]), (&json!("c"), &rejected));
    only_direct.wait_for(|log| log.events().len() == 1, LONG).await;
    let of_direct = told(&only_direct);
    assert_eq!(short(&of_direct[0]), ("b".to_owned(), 1, vec![(direct.clone(), 1)]), "its channels only");
    assert_eq!(of_direct[0]["channels"][0]["newest"]["ms_id"], last["ms_id"]);

    // What was told of is not told of again, and a later message is.
    app.say("a", &direct, "five").await;
    app.settled().await;
    app.clock("20 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 3, LONG).await;
    app.settled().await;
    assert_eq!(short(&told(&observer)[1]), ("b".to_owned(), 1, vec![(direct, 1)]));
    assert_eq!(only_direct.read(|log| log.events().len()), 2);
}

#[tokio::test]
async fn it_stops_for_those_who_receive_read_or_leave_and_for_what_is_recalled() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    let all = &["boss", "gets", "reads", "reports", "quits", "leaves", "silent", "online", "gone"];
    app.people(all).await;
    let hr = app.client("hr", &["directory"]);
    let machine = json!({"users": [{"user_id": "bot", "name": "审批", "kind": "application"}]});
    hr.post("/directory/changes", machine).await.expect(200);
    let mut members = all.to_vec();
    members.push("bot");
    let (group, second, third) =
        (app.group(&members).await, app.group(&members).await, app.group(&["boss", "gone"]).await);
    let observer = observer_of(&app, json!({})).await;
    offline(&app, &["gets", "reads", "reports", "quits", "leaves", "silent", "online", "gone", "bot"]);
    let unwanted = json!({"offline_reminder": false});
    app.person("silent").put("/users/me/notifications", unwanted).await.expect(200);
    let ms_id = text(&app.say("boss", &group, "please").await["ms_id"]);
    let recalled = text(&app.say("boss", &second, "no").await["ms_id"]);
    app.say("boss", &third, "the end").await;
    app.settled().await;
    app.until(WAITING, 7).await;

    let hub = app.client("gw", &["gateway"]);
    let receipt = json!([{"ms_id": ms_id, "receiver": "gets", "status": "received"}]);
    hub.post("/receipts", receipt).await.expect(200);
    app.person("reads").post(&format!("/channels/{group}/read"), json!({"seq": 1})).await.expect(200);
    app.person("reports").post(&format!("/channels/{group}/received"), json!({"seq": 1})).await.expect(200);
    app.person("leaves").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    app.person("boss").post(&format!("/messages/{recalled}/recall"), json!({})).await.expect(200);
    app.person("boss").delete(&format!("/channels/{third}")).await.expect(204);
    let left = json!({"users": [{"user_id": "quits", "name": "Q", "active": false}]});
    hr.post("/directory/changes", left).await.expect(200);
    app.settled().await;
    app.clock("6 minutes").await;
    app.until(DONE, 0).await;
    let events = async |wanted: usize| {
        observer.wait_for(|log| log.events().len() >= wanted, LONG).await;
        app.settled().await;
        told(&observer).iter().map(short).collect::<Vec<_>>()
    };
    // "online" is not back yet.
    let of_group = |who: &str| (who.to_owned(), 1, vec![(group.clone(), 1)]);
    assert_eq!(events(2).await, [of_group("gone"), of_group("online")]);

    app.say("boss", &group, "again").await;
    app.settled().await;
    let back = json!({"gateway": "gw-1", "users": [{"user_id": "online", "status": "online"}]});
    app.client("gw", &["gateway"]).put("/presence", back).await.expect(200);
    // They are told of at their time, and "online" is back by then.
    let due = "UPDATE t_im_reminder SET due_at = im_clock() WHERE due_at IS NOT NULL";
    app.until(WAITING, 5).await;
    app.sql().await.execute(due, &[]).await.unwrap();
    app.until(DONE, 0).await;
    assert_eq!(
        events(6).await,
        [
            of_group("gets"),
            of_group("gone"),
            of_group("gone"),
            of_group("online"),
            of_group("reads"),
            of_group("reports")
        ]
    );
}

#[tokio::test]
async fn nothing_is_noted_while_no_observer_wants_it() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    offline(&app, &["b"]);
    app.say("a", &direct, "hello").await;
    app.settled().await;
    let noted = "SELECT (SELECT count(*) FROM t_im_unreached) + (SELECT count(*) FROM t_im_reminder)";
    assert_eq!(app.count(noted, &[]).await, 0);
}

#[tokio::test]
async fn a_reminder_comes_after_quiet_hours_also_in_the_night_of_the_autumn_change() {
    let mut app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let observer = observer_of(&app, json!({})).await;
    let night = json!({"quiet": [{"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}]});
    app.person("b").put("/users/me/notifications", night).await.expect(200);
    offline(&app, &["b", "c"]);
    // Before midnight, in summer time; the clock goes back in this night.
    clock_at(&mut app, "2026-10-24 21:00Z").await;
    app.say("a", &group, "late").await;
    app.settled().await;
    app.until(WAITING, 2).await;
    clock_at(&mut app, "2026-10-24 21:06Z").await;
    observer.wait_for(|log| log.events().len() == 1, LONG).await;
    assert_eq!(short(&told(&observer)[0]).0, "c");
    let until = "SELECT count(*) FROM t_im_reminder WHERE user_id = 'b' AND due_at = '2026-10-25 06:00Z'";
    app.until(until, 1).await;
    // 6:30 in Berlin, where it would be 7:30 without the change.
    clock_at(&mut app, "2026-10-25 05:30Z").await;
    app.say("a", &group, "early").await;
    app.settled().await;
    assert_eq!(app.count(until, &[]).await, 1);
    clock_at(&mut app, "2026-10-25 06:01Z").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 3, LONG).await;
    app.settled().await;
    let events: Vec<_> = told(&observer).iter().map(short).collect();
    let of = |who: &str, messages: i64| (who.to_owned(), messages, vec![(group.clone(), messages)]);
    assert_eq!(events, [of("b", 2), of("c", 1), of("c", 1)]);
}

#[tokio::test]
async fn between_two_reminders_of_a_user_is_their_every_s() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let observer = observer_of(&app, json!({})).await;
    app.person("b").put("/users/me/notifications", json!({"every_s": 3_600})).await.expect(200);
    offline(&app, &["b"]);
    app.say("a", &direct, "one").await;
    app.settled().await;
    app.until(WAITING, 1).await;
    app.clock("6 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 1, LONG).await;
    app.say("a", &direct, "two").await;
    app.settled().await;
    app.until(WAITING, 1).await;
    app.clock("30 minutes").await;
    let later = "SELECT count(*) FROM t_im_reminder WHERE due_at > im_clock() + interval '30 minutes'";
    app.until(later, 1).await;
    app.clock("70 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 2, LONG).await;
    // Afterwards the time of the last one is forgotten.
    assert_eq!(app.count("SELECT count(*) FROM t_im_reminder", &[]).await, 1);
    let now = app.store.now().await.unwrap() + time::Duration::days(2);
    assert_eq!(im_push_gateway::delivery::reminder::prune(&app.store, now, 100).await.unwrap(), 1);
}

#[tokio::test]
async fn a_clock_that_steps_back_neither_hurries_nor_delays_a_reminder() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.clock("1 hour").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let observer = observer_of(&app, json!({})).await;
    offline(&app, &["b"]);
    app.say("a", &direct, "one").await;
    app.settled().await;
    app.until(WAITING, 1).await;
    app.clock("0").await;
    let redated = "SELECT count(*) FROM t_im_reminder \
                   WHERE due_at BETWEEN im_clock() + interval '3 minutes' AND im_clock() + interval '5 minutes'";
    app.until(redated, 1).await;
    assert_eq!(told(&observer).len(), 0);
    app.clock("6 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 1, LONG).await;
}

#[tokio::test]
async fn a_verdict_that_comes_again_is_not_told_of_again() {
    let mut app = TestApp::start_with(&format!("nudge_every_ms = 0\n{OPEN}")).await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let observer = observer_of(&app, json!({})).await;
    offline(&app, &["b"]);
    let ms_id = text(&app.say("a", &direct, "one").await["ms_id"]);
    app.settled().await;
    app.until(WAITING, 1).await;
    app.clock("6 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| log.events().len() == 1, LONG).await;
    // One more push, and b is offline again.
    app.person("a").post(&format!("/messages/{ms_id}/nudge"), json!(null)).await.expect(200);
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.seen(&ms_id, "b")), 2);
    assert_eq!(app.count(DONE, &[]).await, 0);
}
