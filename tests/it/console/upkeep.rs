//! The pages for operators, and what support and administrators put right from the console.

use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};

use super::browse;
use super::pages::INJECTED;
use crate::api::upkeep::{DAYS, RARELY};
use crate::app::{TestApp, text};
use crate::records::diagnosis::{finding, finding_becomes};
use crate::support::{Answer, Client, Hr};

const REASON: &str = "工单 4712：群组没有群主";
const OPEN_RUNS: &str = "SELECT count(*) FROM t_im_directory_run WHERE ended_at IS NULL AND state <> 'held'";
const ACTIVE: &str = "SELECT count(*) FROM t_im_user WHERE source = 'http' AND active";

/// What the pages are about.
struct World {
    app: TestApp,
    hr: Hr,
    /// A message of the user `desk`, and one that the gateway does not take.
    ms_id: String,
    lost: Value,
    orphan: String,
    edit_id: String,
}

fn root(app: &TestApp) -> Client {
    app.client("root", &["admin"])
}

async fn run(app: &TestApp) -> String {
    let run_id =
        text(&root(app).post("/directory/sync", json!({"mode": "full"})).await.expect(202)["run_id"]);
    let ended = "SELECT count(*) FROM t_im_directory_run \
                 WHERE run_id = $1::text::bigint AND (ended_at IS NOT NULL OR state = 'held')";
    app.until_with(ended, &[&run_id], 1).await;
    run_id
}

/// An HR service with four people, one edit in conflict, a dead letter, a group without an owner.
async fn world() -> World {
    let hr = Hr::start().await;
    {
        let mut books = hr.books();
        books.put_department(json!({"id": "rd", "name": "研发部"}));
        for (id, name) in [("e1", "张三"), ("e2", "李四"), ("e3", "王五"), ("e4", INJECTED)] {
            books.put(json!({"id": id, "name": name, "title": "工程师", "department_ids": ["rd"]}));
        }
    }
    let settings = format!(
        "{RARELY}callback_give_up_ms = 1\ncallback_breaker_failures = 1000\n{}\
         directory.user_fields = {{ version = \"/etag\" }}\n",
        hr.write_settings()
    );
    let app = TestApp::with_archive(&settings).await;
    app.people(&["desk", "ann", "bob"]).await;
    run(&app).await;
    let bad = app.direct("ann", "bob").await;
    app.gateway.refuse(&bad);
    let lost = app.say("ann", &bad, "给鲍勃的消息").await["ms_id"].clone();
    finding_becomes(&app, &lost, "bob", "dead_letter").await;
    let group = app.group(&["desk", "ann", "bob"]).await;
    let ms_id = app.say("desk", &group, "请大家查收").await["ms_id"].clone();
    finding_becomes(&app, &ms_id, "ann", "received").await;
    let orphan = app.group(&["ann", "bob"]).await;
    let owner = "UPDATE t_im_channel SET owner = NULL WHERE channel_id = $1::text::bigint";
    app.sql().await.execute(owner, &[&orphan]).await.expect("no owner");
    // The source has another value than the one that the edit was made on.
    hr.books().set("e1", "title", json!(INJECTED));
    let edited = root(&app).patch("/users/e1", json!({"title": "架构师"})).await.expect(202);
    let edit_id = text(&edited["edit"]["edit_id"]);
    let conflict = "SELECT count(*) FROM t_im_directory_edit WHERE state = 'conflict'";
    app.until(conflict, 1).await;
    app.until("SELECT count(*) FROM t_im_directory_changed", 0).await;
    app.until(OPEN_RUNS, 0).await;
    World { app, hr, ms_id: text(&ms_id), lost, orphan, edit_id }
}

/// A run that the guard stops: the source says that all are gone.
async fn held_run(world: &World) -> String {
    world.hr.books().empty = true;
    let run_id = run(&world.app).await;
    world.hr.books().empty = false;
    run_id
}

