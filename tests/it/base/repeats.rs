//! Calls that make something, repeated under the caller's own id for it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::api::contract;
use crate::app::{TestApp, text};
use crate::delivery::callbacks::OPEN;

/// A call: path, body, what names the thing that is made, and a body that is another one.
fn calls(observer: &str, group: &str) -> Vec<(String, Value, &'static str, Value)> {
    let new = json!({"type": "group", "name": "g", "members": ["b"]});
    let callback =
        json!({"url": "http://127.0.0.1:9/", "event_types": ["channel.*"], "headers": {"x-key": "1"}});
    vec![
        ("/channels".into(), new.clone(), "channel_id", with(&new, "members", json!(["b", "c"]))),
        ("/groups".into(), json!({"name": "g"}), "channel_id", json!({"name": "h"})),
        (
            "/callbacks".into(),
            callback.clone(),
            "callback_id",
            with(&callback, "headers", json!({"x-key": "2"})),
        ),
        (format!("/channels/{group}/invites"), json!({"uses": 3}), "invite_id", json!({"uses": 4})),
        (
            format!("/callbacks/{observer}/secrets"),
            json!({"overlap_ms": 60_000}),
            "secret_id",
            json!({"overlap_ms": 1}),
        ),
        (
            "/directory/sync".into(),
            json!({"mode": "full"}),
            "run_id",
            json!({"mode": "full", "dry_run": true}),
        ),
    ]
}

fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[field] = value;
    body
}

/// No worker asks: what is asked for stays asked for.
const SOURCE: &str = "directory.source = \"http\"\ndirectory.users_url = \"http://127.0.0.1:9/\"\n";

#[tokio::test]
async fn what_is_made_under_an_id_is_made_once_on_any_replica_and_at_once() {
    let mut replicas = vec![TestApp::start_with(&format!("{SOURCE}{OPEN}")).await];
    replicas.push(TestApp::start_on(replicas[0].database.clone(), &format!("{SOURCE}{OPEN}")).await);
    let app = &replicas[0];
    app.people(&["a", "b", "c", "d"]).await;
    let roles = ["admin", "directory"];
    let admins: Vec<_> = replicas.iter().map(|app| app.client("a", &roles)).collect();
    let observer =
        text(&crate::delivery::callbacks::observer(&admins[0], "http://127.0.0.1:9/").await["callback_id"]);
    let group = app.group(&["a", "d"]).await;
    app.person("a").patch(&format!("/channels/{group}"), json!({"join": "code"})).await.expect(200);
    for (path, body, id, other) in calls(&observer, &group) {
        let named = |body: &Value| with(body, "client_id", json!(format!("张三's {path}")));
        let both = || admins.iter().map(|admin| admin.post(&path, named(&body)));
        let answers = join_all(both().chain(both()).chain(both())).await;
        let made = &answers[0].body[id];
        assert!(
            answers.iter().all(|answer| answer.body[id] == *made && made.is_string()),
            "{path} {answers:?}"
        );
        assert!(answers.iter().all(|answer| answer.body["secret"] == answers[0].body["secret"]), "{path}");
        let first = if path == "/directory/sync" { 6 } else { 1 };
        let new = answers.iter().filter(|answer| [201, 202].contains(&answer.status)).count();
        assert_eq!(
            new,
            first,
            "{path}: {:?}",
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
        );
        let again = admins[1].post(&path, named(&body)).await;
        assert_eq!((&again.body[id], again.status < 300), (made, true), "{path}");
        assert_eq!(again.body["others_until"], answers[0].body["others_until"], "{path}");
        let reused = admins[1].post(&path, named(&other)).await.expect_problem(409, "client-id-reused");
        assert_eq!(reused["pointer"], "/client_id");
        if path != "/directory/sync" {
            assert_ne!(
                admins[0].post(&path, body.clone()).await.expect(201)[id],
                *made,
                "{path}: without an id"
            );
            let someone = app.client("d", &roles);
            assert_ne!(
                someone.post(&path, named(&body)).await.expect(201)[id],
                *made,
                "{path}: of another caller"
            );
        }
        let too_long = with(&body, "client_id", json!("x".repeat(129)));
        assert_eq!(
            admins[0].post(&path, too_long).await.expect_problem(422, "invalid-field")["pointer"],
            "/client_id"
        );
    }
}

#[tokio::test]
async fn a_repeat_finds_what_was_made_whatever_became_of_who_was_named() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let group = json!({"client_id": "1", "type": "group", "members": ["b"]});
    let made = app.person("a").post("/channels", group.clone()).await.expect(201);
    let leaver = json!({"users": [{"user_id": "b", "name": "b", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", leaver).await.expect(200);
    assert_eq!(app.person("a").post("/channels", group).await.expect(200)["channel_id"], made["channel_id"]);

    let admin = app.client("a", &["admin"]);
    let observer = json!({"client_id": "1", "url": "http://127.0.0.1:9/", "event_types": ["channel.*"]});
    let made = admin.post("/callbacks", observer.clone()).await.expect(201);
    admin.delete(&format!("/callbacks/{}", text(&made["callback_id"]))).await.expect(204);
    admin.post("/callbacks", observer).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn ids_are_kept_for_their_days_and_not_longer() {
    let app = TestApp::start().await;
    let old = "INSERT INTO t_im_claim SELECT 'a', 'group', 'old' || i, '', i, now() - interval '9 days' FROM generate_series(1, 5000) i";
    let week = "INSERT INTO t_im_claim VALUES ('a', 'group', 'week', '', 1, now() - interval '7 days')";
    for rows in [old, week] {
        app.sql().await.batch_execute(rows).await.unwrap();
    }
    let before = app.store.now().await.unwrap() - time::Duration::days(8);
    while im_push_gateway::base::claim::prune(&app.store, before, 1_000).await.unwrap() > 0 {}
    // The service's own maintenance may prune the same rows at this moment.
    app.until("SELECT count(*) FROM t_im_claim", 1).await;
}

/// The kind: a new call that makes something cannot forget it.
#[test]
fn every_call_that_makes_something_takes_an_id_for_it() {
    // One a department; one a user and version of a card; one a username.
    let naturally_one =
        ["/api/v1/departments/99/group", "/api/v1/messages/99/actions", "/api/v1/users/register"];
    for (method, path, schema, _) in contract::with_bodies() {
        let makes = method == "POST"
            && contract::answers(method, &path).iter().any(|s| ["201", "202"].contains(&s.as_str()));
        if makes && !naturally_one.contains(&path.as_str()) {
            assert!(schema["properties"]["client_id"].is_object(), "{method} {path}");
        }
    }
}
