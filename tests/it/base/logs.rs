//! What the log says, and what it never says.

mod kinds;

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{LONG, text};
use crate::base::database::{TRAP, until};
use crate::support::gateway::SECRET as SIGNING;
use crate::support::hr::AUTHORIZATION;
use crate::support::{Client, Cluster, Gateway, Hr, Observer, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const CALLBACK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// What must be in no line, each planted where its name says.
const BODY: &str = "planted-in-a-body";
const NAME: &str = "Planted In A Name";
const BAD_RECORD: &str = "planted-in-a-bad-record";
const HEADER: &str = "planted-in-a-header";
const QUERY: &str = "planted-in-a-query";
const TOKEN: &str = "impg_planted-in-a-token";
const ROW: &str = "planted-in-a-row";
const PLANTED: &[&str] =
    &[BODY, NAME, BAD_RECORD, HEADER, QUERY, TOKEN, ROW, SIGNING, AUTHORIZATION, CALLBACK_KEY];

/// The lines of a log, each JSON.
fn lines(service: &Service) -> Vec<Value> {
    let log = service.log();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    log.lines().filter(|line| line.starts_with('{')).map(line).collect()
}

fn said<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

/// A token of ours, as an operator makes it.
fn token(database_url: &str) -> String {
    let made = Command::new(BINARY)
        .args(["token", "create", "--name", "desk", "--user-id", "desk", "--roles", "support"])
        .env("IMPG_DATABASE_URL", database_url)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Whatever passes through a service: people, messages, tokens, headers, and errors about each.
async fn a_full_day(level: &str) -> (Vec<Value>, Vec<String>) {
    let (hr, gateway, portal) = (Hr::start().await, Gateway::start(), Observer::start());
    hr.books().put(json!({"id": "e1", "name": NAME, "active": true, "department_ids": []}));
    hr.books().put(json!({"id": "e2", "name": "e2", "active": BAD_RECORD, "department_ids": []}));
    let database = crate::app::database().await;
    let (url, callback, folder) = (shared().url(&database), gateway.url(), TempDir::new().unwrap());
    let archive = format!("embedded:{}", folder.path().display());
    let pairs = hr.pairs();
    let mut settings: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    settings.extend([
        ("log", level),
        ("database_url", &url),
        ("callback_url", &callback),
        ("callback_secrets", SIGNING),
        ("callback_keys", CALLBACK_KEY),
        ("callback_allow", "127.0.0.0/8"),
        ("callback_breaker_failures", "1"),
        ("archive_url", &archive),
    ]);
    let mut service = Service::start(BINARY, &settings).await;
    let call = |user: &str, roles: &[&str]| Client::new(&service.api(), user, roles);
    let (root, a) = (call("root", &["admin", "directory"]), call("a", &[]));

    root.post(
        "/directory/changes",
        json!({"users": [{"user_id": "a", "name": NAME}, {"user_id": "b", "name": "b"}]}),
    )
    .await
    .expect(200);
    let run = text(&root.post("/directory/sync", json!({})).await.expect(202)["run_id"]);
    let run = format!("/directory/runs/{run}");
    until(|| root.get(&run), |reply| !reply.body["ended_at"].is_null()).await;
    for place in [portal.url(), format!("http://127.0.0.1:9/?key={QUERY}")] {
        let wish = json!({"url": place, "event_types": ["message.*"], "headers": {"x-portal": HEADER}});
        root.post("/callbacks", wish).await.expect(201);
    }
    let channel =
        text(&a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.body["channel_id"]);
    let path = format!("/channels/{channel}/messages");
    let sent = a.post(&path, json!({"type": "text", "content": {"text": BODY}})).await.expect(201);
    gateway.wait_for(|record| record.seen(&text(&sent["ms_id"]), "b") > 0, LONG).await;
    portal.wait_for(|log| !log.events().is_empty(), LONG).await;
    let search = format!("/search/messages?q={BODY}");
    until(|| a.get(&search), |reply| reply.body["items"].as_array().is_some_and(|hits| !hits.is_empty()))
        .await;
    a.post(&path, json!({"type": BODY, "content": {"text": BODY}})).await.expect(422);
    a.get(&format!("/conversations?limit={QUERY}")).await.expect(400);

    let mut secrets = call_robot(&service, &a).await;
    let desk = token(&url);
    let bearer = |token: &str| {
        Client::anonymous(&service.api()).with_header("authorization", &format!("Bearer {token}"))
    };
    bearer(&desk).get("/support/messages?reason=a+look").await.expect(200);
    bearer(TOKEN).get("/users/me").await.expect(401);
    // An error of the database that quotes what is in a row.
    let sql = shared().connect(&database).await;
    sql.batch_execute(TRAP).await.unwrap();
    let raise =
        format!("DO $$ BEGIN RAISE EXCEPTION '{ROW}' USING ERRCODE = 'XX000', DETAIL = '{ROW}'; END $$");
    sql.execute("INSERT INTO trap VALUES ($1)", &[&raise]).await.unwrap();
    let put =
        root.clone().with_header("x-request-id", "req-1").put("/emojis/e", json!({"address": ROW})).await;
    assert_eq!(put.header("x-request-id"), "req-1");
    assert_eq!(put.expect_problem(500, "internal")["request_id"], "req-1");
    // The observer that cannot be reached has been noticed.
    let opened = "callback does not answer, breaker opens";
    until(async || said(&lines(&service), opened).len(), |n| *n > 0).await;
    service.stop().await;
    secrets.push(desk);
    (lines(&service), secrets)
}

/// The secrets of a robot that has been called, rightly and wrongly.
async fn call_robot(service: &Service, admin: &Client) -> Vec<String> {
    let group = text(&admin.post("/groups", json!({"members": ["b"]})).await.expect(201)["channel_id"]);
    let robot = admin.post(&format!("/channels/{group}/robots"), json!({"name": "r"})).await.expect(201);
    let (dingtalk, wecom) = (text(&robot["urls"]["dingtalk"]), text(&robot["urls"]["wecom"]));
    let body = json!({"msgtype": "text", "text": {"content": BODY}});
    for (url, code) in [(&wecom, 0), (&dingtalk, 310_000), (&format!("{dingtalk}&sign={QUERY}"), 310_000)] {
        let answer = Client::anonymous(&service.url()).post(url, body.clone()).await.expect(200);
        assert_eq!(answer["errcode"], code, "{answer}");
    }
    let token = dingtalk.split(['/', '?']).find(|part| part.starts_with("impr_")).expect("a token");
    vec![text(&robot["secret"]), token.to_owned()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_any_level_shows_what_is_said_who_people_are_or_what_proves_it() {
    // What a level says the ones above it say too. No directive opens what others write.
    let opened = kinds::opened();
    for level in ["info".to_owned(), "trace".to_owned(), format!("debug{opened}")] {
        let (lines, secrets) = a_full_day(&level).await;
        for line in &lines {
            let shown = line.to_string();
            for planted in PLANTED.iter().copied().chain(secrets.iter().map(String::as_str)) {
                assert!(!shown.contains(planted), "log = {level:?}: {planted} in {shown}");
            }
        }
        let failed = said(&lines, "request failed");
        assert_eq!(failed.len(), 1, "{failed:?}");
        let asked = json!({"request_id": "req-1", "method": "PUT", "route": "/api/v1/emojis/{emoji_id}", "name": "request"});
        let mut span = failed[0]["span"].clone();
        let trace_id = span.as_object_mut().unwrap().remove("trace_id").unwrap_or_default();
        assert!(text(&trace_id).len() == 32, "{failed:?}");
        assert_eq!(span, asked);
        assert!(text(&failed[0]["error"]).contains("XX000"), "{failed:?}");
        assert_eq!(said(&lines, "answered").is_empty(), level == "info");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_two_lines() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    cluster.create_database("life", None).await;
    let url = cluster.url("life");
    let settings = [("database_url", url.as_str()), ("request_timeout_ms", "2000"), ("poll_ms", "50")];
    let mut service = Service::start(BINARY, &settings).await;
    let a = Client::new(&service.api(), "a", &["directory"]);
    let users = json!({"users": [{"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b"}]});
    a.post("/directory/changes", users).await.expect(200);
    let channel =
        text(&a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.body["channel_id"]);
    let path = format!("/channels/{channel}/messages");
    let send = || a.post(&path, json!({"type": "text", "content": {"text": "x"}}));

    cluster.kill9();
    for _ in 0..5 {
        let refused = send().await;
        let id = refused.header("x-request-id").to_owned();
        assert_eq!(refused.expect(503)["request_id"], *id);
    }
    until(async || said(&lines(&service), "the database is away").len(), |n| *n > 0).await;
    cluster.restart().await;
    until(send, |reply| reply.status == 201).await;
    until(async || said(&lines(&service), "the database is back").len(), |n| *n > 0).await;
    service.stop().await;

    let lines = lines(&service);
    // This service has no gateway, and warns of it at its start.
    let start = |line: &Value| text(&line["message"]).starts_with("this replica has no gateway");
    let loud: Vec<&Value> = lines.iter().filter(|line| line["level"] != "INFO" && !start(line)).collect();
    let [away] = loud.as_slice() else { panic!("{loud:?}") };
    assert_eq!((&away["level"], &away["message"]), (&json!("WARN"), &json!("the database is away")));
    // It refuses new connections, or has cut one in the middle of a statement.
    assert!(text(&away["why"]).contains("127.0.0.1:"), "{away}");
    let back = said(&lines, "the database is back");
    assert!(back.len() == 1 && back[0]["away_ms"].is_u64(), "{back:?}");
}

#[tokio::test]
async fn a_request_has_one_name_in_answer_and_problem() {
    let app = crate::app::TestApp::start().await;
    let probe = Client::anonymous(&app.base);
    for taken in ["req-1", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef012345678912345678"] {
        let reply = probe.clone().with_header("x-request-id", taken).get("/nowhere").await;
        assert_eq!(reply.header("x-request-id"), taken);
        assert_eq!(reply.expect_problem(404, "not-found")["request_id"], taken);
    }
    let long = "x".repeat(129);
    for odd in ["", "a b", "<b>", "名", "{\"a\":1}", &long] {
        let reply = probe.clone().with_header("x-request-id", odd).get("/healthz").await;
        let own = reply.header("x-request-id").to_owned();
        assert!(own.len() == 36 && own != odd, "{odd:?} became {own:?}");
    }
    // In a bulk answer too.
    app.people(&["a"]).await;
    let items = json!([{"channel_id": "1", "type": "text", "content": {"text": "x"}}]);
    let reply =
        app.person("a").with_header("x-request-id", "bulk").post("/messages", items).await.expect(200);
    assert_eq!(reply["results"][0]["problem"]["request_id"], "bulk", "{reply}");
}
