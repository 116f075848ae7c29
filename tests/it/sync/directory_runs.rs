//! Runs: what an HR service tells comes in, in whatever state it is.

mod killed;
mod order;

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::{Client, Hr};

/// A company: three departments below each other, and its people.
fn found(hr: &Hr) {
    let mut books = hr.books();
    for (id, name, parent) in
        [("head", "总部", None), ("rd", "研发部", Some("head")), ("qa", "测试组", Some("rd"))]
    {
        books.put_department(json!({"id": id, "name": name, "parent_id": parent}));
    }
    for (id, name, department) in
        [("e1", "张三", "rd"), ("e2", "李四", "rd"), ("e3", "王五", "qa"), ("e4", "Maria", "head")]
    {
        books.put(json!({"id": id, "name": name, "active": true, "department_ids": [department],
                         "title": "engineer", "login_name": format!("{id}.login")}));
    }
}

async fn company() -> (Hr, TestApp) {
    company_with("").await
}

async fn company_with(settings: &str) -> (Hr, TestApp) {
    let hr = Hr::start().await;
    found(&hr);
    let app = TestApp::start_with(&format!("{}{settings}", hr.settings())).await;
    run(&app, json!({})).await;
    (hr, app)
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["directory"])
}

/// Asks for a run and waits until it has ended or is held.
async fn run(app: &TestApp, wanted: Value) -> Value {
    let asked = desk(app).post("/directory/sync", wanted).await.expect(202);
    ended(app, &text(&asked["run_id"])).await
}

