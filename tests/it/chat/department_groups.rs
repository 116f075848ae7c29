//! Groups whose members are a department's people.

use std::collections::BTreeSet;

use im_push_gateway::base::worker::Work;
use im_push_gateway::chat::channel::department::Groups;
use serde_json::{Value, json};

use crate::app::{TestApp, text};

/// Groups that have not followed the directory's last change.
const BEHIND: &str =
    "SELECT count(*) FROM t_im_department_group g, t_im_directory_head h WHERE g.revision < h.revision";
/// No background pass comes round by itself.
const ALONE: &str = "poll_ms = 600000\nlease_ms = 700000\n";

async fn told(app: &TestApp, changes: Value) {
    let reply = app.client("hr", &["directory"]).post("/directory/changes", changes).await.expect(200);
    assert_eq!(reply["problems"], json!([]));
}

async fn works(app: &TestApp, user_id: &str, departments: &[&str]) {
    told(app, json!({"users": [{"user_id": user_id, "name": user_id, "department_ids": departments}]})).await;
}

/// A tree of two, with three people, and who owns groups of departments but works in none.
async fn company(overrides: &str) -> TestApp {
    let app = TestApp::start_with(overrides).await;
    told(
        &app,
        json!({
            "departments": [{"department_id": "rd", "name": "研发部"}, {"department_id": "be", "name": "后端组", "parent_id": "rd"}],
            "users": [
                {"user_id": "owner", "name": "owner"},
                {"user_id": "a", "name": "a", "department_ids": ["rd"]},
                {"user_id": "b", "name": "b", "department_ids": ["rd", "be"]},
                {"user_id": "c", "name": "c", "department_ids": ["be"]},
                {"user_id": "oa", "name": "oa", "department_ids": ["rd"], "kind": "application"},
            ],
        }),
    )
    .await;
    app
}

async fn made(app: &TestApp, department: &str, body: Value) -> String {
    let path = format!("/departments/{department}/group");
    text(&app.client("hr", &["directory"]).post(&path, body).await.expect(201)["channel_id"])
}

async fn members(app: &TestApp, channel: &str) -> BTreeSet<String> {
    let sql = "SELECT user_id FROM t_im_channel_user WHERE channel_id = $1 AND to_seq IS NULL";
    let id: i64 = channel.parse().unwrap();
    let rows = app.sql().await.query(sql, &[&id]).await.unwrap();
    let members: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let counted =
        app.count("SELECT member_count::bigint FROM t_im_channel WHERE channel_id = $1", &[&id]).await;
    assert_eq!(counted, members.len() as i64);
    members
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_group_has_its_departments_people_and_follows_them() {
    let app = company("").await;
    let events = "INSERT INTO t_im_callback (callback_id, kind, url, event_types) VALUES ('cb-x', 'observer', 'http://127.0.0.1:9', '{channel.*}')";
    app.sql().await.execute(events, &[]).await.unwrap();
    let rd = made(&app, "rd", json!({"owner": "owner"})).await;
    let all = made(&app, "be", json!({"owner": "owner", "below": true, "name": "后端"})).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "a", "b"]), "applications are no members");
    assert_eq!(members(&app, &all).await, set(&["owner", "b", "c"]));
    assert_eq!(app.conversation("a", &rd).await["name"], "研发部");
    let channel = app.person("b").get(&format!("/channels/{all}")).await.expect(200);
    assert_eq!((&channel["name"], &channel["department_id"]), (&json!("后端"), &json!("be")));

    // A mover, a joiner and a leaver.
    app.say("owner", &rd, "before").await;
    works(&app, "a", &["be"]).await;
    works(&app, "d", &["rd"]).await;
    told(&app, json!({"users": [{"user_id": "b", "name": "b", "active": false}]})).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "d"]));
    assert_eq!(members(&app, &all).await, set(&["owner", "a", "c"]));
    assert_eq!(app.seqs("d", &rd, "").await, [] as [i64; 0], "as whoever joins");
    app.person("a").get(&format!("/channels/{rd}")).await.expect_problem(404, "not-found");
    let of = |what: &str| {
        format!("SELECT count(*) FROM t_im_event WHERE channel_id = {rd} AND type = 'channel.{what}'")
    };
    app.until(&of("members_added"), 1).await;
    let told_of = "SELECT (data -> 'user_ids')::text FROM t_im_event WHERE channel_id = $1 AND type = $2 ORDER BY event_id";
    let id: i64 = rd.parse().unwrap();
    let gone = app.sql().await.query(told_of, &[&id, &"channel.members_removed"]).await.unwrap();
    let gone: BTreeSet<String> =
        gone.iter().flat_map(|row| serde_json::from_str::<Vec<String>>(row.get(0)).unwrap()).collect();
    assert_eq!(gone, set(&["a", "b"]));
    let rejoins = json!({"users": [{"user_id": "b", "name": "b", "active": true, "department_ids": ["rd"]}]});
    told(&app, rejoins).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "b", "d"]));
}

