//! People of a SCIM server of another make: they come in, and edits of them go out.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::{Client, ScimServer};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A server with two people in a group, and a service that knows them.
async fn company() -> (ScimServer, TestApp, [String; 3]) {
    let scim = ScimServer::start().await;
    let zs = scim
        .hire(
            "zs",
            json!({
                "displayName": "张三",
                "title": "engineer",
                "emails": [{"value": "zs@home.example"}, {"value": "zs@corp.example", "primary": true}],
                ENTERPRISE: {"employeeNumber": "77"},
            }),
        )
        .await;
    let mw = scim
        .hire("mw", json!({"name": {"formatted": "Maria Weber"}, ENTERPRISE: {"manager": {"value": zs}}}))
        .await;
    let rd = scim.group("研发部", &[&zs, &mw]).await;
    let app = TestApp::start_with(&format!("{}directory.page_size = 1\n", scim.settings())).await;
    let done = run(&app).await;
    assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(0)), "{done}");
    (scim, app, [zs, mw, rd])
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["directory"])
}

async fn run(app: &TestApp) -> Value {
    let asked = desk(app).post("/directory/sync", json!({})).await.expect(202);
    let run_id = text(&asked["run_id"]);
    let ended =
        "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND ended_at IS NOT NULL";
    app.until_with(ended, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

/// Somebody as they are here: these attributes, and where they work.
async fn person(app: &TestApp, id: &str) -> Value {
    let sql = "SELECT jsonb_build_object('name', name, 'active', active, 'login_name', login_name, 'title', title, \
               'email', email, 'phone', phone, 'manager', manager, 'employee_number', employee_number, \
               'works_in', ARRAY(SELECT d.name FROM t_im_department_user JOIN t_im_department d USING (department_id) \
                                 WHERE user_id = u.user_id ORDER BY 1)) FROM t_im_user u WHERE user_id = $1";
    app.sql().await.query_one(sql, &[&id]).await.expect("somebody").get(0)
}

/// Edits somebody and waits until it is through.
async fn edit(app: &TestApp, id: &str, changes: Value) -> Value {
    let reply = desk(app).patch(&format!("/users/{id}"), changes).await.expect(202);
    let edit_id = text(&reply["edit"]["edit_id"]);
    let ended =
        "SELECT count(*) FROM t_im_directory_edit WHERE edit_id = $1::text::bigint AND ended_at IS NOT NULL";
    app.until_with(ended, &[&edit_id], 1).await;
    let edits = desk(app).get(&format!("/users/{id}/edits")).await.expect(200);
    edits["items"][0].clone()
}

#[tokio::test]
async fn joiners_renames_movers_and_leavers_come_from_a_scim_server() {
    let (scim, app, [zs, mw, rd]) = company().await;
    assert_eq!(
        person(&app, &zs).await,
        json!({"name": "张三", "active": true, "login_name": "zs", "title": "engineer", "email": "zs@corp.example",
               "phone": null, "manager": null, "employee_number": "77", "works_in": ["研发部"]})
    );
    let maria = person(&app, &mw).await;
    assert_eq!((&maria["name"], &maria["manager"]), (&json!("Maria Weber"), &json!(zs)));

    let li = scim.hire("ls", json!({"displayName": "李四"})).await;
    scim.patch(&format!("/Users/{zs}"), json!({"op": "replace", "path": "displayName", "value": "张三丰"}))
        .await;
    scim.patch(
        &format!("/Groups/{rd}"),
        json!({"op": "remove", "path": format!("members[value eq \"{mw}\"]")}),
    )
    .await;
    scim.group("QA", &[&mw, &li]).await;
    run(&app).await;
    assert_eq!(person(&app, &zs).await["name"], "张三丰");
    assert_eq!(person(&app, &mw).await["works_in"], json!(["QA"]));
    assert_eq!(person(&app, &li).await["works_in"], json!(["QA"]));

    // One has been let go, another one is no more; a group is given up.
    scim.patch(&format!("/Users/{li}"), json!({"op": "replace", "path": "active", "value": false})).await;
    scim.remove(&format!("/Users/{mw}")).await;
    scim.patch(&format!("/Groups/{rd}"), json!({"op": "replace", "path": "displayName", "value": "R&D"}))
        .await;
    run(&app).await;
    assert_eq!(
        (&person(&app, &li).await["active"], &person(&app, &mw).await["active"]),
        (&json!(false), &json!(false))
    );
    let gone = "SELECT count(*) FROM t_im_user WHERE deleted_at IS NOT NULL";
    assert_eq!(app.count(gone, &[]).await, 1);
    assert_eq!(person(&app, &zs).await["works_in"], json!(["R&D"]));

    // Whom a trigger names is read alone, and works where they did.
    scim.patch(&format!("/Users/{zs}"), json!({"op": "replace", "path": "title", "value": "architect"}))
        .await;
    desk(&app).post("/directory/changes", json!({"user_ids": [zs]})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_user WHERE title = 'architect'", 1).await;
    assert_eq!(person(&app, &zs).await["works_in"], json!(["R&D"]));
    assert_eq!(run(&app).await["counts"]["users"], json!({"same": 2}));
}

#[tokio::test]
async fn edits_go_out_to_a_scim_server_under_its_versions() {
    let (scim, app, [zs, mw, _]) = company().await;
    let changes = json!({"name": "张三丰", "title": null, "email": "zsf@corp.example", "phone": "102",
                         "employee_number": "78", "manager": mw, "login_name": "zsf"});
    let done = edit(&app, &zs, changes).await;
    assert_eq!(
        (&done["state"], &done["detail"], &done["attempts"]),
        (&json!("applied"), &Value::Null, &json!(1))
    );
    let user = scim.get(&format!("/Users/{zs}")).await;
    assert_eq!(
        (&user["displayName"], &user["userName"], &user["title"]),
        (&json!("张三丰"), &json!("zsf"), &Value::Null)
    );
    let emails: Vec<&Value> =
        user["emails"].as_array().expect("emails").iter().map(|e| &e["value"]).collect();
    assert_eq!(emails, ["zs@home.example", "zsf@corp.example"], "only the one that is ours to know");
    assert_eq!(user["phoneNumbers"][0]["value"], "102");
    assert_eq!(
        (&user[ENTERPRISE]["employeeNumber"], &user[ENTERPRISE]["manager"]["value"]),
        (&json!("78"), &json!(mw))
    );
    let here = person(&app, &zs).await;
    assert_eq!(
        (&here["name"], &here["phone"], &here["works_in"]),
        (&json!("张三丰"), &json!("102"), &json!(["研发部"]))
    );
    assert_eq!(run(&app).await["counts"]["users"], json!({"same": 2}), "its echo is no edit");
    let done = edit(&app, &zs, json!({"phone": null, "active": false, "manager": null})).await;
    assert_eq!((&done["state"], &done["detail"]), (&json!("applied"), &Value::Null), "{done}");
    let user = scim.get(&format!("/Users/{zs}")).await;
    assert!(user["phoneNumbers"].as_array().is_none_or(Vec::is_empty), "{user}");
    assert_eq!(user["active"], false);

    // Somebody was there before us: another attribute, and the same one.
    scim.patch(&format!("/Users/{mw}"), json!({"op": "replace", "path": "title", "value": "lead"})).await;
    assert_eq!(edit(&app, &mw, json!({"phone": "201"})).await["state"], "applied");
    assert_eq!(person(&app, &mw).await["title"], "lead");
    scim.patch(&format!("/Users/{mw}"), json!({"op": "replace", "path": "title", "value": "head"})).await;
    let conflict = edit(&app, &mw, json!({"title": "chief"})).await;
    assert_eq!((&conflict["state"], &conflict["theirs"]), (&json!("conflict"), &json!({"title": "head"})));
    assert_eq!(scim.get(&format!("/Users/{mw}")).await["title"], "head");
    // Membership is changed at the Groups, and what is not so there is not kept.
    let refused = desk(&app).patch(&format!("/users/{mw}"), json!({"department_ids": []})).await;
    assert_eq!(refused.expect_problem(409, "conflict")["pointer"], "/department_ids");
    let taken = edit(&app, &mw, json!({"login_name": "zsf"})).await;
    assert_eq!((&taken["state"], &taken["detail"]), (&json!("refused"), &json!("the source answers 409")));
    scim.remove(&format!("/Users/{mw}")).await;
    assert_eq!(edit(&app, &mw, json!({"phone": "202"})).await["state"], "refused");
}
