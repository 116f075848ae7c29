//! Races, look-alikes, and what must not be found anywhere.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn of_many_who_register_one_username_at_once_one_has_it() {
    let app = open().await;
    let other = TestApp::start_on(app.database.clone(), OPEN).await;
    let names = [
        "ZhangSan",
        "zhangsan",
        "ZHANGSAN",
        "ｚｈａｎｇｓａｎ",
        "zhangsan",
        "Zhangsan",
        "zhangSan",
        "zhangsаn",
    ];
    let attempts = names.iter().enumerate().map(|(number, name)| {
        let app = if number % 2 == 0 { &app } else { &other };
        let new = json!({"username": name, "password": PASSWORD, "name": "N"});
        async move { stranger(app).post("/users/register", new).await.status }
    });
    let mut statuses = futures_util::future::join_all(attempts).await;
    statuses.sort_unstable();
    // The last name has a Cyrillic letter among Latin ones.
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 422]);
    assert_eq!(app.count("SELECT count(*) FROM t_im_account", &[]).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM t_im_user", &[]).await, 1, "nothing half done");
    for typed in ["zhangsan", "ZHANGSAN", "ｚhangsan"] {
        login(&stranger(&app), typed, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn a_username_that_looks_like_another_is_taken() {
    let app = open().await;
    register(&app, "paypal").await;
    register(&app, "сорос").await;
    for taken in ["paypa1", "PayPal", "PAYPA1", "copoc"] {
        let new = json!({"username": taken, "password": PASSWORD, "name": "N"});
        let problem = stranger(&app).post("/users/register", new).await.expect_problem(409, "username-taken");
        assert_eq!(problem["pointer"], "/username", "{taken}");
        // It is not the same: nobody signs in with it.
        if taken != "PayPal" {
            login(&stranger(&app), taken, PASSWORD).await.expect_problem(401, "wrong-credentials");
        }
    }
    for reserved in ["admin", "Support", "root"] {
        let new = json!({"username": reserved, "password": PASSWORD, "name": "N"});
        stranger(&app).post("/users/register", new).await.expect_problem(409, "username-taken");
    }
    for (field, value) in [
        ("username", json!("a")),
        ("username", json!("a b")),
        ("username", json!("pаypal")),
        ("username", json!("a\u{202e}b")),
        ("password", json!("short")),
        ("password", json!("password123")),
        ("password", json!("x".repeat(129))),
        ("name", json!("\u{200b}")),
        ("name", json!("a\nb")),
        ("email", json!("nowhere")),
        ("roles", json!(["admin"])),
    ] {
        let mut new = json!({"username": "wangwu", "password": PASSWORD, "name": "N"});
        new[field] = value;
        let problem =
            stranger(&app).post("/users/register", new.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], format!("/{field}"), "{new}");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_account", &[]).await, 2);
}

#[tokio::test]
async fn a_username_neither_takes_over_an_employee_nor_is_one() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let admin = sign_in(&app, "boss").await;
    let bearer = format!("Bearer {}", text(&admin["access_token"]));
    let idp = Client::anonymous(&format!("{}/scim/v2", app.base)).with_header("authorization", &bearer);
    let schema = "urn:ietf:params:scim:schemas:core:2.0:User";

    // The employee with the name of an account is another user, whom SCIM alone shows.
    let shown = idp.get("/Users?filter=userName%20eq%20%22lisi%22").await.expect(200);
    assert_eq!(shown["totalResults"], 0, "{shown}");
    let employee = json!({"schemas": [schema], "userName": "LiSi", "displayName": "Li Si"});
    let made = text(&idp.post("/Users", employee).await.expect(201)["id"]);
    assert_ne!(made, li);
    assert_eq!(idp.get(&format!("/Users/{li}")).await.status, 404);
    assert_eq!(idp.delete(&format!("/Users/{li}")).await.status, 404);
    sign_in(&app, "lisi").await;
    let own = "SELECT count(*) FROM t_im_user WHERE user_id = $1 AND source = 'account' AND external_id = $1";
    assert_eq!(app.count(own, &[&li]).await, 1);
    // Administrators change such a user all the same.
    root.patch(&format!("/users/{li}"), json!({"title": "Chef"})).await.expect(200);
    let users = json!({"users": [{"user_id": li, "name": "Li", "login_name": "lisi"}]});
    assert_eq!(root.post("/directory/changes", users).await.expect(200)["users"]["applied"], 1);
    assert_eq!(app.count(own, &[&li]).await, 1, "the source stays");

    // The login name of an employee is taken, also while the employee is away. That of a leaver is free.
    let register = async |name: &str| {
        let new = json!({"username": name, "password": PASSWORD, "name": "N"});
        stranger(&app).post("/users/register", new).await
    };
    let employee = json!({"schemas": [schema], "userName": "WangWu", "displayName": "Wang Wu"});
    let wang = text(&idp.post("/Users", employee).await.expect(201)["id"]);
    register("wangwu").await.expect_problem(409, "username-taken");
    let away = json!({"users": [{"user_id": wang, "name": "W", "login_name": "WangWu", "active": false}]});
    assert_eq!(root.post("/directory/changes", away).await.expect(200)["users"]["applied"], 1);
    let problem = register("WANGWU").await.expect_problem(409, "username-taken");
    assert_eq!(problem["pointer"], "/username");
    assert_eq!(idp.delete(&format!("/Users/{wang}")).await.status, 204);
    register("wangwu").await.expect(201);
}

#[tokio::test]
async fn a_cancelled_account_is_over_and_its_username_is_free_for_somebody_else() {
    let app = open().await;
    let li_id = register(&app, "lisi").await;
    register(&app, "zhangsan").await;
    let (li, zhang) = (sign_in(&app, "lisi").await, with(&app, &sign_in(&app, "zhangsan").await));
    let group =
        zhang.post("/channels", json!({"type": "group", "name": "G", "members": [li_id]})).await.expect(201);
    let group = text(&group["channel_id"]);
    let words = json!({"type": "text", "content": {"text": "再见"}});
    with(&app, &li).post(&format!("/channels/{group}/messages"), words).await.expect(201);

    cancel(&with(&app, &li), "a wrong guess").await.expect_problem(401, "wrong-credentials");
    cancel(&with(&app, &li), PASSWORD).await.expect(204);
    with(&app, &li).get("/users/me").await.expect_problem(401, "unauthenticated");
    refresh(&app, &li).await.expect_problem(401, "unauthenticated");
    login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(401, "wrong-credentials");
    // The group goes on without, and history keeps the name.
    app.until("SELECT count(*) FROM t_im_leaver", 0).await;
    let members = zhang.get(&format!("/channels/{group}/members")).await.expect(200);
    assert_eq!(members["items"].as_array().map(Vec::len), Some(1), "{members}");
    let card = zhang.get(&format!("/users/{li_id}")).await.expect(200);
    assert_eq!(
        (&card["name"], &card["active"], &card["email"]),
        (&json!("LISI"), &json!(false), &Value::Null)
    );
    assert!(card.get("profile").is_none());

    let new_id = register(&app, "lisi").await;
    assert_ne!(new_id, li_id, "nobody inherits a history");
    let new = with(&app, &sign_in(&app, "lisi").await);
    new.get(&format!("/channels/{group}/messages")).await.expect_problem(404, "not-found");
    let kept = "SELECT count(*) FROM t_im_user WHERE user_id = $1 AND login_name IS NULL AND email IS NULL AND NOT active";
    assert_eq!(app.count(kept, &[&li_id]).await, 1);
}

#[tokio::test]
async fn the_database_has_no_password_and_no_token() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let grant = refresh(&app, &sign_in(&app, "lisi").await).await.expect(200);
    let code = root.post(&format!("/accounts/{li}/password-reset"), json!(null)).await.expect(200);
    let made = root.post("/invitations", json!({"client_id": "c"})).await.expect(201);
    let kept = "SELECT count(*) FROM (SELECT t::text FROM t_im_account t UNION ALL SELECT t::text FROM t_im_session t \
                UNION ALL SELECT t::text FROM t_im_invitation t UNION ALL SELECT t::text FROM t_im_audit t \
                UNION ALL SELECT t::text FROM t_im_claim t UNION ALL SELECT t::text FROM t_im_user t \
                UNION ALL SELECT t::text FROM t_im_event_new t) AS kept (line) WHERE line LIKE '%' || $1 || '%'";
    let secrets = [
        PASSWORD.to_owned(),
        text(&grant["refresh_token"])[5..].to_owned(),
        text(&grant["access_token"]),
        text(&code["code"])[5..].to_owned(),
        text(&made["code"])[5..].to_owned(),
    ];
    for secret in secrets {
        assert_eq!(app.count(kept, &[&secret]).await, 0, "{secret}");
        // Nor its bytes, as PostgreSQL shows them.
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(app.count(kept, &[&hex]).await, 0, "{secret}");
    }
    assert!(
        app.count(
            "SELECT count(*) FROM t_im_account WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'",
            &[]
        )
        .await
            > 0
    );
}
