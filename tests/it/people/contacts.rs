//! People found and shown, the tree of departments, and who sees whom.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use im_push_gateway::people::headcount;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Client;

const CASES: u32 = 16;
const SHRINKS_MAX: u32 = 100;

/// Everybody's words are put down, and heads are counted.
const BEHIND: &str = "SELECT (SELECT count(*) FROM t_im_user WHERE words_due) \
     + (SELECT count(*) FROM t_im_directory_follower f, t_im_directory_head h WHERE f.revision < h.revision)";

async fn told(app: &TestApp, changes: Value) {
    let reply = app.client("hr", &["directory"]).post("/directory/changes", changes).await.expect(200);
    assert_eq!(reply["problems"], json!([]));
}

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let page = client.get(path).await.expect(200);
    page["items"].as_array().unwrap().iter().map(|item| text(&item["user_id"])).collect()
}

/// All pages of a listing, by an attribute.
async fn walk(client: &Client, path: &str, attribute: &str) -> Vec<String> {
    let glue = if path.contains('?') { '&' } else { '?' };
    let (mut all, mut at) = (Vec::new(), path.to_owned());
    loop {
        let page = client.get(&at).await.expect(200);
        all.extend(page["items"].as_array().unwrap().iter().map(|item| text(&item[attribute])));
        let Some(cursor) = page["next_cursor"].as_str() else { return all };
        at = format!("{path}{glue}cursor={cursor}");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

async fn found(client: &Client, typed: &str) -> Vec<String> {
    ids(client, &format!("/users?q={}", encoded(typed))).await
}

/// A company, Maria from outside it, and who has left.
async fn company() -> TestApp {
    let app = TestApp::start().await;
    told(
        &app,
        json!({
            "departments": [
                {"department_id": "co", "name": "公司"},
                {"department_id": "rd", "name": "研发部", "parent_id": "co", "sort_order": 1},
                {"department_id": "be", "name": "后端组", "parent_id": "rd"},
                {"department_id": "hr", "name": "人事部", "parent_id": "co", "sort_order": 0},
            ],
            "users": [
                {"user_id": "boss", "name": "李四", "department_ids": ["co"], "title": "CEO"},
                {"user_id": "zsf", "name": "张三丰", "department_ids": ["be", "hr"], "title": "工程师", "manager": "boss",
                 "login_name": "Zhang.SF", "employee_number": "E-0042", "email": "sanfeng.zhang@corp.example", "phone": "1"},
                {"user_id": "zs", "name": "张三", "department_ids": ["rd"]},
                {"user_id": "zeng", "name": "曾国藩", "department_ids": ["hr"]},
                {"user_id": "shan", "name": "单雄信", "department_ids": ["nowhere"]},
                {"user_id": "weber", "name": "María Weber", "kind": "external"},
                {"user_id": "oa", "name": "审批助手", "kind": "application", "department_ids": ["rd"]},
                {"user_id": "gone", "name": "张三元", "active": false},
            ],
        }),
    )
    .await;
    app.until(BEHIND, 0).await;
    app
}

#[tokio::test]
async fn people_are_found_by_whatever_somebody_knows_of_them() {
    let app = company().await;
    let boss = app.person("boss");
    for (typed, who) in [
        ("张三", vec!["zs", "zsf"]),
        ("張三", vec!["zs", "zsf"]),
        ("三丰", vec!["zsf"]),
        ("丰", vec!["zsf"]),
        ("zhang san", vec!["zs", "zsf"]),
        ("zhangsanfeng", vec!["zsf"]),
        ("ZS", vec!["zs", "zsf"]),
        ("ｚｓｆ", vec!["zsf"]),
        ("zeng", vec!["zeng"]),
        ("cengguo", vec!["zeng"]),
        ("shanxiong", vec!["shan"]),
        ("danxiongxin", vec!["shan"]),
        ("MARIA", vec!["weber"]),
        ("weber", vec!["weber"]),
        ("mw", vec!["weber"]),
        ("zhang.sf", vec!["zsf"]),
        ("e0042", vec!["zsf"]),
        ("0042", vec!["zsf"]),
        ("sanfeng.zhang", vec!["zsf"]),
        ("corp", vec![]),
        ("审批", vec![]),
        ("angsan", vec![]),
    ] {
        assert_eq!(found(&boss, typed).await, who, "{typed}");
    }
    assert_eq!(ids(&boss, "/users?q=sp&kind=application").await, ["oa"]);
    assert_eq!(ids(&boss, "/users?kind=external").await, ["weber"]);
    assert_eq!(ids(&boss, "/users").await, ["boss", "shan", "weber", "zeng", "zs", "zsf"]);
    assert_eq!(ids(&boss, "/users?q=z&department_id=hr").await, ["zeng", "zsf"]);
    assert_eq!(ids(&boss, "/users?department_id=rd").await, ["zs", "zsf"], "and below");
    assert_eq!(ids(&boss, "/users?department_id=nowhere").await, [] as [&str; 0]);
    let page = boss.get("/users?q=zsf").await.expect(200);
    let item = json!({"user_id": "zsf", "name": "张三丰", "head_icon": null, "kind": "internal", "title": "工程师",
                      "department": {"department_id": "be", "name": "后端组"}, "user_status": null});
    assert_eq!(page["items"], json!([item]));
    for bad in ["q=-", "q=%00", "kind=alien", "limit=0", "cursor=x", "department_id=,", "q=a&nonsense=1"] {
        boss.get(&format!("/users?{bad}")).await.expect_problem(400, "invalid-parameter");
    }
    app.person("gone").get("/users").await.expect_problem(403, "unknown-user");
    assert_eq!(found(&app.client("machine", &["support"]), "zs").await, ["zs", "zsf"]);
}

#[tokio::test]
async fn whoever_is_renamed_or_leaves_is_found_as_told_at_once() {
    let app = company().await;
    let boss = app.person("boss");
    told(&app, json!({"users": [{"user_id": "zs", "name": "王五"}]})).await;
    assert_eq!(
        (found(&boss, "zs").await, found(&boss, "ww").await),
        (vec!["zsf".to_owned()], vec!["zs".to_owned()])
    );
    told(&app, json!({"users": [{"user_id": "zs", "name": "王五", "active": false}]})).await;
    assert_eq!(found(&boss, "ww").await, [] as [&str; 0]);
    told(&app, json!({"users": [{"user_id": "zs", "name": "王五", "active": true}]})).await;
    assert_eq!(found(&boss, "ww").await, ["zs"]);
    // Written past the API: by the pass.
    app.sql().await.execute("UPDATE t_im_user SET name = '赵六' WHERE user_id = 'zs'", &[]).await.unwrap();
    app.until(BEHIND, 0).await;
    assert_eq!(found(&boss, "zl").await, ["zs"]);
}

#[tokio::test]
async fn paging_has_no_gap_and_no_repeat_while_people_change() {
    let app = TestApp::start().await;
    // Everybody is found by several words of the same beginning.
    let sql = "INSERT INTO t_im_user (user_id, name, login_name, updated_at) \
               SELECT 'p' || i, '张张' || chr(19968 + i % 500), 'zz' || i, now() FROM generate_series(1, 1000) i";
    app.sql().await.execute(sql, &[]).await.unwrap();
    app.people(&["moi"]).await;
    app.until(BEHIND, 0).await;
    let me = app.person("moi");
    for query in ["q=zz", "q=张", "q=zh", "kind=internal"] {
        let path = format!("/users?limit=37&{}", query.replace('张', &encoded("张")));
        let mut seen = HashSet::new();
        let (mut at, mut round) = (path.clone(), 0);
        loop {
            let page = me.get(&at).await.expect(200);
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert(text(&item["user_id"])), "{query}: {item} came before");
            }
            // Others come and go in between.
            round += 1;
            let user_id = format!("q{round}");
            told(&app, json!({"users": [{"user_id": user_id, "name": "张张", "active": round % 2 == 0}]}))
                .await;
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            at = format!("{path}&cursor={cursor}");
        }
        let missed: Vec<String> =
            (1..=1000).map(|i| format!("p{i}")).filter(|id| !seen.contains(id)).collect();
        assert_eq!(missed, [] as [&str; 0], "{query}");
    }
}

