//! Tokens over the API: administrators create, list and revoke them.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Client;

/// Every operation, answered with success.
pub async fn exercise(root: &Client) {
    let made = root.post("/tokens", json!({"name": "hr", "user_id": "hr", "roles": ["directory"]})).await;
    let path = format!("/tokens/{}", text(&made.expect(201)["token_id"]));
    root.get("/tokens").await.expect(200);
    root.delete(&path).await.expect(204);
}

/// An application and a person.
async fn company() -> TestApp {
    let app = TestApp::start().await;
    let users = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application"}, {"user_id": "a", "name": "A"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    app
}

/// A caller with a token alone.
fn bearer(app: &TestApp, secret: &Value) -> Client {
    let bearer = format!("Bearer {}", text(secret));
    Client::anonymous(&format!("{}/api/v1", app.base)).with_header("authorization", &bearer)
}

#[tokio::test]
async fn a_token_is_shown_once_works_until_it_is_revoked_and_is_audited() {
    let app = company().await;
    let root = app.client("root", &["admin"]);
    let wish = json!({"client_id": "one", "name": "审批", "user_id": "oa", "roles": ["user"], "days": 30});
    let made = root.post("/tokens", wish.clone()).await.expect(201);
    let oa = bearer(&app, &made["secret"]);
    oa.post("/channels", json!({"type": "direct", "members": ["a"]})).await.expect(201);
    oa.get("/tokens").await.expect_problem(403, "forbidden");

    let mut listed = made.clone();
    listed.as_object_mut().unwrap().remove("secret");
    assert_eq!(root.get("/tokens").await.expect(200), json!({"items": [listed]}), "without the secret");
    let again = root.post("/tokens", wish.clone()).await.expect(200);
    assert_eq!((&again["token_id"], &again["secret"]), (&made["token_id"], &Value::Null));
    let mut other = wish.clone();
    other["days"] = json!(31);
    root.post("/tokens", other).await.expect_problem(409, "client-id-reused");
    let secret = text(&made["secret"]);
    let kept = "SELECT count(*) FROM (SELECT t::text FROM t_im_token t UNION ALL SELECT a::text FROM t_im_audit a \
                UNION ALL SELECT c::text FROM t_im_claim c) AS kept (line) WHERE line LIKE '%' || $1 || '%'";
    assert_eq!(app.count(kept, &[&secret.trim_start_matches("impg_")]).await, 0);

    let path = format!("/tokens/{}", text(&made["token_id"]));
    root.delete(&path).await.expect(204);
    oa.get("/conversations").await.expect_problem(401, "unauthenticated");
    root.delete(&path).await.expect_problem(404, "not-found");
    root.post("/tokens", wish).await.expect_problem(409, "conflict");
    let audit = root.get("/audit").await.expect(200);
    let entries: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (&e["action"], &e["actor"], &e["filter"]["token_id"]))
        .collect();
    let (root_id, token_id) = (json!("root"), &made["token_id"]);
    assert_eq!(
        entries,
        [(&json!("token-revoked"), &root_id, token_id), (&json!("token-created"), &root_id, token_id)]
    );
}

#[tokio::test]
async fn a_token_is_for_no_person_and_gives_no_role_that_its_maker_lacks() {
    let app = company().await;
    let root = app.client("root", &["admin"]);
    let wish = |field: &str, value: Value| {
        let mut wish = json!({"name": "x", "user_id": "oa", "roles": ["user"]});
        wish[field] = value;
        wish
    };
    let wrong = [
        (wish("user_id", json!("a")), "/user_id"),
        (wish("user_id", json!("nobody")), "/user_id"),
        (wish("user_id", json!("a b")), "/user_id"),
        (wish("name", json!("\u{200b}")), "/name"),
        (wish("roles", json!([])), "/roles"),
        (wish("roles", json!(["root"])), "/roles/0"),
        (wish("roles", json!(["user", "user"])), "/roles/1"),
        (wish("days", json!(0)), "/days"),
        (wish("days", json!(3_651)), "/days"),
        (wish("expires_at", json!("2030-01-01T00:00:00Z")), "/expires_at"),
    ];
    for (body, pointer) in wrong {
        let problem = root.post("/tokens", body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let person = json!({"name": "x", "user_id": "a", "roles": ["support"]});
    root.post("/tokens", person).await.expect_problem(422, "invalid-field");
    root.post("/tokens", wish("roles", json!(["gateway"]))).await.expect_problem(403, "forbidden");
    for roles in [&["support"][..], &["directory"], &["gateway"], &[]] {
        let caller = app.client("x", roles);
        caller.post("/tokens", wish("name", json!("x"))).await.expect_problem(403, "forbidden");
        caller.get("/tokens").await.expect_problem(403, "forbidden");
        caller.delete("/tokens/0000000000000000").await.expect_problem(403, "forbidden");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_token", &[]).await, 0);
    // A machine that the directory does not know, and a caller who has the role.
    let both = app.client("root", &["admin", "gateway"]);
    let made =
        both.post("/tokens", json!({"name": "gw", "user_id": "gw-1", "roles": ["gateway", "support"]})).await;
    let made = made.expect(201);
    bearer(&app, &made["secret"])
        .put("/presence", json!({"users": [{"user_id": "a", "status": "online"}]}))
        .await
        .expect(200);
    // An application that has left.
    let left = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    let problem = root.post("/tokens", wish("name", json!("x"))).await.expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/user_id");
    let many = "INSERT INTO t_im_token SELECT sha256(n::text::bytea), 'n', 'm', '{support}', now(), now() + interval '1 day' FROM generate_series(1, 999) n";
    app.sql().await.execute(many, &[]).await.unwrap();
    let machine = json!({"name": "x", "user_id": "m", "roles": ["support"]});
    root.post("/tokens", machine).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn expired_tokens_hide_none_count_for_nothing_and_go_after_a_month() {
    let mut app = company().await;
    let expired = |days: i32| {
        format!(
            "INSERT INTO t_im_token SELECT sha256(('{days} ' || n)::bytea), 'n', 'm', '{{support}}', \
             im_clock() - interval '99 days', im_clock() - interval '{days} days' FROM generate_series(1, 1000) n"
        )
    };
    for days in [29, 31] {
        app.sql().await.execute(&expired(days), &[]).await.unwrap();
    }
    // Housekeeping begins with the service.
    app.clock("0").await;
    app.until("SELECT count(*) FROM t_im_token", 1_000).await;
    app.until("SELECT count(*) FROM t_im_token WHERE expires_at > im_clock() - interval '30 days'", 1_000)
        .await;
    let root = app.client("root", &["admin"]);
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let machine = json!({"name": name, "user_id": "m", "roles": ["support"]});
        made.push(root.post("/tokens", machine).await.expect(201)["token_id"].clone());
    }
    let listed = root.get("/tokens").await.expect(200)["items"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1_000));
    assert_eq!([&listed[0]["token_id"], &listed[1]["token_id"]], [&made[1], &made[0]], "newest first");
}
