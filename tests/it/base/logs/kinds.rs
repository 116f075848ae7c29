//! Every kind of request, those that succeed and those that fail, with something planted in each place: no line of
//! the log shows any of it.

use im_push_gateway::api::contract;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BINARY, lines};
use crate::app::{LONG, text};
use crate::base::database::until;
use crate::support::{Answer, Client, Gateway, Observer, Service, shared};

/// All that is planted has one of these: bodies, names, phones, addresses, ids of people, tokens, headers, answers.
const PLANTED: &[&str] = &["planted", "种下", "%E7%A7%8D%E4%B8%8B", "13900000", "cGxhbnRlZ"];
/// Base64 of `planted-planted-planted-planted!`, 32 bytes.
const KEY: &str = "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZCE=";
const USER: &str = "planted-user";
const OTHER: &str = "planted-other";
const APPLICATION: &str = "planted-application";
const GATE_SECRET: &str = "planted-gate-secret";
const ROLES: &[&str] = &["admin", "directory", "gateway", "support"];
/// Libraries below the service.
const DRIVERS: &[&str] = &[
    "tokio_postgres",
    "deadpool",
    "hyper",
    "hyper_util",
    "reqwest",
    "ldap3",
    "elasticsearch",
    "refinery",
    "tower",
    "axum",
];

/// Directives of the log for every library at its loudest.
pub(super) fn opened() -> String {
    DRIVERS.iter().map(|driver| format!(",{driver}=trace")).collect()
}

/// Keys of a path in a contract that are methods.
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options"];

/// A call that fails or not; how is said elsewhere.
struct Call {
    method: Method,
    path: String,
}

/// Every operation of both contracts, with something planted in its path.
fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for document in [contract::api(), contract::scim()] {
        let document = serde_json::to_value(document).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for key in item.as_object().unwrap().keys().filter(|key| METHODS.contains(&key.as_str())) {
                let method: Method = key.to_uppercase().parse().unwrap();
                let filled: Vec<&str> = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { "planted-in-a-path" } else { part })
                    .collect();
                calls.push(Call { method, path: filled.join("/") });
            }
        }
    }
    calls.push(Call { method: Method::GET, path: "/planted/nowhere".to_owned() });
    calls
}

async fn start(level: &str, gateway: &Gateway, folder: &tempfile::TempDir) -> Service {
    let database = shared().url(&crate::app::database().await).replacen('@', ":planted-password@", 1);
    let callback = gateway.url().replacen("http://", "http://planted-login:planted-word@", 1);
    let archive = format!("embedded:{}", folder.path().join("archive").display());
    let files = format!("folder:{}", folder.path().join("files").display());
    let settings = [
        ("log", level),
        ("database_url", &database),
        ("identity_secret", GATE_SECRET),
        ("callback_url", &format!("{callback}?key=planted-in-a-query")),
        ("callback_secrets", &format!("whsec_{KEY}")),
        ("callback_keys", KEY),
        ("callback_allow", "127.0.0.0/8"),
        ("archive_url", &archive),
        ("file_store", &files),
        ("file_link_keys", KEY),
        // Nothing answers as the HR service.
        ("directory_source", "http"),
        ("directory_users_url", "http://planted:planted@127.0.0.1:9/people?key=planted"),
        ("directory_authorization", "Bearer planted-authorization"),
        ("directory_schedule", ""),
        ("directory_full_schedule", ""),
        ("directory_run_attempts", "1"),
        // Streams end by themselves.
        ("stream_life_ms", "20"),
        ("recall_within_ms", "3600000"),
    ];
    Service::start(BINARY, &settings).await
}

fn call(service: &Service, user: &str, roles: &[&str]) -> Client {
    Client::new(&service.api(), user, roles).with_header("x-gateway-secret", GATE_SECRET)
}

fn person(id: &str, kind: &str) -> Value {
    json!({"user_id": id, "name": "种下的名字", "login_name": format!("{id}-login"), "email": format!("{id}@im.example"),
        "phone": "+8613900000001", "title": "planted title", "employee_number": "13900000-1", "kind": kind,
        "department_ids": ["planted-department"]})
}

