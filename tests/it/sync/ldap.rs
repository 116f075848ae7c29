//! People of an LDAP server: they come in as they are there, in each way that servers tell of them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{TestApp, text};
use crate::support::Client;
use crate::support::slapd::{Slapd, Sync, TOP};

/// A company: two departments below each other and one beside them, and its people.
struct Company {
    slapd: Slapd,
    zs: String,
    mw: String,
    qa: String,
    ops: String,
}

async fn found(sync: Sync) -> Company {
    let mut slapd = Slapd::start(sync).await;
    slapd.department("ou=研发部").await;
    let qa = slapd.department("ou=测试组,ou=研发部").await;
    let ops = slapd.department("ou=运维\\, 网络").await;
    let zs = [
        ("displayName", "张三"),
        ("employeeNumber", "77"),
        ("title", "engineer"),
        ("mail", "zs@corp.example"),
    ];
    let zs = slapd.hire("zs", "Zhang San", "ou=研发部", &zs).await;
    let mw = slapd
        .hire("mw", "Maria Weber", "ou=测试组,ou=研发部", &[("manager", &zs), ("mobile", "+49 1")])
        .await;
    slapd.hire("boss", "Boss", "", &[("manager", "uid=nobody,dc=elsewhere")]).await;
    slapd.hire("temp", "Temp", "", &[]).await;
    Company { slapd, zs, mw, qa, ops }
}

async fn company(sync: Sync, settings: &str) -> (Company, TestApp) {
    let company = found(sync).await;
    let app = TestApp::start_with(&format!("{}{settings}", company.slapd.settings())).await;
    let done = run(&app, "incremental").await;
    assert_eq!(
        (&done["mode"], &done["state"], &done["problems"]),
        (&json!("full"), &json!("done"), &json!(0))
    );
    (company, app)
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["directory"])
}

