//! The queries and commands of the runbooks run: whatever they name is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::{Document, root};
use crate::support::gateway::SECRET;
use crate::support::{Gateway, Service, shared};

const PLACE: &str = "docs/runbooks.md";
const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const LANGUAGES: [&str; 3] = ["promql", "sql", "sh"];

/// What is before the first section, and each section with its heading.
fn sections() -> Vec<Document> {
    let text = std::fs::read_to_string(root().join(PLACE)).unwrap();
    let sections =
        text.split("\n## ").map(|text| Document { place: PLACE.to_owned(), text: text.to_owned() });
    sections.collect()
}

fn blocks(language: &str) -> String {
    sections().iter().map(|section| section.blocks(language)).collect()
}

#[test]
fn every_runbook_ends_in_something_to_paste() {
    let bare: Vec<String> = sections()[1..]
        .iter()
        .filter(|section| !section.text.trim_end().ends_with("\n```"))
        .map(|section| section.text.lines().next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(bare, [] as [String; 0]);
    let text = std::fs::read_to_string(root().join(PLACE)).unwrap();
    for opening in text.lines().filter_map(|line| line.strip_prefix("```")).filter(|line| !line.is_empty()) {
        assert!(LANGUAGES.contains(&opening), "no test runs blocks of {opening:?}");
    }
}

#[test]
fn prometheus_understands_every_query_of_the_runbooks() {
    let queries = blocks("promql");
    let rule = |(i, query): (usize, &str)| json!({"record": format!("runbook:query:{i}"), "expr": query});
    let rules: Vec<Value> = queries.lines().enumerate().map(rule).collect();
    assert!(rules.len() > 20, "{queries}");
    let file = NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), json!({"groups": [{"name": "runbooks", "rules": rules}]}).to_string())
        .unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file.path()).output();
    let checked = checked.expect("promtool, from tests/tools");
    assert!(checked.status.success(), "{}", text_of(&checked));
}

#[tokio::test]
async fn postgresql_answers_every_query_of_the_runbooks_and_none_of_them_changes_anything() {
    let database = crate::app::database().await;
    let sql = shared().connect(&database).await;
    let queries = blocks("sql");
    assert!(queries.matches(';').count() > 10, "{queries}");
    sql.batch_execute(&format!("BEGIN READ ONLY; {queries} ROLLBACK")).await.unwrap();
}

#[tokio::test]
async fn every_command_of_the_runbooks_runs() {
    let (database, gateway, folder) =
        (crate::app::database().await, Gateway::start(), TempDir::new().unwrap());
    let (url, callback) = (shared().url(&database), gateway.url());
    let archive = format!("embedded:{}", folder.path().display());
    let settings = [
        ("database_url", url.as_str()),
        ("callback_url", callback.as_str()),
        ("callback_secrets", SECRET),
        ("archive_url", archive.as_str()),
        ("poll_ms", "50"),
    ];
    let service = Service::start(BINARY, &settings).await;
    let beginning = sections()[0].blocks("sh");
    // The token is made once.
    let made = run(&format!("{beginning}printf %s \"$token\""), &settings, &service, "").await;
    assert!(made.status.success(), "{}", text_of(&made));
    let token = String::from_utf8(made.stdout).unwrap();
    assert!(token.starts_with("impg_"), "{token}");
    let commands: String = sections()[1..].iter().map(|section| section.blocks("sh")).collect();
    let commands: BTreeSet<&str> = commands.lines().collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        let done = run(&format!("{beginning}{command}"), &settings, &service, &token).await;
        let (code, said) = (done.status.code().unwrap_or(-1), text_of(&done));
        // A check ends with 1 or 2 when not all is well, and so does a command that does not exist.
        let found = command.starts_with("im-push-gateway check") && (0..=2).contains(&code);
        assert!((code == 0 || found) && !said.contains("Usage:"), "{command}: {code}\n{said}");
    }
}

/// Runs lines in bash, as an operator does who has the settings of the service.
async fn run(script: &str, settings: &[(&str, &str)], service: &Service, token: &str) -> Output {
    let mut command = Command::new("bash");
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        command.env_remove(key);
    }
    command.args(["-euo", "pipefail", "-c", script]);
    command.envs(settings.iter().map(|(key, value)| (format!("IMPG_{}", key.to_uppercase()), value)));
    let folder = Path::new(BINARY).parent().unwrap().display();
    command.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()));
    command.env("api", service.api()).env("token", token);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
