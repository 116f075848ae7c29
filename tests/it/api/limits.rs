//! Limits of callers and of a replica: who is refused, what they are told, and who is not.

use std::cell::Cell;

use futures_util::future::select_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::app::{LONG, TestApp, text};
use crate::base::database::until;
use crate::chat::strangers::{dial, rest};
use crate::support::{Client, Receiver, Reply, Script, Service, shared};

/// Few requests, which come back one a second.
const FEW: &str = "user_requests_per_second = 1\nuser_requests_burst = 5\n";

/// Asks until an answer is a refusal. Requests come back with time, so that a slow machine needs more of them.
async fn refused(caller: &Client, path: &str) -> Reply {
    until(|| caller.get(path), |reply| reply.status == 429).await
}

#[tokio::test]
async fn a_caller_beyond_its_rate_is_told_when_to_come_back() {
    let app = TestApp::start_with(FEW).await;
    app.people(&["a", "b"]).await;
    let a = app.person("a");
    let first = a.get("/conversations").await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, "\"user\";q=5;w=5"));
    assert_eq!(first.header("ratelimit"), "\"user\";r=4");

    let reply = refused(&a, "/conversations").await;
    let wait = reply.header("retry-after").to_owned();
    assert_eq!(wait, "1");
    assert_eq!(reply.header("ratelimit-policy"), "\"user\";q=5;w=5");
    assert_eq!(reply.header("ratelimit"), format!("\"user\";r=0;t={wait}"));
    let problem = reply.expect_problem(429, "rate-limited");
    assert!(
        text(&problem["detail"]).contains("5 requests of a caller at once, and 1 more each second"),
        "{problem}"
    );

    assert_eq!(app.person("b").get("/conversations").await.header("ratelimit"), "\"user\";r=4");
    until(|| a.get("/conversations"), |reply| reply.status == 200).await;
}

#[tokio::test]
async fn nothing_that_a_caller_chooses_gives_it_another_limit() {
    let app = TestApp::start_with(&format!("{FEW}stream_life_ms = 20\n")).await;
    app.people(&["a"]).await;
    let asked = Cell::new(0);
    let changing = || {
        asked.set(asked.get() + 1);
        let address = format!("10.0.0.{}", asked.get());
        let a = Client::new(&format!("{}/api/v1", app.base), "a", &[]);
        let a = a.with_header("x-forwarded-for", &address).with_header("x-request-id", &address);
        async move { a.with_header("user-agent", &address).get("/conversations").await }
    };
    until(changing, |reply| reply.status == 429).await;
    // Nor another path, also when the answer is an error.
    for path in ["/users/me", "/tokens", "/channels/1", "/search/messages"] {
        let a = app.person("a");
        refused(&a, path).await.expect_problem(429, "rate-limited");
    }
    // Nor opening streams again and again.
    refused(&app.person("a"), "/events").await.expect_problem(429, "rate-limited");
    let (reply, _) = {
        let a = app.person("a");
        let upload = || a.raw("OPTIONS", "/files/uploads", &[], b"");
        until(upload, |(reply, _)| reply.status == 429).await
    };
    assert_eq!(reply.header("tus-resumable"), "1.0.0", "a client of tus reads the answer");
}

