//! What identity keeps in the database: our own tokens, and signatures that were used.

pub mod tokens;

use im_push_gateway::base::audit;
use im_push_gateway::base::config::Config;
use im_push_gateway::base::error::Kind;
use im_push_gateway::base::store::Store;
use im_push_gateway::identity::token::{self, NewToken};
use im_push_gateway::identity::{Caller, Claimed, Identity, Role, Roles, prune_replays};

use crate::app;
use crate::chat::strangers::{dial, rest};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const SECRET: &str = "a-secret-of-at-least-32-bytes-here";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn identity(overrides: &str) -> Identity {
    Identity::new(
        &Config::from_toml(&format!("database_url = \"postgresql://\"\n{overrides}")).unwrap().identity,
    )
    .unwrap()
}

fn trusting_loopback() -> Identity {
    identity("trusted_peers = [\"127.0.0.1\"]\nidentity_roles_header = \"x-user-roles\"")
}

async fn ask(
    store: &Store,
    identity: &Identity,
    sent: &[(&'static str, &str)],
    now: OffsetDateTime,
) -> Result<Caller, Kind> {
    let pairs =
        sent.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
    let headers = HeaderMap::from_iter(pairs);
    let peer = "192.0.2.7:5000".parse().unwrap();
    let claimed =
        Claimed { peer, method: &Method::GET, path_and_query: "/x", headers: &headers, body: Some(b"") };
    identity.caller(store, claimed, now).await.map_err(|e| e.kind)
}

fn new_token(name: &str) -> NewToken<'_> {
    let roles = Roles::default().with(Role::Gateway).with(Role::Directory);
    NewToken { name, user_id: "portal", roles, expires_at: NOW + Duration::HOUR }
}

#[tokio::test]
async fn a_token_proves_a_machine_until_it_expires() {
    let store = &app::store().await;
    let identity = trusting_loopback();
    let token = token::create(store, &new_token("hr"), NOW).await.unwrap();
    let bearer = format!("Bearer {}", token.expose());
    let caller = ask(store, &identity, &[("authorization", &bearer)], NOW).await.unwrap();
    assert_eq!((caller.user_id.as_str(), caller.roles.names()), ("portal", vec!["gateway", "directory"]));
    assert!(caller.require(Role::User).is_err(), "a machine has the roles it was given and no other");

    let last = NOW + Duration::HOUR;
    let just = ask(store, &identity, &[("authorization", &bearer)], last - Duration::SECOND).await;
    assert!(just.is_ok());
    assert_eq!(ask(store, &identity, &[("authorization", &bearer)], last).await, Err(Kind::Unauthenticated));
}

#[tokio::test]
async fn a_token_and_headers_that_disagree_are_refused() {
    let store = &app::store().await;
    let identity = trusting_loopback();
    let token = token::create(store, &new_token("hr"), NOW).await.unwrap();
    let bearer = format!("Bearer {}", token.expose());
    for (name, value, believed) in [
        ("x-user-id", "portal", true),
        ("x-user-id", "alice", false),
        ("x-user-roles", "gateway, directory", true),
        ("x-user-roles", "gateway, admin", false),
    ] {
        let answer = ask(store, &identity, &[("authorization", &bearer), (name, value)], NOW).await;
        assert_eq!(answer.is_ok(), believed, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_stranger_token_is_refused() {
    let store = &app::store().await;
    let stranger = format!("Bearer impg_{}", "A".repeat(43));
    let answer = ask(store, &trusting_loopback(), &[("authorization", &stranger)], NOW).await;
    assert_eq!(answer, Err(Kind::Unauthenticated));
}

#[tokio::test]
async fn the_database_does_not_hold_the_token() {
    let store = &app::store().await;
    let token = token::create(store, &new_token("secret"), NOW).await.unwrap();
    let client = store.client().await.unwrap();
    let rows = client.query("SELECT t::text FROM t_im_token t", &[]).await.unwrap();
    let random = token.expose().strip_prefix("impg_").unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| !row.get::<_, &str>(0).contains(random)));
}

#[tokio::test]
async fn a_revoked_token_ends_at_once() {
    let store = &app::store().await;
    let identity = trusting_loopback();
    let token = token::create(store, &new_token("leaked"), NOW).await.unwrap();
    let kept = token::create(store, &new_token("kept"), NOW).await.unwrap();
    let listed = token::list(store).await.unwrap();
    let leaked = listed.iter().find(|listed| listed.name == "leaked").unwrap();
    assert_eq!(leaked.roles.names(), ["gateway", "directory"]);
    token::revoke(store, &leaked.token_id, NOW).await.unwrap();
    assert_eq!(token::revoke(store, &leaked.token_id, NOW).await.unwrap_err().kind, Kind::NotFound);
    let bearer = |token: &str| format!("Bearer {token}");
    let gone = ask(store, &identity, &[("authorization", &bearer(token.expose()))], NOW).await;
    assert_eq!(gone, Err(Kind::Unauthenticated));
    assert!(ask(store, &identity, &[("authorization", &bearer(kept.expose()))], NOW).await.is_ok());
    let entries = audit::list(store, i64::MAX, Some(".server"), 10).await.unwrap();
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry.action.as_str(), entry.filter["name"].clone())).collect();
    let expected = [
        ("token-revoked", json!("leaked")),
        ("token-created", json!("kept")),
        ("token-created", json!("leaked")),
    ];
    assert_eq!(entries, expected, "commands on the server are in the audit, too");
}

