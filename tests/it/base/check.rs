//! `im-push-gateway check`, and what else the command line prints.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::app::TestApp;
use crate::base::database::until;
use crate::support::{Answer, shared};

const NOWHERE: &str = "postgresql://im@127.0.0.1:1/im";

/// The binary with these arguments and settings, and nothing else from the environment.
fn command(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_im-push-gateway"));
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        command.env_remove(key);
    }
    command.env("IMPG_DATABASE_URL", url).env("IMPG_TRUSTED_PEERS", "127.0.0.1");
    command.args(arguments).output().unwrap()
}

async fn check(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let (url, arguments) = (url.to_owned(), arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> =
            ["check"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        command(&url, &arguments)
    });
    let output = output.await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn check_says_what_is_wrong_and_ends_with_its_code() {
    let app = TestApp::start().await;
    app.gateway.answer(|_| Answer::status(503));
    let url = shared().url(&app.database);
    let (code, text) = check(&url, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    for name in ["settings", "database", "clock", "partitions", "locks", "push", "observers", "directory"] {
        assert!(text.contains(&format!("ok       {name}")), "no {name} in\n{text}");
    }

    // A push waits, because the gateway does not take it.
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "waits").await;
    let waits = || check(&url, &["--push-age", "0:0", "--format", "json"]);
    let (_, text) = until(waits, |(code, _)| *code == Some(2)).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    let push = report["checks"].as_array().unwrap().iter().find(|c| c["name"] == "push").unwrap();
    assert_eq!((&report["level"], &push["level"]), (&json!("critical"), &json!("critical")));
    assert!(push["value"].as_f64().is_some_and(|age| age > 0.0), "{push}");
    let (code, text) = check(&url, &["--push-age", "1000:2000", "--format", "nagios"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("IM-PUSH-GATEWAY OK - ") && text.contains(" | clock="), "{text}");

    let admin = app.client("root", &["admin"]);
    admin.patch("/callbacks/gateway", json!({"state": "paused"})).await.expect(200);
    let (code, text) = check(&url, &["--format", "nagios"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("IM-PUSH-GATEWAY WARNING - push: paused; 1 pairs wait"), "{text}");

    let (_, text) = check(&url, &["--format", "prometheus"]).await;
    assert!(text.contains("impg_check_level{check=\"push\"} 1"), "{text}");
    let mut promtool = Command::new("promtool");
    let mut promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().expect("promtool");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success());
}

#[tokio::test]
async fn check_tells_a_database_that_is_away_from_a_mistake_in_the_settings() {
    let (code, text) = check(NOWHERE, &["--settings-only"]).await;
    assert_eq!((code, text.as_str()), (Some(0), "ok       settings     all settings can be used\n"));
    let (code, text) = check(NOWHERE, &[]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("critical database"), "{text}");
    let output = command("mysql://im", &["check", "--settings-only"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("`database_url` must be the address of a PostgreSQL database"), "{told}");
    let output = command(NOWHERE, &["check", "--push-age", "9:1"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("two numbers such as 60:600"), "{told}");
}

#[test]
fn completions_and_the_manual_name_every_command() {
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        let output = command(NOWHERE, arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success());
        for name in [
            "serve",
            "migrate",
            "token",
            "archive",
            "directory",
            "restored",
            "check",
            "support",
            "settings",
            "roles",
        ] {
            assert!(text.contains(name), "{arguments:?} does not name {name}");
        }
    }
}