#[tokio::test]
async fn machines_have_a_limit_of_their_own_and_none_by_default() {
    let app = TestApp::start_with(FEW).await;
    app.people(&["a"]).await;
    let hr = app.client("hr", &["directory"]);
    let oa = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    hr.post("/directory/changes", oa).await.expect(200);
    let wish = json!({"name": "desk", "user_id": "oa", "roles": ["user"]});
    let made = app.client("root", &["admin", "gateway"]).post("/tokens", wish).await.expect(201);
    let bearer = format!("Bearer {}", text(&made["secret"]));
    let token = Client::anonymous(&format!("{}/api/v1", app.base)).with_header("authorization", &bearer);
    // A person with another role is a person.
    refused(&app.client("a", &["support"]), "/conversations").await;
    for _ in 0..20 {
        for (machine, path) in [(&hr, "/users/a"), (&token, "/conversations")] {
            let reply = machine.get(path).await;
            assert_eq!((reply.status, reply.header("ratelimit")), (200, ""));
        }
    }

    let limited =
        "machine_requests_per_second = 1\nmachine_requests_burst = 3\nuser_requests_per_second = 200\n";
    let app = TestApp::start_with(limited).await;
    let provider = Client::new(&format!("{}/scim/v2", app.base), "hr", &["directory"]);
    let reply = refused(&provider, "/Users").await;
    assert_eq!(reply.header("ratelimit-policy"), "\"machine\";q=3;w=3");
    assert_eq!((reply.header("retry-after"), reply.header("content-type")), ("1", "application/scim+json"));
    assert_eq!(reply.body["status"], "429");
    assert_eq!(
        app.person("hr").get("/conversations").await.header("ratelimit-policy"),
        "\"user\";q=2000;w=10"
    );
}

#[tokio::test]
async fn probes_have_no_limit_and_refusals_are_counted() {
    let database = crate::app::database().await;
    let url = shared().url(&database);
    let settings = [("database_url", &*url), ("user_requests_per_second", "1"), ("user_requests_burst", "5")];
    let service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    refused(&Client::new(&service.api(), "a", &[]), "/conversations").await;
    let probe = Client::anonymous(&service.url());
    for _ in 0..20 {
        for path in ["/healthz", "/readyz", "/openapi.json"] {
            let reply = probe.get(path).await;
            assert_eq!((reply.status, reply.header("ratelimit")), (200, ""), "{path}");
        }
    }
    let scrape = || async { reqwest::get(service.metrics_url()).await.unwrap().text().await.unwrap() };
    until(scrape, |text| text.contains("impg_rate_limited_total{policy=\"user\"}")).await;
}

/// Waits of the database for a lock, in this database.
pub const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND wait_event_type = 'Lock' AND query LIKE '%t_im_emoji%'";

#[tokio::test]
async fn a_replica_with_too_much_to_do_refuses_at_once_and_answers_probes() {
    let app = TestApp::start_with("requests_max = 1").await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let sql = app.sql().await;
    sql.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let at_work = tokio::spawn({
        let a = a.clone();
        async move { a.get("/emojis").await }
    });
    app.until(WAITING, 1).await;

    let reply = a.get("/conversations").await;
    assert_eq!(reply.header("retry-after"), "1");
    let problem = reply.expect_problem(503, "unavailable");
    assert!(text(&problem["detail"]).contains("too many requests"), "{problem}");
    // The answer does not wait for a body, and not for a proof.
    let head = "POST /api/v1/groups HTTP/1.1\r\nHost: im\r\nConnection: close\r\ncontent-type: application/json\r\n\
                content-length: 4000000\r\n\r\n{";
    let answer = rest(dial(&app, head).await).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let provider = Client::new(&format!("{}/scim/v2", app.base), "hr", &["directory"]);
    provider.get("/Users").await.expect_problem(503, "unavailable");
    let probe = Client::anonymous(&app.base);
    for path in ["/healthz", "/readyz"] {
        probe.get(path).await.expect(200);
    }

    sql.batch_execute("ROLLBACK").await.unwrap();
    at_work.await.unwrap().expect(200);
    a.get("/conversations").await.expect(200);
}

