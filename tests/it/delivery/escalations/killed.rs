//! SIGKILL of both replicas while steps are done, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::set_clock;
use crate::app::{LONG, text};
use crate::support::gateway::SECRET;
use crate::support::{Client, Gateway, Observer, Service, shared};

const MEMBERS: usize = 40;
const GROUPS: usize = 150;
const KILLS: usize = 6;
pub const SETTINGS: &[(&str, &str)] = &[
    ("log", "warn,im_push_gateway=info"),
    ("database_pool_size", "8"),
    ("poll_ms", "20"),
    ("lease_ms", "300"),
    ("callback_secrets", SECRET),
    ("callback_allow", "127.0.0.0/8"),
    ("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    ("callback_timeout_ms", "500"),
    ("callback_lease_margin_ms", "500"),
    ("callback_retry_base_ms", "20"),
    ("callback_retry_max_ms", "200"),
    ("callback_breaker_probe_ms", "100"),
];

/// Ids of the members who have not read the message of a group.
fn unread(group: usize) -> BTreeSet<String> {
    (0..MEMBERS)
        .filter(|member| !(member + group).is_multiple_of(3))
        .map(|member| format!("m{member}"))
        .collect()
}

/// Makes the groups, and sends each a message with two steps. A third of the members read it.
async fn prepare(api: &str) -> Vec<String> {
    let client = Client::new(api, "a", &[]);
    let mut people: Vec<Value> =
        (0..MEMBERS).map(|n| json!({"user_id": format!("m{n}"), "name": format!("M{n}")})).collect();
    people.push(json!({"user_id": "a", "name": "A"}));
    let hr = Client::new(api, "hr", &["directory"]);
    hr.post("/directory/changes", json!({"users": people})).await.expect(200);
    let members: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}")).collect();
    let mut sends = Vec::new();
    for group in 0..GROUPS {
        let made =
            client.post("/groups", json!({"name": group.to_string(), "members": members})).await.expect(201);
        sends.push(json!({
            "channel_id": made["channel_id"], "type": "text", "content": {"text": "please"},
            "escalate": [{"after_s": 60, "priority": "urgent"}, {"after_s": 61, "event": true}]
        }));
    }
    let sent = client.post("/messages", json!(sends)).await.expect(200);
    let ms_ids: Vec<String> =
        sent["results"].as_array().expect("results").iter().map(|one| text(&one["ms_id"])).collect();
    let readers = |group: usize| (0..MEMBERS).filter(move |member| (member + group).is_multiple_of(3));
    let receipts: Vec<Value> = (0..GROUPS)
        .flat_map(|group| readers(group).map(move |member| (group, member)))
        .map(|(group, member)| json!({"ms_id": ms_ids[group], "receiver": format!("m{member}"), "status": "read"}))
        .collect();
    let hub = Client::new(api, "gw", &["gateway"]);
    hub.post("/receipts", json!(receipts)).await.expect(200);
    ms_ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_reminded_once_however_often_the_replicas_are_killed() {
    let database = crate::app::database().await;
    let (gateway, portal) = (Gateway::start(), Observer::start());
    gateway.ignore_time();
    let (url, callback) = (shared().url(&database), gateway.url());
    let mut settings = SETTINGS.to_vec();
    settings.extend([("database_url", url.as_str()), ("callback_url", callback.as_str())]);
    let binary = env!("CARGO_BIN_EXE_im-push-gateway");
    let mut services = [Service::start(binary, &settings).await, Service::start(binary, &settings).await];
    let sql = shared().connect(&database).await;
    let admin = Client::new(&services[0].api(), "root", &["admin"]);
    let wish = json!({"url": portal.url(), "event_types": ["message.unread"]});
    admin.post("/callbacks", wish).await.expect(201);
    let ms_ids = prepare(&services[0].api()).await;
    gateway.wait_for(|r| r.distinct_pairs() == GROUPS * MEMBERS, LONG).await;

    // Then it is a minute later, on new connections.
    services.iter_mut().for_each(Service::kill9);
    set_clock(&database, "2 minutes").await;
    let left = async || -> i64 {
        let left = "SELECT (SELECT count(*) FROM t_im_escalation) + (SELECT count(*) FROM v_im_push_item) \
                    + (SELECT count(*) FROM t_im_event_new)";
        sql.query_one(left, &[]).await.expect("a count").get(0)
    };
    let steps = async || -> i64 {
        sql.query_one("SELECT count(*) FROM t_im_escalation", &[]).await.expect("a count").get(0)
    };
    let mut cut = 0;
    for _ in 0..KILLS {
        let [one, two] = &mut services;
        tokio::join!(one.restart(), two.restart());
        // As soon as some are done, or all.
        let (before, begun) = (steps().await, Instant::now());
        while steps().await == before && before > 0 {
            assert!(begun.elapsed() < LONG, "no step is done");
            tokio::task::yield_now().await;
        }
        cut += i32::from(steps().await > 0);
        services.iter_mut().for_each(Service::kill9);
    }
    let [one, two] = &mut services;
    tokio::join!(one.restart(), two.restart());
    let begun = Instant::now();
    while left().await > 0 {
        assert!(begun.elapsed() < LONG, "{} are left", left().await);
        tokio::task::yield_now().await;
    }
    assert!(cut > 0, "no kill came in the middle");
    let expected: usize = (0..GROUPS).map(|group| unread(group).len()).sum();
    let people = |log: &crate::support::Log| {
        log.events().iter().filter_map(|e| e.data["people"].as_u64()).sum::<u64>()
    };
    portal.wait_for(|log| people(log) >= expected as u64, LONG).await;

    for (group, ms_id) in ms_ids.iter().enumerate() {
        check(&gateway, &portal, ms_id, group);
    }
}

/// Exactly those who have not read got one more push in one batch, and were named in one event.
fn check(gateway: &Gateway, portal: &Observer, ms_id: &str, group: usize) {
    // A killed replica may not have heard an answer. Then the same batch comes again, and no other one.
    let mut batches: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    gateway.read(|r| {
        for batch in r.batches() {
            let urgent = batch.deliveries.iter().filter(|d| d.urgent.iter().any(|id| id == ms_id));
            for receiver in urgent.flat_map(|d| &d.receivers) {
                batches.entry(receiver.clone()).or_default().insert(batch.webhook_id.clone());
            }
        }
    });
    assert!(batches.values().all(|ids| ids.len() == 1), "group {group}: twice");
    assert_eq!(batches.into_keys().collect::<BTreeSet<_>>(), unread(group), "group {group}");
    let mut told: Vec<String> = portal.read(|log| {
        let of_message = log.events().iter().filter(|event| event.data["ms_id"] == ms_id);
        of_message
            .flat_map(|e| e.data["receivers"].as_array().unwrap().clone())
            .map(|r| text(&r["user_id"]))
            .collect()
    });
    told.sort();
    let expected: Vec<String> = unread(group).into_iter().collect();
    assert_eq!(told, expected, "group {group}");
}