async fn run(app: &TestApp, mode: &str) -> Value {
    let asked = desk(app).post("/directory/sync", json!({"mode": mode})).await.expect(202);
    let run_id = text(&asked["run_id"]);
    let ended = "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND (ended_at IS NOT NULL OR state = 'held')";
    app.until_with(ended, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

/// Somebody by login name, with their departments and manager by name.
async fn person(app: &TestApp, login_name: &str) -> Value {
    let sql = "SELECT jsonb_build_object('name', u.name, 'active', u.active, 'title', u.title, 'email', u.email, \
               'phone', u.phone, 'employee_number', u.employee_number, \
               'manager', (SELECT m.login_name FROM t_im_user m WHERE m.source = u.source AND m.external_id = u.manager), \
               'works_in', ARRAY(SELECT d.name FROM t_im_department_user JOIN t_im_department d USING (department_id) \
                                 WHERE user_id = u.user_id ORDER BY 1)) FROM t_im_user u WHERE login_name = $1";
    app.sql().await.query_one(sql, &[&login_name]).await.expect("somebody").get(0)
}

/// Who is active, by login name.
async fn active(app: &TestApp) -> Vec<String> {
    let sql = "SELECT coalesce(array_agg(login_name ORDER BY login_name), '{}') FROM t_im_user WHERE active AND source = 'ldap'";
    app.sql().await.query_one(sql, &[]).await.expect("a list").get(0)
}

/// The departments, each below which.
async fn tree(app: &TestApp) -> Vec<String> {
    let sql = "SELECT coalesce(array_agg(coalesce(p.name || ' > ', '') || d.name ORDER BY d.name), '{}') \
               FROM t_im_department d LEFT JOIN t_im_department p ON p.department_id = d.parent_id \
               WHERE d.removed_at IS NULL AND d.source = 'ldap'";
    app.sql().await.query_one(sql, &[]).await.expect("a list").get(0)
}

/// Joiners, renames, movers and leavers, as a server tells of them in this way; `told`: how many of a run's
/// records are staged after the changes.
async fn follow(sync: Sync, told: i64) {
    let (mut company, app) = company(sync, "directory.guard_share = 1.0\n").await;
    assert_eq!(
        person(&app, "zs").await,
        json!({"name": "张三", "active": true, "title": "engineer", "email": "zs@corp.example", "phone": null,
               "employee_number": "77", "manager": null, "works_in": ["研发部"]})
    );
    let maria = person(&app, "mw").await;
    assert_eq!(
        (&maria["name"], &maria["manager"], &maria["phone"], &maria["works_in"]),
        (&json!("Maria Weber"), &json!("zs"), &json!("+49 1"), &json!(["测试组"]))
    );
    assert_eq!(person(&app, "boss").await["works_in"], json!([]), "the base is no department");
    assert_eq!(tree(&app).await, ["研发部 > 测试组", "研发部", "运维, 网络"]);
    let quiet = run(&app, "incremental").await;
    assert_eq!(quiet["staged"], if matches!(sync, Sync::Log | Sync::Present) { 0 } else { 7 }, "{quiet}");

    let slapd = &mut company.slapd;
    slapd.hire("ls", "李四", "ou=测试组,ou=研发部", &[]).await;
    slapd.set(&company.zs, "displayName", "张三丰").await;
    slapd.rename(&company.mw, "uid=maria", Some(&company.ops)).await;
    slapd.remove(&format!("uid=boss,ou=people,{TOP}")).await;
    // Out of what is searched is out.
    slapd
        .rename(&format!("uid=temp,ou=people,{TOP}"), "uid=temp", Some(&format!("ou=departments,{TOP}")))
        .await;
    slapd.rename(&company.qa, "ou=质量部", Some(&company.ops)).await;
    let done = run(&app, "incremental").await;
    assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(0)), "{done}");
    assert_eq!(done["staged"], told, "{done}");
    assert_eq!(active(&app).await, ["ls", "maria", "zs"]);
    assert_eq!(person(&app, "zs").await["name"], "张三丰");
    assert_eq!(person(&app, "maria").await["works_in"], json!(["运维, 网络"]));
    assert_eq!(person(&app, "ls").await["works_in"], json!(["质量部"]));
    assert_eq!(tree(&app).await, ["研发部", "运维, 网络 > 质量部", "运维, 网络"]);
    let gone = "SELECT count(*) FROM t_im_user WHERE deleted_at IS NOT NULL AND name = 'Boss'";
    assert_eq!(app.count(gone, &[]).await, 1, "a leaver keeps the name");

    // Whoever comes back is back.
    let away = format!("uid=temp,ou=departments,{TOP}");
    company.slapd.rename(&away, "uid=temp", Some(&format!("ou=people,{TOP}"))).await;
    run(&app, "incremental").await;
    assert_eq!(active(&app).await, ["ls", "maria", "temp", "zs"]);
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE deleted_at IS NOT NULL", &[]).await, 1);

    // Whom a trigger names is read alone, however the id is written; of the two, one is no more.
    let ids: Vec<String> = ids(&app, &["maria", "zs"]).await.iter().map(|id| id.to_uppercase()).collect();
    company.slapd.set(&company.zs, "title", "architect").await;
    company.slapd.remove(&format!("uid=maria,{}", company.ops)).await;
    desk(&app).post("/directory/changes", json!({"user_ids": ids})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_user WHERE title = 'architect'", 1).await;
    app.until("SELECT count(*) FROM t_im_user WHERE login_name = 'maria' AND deleted_at IS NOT NULL", 1)
        .await;
    assert_eq!(person(&app, "zs").await["works_in"], json!(["研发部"]));
    let counts = run(&app, "full").await["counts"].clone();
    assert_eq!(counts["users"], json!({"same": 3}), "a full run finds the same: {counts}");
}

async fn ids(app: &TestApp, login_names: &[&str]) -> Vec<String> {
    let sql = "SELECT array_agg(external_id) FROM t_im_user WHERE login_name = ANY ($1)";
    app.sql().await.query_one(sql, &[&login_names]).await.expect("ids").get(0)
}

#[tokio::test]
async fn changes_come_from_a_server_that_remembers_them() {
    // A joiner, a rename, a mover, two leavers, and a department.
    follow(Sync::Log, 6).await;
}

#[tokio::test]
async fn changes_come_from_a_server_that_names_who_is_still_there() {
    follow(Sync::Present, 6).await;
}

#[tokio::test]
async fn changes_come_from_a_server_that_only_lists() {
    // Everybody and every department there is by then, and the leavers.
    follow(Sync::Never, 8).await;
}

#[tokio::test]
async fn changes_come_from_a_server_that_synchronizes_something_else() {
    follow(Sync::Elsewhere, 8).await;
}

#[tokio::test]
async fn only_a_server_that_synchronizes_gives_a_token() {
    for (sync, tokens) in [(Sync::Log, 1), (Sync::Never, 0)] {
        let (_company, app) = company(sync, "directory.page_size = 1\n").await;
        let kept = "SELECT count(*) FROM t_im_directory_source WHERE source = 'ldap' AND token IS NOT NULL";
        assert_eq!(app.count(kept, &[]).await, tokens, "{sync:?}");
        assert_eq!(active(&app).await.len(), 4, "page by page");
    }
}

/// Has the cookies of the last run be of another day.
async fn move_cookies(app: &TestApp, day: &str) {
    let sql = "UPDATE t_im_directory_source SET token = (SELECT jsonb_object_agg(key, CASE key WHEN 'shape' THEN value ELSE \
               to_jsonb(translate(encode(convert_to(regexp_replace(convert_from(decode(value #>> '{}', 'base64'), 'UTF8'), \
               'csn=[0-9]{8}', 'csn=' || $1), 'UTF8'), 'base64'), E'\\n', '')) END)::text FROM jsonb_each(token::jsonb))";
    app.sql().await.execute(sql, &[&day]).await.expect("cookies of another day");
}

#[tokio::test]
async fn a_cookie_that_leads_nowhere_asks_for_everybody() {
    let (mut company, mut app) = company(Sync::Log, "directory.guard_share = 1.0\n").await;
    // The server's data were set back: what it hears of is newer than all it knows.
    move_cookies(&app, "21000101").await;
    company.slapd.hire("new", "New", "", &[]).await;
    let done = run(&app, "incremental").await;
    assert_eq!((&done["mode"], &done["state"]), (&json!("full"), &json!("done")), "{done}");
    assert_eq!(active(&app).await, ["boss", "mw", "new", "temp", "zs"]);

    // It remembers nothing from so long ago, and says so.
    move_cookies(&app, "20000101").await;
    company.slapd.remove(&company.mw).await;
    assert_eq!(run(&app, "incremental").await["mode"], "full");
    assert_eq!(active(&app).await, ["boss", "new", "temp", "zs"]);

    // What was asked for by other settings tells nothing of what these ask for.
    app.halt().await;
    app.set("directory.user_fields", "{ name = \"/sn/0\" }");
    app.run().await;
    assert_eq!(run(&app, "incremental").await["mode"], "full");
    assert_eq!(person(&app, "zs").await["name"], "Zhang San");
}

#[tokio::test]
async fn nobody_leaves_with_a_server_that_dies_or_lists_nobody() {
    // Page by page, so that it cannot have sent everything when it dies.
    let (mut company, app) = company(Sync::Never, "directory.page_size = 5\n").await;
    hire_many(&mut company.slapd).await;
    let asked = desk(&app).post("/directory/sync", json!({"mode": "full"})).await.expect(202);
    let run_id = text(&asked["run_id"]);
    let begun = "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND staged > 0";
    app.until_with(begun, &[&run_id], 1).await;
    company.slapd.kill();
    let ended =
        "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND ended_at IS NOT NULL";
    app.until_with(ended, &[&run_id], 1).await;
    let failed = desk(&app).get(&format!("/directory/runs/{run_id}")).await.expect(200);
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(active(&app).await, ["boss", "mw", "temp", "zs"], "nothing is half applied");

    company.slapd.run().await;
    assert_eq!(run(&app, "incremental").await["state"], "done");
    assert_eq!(active(&app).await.len(), 4 + MANY);
    company.slapd.empty().await;
    let held = run(&app, "full").await;
    assert_eq!(held["state"], "held", "{held}");
    assert_eq!(active(&app).await.len(), 4 + MANY);
}

const MANY: usize = 300;

async fn hire_many(slapd: &mut Slapd) {
    for n in 0..MANY {
        slapd.hire(&format!("p{n}"), "Somebody", "", &[]).await;
    }
}

#[tokio::test]
async fn a_synchronization_that_is_cut_off_counts_for_nothing() {
    let (mut company, mut app) = company(Sync::Present, "").await;
    hire_many(&mut company.slapd).await;
    // Of each connection's answers this much comes through: enough for the departments, and for some people.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (relay, server) = (listener.local_addr().expect("an address"), company.slapd.host());
    let target = server.clone();
    let relaying = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("somebody");
            let mut upstream = TcpStream::connect(&target).await.expect("the server");
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.split();
                let (from_server, mut to_server) = upstream.split();
                let mut some = from_server.take(20_000);
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    _ = tokio::io::copy(&mut some, &mut to_client) => {}
                }
            });
        }
    });
    let settings = |host: &str| company.slapd.settings().replace(&server, host);
    app.halt().await;
    for line in settings(&relay.to_string()).lines().filter(|line| line.contains("_url")) {
        let (key, value) = line.split_once(" = ").expect("a setting");
        app.set(key, value);
    }
    app.run().await;
    let failed = run(&app, "full").await;
    assert_eq!(
        (&failed["state"], &failed["detail"]),
        (&json!("failed"), &json!("the connection ended")),
        "{failed}"
    );
    assert_eq!(active(&app).await, ["boss", "mw", "temp", "zs"]);
    relaying.abort();
}

