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
    assert_eq!((&reply["users"]["applied"], &reply["departments"]["applied"]), (&json!(4), &json!(3)));
    assert_eq!(reply["parked"], json!(["lost"]), "it waits at the top for its parent");
    let mut at: Vec<&str> =
        reply["problems"].as_array().unwrap().iter().map(|p| p["pointer"].as_str().unwrap()).collect();
    at.sort_unstable();
    assert_eq!(at, ["/users/2/user_id", "/users/4/salary", "/users/5/kind", "/users/6"]);

    // What is not told stays; a circle is cut, and joined again when it is undone.
    let more = json!({
        "users": [{"user_id": "a", "name": "张三丰"}],
        "departments": [{"department_id": "root", "name": "公司", "parent_id": "child"}],
    });
    let reply = hr.post("/directory/changes", more).await.expect(200);
    assert_eq!(reply["parked"], json!([]), "the child is cut off, which nobody told of");
    let tops =
        "SELECT count(*) FROM t_im_department WHERE parent_id IS NULL AND department_id IN ('child', 'lost')";
    assert_eq!(app.count(tops, &[]).await, 2);
    let undone = json!({"departments": [{"department_id": "root", "name": "公司"}, {"department_id": "nowhere", "name": "N"}]});
    hr.post("/directory/changes", undone).await.expect(200);
    assert_eq!(app.count(tops, &[]).await, 0);
    let kept = "SELECT count(*) FROM t_im_user WHERE name = '张三丰' AND head_icon = '/a.png' AND department_id = 'child' AND active";
    assert_eq!(app.count(kept, &[]).await, 1);
    app.person("a").post("/directory/changes", json!({"users": []})).await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn whoever_has_left_cannot_act_but_keeps_a_name() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("b", &channel, "bye").await;
    let gone = json!({"users": [{"user_id": "b", "name": "B", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", gone).await.expect(200);
    let send = json!({"type": "text", "content": {"text": "x"}});
    app.person("b")
        .post(&format!("/channels/{channel}/messages"), send)
        .await
        .expect_problem(403, "unknown-user");
    app.person("b").get("/conversations").await.expect_problem(403, "unknown-user");
    let page = app.person("a").get(&format!("/channels/{channel}/messages")).await.expect(200);
    assert_eq!(page["items"][0]["sender_name"], "B");
}

#[tokio::test]
async fn departments_moved_below_each_other_at_once_make_no_circle() {
    let app = TestApp::start().await;
    let hr = app.client("hr", &["directory"]);
    let told = |id: &str, parent: Option<&str>| json!({"departments": [{"department_id": id, "name": id, "parent_id": parent}]});
    for round in 0..10 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        for id in [&a, &b] {
            hr.post("/directory/changes", told(id, None)).await.expect(200);
        }
        let (below_b, below_a) = (told(&a, Some(&b)), told(&b, Some(&a)));
        let (one, other) =
            tokio::join!(hr.post("/directory/changes", below_b), hr.post("/directory/changes", below_a));
        let parked = [one.expect(200), other.expect(200)].map(|r| r["parked"].as_array().unwrap().len());
        let tops =
            "SELECT count(*) FROM t_im_department WHERE department_id IN ($1, $2) AND parent_id IS NULL";
        assert_eq!(app.count(tops, &[&a, &b]).await, 1, "whoever came second: {parked:?}");
    }
    // Thousands told children first, each below the next.
    let chain: Vec<_> = (0..3_000)
        .map(|i| json!({"department_id": format!("c{i}"), "name": "c", "parent_id": if i == 2_999 { None } else { Some(format!("c{}", i + 1)) }}))
        .collect();
    let reply = hr.post("/directory/changes", json!({"departments": chain})).await.expect(200);
    assert_eq!(reply["departments"]["applied"], 3_000);
}

#[tokio::test]
async fn a_leaver_does_not_come_back_by_a_change_that_says_nothing_of_it() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let hr = app.client("hr", &["directory"]);
    for _ in 0..10 {
        let back = json!({"users": [{"user_id": "a", "name": "A", "active": true}]});
        hr.post("/directory/changes", back).await.expect(200);
        let leaves = json!({"users": [{"user_id": "a", "name": "A", "active": false}]});
        let renamed = json!({"users": [{"user_id": "a", "name": "Anna"}]});
        let (one, other) =
            tokio::join!(hr.post("/directory/changes", leaves), hr.post("/directory/changes", renamed));
        one.expect(200);
        other.expect(200);
        assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE active", &[]).await, 0);
    }
    let bad = json!({"users": [{"user_id": "b", "name": "B", "department_id": "x\u{0}"}, {"user_id": "c", "name": "C"}]});
    assert_eq!(hr.post("/directory/changes", bad).await.expect(200)["users"]["applied"], 1);
}