fn visits(world: &World, run_id: &str, lang: &str) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let page =
        |name: &str, address: &str, wants: &[&str]| json!({"name": name, "address": address, "wants": wants});
    let edit = format!("edit?edit_id={}&user_id=e1&do=retry&state=conflict", world.edit_id);
    let gone = word("4 of 4 people would leave", "4 人中将有 4 人离职");
    let mut failed = page(
        "archive",
        "archive",
        &[
            word("The messages are still in PostgreSQL", "消息仍在 PostgreSQL 中"),
            "the archive gives 2",
            word("Runbook", "运维手册"),
        ],
    );
    failed["has"] = json!(["[data-day=failed]", "[data-day=lost]", "rect.hot", "rect.cold", "rect.lost"]);
    vec![
        failed,
        page("runs", "runs", &[gone, word("Approve the run", "批准运行")]),
        page(
            "runs-start",
            "runs?do=start&mode=full&dry_run=1",
            &[word("It changes nothing", "不做任何修改")],
        ),
        page("run", &format!("run?run_id={run_id}"), &[gone, "张三", "<img src=x", word("leaves", "离职")]),
        page(
            "run-cancel",
            &format!("run?run_id={run_id}&do=cancel"),
            &[word("The run ends and changes nothing", "运行结束且不做任何变更")],
        ),
        page("run-problems", &format!("run?run_id={run_id}&view=problems"), &[word("is right", "均正确")]),
        page(
            "run-approve",
            &format!("run?run_id={run_id}&do=approve"),
            &[gone, "李四", word("No, go back", "不，返回")],
        ),
        page(
            "edits",
            "edits",
            &["架构师", "<img src=x", word("The source's", "数据源"), word("Send again", "重新发送")],
        ),
        page(
            "edits-none",
            "edits?state=refused",
            &[word("No edit is in this state", "没有处于此状态的修改")],
        ),
        page("edit-retry", &edit, &["架构师", word("is overwritten with ours", "将被本服务的值覆盖")]),
        page(
            "edit-cancel",
            &edit.replace("retry", "cancel"),
            &["架构师", word("of the source stays", "保留数据源的值")],
        ),
        page("schedule", "schedule", &["0 0 29 2 *", "-02-29 00:00:00", word("Never", "从不")]),
        page("replicas", "replicas", &[env!("CARGO_PKG_VERSION"), "directory", word("All work", "全部正常")]),
        page("groups", "groups", &["a group", word("No owner", "没有群主")]),
        page("rescue", &format!("rescue?channel_id={}", world.orphan), &["a group", REASON]),
        page("absent", "absent", &["left-zhou", word("Suspended", "停用")]),
        page("absent-suspended", "absent?state=suspended", &["left-zhou"]),
        page("person-edits", "person?user_id=e1", &["架构师", word("Conflict", "冲突")]),
    ]
}

/// The role `directory` alone: runs and edits, and no other page.
fn visits_of_hr(lang: &str) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let has = ["nav a[href=runs][aria-current]", "nav.sub a[href=edits]"];
    let lacks: Vec<_> = ["search", "people", "home", "archive"]
        .map(|page| json!({"lacks": format!("nav a[href={page}]")}))
        .into();
    let gone = word("4 of 4 people would leave", "4 人中将有 4 人离职");
    let refused = |page: &str, role: &str| {
        let back = word("Back to the directory runs", "返回通讯录同步");
        json!({"name": format!("hr-{page}"), "address": page, "status": 403, "wants": [back, role]})
    };
    vec![
        json!({"name": "hr-first", "address": "?", "stays": "runs", "has": has, "steps": lacks, "wants": [gone]}),
        json!({"name": "hr-edits", "address": "edits", "wants": ["架构师"], "lacks": [word("Send again", "重新发送")]}),
        refused("search", "support"),
        refused("home", "admin"),
        refused("archive", "admin"),
    ]
}

