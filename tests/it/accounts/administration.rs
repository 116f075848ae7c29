//! What administrators do about accounts, over the API and on the server.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::*;
use crate::support::shared;

#[tokio::test]
async fn a_suspended_user_is_out_at_once_stays_in_the_directory_and_is_told_why() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let path = format!("/accounts/{li}/suspension");
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "垃圾信息"});
    let shown = root.put(&path, until.clone()).await.expect(200);
    assert_eq!(shown["suspension"], json!({"until": "2999-01-01T00:00:00Z", "reason": "垃圾信息"}));
    with(&app, &grant).get("/users/me").await.expect_problem(401, "unauthenticated");
    refresh(&app, &grant).await.expect_problem(401, "unauthenticated");
    let problem = login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(403, "account-suspended");
    assert!(text(&problem["detail"]).contains("垃圾信息"), "{problem}");
    login(&stranger(&app), "lisi", "a wrong guess").await.expect_problem(401, "wrong-credentials");
    assert_eq!(root.get(&format!("/users/{li}")).await.expect(200)["active"], true, "not a leaver");
    root.delete(&path).await.expect(204);
    root.delete(&path).await.expect(204);
    sign_in(&app, "lisi").await;
    // A suspension that is over is none.
    root.put(&path, until.clone()).await.expect(200);
    let over = "UPDATE t_im_account SET suspended_until = now() - interval '1 second' WHERE suspended_until IS NOT NULL";
    app.sql().await.batch_execute(over).await.unwrap();
    sign_in(&app, "lisi").await;

    for (field, value) in
        [("until", json!("2001-01-01T00:00:00Z")), ("until", json!("soon")), ("reason", json!(""))]
    {
        let mut wrong = until.clone();
        wrong[field] = value;
        let problem = root.put(&path, wrong).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], format!("/{field}"));
    }
    root.put("/accounts/nobody/suspension", until.clone()).await.expect_problem(404, "not-found");
    let boss = text(&root.get("/users/me").await.expect(200)["user_id"]);
    root.put(&format!("/accounts/{boss}/suspension"), until).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn roles_count_from_the_next_request_on_and_nobody_gives_them_to_themselves() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let me = with(&app, &sign_in(&app, "lisi").await);
    let path = format!("/accounts/{li}/roles");
    me.put(&path, json!({"roles": ["admin"]})).await.expect_problem(403, "forbidden");
    me.get("/support/channels?q=x&reason=why").await.expect_problem(403, "forbidden");
    assert_eq!(root.put(&path, json!({"roles": ["support"]})).await.expect(200)["roles"], json!(["support"]));
    me.get("/support/channels?q=x&reason=why").await.expect(200);
    me.get("/accounts").await.expect_problem(403, "forbidden");
    root.put(&path, json!({"roles": ["admin"]})).await.expect(200);
    let listed = me.get("/accounts?limit=1").await.expect(200);
    assert_eq!(listed["items"][0]["username"], "boss");
    let rest =
        me.get(&format!("/accounts?limit=1&cursor={}", text(&listed["next_cursor"]))).await.expect(200);
    assert_eq!(rest["items"][0]["user_id"], li);
    me.put(&path, json!({"roles": []})).await.expect_problem(409, "conflict");
    root.put(&path, json!({"roles": []})).await.expect(200);
    me.get("/accounts").await.expect_problem(403, "forbidden");
    for roles in [json!(["gateway"]), json!(["user"]), json!(["root"]), json!(["admin", "admin"])] {
        root.put(&path, json!({"roles": roles})).await.expect_problem(422, "invalid-field");
    }
    let audit = root.get("/audit").await.expect(200);
    let actions: Vec<&Value> =
        audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions.iter().filter(|action| **action == "account-roles").count(), 3, "{actions:?}");
    assert!(actions.contains(&&json!("account-created")), "{actions:?}");
}

