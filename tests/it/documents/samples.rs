//! The samples of the documents: the tutorial runs, also on a database that it ran on before. Its receiver refuses what
//! is not signed. Both languages have the same code.

use std::path::Path;
use std::process::Command;

use http::{HeaderMap, HeaderValue};
use standardwebhooks::Webhook;

use super::{Document, root};
use crate::base::database::until;
use crate::support::gateway::SECRET;
use crate::support::sandbox::free_port;
use crate::support::{Sandbox, shared};

/// More than the tutorial prints.
const OUTPUT_LINES: usize = 1_000;
const TUTORIALS: [&str; 2] = ["docs/tutorial.md", "docs/zh/tutorial.md"];
const PORTALS: [&str; 2] = ["docs/portals.md", "docs/zh/portals.md"];

fn blocks(place: &str, language: &str) -> String {
    let text = std::fs::read_to_string(root().join(place)).unwrap();
    Document { place: place.to_owned(), text }.blocks(language)
}

/// Fails unless both documents have the same code of this language. `remark` begins a remark, which may differ.
fn assert_same(places: [&str; 2], language: &str, remark: &str) {
    let [english, chinese] = places.map(|place| -> Vec<String> {
        let code = blocks(place, language);
        assert!(!code.is_empty(), "{place} has no {language}");
        code.lines().map(|line| line.split(remark).next().unwrap_or_default().trim_end().to_owned()).collect()
    });
    assert_eq!(english, chinese, "{places:?}");
}

#[test]
fn the_samples_are_the_same_in_both_languages() {
    assert_same(TUTORIALS, "sh", " # ");
    for (language, remark) in [("sh", "# "), ("python", "# "), ("js", "// "), ("java", "// ")] {
        assert_same(PORTALS, language, remark);
    }
}

#[tokio::test]
async fn every_command_of_the_tutorial_runs_and_runs_again() {
    let database = shared().fresh_database(None).await;
    let sandbox = Sandbox::new("tutorial", "");
    let script = sandbox.path().join("tutorial.sh");
    std::fs::write(&script, blocks(TUTORIALS[0], "sh")).unwrap();
    let (port, portal_port) = (free_port().to_string(), free_port().to_string());
    for run in ["first", "second"] {
        let mut command = Command::new("bash");
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
            command.env_remove(key);
        }
        command.args(["-euo", "pipefail"]).arg(&script).env("WORK", sandbox.path().join("work"));
        command.env("IM", env!("CARGO_BIN_EXE_im-push-gateway")).env("DATABASE", shared().url(&database));
        command.env("PORT", &port).env("PORTAL_PORT", &portal_port);
        let mut child = sandbox.enter(&mut command, run).spawn().expect("bash runs");
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        let output = sandbox.tail(run, OUTPUT_LINES);
        assert!(status.success(), "{run}: {status}\n{output}");
        for answer in [
            "\"repeated\":true",
            "\"taken\":true",
            "\"message.read\"",
            "event: message.created",
            "\"hit\":true",
        ] {
            assert!(output.contains(answer), "{run}: no {answer} in\n{output}");
        }
    }
}

/// What the receiver at `url` answers to a POST with these headers.
async fn posted(url: &str, body: &str, headers: HeaderMap) -> Option<u16> {
    let request = reqwest::Client::new().post(url).headers(headers).body(body.to_owned());
    request.send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn the_receiver_of_the_tutorial_refuses_what_is_not_signed() {
    let sandbox = Sandbox::new("receiver", "");
    let at = |name: &str| -> std::path::PathBuf { Path::new(sandbox.path()).join(name) };
    let tutorial = blocks(TUTORIALS[0], "sh");
    let program = tutorial.split("<<'PYTHON'\n").nth(1).and_then(|rest| rest.split("\nPYTHON\n").next());
    std::fs::write(at("portal.py"), program.expect("a program")).unwrap();
    std::fs::write(at("secret"), "").unwrap();
    let port = free_port();
    let mut command = Command::new("python3");
    command.arg(at("portal.py")).arg(port.to_string()).args([at("secret"), at("events")]);
    let mut receiver = sandbox.enter(&mut command, "log").spawn().expect("python3 runs");

    let (url, body) = (format!("http://127.0.0.1:{port}/"), r#"{"events": [{"type": "callback.test"}]}"#);
    let answer = until(|| posted(&url, body, HeaderMap::new()), Option::is_some).await;
    assert_eq!(answer, Some(401), "no header\n{}", sandbox.tail("log", OUTPUT_LINES));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let signed_by = |webhook: Webhook| -> HeaderMap {
        let signature = webhook.sign("id", now, body.as_bytes()).unwrap();
        let parts = [
            ("webhook-id", "id".to_owned()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signature),
        ];
        parts.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    };
    let empty = signed_by(Webhook::from_bytes(Vec::new()).unwrap());
    assert_eq!(posted(&url, body, empty).await, Some(401), "the secret is not there yet");
    std::fs::write(at("secret"), SECRET).unwrap();
    let good = signed_by(Webhook::new(SECRET).unwrap());
    let odd: [(&'static str, &[u8]); 7] = [
        ("webhook-timestamp", b"now"),
        ("webhook-timestamp", b""),
        ("webhook-timestamp", "\u{b2}".as_bytes()),
        ("webhook-timestamp", &[b'9'; 5_000]),
        ("webhook-signature", "v1,\u{e9}".as_bytes()),
        ("webhook-signature", b"v1,\xff"),
        ("webhook-id", b"another"),
    ];
    for (name, value) in odd {
        let mut headers = good.clone();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        assert_eq!(posted(&url, body, headers).await, Some(401), "{name}: {value:?}");
        let mut headers = good.clone();
        headers.remove(name);
        assert_eq!(posted(&url, body, headers).await, Some(401), "without {name}");
    }
    assert!(!at("events").exists());
    assert_eq!(posted(&url, body, good).await, Some(204));
    assert_eq!(std::fs::read_to_string(at("events")).unwrap().lines().count(), 1);
    assert_eq!(sandbox.tail("log", OUTPUT_LINES), "", "no request broke it");
    sandbox.evict();
    receiver.wait().unwrap();
}
