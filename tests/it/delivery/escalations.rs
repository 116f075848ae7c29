//! Receivers who have not read: one more push for exactly these, then observers are told of them.

pub mod killed;
mod nudges;
mod urgent;

use serde_json::{Value, json};

use crate::api::contract;
use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::people::preferences::clock_at;
use crate::support::{Observer, Record, shared};

/// No step is left, and nothing is queued or told.
const DONE: &str = "SELECT (SELECT count(*) FROM t_im_escalation) + (SELECT count(*) FROM v_im_push_item) \
     + (SELECT count(*) FROM t_im_event_new)";

/// One more push after ten minutes, and an event after an hour.
fn steps() -> Value {
    json!([{"after_s": 600, "priority": "urgent"}, {"after_s": 3_600, "event": true}])
}

/// Sends a text with more fields, and returns its id.
async fn say_with(app: &TestApp, sender: &str, channel: &str, more: Value) -> String {
    let mut body = json!({"type": "text", "content": {"text": "please confirm"}});
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    let sent = app.person(sender).post(&format!("/channels/{channel}/messages"), body).await;
    text(&sent.expect(201)["ms_id"])
}

async fn read(app: &TestApp, reader: &str, channel: &str, seq: i64) {
    app.person(reader).post(&format!("/channels/{channel}/read"), json!({"seq": seq})).await.expect(200);
}

/// An observer of the unread.
async fn observer_of(app: &TestApp) -> Observer {
    let observer = Observer::start();
    let body = json!({"url": observer.url(), "event_types": ["message.unread"]});
    app.client("root", &["admin"]).post("/callbacks", body).await.expect(201);
    observer
}

/// Of whom an observer was told about a message: reason, seconds, receivers. Each event is as documented.
fn told(observer: &Observer, ms_id: &str) -> Vec<(String, i64, Vec<Value>)> {
    let events: Vec<_> = observer.read(|log| log.events().to_vec());
    let of_message = events.into_iter().filter(|event| event.data["ms_id"] == ms_id);
    let told = |event: crate::support::ObservedEvent| {
        let shown = json!({
            "event_id": event.event_id.to_string(), "type": event.what, "at": event.at,
            "channel_id": event.channel_id, "channel_type": event.channel_type,
            "channel_name": event.channel_name, "data": event.data
        });
        contract::assert_fits("MessageUnreadEvent", &shown);
        let receivers = event.data["receivers"].as_array().expect("receivers").clone();
        assert_eq!(event.data["people"], receivers.len());
        (text(&event.data["reason"]), event.data["after_s"].as_i64().expect("seconds"), receivers)
    };
    of_message.map(told).collect()
}

fn marks(record: &Record, ms_id: &str, receivers: &[&str]) -> Vec<Vec<&'static str>> {
    receivers.iter().map(|who| record.marks(ms_id, who)).collect()
}

#[tokio::test]
async fn those_who_have_not_read_get_one_more_push_and_then_observers_are_told() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c", "d", "e"]).await;
    let group = app.group(&["a", "b", "c", "d", "e"]).await;
    let observer = observer_of(&app).await;
    app.person("e").put("/users/me/notifications", json!({"ways": ["sms", "email"]})).await.expect(200);
    let ms_id = say_with(&app, "a", &group, json!({"escalate": steps()})).await;
    let plain = text(&app.say("a", &group, "no hurry").await["ms_id"]);
    app.settled().await;
    read(&app, "b", &group, 1).await;
    app.clock("9 minutes").await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_escalation", &[]).await, 2, "nothing before its time");

    app.clock("11 minutes").await;
    app.until("SELECT count(*) FROM t_im_escalation", 1).await;
    app.settled().await;
    let twice = vec!["normal", "urgent"];
    let once = vec!["normal"];
    let got = |app: &TestApp| app.gateway.read(|r| marks(r, &ms_id, &["b", "c", "d", "e"]));
    assert_eq!(got(&app), [once.clone(), twice.clone(), twice.clone(), twice.clone()]);
    // c reads it late, by a receipt of the gateway, and d reads on.
    let receipt = json!([{"ms_id": ms_id, "receiver": "c", "status": "read"}]);
    app.client("gw", &["gateway"]).post("/receipts", receipt).await.expect(200);
    read(&app, "d", &group, 2).await;

    app.clock("61 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    app.settled().await;
    assert_eq!(
        told(&observer, &ms_id),
        [("escalation".to_owned(), 3_600, vec![json!({"user_id": "e", "ways": ["sms", "email"]})])]
    );
    assert_eq!(got(&app), [once.clone(), twice.clone(), twice.clone(), twice], "nothing more is pushed");
    assert_eq!(app.gateway.read(|r| marks(r, &plain, &["b", "c", "d", "e"])), vec![once; 4]);
    assert_eq!(observer.read(|log| log.events().len()), 1);
}