/// What succeeds: people, a group, messages of every fate, files, notifications, machines.
async fn a_good_day(service: &Service, gateway: &Gateway, observer: &Observer) -> String {
    let (root, user, other) =
        (call(service, "root", ROLES), call(service, USER, &[]), call(service, OTHER, &[]));
    let departments = json!([{"department_id": "planted-department", "name": "种下的部门"}]);
    let users =
        json!([person(USER, "internal"), person(OTHER, "internal"), person(APPLICATION, "application")]);
    root.post("/directory/changes", json!({"departments": departments, "users": users})).await.expect(200);
    let wish = json!({"url": observer.url(), "event_types": ["message.*", "channel.*"], "headers": {"x-portal": "planted-in-a-header"},
        "description": "planted description"});
    root.post("/callbacks", wish).await.expect(201);
    let group = json!({"name": "种下的群", "members": [OTHER]});
    let group = text(&user.post("/groups", group).await.expect(201)["channel_id"]);
    let messages = format!("/channels/{group}/messages");
    let message = json!({"type": "text", "content": {"text": "planted-in-a-body 13900000002"}});
    let sent = text(&user.post(&messages, message).await.expect(201)["ms_id"]);
    gateway.wait_for(|record| record.seen(&sent, OTHER) > 0, LONG).await;
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    other.post("/receipts", json!({"receipts": [{"ms_id": sent, "status": "received"}]})).await;
    other.post(&format!("/channels/{group}/read"), json!({"seq": 1})).await;
    other.post(&format!("/messages/{sent}/forward"), json!({"channel_ids": [group]})).await;
    other.put(&format!("/users/me/favourites/{sent}"), json!({"note": "planted note"})).await;
    user.post(&format!("/messages/{sent}/nudge"), json!({})).await;
    until(
        || user.get("/search/messages?q=planted"),
        |reply| reply.body["items"].as_array().is_some_and(|hits| !hits.is_empty()),
    )
    .await;
    root.get("/support/messages?reason=planted+reason&q=planted").await;
    root.get("/users?q=%E7%A7%8D%E4%B8%8B").await;
    let (file, _) = user.raw("POST", "/files?name=planted.txt", &[], b"planted content").await;
    let file = text(&file.expect(201)["file_id"]);
    user.raw("GET", &format!("/files/{file}/content"), &[], &[]).await.0.expect(200);
    user.get(&format!("/files/{file}/link")).await.expect(200);
    let notice = json!({"to": {"user_ids": [USER, "planted-unknown"]}, "type": "text",
        "content": {"text": "planted notice"}, "topic": "planted-topic", "client_id": "planted-client-id"});
    call(service, APPLICATION, &[]).post("/notifications", notice).await.expect(202);
    user.patch("/users/me", json!({"phone": "+8613900000003"})).await;
    root.post("/tokens", json!({"name": "planted token", "user_id": APPLICATION, "roles": ["user"]})).await;
    user.post(&format!("/channels/{group}/robots"), json!({"name": "planted robot"})).await.expect(201);
    root.put(
        "/presence",
        json!({"gateway": "planted-gateway", "users": [{"user_id": USER, "status": "online"}]}),
    )
    .await
    .expect(200);
    let joiner = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": "planted-joiner",
        "userName": "planted-joiner@im.example", "active": true, "name": {"givenName": "种下", "familyName": "的"},
        "phoneNumbers": [{"value": "+8613900000004", "type": "work"}]});
    Client::new(&format!("{}/scim/v2", service.url()), "idp", &["directory"])
        .with_header("x-gateway-secret", GATE_SECRET)
        .post("/Users", joiner)
        .await
        .expect(201);
    user.post(&format!("/messages/{sent}/recall"), json!({})).await.expect(200);
    messages
}

/// What fails outside: the gateway and the observer answer badly and in their own words, the HR service not at all.
async fn a_bad_night(service: &Service, gateway: &Gateway, observer: &Observer, messages: &str) {
    let (root, user) = (call(service, "root", ROLES), call(service, USER, &[]));
    let run = text(&root.post("/directory/sync", json!({})).await.expect(202)["run_id"]);
    let run = format!("/directory/runs/{run}");
    until(|| root.get(&run), |reply| !reply.body["ended_at"].is_null()).await;
    gateway.answer(|_| Answer::Body("{\"received\": \"planted-in-an-answer".to_owned()));
    observer
        .behave(|_| crate::support::Conduct::redirect("http://127.0.0.1/planted-in-an-answer".to_owned()));
    let message = json!({"type": "text", "content": {"text": "planted-in-a-second-body"}});
    user.post(messages, message).await.expect(201);
    let deliveries = || root.get("/callbacks/gateway/deliveries");
    until(deliveries, |reply| {
        reply.body["items"].as_array().is_some_and(|all| all.iter().any(|one| !one["error"].is_null()))
    })
    .await;
}

/// Every operation, called wrongly in four ways.
async fn all_that_is_refused(service: &Service) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // A refusal can end its connection, so each request has its own.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let body = json!({"planted": "planted", "name": "种下的名字", "user_id": USER, "text": 13_900_000, "type": "planted",
        "content": {"text": "planted"}, "members": ["planted"], "url": "http://planted:planted@planted.example/?planted"});
    let bodies =
        [body.to_string(), "{\"planted".to_owned(), "[\"planted\"]".to_owned(), "planted=planted".to_owned()];
    for Call { method, path } in calls() {
        for (at, body) in bodies.iter().enumerate() {
            let url =
                format!("{}{path}?q=planted&limit=planted&user_id=planted&reason=planted", service.url());
            let request = http.request(method.clone(), url).header("x-planted", "planted").body(body.clone());
            let request = match at {
                0 | 1 => request
                    .header("x-user-id", USER)
                    .header("x-user-roles", ROLES.join(","))
                    .header("x-gateway-secret", GATE_SECRET)
                    .header("content-type", "application/json"),
                2 => request
                    .header("authorization", "Bearer impg_planted")
                    .header("content-type", "application/json"),
                _ => request.header("x-user-id", "planted-stranger").header("x-gateway-secret", GATE_SECRET),
            };
            // What is refused before its body is read can break off. The log counts the requests.
            if let Ok(answer) = request.send().await {
                let _ = answer.bytes().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_shows_what_any_request_says_whether_it_succeeds_or_fails() {
    let opened = opened();
    for level in [format!("debug{opened}"), format!("trace{opened}")] {
        let (gateway, observer, folder) =
            (Gateway::start_with(&format!("whsec_{KEY}")), Observer::start(), tempfile::tempdir().unwrap());
        let mut service = start(&level, &gateway, &folder).await;
        let messages = a_good_day(&service, &gateway, &observer).await;
        a_bad_night(&service, &gateway, &observer, &messages).await;
        all_that_is_refused(&service).await;
        service.stop().await;
        let log = service.log();
        for planted in PLANTED {
            let found: Vec<&str> = log.lines().filter(|line| line.contains(planted)).take(5).collect();
            assert!(found.is_empty(), "log = {level:?}: {planted} in {found:#?}");
        }
        // The log has seen all of it.
        let answered = lines(&service).iter().filter(|line| line["message"] == "answered").count();
        assert!(answered > 4 * calls().len(), "{answered} requests are in the log");
    }
}
