//! What Prometheus scrapes, and the alerts on it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::base::database::until;
use crate::support::gateway::SECRET;
use crate::support::{Client, Gateway, Service, shared};

/// Series of a replica, beside those of HTTP routes.
const SERIES_MAX: usize = 200;
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
async fn metrics_of_alerts_are_there_from_the_start_and_promtool_accepts_all() {
    let (database, gateway, folder) =
        (crate::app::database().await, Gateway::start(), TempDir::new().unwrap());
    gateway.ignore_time();
    let (url, callback) = (shared().url(&database), gateway.url());
    let archive = format!("embedded:{}", folder.path().display());
    let settings = [
        ("database_url", &*url),
        ("callback_url", &*callback),
        ("callback_secrets", SECRET),
        ("archive_url", &*archive),
    ];
    let service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    // These come with the first request and the first send, and are watched by their rate.
    let by_rate = ["impg_http_requests_total", "impg_send_commit_seconds_bucket"];
    let from_start: BTreeSet<String> =
        watched().into_iter().filter(|name| !by_rate.contains(&name.as_str())).collect();
    assert!(from_start.len() > 10, "{from_start:?}");
    until(|| scrape(&service), |text| from_start.iter().all(|name| names(text).contains(name.as_str())))
        .await;

    // A busy replica.
    let api = service.api();
    let people = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    Client::new(&api, "hr", &["directory"]).post("/directory/changes", people).await.expect(200);
    let a = Client::new(&api, "a", &[]);
    let channel = a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let path = format!("/channels/{}/messages", channel["channel_id"].as_str().unwrap());
    a.post(&path, json!({"type": "text", "content": {"text": "hello"}})).await.expect(201);
    a.get("/conversations").await.expect(200);
    a.get("/search/messages?q=hello").await.expect(200);
    let text = until(
        || scrape(&service),
        |text| by_rate.iter().chain(&["impg_push_pairs_total"]).all(|name| names(text).contains(name)),
    )
    .await;

    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let own = series.filter(|line| !line.starts_with("impg_http_request")).count();
    assert!(own < SERIES_MAX, "{own} series:\n{text}");

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