#[tokio::test]
async fn a_step_ends_for_leavers_for_recalled_messages_and_with_the_channel() {
    let mut app = TestApp::start_with(OPEN).await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c", "d"]).await;
    let hr = app.client("hr", &["directory"]);
    let machine = json!({"users": [{"user_id": "bot", "name": "审批", "kind": "application"}]});
    hr.post("/directory/changes", machine).await.expect(200);
    let observer = observer_of(&app).await;
    let escalate =
        json!({"escalate": [{"after_s": 60, "priority": "urgent"}, {"after_s": 61, "event": true}]});
    let mut sent = Vec::new();
    let mut groups = Vec::new();
    for _ in 0..4 {
        let group = app.group(&["a", "b", "c", "d", "bot"]).await;
        sent.push(say_with(&app, "a", &group, escalate.clone()).await);
        groups.push(group);
    }
    app.settled().await;
    let a = app.person("a");
    // b leaves the first group and c leaves and comes back, with nothing unread; the second message is recalled, and the third group ends.
    app.person("b").post(&format!("/channels/{}/leave", groups[0]), json!({})).await.expect(204);
    app.person("c").post(&format!("/channels/{}/leave", groups[0]), json!({})).await.expect(204);
    a.post(&format!("/channels/{}/members", groups[0]), json!({"user_ids": ["c"]})).await.expect(200);
    a.post(&format!("/messages/{}/recall", sent[1]), json!({})).await.expect(200);
    a.delete(&format!("/channels/{}", groups[2])).await.expect(204);
    // d leaves the company.
    let gone = json!({"users": [{"user_id": "d", "name": "D", "active": false}]});
    hr.post("/directory/changes", gone).await.expect(200);

    app.clock("2 minutes").await;
    app.until(DONE, 0).await;
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    app.settled().await;
    let urged = |app: &TestApp, place: usize| -> Vec<&str> {
        let all = ["b", "c", "d", "bot"];
        let is_urged = |who: &&str| app.gateway.read(|r| r.marks(&sent[place], who).contains(&"urgent"));
        all.into_iter().filter(is_urged).collect()
    };
    assert_eq!(app.unread("c", &groups[0]).await, 0);
    assert_eq!(urged(&app, 0), [""; 0], "c has nothing unread");
    assert_eq!(urged(&app, 1), [""; 0], "recalled");
    assert_eq!(urged(&app, 2), [""; 0], "dissolved");
    assert_eq!(urged(&app, 3), ["b", "c"]);
    let told = told(&observer, &sent[3]);
    assert_eq!(told.len(), 1);
    assert_eq!(json!(told[0].2), json!([{"user_id": "b"}, {"user_id": "c"}]));
    assert_eq!(observer.read(|log| log.events().len()), 1);
}