#[tokio::test]
async fn an_administrator_who_has_left_is_refused_at_once_also_by_the_console_and_on_a_stream() {
    let app = open_with("stream_heartbeat_ms = 50").await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    root.put(&format!("/accounts/{li}/roles"), json!({"roles": ["admin", "support"]})).await.expect(200);
    let grant = sign_in(&app, "lisi").await;
    let me = with(&app, &grant);
    let bearer = format!("Bearer {}", text(&grant["access_token"]));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = async || {
        let request = http.get(format!("{}/console/home", app.base)).header("authorization", &bearer);
        request.send().await.expect("an answer").status().as_u16()
    };
    me.get("/accounts").await.expect(200);
    assert_eq!(page().await, 200);
    let mut stream = me.listen(None).await;

    let leaves = json!({"users": [{"user_id": li, "name": "LISI", "active": false}]});
    assert_eq!(root.post("/directory/changes", leaves).await.expect(200)["users"]["applied"], 1);
    me.get("/accounts").await.expect_problem(401, "unauthenticated");
    me.get("/support/channels?q=x&reason=why").await.expect_problem(401, "unauthenticated");
    assert_eq!(page().await, 401);
    while stream.next().await.is_some() {}
    refresh(&app, &grant).await.expect_problem(401, "unauthenticated");
    login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(401, "wrong-credentials");
}

#[tokio::test]
async fn the_last_administrator_who_can_sign_in_stays() {
    let app = open().await;
    let root = administrator(&app).await;
    let boss = text(&root.get("/users/me").await.expect(200)["user_id"]);
    let problem = cancel(&root, PASSWORD).await.expect_problem(409, "conflict");
    assert!(text(&problem["detail"]).contains("last administrator"), "{problem}");
    let li = register(&app, "lisi").await;
    let roles = |id: &str| format!("/accounts/{id}/roles");
    root.put(&roles(&li), json!({"roles": ["admin"]})).await.expect(200);
    // One who is suspended cannot give the role to another.
    let suspension = format!("/accounts/{li}/suspension");
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "away"});
    root.put(&suspension, until).await.expect(200);
    cancel(&root, PASSWORD).await.expect_problem(409, "conflict");
    root.delete(&suspension).await.expect(204);
    // An application with the role has no account, and cannot leave the service without an administrator either.
    let made = root
        .post("/tokens", json!({"name": "tool", "user_id": "tool", "roles": ["admin"]}))
        .await
        .expect(201);
    let tool = stranger(&app).with_header("authorization", &format!("Bearer {}", text(&made["secret"])));
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "away"});
    tool.put(&suspension, until.clone()).await.expect(200);
    let boss_suspension = format!("/accounts/{boss}/suspension");
    let problem = tool.put(&boss_suspension, until).await.expect_problem(409, "conflict");
    assert!(text(&problem["detail"]).contains("last administrator"), "{problem}");
    tool.put(&roles(&boss), json!({"roles": []})).await.expect_problem(409, "conflict");
    root.delete(&suspension).await.expect(204);
    // Of two who take the role from each other at once, one keeps it. So it is when both cancel.
    let other = with(&app, &sign_in(&app, "lisi").await);
    let (li_path, boss_path) = (roles(&li), roles(&boss));
    let both =
        tokio::join!(root.put(&li_path, json!({"roles": []})), other.put(&boss_path, json!({"roles": []})));
    // The second is an administrator no longer, or is refused as it would leave none.
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert!(statuses[0] == 200 && [403, 409].contains(&statuses[1]), "{statuses:?}");
    let admins = "SELECT count(*) FROM t_im_account WHERE 'admin' = ANY (roles)";
    assert_eq!(app.count(admins, &[]).await, 1);
    let again = "UPDATE t_im_account SET roles = '{admin}'";
    app.sql().await.batch_execute(again).await.unwrap();
    let both = tokio::join!(cancel(&root, PASSWORD), cancel(&other, PASSWORD));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    assert_eq!(app.count(admins, &[]).await, 1);
}

#[tokio::test]
async fn a_one_time_code_sets_a_password_once() {
    let app = open().await;
    let root = administrator(&app).await;
    let li = register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let path = format!("/accounts/{li}/password-reset");
    with(&app, &grant).post(&path, json!(null)).await.expect_problem(403, "forbidden");
    let old = root.post(&path, json!(null)).await.expect(200);
    let code = root.post(&path, json!(null)).await.expect(200);
    let with_code = |code: &Value, username: &str, password: &str| json!({"username": username, "code": code, "password": password});
    let reset = async |body: Value| stranger(&app).post("/users/password-reset", body).await;
    reset(with_code(&old["code"], "lisi", "another horse")).await.expect_problem(401, "wrong-credentials");
    reset(with_code(&code["code"], "boss", "another horse")).await.expect_problem(401, "wrong-credentials");
    reset(with_code(&code["code"], "lisi", "short")).await.expect_problem(422, "invalid-field");
    with(&app, &grant).get("/users/me").await.expect(200);
    let both = tokio::join!(
        reset(with_code(&code["code"], "LISI", "another horse")),
        reset(with_code(&code["code"], "lisi", "another horse"))
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 401], "a code works once");
    with(&app, &grant).get("/users/me").await.expect_problem(401, "unauthenticated");
    login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(401, "wrong-credentials");
    login(&stranger(&app), "lisi", "another horse").await.expect(200);
    let late = root.post(&path, json!(null)).await.expect(200);
    let over =
        "UPDATE t_im_account SET reset_expires_at = now() - interval '1 second' WHERE reset_hash IS NOT NULL";
    app.sql().await.batch_execute(over).await.unwrap();
    reset(with_code(&late["code"], "lisi", "a third horse")).await.expect_problem(401, "wrong-credentials");
}

