//! What is refused, and how.

use serde_json::{Value, json};

use super::{OPEN, company, notify, words};
use crate::app::TestApp;

#[tokio::test]
async fn each_mistake_has_its_pointer_and_stores_nothing() {
    let app = TestApp::start_with("notification_receivers_max = 3\nnotification_ahead_days = 1").await;
    company(&app).await;
    let oa = app.person("oa");
    let to = |to: Value| words("1", to);
    let with = |field: &str, value: Value| {
        let mut body = to(json!({"user_ids": ["a"]}));
        body[field] = value;
        body
    };
    for (body, pointer) in [
        (to(json!({})), "/to"),
        (to(json!({"user_ids": [], "below": true})), "/to"),
        (to(json!({"user_ids": ["a", "a,b"]})), "/to/user_ids/1"),
        (to(json!({"department_ids": ["/"]})), "/to/department_ids/0"),
        (to(json!({"department_ids": vec!["rd"; 201]})), "/to/department_ids"),
        (to(json!({"user_ids": ["a"], "roles": ["x"]})), "/to/roles"),
        (to(json!({"user_ids": ["a", "b", "c", "d"]})), "/to/user_ids"),
        (to(json!({"all": true})), "/to"),
        (with("client_id", json!("")), "/client_id"),
        (with("client_id", json!(null)), "/client_id"),
        (with("type", json!("fax")), "/type"),
        (with("content", json!({"text": " "})), "/content/text"),
        (with("type", json!("forward")), "/type"),
        (with("topic", json!(" ")), "/topic"),
        (with("data", json!([1])), "/data"),
        (with("ref", json!("")), "/ref"),
        (with("send_at", json!("tomorrow")), "/send_at"),
        (with("send_at", json!("2126-01-01T00:00:00Z")), "/send_at"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), "/expires_at"),
        (with("priority", json!("high")), "/priority"),
        (with("escalate", json!([{"after_s": 1, "event": true}])), "/escalate/0/after_s"),
        (with("reply_to_all", json!(true)), "/reply_to_all"),
    ] {
        let problem = oa.post("/notifications", body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let fits = with("to", json!({"user_ids": ["a"]}));
    app.person("a").post("/notifications", fits.clone()).await.expect_problem(403, "forbidden");
    app.person("nobody").post("/notifications", fits.clone()).await.expect_problem(403, "unknown-user");
    assert_eq!(app.count("SELECT count(*) FROM t_im_notification", &[]).await, 0);

    let path = notify(&oa, fits).await;
    for (query, pointer) in
        [("status=seen", "status"), ("status=", "status"), ("cursor=x", "cursor"), ("limit=0", "limit")]
    {
        let problem =
            oa.get(&format!("{path}/receivers?{query}")).await.expect_problem(400, "invalid-parameter");
        assert_eq!(problem["pointer"], pointer, "{query}");
    }
    for (query, pointer) in [("from=today", "from"), ("cursor=x", "cursor"), ("state=sent", "state")] {
        let problem =
            oa.get(&format!("/notifications?{query}")).await.expect_problem(400, "invalid-parameter");
        assert_eq!(problem["pointer"], pointer, "{query}");
    }
    for unknown in ["/notifications/99", "/notifications/x", "/notifications/99/receivers"] {
        oa.get(unknown).await.expect_problem(404, "not-found");
    }
    oa.delete("/notifications/99").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_application_has_so_many_open_ones() {
    let app = TestApp::start_with("notifications_open_max = 2").await;
    company(&app).await;
    let (oa, crm) = (app.person("oa"), app.person("crm"));
    let tomorrow = app.store.now().await.unwrap() + time::Duration::days(1);
    let later = |name: &str| {
        let mut body = words(name, json!({"user_ids": ["a"]}));
        body["send_at"] = json!(tomorrow.format(&time::format_description::well_known::Rfc3339).unwrap());
        body
    };
    let first = notify(&oa, later("1")).await;
    notify(&oa, later("2")).await;
    oa.post("/notifications", later("3")).await.expect_problem(429, "too-many-notifications");
    notify(&crm, later("1")).await;
    oa.delete(&first).await.expect(202);
    app.until(OPEN, 2).await;
    notify(&oa, later("3")).await;
}