#[tokio::test]
async fn what_is_wrong_in_an_urgent_send_is_named_and_nothing_is_sent() {
    let app = TestApp::start_with("escalate_within_days = 2").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let path = format!("/channels/{direct}/messages");
    let wrong = [
        (json!({"priority": "high"}), "/priority"),
        (json!({"escalate": [{"after_s": 9, "event": true}]}), "/escalate/0/after_s"),
        (json!({"escalate": [{"after_s": 172_801, "event": true}]}), "/escalate/0/after_s"),
        (
            json!({"escalate": [{"after_s": 60, "event": true}, {"after_s": 60, "event": true}]}),
            "/escalate/1/after_s",
        ),
        (json!({"escalate": [{"after_s": 60}]}), "/escalate/0"),
        (json!({"escalate": [{"after_s": 60, "sms": true}]}), "/escalate/0/sms"),
        (json!({"escalate": 60}), "/escalate"),
    ];
    let a = app.person("a");
    for (more, pointer) in wrong {
        let mut body = json!({"type": "text", "content": {"text": "x"}});
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let problem = a.post(&path, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{more}");
        body["channel_id"] = json!(direct);
        let results = a.post("/messages", json!([body])).await.expect(200);
        assert_eq!(results["results"][0]["problem"]["pointer"], format!("/0{pointer}"), "{more}");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
}

#[tokio::test]
async fn a_repeated_send_has_its_steps_once() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let path = format!("/channels/{direct}/messages");
    let body = |more: Value| {
        let mut body = json!({"client_id": "one", "type": "text", "content": {"text": "x"}});
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        body
    };
    let escalated = body(json!({"escalate": steps()}));
    let a = app.person("a");
    let first = a.post(&path, escalated.clone()).await.expect(201);
    let again = a.post(&path, escalated).await.expect(200);
    assert_eq!((&again["ms_id"], &again["repeated"]), (&first["ms_id"], &json!(true)));
    for other in
        [json!({}), json!({"priority": "urgent", "escalate": steps()}), json!({"escalate": [steps()[0]]})]
    {
        a.post(&path, body(other)).await.expect_problem(409, "client-id-reused");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_escalation", &[]).await, 2);
    // A plain send is what it always was: an urgency of no effect changes nothing.
    let plain = json!({"client_id": "two", "type": "text", "content": {"text": "x"}});
    a.post(&path, plain.clone()).await.expect(201);
    let mut same = plain;
    same["priority"] = json!("normal");
    same["escalate"] = json!([]);
    a.post(&path, same).await.expect(200);
}

#[tokio::test]
async fn of_many_sends_each_has_its_own_steps() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let item = |channel: &str, escalate: Value| json!({"channel_id": channel, "type": "text", "content": {"text": "x"}, "escalate": escalate});
    let soon = json!([{"after_s": 60, "priority": "urgent"}]);
    let late = json!([{"after_s": 7_200, "priority": "urgent"}]);
    let unknown = "999999";
    let sends = json!([
        item(&one, json!(null)),
        item(unknown, soon.clone()),
        item(&two, soon.clone()),
        item(&one, late),
        item(&one, soon),
    ]);
    let results = app.person("a").post("/messages", sends).await.expect(200);
    let ms_ids: Vec<String> = results["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["ms_id"].as_str().unwrap_or_default().to_owned())
        .collect();
    app.settled().await;
    app.clock("2 minutes").await;
    app.until("SELECT count(*) FROM t_im_escalation", 1).await;
    app.settled().await;
    let of = |place: usize, who: &str| app.gateway.read(|r| r.marks(&ms_ids[place], who));
    assert_eq!(of(0, "b"), ["normal"]);
    assert_eq!(of(2, "c"), ["normal", "urgent"]);
    assert_eq!(of(3, "b"), ["normal"]);
    assert_eq!(of(4, "b"), ["normal", "urgent"]);
}

#[tokio::test]
async fn one_more_push_goes_after_the_first_ones_and_not_to_those_who_read_meanwhile() {
    let mut app = TestApp::start_with("callback_breaker_failures = 1000").await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    // The gateway is away, and its first pushes wait.
    app.gateway.down();
    let mut ms_ids = Vec::new();
    for _ in 0..3 {
        ms_ids.push(
            say_with(&app, "a", &group, json!({"escalate": [{"after_s": 60, "priority": "urgent"}]})).await,
        );
    }
    app.clock("2 minutes").await;
    app.until("SELECT count(*) FROM t_im_escalation", 0).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_queue WHERE urgent", &[]).await, 3);
    read(&app, "b", &group, 2).await;
    app.gateway.up();
    app.until(DONE, 0).await;
    app.settled().await;
    for (place, of_b) in [vec!["normal"], vec!["normal"], vec!["normal", "urgent"]].into_iter().enumerate() {
        let got = app.gateway.read(|r| marks(r, &ms_ids[place], &["b", "c"]));
        assert_eq!(got, [of_b, vec!["normal", "urgent"]], "message {place}");
    }
    let seqs = app.gateway.read(|r| r.first_sightings(&group).into_iter().map(|s| s.0).collect::<Vec<_>>());
    assert!(seqs.is_sorted(), "{seqs:?}");
}

#[tokio::test]
async fn a_receiver_who_answers_later_is_urged_later() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let ms_id =
        say_with(&app, "a", &direct, json!({"escalate": [{"after_s": 60, "priority": "urgent"}]})).await;
    app.settled().await;
    let urgent = |batch: &crate::support::Batch| batch.deliveries.iter().any(|d| !d.urgent.is_empty());
    let (mut tries, is_urgent) = (0, urgent);
    let counted = std::sync::Mutex::new(move |batch: &crate::support::Batch| {
        tries += i32::from(is_urgent(batch));
        tries
    });
    app.gateway.answer(move |batch| match counted.lock().expect("no panic")(batch) {
        1 => crate::support::Answer::all_except(&[], &["b"]),
        _ => crate::support::Answer::All,
    });
    app.clock("2 minutes").await;
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(
        app.gateway.read(|r| r.marks(&ms_id, "b")),
        ["normal", "urgent", "urgent"],
        "retry keeps the mark"
    );
}

#[tokio::test]
async fn a_clock_that_steps_back_neither_hurries_nor_delays_a_step() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.clock("1 hour").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let ms_id =
        say_with(&app, "a", &direct, json!({"escalate": [{"after_s": 600, "priority": "urgent"}]})).await;
    app.settled().await;
    app.clock("0").await;
    let redated = "SELECT count(*) FROM t_im_escalation \
                   WHERE due_at BETWEEN im_clock() + interval '8 minutes' AND im_clock() + interval '10 minutes'";
    app.until(redated, 1).await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "b")), ["normal"]);
    app.clock("11 minutes").await;
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.marks(&ms_id, "b")), ["normal", "urgent"]);
}

