//! Signatures, as the packages of three languages and the Java class of the documents verify them.

use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{OPEN, moment, observer, path};
use crate::app::{TestApp, text};
use crate::support::{Client, Received, Receiver};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// Sends a test and returns the request that came, with who should have signed it.
async fn tried(admin: &Client, receiver: &Receiver, callback: &Value) -> Received {
    assert_eq!(admin.post(&path(callback, "/test"), json!({})).await.expect(200)["taken"], true);
    receiver.received().pop().expect("a request")
}

fn case(secret: &str, received: &Received) -> Value {
    let headers: serde_json::Map<String, Value> =
        HEADERS.iter().map(|name| ((*name).to_owned(), received.header(name).into())).collect();
    json!({"secret": secret, "headers": headers, "body": BASE64_STANDARD.encode(&received.body)})
}

/// Requests that no sender of Standard Webhooks makes. They must be refused, and must not break the receiver.
fn malformed(genuine: &Value) -> Vec<Value> {
    let without = HEADERS.map(|name| {
        let mut case = genuine.clone();
        case["headers"].as_object_mut().expect("headers").remove(name);
        case
    });
    let odd = [
        (1, "now"),
        (1, ""),
        (1, "-1"),
        (1, "99999999999999999999"),
        (2, "v1,\u{e9}"),
        (2, "v1"),
        (2, "\u{597d}"),
        (2, " "),
    ];
    let odd = odd.map(|(place, value)| {
        let mut case = genuine.clone();
        case["headers"][HEADERS[place]] = value.into();
        case
    });
    let mut bare = genuine.clone();
    bare["headers"] = json!({});
    without.into_iter().chain(odd).chain([bare]).collect()
}

/// What a package makes of the cases: the payload, or null where it refuses.
async fn verified(command: &mut Command, cases: &Value) -> Vec<Value> {
    judged_by(command, cases.to_string()).await
}

/// What a program answers to this input.
async fn judged_by(command: &mut Command, given: String) -> Vec<Value> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; tests/tools ensure standardwebhooks"));
    let mut input = child.stdin.take().expect("piped");
    input.write_all(given.as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success(), "{command:?}; tests/tools ensure standardwebhooks");
    serde_json::from_slice(&output.stdout).expect("a list")
}

fn by_rust(cases: &Value) -> Vec<Value> {
    let verify = |case: &Value| {
        let webhook = standardwebhooks::Webhook::new(case["secret"].as_str()?).ok()?;
        let header = |(name, value): (&String, &Value)| {
            Some((http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value.as_str()?).ok()?))
        };
        let headers: http::HeaderMap = case["headers"].as_object()?.iter().filter_map(header).collect();
        let body = BASE64_STANDARD.decode(case["body"].as_str()?).ok()?;
        webhook.verify(&body, &headers).ok()?;
        serde_json::from_slice(&body).ok()
    };
    cases.as_array().expect("cases").iter().map(|case| verify(case).unwrap_or_default()).collect()
}

/// What the class of the documents makes of the cases; `tests/signatures/Verify.java` asks it.
async fn by_java(cases: &Value) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let document = std::fs::read_to_string(format!("{ROOT}/docs/portals.md")).expect("the document");
    let class =
        document.split("```java\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("a class");
    let source = folder.path().join("WebhookVerifier.java");
    std::fs::write(&source, class).expect("a file");
    let asking = Path::new(ROOT).join("tests/signatures/Verify.java");
    let compiled = Command::new("javac").arg("-d").args([folder.path(), &source, &asking]).output().await;
    let compiled = compiled.expect("javac runs: the tests need a JDK");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let line = |case: &Value| {
        let headers = HEADERS.map(|name| case["headers"][name].as_str());
        let parts = [&[case["secret"].as_str()], &headers[..], &[case["body"].as_str()]].concat();
        let parts = parts.iter().map(|part| part.map_or_else(String::new, |part| format!("={part}")));
        parts.collect::<Vec<_>>().join("\t") + "\n"
    };
    let cases = cases.as_array().expect("cases");
    let mut java = Command::new("java");
    java.arg("-cp").arg(folder.path()).arg("Verify");
    let taken = judged_by(&mut java, cases.iter().map(line).collect()).await;
    let payload = |(case, taken): (&Value, Value)| -> Value {
        let body = BASE64_STANDARD.decode(case["body"].as_str().expect("a body")).expect("base64");
        if taken == true { serde_json::from_slice(&body).expect("JSON") } else { Value::Null }
    };
    cases.iter().zip(taken).map(payload).collect()
}