#[tokio::test]
async fn few_among_many_are_found_page_by_page() {
    let app = TestApp::start().await;
    // More than one look goes through; only the last ones are external.
    let sql = "INSERT INTO t_im_user (user_id, name, kind, updated_at) \
               SELECT 'p' || to_char(i, 'FM00000'), '张' || i, CASE WHEN i > 23990 THEN 'external' ELSE 'internal' END, now() \
               FROM generate_series(1, 24000) i";
    app.sql().await.execute(sql, &[]).await.unwrap();
    app.people(&["moi"]).await;
    let me = app.person("moi");
    let first = me.get("/users?kind=external&limit=7").await.expect(200);
    assert!(
        first["items"].as_array().unwrap().is_empty() && first["next_cursor"].is_string(),
        "a search ends"
    );
    let outside = walk(&me, "/users?kind=external&limit=7", "user_id").await;
    assert_eq!(outside, (23_991..=24_000).map(|i| format!("p{i}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_people_of_many_departments_are_walked_whole() {
    let app = TestApp::start().await;
    let sql = "INSERT INTO t_im_department (department_id, name) VALUES ('top', 'top'), ('other', 'other');
        INSERT INTO t_im_department (department_id, name, parent_id, source_parent_id)
        SELECT 'd' || i, 'd', 'top', 'top' FROM generate_series(1, 300) i;
        INSERT INTO t_im_user (user_id, name, updated_at)
        SELECT 'p' || to_char(i, 'FM0000'), '张' || i, now() FROM generate_series(1, 5000) i;
        INSERT INTO t_im_department_user (department_id, user_id)
        SELECT CASE WHEN i % 5 = 0 THEN 'other' ELSE 'd' || (i % 300 + 1) END, 'p' || to_char(i, 'FM0000')
        FROM generate_series(1, 5000) i;
        INSERT INTO t_im_department_user (department_id, user_id)
        SELECT 'd' || (i % 7 + 1), 'p' || to_char(i, 'FM0000') FROM generate_series(1, 5000, 3) i ON CONFLICT DO NOTHING";
    app.sql().await.batch_execute(sql).await.unwrap();
    told(&app, json!({"users": [{"user_id": "moi", "name": "moi"}, {"user_id": "maria", "name": "m", "kind": "external"}]})).await;
    app.client("hr", &["directory"]).put("/departments/top/grants/maria", json!(null)).await.expect(204);
    app.until(BEHIND, 0).await;
    let below: Vec<String> =
        (1..=5000).filter(|i| i % 5 != 0 || i % 3 == 1).map(|i| format!("p{i:04}")).collect();
    let (me, maria) = (app.person("moi"), app.person("maria"));
    assert_eq!(
        me.get("/departments/top").await.expect(200)["people_count"].as_u64(),
        Some(below.len() as u64)
    );
    assert_eq!(walk(&me, "/departments/top/users?below=true&limit=190", "user_id").await, below);
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let of_top = walk(&me, "/users?q=z&department_id=top&limit=200", "user_id").await;
    assert_eq!(sorted(of_top), below);
    // One whom she shares a channel with, and no other of elsewhere.
    app.direct("p0005", "maria").await;
    let mut hers = below.clone();
    hers.push("p0005".to_owned());
    assert_eq!(sorted(walk(&maria, "/users?q=z&limit=200", "user_id").await), sorted(hers));
    assert!(found(&maria, "张5").await.contains(&"p0005".to_owned()));
    assert!(!found(&maria, "张20").await.contains(&"p0020".to_owned()));
}

#[tokio::test]
async fn a_card_shows_all_of_a_person_and_little_of_a_leaver() {
    let app = company().await;
    let boss = app.person("boss");
    app.client("gw", &["gateway"])
        .put("/presence", json!({"users": [{"user_id": "zsf", "status": "online"}]}))
        .await
        .expect(200);
    let mut card = boss.get("/users/zsf").await.expect(200);
    assert!(card["presence"]["since"].is_string());
    card["presence"]["since"] = Value::Null;
    let whole = json!({
        "user_id": "zsf", "name": "张三丰", "head_icon": null, "kind": "internal", "active": true, "title": "工程师",
        "email": "sanfeng.zhang@corp.example", "phone": "1", "employee_number": "E-0042", "login_name": "Zhang.SF",
        "departments": [{"department_id": "be", "name": "后端组", "main": true}, {"department_id": "hr", "name": "人事部", "main": false}],
        "manager": {"user_id": "boss", "name": "李四"}, "presence": {"status": "online", "since": null}, "user_status": null,
    });
    assert_eq!(card, whole);
    assert_eq!(app.person("zsf").get("/users/me").await.expect(200)["user_id"], "zsf");
    told(&app, json!({"users": [{"user_id": "zsf", "name": "张三丰", "active": false}]})).await;
    let left = boss.get("/users/zsf").await.expect(200);
    assert_eq!(
        (&left["name"], &left["active"], &left["email"]),
        (&json!("张三丰"), &json!(false), &Value::Null)
    );
    assert_eq!(
        (&left["departments"], &left["presence"], &left["manager"]),
        (&json!([]), &Value::Null, &Value::Null)
    );
    boss.get("/users/nobody").await.expect_problem(404, "not-found");
    boss.get("/users/%00").await.expect_problem(400, "invalid-parameter");
    app.client("machine", &["directory"]).get("/users/me").await.expect_problem(403, "unknown-user");
}

#[tokio::test]
async fn the_tree_comes_level_by_level_with_heads() {
    let app = company().await;
    let boss = app.person("boss");
    let level = async |path: &str| -> Vec<(String, i64, bool)> {
        let page = boss.get(path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        let shown = |d: &Value| {
            (
                text(&d["department_id"]),
                d["people_count"].as_i64().unwrap(),
                d["has_children"].as_bool().unwrap(),
            )
        };
        items.iter().map(shown).collect()
    };
    let of = |id: &str, people, children| (id.to_owned(), people, children);
    assert_eq!(
        level("/departments").await,
        [of("co", 4, true)],
        "whoever works in two counts once, applications do not"
    );
    assert_eq!(level("/departments?parent_id=co").await, [of("hr", 2, false), of("rd", 2, true)]);
    assert_eq!(level("/departments?parent_id=be").await, []);
    let card = boss.get("/departments/be").await.expect(200);
    assert_eq!(
        card["path"],
        json!([{"department_id": "co", "name": "公司"}, {"department_id": "rd", "name": "研发部"}])
    );
    assert_eq!((&card["parent_id"], &card["people_count"]), (&json!("rd"), &json!(1)));
    let page = boss.get("/departments/hr/users").await.expect(200);
    let people: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|p| (&p["user_id"], &p["main"])).collect();
    assert_eq!(people, [(&json!("zeng"), &json!(true)), (&json!("zsf"), &json!(false))]);
    assert_eq!(ids(&boss, "/departments/co/users").await, ["boss"]);
    assert_eq!(ids(&boss, "/departments/co/users?below=true").await, ["boss", "zeng", "zs", "zsf"]);
    assert_eq!(walk(&boss, "/departments/co/users?below=true&limit=1", "user_id").await.len(), 4);
    // A department that is removed is nowhere; what was below it hangs at the top.
    let sql = "UPDATE t_im_department SET removed_at = now() WHERE department_id = 'hr'";
    app.sql().await.execute(sql, &[]).await.unwrap();
    for path in
        ["/departments/hr", "/departments/hr/users", "/departments?parent_id=hr", "/departments/nowhere"]
    {
        boss.get(path).await.expect_problem(404, "not-found");
    }
    boss.get("/departments?cursor=x").await.expect_problem(400, "invalid-parameter");
    boss.get("/departments/co/users?below=perhaps").await.expect_problem(400, "invalid-parameter");
    let many: Vec<Value> = (0..120)
        .map(|i| json!({"department_id": format!("d{i}"), "name": format!("部门{}", i % 7), "parent_id": "be", "sort_order": i % 3 - 1}))
        .collect();
    told(&app, json!({"departments": many})).await;
    let mut order: Vec<(i64, String, String)> =
        (0..120).map(|i| (i % 3 - 1, format!("部门{}", i % 7), format!("d{i}"))).collect();
    order.sort();
    let order: Vec<String> = order.into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(walk(&boss, "/departments?parent_id=be&limit=11", "department_id").await, order);
}

#[tokio::test]
async fn an_external_person_sees_only_whom_they_have_to_do_with() {
    let app = company().await;
    let maria = app.person("weber");
    let nobody = "is not an active user of the directory";
    assert_eq!(ids(&maria, "/users").await, ["weber"]);
    assert_eq!(found(&maria, "zs").await, [] as [&str; 0]);
    for path in [
        "/users/zsf",
        "/users/nobody",
        "/departments/rd",
        "/departments/rd/users",
        "/departments?parent_id=co",
    ] {
        maria.get(path).await.expect_problem(404, "not-found");
    }
    assert_eq!(maria.get("/departments").await.expect(200)["items"], json!([]));
    assert_eq!(maria.get("/presence?user_ids=zsf,weber").await.expect(200)["items"][0]["user_id"], "weber");
    for (path, body, at) in [
        ("/channels", json!({"type": "direct", "members": ["zsf"]}), "/members/0"),
        ("/channels", json!({"type": "direct", "members": ["nobody"]}), "/members/0"),
        ("/channels", json!({"type": "group", "members": ["weber", "zsf"]}), "/members/1"),
        ("/groups", json!({"members": ["zsf"]}), "/members/0"),
    ] {
        let problem = maria.post(path, body).await.expect_problem(422, "invalid-field");
        assert_eq!((&problem["detail"], &problem["pointer"]), (&json!(nobody), &json!(at)));
    }

    // Whoever shares a channel.
    let channel = app.direct("zs", "weber").await;
    assert_eq!(found(&maria, "zs").await, ["zs"]);
    let card = maria.get("/users/zs").await.expect(200);
    assert_eq!(
        (&card["name"], &card["departments"]),
        (&json!("张三"), &json!([])),
        "where they work is not hers to know"
    );
    assert_eq!(app.direct("weber", "zs").await, channel);
    let mine = text(&maria.post("/groups", json!({"members": ["zs"]})).await.expect(201)["channel_id"]);
    let add = format!("/channels/{mine}/members");
    let problem =
        maria.post(&add, json!({"user_ids": ["zs", "zsf"]})).await.expect_problem(422, "invalid-field");
    assert_eq!((&problem["detail"], &problem["pointer"]), (&json!(nobody), &json!("/user_ids/1")));
    app.person("zs").post(&add, json!({"user_ids": ["zeng"]})).await.expect(200);
    assert_eq!(found(&maria, "zeng").await, ["zeng"], "brought by somebody who may");
    app.person("zeng").post(&format!("/channels/{mine}/leave"), json!({})).await.expect(204);
    assert_eq!(found(&maria, "zeng").await, [] as [&str; 0]);
}

#[tokio::test]
async fn an_external_person_sees_departments_that_are_granted_and_below() {
    let app = company().await;
    let (maria, hr) = (app.person("weber"), app.client("hr", &["directory"]));
    maria.put("/departments/rd/grants/weber", json!(null)).await.expect_problem(403, "forbidden");
    hr.put("/departments/rd/grants/weber", json!(null)).await.expect(204);
    hr.put("/departments/rd/grants/weber", json!(null)).await.expect(204);
    hr.put("/departments/nowhere/grants/weber", json!(null)).await.expect_problem(404, "not-found");
    hr.put("/departments/rd/grants/nobody", json!(null)).await.expect_problem(404, "not-found");
    let grants = hr.get("/departments/rd/grants").await.expect(200);
    assert_eq!(
        (&grants["items"][0]["user_id"], &grants["items"][0]["granted_by"]),
        (&json!("weber"), &json!("hr"))
    );
    assert_eq!(found(&maria, "zs").await, ["zs", "zsf"]);
    assert_eq!(ids(&maria, "/users?department_id=be").await, ["zsf"]);
    assert_eq!(
        ids(&maria, "/users?department_id=hr").await,
        [] as [&str; 0],
        "not hers, though somebody of it is"
    );
    let top = maria.get("/departments").await.expect(200);
    let tops: Vec<_> =
        top["items"].as_array().unwrap().iter().map(|d| (&d["department_id"], &d["parent_id"])).collect();
    assert_eq!(tops, [(&json!("rd"), &Value::Null)], "nothing of what is above");
    assert_eq!(
        maria.get("/departments/be").await.expect(200)["path"],
        json!([{"department_id": "rd", "name": "研发部"}])
    );
    assert_eq!(ids(&maria, "/departments/rd/users?below=true").await, ["zs", "zsf"]);
    let card = maria.get("/users/zsf").await.expect(200);
    assert_eq!(card["departments"], json!([{"department_id": "be", "name": "后端组", "main": true}]));
    assert_eq!(card["manager"], Value::Null, "whom she does not see");
    app.direct("weber", "zsf").await;

    // One below another is not a top of its own; and what is taken back is gone.
    hr.put("/departments/be/grants/weber", json!(null)).await.expect(204);
    assert_eq!(maria.get("/departments").await.expect(200)["items"].as_array().unwrap().len(), 1);
    for department in ["rd", "be"] {
        hr.delete(&format!("/departments/{department}/grants/weber")).await.expect(204);
    }
    hr.delete("/departments/rd/grants/weber").await.expect_problem(404, "not-found");
    maria.get("/departments/be").await.expect_problem(404, "not-found");
    assert_eq!(found(&maria, "zs").await, ["zsf"], "they share a channel now");
    // A role sees everybody.
    assert_eq!(found(&app.client("weber", &["support"]), "zeng").await, ["zeng"]);
}

/// Trees and people by chance: counts and listings are what counting from scratch gives.
#[test]
fn heads_are_what_counting_from_scratch_gives() {
    const DEPARTMENTS: usize = 8;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let hr = app.client("hr", &["directory"]);
    let parent = prop::option::of(0..DEPARTMENTS);
    let person = (prop::collection::btree_set(0..DEPARTMENTS + 1, 0..4), any::<bool>(), 0..3usize);
    let world = (prop::collection::vec(parent, DEPARTMENTS), prop::collection::vec(person, 6));
    let cases =
        Cases { cases: CASES, max_shrink_iters: SHRINKS_MAX, failure_persistence: None, ..Cases::default() };
    TestRunner::new(cases)
        .run(&world, |(parents, people)| {
            runtime.block_on(async {
                let departments: Vec<Value> = (0..DEPARTMENTS)
                    .map(|d| json!({"department_id": format!("d{d}"), "name": "d", "parent_id": parents[d].map(|p| format!("d{p}"))}))
                    .collect();
                let kinds = ["internal", "external", "application"];
                let users: Vec<Value> = people
                    .iter()
                    .enumerate()
                    .map(|(i, (works, active, kind))| {
                        let works: Vec<String> = works.iter().map(|d| format!("d{d}")).collect();
                        json!({"user_id": format!("p{i}"), "name": "p", "active": active, "kind": kinds[*kind], "department_ids": works})
                    })
                    .collect();
                hr.post("/directory/changes", json!({"departments": departments, "users": users})).await.expect(200);
                headcount::count(&app.store).await.unwrap();
                // Where each hangs is for the directory's own tests.
                let rows = app.sql().await.query("SELECT department_id, parent_id FROM t_im_department", &[]).await.unwrap();
                let hangs: BTreeMap<String, Option<String>> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
                for department in hangs.keys() {
                    let is_below = |id: &str| {
                        let mut at = Some(id.to_owned());
                        while let Some(id) = at {
                            if id == *department {
                                return true;
                            }
                            at = hangs.get(&id).cloned().flatten();
                        }
                        false
                    };
                    let expected: BTreeSet<String> = people
                        .iter()
                        .enumerate()
                        .filter(|(_, (works, active, kind))| {
                            *active && *kind < 2 && works.iter().any(|d| is_below(&format!("d{d}")))
                        })
                        .map(|(i, _)| format!("p{i}"))
                        .collect();
                    let card = hr.get(&format!("/departments/{department}")).await.expect(200);
                    prop_assert_eq!(card["people_count"].as_u64(), Some(expected.len() as u64), "{}", department);
                    let listed = walk(&hr, &format!("/departments/{department}/users?below=true&limit=2"), "user_id").await;
                    prop_assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
                }
                Ok(())
            })
        })
        .unwrap();
}