#[tokio::test]
async fn a_read_under_way_counts_and_a_later_one_waits() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let ms_id =
        say_with(&app, "a", &group, json!({"escalate": [{"after_s": 60, "priority": "urgent"}]})).await;
    app.settled().await;
    // b has read when the step begins, and the commit comes while it runs.
    let mut reader = app.sql().await;
    let reading = reader.transaction().await.unwrap();
    let moved = "UPDATE t_im_channel_user SET read_seq = 1 WHERE user_id = 'b'";
    assert_eq!(reading.execute(moved, &[]).await.unwrap(), 1);
    app.clock("2 minutes").await;
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
        app.database
    );
    app.until(&waits, 1).await;
    reading.commit().await.unwrap();
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(
        app.gateway.read(|r| marks(r, &ms_id, &["b", "c"])),
        [vec!["normal"], vec!["normal", "urgent"]]
    );

    // A step that is under way: who reads now reads after it.
    let step = "INSERT INTO t_im_escalation (ms_id, channel_id, seq, kind, after_s, due_at, set_at) \
                SELECT ms_id, channel_id, seq, 'event', 0, 'infinity', server_time FROM t_im_message RETURNING escalation_id";
    let mut worker = app.sql().await;
    let step: i64 = worker.query_one(step, &[]).await.unwrap().get(0);
    let working = worker.transaction().await.unwrap();
    let unread = include_str!("../../../sql/delivery/escalation/unread.sql");
    let found: Vec<String> = working.query_one(unread, &[&vec![step]]).await.unwrap().get("user_ids");
    assert_eq!(found, ["c"]);
    let (path, c) = (format!("/channels/{group}/read"), app.person("c"));
    let late = tokio::spawn(async move { c.post(&path, json!({"seq": 1})).await.expect(200) });
    app.until(&waits, 1).await;
    assert!(!late.is_finished());
    working.rollback().await.unwrap();
    late.await.unwrap();
    assert!(worker.query_opt(unread, &[&vec![step]]).await.unwrap().is_none());
}