/// A signed GET of `/x` as `alice`, at this many seconds.
fn signed(stamp: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("v1\nGET\n/x\n{EMPTY_SHA256}\nalice\n\n{stamp}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_signature_is_believed_once_on_any_replica() {
    let store = &app::store().await;
    let settings = format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{SECRET}\"]");
    let replicas = [identity(&settings), identity(&settings)];
    let signature = signed("100");
    let sent =
        [("x-user-id", "alice"), ("x-signature-timestamp", "100"), ("x-signature", signature.as_str())];
    let now = NOW + Duration::seconds(100);
    let asked = replicas.iter().cycle().take(8).map(|replica| ask(store, replica, &sent, now));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().all(|answer| answer.is_ok() || *answer == Err(Kind::Unauthenticated)));
}

#[tokio::test]
async fn used_signatures_are_kept_until_nobody_could_believe_them() {
    let store = &app::store().await;
    let identity = identity(&format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{SECRET}\"]"));
    let signature = signed("5000");
    let sent =
        [("x-user-id", "alice"), ("x-signature-timestamp", "5000"), ("x-signature", signature.as_str())];
    let at = |seconds| NOW + Duration::seconds(seconds);
    assert!(ask(store, &identity, &sent, at(5_000)).await.is_ok());
    while prune_replays(store, at(5_060)).await.unwrap() > 0 {}
    assert_eq!(ask(store, &identity, &sent, at(5_060)).await, Err(Kind::Unauthenticated));
    assert_eq!(prune_replays(store, at(5_121)).await.unwrap(), 1);
    assert_eq!(prune_replays(store, at(5_121)).await.unwrap(), 0);
    assert_eq!(ask(store, &identity, &sent, at(5_121)).await, Err(Kind::Unauthenticated), "too old by now");
}

/// The headers of a request signed now.
fn signature_of(
    method: &str,
    path: &str,
    body: &str,
    user: &str,
    roles: &str,
) -> Vec<(&'static str, String)> {
    static DRAW: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let draw = DRAW.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let stamp = format!("{}.{draw:06}", now.as_secs());
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("v1\n{method}\n{path}\n{digest}\n{user}\n{roles}\n{stamp}").as_bytes());
    vec![
        ("x-user-id", user.to_owned()),
        ("x-user-roles", roles.to_owned()),
        ("x-signature-timestamp", stamp),
        ("x-signature", STANDARD.encode(mac.finalize().into_bytes())),
    ]
}

