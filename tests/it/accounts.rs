//! People who sign in to the service itself: one binary and one PostgreSQL, without a gateway.

pub mod administration;
pub mod attacks;
pub mod guesses;
pub mod sessions;
pub mod tokens;

use im_push_gateway::accounts::registration::{self, NewAccount};
use im_push_gateway::identity::{Role, Roles};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{self, TestApp, text};
use crate::support::{Client, Reply};

/// A whole system: no gateway signs anybody in, and none is pushed to.
pub const OPEN: &str = "identity_mode = \"accounts\"\naccount_register = \"open\"\ncallback_url = \"none\"\n\
                        callback_hold_days = 0\naccount_hash_threads = 2\n";
pub const PASSWORD: &str = "correct horse battery";

pub async fn open() -> TestApp {
    open_with("").await
}

pub async fn open_with(more: &str) -> TestApp {
    TestApp::start_with(&format!("{OPEN}{more}\n")).await
}

/// A caller who proves nothing.
pub fn stranger(app: &TestApp) -> Client {
    Client::anonymous(&format!("{}/api/v1", app.base))
}

/// A caller at another address, as a proxy says it.
pub fn at(app: &TestApp, address: &str) -> Client {
    stranger(app).with_header("x-forwarded-for", address)
}

/// A caller with the access token of a session.
pub fn with(app: &TestApp, grant: &Value) -> Client {
    stranger(app).with_header("authorization", &format!("Bearer {}", text(&grant["access_token"])))
}

/// Registers a person, whose name is the username in capitals. Returns the user id.
pub async fn register(app: &TestApp, username: &str) -> String {
    let new = json!({"username": username, "password": PASSWORD, "name": username.to_uppercase()});
    text(&stranger(app).post("/users/register", new).await.expect(201)["user_id"])
}

pub async fn login(client: &Client, username: &str, password: &str) -> Reply {
    client.post("/users/login", json!({"username": username, "password": password})).await
}

pub async fn sign_in(app: &TestApp, username: &str) -> Value {
    login(&stranger(app), username, PASSWORD).await.expect(200)
}

pub async fn refresh(app: &TestApp, grant: &Value) -> Reply {
    stranger(app).post("/users/refresh", json!({"refresh_token": grant["refresh_token"]})).await
}

/// An administrator, as a command on the server makes the first one.
pub async fn administrator(app: &TestApp) -> Client {
    let settings = app::config(&app.database, OPEN).accounts;
    let new = NewAccount { username: "boss", name: "Boss", email: None };
    let roles = Roles::default().with(Role::Admin);
    let now = app.store.now().await.unwrap();
    registration::create(&app.store, &settings, new, (Some(PASSWORD), roles), now).await.unwrap();
    with(app, &sign_in(app, "boss").await)
}

/// A call with a body whose method seldom has one.
pub async fn cancel(client: &Client, password: &str) -> Reply {
    client
        .try_call(Method::DELETE, "/users/me", Some(json!({"password": password})))
        .await
        .expect("an answer")
}

/// Every operation, answered with success.
pub async fn exercise() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let first = sign_in(&app, "lisi").await;
    let second = refresh(&app, &first).await.expect(200);
    let me = with(&app, &second);
    me.get("/users/me/sessions").await.expect(200);
    me.delete("/users/me/sessions").await.expect(204);
    me.put("/users/me/password", json!({"password": PASSWORD, "new_password": "another horse"}))
        .await
        .expect(204);
    me.patch("/users/me", json!({"signature": "忙", "phone": "102"})).await.expect(200);
    me.delete("/users/me/sessions/current").await.expect(204);
    stranger(&app).post("/users/logout", json!({"refresh_token": second["refresh_token"]})).await.expect(204);
    root.get("/accounts").await.expect(200);
    let of = |rest: &str| format!("/accounts/{li}{rest}");
    root.get(&of("")).await.expect(200);
    root.put(&of("/roles"), json!({"roles": ["support"]})).await.expect(200);
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "spam"});
    root.put(&of("/suspension"), until).await.expect(200);
    root.delete(&of("/suspension")).await.expect(204);
    let code = root.post(&of("/password-reset"), json!(null)).await.expect(200);
    let new = json!({"username": "lisi", "code": code["code"], "password": PASSWORD});
    stranger(&app).post("/users/password-reset", new).await.expect(204);
    let made = root.post("/invitations", json!({"client_id": "i", "uses": 2})).await.expect(201);
    root.post("/invitations", json!({"client_id": "i", "uses": 2})).await.expect(200);
    root.get("/invitations").await.expect(200);
    root.delete(&format!("/invitations/{}", text(&made["invitation_id"]))).await.expect(204);
    Client::anonymous(&app.base).get("/.well-known/jwks.json").await.expect(200);
    cancel(&with(&app, &sign_in(&app, "lisi").await), PASSWORD).await.expect(204);
}

