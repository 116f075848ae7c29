//! Who can be talked to.

use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_bad_record_is_reported_and_skipped() {
    let app = TestApp::start().await;
    let hr = app.client("hr", &["directory"]);
    let changes = json!({
        "departments": [
            {"department_id": "child", "name": "子部门", "parent_id": "root"},
            {"department_id": "root", "name": "公司"},
            {"department_id": "lost", "name": "Lost", "parent_id": "nowhere"},
        ],
        "users": [
            {"user_id": "a", "name": "张三", "department_id": "child", "head_icon": "/a.png"},
            {"user_id": "b", "name": "Bob", "kind": "external"},
            {"user_id": "bad,id", "name": "x"},
            {"user_id": "c", "name": "Carol", "department_id": "nowhere"},
            {"user_id": "d", "name": "D", "salary": 1},
            {"user_id": "e", "name": "E", "kind": "alien"},
            {"user_id": "a", "name": "Again"},
            {"user_id": "portal", "name": "OA", "kind": "application"},
        ],
    });
    let reply = hr.post("/directory/changes", changes).await.expect(200);
    assert_eq!(
        (&reply["users"]["applied"], &reply["departments"]["applied"]),
        (&json!(3), &json!(2))
    );
    let mut at: Vec<&str> = reply["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["pointer"].as_str().unwrap())
        .collect();
    at.sort_unstable();
    assert_eq!(
        at,
        [
            "/departments/2/parent_id",
            "/users/2",
            "/users/3/department_id",
            "/users/4/salary",
            "/users/5",
            "/users/6"
        ]
    );

    // What is not told stays; a cycle is refused.
    let more = json!({
        "users": [{"user_id": "a", "name": "张三丰"}],
        "departments": [{"department_id": "root", "name": "公司", "parent_id": "child"}],
    });
    let reply = hr.post("/directory/changes", more).await.expect(200);
    assert_eq!(reply["departments"]["applied"], 0);
    let kept = "SELECT count(*) FROM t_im_user WHERE name = '张三丰' AND head_icon = '/a.png' AND department_id = 'child' AND active";
    assert_eq!(app.count(kept, &[]).await, 1);
    app.person("a")
        .post("/directory/changes", json!({"users": []}))
        .await
        .expect_problem(403, "forbidden");
}

#[tokio::test]
async fn whoever_has_left_cannot_act_but_keeps_a_name() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("b", &channel, "bye").await;
    let gone = json!({"users": [{"user_id": "b", "name": "B", "active": false}]});
    app.client("hr", &["directory"])
        .post("/directory/changes", gone)
        .await
        .expect(200);
    let send = json!({"type": "text", "content": {"text": "x"}});
    app.person("b")
        .post(&format!("/channels/{channel}/messages"), send)
        .await
        .expect_problem(403, "unknown-user");
    app.person("b")
        .get("/conversations")
        .await
        .expect_problem(403, "unknown-user");
    let page = app
        .person("a")
        .get(&format!("/channels/{channel}/messages"))
        .await
        .expect(200);
    assert_eq!(page["items"][0]["sender_name"], "B");
}
