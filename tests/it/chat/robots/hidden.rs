//! A robot is no person of the company: only the members of its group see it.

use im_push_gateway::people::contacts;
use serde_json::{Value, json};

use super::made;
use crate::app::{TestApp, text};
use crate::support::Client;

const SEARCHED: &str = "SELECT count(*) FROM t_im_user WHERE words_due";

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let page = client.get(path).await.expect(200);
    page["items"].as_array().expect("items").iter().map(|item| text(&item["user_id"])).collect()
}

/// The company: people and an application, a group of `a` and `b`, and its robot.
async fn company() -> (TestApp, String, super::Robot) {
    let app = TestApp::start().await;
    let changes = json!({
        "departments": [{"department_id": "rd", "name": "研发部"}],
        "users": [
            {"user_id": "a", "name": "A", "department_id": "rd"}, {"user_id": "b", "name": "B"},
            {"user_id": "stranger", "name": "S"}, {"user_id": "outer", "name": "O", "kind": "external"},
            {"user_id": "oa", "name": "构建审批", "kind": "application"},
        ],
    });
    app.client("hr", &["directory"]).post("/directory/changes", changes).await.expect(200);
    let group = app.group(&["a", "b", "outer"]).await;
    let robot = made(&app, "a", &group).await;
    app.until(SEARCHED, 0).await;
    (app, group, robot)
}

#[tokio::test]
async fn a_robot_is_found_by_the_members_of_its_group_alone() {
    let (app, group, robot) = company().await;
    let (card, found) = (format!("/users/{}", robot.user_id), "/users?kind=application&q=goujian");
    let both = ["oa".to_owned(), robot.user_id.clone()];
    let desk = app.client("desk", &["support"]);
    for (client, sees) in [
        (&app.person("a"), true),
        (&app.person("b"), true),
        (&app.person("outer"), true),
        (&app.person("stranger"), false),
        (&app.person("oa"), false),
        (&desk, true),
    ] {
        assert_eq!(client.get(&card).await.status, if sees { 200 } else { 404 });
        for path in [found, "/users?kind=application"] {
            let ids = ids(client, path).await;
            assert_eq!(ids.contains(&robot.user_id), sees, "{path}: {ids:?}");
            assert!(ids.iter().all(|id| both.contains(id)), "{path}: {ids:?}");
        }
        assert!(!ids(client, "/users?q=goujian").await.contains(&robot.user_id), "no person");
    }
    // A name that begins so: the stranger has one choice, a member has two.
    for (person, choices) in [("a", 2), ("stranger", 1)] {
        let viewer = contacts::viewer(&app.store, person).await.expect("a viewer");
        let named = contacts::by_name(&app.store, &viewer, "构建").await.expect("users");
        assert_eq!(named.len(), choices, "{person}: {named:?}");
    }

    // Also after it was removed, and after a member has left. A membership without a message leaves nothing.
    app.say("a", &group, "while it is there").await;
    let remove = format!("/channels/{group}/robots/{}", robot.robot_id);
    app.person("a").delete(&remove).await.expect(204);
    assert_eq!(app.person("b").get(&card).await.expect(200)["active"], false);
    app.person("stranger").get(&card).await.expect_problem(404, "not-found");
    app.person("b").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    app.person("b").get(&card).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_robot_is_no_person_of_the_directory_and_gets_no_notification() {
    let (app, _, robot) = company().await;
    let hr = app.client("hr", &["directory"]);
    let change = json!({"users": [{"user_id": robot.user_id, "name": "X", "kind": "internal", "department_id": "rd"}]});
    let reply = hr.post("/directory/changes", change).await.expect(200);
    assert_eq!(reply["problems"].as_array().expect("problems").len(), 1, "{reply}");
    assert_eq!(ids(&app.person("a"), "/departments/rd/users").await, ["a"]);

    let oa = app.person("oa");
    let told = |client_id: &str, to: Value| json!({"client_id": client_id, "to": to, "type": "text", "content": {"text": "x"}});
    let made =
        oa.post("/notifications", told("1", json!({"user_ids": [robot.user_id, "a"]}))).await.expect(202);
    let unknown = json!([{"user_id": robot.user_id, "reason": "unknown"}]);
    assert_eq!((&made["receivers"], &made["problems"]), (&json!(1), &unknown));
    for (name, to, receivers) in
        [("2", json!({"all": true}), 4), ("3", json!({"department_ids": ["rd"], "below": true}), 1)]
    {
        let made = oa.post("/notifications", told(name, to)).await.expect(202);
        assert_eq!(made["receivers"], receivers);
    }
    app.until("SELECT count(*) FROM t_im_notification WHERE is_open", 0).await;
    let direct =
        "SELECT count(*) FROM t_im_channel WHERE channel_type = 'direct' AND $1 IN (pair_low, pair_high)";
    assert_eq!(app.count(direct, &[&robot.user_id]).await, 0);
}
