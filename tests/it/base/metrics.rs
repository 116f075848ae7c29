//! What Prometheus scrapes, and the alerts on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::base::database::until;
use crate::delivery::callbacks::observer;
use crate::support::gateway::SECRET;
use crate::support::{Answer, Client, Conduct, Gateway, Observer, Service, shared};

/// Series of a replica, beside those of routes and endpoints.
const SERIES_MAX: usize = 200;
/// Series of an endpoint: a histogram, and a counter for each error.
const OF_ENDPOINT_MAX: usize = 32;
/// Series of a route: a histogram, and a counter for each method and status.
const OF_ROUTE_MAX: usize = 32;
/// What a series may be told apart by. None of them grows with users or channels.
const LABELS: &[&str] = &[
    "alarm", "endpoint", "error", "kind", "le", "method", "outcome", "policy", "reason", "result", "route",
    "state", "status", "step", "verdict", "version", "why", "work", "worker",
];
const ALERTS: &str = include_str!("../../../charts/im-push-gateway/files/alerts.yaml");

/// The metrics of alerts: those that must exist before anything happens, because `increase` does not see a first
/// value, or because their value is known at any time.
fn watched() -> BTreeSet<String> {
    let expressions = ALERTS.lines().filter(|line| !line.trim_start().starts_with("summary"));
    let words = expressions.flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    words.filter(|word| word.starts_with("impg_")).map(str::to_owned).collect()
}

async fn scrape(service: &Service) -> String {
    reqwest::get(service.metrics_url()).await.unwrap().text().await.unwrap()
}

/// The names of the series of a scrape, without the parts of histograms.
fn names(scrape: &str) -> BTreeSet<&str> {
    let series = scrape.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split([' ', '{']).next()).filter(|name| !name.is_empty()).collect()
}

#[tokio::test]
async fn metrics_of_alerts_are_there_from_the_start() {
    let (service, _gateway, _folder) = start(&[]).await;
    // These come with the first request and the first send, and are watched by their rate.
    let by_rate = ["impg_http_requests_total", "impg_send_commit_seconds_bucket"];
    let with_tls = ["impg_tls_certificate_expiry_timestamp_seconds"];
    let later = [&by_rate[..], &with_tls].concat();
    let from_start: BTreeSet<String> =
        watched().into_iter().filter(|name| !later.contains(&name.as_str())).collect();
    assert!(from_start.len() > 10, "{from_start:?}");
    until(|| scrape(&service), |text| from_start.iter().all(|name| names(text).contains(name.as_str())))
        .await;
    let api = service.api();
    let people = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    Client::new(&api, "hr", &["directory"]).post("/directory/changes", people).await.expect(200);
    let a = Client::new(&api, "a", &[]);
    let channel = a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let path = format!("/channels/{}/messages", channel["channel_id"].as_str().unwrap());
    a.post(&path, json!({"type": "text", "content": {"text": "hello"}})).await.expect(201);
    until(|| scrape(&service), |text| by_rate.iter().all(|name| names(text).contains(name))).await;
}

/// A replica with an archive in a folder.
async fn start(settings: &[(&str, &str)]) -> (Service, Gateway, TempDir) {
    let (database, gateway, folder) =
        (crate::app::database().await, Gateway::start(), TempDir::new().unwrap());
    gateway.ignore_time();
    let (url, callback) = (shared().url(&database), gateway.url());
    let archive = format!("embedded:{}", folder.path().display());
    let mut all = vec![
        ("database_url", url.as_str()),
        ("callback_url", callback.as_str()),
        ("callback_secrets", SECRET),
        ("archive_url", archive.as_str()),
        ("poll_ms", "50"),
    ];
    all.extend_from_slice(settings);
    let service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &all).await;
    (service, gateway, folder)
}

