//! Packages that others wrote to send to robots of DingTalk and WeCom: only the URL is changed.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Robot, made, picture};
use crate::app::{TestApp, text};

const ROBOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/robots");
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/robots");

/// The `errcode` of each call, by its name.
async fn codes(program: &str, script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(program)
        .arg(format!("{ROBOTS}/{script}"))
        .args(arguments)
        .env("ROBOTS_HOME", format!("{HOME}/node"))
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/tools ensure robots"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}\ntests/tools ensure robots");
    let answers: Value = serde_json::from_str(said.lines().last().expect("a line")).unwrap();
    let answers = answers.as_object().expect("answers by name");
    answers.iter().map(|(name, answer)| (name.clone(), answer["errcode"].clone())).collect()
}

async fn group() -> (TestApp, String, Robot) {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let mut robot = made(&app, "a", &group).await;
    for url in [&mut robot.dingtalk, &mut robot.wecom] {
        *url = format!("{}{url}", app.base);
    }
    (app, group, robot)
}

/// The types of the messages, the oldest first, and their texts and addresses in one.
async fn sent(app: &TestApp, group: &str) -> (Vec<String>, String) {
    let page = app.person("b").get(&format!("/channels/{group}/messages?after_seq=0")).await.expect(200);
    let items = page["items"].as_array().unwrap();
    let words = items.iter().map(|item| item["content"].to_string()).collect();
    (items.iter().map(|item| text(&item["type"])).collect(), words)
}

#[tokio::test]
async fn a_package_for_dingtalk_in_python_works_with_another_url() {
    let (app, group, robot) = group().await;
    let python = format!("{HOME}/dingtalk/bin/python");
    let told = codes(&python, "dingtalk.py", &[&robot.dingtalk, &robot.secret]).await;
    let wanted = json!({"text": 0, "markdown": 0, "link": 0, "single": 0, "buttons": 0, "feed": 0, "image": 0,
        "old": 310_000, "forged": 310_000, "unsigned": 310_000, "nowhere": 300_001});
    assert_eq!(told, wanted);
    let (types, words) = sent(&app, &group).await;
    assert_eq!((types.len(), types.last().map(String::as_str)), (7, Some("picture")));
    assert!(words.contains("https://ci.example/42?a=b") && words.contains("[好]("), "{words}");
}

#[tokio::test]
async fn a_package_for_dingtalk_in_javascript_works_with_another_url() {
    let (app, group, robot) = group().await;
    let told = codes("node", "send.mjs", &[&robot.dingtalk, &robot.secret]).await;
    assert_eq!(told, json!({"text": 0, "markdown": 0, "link": 0, "card": 0, "feed": 0, "forged": 310_000}));
    assert_eq!(sent(&app, &group).await.0.len(), 5);
}

#[tokio::test]
async fn a_package_for_wecom_works_with_another_url() {
    let (app, group, robot) = group().await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a.png");
    std::fs::write(&file, picture()).unwrap();
    let python = format!("{HOME}/wecom/bin/python");
    let told = codes(&python, "wecom.py", &[&robot.wecom, file.to_str().unwrap()]).await;
    let wanted =
        json!({"text": 0, "markdown": 0, "image": 0, "news": 0, "many": 0, "file": 40_008, "wrong": 93_000});
    assert_eq!(told, wanted);
    let (types, words) = sent(&app, &group).await;
    assert_eq!((types.len(), types[2].as_str()), (5, "picture"));
    assert!(words.contains("构建 失败 @b") && !words.contains("<font"), "{words}");
}