#[tokio::test]
async fn a_group_with_those_below_follows_the_tree() {
    let app = company("").await;
    let rd = made(&app, "rd", json!({"owner": "a", "below": true})).await;
    assert_eq!(members(&app, &rd).await, set(&["a", "b", "c"]));
    told(&app, json!({"departments": [{"department_id": "be", "name": "后端组"}]})).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["a", "b"]), "it hangs elsewhere");
    told(&app, json!({"departments": [{"department_id": "be", "name": "后端组", "parent_id": "rd"}]})).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["a", "b", "c"]));
    // The owner stays when they move, also through a handing over.
    works(&app, "a", &[]).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["a", "b", "c"]));
    app.person("a").post(&format!("/channels/{rd}/owner"), json!({"user_id": "c"})).await.expect(204);
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["b", "c"]), "who was the owner is one of them no more");
    // Removed, it keeps whose records still name it.
    let removed = "UPDATE t_im_department SET removed_at = now() WHERE department_id = 'rd'";
    app.sql().await.execute(removed, &[]).await.unwrap();
    works(&app, "d", &["be"]).await;
    app.until(BEHIND, 0).await;
    assert!(members(&app, &rd).await.is_superset(&set(&["b", "c"])));
}

#[tokio::test]
async fn nobody_is_added_or_taken_out_by_hand() {
    let app = company("").await;
    let rd = made(&app, "rd", json!({"owner": "owner"})).await;
    let owner = app.person("owner");
    let add = json!({"user_ids": ["c"]});
    owner.post(&format!("/channels/{rd}/members"), add.clone()).await.expect_problem(409, "conflict");
    owner.post(&format!("/groups/{rd}/members"), add).await.expect_problem(409, "conflict");
    owner.delete(&format!("/channels/{rd}/members/a")).await.expect_problem(409, "conflict");
    app.person("a").post(&format!("/channels/{rd}/leave"), json!({})).await.expect_problem(409, "conflict");
    owner.post(&format!("/channels/{rd}/leave"), json!({})).await.expect_problem(409, "conflict");
    assert_eq!(members(&app, &rd).await, set(&["owner", "a", "b"]));
    owner.patch(&format!("/channels/{rd}"), json!({"name": "R&D"})).await.expect(200);
    owner.put(&format!("/channels/{rd}/members/a/role"), json!({"role": "admin"})).await.expect(204);
    // Dissolved, it follows nobody, whoever wants to leaves, and the department may have another.
    owner.delete(&format!("/channels/{rd}")).await.expect(204);
    app.client("hr", &["directory"]).get("/departments/rd/group").await.expect_problem(404, "not-found");
    app.person("b").post(&format!("/channels/{rd}/leave"), json!({})).await.expect(204);
    let again = made(&app, "rd", json!({"owner": "a"})).await;
    assert_ne!(again, rd);
    works(&app, "d", &["rd"]).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "a"]));
    assert_eq!(members(&app, &again).await, set(&["a", "b", "d"]));
}

#[tokio::test]
async fn a_department_has_one_group_whoever_makes_it() {
    let app = company("").await;
    let hr = app.client("hr", &["directory"]);
    let asked = json!({"owner": "owner", "name": null});
    let calls =
        futures_util::future::join_all((0..6).map(|_| hr.post("/departments/rd/group", asked.clone()))).await;
    assert_eq!(calls.iter().filter(|reply| reply.status == 201).count(), 1);
    let ids: BTreeSet<String> = calls.iter().map(|reply| text(&reply.body["channel_id"])).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel", &[]).await, 1, "nothing half made is left");
    hr.post("/departments/rd/group", json!({"owner": "owner", "below": true}))
        .await
        .expect_problem(409, "conflict");
    let shown = hr.get("/departments/rd/group").await.expect(200);
    assert_eq!(
        (&shown["member_count"], &shown["left_out"], &shown["owner"]),
        (&json!(3), &json!(0), &json!("owner"))
    );
    let owner = |reply: crate::support::Reply| reply.expect_problem(422, "invalid-field")["pointer"].clone();
    assert_eq!(
        owner(hr.post("/departments/be/group", json!({})).await),
        "/owner",
        "the caller is nobody of the directory"
    );
    assert_eq!(owner(hr.post("/departments/be/group", json!({"owner": "nobody"})).await), "/owner");
    let named = hr.post("/departments/be/group", json!({"owner": "a", "name": "x\n"})).await;
    assert_eq!(owner(named), "/name");
    hr.post("/departments/nowhere/group", json!({"owner": "a"})).await.expect_problem(404, "not-found");
    app.person("a").post("/departments/be/group", json!({})).await.expect_problem(403, "forbidden");
    app.client("a", &["admin"]).post("/departments/be/group", json!({})).await.expect(201);
}