/// Runs a command on the server. Returns its lines.
async fn run(app: &TestApp, arguments: &[&str], input: &str) -> Result<Vec<String>, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_im-push-gateway"))
        .args(arguments)
        .env("IMPG_DATABASE_URL", shared().url(&app.database))
        .env("IMPG_IDENTITY_MODE", "accounts")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("an input");
    // A command that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    match output.status.success() {
        true => Ok(text(output.stdout).lines().map(str::to_owned).collect()),
        false => Err(text(output.stderr)),
    }
}

#[tokio::test]
async fn the_first_administrator_comes_from_the_server() {
    let app = open().await;
    let create =
        ["account", "create", "--admin", "--username", "Admin", "--name", "管理员", "--password-stdin"];
    let made = run(&app, &create, &format!("{PASSWORD}\n")).await.unwrap();
    assert!(made.len() == 1 && made[0].starts_with("Admin\t") && !made[0].contains(PASSWORD), "{made:?}");
    let root = with(&app, &sign_in(&app, "admin").await);
    assert_eq!(root.get("/accounts").await.expect(200)["items"][0]["roles"], json!(["admin"]));
    let again = run(&app, &create, &format!("{PASSWORD}\n")).await.unwrap_err();
    assert!(again.contains("username-taken"), "{again}");
    let weak = ["account", "create", "--username", "lisi", "--password-stdin"];
    let weak = run(&app, &weak, "password\n").await.unwrap_err();
    assert!(weak.contains("choose another one"), "{weak}");

    // Without a password, a one-time code.
    let made = run(&app, &["account", "create", "--username", "lisi"], "").await.unwrap();
    login(&stranger(&app), "lisi", "").await.expect_problem(401, "wrong-credentials");
    let new = json!({"username": "lisi", "code": made[1], "password": PASSWORD});
    stranger(&app).post("/users/password-reset", new).await.expect(204);
    sign_in(&app, "lisi").await;
    let code = run(&app, &["account", "reset-password", "LISI"], "").await.unwrap();
    let new = json!({"username": "lisi", "code": code[0], "password": "another horse"});
    stranger(&app).post("/users/password-reset", new).await.expect(204);
    login(&stranger(&app), "lisi", "another horse").await.expect(200);
    let missing = run(&app, &["account", "reset-password", "nobody"], "").await.unwrap_err();
    assert!(missing.contains("no such account"), "{missing}");
    run(&app, &["account", "rotate-key"], "").await.unwrap();
    assert!(app.count("SELECT count(*) FROM t_im_account_key", &[]).await >= 2);
}

#[tokio::test]
async fn check_warns_when_no_administrator_can_sign_in() {
    let app = open().await;
    let root = administrator(&app).await;
    let url = shared().url(&app.database);
    let findings = async || {
        let output = Command::new(env!("CARGO_BIN_EXE_im-push-gateway"))
            .args(["check", "--format", "json"])
            .env("IMPG_DATABASE_URL", &url)
            .env("IMPG_IDENTITY_MODE", "accounts")
            .env("IMPG_CALLBACK_URL", "none")
            .env("IMPG_CALLBACK_HOLD_DAYS", "0")
            .output()
            .await
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let well = findings().await;
    assert!(well.contains("administrators") && !well.contains("none can sign in"), "{well}");
    // The source of the directory says that the last one has left.
    let boss = text(&root.get("/users/me").await.expect(200)["user_id"]);
    let leaves = json!({"users": [{"user_id": boss, "name": "Boss", "active": false}]});
    root.post("/directory/changes", leaves).await.expect(200);
    let warned = findings().await;
    assert!(warned.contains("none can sign in"), "{warned}");
}
