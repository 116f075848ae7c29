//! Calls that come about, who is told of them and who is kept out.

use serde_json::{Value, json};

use super::{act, left, only, open, ring, signal, states};
use crate::api::contract::assert_fits;
use crate::app::{TestApp, text};

fn pairs(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(user, state)| ((*user).to_owned(), (*state).to_owned())).collect()
}

#[tokio::test]
async fn a_call_rings_is_accepted_and_leaves_one_message_when_one_of_the_two_ends_it() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let direct = app.direct("a", "b").await;
    app.say("a", &direct, "may I call?").await;
    let mut b = open(&app, "b").await;
    let call = ring(&app, "a", &direct).await;
    let told = b.until("call.ringing").await;
    assert_fits("SocketEvent", &told);
    let data = &told["data"]["data"];
    assert_eq!(
        (&data["call_id"], &data["caller"], &data["media"]),
        (&json!(call), &json!("a"), &json!("video"))
    );
    assert_eq!(states(&app, "b", &call).await, pairs(&[("a", "joined"), ("b", "ringing")]));
    // A client that has connected later finds it, too.
    let list = app.person("b").get("/calls?state=live").await.expect(200);
    assert_eq!((&list["items"][0]["call_id"], &list["items"][0]["state"]), (&json!(call), &json!("ringing")));
    let accepted = act(&app, "b", &call, "accept").await.expect(200);
    assert_eq!(accepted["state"], "live");
    assert_eq!(b.until("call.accepted").await["data"]["data"]["user_id"], "b");
    // A repeat changes nothing.
    act(&app, "b", &call, "accept").await.expect(200);
    act(&app, "b", &call, "end").await.expect(200);
    let ended = b.until("call.ended").await;
    assert_eq!(ended["data"]["data"]["outcome"], "ended");
    act(&app, "a", &call, "end").await.expect(200);
    let message = only(&app, "a", &direct).await;
    assert_fits("Content", &message["content"]);
    let content = &message["content"];
    assert_eq!(message["sender"], "a");
    assert_eq!((&content["call_id"], &content["media"]), (&json!(call), &json!("video")));
    assert_eq!((&content["outcome"], &content["user_ids"]), (&json!("ended"), &json!(["a", "b"])));
    assert!(content["duration_ms"].as_u64().is_some_and(|ms| ms >= 1), "{content}");
    assert!(text(&message["preview"]).starts_with("📹 0:"), "{message}");
    assert_eq!(app.unread("b", &direct).await, 2, "it counts as other messages do");
    assert_eq!(app.conversation("b", &direct).await["last_message"]["type"], "call");
    app.settled().await;
    let pushed = app.gateway.read(|record| {
        let types = record.batches().flat_map(|batch| &batch.messages).map(|m| m.kind.clone());
        types.filter(|kind| kind == "call").count()
    });
    assert_eq!(pushed, 1);
    // What is over cannot be accepted, and a new call is another one.
    act(&app, "b", &call, "accept").await.expect_problem(409, "conflict");
    assert_ne!(ring(&app, "b", &direct).await, call);
}

#[tokio::test]
async fn a_channel_has_one_call_and_a_second_one_is_shown_the_first() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let body = json!({"channel_id": group, "media": "audio", "client_id": "one"});
    let first = app.person("a").post("/calls", body.clone()).await.expect(201);
    assert_eq!(app.person("a").post("/calls", body.clone()).await.expect(200)["call_id"], first["call_id"]);
    let other = json!({"channel_id": group, "media": "video", "client_id": "one"});
    app.person("a").post("/calls", other).await.expect_problem(409, "client-id-reused");
    let problem = app.person("b").post("/calls", json!({"channel_id": group, "media": "audio"})).await;
    let problem = problem.expect_problem(409, "call-running");
    assert_eq!(problem["call_id"], first["call_id"]);
    // Several at once: one call.
    let direct = app.direct("a", "b").await;
    let (a, b) = (app.person("a"), app.person("b"));
    let body = json!({"channel_id": direct, "media": "audio"});
    let (one, other) = tokio::join!(a.post("/calls", body.clone()), b.post("/calls", body.clone()));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    // b is in two calls now, or called in one while in the other: the group shows it.
    act(&app, "b", &text(&first["call_id"]), "accept").await.expect(200);
    for call in app.person("a").get("/calls").await.expect(200)["items"].as_array().expect("items") {
        let users = call["users"].as_array().expect("users");
        let busy = users.iter().filter(|user| user["busy"] == true).count();
        assert!(busy >= 1, "{call}");
    }
}

#[tokio::test]
async fn who_is_no_member_of_the_channel_finds_no_call_at_any_door() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let call = ring(&app, "a", &group).await;
    let d = app.person("d");
    for path in ["", "/ice-servers"] {
        d.get(&format!("/calls/{call}{path}")).await.expect_problem(404, "not-found");
    }
    for what in ["accept", "decline", "end"] {
        act(&app, "d", &call, what).await.expect_problem(404, "not-found");
    }
    signal(&app, "d", &call, "a", json!(1)).await.expect_problem(404, "not-found");
    let data = json!({"name": "x", "data": 1});
    d.post(&format!("/calls/{call}/data"), data.clone()).await.expect_problem(404, "not-found");
    let body = json!({"channel_id": group, "media": "audio"});
    d.post("/calls", body).await.expect_problem(404, "not-found");
    assert_eq!(d.get("/calls").await.expect(200)["items"], json!([]));
    // A member who has not accepted it hands nothing on and gets no credentials.
    signal(&app, "b", &call, "a", json!(1)).await.expect_problem(409, "conflict");
    app.person("b").post(&format!("/calls/{call}/data"), data).await.expect_problem(409, "conflict");
    app.person("b").get(&format!("/calls/{call}/ice-servers")).await.expect_problem(409, "conflict");
    signal(&app, "a", &call, "b", json!(1)).await.expect_problem(422, "invalid-field");
    signal(&app, "a", &call, "d", json!(1)).await.expect_problem(422, "invalid-field");
    // A member who is removed has left the call: what was two is one, and it ends.
    act(&app, "b", &call, "accept").await.expect(200);
    app.person("a").delete(&format!("/channels/{group}/members/b")).await.expect(204);
    signal(&app, "b", &call, "a", json!(1)).await.expect_problem(404, "not-found");
    app.until("SELECT count(*) FROM t_im_call WHERE state = 'ended'", 1).await;
    assert_eq!(only(&app, "a", &group).await["content"]["outcome"], "ended");
}