#[tokio::test]
async fn pages_of_operators_are_whole_in_both_languages_light_and_dark_wide_and_narrow() {
    let world = world().await;
    let app = &world.app;
    app.sql().await.batch_execute(DAYS).await.expect("days");
    let leaver = json!({"users": [{"user_id": "left-zhou", "name": "周离", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", leaver).await.expect(200);
    app.until("SELECT count(*) FROM t_im_replica", 1).await;
    let run_id = held_run(&world).await;
    let mut sessions = Vec::new();
    for (lang, scheme, width) in super::LOOKS {
        sessions.push(json!({
            "user": "root", "roles": "admin", "lang": lang, "scheme": scheme, "width": width, "reason": REASON,
            "visits": visits(&world, &run_id, lang),
        }));
        let mut refused = json!({"name": "operators-only", "address": "runs", "status": 403});
        refused["wants"] =
            json!([if lang == "zh" { "您无权查看" } else { "You may not see or do this" }, "directory"]);
        let nudge = json!({
            "name": "message-of-oneself", "address": format!("message?ms_id={}", world.ms_id), "has": ["[data-nudge]"],
        });
        let ask =
            json!({"name": "nudge", "address": format!("nudge?ms_id={}", world.ms_id), "has": [".confirm"]});
        sessions.push(json!({
            "user": "desk", "roles": "support", "lang": lang, "scheme": scheme, "width": width, "reason": REASON,
            "visits": [refused, nudge, ask],
        }));
        sessions.push(json!({
            "user": "hr", "roles": "directory", "lang": lang, "scheme": scheme, "width": width,
            "visits": visits_of_hr(lang),
        }));
    }
    let pictures = std::env::var("PICTURES").ok();
    let found = browse(&json!({"base": app.base, "sessions": sessions, "pictures": pictures})).await;
    assert_no_problems(&found);
    assert_eq!(found["seen"]["runs"], super::LOOKS.len(), "{found}");
}

fn assert_no_problems(found: &Value) {
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
}

/// One caller in English, light and wide.
fn session(user: &str, roles: &str, visits: &[Value]) -> Value {
    json!({
        "user": user, "roles": roles, "lang": "en", "scheme": "light", "width": 1280, "reason": REASON,
        "visits": visits,
    })
}

async fn act(app: &TestApp, sessions: &[Value]) {
    assert_no_problems(&browse(&json!({"base": app.base, "sessions": sessions})).await);
}

#[tokio::test]
async fn a_conflict_is_retried_and_a_guarded_run_approved_from_the_pages() {
    let world = world().await;
    let app = &world.app;
    let retry = json!({
        "name": "retry", "address": "edits", "has": ["nav.tabs"], "wants": ["No edit is in conflict"],
        "steps": [{"click": "li.row[data-edit=conflict] .ways a"}, {"sees": ".confirm"}, {"click": "main form button"}, {"sees": ".rows, .empty"}],
    });
    act(app, &[session("root", "admin", &[retry])]).await;
    app.until("SELECT count(*) FROM t_im_directory_edit WHERE state = 'applied'", 1).await;
    assert_eq!(world.hr.books().of("e1", "title"), "架构师", "ours is there");
    app.until("SELECT count(*) FROM t_im_directory_changed", 0).await;
    app.until(OPEN_RUNS, 0).await;

    let run_id = held_run(&world).await;
    assert_eq!(app.count(ACTIVE, &[]).await, 4, "the guard lets no one go");
    // Who may read the directory sees the run, and no button.
    let reader = json!({
        "name": "reader", "address": "runs", "wants": ["4 of 4 people would leave", "An administrator decides"],
        "lacks": ["Approve the run"],
    });
    let forced = json!({
        "name": "forced", "address": format!("run?run_id={run_id}&do=approve"), "status": 200,
        "wants": ["You may not see or do this"], "steps": [{"click": "main form button"}, {"sees": "[role=alert]"}],
    });
    act(app, &[session("reader", "support,directory", &[reader, forced])]).await;
    assert_eq!(app.count(ACTIVE, &[]).await, 4);
    let approve = json!({
        "name": "approve", "address": "runs", "leads": format!("run?run_id={run_id}"), "wants": ["approved by root"],
        "steps": [{"click": "[data-held] a.primary"}, {"sees": ".confirm"}, {"click": ".confirm .danger"}, {"sees": "p.facts"}],
    });
    act(app, &[session("root", "admin", &[approve])]).await;
    app.until(ACTIVE, 0).await;
    for (action, actor) in [("run-approved", "root"), ("edit-retried", "root")] {
        let kept = "SELECT count(*) FROM t_im_audit WHERE action = $1 AND actor = $2";
        assert_eq!(app.count(kept, &[&action, &actor]).await, 1, "{action}");
    }
}

#[tokio::test]
async fn a_nudge_a_replay_and_a_rescue_are_made_from_the_pages() {
    let world = world().await;
    let (app, ms_id) = (&world.app, &world.ms_id);
    let lost = text(&world.lost);
    let nudge = json!({
        "name": "nudge", "address": format!("message?ms_id={ms_id}"), "leads": "nudged=2",
        "wants": ["Receivers who get an urgent push: 2"],
        "steps": [{"click": "[data-nudge]"}, {"sees": ".confirm"}, {"click": ".confirm button"}, {"sees": ".notice.good"}],
    });
    let of_others =
        json!({"name": "of-others", "address": format!("message?ms_id={lost}"), "lacks": ["Nudge those"]});
    let why = format!("why?ms_id={lost}&user_id=bob");
    let may_not = json!({
        "name": "no-replay", "address": why, "wants": ["An administrator can replay it"], "has": ["[data-finding=dead_letter]"],
    });
    act(app, &[session("desk", "support", &[nudge, of_others, may_not])]).await;
    assert_eq!(finding(app, &world.lost, "bob").await, "dead_letter");

    app.gateway.answer(|_| Answer::All);
    let replay = json!({
        "name": "replay", "address": why, "leads": "why?ms_id=",
        "steps": [{"click": "[data-replay]"}, {"sees": ".confirm"}, {"click": ".confirm button"}, {"sees": "[data-finding]"}],
    });
    let rescue = json!({
        "name": "rescue", "address": "groups", "wants": ["Every group has an active owner"],
        "steps": [
            {"click": "td.end a"}, {"sees": "#new-owner"}, {"fill": ["#new-owner", "bob"]}, {"click": ".confirm button"},
            {"sees": ".empty"},
        ],
    });
    act(app, &[session("root", "admin", &[replay, rescue])]).await;
    finding_becomes(app, &world.lost, "bob", "received").await;
    let owner = "SELECT count(*) FROM t_im_channel WHERE channel_id = $1::text::bigint AND owner = 'bob'";
    assert_eq!(app.count(owner, &[&world.orphan]).await, 1);
    let kept = "SELECT count(*) FROM t_im_audit WHERE action = 'owner-changed' AND reason = $1";
    assert_eq!(app.count(kept, &[&REASON]).await, 1);
}

#[tokio::test]
async fn a_change_needs_a_form_of_the_console() {
    let app = TestApp::start().await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let http = http.expect("a client");
    let send = |page: &str, cookie: String, site: &str, body: String| {
        let request = http.post(format!("{}/console/{page}", app.base)).header("x-user-id", "root");
        let request = request.header("x-user-roles", "admin").header("sec-fetch-site", site.to_owned());
        request.header("cookie", cookie).body(body).send()
    };
    let page = http.get(format!("{}/console/runs", app.base)).header("x-user-id", "root");
    let page = page.header("x-user-roles", "admin").send().await.expect("a page");
    let set = page.headers()[SET_COOKIE].to_str().expect("text").to_owned();
    let token = set.trim_start_matches("impg-form=").split(';').next().expect("a token").to_owned();
    let known = format!("impg-form={token}");
    for action in ["runs", "run", "edit", "rescue", "nudge", "replay-one"] {
        for (cookie, site, body) in [
            (String::new(), "same-origin", format!("token={token}&do=approve")),
            (known.clone(), "same-origin", "token=guessed&do=approve".to_owned()),
            (known.clone(), "cross-site", format!("token={token}&do=approve")),
        ] {
            let refused = send(action, cookie, site, body).await.expect("an answer");
            assert_eq!(refused.status(), 403, "{action}");
            let html = refused.text().await.expect("a page");
            assert!(html.contains("This form is not from this console"), "{action}: {html}");
        }
    }
    // The API decides: there is no source to read.
    let asked =
        send("runs", known, "same-origin", format!("token={token}&mode=full")).await.expect("an answer");
    assert_eq!(asked.status(), 409);
    assert!(asked.text().await.expect("a page").contains("no directory source is configured"));
    assert_eq!(app.count("SELECT count(*) FROM t_im_directory_run", &[]).await, 0);
}
