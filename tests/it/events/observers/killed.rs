//! SIGKILL of one of two replicas, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::told;
use crate::app::{LONG, text};
use crate::support::gateway::SECRET;
use crate::support::{Client, Conduct, Gateway, Observer, Service, shared};

const KILLS: usize = 5;
const CHANNELS: usize = 3;
const SETTINGS: &[(&str, &str)] = &[
    ("log", "warn,im_push_gateway=info"),
    ("database_pool_size", "8"),
    ("database_wait_ms", "2000"),
    ("poll_ms", "50"),
    ("callback_batch_pairs", "3"),
    ("callback_secrets", SECRET),
    ("callback_allow", "127.0.0.0/8"),
    ("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    ("callback_timeout_ms", "500"),
    ("callback_lease_margin_ms", "500"),
    ("callback_retry_base_ms", "20"),
    ("callback_retry_max_ms", "200"),
    ("callback_breaker_probe_ms", "100"),
];

/// Sends into a channel through whichever replica answers, until `stop`; returns how many were
/// acknowledged.
async fn send_on(replicas: Vec<Client>, channel: String, stop: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    let path = format!("/channels/{channel}/messages");
    while !stop.load(Ordering::Relaxed) {
        let id = format!("{channel}-{sent}");
        let body = json!({"client_id": id, "type": "text", "content": {"text": id}});
        // The same client id until it is acknowledged: it is stored once.
        for turn in 0.. {
            let replica = &replicas[(sent + turn) % replicas.len()];
            let reply = replica.try_call(Method::POST, &path, Some(body.clone())).await;
            if reply.is_ok_and(|reply| reply.status == 201 || reply.status == 200) {
                break;
            }
            tokio::task::yield_now().await;
        }
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_reordered_when_replicas_are_killed() {
    let database = crate::app::database().await;
    let (gateway, portal, shaky) = (Gateway::start(), Observer::start(), Observer::start());
    let (url, callback) = (shared().url(&database), gateway.url());
    let mut settings = SETTINGS.to_vec();
    settings.extend([("database_url", url.as_str()), ("callback_url", callback.as_str())]);
    let binary = env!("CARGO_BIN_EXE_im-push-gateway");
    let (one, two) = tokio::join!(Service::start(binary, &settings), Service::start(binary, &settings));
    let mut services = [one, two];
    let sql = shared().connect(&database).await;
    let admin = Client::new(&services[0].api(), "root", &["admin"]);
    for observer in [&portal, &shaky] {
        let wish = json!({"url": observer.url(), "event_types": ["message.created"], "batch_events": 5});
        admin.post("/callbacks", wish).await.expect(201);
    }
    let people: Vec<Value> =
        ["a", "b", "c", "d"].map(|id| json!({"user_id": id, "name": id})).into_iter().collect();
    let replicas: Vec<Client> = services.iter().map(|s| Client::new(&s.api(), "a", &["directory"])).collect();
    replicas[0].post("/directory/changes", json!({"users": people})).await.expect(200);
    let mut channels = Vec::new();
    for size in [1, 2, 3] {
        let body = json!({"members": (["b", "c", "d"])[..size]});
        channels.push(text(&replicas[0].post("/groups", body).await.expect(201)["channel_id"]));
    }
    // One batch in three fails, and each answer takes its time: there is always one to cut.
    let count = AtomicUsize::new(0);
    shaky.behave(move |_| {
        let conduct = match count.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Conduct::status(500),
            _ => Conduct::Take,
        };
        conduct.after(std::time::Duration::from_millis(20))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for channel in channels.clone() {
        let (replicas, stop) = (replicas.clone(), stop.clone());
        senders.spawn(async move { (channel.clone(), send_on(replicas, channel, stop).await) });
    }
    for kill in 0..KILLS {
        let victim = &mut services[kill % 2];
        // In the middle of something: both observers have heard more since the last time.
        for observer in [&portal, &shaky] {
            let before = observer.read(|log| log.posts.len());
            observer.wait_for(|log| log.posts.len() >= before + 6, LONG).await;
        }
        victim.kill9();
        let before = portal.read(|log| log.posts.len());
        portal.wait_for(|log| log.posts.len() >= before + 3, LONG).await;
        victim.restart().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    while let Some(ended) = senders.join_next().await {
        sent.push(ended.expect("the load does not panic"));
    }
    assert_eq!(sent.len(), CHANNELS);
    for observer in [&portal, &shaky] {
        for (channel, count) in &sent {
            told(observer, &[channel], i64::try_from(*count).expect("few")).await;
        }
        // A killed replica may not have heard an answer: the same batch comes again, nothing else.
        let found = observer.read(|log| log.violations(false));
        assert!(found.is_empty(), "{found:#?}");
    }
    let dead = sql.query_one("SELECT count(*) FROM t_im_push_dead", &[]).await.unwrap();
    assert_eq!(dead.get::<_, i64>(0), 0);
}