#[tokio::test]
async fn what_the_server_owns_is_changed_there_and_the_rest_here() {
    let (_company, app) = company(Sync::Log, "directory.user_fields = { phone = \"\" }\n").await;
    let id = &ids(&app, &["zs"]).await[0];
    let edit = async |changes: Value| desk(&app).patch(&format!("/users/{id}"), changes).await;
    assert_eq!(edit(json!({"title": "chief"})).await.expect_problem(409, "conflict")["pointer"], "/title");
    edit(json!({"phone": "102"})).await.expect(200);
    run(&app, "full").await;
    let zs = person(&app, "zs").await;
    assert_eq!((&zs["title"], &zs["phone"]), (&json!("engineer"), &json!("102")));
}

#[tokio::test]
async fn one_bad_entry_is_kept_with_its_reason() {
    let (mut company, app) = company(Sync::Present, "").await;
    company.slapd.hire("bad", "Bad", "", &[("title", &"x".repeat(300))]).await;
    company.slapd.hire("good", "Good", "", &[]).await;
    let done = run(&app, "incremental").await;
    assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(1)), "{done}");
    assert_eq!(active(&app).await, ["boss", "good", "mw", "temp", "zs"]);
    let path = format!("/directory/runs/{}/problems", text(&done["run_id"]));
    let problems = desk(&app).get(&path).await.expect(200);
    assert!(text(&problems["items"][0]["detail"]).starts_with("title: "), "{problems}");
    // It does not leave either, for being bad.
    company.slapd.set(&format!("uid=good,ou=people,{TOP}"), "title", &"x".repeat(300)).await;
    run(&app, "incremental").await;
    assert_eq!(active(&app).await, ["boss", "good", "mw", "temp", "zs"]);
}

