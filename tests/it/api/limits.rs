//! Limits of callers: who is refused, what they are told, and who is not.

use std::cell::Cell;

use serde_json::json;

use crate::app::{TestApp, text};
use crate::base::database::until;
use crate::support::{Client, Reply, Service, shared};

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

    let limited = "machine_requests_per_second = 1\nmachine_requests_burst = 3\n";
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
