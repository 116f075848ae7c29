//! What portals generate from the contract: clients compile, and say something to a real service.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::app::TestApp;

/// Generates a client, compiles it, and says with it what is read again here; `tests/clients/run` says how.
async fn says_something(language: &str) {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let text = format!("你好 from {language}");
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/run"))
        .arg(language)
        .envs([("BASE_URL", app.base.as_str()), ("SENDER", "a"), ("RECEIVER", "b"), ("TEXT", &text)])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("tests/clients/run runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}\ntests/tools ensure clients");
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{errors}"));
    let channel = app.direct("a", "b").await;
    let history = app.person("b").get(&format!("/channels/{channel}/messages")).await.expect(200);
    let ids = [&said["bulk"], &said["ms_id"]];
    assert_eq!([0, 1].map(|i| &history["items"][i]["ms_id"]), ids, "{history}");
    assert_eq!(history["items"][0]["content"], json!({"url": "/p.png", "width": 3}));
    assert_eq!(history["items"][1]["content"], json!({"text": text}));
    assert_eq!(said["read"], json!(["/p.png", text]), "and the client reads it");
}

#[tokio::test]
async fn a_client_in_python_says_something() {
    says_something("python").await;
}

#[tokio::test]
async fn a_client_in_typescript_says_something() {
    says_something("typescript").await;
}

#[tokio::test]
async fn a_client_in_java_says_something() {
    says_something("native").await;
}

#[tokio::test]
async fn a_client_in_java_with_spring_says_something() {
    says_something("restclient").await;
}
