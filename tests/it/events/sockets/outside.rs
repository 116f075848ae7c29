//! Clients that others wrote: ws of npm and websockets of PyPI.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::app::TestApp;

const SOCKETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sockets");
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/sockets");

/// What the script heard.
async fn heard(program: &str, script: &str, app: &TestApp, channel: &str) -> Value {
    let url = format!("{}/api/v1/ws", app.base.replacen("http", "ws", 1));
    let output = Command::new(program)
        .arg(format!("{SOCKETS}/{script}"))
        .args([url.as_str(), "a", channel])
        .env("SOCKETS_HOME", format!("{HOME}/node"))
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/tools ensure sockets"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}\ntests/tools ensure sockets");
    serde_json::from_str(said.lines().last().expect("a line")).expect("JSON")
}

#[tokio::test]
async fn clients_of_others_talk_over_sockets() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("b", &channel, "something to read").await;
    let python = format!("{HOME}/python/bin/python");
    for (program, script, words) in
        [("node", "talk.mjs", "from ws"), (python.as_str(), "talk.py", "from websockets")]
    {
        let heard = heard(program, script, &app, &channel).await;
        assert_eq!(heard["protocol"], "im.v1", "{heard}");
        assert_eq!(heard["pong"], "beat", "{heard}");
        let answers = json!([
            [1, []],
            [2, ["ms_id", "repeated", "seq", "server_time"]],
            [3, ["read_seq", "unread_count"]],
            [4, "urn:im-push-gateway:problem:invalid-field"],
        ]);
        assert_eq!(heard["answers"], answers, "{script}");
        assert!(heard["words"].as_array().unwrap().contains(&json!(words)), "{heard}");
        assert_eq!(heard["code"], 1000, "{heard}");
    }
}