#[tokio::test]
async fn reads_do_not_wait_while_a_step_waits_for_the_counts() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let ms_id =
        say_with(&app, "a", &group, json!({"escalate": [{"after_s": 60, "priority": "urgent"}]})).await;
    app.settled().await;
    let mut counting = app.sql().await;
    let counting = counting.transaction().await.unwrap();
    counting.execute("SELECT pg_advisory_xact_lock(hashtext('im_urgent'))", &[]).await.unwrap();
    app.clock("2 minutes").await;
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'advisory'",
        app.database
    );
    app.until(&waits, 1).await;
    read(&app, "b", &group, 1).await;
    counting.rollback().await.unwrap();
    app.until(DONE, 0).await;
    app.settled().await;
    assert_eq!(
        app.gateway.read(|r| marks(r, &ms_id, &["b", "c"])),
        [vec!["normal"], vec!["normal", "urgent"]]
    );
}

#[tokio::test]
async fn one_more_push_waits_for_earlier_sends_alone_whatever_the_clock_says() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    app.say("a", &direct, "please").await;
    app.settled().await;
    app.halt().await;
    // A commit whose ids are lower than that of the message: the clock has stepped back since.
    let sql = app.sql().await;
    let commit = "INSERT INTO t_im_push_commit (pairs, bytes, from_ms_id, held, queued_at, items) \
                  VALUES (1, 1, 1, false, im_clock(), '{}')";
    let urge = async || {
        let item = "SELECT json_agg(json_build_object('channel_id', channel_id, 'seq', seq, 'ms_id', ms_id, 'block', 0, \
                                                      'bytes', 1, 'receivers', ARRAY['b']))::text FROM t_im_message";
        let item: String = sql.query_one(item, &[]).await.unwrap().get(0);
        let push = include_str!("../../../sql/delivery/escalation/push.sql").replace("$1", "$1::text");
        let now = app.store.now().await.unwrap();
        sql.execute(&push, &[&item, &now]).await.unwrap();
    };
    let claimed = async || -> i64 {
        let claim = include_str!("../../../sql/delivery/push/claim_new.sql");
        let now = app.store.now().await.unwrap();
        let (batch, most) = (uuid::Uuid::now_v7(), 1_000);
        let taken = sql.query(claim, &[&"gateway", &batch, &now, &now, &most, &most, &most]).await.unwrap();
        taken.len() as i64
    };
    sql.execute(commit, &[]).await.unwrap();
    urge().await;
    assert_eq!(claimed().await, 0, "a send from before goes first");
    sql.execute("DELETE FROM t_im_push_commit", &[]).await.unwrap();
    sql.execute(commit, &[]).await.unwrap();
    assert_eq!(claimed().await, 1, "a later one does not hold it up");
}