/// What a request with these headers is answered with.
async fn answered(
    base: &str,
    (method, path, body): (&str, &str, &'static str),
    headers: Vec<(&'static str, String)>,
) -> u16 {
    let method = method.parse().unwrap();
    let request = reqwest::Client::new().request(method, format!("{base}{path}")).body(body);
    let request = request.header("content-type", "application/json");
    let request = headers.into_iter().fold(request, |r, (name, value)| r.header(name, value));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_signature_covers_path_query_body_and_roles_of_a_real_request() {
    let settings = format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{SECRET}\"]");
    let app = app::TestApp::start_with(&settings).await;
    let changes = "/api/v1/directory/changes";
    let body = r#"{"users": [{"user_id": "a", "name": "A"}]}"#;
    let signed = || signature_of("POST", changes, body, "hr", "directory");
    let replayed = signed();
    assert_eq!(answered(&app.base, ("POST", changes, body), replayed.clone()).await, 200);
    assert_eq!(answered(&app.base, ("POST", changes, body), replayed).await, 401, "counts once");
    let other = r#"{"users": [{"user_id": "a", "name": "B"}]}"#;
    assert_eq!(answered(&app.base, ("POST", changes, other), signed()).await, 401, "another body");
    let mut promoted = signed();
    promoted[1].1 = "admin".to_owned();
    assert_eq!(answered(&app.base, ("POST", changes, body), promoted).await, 401, "other roles");
    let list = "/api/v1/conversations?limit=5";
    for (path, status) in [(list, 200), ("/api/v1/conversations", 401), ("/conversations?limit=5", 401)] {
        let signed = signature_of("GET", path, "", "a", "");
        assert_eq!(answered(&app.base, ("GET", list, ""), signed).await, status, "signed as {path}");
    }
}

#[tokio::test]
async fn an_application_sends_as_itself_by_a_token_of_ours() {
    let app = app::TestApp::start().await;
    let people = serde_json::json!({"users": [
        {"user_id": "oa", "name": "OA", "kind": "application"}, {"user_id": "a", "name": "A"},
    ]});
    app.client("hr", &["directory"]).post("/directory/changes", people).await.expect(200);
    let new = NewToken {
        name: "oa-approvals",
        user_id: "oa",
        roles: Roles::default().with(Role::User),
        expires_at: OffsetDateTime::UNIX_EPOCH + Duration::days(36_500),
    };
    let secret = token::create(&app.store, &new, NOW).await.unwrap();
    let bearer = format!("Bearer {}", secret.expose());
    let oa = crate::support::Client::anonymous(&format!("{}/api/v1", app.base))
        .with_header("authorization", &bearer);
    let direct =
        oa.post("/channels", serde_json::json!({"type": "direct", "members": ["a"]})).await.expect(201);
    let channel = app::text(&direct["channel_id"]);
    let approved = serde_json::json!({"type": "text", "content": {"text": "审批通过"}});
    oa.post(&format!("/channels/{channel}/messages"), approved).await.expect(201);
    assert_eq!(app.conversation("a", &channel).await["last_message"]["sender"], "oa");
    oa.clone()
        .with_header("x-user-id", "a")
        .get("/conversations")
        .await
        .expect_problem(401, "unauthenticated");
    let refused = oa.post("/receipts", serde_json::json!([])).await.expect_problem(403, "forbidden");
    assert_eq!(refused["detail"], "this requires the role gateway; the caller has user");
}

#[tokio::test]
async fn what_no_honest_gateway_sends_is_refused() {
    let app = app::TestApp::start().await;
    app.people(&["a"]).await;
    let http = reqwest::Client::new();
    for (headers, status) in [
        (vec![("x-user-id", "a")], 200),
        (vec![("x-user-id", "a"), ("x-user-id", "b")], 400),
        (vec![("x-user-id", "a"), ("x_user_id", "root")], 400),
        (vec![("x-user-id", "a,root")], 400),
        (vec![("x-user-id", "")], 400),
        (vec![("x-user-id", "a"), ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")], 401),
        (vec![("x-forwarded-for", "127.0.0.1")], 401),
    ] {
        let request = http.get(format!("{}/api/v1/conversations", app.base));
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        let answered = request.send().await.unwrap();
        assert_eq!(answered.status().as_u16(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn bodies_without_proof_take_only_so_much_memory_together() {
    const BODY: usize = 150_000;
    let app = app::TestApp::start_with(&format!(
        "identity_mode = \"hmac\"\nhmac_secrets = [\"{SECRET}\"]\n\
         request_body_max_bytes = 200000\nrequest_bodies_max_bytes = 1000000"
    ))
    .await;
    let changes = "/api/v1/directory/changes";
    // A head that is whole but for the digest of a body that never ends.
    let stranger = || {
        let head: String = signature_of("POST", changes, "", "hr", "directory")
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "POST {changes} HTTP/1.1\r\nHost: im\r\n{head}content-type: application/json\r\ncontent-length: 60000\r\n\r\n{}",
            " ".repeat(50_000)
        )
    };
    let body: &'static str = format!("{{\"users\": []{}}}", " ".repeat(BODY)).leak();
    let honest = async || {
        answered(&app.base, ("POST", changes, body), signature_of("POST", changes, body, "hr", "directory"))
            .await
    };
    assert_eq!(honest().await, 200);
    let mut strangers = Vec::new();
    let crowd = async {
        loop {
            strangers.push(dial(&app, &stranger()).await);
            match honest().await {
                200 => {}
                refused => break refused,
            }
        }
    };
    assert_eq!(tokio::time::timeout(app::LONG, crowd).await.expect("an end of memory"), 503);
    assert!(strangers.len() >= 17, "all of the budget is there to be used");
    drop(strangers);
    let again = async { while honest().await != 200 {} };
    tokio::time::timeout(app::LONG, again).await.expect("what was given up is free again");
    // What proves nothing by its head is answered before its body comes.
    let unsigned =
        format!("POST {changes} HTTP/1.1\r\nHost: im\r\nConnection: close\r\ncontent-length: 60000\r\n\r\n");
    assert!(rest(dial(&app, &unsigned).await).await.starts_with("HTTP/1.1 401"));
}

/// What no id can be.
const NO_IDS: [&str; 9] = ["me", ".", "..", ".search", ".server", "a/b", "a,b", "\u{200b}", "a\u{202e}b"];

#[tokio::test]
async fn whatever_can_be_an_id_signs_in_and_stands_in_a_path() {
    let app = app::TestApp::start_with("identity_user_encoding = \"percent\"").await;
    let hr = app.client("hr", &["directory"]);
    let encoded = |id: &str| {
        url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
    };
    for id in
        ["张三", "Ärzte", "100%", "%61lice", "CORP\\zs", "a b", "a+b", "a?b#c;d", "li.si@corp.example", "..."]
    {
        hr.post("/directory/changes", serde_json::json!({"users": [{"user_id": id, "name": "N"}]}))
            .await
            .expect(200);
        let path = format!("/users/{}", encoded(id));
        let person = app.person(&encoded(id));
        assert_eq!(person.get("/users/me").await.expect(200)["user_id"], *id);
        assert_eq!(person.get(&path).await.expect(200)["user_id"], *id);
        let edit = serde_json::json!({"phone": "102"});
        assert_eq!(person.patch("/users/me", edit.clone()).await.expect(200)["user_id"], *id);
        assert_eq!(hr.patch(&path, edit).await.expect(200)["user_id"], *id);
    }
}

#[tokio::test]
async fn what_can_be_no_id_is_refused_where_it_is_made_and_spoils_nothing_beside_it() {
    let app = app::TestApp::start().await;
    let hr = app.client("hr", &["directory", "admin"]);
    for id in NO_IDS {
        let told = serde_json::json!({
            "users": [{"user_id": id, "name": "N"}, {"user_id": "good", "name": "N"}],
            "departments": [{"department_id": id, "name": "N"}, {"department_id": "good", "name": "N"}],
        });
        let done = hr.post("/directory/changes", told).await.expect(200);
        let pointers: Vec<&str> =
            done["problems"].as_array().unwrap().iter().map(|p| p["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/departments/0/department_id", "/users/0/user_id"], "{id:?}: {done}");
        let sync = serde_json::json!({"users": [id]});
        assert!(hr.post("/directory/sync", sync).await.status >= 400, "{id:?}");
    }
    // An administrator who edits themselves edits themselves.
    app.people(&["hr"]).await;
    let own = hr.patch("/users/me", serde_json::json!({"phone": "102"})).await.expect(200);
    assert_eq!(own["user_id"], "hr");
}

#[tokio::test]
async fn in_a_run_an_id_that_can_be_none_is_a_problem_of_its_record() {
    let hr = crate::support::Hr::start().await;
    for id in NO_IDS.iter().chain(&["张三", "good"]) {
        hr.books().put(serde_json::json!({"id": id, "name": "N"}));
    }
    let app = app::TestApp::start_with(&hr.settings()).await;
    let desk = app.client("desk", &["directory"]);
    let asked = desk.post("/directory/sync", serde_json::json!({})).await.expect(202);
    app.until("SELECT count(*) FROM t_im_directory_run WHERE ended_at IS NULL", 0).await;
    let done = desk.get(&format!("/directory/runs/{}", app::text(&asked["run_id"]))).await.expect(200);
    assert_eq!((&done["state"], &done["problems"]), (&"done".into(), &NO_IDS.len().into()), "{done}");
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE user_id IN ('张三', 'good')", &[]).await, 2);
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE source = 'http'", &[]).await, 2);
}
