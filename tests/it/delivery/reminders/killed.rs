//! SIGKILL of both replicas while reminders are shared out and told, again and again.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use crate::app::{LONG, text};
use crate::delivery::escalations::killed::SETTINGS;
use crate::delivery::escalations::set_clock;
use crate::support::{Answer, Client, Gateway, Observer, Service, shared};

const MEMBERS: usize = 1_500;
const GROUPS: usize = 4;
const KILLS: usize = 6;

/// What is still to be reminded of, pushed or told.
const LEFT: &str = "SELECT (SELECT count(*) FROM t_im_unreached) + (SELECT count(*) FROM t_im_reminder) \
                    + (SELECT count(*) FROM v_im_push_item) + (SELECT count(*) FROM t_im_event_new)";

/// Waits until a count is 0. A busy machine may take long, but not stand still.
async fn drain(sql: &tokio_postgres::Client, what: &str) {
    let count = async || -> i64 { sql.query_one(what, &[]).await.expect("a count").get(0) };
    let (mut before, mut begun) = (count().await, Instant::now());
    while before > 0 {
        let now = count().await;
        if now != before {
            (before, begun) = (now, Instant::now());
        }
        assert!(begun.elapsed() < LONG, "{now} are left: {what}");
        tokio::task::yield_now().await;
    }
}

/// The members and the sender, as users.
async fn hire(api: &str, members: &[String]) {
    let mut people: Vec<Value> = members.iter().map(|id| json!({"user_id": id, "name": id})).collect();
    people.push(json!({"user_id": "a", "name": "A"}));
    let hr = Client::new(api, "hr", &["directory"]);
    for some in people.chunks(1_000) {
        hr.post("/directory/changes", json!({"users": some})).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_of_once_however_often_the_replicas_are_killed() {
    let database = crate::app::database().await;
    let (gateway, portal) = (Gateway::start(), Observer::start());
    gateway.ignore_time();
    // Every third is there.
    let is_away = |receiver: &str| receiver[1..].parse::<usize>().is_ok_and(|n| !n.is_multiple_of(3));
    gateway.answer(move |batch| {
        let receivers = batch.deliveries.iter().flat_map(|delivery| &delivery.receivers);
        let away: Vec<&str> = receivers.map(String::as_str).filter(|receiver| is_away(receiver)).collect();
        Answer::all_except(&away, &[])
    });
    let (url, callback) = (shared().url(&database), gateway.url());
    let mut settings = SETTINGS.to_vec();
    settings.extend([("database_url", url.as_str()), ("callback_url", callback.as_str())]);
    let binary = env!("CARGO_BIN_EXE_im-push-gateway");
    let mut services = [Service::start(binary, &settings).await, Service::start(binary, &settings).await];
    let sql = shared().connect(&database).await;
    let api = services[0].api();
    let wish = json!({"url": portal.url(), "event_types": ["message.unreceived"]});
    Client::new(&api, "root", &["admin"]).post("/callbacks", wish).await.expect(201);
    let members: Vec<String> = (1..=MEMBERS).map(|n| format!("m{n}")).collect();
    hire(&api, &members).await;
    let a = Client::new(&api, "a", &[]);
    for group in 0..GROUPS {
        let made =
            a.post("/groups", json!({"name": group.to_string(), "members": members})).await.expect(201);
        let body = json!({"type": "text", "content": {"text": "please"}});
        a.post(&format!("/channels/{}/messages", text(&made["channel_id"])), body).await.expect(201);
    }
    gateway.wait_for(|r| r.distinct_pairs() == GROUPS * MEMBERS, LONG).await;

    // All verdicts are stored: a push that is repeated later would be reminded of later.
    let count = async |what: &str| -> i64 { sql.query_one(what, &[]).await.expect("a count").get(0) };
    drain(&sql, "SELECT count(*) FROM v_im_push_item").await;

    // Then it is later, on new connections.
    services.iter_mut().for_each(Service::kill9);
    set_clock(&database, "6 minutes").await;
    let to_do = "SELECT (SELECT coalesce(sum(bit_count(places)), 0) FROM t_im_unreached)::bigint * 2 \
                 + (SELECT count(*) FROM t_im_reminder) + (SELECT count(*) FROM t_im_reminder_channel)";
    let mut cut = 0;
    for _ in 0..KILLS {
        let [one, two] = &mut services;
        tokio::join!(one.restart(), two.restart());
        // As soon as some are done, or all.
        let (before, begun) = (count(to_do).await, Instant::now());
        while count(to_do).await == before && before > 0 {
            assert!(begun.elapsed() < LONG, "nothing is done");
            tokio::task::yield_now().await;
        }
        cut += i32::from(count(to_do).await > 0);
        services.iter_mut().for_each(Service::kill9);
    }
    let [one, two] = &mut services;
    tokio::join!(one.restart(), two.restart());
    drain(&sql, LEFT).await;
    assert!(cut > 0, "no kill came in the middle");
    let mut expected: BTreeMap<String, i64> =
        members.iter().filter(|id| is_away(id)).map(|id| (id.clone(), GROUPS as i64)).collect();
    portal.wait_for(|log| messages(log).values().sum::<i64>() >= expected.values().sum(), LONG).await;
    let found = portal.read(messages);
    expected.retain(|user_id, messages| found.get(user_id) != Some(messages));
    assert_eq!(expected, BTreeMap::new(), "told of with another number of messages");
    assert!(found.keys().all(|user_id| is_away(user_id)));
}

/// The number of messages of which the observer was told, by user.
fn messages(log: &crate::support::Log) -> BTreeMap<String, i64> {
    let mut messages = BTreeMap::new();
    for event in log.events() {
        *messages.entry(text(&event.data["user_id"])).or_default() +=
            event.data["messages"].as_i64().unwrap();
    }
    messages
}