#[tokio::test]
async fn requests_whose_bodies_do_not_come_take_no_place() {
    let app = TestApp::start_with("requests_max = 1").await;
    app.people(&["a"]).await;
    let head = "POST /api/v1/groups HTTP/1.1\r\nHost: im\r\nx-user-id: a\r\ncontent-type: application/json\r\n\
                content-length: 4000000\r\n\r\n{";
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(dial(&app, head).await);
    }
    let a = app.person("a");
    for _ in 0..3 {
        a.get("/conversations").await.expect(200);
        a.post("/groups", json!({"name": "a group"})).await.expect(201);
    }
    drop(waiting);

    // Nor is there room for one whose body ends while others are at work.
    let sql = app.sql().await;
    let body = "{\"name\": \"late\"}";
    let head = head
        .replace("4000000\r\n\r\n{", &format!("{}\r\n\r\n", body.len()))
        .replace("Host: im", "Host: im\r\nConnection: close");
    let mut late = dial(&app, &head).await;
    sql.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let at_work = tokio::spawn({
        let a = a.clone();
        async move { a.get("/emojis").await }
    });
    app.until(WAITING, 1).await;
    late.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(late).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("too many requests"), "{answer}");
    sql.batch_execute("ROLLBACK").await.unwrap();
    at_work.await.unwrap().expect(200);
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel", &[]).await, 3, "nothing is done for it");
}

#[tokio::test]
async fn a_slow_archive_stops_searches_and_no_sends() {
    let archive = Receiver::start().await;
    // It is away while the service starts.
    archive.answer(Script::status(503, &[], ""));
    let settings = format!(
        "archive_url = \"http://127.0.0.1:{}\"\narchive_requests_max = 2\narchive_retry_ms = 0\nrequests_max = 5\n",
        archive.port()
    );
    let app = TestApp::start_with(&settings).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    archive.answer(Script::raw("").then_endlessly("", LONG));
    let searches = (0..3).map(|_| {
        let a = app.person("a");
        tokio::spawn(async move { a.get("/search/messages?q=hello").await })
    });
    let (refused, _, waiting) = select_all(searches).await;
    let refused = refused.unwrap();
    assert_eq!(refused.header("retry-after"), "1");
    let problem = refused.expect_problem(503, "unavailable");
    assert!(text(&problem["detail"]).contains("wait for the archive"), "{problem}");
    // More than requests_max.
    for n in 0..10 {
        app.say("a", &channel, &format!("hello {n}")).await;
        let problem =
            app.person("b").get("/search/messages?q=hello").await.expect_problem(503, "unavailable");
        assert!(text(&problem["detail"]).contains("wait for the archive"), "{problem}");
        assert_eq!(app.seqs("b", &channel, "?limit=1").await, [n + 1]);
    }
    assert!(waiting.iter().all(|search| !search.is_finished()), "they wait for the archive");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_slow_statement_is_ended_and_its_connection_is_free_again() {
    let settings = "database_pool_size = 4\ndatabase_wait_ms = 20000\ndatabase_statement_timeout_ms = 3000";
    let app = TestApp::start_with(settings).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let sql = app.sql().await;
    sql.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // More than there are connections.
    let slow: Vec<_> = (0..6).map(|_| a.clone()).map(|a| async move { a.get("/emojis").await }).collect();
    let slow = tokio::spawn(futures_util::future::join_all(slow));
    for reply in slow.await.unwrap() {
        let problem = reply.expect_problem(503, "unavailable");
        assert_eq!(problem["detail"], "the database took too long");
    }
    a.get("/conversations").await.expect(200);
    sql.batch_execute("ROLLBACK").await.unwrap();
    a.get("/emojis").await.expect(200);
}

#[tokio::test]
async fn one_address_has_a_number_of_connections_and_others_have_theirs() {
    let settings = "connections_per_peer = 2\nhead_timeout_ms = 86400000\nidle_timeout_ms = 86400000";
    let app = TestApp::start_with(settings).await;
    let held = [dial(&app, "").await, dial(&app, "GET /healthz HTTP/1.1\r\n").await];
    assert_eq!(rest(dial(&app, "").await).await, "", "the third is closed");
    // Another address.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = app.base.trim_start_matches("http://").parse().unwrap();
    let mut other = other.connect(address).await.unwrap();
    let ask = "GET /healthz HTTP/1.1\r\nHost: im\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut other, ask.as_bytes()).await.unwrap();
    assert!(rest(other).await.starts_with("HTTP/1.1 200"));
    // One that ends makes room.
    drop(held);
    let again = || async { rest(dial(&app, ask).await).await };
    until(again, |answer| answer.starts_with("HTTP/1.1 200")).await;
}