#[tokio::test]
async fn a_day_does_not_move_while_a_step_of_it_waits() {
    let mut aged = crate::archive::moving::Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["a", "b"]).await;
    let direct = aged.direct("a", "b").await;
    let ms_id =
        say_with(&aged, "a", &direct, json!({"escalate": [{"after_s": 60, "priority": "urgent"}]})).await;
    aged.settled().await;
    // As if the worker had not come to it for 40 days.
    aged.app.halt().await;
    aged.sql()
        .await
        .execute("UPDATE t_im_escalation SET due_at = due_at + interval '41 days'", &[])
        .await
        .unwrap();
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 1, "the day is held");
    let held = "SELECT count(*) FROM t_im_archive_run WHERE doing LIKE '%is held%'";
    assert_eq!(aged.count(held, &[]).await, 1);
    aged.sql().await.execute("UPDATE t_im_escalation SET due_at = im_clock()", &[]).await.unwrap();
    aged.until(DONE, 0).await;
    aged.settled().await;
    assert_eq!(aged.gateway.read(|r| r.marks(&ms_id, "b")), ["normal", "urgent"]);
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    let nudge = format!("/messages/{ms_id}/nudge");
    aged.person("a").post(&nudge, json!(null)).await.expect_problem(404, "not-found");
    // What was urgent of it is forgotten.
    let now = aged.store.now().await.unwrap();
    assert_eq!(im_push_gateway::delivery::escalation::prune(&aged.store, now, 100).await.unwrap(), 1);
    assert_eq!(aged.count("SELECT count(*) FROM t_im_urgent", &[]).await, 0);
}

#[tokio::test]
async fn in_a_large_group_exactly_those_who_have_not_read_are_reminded() {
    const MEMBERS: usize = 2_500;
    let mut app = TestApp::start_with(OPEN).await;
    clock_at(&mut app, "2026-11-10 08:00Z").await;
    app.people(&["boss"]).await;
    let members = app.crowd(MEMBERS as i64).await;
    let made =
        app.person("boss").post("/groups", json!({"name": "all", "members": members})).await.expect(201);
    let group = text(&made["channel_id"]);
    let observer = observer_of(&app).await;
    let escalate =
        json!({"escalate": [{"after_s": 60, "priority": "urgent"}, {"after_s": 120, "event": true}]});
    let ms_id = say_with(&app, "boss", &group, escalate).await;
    app.settled().await;
    // Every third has read.
    let receipt = |reader: &String| json!({"ms_id": ms_id, "receiver": reader, "status": "read"});
    let receipts: Vec<Value> = members.iter().step_by(3).map(receipt).collect();
    app.client("gw", &["gateway"]).post("/receipts", json!(receipts)).await.expect(200);
    clock_at(&mut app, "2026-11-10 08:05Z").await;
    app.until(DONE, 0).await;
    let expected: Vec<&String> = (0..MEMBERS).filter(|at| at % 3 != 0).map(|at| &members[at]).collect();
    let people = |log: &crate::support::Log| {
        log.events().iter().filter_map(|e| e.data["people"].as_i64()).sum::<i64>()
    };
    observer.wait_for(|log| people(log) >= expected.len() as i64, LONG).await;
    app.settled().await;
    let urged: Vec<String> = app.gateway.read(|r| {
        let all = r.batches().flat_map(|batch| &batch.deliveries).filter(|d| !d.urgent.is_empty());
        let mut urged: Vec<String> = all.flat_map(|d| d.receivers.clone()).collect();
        urged.sort();
        urged
    });
    assert_eq!(urged.iter().collect::<Vec<_>>(), expected, "each once");
    let told = told(&observer, &ms_id);
    assert!(told.len() >= 4 && told.iter().all(|(.., receivers)| receivers.len() <= 500));
    let mut named: Vec<String> =
        told.iter().flat_map(|(.., r)| r.iter().map(|one| text(&one["user_id"]))).collect();
    named.sort();
    assert_eq!(named.iter().collect::<Vec<_>>(), expected, "each once");
}

/// The clock of a database that processes share, for connections from now on.
pub async fn set_clock(database: &str, offset: &str) {
    let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{offset}'");
    shared().connect(database).await.batch_execute(&alter).await.expect("the clock moves");
}
