//! Settings of users and of members: how pushes are marked, and what comes first in the list of conversations.

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::gateway::SECRET;
use crate::support::{Client, Record};

const NOTIFICATIONS: &str = "/users/me/notifications";

/// Quiet at night, in Berlin.
fn at_night() -> Value {
    json!({"quiet": [{"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}]})
}

/// Moves the clock of the database to a time, and begins anew.
pub async fn clock_at(app: &mut TestApp, time: &str) {
    app.gateway.ignore_time();
    let seconds = format!("SELECT extract(epoch FROM '{time}'::timestamptz - now())::bigint");
    let seconds = app.count(&seconds, &[]).await;
    app.clock(&format!("{seconds} seconds")).await;
}

/// Sends a message, and returns how it was marked for each of these receivers.
async fn marks(app: &TestApp, sender: &str, channel: &str, receivers: &[&str]) -> Vec<&'static str> {
    let ms_id = text(&app.say(sender, channel, "hello").await["ms_id"]);
    let all = |r: &Record| receivers.iter().all(|who| r.seen(&ms_id, who) > 0);
    app.gateway.wait_for(all, LONG).await;
    app.settled().await;
    app.gateway.read(|r| receivers.iter().flat_map(|who| r.marks(&ms_id, who)).collect())
}

async fn set(client: &Client, channel: &str, settings: Value) -> Value {
    client.put(&format!("/channels/{channel}/settings"), settings).await.expect(200)
}

/// The channels of a person's list, in order.
async fn listed(app: &TestApp, person: &str) -> Vec<String> {
    let items = app.all(&app.person(person), "/conversations?limit=200").await;
    items.iter().map(|item| text(&item["channel_id"])).collect()
}

#[tokio::test]
async fn settings_are_replaced_as_a_whole_and_have_defaults() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let defaults = json!({
        "quiet": [], "every_s": 0, "ways": [], "offline_reminder": true, "offline_priority": "normal"
    });
    assert_eq!(a.get(NOTIFICATIONS).await.expect(200), defaults);
    let wanted = json!({
        "quiet": [{"from": "22:00", "to": "07:00", "days": ["fri", "sat"], "time_zone": "Asia/Shanghai"}],
        "every_s": 60, "ways": ["sms", "email"], "offline_reminder": false, "offline_priority": "urgent"
    });
    assert_eq!(a.put(NOTIFICATIONS, wanted.clone()).await.expect(200), wanted);
    assert_eq!(a.get(NOTIFICATIONS).await.expect(200), wanted);
    assert_eq!(b.get(NOTIFICATIONS).await.expect(200), defaults, "settings of another person");
    assert_eq!(a.put(NOTIFICATIONS, json!({"quiet": null})).await.expect(200), defaults);

    let channel = app.direct("a", "b").await;
    let path = format!("/channels/{channel}/settings");
    let nothing = json!({"muted": false, "mute_until": null, "pinned": false, "remark": null});
    assert_eq!(a.get(&path).await.expect(200), nothing);
    let muted = set(&a, &channel, json!({"mute_until": "2999-01-01T00:00:00Z", "remark": "老王"})).await;
    assert_eq!(
        (&muted["muted"], &muted["pinned"], &muted["remark"]),
        (&json!(true), &json!(false), &json!("老王"))
    );
    assert_eq!(a.get(&path).await.expect(200), muted);
    assert_eq!(b.get(&path).await.expect(200), nothing, "settings of the other member");
    assert_eq!(set(&a, &channel, json!({})).await, nothing);
}

#[tokio::test]
async fn what_is_wrong_in_settings_is_named_and_changes_nothing() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let a = app.person("a");
    let quiet = |field: &str, value: Value| {
        let mut quiet = json!({"from": "22:00", "to": "07:00", "time_zone": "UTC"});
        quiet[field] = value;
        json!({"quiet": [{"from": "00:00", "to": "01:00", "time_zone": "UTC"}, quiet]})
    };
    let window = json!({"from": "22:00", "to": "07:00", "time_zone": "UTC"});
    let wrong = [
        (quiet("from", json!("24:00")), "/quiet/1/from"),
        (quiet("to", json!("7:00")), "/quiet/1/to"),
        (quiet("time_zone", json!("Mars/Base")), "/quiet/1/time_zone"),
        (quiet("days", json!(["mon", "someday"])), "/quiet/1/days/1"),
        (quiet("days", json!([])), "/quiet/1/days"),
        (quiet("until", json!("07:00")), "/quiet/1/until"),
        (json!({"quiet": vec![window; 11]}), "/quiet"),
        (json!({"every_s": 86_401}), "/every_s"),
        (json!({"every_s": -1}), "/every_s"),
        (json!({"ways": ["E-Mail"]}), "/ways/0"),
        (json!({"ways": ["sms", "sms"]}), "/ways"),
        (json!({"ways": (0..11).map(|n| n.to_string()).collect::<Vec<_>>()}), "/ways"),
        (json!({"offline_priority": "high"}), "/offline_priority"),
    ];
    let before = a.get(NOTIFICATIONS).await.expect(200);
    for (body, pointer) in wrong {
        let problem = a.put(NOTIFICATIONS, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    assert_eq!(a.get(NOTIFICATIONS).await.expect(200), before);

    let channel = app.direct("a", "b").await;
    let path = format!("/channels/{channel}/settings");
    let wrong = [
        (json!({"muted": false, "mute_until": "2999-01-01T00:00:00Z"}), "/mute_until"),
        (json!({"mute_until": "2020-01-01T00:00:00Z"}), "/mute_until"),
        (json!({"mute_until": "tomorrow"}), "/mute_until"),
        (json!({"remark": "\u{200b}"}), "/remark"),
        (json!({"pinned": "yes"}), "/pinned"),
    ];
    for (body, pointer) in wrong {
        let problem = a.put(&path, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let stranger = app.person("c");
    stranger.get(&path).await.expect_problem(404, "not-found");
    stranger.put(&path, json!({"pinned": true})).await.expect_problem(404, "not-found");
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel_preference", &[]).await, 0);
}

#[tokio::test]
async fn pinned_conversations_come_first() {
    let app = TestApp::start_with("pinned_max = 2").await;
    app.people(&["ann", "p1", "p2", "p3", "p4", "p5"]).await;
    let ann = app.person("ann");
    let mut channels = Vec::new();
    for other in ["p1", "p2", "p3", "p4", "p5"] {
        channels.push(app.direct(other, "ann").await);
        app.say(other, channels.last().expect("a channel"), "hello").await;
    }
    let of = |places: &[usize]| places.iter().map(|place| channels[*place].clone()).collect::<Vec<_>>();
    assert_eq!(listed(&app, "ann").await, of(&[4, 3, 2, 1, 0]));
    ann.post(&format!("/channels/{}/read", channels[1]), json!({"seq": 1})).await.expect(200);
    set(&ann, &channels[0], json!({"pinned": true})).await;
    set(&ann, &channels[1], json!({"pinned": true, "muted": true, "remark": "二号"})).await;
    assert_eq!(
        listed(&app, "ann").await,
        of(&[0, 1, 4, 3, 2]),
        "within the pinned ones, unread ones come first"
    );
    let shown = app.conversation("ann", &channels[1]).await;
    assert_eq!(
        (&shown["pinned"], &shown["muted"], &shown["mute_until"], &shown["remark"]),
        (&json!(true), &json!(true), &Value::Null, &json!("二号"))
    );
    let shown = app.conversation("p2", &channels[1]).await;
    assert_eq!((&shown["pinned"], &shown["remark"]), (&json!(false), &Value::Null), "of the other member");

    let path = format!("/channels/{}/settings", channels[2]);
    let problem = ann.put(&path, json!({"pinned": true})).await.expect_problem(409, "conflict");
    assert!(text(&problem["detail"]).contains("unpin one first"), "{problem}");
    set(&ann, &channels[1], json!({"pinned": true})).await;
    set(&ann, &channels[0], json!({})).await;
    ann.put(&path, json!({"pinned": true})).await.expect(200);
    assert_eq!(listed(&app, "ann").await, of(&[2, 1, 4, 3, 0]));
}

#[tokio::test]
async fn a_conversation_that_is_pinned_between_two_pages_is_on_one_of_them() {
    let app = TestApp::start().await;
    app.people(&["ann", "p1", "p2", "p3", "p4", "p5"]).await;
    let ann = app.person("ann");
    let mut channels = Vec::new();
    for other in ["p1", "p2", "p3", "p4", "p5"] {
        channels.push(app.direct(other, "ann").await);
        app.say(other, channels.last().expect("a channel"), "hello").await;
    }
    // Long ago, so that the first page alone shows nothing as changed.
    let age = "UPDATE t_im_channel SET last_server_time = last_server_time - interval '1 hour'";
    app.sql().await.execute(age, &[]).await.unwrap();
    let age = "UPDATE t_im_channel_user SET joined_at = joined_at - interval '1 day'";
    app.sql().await.execute(age, &[]).await.unwrap();
    let page = ann.get("/conversations?limit=2").await.expect(200);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    // The last one moves to the front, which has been read.
    set(&ann, &channels[0], json!({"pinned": true})).await;
    let mut seen: Vec<String> =
        page["items"].as_array().expect("items").iter().map(|item| text(&item["channel_id"])).collect();
    let mut cursor = page["next_cursor"].clone();
    while let Some(next) = cursor.as_str() {
        let page = ann.get(&format!("/conversations?limit=2&cursor={next}")).await.expect(200);
        seen.extend(page["items"].as_array().expect("items").iter().map(|item| text(&item["channel_id"])));
        cursor = page["next_cursor"].clone();
    }
    for channel in &channels {
        assert!(seen.contains(channel), "{channel} is not in {seen:?}");
    }
}

#[tokio::test]
async fn a_muted_channel_is_pushed_silently_to_those_who_muted_it() {
    let mut app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    let group = app.group(&["a", "b", "c", "d"]).await;
    let direct = app.direct("a", "b").await;
    assert_eq!(marks(&app, "a", &group, &["b", "c", "d"]).await, ["normal", "normal", "normal"]);
    set(&app.person("b"), &group, json!({"muted": true})).await;
    // For half an hour, by the clock of the database.
    let until = "SELECT to_char(im_clock() AT TIME ZONE 'UTC' + interval '30 minutes', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let until: String = app.sql().await.query_one(until, &[]).await.unwrap().get(0);
    set(&app.person("c"), &group, json!({"mute_until": until})).await;
    assert_eq!(marks(&app, "a", &group, &["b", "c", "d"]).await, ["silent", "silent", "normal"]);
    assert_eq!(marks(&app, "a", &direct, &["b"]).await, ["normal"], "another channel");
    let entry = app
        .gateway
        .read(|r| r.batches().find(|b| b.channels().contains(&*group)).map(|b| b.deliveries.len()));
    assert_eq!(entry, Some(1), "without marks, receivers of one message share an entry");

    app.gateway.ignore_time();
    app.clock("31 minutes").await;
    assert_eq!(marks(&app, "a", &group, &["b", "c", "d"]).await, ["silent", "normal", "normal"]);
    let shown = app.person("c").get(&format!("/channels/{group}/settings")).await.expect(200);
    assert_eq!((&shown["muted"], &shown["mute_until"]), (&json!(false), &Value::Null));
    set(&app.person("b"), &group, json!({})).await;
    assert_eq!(marks(&app, "a", &group, &["b", "c", "d"]).await, ["normal", "normal", "normal"]);
    let received = "SELECT count(*) FROM t_im_message_push WHERE status = 1";
    assert_eq!(app.count(received, &[]).await, 13, "nothing was withheld");
}

#[tokio::test]
async fn quiet_hours_follow_the_clock_of_the_person_also_in_the_night_of_autumn() {
    let mut app = TestApp::start().await;
    clock_at(&mut app, "2026-10-24 19:50Z").await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    app.person("b").put(NOTIFICATIONS, at_night()).await.expect(200);
    // In Berlin it is 21:50. On this night the clock goes back from 3:00 to 2:00.
    assert_eq!(marks(&app, "a", &group, &["b", "c"]).await, ["normal", "normal"]);
    for (time, of_b) in [
        ("2026-10-24 20:05Z", "silent"),
        ("2026-10-24 22:30Z", "silent"),
        ("2026-10-25 05:40Z", "silent"),
        ("2026-10-25 06:05Z", "normal"),
        ("2026-10-25 20:50Z", "normal"),
        ("2026-10-25 21:05Z", "silent"),
    ] {
        clock_at(&mut app, time).await;
        assert_eq!(marks(&app, "a", &group, &["b", "c"]).await, [of_b, "normal"], "{time}");
    }
    let received = "SELECT count(*) FROM t_im_message_push WHERE status = 1";
    assert_eq!(app.count(received, &[]).await, 14, "nothing was withheld");
}

#[tokio::test]
async fn a_person_is_not_alerted_more_often_than_wished() {
    let mut app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (group, direct) = (app.group(&["a", "b", "c"]).await, app.direct("a", "b").await);
    app.person("b").put(NOTIFICATIONS, json!({"every_s": 600})).await.expect(200);
    assert_eq!(marks(&app, "a", &group, &["b", "c"]).await, ["normal", "normal"]);
    assert_eq!(marks(&app, "a", &direct, &["b"]).await, ["silent"], "in any channel");
    assert_eq!(marks(&app, "a", &group, &["b", "c"]).await, ["silent", "normal"]);
    app.gateway.ignore_time();
    app.clock("11 minutes").await;
    assert_eq!(marks(&app, "a", &direct, &["b"]).await, ["normal"]);
    assert_eq!(marks(&app, "a", &direct, &["b"]).await, ["silent"]);
    // The clock steps back: nothing is silent until it comes by again.
    app.clock("0").await;
    assert_eq!(marks(&app, "a", &direct, &["b"]).await, ["normal"]);
    // Of several in one batch, the first is audible.
    app.clock("30 minutes").await;
    app.gateway.down();
    let mut ms_ids = Vec::new();
    for words in ["one", "two", "three"] {
        ms_ids.push(text(&app.say("a", &direct, words).await["ms_id"]));
    }
    app.gateway.up();
    app.settled().await;
    let all: Vec<_> = app.gateway.read(|r| ms_ids.iter().flat_map(|id| r.marks(id, "b")).collect());
    assert_eq!(all.iter().filter(|mark| **mark == "normal").count(), 1, "{all:?}");
    assert_eq!(all[0], "normal");
}

#[tokio::test]
async fn settings_count_on_every_replica_at_once() {
    let app = TestApp::start().await;
    let gateway = format!("callback_url = \"{}\"\ncallback_secrets = [\"{SECRET}\"]\n", app.gateway.url());
    let other = TestApp::start_on(app.database.clone(), &gateway).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let whole_day = json!({"quiet": [{"from": "00:00", "to": "00:00", "time_zone": "UTC"}]});
    for round in 0..6 {
        let (wanted, mark) =
            if round % 2 == 0 { (whole_day.clone(), "silent") } else { (json!({}), "normal") };
        let setter = if round % 4 < 2 { &app } else { &other };
        setter.person("b").put(NOTIFICATIONS, wanted).await.expect(200);
        for sender in [&app, &other] {
            let ms_id = text(&sender.say("a", &channel, "hello").await["ms_id"]);
            app.gateway.wait_for(|r| r.seen(&ms_id, "b") > 0, LONG).await;
            assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "b")), [mark], "round {round}");
        }
    }
}