#[tokio::test]
async fn packages_of_three_languages_verify_them_also_during_a_rotation() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let receiver = Receiver::start().await;
    let made = observer(&admin, &receiver.url()).await;
    let old = text(&made["secret"]);
    let before = tried(&admin, &receiver, &made).await;
    let rotated = admin.post(&path(&made, "/secrets"), json!({"overlap_ms": 60_000})).await.expect(201);
    let new = text(&rotated["secret"]);
    assert_ne!(old, new);
    let overlap = tried(&admin, &receiver, &made).await;
    admin.post(&path(&made, "/secrets"), json!({"overlap_ms": 0})).await.expect(201);
    let after = tried(&admin, &receiver, &made).await;

    let mut tampered = overlap.clone();
    tampered.body[20] ^= 1;
    let mut renamed = overlap.clone();
    let id = renamed.headers.iter_mut().find(|(name, _)| name == "webhook-id").expect("an id");
    id.1.push('0');
    let stranger = crate::support::gateway::SECRET;
    let mut judged = vec![
        (case(&old, &before), true),
        (case(&new, &before), false),
        (case(&old, &overlap), true),
        (case(&new, &overlap), true),
        (case(stranger, &overlap), false),
        (case(&old, &tampered), false),
        (case(&new, &tampered), false),
        (case(&new, &renamed), false),
        (case(&old, &after), false),
        (case(&new, &after), false),
    ];
    judged.extend(malformed(&case(&new, &overlap)).into_iter().map(|case| (case, false)));
    let cases: Value = judged.iter().map(|(case, _)| case.clone()).collect();
    let home = format!("{ROOT}/.cache/standardwebhooks");
    let mut python = Command::new(format!("{home}/python/bin/python"));
    python.arg(format!("{ROOT}/tests/signatures/verify.py"));
    let mut node = Command::new("node");
    node.arg(format!("{ROOT}/tests/signatures/verify.mjs")).arg(format!("{home}/node"));
    let answers = [
        ("Python", verified(&mut python, &cases).await),
        ("JavaScript", verified(&mut node, &cases).await),
        ("Rust", by_rust(&cases)),
        ("Java", by_java(&cases).await),
    ];
    for (language, payloads) in answers {
        assert_eq!(payloads.len(), judged.len(), "{language}");
        for (place, ((case, genuine), payload)) in judged.iter().zip(&payloads).enumerate() {
            assert_eq!(!payload.is_null(), *genuine, "{language}, case {place}: {case}");
            if *genuine {
                assert_eq!(payload["batch_id"], case["headers"]["webhook-id"], "{language}");
                assert_eq!(payload["callback_id"], made["callback_id"], "{language}");
            }
        }
    }
}

#[tokio::test]
async fn secrets_end_when_their_overlap_does() {
    let mut app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let receiver = Receiver::start().await;
    let made = observer(&admin, &receiver.url()).await;
    let signatures = |received: &Received| received.header("webhook-signature").split(' ').count();
    for signing in 2..=4 {
        // Without a body: the overlap of the settings.
        let rotated = admin.post(&path(&made, "/secrets"), json!({})).await.expect(201);
        let left = moment(&rotated["others_until"]) - app.store.now().await.unwrap();
        assert!(left > Duration::hours(23) && left <= Duration::hours(24), "{left}");
        assert_eq!(signatures(&tried(&admin, &receiver, &made).await), signing);
    }
    admin.post(&path(&made, "/secrets"), json!({})).await.expect_problem(409, "conflict");
    let shown = admin.get(&path(&made, "")).await.expect(200);
    let ends: Vec<bool> =
        shown["secrets"].as_array().unwrap().iter().map(|secret| secret["expires_at"].is_null()).collect();
    assert_eq!(ends, [true, false, false, false]);
    let too_long = json!({"overlap_ms": 2_592_000_001_u64});
    let problem = admin.post(&path(&made, "/secrets"), too_long).await.expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/overlap_ms");

    app.clock("25 hours").await;
    let admin = app.client("root", &["admin"]);
    assert_eq!(signatures(&tried(&admin, &receiver, &made).await), 1);
    assert_eq!(admin.get(&path(&made, "")).await.expect(200)["secrets"].as_array().unwrap().len(), 1);
    admin.post(&path(&made, "/secrets"), json!({"overlap_ms": 0})).await.expect(201);
    assert_eq!(signatures(&tried(&admin, &receiver, &made).await), 1);
}

#[tokio::test]
async fn a_replica_notices_a_rotation_that_another_one_made() {
    let app = TestApp::start_with(OPEN).await;
    let other = TestApp::start_on(app.database.clone(), OPEN).await;
    let receiver = Receiver::start().await;
    let (here, there) = (app.client("root", &["admin"]), other.client("root", &["admin"]));
    let made = observer(&here, &receiver.url()).await;
    tried(&there, &receiver, &made).await;
    let rotated = here.post(&path(&made, "/secrets"), json!({"overlap_ms": 0})).await.expect(201);
    let signed = tried(&there, &receiver, &made).await;
    assert!(!by_rust(&json!([case(&text(&rotated["secret"]), &signed)]))[0].is_null());
    here.patch(&path(&made, ""), json!({"headers": {"x-new": "yes"}})).await.expect(200);
    assert_eq!(tried(&there, &receiver, &made).await.header("x-new"), "yes");
}