#[tokio::test]
async fn two_people_register_find_each_other_talk_and_see_who_has_read() {
    let app = open().await;
    let (zhang_id, li_id) = (register(&app, "zhangsan").await, register(&app, "lisi").await);
    let (zhang, li) =
        (with(&app, &sign_in(&app, "ZhangSan").await), with(&app, &sign_in(&app, "lisi").await));
    assert_eq!(zhang.get("/users/me").await.expect(200)["user_id"], zhang_id);

    let found = zhang.get("/users?q=lisi").await.expect(200);
    assert_eq!((&found["items"][0]["user_id"], &found["items"][0]["name"]), (&json!(li_id), &json!("LISI")));
    let direct = json!({"type": "direct", "members": [li_id]});
    let channel = text(&zhang.post("/channels", direct).await.expect(201)["channel_id"]);
    let words = json!({"type": "text", "content": {"text": "你好"}});
    let sent = zhang.post(&format!("/channels/{channel}/messages"), words).await.expect(201);

    let listed = li.get("/conversations").await.expect(200);
    assert_eq!(
        (&listed["items"][0]["channel_id"], &listed["items"][0]["unread_count"]),
        (&json!(channel), &json!(1))
    );
    let receipts = format!("/messages/{}/receipts", text(&sent["ms_id"]));
    let status = async || text(&zhang.get(&receipts).await.expect(200)["items"][0]["status"]);
    assert_eq!(status().await, "unreceived");
    li.post(&format!("/channels/{channel}/received"), json!({"seq": 1})).await.expect(200);
    assert_eq!(status().await, "received", "without a gateway, the receiver's own client says so");
    li.post(&format!("/channels/{channel}/read"), json!({"seq": 1})).await.expect(200);
    assert_eq!(status().await, "read");

    // A third person sees none of it.
    register(&app, "wangwu").await;
    let wang = with(&app, &sign_in(&app, "wangwu").await);
    wang.get(&format!("/channels/{channel}/messages")).await.expect_problem(404, "not-found");
    wang.get("/accounts").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn what_people_say_about_themselves_is_on_their_card() {
    let app = open().await;
    let li_id = register(&app, "lisi").await;
    let (li, zhang_id) = (with(&app, &sign_in(&app, "lisi").await), register(&app, "zhangsan").await);
    let zhang = with(&app, &sign_in(&app, "zhangsan").await);
    let said = json!({
        "name": "李四", "email": "lisi@corp.example", "signature": "在路上", "sex": "female", "birth_year": 1990,
        "region": "上海", "tags": ["围棋", "rust"],
    });
    let done = li.patch("/users/me", said.clone()).await.expect(200);
    assert_eq!(done, json!({"user_id": li_id, "applied": said, "edit": null}));
    let card = zhang.get(&format!("/users/{li_id}")).await.expect(200);
    assert_eq!((&card["name"], &card["email"]), (&json!("李四"), &json!("lisi@corp.example")));
    let profile = &card["profile"];
    for attribute in ["signature", "sex", "birth_year", "region", "tags"] {
        assert_eq!(profile[attribute], said[attribute], "{attribute}");
    }
    assert!(profile["last_seen_at"].is_string(), "{profile}");
    li.patch("/users/me", json!({"signature": null, "tags": null})).await.expect(200);
    let profile = li.get("/users/me").await.expect(200)["profile"].clone();
    assert_eq!(
        (&profile["signature"], &profile["tags"], &profile["sex"]),
        (&Value::Null, &json!([]), &json!("female"))
    );

    for (edit, pointer) in [
        (json!({"signature": "x".repeat(201)}), "/signature"),
        (json!({"birth_year": 1800}), "/birth_year"),
        (json!({"nonsense": 1}), "/nonsense"),
        (json!({}), ""),
        // Nothing is half done.
        (json!({"sex": "male", "name": ""}), "/name"),
    ] {
        let problem = li.patch("/users/me", edit.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{edit}");
    }
    for own in ["active", "login_name", "employee_number", "manager", "department_ids"] {
        li.patch("/users/me", json!({own: null})).await.expect_problem(403, "forbidden");
    }
    assert_eq!(li.get("/users/me").await.expect(200)["profile"]["sex"], "female");
    zhang.patch(&format!("/users/{li_id}"), json!({"name": "x"})).await.expect_problem(403, "forbidden");
    assert_ne!(zhang_id, li_id);
}

#[tokio::test]
async fn an_application_without_an_account_edits_itself_as_far_as_the_setting_says() {
    let app = open().await;
    let root = administrator(&app).await;
    let desk = json!({"users": [{"user_id": "desk", "name": "Desk", "kind": "application"}]});
    root.post("/directory/changes", desk).await.expect(200);
    let wanted = json!({"name": "desk", "user_id": "desk", "roles": ["user"]});
    let made = root.post("/tokens", wanted).await.expect(201);
    let desk = stranger(&app).with_header("authorization", &format!("Bearer {}", text(&made["secret"])));
    let problem = desk.patch("/users/me", json!({"name": "The boss"})).await.expect_problem(403, "forbidden");
    assert_eq!(problem["pointer"], "/name");
    assert!(text(&problem["detail"]).contains("directory.editable"), "{problem}");
    assert_eq!(desk.get("/users/me").await.expect(200)["name"], "Desk");
}

#[tokio::test]
async fn people_are_found_by_region_and_tag_where_the_setting_says_so() {
    let mut app = open().await;
    for (username, region, tags) in [
        ("lisi", "上海", json!(["围棋", "rust"])),
        ("wangwu", "上海", json!(["rust"])),
        ("zhaoliu", "北京", json!(["rust"])),
    ] {
        register(&app, username).await;
        let edit = json!({"region": region, "tags": tags});
        with(&app, &sign_in(&app, username).await).patch("/users/me", edit).await.expect(200);
    }
    let me = with(&app, &sign_in(&app, "lisi").await);
    let problem = me.get("/users?tag=rust").await.expect_problem(403, "forbidden");
    assert!(text(&problem["detail"]).contains("account_search"), "{problem}");
    app.set("account_search", "[\"region\", \"tags\"]");
    app.halt().await;
    app.run().await;
    let me = with(&app, &sign_in(&app, "lisi").await);
    let found = async |query: &str| {
        let items = app.all(&me, &format!("/users?{query}")).await;
        items.iter().map(|one| text(&one["name"])).collect::<Vec<_>>()
    };
    assert_eq!(found("tag=rust").await, ["LISI", "WANGWU", "ZHAOLIU"]);
    assert_eq!(found("region=上海").await, ["LISI", "WANGWU"]);
    assert_eq!(found("region=上海&tag=围棋").await, ["LISI"]);
    assert_eq!(found("tag=Rust").await, [""; 0]);
    let first = me.get("/users?tag=rust&limit=2").await.expect(200);
    let rest = format!("/users?tag=rust&limit=2&cursor={}", text(&first["next_cursor"]));
    assert_eq!(me.get(&rest).await.expect(200)["items"][0]["name"], "ZHAOLIU");
    me.get("/users?tag=rust&q=li").await.expect_problem(400, "invalid-parameter");

    // Tags that go are no longer found, and what a cancelled account said is gone.
    me.patch("/users/me", json!({"tags": ["围棋", "围棋", "go"]})).await.expect(200);
    me.patch("/users/me", json!({"signature": "忙"})).await.expect(200);
    assert_eq!(found("tag=rust").await, ["WANGWU", "ZHAOLIU"]);
    assert_eq!(
        (found("tag=go").await, found("tag=围棋").await),
        (vec!["LISI".to_owned()], vec!["LISI".to_owned()])
    );
    let both = tokio::join!(
        me.patch("/users/me", json!({"tags": ["a", "b"]})),
        me.patch("/users/me", json!({"tags": ["b", "c"]}))
    );
    assert_eq!((both.0.status, both.1.status), (200, 200));
    let differ = "SELECT count(*) FROM (SELECT user_id, unnest(tags) AS tag FROM t_im_account) a \
                  FULL JOIN t_im_account_tag t USING (user_id, tag) WHERE a.tag IS NULL OR t.tag IS NULL";
    assert_eq!(app.count(differ, &[]).await, 0);
    cancel(&me, PASSWORD).await.expect(204);
    assert_eq!(app.count("SELECT count(*) FROM t_im_account_tag", &[]).await, 2);
}

#[tokio::test]
async fn in_other_modes_the_calls_name_the_setting_that_turns_them_on_and_users_of_such_names_have_cards() {
    let app = TestApp::start().await;
    app.people(&["a", "login", "register"]).await;
    let (a, root) = (app.person("a"), app.client("root", &["admin"]));
    let credentials = json!({"username": "a", "password": PASSWORD});
    let new = json!({"username": "ab", "password": PASSWORD, "name": "A"});
    let token = json!({"refresh_token": "imrt_x"});
    let answers = [
        stranger(&app).post("/users/login", credentials).await,
        stranger(&app).post("/users/register", new).await,
        stranger(&app).post("/users/refresh", token.clone()).await,
        stranger(&app).post("/users/logout", token).await,
        Client::anonymous(&app.base).get("/.well-known/jwks.json").await,
        a.get("/users/me/sessions").await,
        cancel(&a, PASSWORD).await,
        root.get("/accounts").await,
        root.post("/invitations", json!({})).await,
    ];
    for answer in answers {
        let problem = answer.expect_problem(404, "accounts-off");
        assert!(text(&problem["detail"]).contains("identity_mode"), "{problem}");
    }
    assert_eq!(a.get("/users/login").await.expect(200)["name"], "LOGIN");
    let edited = root.patch("/users/register", json!({"phone": "102"})).await.expect(200);
    assert_eq!(edited["user_id"], "register");
    assert!(a.get("/users/me").await.expect(200).get("profile").is_none(), "cards are as they were");
    assert_eq!(app.count("SELECT count(*) FROM t_im_account_key", &[]).await, 0);
}