#[tokio::test]
async fn whoever_does_not_fit_is_left_out_until_there_is_room() {
    let app = company("group_max_members = 3\n").await;
    let rd = made(&app, "rd", json!({"owner": "owner", "below": true})).await;
    let shown = async || app.client("hr", &["directory"]).get("/departments/rd/group").await.expect(200);
    assert_eq!(members(&app, &rd).await, set(&["owner", "a", "b"]));
    assert_eq!((&shown().await["member_count"], &shown().await["left_out"]), (&json!(3), &json!(1)));
    works(&app, "d", &["rd"]).await;
    app.until(BEHIND, 0).await;
    assert_eq!(shown().await["left_out"], 2);
    works(&app, "a", &[]).await;
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "b", "c"]));
    assert_eq!(shown().await["left_out"], 1);
}

/// A step of an older comparison that comes late changes nothing that a newer one has read.
#[tokio::test]
async fn an_older_comparison_does_not_slip_between_a_newer_one_and_its_steps() {
    const WAIT: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND wait_event_type = 'Lock' AND query LIKE '-- Locks a department group%'";
    let app = company(ALONE).await;
    let rd = made(&app, "rd", json!({"owner": "owner"})).await;
    app.until(BEHIND, 0).await;
    let mut sql = app.sql().await;
    let held = sql.transaction().await.unwrap();
    held.execute(
        "SELECT FROM t_im_channel WHERE channel_id = $1::bigint FOR UPDATE",
        &[&rd.parse::<i64>().unwrap()],
    )
    .await
    .unwrap();
    // The worker of the service has compared, and waits to add c.
    works(&app, "c", &["rd", "be"]).await;
    app.until(WAIT, 1).await;
    works(&app, "c", &["be"]).await;
    let newer = Groups::new(app.store.clone(), 10_000);
    let follows = tokio::spawn(async move { newer.tick().await });
    app.until(WAIT, 2).await;
    held.rollback().await.unwrap();
    follows.await.unwrap().unwrap();
    app.until(BEHIND, 0).await;
    assert_eq!(members(&app, &rd).await, set(&["owner", "a", "b"]));
}

/// Two replicas follow while people move, in groups that take several steps.
#[tokio::test]
async fn two_replicas_at_once_end_where_the_directory_does() {
    let app = company(ALONE).await;
    let rd = made(&app, "rd", json!({"owner": "owner"})).await;
    // Those of the service wake by a change told over the API, so there are more than two.
    let replicas = [Groups::new(app.store.clone(), 10_000), Groups::new(app.store.clone(), 10_000)];
    for round in 0..6 {
        let users: Vec<Value> = (0..2_500)
            .map(|i| {
                let works = if (i + round) % 2 == 0 { vec!["rd"] } else { vec![] };
                json!({"user_id": format!("m{i}"), "name": "m", "department_ids": works})
            })
            .collect();
        let told = told(&app, json!({"users": users}));
        let follows = |replica: usize| {
            let replica = &replicas[replica];
            async move {
                for _ in 0..20 {
                    replica.tick().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::join!(told, follows(0), follows(1));
    }
    while app.count(BEHIND, &[]).await > 0 {
        replicas[0].tick().await.unwrap();
    }
    let expected: BTreeSet<String> = (0..2_500)
        .filter(|i| (i + 5) % 2 == 0)
        .map(|i| format!("m{i}"))
        .chain(["owner", "a", "b"].map(String::from))
        .collect();
    assert_eq!(members(&app, &rd).await, expected);
    // Nobody is in it twice, and every interval that ended is whole.
    let twice = "SELECT count(*) FROM (SELECT user_id FROM t_im_channel_user WHERE to_seq IS NULL GROUP BY channel_id, user_id HAVING count(*) > 1) AS t";
    assert_eq!(app.count(twice, &[]).await, 0);
}

/// Whoever follows is broken off at any place; another goes on from there.
#[tokio::test]
async fn a_pass_that_is_broken_off_is_carried_on() {
    let app = company(ALONE).await;
    let rd = made(&app, "rd", json!({"owner": "owner"})).await;
    app.sql()
        .await
        .batch_execute(
            "INSERT INTO t_im_user (user_id, name, updated_at) SELECT 'm' || i, 'm', now() FROM generate_series(1, 6000) i;
             INSERT INTO t_im_department_user (department_id, user_id) SELECT 'rd', 'm' || i FROM generate_series(1, 6000) i;
             DELETE FROM t_im_department_user WHERE user_id = 'a';
             UPDATE t_im_directory_head SET revision = revision + 1",
        )
        .await
        .unwrap();
    let mut broken_off = 0;
    while app.count(BEHIND, &[]).await > 0 {
        let groups = Groups::new(app.store.clone(), 100_000);
        let patience = std::time::Duration::from_millis(20 * (broken_off + 1));
        if tokio::time::timeout(patience, groups.tick()).await.is_err() {
            broken_off += 1;
        }
    }
    assert!(broken_off > 0, "it was in the middle of it");
    assert_eq!(members(&app, &rd).await.len(), 6_002, "the owner, b and those who came");
    assert!(!members(&app, &rd).await.contains("a"));
}