#[tokio::test]
async fn the_rules_of_a_send_hold_for_a_call() {
    let app = TestApp::start_with("call_users = 3").await;
    app.people(&["a", "b", "c", "d"]).await;
    let body = |channel: &str| json!({"channel_id": channel, "media": "audio"});
    let direct = app.direct("a", "b").await;
    let (group, large) = (app.group(&["a", "b", "c"]).await, app.group(&["a", "b", "c", "d"]).await);
    app.person("b").put("/users/me/relations/a", json!({"kind": "block"})).await.expect(200);
    app.person("a").post("/calls", body(&direct)).await.expect_problem(403, "blocked");
    let now = app.store.now().await.expect("a time") + time::Duration::hours(1);
    let now = now.format(&time::format_description::well_known::Rfc3339).expect("a text");
    let silence = format!("/channels/{group}/members/c/silence");
    app.person("a").put(&silence, json!({"until": now})).await.expect(204);
    app.person("c").post("/calls", body(&group)).await.expect_problem(403, "silenced");
    let call = ring(&app, "a", &group).await;
    act(&app, "c", &call, "accept").await.expect_problem(403, "silenced");
    // Also where only admins send: there, too, those who are called can answer, but for this one.
    app.person("a").patch(&format!("/channels/{group}"), json!({"who_sends": "admins"})).await.expect(200);
    act(&app, "c", &call, "accept").await.expect_problem(403, "silenced");
    act(&app, "b", &call, "accept").await.expect(200);
    app.person("a").post("/calls", body(&large)).await.expect_problem(422, "invalid-field");
    let other = json!({"channel_id": large, "media": "smoke"});
    app.person("a").post("/calls", other).await.expect_problem(422, "invalid-field");
    // A message of this type is made by the service alone.
    let content = json!({"call_id": "1", "media": "audio", "outcome": "ended", "user_ids": ["a"]});
    let message = json!({"type": "call", "content": content});
    let sent = app.person("a").post(&format!("/channels/{group}/messages"), message).await;
    sent.expect_problem(422, "invalid-field");
    assert_eq!(left(&app, "a", &group).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_group_goes_on_until_fewer_than_two_are_left() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let call = ring(&app, "a", &group).await;
    act(&app, "b", &call, "accept").await.expect(200);
    act(&app, "c", &call, "decline").await.expect(200);
    // A new member can come, and so can one who has declined.
    app.person("a").post(&format!("/channels/{group}/members"), json!({"user_ids": ["d"]})).await.expect(200);
    act(&app, "d", &call, "accept").await.expect(200);
    act(&app, "a", &call, "end").await.expect(200);
    let wanted = [("a", "left"), ("b", "joined"), ("c", "declined"), ("d", "joined")];
    assert_eq!(states(&app, "a", &call).await, pairs(&wanted));
    act(&app, "c", &call, "accept").await.expect(200);
    act(&app, "b", &call, "end").await.expect(200);
    assert_eq!(left(&app, "a", &group).await, [] as [Value; 0]);
    act(&app, "d", &call, "end").await.expect(200);
    let message = only(&app, "a", &group).await;
    assert_eq!((&message["sender"], &message["content"]["user_ids"][0]), (&json!("a"), &json!("a")));
    assert_eq!(message["content"]["user_ids"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_member_who_joins_later_learns_of_no_earlier_call() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b"]).await;
    let earlier = ring(&app, "a", &group).await;
    act(&app, "b", &earlier, "decline").await.expect(200);
    app.person("a").post(&format!("/channels/{group}/members"), json!({"user_ids": ["c"]})).await.expect(200);
    app.person("c").get(&format!("/calls/{earlier}")).await.expect_problem(404, "not-found");
    let later = ring(&app, "a", &group).await;
    act(&app, "a", &later, "end").await.expect(200);
    app.person("c").get(&format!("/calls/{later}")).await.expect(200);
    app.person("b").get(&format!("/calls/{earlier}")).await.expect(200);
}

#[tokio::test]
async fn a_call_whose_caller_has_left_the_group_leaves_its_message_all_the_same() {
    let app = TestApp::start().await;
    app.people(&["boss", "a", "b"]).await;
    let group = app.group(&["boss", "a", "b"]).await;
    ring(&app, "a", &group).await;
    app.person("boss").delete(&format!("/channels/{group}/members/a")).await.expect(204);
    app.until("SELECT count(*) FROM t_im_call WHERE state = 'ended'", 1).await;
    let message = only(&app, "b", &group).await;
    assert_eq!((&message["sender"], &message["content"]["user_ids"]), (&json!("b"), &json!(["a"])));
    assert_eq!(message["content"]["outcome"], "cancelled");
}
