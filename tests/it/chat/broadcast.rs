//! Groups in which only the owner, admins and applications send.

use serde_json::{Value, json};

use crate::app::{TestApp, text};

fn words(text: &str) -> Value {
    json!({"type": "text", "content": {"text": text}})
}

/// People and an application.
async fn company() -> TestApp {
    let app = TestApp::start().await;
    let users = json!({"users": [
        {"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b"}, {"user_id": "c", "name": "c"},
        {"user_id": "oa", "name": "审批助手", "kind": "application"},
    ]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    app
}

/// The seq of a send by each of these, or the type of its problem.
async fn say_all(app: &TestApp, channel: &str, senders: &[&str]) -> Vec<Value> {
    let mut said = Vec::new();
    for sender in senders {
        let reply = app.person(sender).post(&format!("/channels/{channel}/messages"), words(sender)).await;
        said.push(match reply.status {
            201 => reply.body["seq"].clone(),
            _ => json!(reply.expect_problem(403, "only-admins-send")["type"]),
        });
    }
    said
}

const REFUSED: &str = "urn:im-push-gateway:problem:only-admins-send";

#[tokio::test]
async fn only_admins_and_applications_send_to_a_broadcast_group() {
    let app = company().await;
    let a = app.person("a");
    let group = json!({"name": "公告", "members": ["b", "c", "oa"], "who_sends": "admins", "client_id": "1"});
    let made = a.post("/groups", group.clone()).await.expect(201);
    assert_eq!(made["who_sends"], "admins");
    let channel = text(&made["channel_id"]);
    let path = format!("/channels/{channel}");
    assert_eq!(say_all(&app, &channel, &["a", "oa", "b"]).await, [json!(1), json!(2), json!(REFUSED)]);
    a.put(&format!("{path}/members/b/role"), json!({"role": "admin"})).await.expect(204);
    assert_eq!(say_all(&app, &channel, &["b", "c"]).await, [json!(3), json!(REFUSED)]);
    app.person("hr2").post(&format!("{path}/messages"), words("x")).await.expect_problem(403, "unknown-user");

    // Many at once: each for itself.
    let direct = app.direct("c", "b").await;
    let mut sends = vec![words("no"), words("yes")];
    (sends[0]["channel_id"], sends[1]["channel_id"]) = (json!(channel), json!(direct));
    let results = app.person("c").post("/messages", json!(sends)).await.expect(200);
    assert_eq!(
        (&results["results"][0]["status"], &results["results"][1]["status"]),
        (&json!(403), &json!(201))
    );
    assert_eq!(results["results"][0]["problem"]["type"], REFUSED);

    // Members read and report as in any group.
    app.settled().await;
    app.person("c").post(&format!("{path}/read"), json!({"seq": 3})).await.expect(200);
    assert_eq!(app.seqs("c", &channel, "").await, [3, 2, 1]);

    // The other way, and a repeat of what was admitted before.
    a.patch(&path, json!({"who_sends": "everybody"})).await.expect(200);
    let mut mine = words("mine");
    mine["client_id"] = json!("mine");
    let sent = app.person("c").post(&format!("{path}/messages"), mine.clone()).await.expect(201);
    let closed = app.person("b").patch(&path, json!({"who_sends": "admins"})).await.expect(200);
    assert_eq!(closed["who_sends"], "admins");
    assert_eq!(say_all(&app, &channel, &["c"]).await, [json!(REFUSED)]);
    let again = app.person("c").post(&format!("{path}/messages"), mine).await.expect(200);
    assert_eq!(again["ms_id"], sent["ms_id"]);
    let other = json!({"name": "公告", "members": ["b", "c", "oa"], "client_id": "1"});
    a.post("/groups", other).await.expect_problem(409, "client-id-reused");
    assert_eq!(a.post("/groups", group).await.expect(200)["channel_id"], made["channel_id"]);
}

#[tokio::test]
async fn who_sends_is_one_of_two_words_and_for_managers_to_change() {
    let app = company().await;
    let a = app.person("a");
    let channel = app.group(&["a", "b"]).await;
    let path = format!("/channels/{channel}");
    assert_eq!(a.get(&path).await.expect(200)["who_sends"], "everybody");
    for (way, body) in [
        ("/groups", json!({"who_sends": "nobody"})),
        ("/channels", json!({"type": "group", "members": [], "who_sends": ""})),
        ("/channels", json!({"type": "direct", "members": ["b"], "who_sends": "owner"})),
    ] {
        assert_eq!(a.post(way, body).await.expect_problem(422, "invalid-field")["pointer"], "/who_sends");
    }
    let wrong = a.patch(&path, json!({"who_sends": "members"})).await;
    assert_eq!(wrong.expect_problem(422, "invalid-field")["pointer"], "/who_sends");
    app.person("b").patch(&path, json!({"who_sends": "admins"})).await.expect_problem(403, "forbidden");
    a.patch(&path, json!({"who_sends": null, "name": "g"})).await.expect(200);
    assert_eq!(a.get(&path).await.expect(200)["who_sends"], "everybody");
    // A direct channel has nothing to close.
    let direct =
        a.post("/channels", json!({"type": "direct", "members": ["b"], "who_sends": "admins"})).await;
    let direct = format!("/channels/{}", text(&direct.expect(201)["channel_id"]));
    a.patch(&direct, json!({"who_sends": "admins"})).await.expect_problem(409, "conflict");
    app.person("b").post(&format!("{direct}/messages"), words("we both may")).await.expect(201);
}

/// A change falls between two messages: none of a member has a seq above it.
#[tokio::test]
async fn a_change_holds_for_every_send_after_it() {
    let app = company().await;
    let channel = app.group(&["a", "b", "c"]).await;
    let path = format!("/channels/{channel}");
    let members = async |name: &'static str| {
        let client = app.person(name);
        let mut told = Vec::new();
        for _ in 0..150 {
            let reply = client.post(&format!("{path}/messages"), words(name)).await;
            if reply.status == 201 {
                told.push(reply.body["seq"].as_i64().expect("a seq"));
            } else {
                reply.expect_problem(403, "only-admins-send");
            }
        }
        told
    };
    let owner = async {
        let a = app.person("a");
        let mut closed = Vec::new();
        for _ in 0..20 {
            a.patch(&path, json!({"who_sends": "admins"})).await.expect(200);
            // What the owner says marks the place of the change.
            let from = app.say("a", &channel, "closed").await["seq"].as_i64().expect("a seq");
            let to = app.say("a", &channel, "still closed").await["seq"].as_i64().expect("a seq");
            closed.push(from..=to);
            a.patch(&path, json!({"who_sends": "everybody"})).await.expect(200);
        }
        closed
    };
    let (b, c, closed) = tokio::join!(members("b"), members("c"), owner);
    let told: Vec<i64> = [b, c].concat();
    assert!(!told.is_empty(), "some were admitted");
    for range in closed {
        assert_eq!(range.end() - range.start(), 1, "nothing came between");
        assert!(!told.iter().any(|seq| range.contains(seq)), "{range:?}");
    }
}

#[tokio::test]
async fn a_departments_group_can_be_a_broadcast_group() {
    let app = company().await;
    let desk = app.client("hr", &["directory"]);
    let changes = json!({
        "departments": [{"department_id": "rd", "name": "研发部"}],
        "users": [{"user_id": "b", "name": "b", "department_ids": ["rd"]},
                  {"user_id": "c", "name": "c", "department_ids": ["rd"]}],
    });
    desk.post("/directory/changes", changes).await.expect(200);
    let wrong = desk.post("/departments/rd/group", json!({"owner": "oa", "who_sends": "all"})).await;
    assert_eq!(wrong.expect_problem(422, "invalid-field")["pointer"], "/who_sends");
    let made = desk.post("/departments/rd/group", json!({"owner": "oa", "who_sends": "admins"})).await;
    let channel = text(&made.expect(201)["channel_id"]);
    assert_eq!(say_all(&app, &channel, &["oa", "b"]).await, [json!(1), json!(REFUSED)]);
    let oa = app.person("oa");
    oa.put(&format!("/channels/{channel}/members/b/role"), json!({"role": "admin"})).await.expect(204);
    assert_eq!(say_all(&app, &channel, &["b", "c"]).await, [json!(2), json!(REFUSED)]);
    // A newcomer to the department is a member, and no more.
    let joins = json!({"users": [{"user_id": "d", "name": "d", "department_ids": ["rd"]}]});
    desk.post("/directory/changes", joins).await.expect(200);
    app.until("SELECT count(*) FROM t_im_channel_user WHERE user_id = 'd' AND to_seq IS NULL", 1).await;
    assert_eq!(say_all(&app, &channel, &["d"]).await, [json!(REFUSED)]);
}