#[tokio::test]
async fn a_limit_of_the_server_is_no_end_of_a_listing() {
    let mut slapd = Slapd::start_with(Sync::Log, "limits anonymous size=2\naccess to * by * read").await;
    for name in ["a", "b", "c"] {
        slapd.hire(name, name, "", &[]).await;
    }
    let anonymous: String = slapd
        .settings()
        .lines()
        .filter(|line| !line.contains("bind"))
        .map(|line| format!("{line}\n"))
        .collect();
    let app = TestApp::start_with(&anonymous).await;
    let failed = run(&app, "full").await;
    let detail = "the server answers a synchronization with result code 4";
    assert_eq!((&failed["state"], &failed["detail"]), (&json!("failed"), &json!(detail)), "{failed}");
    assert_eq!(active(&app).await.len(), 0);
}

#[tokio::test]
async fn groups_may_be_the_departments() {
    let mut company = found(Sync::Log).await;
    let group = format!("cn=board,ou=departments,{TOP}");
    company.slapd.add(&group, &[("objectClass", "groupOfNames"), ("member", &company.zs)]).await;
    // seeAlso stands for memberOf, which slapd makes up by an overlay of its own.
    company.slapd.set(&company.zs, "seeAlso", &group).await;
    let people = company.slapd.settings();
    let settings: String = people
        .lines()
        .map(|line| match line.starts_with("directory.departments_url") {
            true => format!(
                "{}\n",
                line.replace("ou=people", "ou=departments")
                    .replace("(objectClass=organizationalUnit)", "objectClass=groupOfNames")
            ),
            false => format!("{line}\n"),
        })
        .collect();
    let fields = "directory.user_fields = { department_ids = \"/seeAlso/*\" }\n";
    let app = TestApp::start_with(&format!("{settings}{fields}")).await;
    assert_eq!(run(&app, "full").await["state"], "done");
    assert_eq!(tree(&app).await, ["board"]);
    assert_eq!(person(&app, "zs").await["works_in"], json!(["board"]));
    assert_eq!(person(&app, "mw").await["works_in"], json!([]));
    // A trigger finds one of them too.
    let board: String = {
        let sql = "SELECT department_id FROM t_im_department WHERE name = 'board'";
        app.sql().await.query_one(sql, &[]).await.expect("the board").get(0)
    };
    company.slapd.rename(&group, "cn=council", None).await;
    desk(&app).post("/directory/changes", json!({"department_ids": [board]})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_department WHERE name = 'council'", 1).await;
}

#[tokio::test]
async fn without_departments_people_alone_are_read() {
    let mut company = found(Sync::Log).await;
    let settings = company.slapd.settings();
    let people = settings.lines().filter(|line| !line.contains("departments_url"));
    let app = TestApp::start_with(&people.map(|line| format!("{line}\n")).collect::<String>()).await;
    assert_eq!(run(&app, "full").await["state"], "done");
    let id = &ids(&app, &["zs"]).await[0];
    company.slapd.set(&company.zs, "title", "architect").await;
    let named = json!({"user_ids": [id], "department_ids": [id]});
    desk(&app).post("/directory/changes", named).await.expect(200);
    app.until("SELECT count(*) FROM t_im_user WHERE title = 'architect'", 1).await;
    assert_eq!(active(&app).await, ["boss", "mw", "temp", "zs"]);
    assert_eq!(app.count("SELECT count(*) FROM t_im_department", &[]).await, 0);
}

#[tokio::test]
async fn an_encrypted_connection_is_verified() {
    let company = found(Sync::Log).await;
    let certificate = company.slapd.certificate.clone().expect("a certificate");
    let trusted = format!("directory.ca_file = \"{}\"\n", certificate.display());
    for (settings, state) in [
        (format!("{}{trusted}", company.slapd.encrypted_settings()), "done"),
        (format!("{}{trusted}directory.starttls = true\n", company.slapd.settings()), "done"),
        (company.slapd.encrypted_settings(), "failed"),
        (format!("{}directory.starttls = true\n", company.slapd.settings()), "failed"),
    ] {
        let app = TestApp::start_with(&settings).await;
        let ended = run(&app, "full").await;
        assert_eq!(ended["state"], state, "{ended}");
        assert_eq!(active(&app).await.len(), if state == "done" { 4 } else { 0 });
        if state == "failed" {
            assert_eq!(ended["detail"], "the server's certificate is not trusted");
        }
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_without_a_secret() {
    let company = found(Sync::Log).await;
    let settings = company.slapd.settings().replace("bind_password = \"", "bind_password = \"not ");
    let app = TestApp::start_with(&settings).await;
    let failed = run(&app, "full").await;
    let detail = "the server answers the bind with result code 49";
    assert_eq!((&failed["state"], &failed["detail"]), (&json!("failed"), &json!(detail)));
}

#[tokio::test]
async fn a_server_that_talks_nonsense_fails_a_run_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        // Answers to the first message, the bind: well formed, and of an operation that there is not; no LDAP
        // at all; and nothing.
        let answers: [&[u8]; 3] =
            [&[0x30, 0x06, 0x02, 0x01, 0x01, 0x7e, 0x01, 0x00], b"HTTP/1.1 400 Bad Request\r\n\r\n", b""];
        for answer in answers.iter().cycle() {
            let (mut socket, _) = listener.accept().await.expect("somebody");
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    let settings = format!(
        "directory.source = \"ldap\"\ndirectory.users_url = \"ldap://{address}/{TOP}\"\ndirectory.bind_dn = \"cn=a\"\n\
         directory.bind_password = \"b\"\ndirectory.schedule = \"\"\ndirectory.full_schedule = \"\"\ndirectory.timeout_ms = 500\n"
    );
    let app = TestApp::start_with(&settings).await;
    for _ in 0..3 {
        assert_eq!(run(&app, "full").await["state"], "failed");
    }
    serving.abort();
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let base = "directory.source = \"ldap\"\ndirectory.users_url = \"ldap://127.0.0.1/dc=a\"\n";
    for (settings, word) in [
        (
            "directory.source = \"ldap\"\ndirectory.users_url = \"https://127.0.0.1/\"\n".to_owned(),
            "users_url",
        ),
        (format!("{base}directory.bind_dn = \"cn=a\"\n"), "bind_password"),
        (format!("{base}directory.write_url = \"https://127.0.0.1/{{id}}\"\n"), "write_url"),
        (base.replace("ldap:", "ldaps:") + "directory.starttls = true\n", "starttls"),
    ] {
        let refused = im_push_gateway::base::config::Config::from_toml(&format!(
            "database_url = \"postgres://localhost/a\"\ntrusted_peers = [\"127.0.0.1\"]\n{settings}"
        ));
        let why = refused.expect_err("refused").to_string();
        assert!(why.contains(word), "{why}");
    }
}

#[tokio::test]
async fn values_in_another_order_are_no_change() {
    for sync in [Sync::Log, Sync::Never] {
        let mut company = found(sync).await;
        let slapd = &mut company.slapd;
        let many = ["c@corp.example", "a@corp.example", "b@corp.example"];
        for attribute in ["mail", "title"] {
            slapd.set_all(&company.zs, attribute, &many).await;
        }
        let app = TestApp::start_with(&slapd.settings()).await;
        run(&app, "full").await;
        assert_eq!(person(&app, "zs").await["email"], "a@corp.example", "the smallest");
        for turn in 0..many.len() {
            let mut turned = many;
            turned.rotate_left(turn);
            for attribute in ["mail", "title"] {
                company.slapd.set_all(&company.zs, attribute, &turned).await;
            }
            let done = run(&app, "full").await;
            assert_eq!(done["counts"]["users"], json!({"same": 4}), "{done}");
        }
    }
}