/// Users of one prefix write to each other in many channels, read, search, and make mistakes. Returns the channels.
async fn crowd(service: &Service, prefix: &str) -> Vec<String> {
    let call = |user: &str, roles: &[&str]| Client::new(&service.api(), user, roles);
    let ids: Vec<String> = (0..20).map(|i| format!("{prefix}-{i}")).collect();
    let users: Vec<_> = ids.iter().map(|id| json!({"user_id": id, "name": id})).collect();
    call("hr", &["directory"]).post("/directory/changes", json!({"users": users})).await.expect(200);
    let mut channels = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        let user = call(id, &[]);
        let group = json!({"name": id, "members": [ids[(i + 1) % ids.len()], ids[(i + 2) % ids.len()]]});
        let group = user.post("/groups", group).await.expect(201);
        let path = format!("/channels/{}", group["channel_id"].as_str().unwrap());
        let said = json!({"type": "text", "content": {"text": "hello"}});
        let said = user.post(&format!("{path}/messages"), said).await.expect(201);
        let receipt =
            json!([{"ms_id": said["ms_id"], "receiver": ids[(i + 1) % ids.len()], "status": "received"}]);
        call("hub", &["gateway"]).post("/receipts", receipt).await.expect(200);
        user.post(&format!("{path}/read"), json!({"seq": 1})).await.expect(200);
        user.get("/conversations").await.expect(200);
        user.get(&format!("/search/messages?q={id}")).await.expect(200);
        user.get(&format!("/nowhere/{id}")).await.expect(404);
        user.get(&format!("/users/{id}-who")).await.expect(404);
        user.post("/groups", json!({"name": 1})).await;
        user.delete("/conversations").await;
        Client::anonymous(&service.api()).get("/conversations").await.expect(401);
        user.get("/audit").await.expect(403);
        channels.push(group["channel_id"].as_str().unwrap().to_owned());
    }
    channels
}

/// The labels of a series.
fn labels(series: &str) -> BTreeMap<&str, &str> {
    let Some((_, labels)) = series.split_once('{') else { return BTreeMap::new() };
    let pairs = labels.trim_end_matches('}').split("\",");
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// How many series there are for each value of a label.
fn count_by<'a>(series: &[&'a str], label: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for value in series.iter().filter_map(|series| labels(series).get(label).copied()) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_busy_replica_has_few_series_and_none_of_a_user_or_a_channel() {
    let observers = [
        ("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
        ("callback_allow", "127.0.0.0/8"),
    ];
    let (service, gateway, _folder) = start(&observers).await;
    let admin = Client::new(&service.api(), "root", &["admin"]);
    let failures =
        [Conduct::Take, Conduct::status(500), Conduct::status(410), Conduct::Garbage, Conduct::Reset];
    let mut portals = Vec::new();
    for conduct in failures {
        let portal = Observer::start();
        portal.behave(move |_| conduct.clone());
        observer(&admin, &portal.url()).await;
        portals.push(portal);
    }
    let answers = [
        Answer::status(503),
        Answer::garbage(),
        Answer::Close,
        Answer::all_except(&["one-1"], &["one-2"]),
        Answer::lists(&[], &["one-3"], &[], &[("one-4", "unknown")]),
    ];
    let turn = std::sync::atomic::AtomicUsize::new(0);
    gateway.answer(move |_| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answers.get(turn).cloned().unwrap_or(Answer::All)
    });
    let mut channels = crowd(&service, "one").await;
    let _stream = Client::new(&service.api(), "one-0", &[]).listen(None).await;
    channels.extend(crowd(&service, "two").await);
    let busy = ["impg_push_pairs_total", "impg_callback_failures_total", "impg_partitions", "impg_streams"];
    let text = until(
        || scrape(&service),
        |text| busy.iter().all(|name| names(text).contains(name)) && text.contains("endpoint=\"gateway\""),
    )
    .await;

    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let series: Vec<&str> =
        lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect();
    let known: BTreeSet<&str> = LABELS.iter().copied().collect();
    for one in &series {
        for (name, value) in labels(one) {
            assert!(known.contains(name), "{one}: is {name} bounded?");
            let of_person = value.contains("one-") || value.contains("two-");
            // Ids of channels are small numbers here, as limits of buckets are.
            let of_channel = name != "le" && channels.iter().any(|id| id == value);
            assert!(!of_person && !of_channel, "{one} grows with users or channels");
        }
    }
    for (label, most) in [("endpoint", OF_ENDPOINT_MAX), ("route", OF_ROUTE_MAX)] {
        let counts = count_by(&series, label);
        assert!(counts.len() > 1 && counts.values().all(|count| *count <= most), "{label}: {counts:?}");
    }
    let own = series
        .iter()
        .filter(|one| !labels(one).contains_key("endpoint") && !labels(one).contains_key("route"));
    let own = own.count();
    assert!(own < SERIES_MAX, "{own} series:\n{text}");
    assert_promtool_accepts(&text);
}

fn assert_promtool_accepts(text: &str) {
    let mut promtool = Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]);
    let promtool = promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool, from tests/tools");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let verdict = child.wait_with_output().unwrap();
    assert!(
        verdict.status.success(),
        "{}{}",
        String::from_utf8_lossy(&verdict.stdout),
        String::from_utf8_lossy(&verdict.stderr)
    );
}
