//! One bad record costs itself: each bad value, in each attribute, from each source.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::{Client, Roll};

/// What cannot be kept, as it stands between the quotes of a text of JSON.
const BAD: &[(&str, &[u8])] = &[
    ("high", b"a\\ud83d"),
    ("low", b"\\udc00b"),
    ("apart", b"\\ud83d-\\ude00"),
    ("nul", b"a\\u0000b"),
    ("latin", b"M\xfcller"),
    ("raw", b"a\x01b"),
    ("line", b"a\nb"),
];
/// Attributes of a person that a source tells.
const ATTRIBUTES: &[&str] = &[
    "id",
    "name",
    "login_name",
    "employee_number",
    "title",
    "email",
    "phone",
    "manager_id",
    "department_ids",
    "rev",
];

/// An entry in which one text is bad; a list of one where there are several.
fn entry(id: &str, attribute: &str, bad: &[u8]) -> Vec<u8> {
    let place = match attribute {
        "department_ids" => json!(["@"]),
        "id" => json!(format!("{id}@")),
        _ => json!("@"),
    };
    let mut entry = json!({"id": id, "name": "n"});
    entry[attribute] = place;
    spoiled(&entry, bad)
}

/// JSON with something else in the place of each `@`.
fn spoiled(value: &Value, bad: &[u8]) -> Vec<u8> {
    value.to_string().split('@').map(str::as_bytes).collect::<Vec<_>>().join(bad)
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["directory"])
}