async fn ended(app: &TestApp, run_id: &str) -> Value {
    let state = "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND (ended_at IS NOT NULL OR state = 'held')";
    app.until_with(state, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

/// Every call about runs, for whoever wants each answered once.
pub async fn exercise() {
    let (hr, app) = company().await;
    let root = app.client("root", &["admin"]);
    hr.books().empty = true;
    for word in ["cancel", "approve"] {
        let held = text(&run(&app, json!({})).await["run_id"]);
        root.get("/directory/runs").await.expect(200);
        for list in ["differences", "problems"] {
            root.get(&format!("/directory/runs/{held}/{list}")).await.expect(200);
        }
        root.post(&format!("/directory/runs/{held}/{word}"), json!({})).await.expect(200);
        ended_run(&app, &held).await;
    }
}

/// Waits until the newest run that a trigger asked for is through.
async fn told_of(app: &TestApp) {
    app.until("SELECT count(*) FROM t_im_directory_changed", 0).await;
    app.until("SELECT count(*) FROM t_im_directory_run WHERE ended_at IS NULL", 0).await;
}

async fn person(app: &TestApp, id: &str) -> (String, bool, Option<String>) {
    let sql = "SELECT name, active, department_id FROM t_im_user WHERE user_id = $1";
    let row = app.sql().await.query_one(sql, &[&id]).await.expect("somebody");
    (row.get(0), row.get(1), row.get(2))
}

fn is(name: &str, active: bool, department: &str) -> (String, bool, Option<String>) {
    (name.to_owned(), active, Some(department.to_owned()))
}

#[tokio::test]
async fn joiners_movers_leavers_and_renames_come_in() {
    let (hr, app) = company_with("directory.guard_share = 1.0").await;
    assert_eq!(person(&app, "e3").await, is("王五", true, "qa"));
    let below = "SELECT count(*) FROM t_im_department WHERE (department_id, parent_id) IN (('rd', 'head'), ('qa', 'rd'))";
    assert_eq!(app.count(below, &[]).await, 2);
    {
        let mut books = hr.books();
        books.put(json!({"id": "e5", "name": "New", "department_ids": ["qa", "rd"]}));
        books.set("e1", "department_ids", json!(["qa"]));
        books.set("e2", "name", json!("李四光"));
        books.set("e3", "active", json!(false));
        books.remove("e4");
        books.put_department(json!({"id": "ops", "name": "运维", "parent_id": "head"}));
        books.put_department(json!({"id": "qa", "name": "质量部", "parent_id": "ops"}));
    }
    let done = run(&app, json!({"mode": "incremental"})).await;
    assert_eq!((&done["mode"], &done["state"]), (&json!("incremental"), &json!("done")), "{done}");
    assert_eq!(done["staged"], 7, "only what has changed: {done}");
    let users = json!({"created": 1, "deactivated": 2, "updated": 2});
    assert_eq!(done["counts"], json!({"users": users, "departments": {"created": 1, "updated": 1}}));
    assert_eq!(person(&app, "e1").await, is("张三", true, "qa"));
    assert_eq!(person(&app, "e2").await, is("李四光", true, "rd"));
    assert_eq!(person(&app, "e3").await, is("王五", false, "qa"));
    assert!(!person(&app, "e4").await.1);
    let gone = "SELECT count(*) FROM t_im_user WHERE deleted_at IS NOT NULL";
    assert_eq!(app.count(gone, &[]).await, 1, "who is not active is still known");
    let works =
        "SELECT count(*) FROM t_im_department_user WHERE user_id = 'e5' AND department_id IN ('qa', 'rd')";
    assert_eq!(app.count(works, &[]).await, 2);
    let under = "SELECT count(*) FROM t_im_department WHERE department_id = 'qa' AND parent_id = 'ops' AND name = '质量部'";
    assert_eq!(app.count(under, &[]).await, 1);

    // A full run finds the same, and somebody who comes back.
    hr.books().put(json!({"id": "e4", "name": "Maria", "department_ids": ["head"]}));
    let done = run(&app, json!({})).await;
    assert_eq!(done["counts"]["users"], json!({"same": 4, "updated": 1}), "{done}");
    assert_eq!(person(&app, "e4").await, is("Maria", true, "head"));
    assert_eq!(app.count(gone, &[]).await, 0);
}

#[tokio::test]
async fn an_empty_answer_lets_nobody_go() {
    let (hr, app) = company().await;
    hr.books().empty = true;
    let held = run(&app, json!({})).await;
    assert_eq!(held["state"], "held", "{held}");
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE active AND source = 'http'", &[]).await, 4);
    // What it would do is shown, and a newer run takes its place.
    let path = format!("/directory/runs/{}/differences", text(&held["run_id"]));
    let shown = desk(&app).get(&path).await.expect(200);
    assert_eq!(shown["items"].as_array().expect("items").len(), 7);
    hr.books().empty = false;
    assert_eq!(run(&app, json!({})).await["state"], "done");
    let approve = format!("/directory/runs/{}/approve", text(&held["run_id"]));
    app.client("root", &["admin"]).post(&approve, json!({})).await.expect_problem(409, "conflict");
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE active AND source = 'http'", &[]).await, 4);
}

#[tokio::test]
async fn too_many_leavers_wait_for_an_admins_word() {
    let (hr, app) = company_with("directory.guard_share = 0.3").await;
    hr.books().remove("e1");
    assert_eq!(run(&app, json!({"mode": "incremental"})).await["state"], "done", "one of four always may");
    hr.books().remove("e2");
    hr.books().remove("e3");
    let held = run(&app, json!({"mode": "incremental"})).await;
    assert_eq!((&held["state"], &held["detail"]), (&json!("held"), &json!("2 of 3 people would leave")));
    assert_eq!(held["guard"], json!({"kind": "user", "leaving": 2, "known": 3}));
    assert!(person(&app, "e2").await.1);
    let approve = format!("/directory/runs/{}/approve", text(&held["run_id"]));
    desk(&app).post(&approve, json!({})).await.expect_problem(403, "forbidden");
    app.client("root", &["admin"]).post(&approve, json!({})).await.expect(200);
    let done = ended_run(&app, &text(&held["run_id"])).await;
    assert_eq!((&done["state"], &done["approved_by"]), (&json!("done"), &json!("root")));
    assert!(!person(&app, "e2").await.1 && !person(&app, "e3").await.1);
    // Held again, and cancelled: the token has not moved, so nothing is lost by it.
    hr.books().remove("e4");
    let held = run(&app, json!({})).await;
    assert_eq!(held["state"], "held", "{held}");
    let cancel = format!("/directory/runs/{}/cancel", text(&held["run_id"]));
    assert_eq!(app.client("root", &["admin"]).post(&cancel, json!({})).await.expect(200)["state"], "failed");
    assert_eq!(run(&app, json!({"mode": "incremental"})).await["state"], "done", "one may");
    assert!(!person(&app, "e4").await.1);
}

async fn ended_run(app: &TestApp, run_id: &str) -> Value {
    let ended =
        "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND ended_at IS NOT NULL";
    app.until_with(ended, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

#[tokio::test]
async fn a_dry_run_shows_and_changes_nothing() {
    let (hr, app) = company().await;
    hr.books().set("e1", "name", json!("张三丰"));
    hr.books().put(json!({"id": "e9", "name": "Nine"}));
    hr.books().remove("e2");
    let shown = run(&app, json!({"dry_run": true})).await;
    assert_eq!((&shown["state"], &shown["dry_run"]), (&json!("shown"), &json!(true)));
    let path = format!("/directory/runs/{}/differences?limit=2", text(&shown["run_id"]));
    let items = app.all(&desk(&app), &path).await;
    let seen: Vec<(&str, &str)> =
        items.iter().map(|d| (d["id"].as_str().unwrap(), d["action"].as_str().unwrap())).collect();
    assert_eq!(seen, [("e1", "updated"), ("e9", "created"), ("e2", "deactivated")]);
    assert_eq!(person(&app, "e1").await.0, "张三");
    let done = run(&app, json!({"mode": "incremental"})).await;
    assert_eq!(done["staged"], 3, "the token has not moved: {done}");
}

#[tokio::test]
async fn one_bad_record_among_many_is_kept_with_its_reason() {
    let hr = Hr::start().await;
    {
        let mut books = hr.books();
        for i in 0..10_000 {
            books.put(json!({"id": format!("p{i:05}"), "name": format!("n{i}")}));
        }
        books.put(json!({"id": "p05000", "name": null}));
        books.put(json!({"id": "p06000", "name": "x", "active": "perhaps"}));
    }
    let app = TestApp::start_with(&hr.settings()).await;
    let done = run(&app, json!({})).await;
    assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(2)), "{done}");
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE source = 'http'", &[]).await, 9_998);
    let path = format!("/directory/runs/{}/problems", text(&done["run_id"]));
    let problems = desk(&app).get(&path).await.expect(200);
    let told: Vec<(&str, &str)> = problems["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|p| (p["external_id"].as_str().unwrap(), p["detail"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [("p05000", "name: is missing"), ("p06000", "active: must be true or false, or yes or no")]
    );
    // Whose record is bad has not left.
    hr.books().set("p07000", "name", json!("\u{7}"));
    let done = run(&app, json!({})).await;
    assert_eq!((&done["counts"]["users"], &done["problems"]), (&json!({"same": 9_997}), &json!(3)));
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_user WHERE source = 'http' AND active", &[]).await,
        9_998
    );
    // An entry that names nobody may be anybody's: then nobody is taken to have left.
    hr.books().remove("p00001");
    hr.books().put_as("p00002", json!({"id": {"not": "an id"}, "name": "n2"}));
    let done = run(&app, json!({})).await;
    assert_eq!(done["detail"], "1 entries have no id, so missing records are kept", "{done}");
    assert!(person(&app, "p00001").await.1 && person(&app, "p00002").await.1);
}

#[tokio::test]
async fn a_token_that_has_expired_asks_for_everybody() {
    let (hr, app) = company().await;
    hr.books().expire_tokens();
    hr.books().remove("e4");
    let done = run(&app, json!({"mode": "incremental"})).await;
    assert_eq!((&done["mode"], &done["state"]), (&json!("full"), &json!("done")), "{done}");
    assert!(!person(&app, "e4").await.1);
}

#[tokio::test]
async fn a_source_that_dies_half_way_changes_nothing_until_it_is_back() {
    let (hr, app) = company_with("directory.page_size = 2").await;
    hr.books().remove("e4");
    hr.books().set("e1", "name", json!("张三丰"));
    hr.books().dies_after(3);
    let failed = run(&app, json!({})).await;
    assert_eq!((&failed["state"], &failed["detail"]), (&json!("failed"), &json!("the source answers 502")));
    assert_eq!(person(&app, "e1").await.0, "张三");
    hr.books().comes_back();
    assert_eq!(run(&app, json!({})).await["state"], "done");
    assert_eq!(person(&app, "e1").await.0, "张三丰");
    assert!(!person(&app, "e4").await.1);
}

#[tokio::test]
async fn whom_a_trigger_names_is_read_again_and_bursts_are_merged() {
    let (hr, app) = company().await;
    hr.books().set("e1", "name", json!("张三丰"));
    hr.books().remove("e4");
    hr.books().set("e2", "name", json!("nobody named them"));
    hr.books().put_department(json!({"id": "rd", "name": "R&D", "parent_id": "head"}));
    hr.books().asked.clear();
    let changes = json!({"user_ids": ["e1", "e4", "no-such"], "department_ids": ["rd"]});
    for _ in 0..20 {
        assert_eq!(desk(&app).post("/directory/changes", changes.clone()).await.expect(200)["named"], 4);
    }
    told_of(&app).await;
    assert_eq!(person(&app, "e1").await.0, "张三丰");
    assert_eq!(person(&app, "e2").await.0, "李四");
    assert!(!person(&app, "e4").await.1);
    assert_eq!(app.count("SELECT count(*) FROM t_im_department WHERE name = 'R&D'", &[]).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE user_id = 'no-such'", &[]).await, 0);
    let asked = hr.books().asked.iter().filter(|asked| *asked == "GET /people/e1").count();
    assert!(asked < 20, "twenty calls, {asked} reads");
}

#[tokio::test]
async fn somebody_elses_id_and_old_login_name_give_no_history() {
    let hr = Hr::start().await;
    found(&hr);
    let settings = format!("{}identity_names = \"login_name\"\n", hr.settings());
    let app = TestApp::start_with(&settings).await;
    run(&app, json!({})).await;
    // By their login names, which are not their ids.
    let channel =
        app.person("e1.login").post("/channels", json!({"type": "direct", "members": ["e2"]})).await;
    let channel = text(&channel.expect(201)["channel_id"]);
    app.say("e2.login", &channel, "for the old one").await;
    hr.books().remove("e1");
    hr.books().put(json!({"id": "e77", "name": "Another", "login_name": "E1.LOGIN"}));
    run(&app, json!({"mode": "incremental"})).await;
    let list = app.person("e1.login").get("/conversations").await.expect(200);
    assert_eq!(list["items"], json!([]), "a login name that is somebody new's now");
    app.person("e1").get("/conversations").await.expect_problem(403, "unknown-user");
    // Two who have one name are nobody.
    hr.books().put(json!({"id": "e78", "name": "A third", "login_name": "e1.login"}));
    run(&app, json!({"mode": "incremental"})).await;
    app.person("e1.login").get("/conversations").await.expect_problem(403, "unknown-user");
}

#[tokio::test]
async fn an_id_that_is_somebody_elses_is_refused() {
    let (hr, app) = company_with("directory.user_fields = { user_id = \"/login_name\" }").await;
    assert_eq!(person(&app, "e1.login").await.0, "张三");
    hr.books().remove("e1");
    hr.books().put(json!({"id": "e99", "name": "Another", "login_name": "e1.login"}));
    let done = run(&app, json!({"mode": "incremental"})).await;
    assert_eq!(done["problems"], 1, "{done}");
    assert_eq!(person(&app, "e1.login").await.0, "张三", "who keeps their history, and their name");
}

#[tokio::test]
async fn whoever_leaves_gets_no_pushes_and_leaves_their_groups() {
    let (hr, app) = company().await;
    let group = app.group(&["e1", "e2", "e3", "e4"]).await;
    let direct = app.direct("e1", "e2").await;
    hr.books().remove("e1");
    run(&app, json!({"mode": "incremental"})).await;
    app.until("SELECT count(*) FROM t_im_leaver", 0).await;
    let members = app.person("e2").get(&format!("/channels/{group}/members")).await.expect(200);
    let roles: Vec<(&str, &str)> = members["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|m| (m["user_id"].as_str().unwrap(), m["role"].as_str().unwrap()))
        .collect();
    assert_eq!(roles, [("e2", "owner"), ("e3", "member"), ("e4", "member")], "somebody owns it after them");
    let sent = app.say("e2", &direct, "are you there").await;
    app.say("e2", &group, "to those who are").await;
    app.settled().await;
    app.gateway.read(|record| {
        assert!(record.batches().all(|batch| !batch.receivers().contains("e1")), "nothing is pushed")
    });
    assert_eq!(app.ledger(&sent["ms_id"]).await[0].1, "unreceived");
    // They come back, and find what was said to them.
    hr.books().put(json!({"id": "e1", "name": "张三", "department_ids": ["rd"]}));
    run(&app, json!({"mode": "incremental"})).await;
    assert_eq!(app.unread("e1", &direct).await, 1);
}
