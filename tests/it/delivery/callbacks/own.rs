//! Observers that applications make for themselves: of the channels they are in, and of no others.

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::app::{LONG, TestApp, text};
use crate::support::Observer;

/// Two applications and some people.
async fn company(settings: &str) -> TestApp {
    let app = TestApp::start_with(&format!("{settings}\n{OPEN}")).await;
    app.people(&["a", "b", "c"]).await;
    let bots = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application"},
                                {"user_id": "hr-bot", "name": "HR", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", bots).await.expect(200);
    app
}

fn wish(url: &str) -> Value {
    json!({"url": url, "event_types": ["message.*", "channel.*"]})
}

#[tokio::test]
async fn an_application_hears_of_the_channels_it_is_in_and_of_no_others() {
    let app = company("").await;
    let portal = Observer::start();
    let oa = app.person("oa");
    let made = oa.post("/callbacks", wish(&portal.url())).await.expect(201);
    assert_eq!(made["owner"], "oa");
    let others = app.group(&["a", "b", "c"]).await;
    app.say("a", &others, "secret").await;
    let joined = app.group(&["a", "b"]).await;
    app.say("a", &joined, "before").await;
    let direct = app.direct("oa", "b").await;
    app.say("oa", &direct, "approved").await;
    app.settled().await;
    app.person("a")
        .post(&format!("/channels/{joined}/members"), json!({"user_ids": ["oa"]}))
        .await
        .expect(200);
    app.say("a", &joined, "within").await;
    app.settled().await;
    app.person("a").delete(&format!("/channels/{joined}/members/oa")).await.expect(204);
    app.say("a", &joined, "after").await;
    let last = app.say("b", &direct, "thanks").await;
    app.settled().await;
    let has_last = |log: &crate::support::Log| log.events().iter().any(|e| e.data["ms_id"] == last["ms_id"]);
    portal.wait_for(has_last, LONG).await;
    app.settled().await;
    let check = |events: &[crate::support::ObservedEvent]| {
        let of = |channel: &str| -> Vec<String> {
            let of_channel = events.iter().filter(|e| e.channel_id.as_deref() == Some(channel));
            of_channel
                .filter(|e| e.what.starts_with("channel") || e.what == "message.created")
                .map(|e| e.data["content"]["text"].as_str().unwrap_or(&e.what).to_owned())
                .collect()
        };
        assert_eq!(of(&others), [""; 0]);
        assert_eq!(of(&joined), ["channel.members_added", "within", "channel.members_removed"]);
        assert_eq!(of(&direct), ["channel.created", "approved", "thanks"]);
        assert!(
            events
                .iter()
                .all(|e| [Some(joined.as_str()), Some(direct.as_str())].contains(&e.channel_id.as_deref()))
        );
    };
    portal.read(|log| check(log.events()));
    // Old events are judged in the same way, and of a channel that it has left it hears no more.
    let again = json!({"events_since": "2000-01-01T00:00:00Z"});
    let replayed = oa.post(&path(&made, "/replay"), again).await.expect(200);
    app.settled().await;
    let posts = portal.read(|log| log.posts.last().map(|post| post.events.clone())).expect("a batch");
    assert_eq!(replayed["replayed"], posts.len());
    let texts = |channel: &str| -> Vec<String> {
        posts
            .iter()
            .filter(|e| e.channel_id.as_deref() == Some(channel))
            .filter_map(|e| e.data["content"]["text"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(
        (texts(&others), texts(&joined), texts(&direct)),
        (vec![], vec!["within".to_owned()], vec!["approved".to_owned(), "thanks".to_owned()])
    );

    // An application that has left hears nothing.
    let left = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    app.settled().await;
    let before = portal.read(|log| log.events().len());
    app.say("b", &direct, "are you there?").await;
    app.settled().await;
    assert_eq!(portal.read(|log| log.events().len()), before);
    oa.get("/callbacks").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn of_messages_that_did_not_reach_a_user_it_hears_of_its_own_channels() {
    let mut app = company("").await;
    app.gateway.ignore_time();
    let portal = Observer::start();
    let body = json!({"url": portal.url(), "event_types": ["message.unreceived"]});
    app.person("oa").post("/callbacks", body).await.expect(201);
    let (own, other) = (app.direct("oa", "b").await, app.direct("a", "b").await);
    let foreign = app.direct("a", "c").await;
    app.gateway.answer(|_| crate::support::Answer::all_except(&["b", "c"], &[]));
    for (sender, channel) in [("oa", &own), ("a", &other), ("a", &foreign)] {
        app.say(sender, channel, "hello").await;
    }
    app.settled().await;
    app.until("SELECT count(*) FROM t_im_reminder", 2).await;
    app.clock("6 minutes").await;
    app.until("SELECT count(*) FROM t_im_reminder", 0).await;
    portal.wait_for(|log| !log.events().is_empty(), LONG).await;
    app.settled().await;
    let told = portal.read(|log| {
        log.events()
            .iter()
            .map(|e| {
                (
                    e.data["user_id"].clone(),
                    e.data["messages"].clone(),
                    e.data["channels"][0]["channel_id"].clone(),
                    e.data["channels"].as_array().map(Vec::len),
                )
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(told, [(json!("b"), json!(1), json!(own), Some(1))]);
}

#[tokio::test]
async fn what_an_application_cannot_have_is_refused_and_named() {
    let app = company("callback_own_max = 2").await;
    let (oa, root) = (app.person("oa"), app.client("root", &["admin"]));
    let (own, foreign) = (app.direct("oa", "b").await, app.direct("a", "b").await);
    let with = |field: &str, value: Value| {
        let mut wish = wish("http://127.0.0.1:9/hook");
        wish[field] = value;
        wish
    };
    let wrong = [
        (with("event_types", json!(["message.created", "user.*"])), "/event_types/1"),
        (with("event_types", json!(["presence.changed"])), "/event_types/0"),
        (with("department_ids", json!(["rd"])), "/department_ids"),
        (with("channel_ids", json!([own, foreign])), "/channel_ids/1"),
        (with("channel_ids", json!(["999999"])), "/channel_ids/0"),
        (with("url", json!("http://10.0.0.1/")), "/url"),
    ];
    for (body, pointer) in &wrong {
        let problem = oa.post("/callbacks", body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], *pointer, "{body}");
    }
    oa.post("/callbacks", json!({"kind": "gateway", "url": "http://127.0.0.1:9/"}))
        .await
        .expect_problem(403, "forbidden");
    for caller in [app.person("a"), app.person("nobody"), app.client("desk", &["support"])] {
        caller.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect_problem(403, "forbidden");
    }
    app.person("a").get("/callbacks").await.expect_problem(403, "forbidden");

    let made = oa.post("/callbacks", with("channel_ids", json!([own]))).await.expect(201);
    let change = path(&made, "");
    for (body, pointer) in &wrong {
        let field = pointer.split('/').nth(1).expect("a field");
        let problem =
            oa.patch(&change, json!({field: body[field]})).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], *pointer, "{body}");
    }
    oa.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect(201);
    oa.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect_problem(409, "conflict");
    // Administrators are not limited, and their right stays.
    observer(&root, "http://127.0.0.1:9/admin").await;
    root.patch(&change, json!({"state": "paused"})).await.expect(200);
    assert_eq!(oa.get(&change).await.expect(200)["state"], "paused");
}

#[tokio::test]
async fn another_application_neither_sees_nor_changes_it() {
    let app = company("").await;
    let (oa, other, root) = (app.person("oa"), app.person("hr-bot"), app.client("root", &["admin"]));
    let of_admin = observer(&root, "http://127.0.0.1:9/admin").await;
    let of_oa = oa.post("/callbacks", wish("http://127.0.0.1:9/oa?token=x")).await.expect(201);
    let ids = async |client: &crate::support::Client| -> Vec<Value> {
        let list = client.get("/callbacks").await.expect(200);
        list["items"].as_array().unwrap().iter().map(|item| item["callback_id"].clone()).collect()
    };
    assert_eq!(ids(&oa).await, [of_oa["callback_id"].clone()]);
    assert_eq!(ids(&other).await, [] as [Value; 0]);
    assert_eq!(ids(&root).await.len(), 3);
    for (client, callback) in [(&other, &of_oa), (&other, &of_admin), (&oa, &of_admin)] {
        let at = |rest: &str| path(callback, rest);
        client.get(&at("")).await.expect_problem(404, "not-found");
        client.patch(&at(""), json!({"state": "paused"})).await.expect_problem(404, "not-found");
        client.delete(&at("")).await.expect_problem(404, "not-found");
        client.post(&at("/secrets"), json!({})).await.expect_problem(404, "not-found");
        client.post(&at("/test"), json!({})).await.expect_problem(404, "not-found");
        client.get(&at("/deliveries")).await.expect_problem(404, "not-found");
        client.get(&at("/dead-letters")).await.expect_problem(404, "not-found");
        client.post(&at("/replay"), json!({})).await.expect_problem(404, "not-found");
    }
    oa.get("/callbacks/gateway").await.expect_problem(404, "not-found");
    assert_eq!(root.get(&path(&of_oa, "")).await.expect(200)["state"], "active");

    // Its application does it all, and sees the query of its URL.
    let at = |rest: &str| path(&of_oa, rest);
    assert_eq!(oa.get(&at("")).await.expect(200)["url"], "http://127.0.0.1:9/oa?token=x");
    oa.patch(&at(""), json!({"description": "ours"})).await.expect(200);
    oa.post(&at("/secrets"), json!({})).await.expect(201);
    assert_eq!(oa.post(&at("/test"), json!({})).await.expect(200)["taken"], false);
    oa.get(&at("/deliveries")).await.expect(200);
    oa.get(&at("/dead-letters")).await.expect(200);
    oa.post(&at("/replay"), json!({})).await.expect(200);
    oa.delete(&at("")).await.expect(204);
    oa.get(&at("")).await.expect_problem(404, "not-found");
    let audit = root.get("/audit?actor=oa").await.expect(200);
    let actions: Vec<String> =
        audit["items"].as_array().unwrap().iter().map(|e| text(&e["action"])).collect();
    assert_eq!(
        actions,
        ["callback-removed", "callback-tested", "callback-rotated", "callback-changed", "callback-created"]
    );
}
