//! Portals are told what happens: all of it, in order, and whatever one of them does, only that one
//! feels it.

mod dead_letters;
mod faults;
mod killed;
mod limits;
mod order;
mod sequencer;
mod stories;

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::support::gateway::SECRET;
use crate::support::{Log, Observer};

/// What everybody here runs with unless a test says otherwise: an observer that hangs is given up on soon.
const SETTINGS: &[(&str, &str)] =
    &[("callback_timeout_ms", "1000"), ("callback_lease_margin_ms", "2000"), ("event_window_ms", "100")];

/// An endpoint as somebody wishes it.
struct Wish<'a> {
    types: &'a [&'a str],
    channels: Option<Vec<i64>>,
    departments: Option<&'a [&'a str]>,
    batch_events: i32,
    concurrency: i32,
    events_per_second: Option<i32>,
}

impl<'a> Wish<'a> {
    fn of(types: &'a [&'a str]) -> Self {
        Self {
            types,
            channels: None,
            departments: None,
            batch_events: 100,
            concurrency: 4,
            events_per_second: None,
        }
    }
}

/// Makes an endpoint at `url`, as an admin does, and returns its id.
async fn subscribe(app: &TestApp, url: &str, wish: Wish<'_>) -> String {
    let Wish { types, channels, departments, batch_events, concurrency, events_per_second } = wish;
    let channels: Option<Vec<String>> = channels.map(|ids| ids.iter().map(i64::to_string).collect());
    let body = json!({
        "url": url, "event_types": types, "channel_ids": channels, "department_ids": departments,
        "batch_events": batch_events, "concurrency": concurrency, "events_per_second": events_per_second,
    });
    text(&app.client("root", &["admin"]).post("/callbacks", body).await.expect(201)["callback_id"])
}

/// Changes an endpoint: `what` is the SET of an UPDATE.
async fn change(app: &TestApp, callback_id: &str, what: &str) {
    let sql = format!("UPDATE t_im_callback SET revision = revision + 1, {what} WHERE callback_id = $1");
    assert_eq!(app.sql().await.execute(&sql, &[&callback_id]).await.expect("a change"), 1);
}

/// These settings over [`SETTINGS`].
fn settings(overrides: &str) -> String {
    let ours = SETTINGS.iter().filter(|(key, _)| !overrides.contains(key));
    let all = ours.fold(overrides.to_owned(), |all, (key, value)| format!("{all}\n{key} = {value}"));
    format!("{all}\n{OPEN}")
}

/// A service with [`SETTINGS`] and these.
async fn start(overrides: &str) -> TestApp {
    TestApp::start_with(&settings(overrides)).await
}

/// Another replica on the same database, with the same gateway.
async fn replica_of(app: &TestApp, overrides: &str) -> TestApp {
    let url = app.gateway.url();
    let gateway = format!("callback_url = \"{url}\"\ncallback_secrets = [\"{SECRET}\"]\n");
    TestApp::start_on(app.database.clone(), &format!("{gateway}{}", settings(overrides))).await
}

/// Sends many texts at once into a channel.
async fn say_many(app: &TestApp, sender: &str, channel: &str, count: usize) {
    let text = |i: usize| json!({"channel_id": channel, "type": "text", "content": {"text": i.to_string()}});
    let said: Vec<Value> = (0..count).map(text).collect();
    app.person(sender).post("/messages", json!(said)).await.expect(200);
}

/// Waits until `observer` knows the first `count` messages of each channel, and looks at their order.
async fn told(observer: &Observer, channels: &[&str], count: i64) {
    let all = |log: &Log| channels.iter().all(|channel| log.seqs(channel).len() as i64 >= count);
    observer.wait_for(all, LONG).await;
    for channel in channels {
        let seqs = observer.read(|log| log.seqs(channel));
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "channel {channel}");
    }
}

/// What an endpoint was POSTed, newest first.
async fn attempts(app: &TestApp, callback_id: &str) -> Vec<Value> {
    let desk = app.client("desk", &["support"]);
    app.all(&desk, &format!("/callbacks/{callback_id}/deliveries?limit=200")).await
}

/// The state that an endpoint is in.
async fn state(app: &TestApp, callback_id: &str) -> String {
    let sql = "SELECT state FROM t_im_callback WHERE callback_id = $1";
    app.sql().await.query_one(sql, &[&callback_id]).await.expect("an endpoint").get(0)
}

fn id(channel: &str) -> i64 {
    channel.parse().expect("a channel id")
}

/// The log of an observer breaks no promise, and every answer that it gave was heard.
#[track_caller]
fn blameless(observer: &Observer) {
    let found = observer.read(|log| log.violations(true));
    assert!(found.is_empty(), "{found:#?}");
    let refusals = observer.read(|log| log.refusals.clone());
    assert!(refusals.is_empty(), "{refusals:?}");
}

fn recall_path(sent: &Value) -> String {
    format!("/messages/{}/recall", text(&sent["ms_id"]))
}