/// Asks for everybody and waits for the end.
async fn run(app: &TestApp) -> Value {
    let asked = desk(app).post("/directory/sync", json!({})).await.expect(202);
    let run_id = text(&asked["run_id"]);
    let ended = "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND (ended_at IS NOT NULL OR state = 'held')";
    app.until_with(ended, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

/// Whose records a run has not taken, and why.
async fn problems(app: &TestApp, run: &Value) -> Vec<(String, String)> {
    let path = format!("/directory/runs/{}/problems?limit=200", text(&run["run_id"]));
    let items = app.all(&desk(app), &path).await;
    let text = |value: &Value| value.as_str().unwrap_or("nobody").to_owned();
    items.iter().map(|p| (text(&p["external_id"]), text(&p["detail"]))).collect()
}

async fn active(app: &TestApp, ids: &[&str]) -> i64 {
    app.count("SELECT count(*) FROM t_im_user WHERE active AND user_id = ANY ($1)", &[&ids]).await
}

#[tokio::test]
async fn each_bad_value_in_each_attribute_costs_that_entry_and_nothing_else() {
    let roll = Roll::start().await;
    roll.change("Groups", |groups| groups.put("rd", r#"{"id": "rd", "name": "R&D"}"#));
    roll.change("Users", |people| {
        people.put("first", r#"{"id": "first", "name": "F", "department_ids": ["rd"]}"#);
        people.put("leaver", r#"{"id": "leaver", "name": "L"}"#);
        for (name, bad) in BAD {
            for attribute in ATTRIBUTES {
                let id = format!("{name}-{attribute}");
                people.put(&id, entry(&id, attribute, bad));
            }
            let id = format!("gone-{name}");
            people.put(&id, spoiled(&json!({"id": format!("{id}@"), "deleted": true}), bad));
            let id = format!("{name}-elsewhere");
            people.put(&id, spoiled(&json!({"id": id, "name": "n", "hobbies": ["@"], "@": 1}), bad));
        }
        people.put("last", r#"{"id": "last", "name": "\ud83d\ude00 \\ud83d \"", "title": "\\"}"#);
    });
    let settings = "directory.page_size = 40\ndirectory.user_fields = { version = \"/rev\" }\n";
    let app = TestApp::start_with(&format!("{}{}{settings}", roll.hr("cursor"), roll.alone())).await;
    let done = run(&app).await;
    assert_eq!(done["state"], "done", "{done}");
    let told = problems(&app, &done).await;
    assert_eq!(told.len(), BAD.len() * (ATTRIBUTES.len() + 1), "{told:?}");
    for (id, detail) in &told {
        assert!(!id.contains(char::is_control) && !detail.contains(char::is_control), "{id:?}: {detail:?}");
        let attribute = match id.split_once('-').map_or("", |(_, attribute)| attribute) {
            "rev" => "version",
            "manager_id" => "manager",
            named if ATTRIBUTES.contains(&named) => named,
            // Who it is.
            _ => "user_id",
        };
        assert!(detail.starts_with(attribute), "{id:?}: {detail}");
    }
    assert_eq!(active(&app, &["first", "last", "leaver"]).await, 3);
    let elsewhere = "SELECT count(*) FROM t_im_user WHERE user_id LIKE '%-elsewhere' AND active";
    assert_eq!(app.count(elsewhere, &[]).await, BAD.len() as i64, "what is not read is not bad");
    let whole = "SELECT count(*) FROM t_im_user WHERE name = E'\\U0001F600 \\\\ud83d \"' AND title = E'\\\\'";
    assert_eq!(app.count(whole, &[]).await, 1, "a whole pair and what looks like a half are text");

    // They hold up nobody's leaving either.
    roll.change("Users", |people| people.remove("leaver"));
    assert_eq!(run(&app).await["state"], "done");
    assert_eq!(active(&app, &["first", "last", "leaver"]).await, 2);
}

#[tokio::test]
async fn a_bad_department_costs_none_of_its_people() {
    let roll = Roll::start().await;
    let settings = [
        (roll.hr("index"), "name", json!({"id": "x", "name": "n", "parent_id": "@"})),
        (roll.scim(), "displayName", json!({"id": "x", "displayName": "@"})),
    ];
    for (settings, name, entry) in settings {
        roll.change("Groups", |groups| {
            groups.entries.clear();
            groups.put("rd", json!({"id": "rd", name: "R&D", "members": [{"value": "zs"}]}).to_string());
            for (bad, text) in BAD {
                let members = json!([{"value": "zs"}, {"value": "@"}]);
                let id = format!("{bad}@");
                groups.put(bad, spoiled(&json!({"id": id, name: "n", "members": members}), text));
                let mut entry = entry.clone();
                entry["id"] = json!(format!("of-{bad}"));
                groups.put(&format!("of-{bad}"), spoiled(&entry, text));
            }
            groups.put("qa", json!({"id": "qa", name: "QA"}).to_string());
        });
        roll.change("Users", |people| {
            people
                .put("zs", json!({"id": "zs", "userName": "zs", "name": "Z", "displayName": "Z"}).to_string())
        });
        let app = TestApp::start_with(&settings).await;
        let done = run(&app).await;
        assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(2 * BAD.len())), "{done}");
        let kept =
            "SELECT count(*) FROM t_im_department WHERE department_id IN ('rd', 'qa') AND removed_at IS NULL";
        assert_eq!(app.count(kept, &[]).await, 2);
        assert_eq!(active(&app, &["zs"]).await, 1);
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_at_all_is_one_problem() {
    let roll = Roll::start().await;
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    roll.change("Users", |people| {
        people.put("zs", r#"{"id": "zs", "name": "Z"}"#);
        people.put("large", r#"{"id": "large", "name": "n", "salary": 1e999}"#);
        people.put("deep", format!(r#"{{"id": "deep", "name": "n", "more": {deep}}}"#));
        people.put("text", r#""text""#);
        people.put("mw", r#"{"id": "mw", "name": "M"}"#);
    });
    let app = TestApp::start_with(&format!("{}{}", roll.hr("cursor"), roll.alone())).await;
    let done = run(&app).await;
    assert_eq!((&done["state"], &done["problems"]), (&json!("done"), &json!(3)), "{done}");
    assert_eq!(active(&app, &["zs", "mw"]).await, 2);
    // Read alone, too, it spoils nothing for the others that are named.
    roll.change("Users", |people| people.put("mw", r#"{"id": "mw", "name": "Maria"}"#));
    let named = json!({"user_ids": ["large", "zs", "mw"]});
    desk(&app).post("/directory/changes", named).await.expect(200);
    app.until("SELECT count(*) FROM t_im_user WHERE name = 'Maria'", 1).await;
}

#[tokio::test]
async fn a_step_that_the_database_refuses_fails_the_run_with_its_reason() {
    let roll = Roll::start().await;
    roll.change("Users", |people| {
        for id in ["a", "b", "c"] {
            people.put(id, json!({"id": id, "name": id}).to_string());
        }
    });
    let settings = "directory.page_size = 1\ndirectory.run_attempts = 3\ndirectory.run_retry_base_ms = 20\n";
    let app = TestApp::start_with(&format!("{}{settings}", roll.hr("cursor"))).await;
    let refuse = |code: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$; \
             DROP TRIGGER IF EXISTS refuse ON t_im_stage_user; \
             CREATE TRIGGER refuse BEFORE INSERT ON t_im_stage_user FOR EACH ROW WHEN (NEW.external_id = 'b') \
             EXECUTE FUNCTION refuse()"
        )
    };
    for (code, attempts) in [("22000", 1), ("XX000", 3), ("57014", 3)] {
        app.sql().await.batch_execute(&refuse(code)).await.expect("a trigger");
        let asked = Instant::now();
        let failed = run(&app).await;
        assert_eq!(failed["state"], "failed", "{failed}");
        let detail = text(&failed["detail"]);
        assert!(detail.contains(&format!("attempt {attempts}:")) && detail.ends_with(code), "{detail}");
        // Good pages before it shorten no pause: 20 and 40 ms.
        let least = Duration::from_millis(if attempts > 1 { 60 } else { 0 });
        assert!((least..LONG).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    }
    app.sql().await.batch_execute("DROP TRIGGER refuse ON t_im_stage_user").await.expect("no trigger");
    assert_eq!(run(&app).await["state"], "done");
}

/// Posts bytes as they are, with somebody's word; the status and the answer.
async fn post(method: &str, url: &str, body: Vec<u8>) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let request = client.request(method, url).header("content-type", "application/json").body(body);
    let request = request.header("x-user-id", "idp").header("x-user-roles", "directory");
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_bad_record_told_over_the_api_is_named_and_the_others_are_stored() {
    const NAMES: &[&str] =
        &["user_id", "name", "login_name", "title", "email", "manager", "department_ids", "more"];
    let app = TestApp::start().await;
    let url = format!("{}/api/v1/directory/changes", app.base);
    // Bytes that are no UTF-8 and raw control characters make the whole body no JSON: nothing is stored.
    for (name, bad) in &BAD[..4] {
        for attribute in NAMES {
            let id = format!("{name}-{attribute}");
            let mut user = json!({"user_id": id, "name": "n"});
            user[*attribute] = if *attribute == "department_ids" { json!(["@"]) } else { json!("@") };
            let department = json!({"department_id": "@", "name": "n"});
            let good = [format!("before-{id}"), format!("after-{id}")];
            let users = json!([{"user_id": good[0], "name": "n"}, user, {"user_id": good[1], "name": "n"}]);
            let body =
                json!({"users": users, "departments": [department, {"department_id": "rd", "name": "R"}]});
            let (status, answer) = post("POST", &url, spoiled(&body, bad)).await;
            assert_eq!((status, &answer["users"]["applied"]), (200, &json!(2)), "{id}: {answer}");
            assert_eq!(answer["departments"]["applied"], 1, "{id}: {answer}");
            let at: Vec<&str> = answer["problems"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|p| p["pointer"].as_str())
                .collect();
            assert_eq!(at.len(), 2, "{id}: {answer}");
            assert!(at[0].starts_with("/departments/0") || at[1].starts_with("/departments/0"), "{answer}");
            assert!(at.iter().any(|at| at.starts_with("/users/1")), "{id}: {answer}");
            assert_eq!(active(&app, &[&good[0], &good[1]]).await, 2, "{id}");
        }
    }
    for (name, bad) in &BAD[4..] {
        let users = json!([{"user_id": format!("whole-{name}"), "name": "n"}, {"user_id": "b", "name": "@"}]);
        let (status, answer) = post("POST", &url, spoiled(&json!({"users": users}), bad)).await;
        assert_eq!(status, 400, "{answer}");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_user WHERE user_id LIKE 'whole-%'", &[]).await, 0);
}

#[tokio::test]
async fn a_scim_client_that_tells_what_cannot_be_kept_is_told_so() {
    let app = TestApp::start().await;
    let base = format!("{}/scim/v2", app.base);
    let user = "urn:ietf:params:scim:schemas:core:2.0:User";
    let group = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let (status, there) =
        post("POST", &format!("{base}/Users"), spoiled(&json!({"schemas": [user], "userName": "zs"}), b""))
            .await;
    assert_eq!(status, 201, "{there}");
    let one = format!("{base}/Users/{}", text(&there["id"]));
    for (_, bad) in BAD {
        for attribute in ["userName", "displayName", "title", "externalId", "nickName"] {
            let mut told = json!({"schemas": [user], "userName": "new"});
            told[attribute] = json!("@");
            for (method, url) in [("POST", format!("{base}/Users")), ("PUT", one.clone())] {
                let (status, answer) = post(method, &url, spoiled(&told, bad)).await;
                assert_eq!(status, 400, "{method} {attribute} {bad:?}: {answer}");
            }
        }
        let members = json!({"schemas": [group], "displayName": "g", "members": [{"value": "@"}]});
        let name = json!({"schemas": [group], "displayName": "@"});
        for told in [members, name] {
            let (status, answer) = post("POST", &format!("{base}/Groups"), spoiled(&told, bad)).await;
            assert_eq!(status, 400, "{bad:?}: {answer}");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_user", &[]).await, 1, "nothing of it was stored");
}
