//! Edits of people: at once where they are ours to say, and else by way of the HR service, under whatever
//! version of them it was that was seen.

mod killed;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::{TestApp, database, text};
use crate::delivery::callbacks::OPEN;
use crate::support::{Client, Hr, Mood};

const PENDING: &str = "SELECT count(*) FROM t_im_directory_edit WHERE ended_at IS NULL";
const UPDATED: &str = "SELECT count(*) FROM t_im_event WHERE type = 'user.updated'";

/// An HR service with three people, and the settings of a service that writes there.
async fn hr() -> Hr {
    let hr = Hr::start().await;
    {
        let mut books = hr.books();
        books.put_department(json!({"id": "rd", "name": "研发部"}));
        for (id, name) in [("e1", "张三"), ("e2", "李四"), ("e3", "王五")] {
            books.put(json!({"id": id, "name": name, "phone": "100", "title": "engineer",
                             "department_ids": ["rd"]}));
        }
    }
    hr
}

async fn company() -> (Hr, TestApp) {
    company_with("").await
}

async fn company_with(settings: &str) -> (Hr, TestApp) {
    let hr = hr().await;
    let app = start(&format!("{}{settings}", hr.write_settings())).await;
    (hr, app)
}

/// Everybody is there, and from then on somebody wants to be told who is changed.
async fn start(settings: &str) -> TestApp {
    let app = TestApp::start_with(&format!("{settings}{OPEN}")).await;
    run(&app, "full").await;
    let observer = json!({"url": "http://127.0.0.1:9/", "event_types": ["user.updated"]});
    let id = text(&root(&app).post("/callbacks", observer).await.expect(201)["callback_id"]);
    root(&app).patch(&format!("/callbacks/{id}"), json!({"state": "paused"})).await.expect(200);
    app
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["directory"])
}

fn root(app: &TestApp) -> Client {
    app.client("root", &["admin"])
}

async fn run(app: &TestApp, mode: &str) -> Value {
    let asked = desk(app).post("/directory/sync", json!({"mode": mode})).await.expect(202);
    let run_id = text(&asked["run_id"]);
    let ended =
        "SELECT count(*) FROM t_im_directory_run WHERE run_id = $1::text::bigint AND ended_at IS NOT NULL";
    app.until_with(ended, &[&run_id], 1).await;
    desk(app).get(&format!("/directory/runs/{run_id}")).await.expect(200)
}

/// Has HR change somebody by way of us; returns the id of the edit.
async fn edit(app: &TestApp, user_id: &str, changes: Value) -> String {
    let reply = desk(app).patch(&format!("/users/{user_id}"), changes).await.expect(202);
    text(&reply["edit"]["edit_id"])
}

async fn shown(app: &TestApp, edit_id: &str) -> Value {
    let edits = app.all(&desk(app), "/directory/edits").await;
    edits.into_iter().find(|edit| edit["edit_id"] == edit_id).expect("the edit")
}

/// Waits until an edit is in this state, and shows it.
async fn until(app: &TestApp, edit_id: &str, state: &str) -> Value {
    let sql = "SELECT count(*) FROM t_im_directory_edit WHERE edit_id = $1::text::bigint AND state = $2";
    app.until_with(sql, &[&edit_id, &state], 1).await;
    shown(app, edit_id).await
}

async fn phone(app: &TestApp, user_id: &str) -> Option<String> {
    let sql = "SELECT phone FROM t_im_user WHERE user_id = $1";
    app.sql().await.query_one(sql, &[&user_id]).await.expect("somebody").get(0)
}

/// How often it was told that somebody is changed.
async fn told(app: &TestApp) -> i64 {
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    app.count(UPDATED, &[]).await
}

fn assert_guarded(hr: &Hr) {
    let books = hr.books();
    assert!(books.patches.iter().all(|patch| patch.if_match.is_some()), "{:?}", books.patches);
}

/// Every call about edits, answered with success.
pub async fn exercise() {
    let (hr, app) = company().await;
    hr.books().moods.extend([Mood::Answer(422, None), Mood::Answer(422, None)]);
    let first = edit(&app, "e1", json!({"phone": "102"})).await;
    until(&app, &first, "refused").await;
    let own = app.person("e1").patch("/users/me", json!({"phone": "103"})).await.expect(202);
    let second = text(&own["edit"]["edit_id"]);
    until(&app, &second, "refused").await;
    app.person("e1").get("/users/e1/edits").await.expect(200);
    root(&app).post(&format!("/directory/edits/{first}/retry"), json!({})).await.expect(200);
    root(&app).post(&format!("/directory/edits/{second}/cancel"), json!({})).await.expect(200);
}

#[tokio::test]
async fn what_is_ours_to_say_is_so_at_once() {
    let (hr, app) = company().await;
    app.people(&["a", "b"]).await;
    // Whom only the API has told of is all ours.
    let changes = json!({"name": "Anna", "phone": "1", "manager": "b", "department_ids": ["rd"]});
    let done = desk(&app).patch("/users/a", changes.clone()).await.expect(200);
    assert_eq!(done, json!({"user_id": "a", "applied": changes, "edit": null}));
    let is = "SELECT count(*) FROM t_im_user WHERE user_id = 'a' AND name = 'Anna' AND manager = 'b' AND department_id = 'rd'";
    assert_eq!(app.count(is, &[]).await, 1);
    desk(&app).patch("/users/a", json!({"phone": null, "manager": null})).await.expect(200);
    assert_eq!(phone(&app, "a").await, None);
    desk(&app).patch("/users/a", json!({"active": false})).await.expect(200);
    app.person("a").get("/conversations").await.expect_problem(403, "unknown-user");
    // Of whom HR owns, what directory.local names.
    let done = app.person("e1").patch("/users/me", json!({"head_icon": "/e1.png"})).await.expect(200);
    assert_eq!(done["edit"], Value::Null);
    run(&app, "full").await;
    let icon = "SELECT count(*) FROM t_im_user WHERE user_id = 'e1' AND head_icon = '/e1.png'";
    assert_eq!(app.count(icon, &[]).await, 1);
    assert!(hr.books().patches.is_empty());
}

#[tokio::test]
async fn what_cannot_be_so_is_refused_and_changes_nothing() {
    let (_hr, app) = company().await;
    app.people(&["a"]).await;
    for (body, pointer) in [
        (json!({"nick": "x"}), "/nick"),
        (json!({"user_id": "x"}), "/user_id"),
        (json!({"name": null}), "/name"),
        (json!({"name": " x"}), "/name"),
        (json!({"active": "no"}), "/active"),
        (json!({"phone": 5}), "/phone"),
        (json!({"phone": "1", "email": "\u{7}"}), "/email"),
        (json!({"manager": "nobody"}), "/manager"),
        (json!({"manager": "e1"}), "/manager"),
        (json!({"phone": "1", "department_ids": ["rd", "nowhere"]}), "/department_ids/1"),
        (json!({"department_ids": ["rd", "rd"]}), "/department_ids"),
    ] {
        let problem = desk(&app).patch("/users/a", body).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer);
    }
    assert_eq!(phone(&app, "a").await, None);
    desk(&app).patch("/users/a", json!({})).await.expect_problem(422, "invalid-field");
    desk(&app).patch("/users/nobody", json!({"name": "x"})).await.expect_problem(404, "not-found");
    app.person("a").patch("/users/e1", json!({"name": "x"})).await.expect_problem(403, "forbidden");
    let refused = app.person("a").patch("/users/me", json!({"name": "x"})).await;
    assert_eq!(refused.expect_problem(403, "forbidden")["pointer"], "/name");
    app.person("a").get("/users/e1/edits").await.expect_problem(403, "forbidden");
    app.person("a").get("/directory/edits").await.expect_problem(403, "forbidden");
    desk(&app).get("/directory/edits?state=new").await.expect_problem(400, "invalid-parameter");
    root(&app).post("/directory/edits/9/retry", json!({})).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_the_directory_owns_is_refused_where_nothing_is_written() {
    let hr = hr().await;
    let app = start(&hr.settings()).await;
    let body = json!({"head_icon": "/x.png", "phone": "1"});
    let refused = app.person("e1").patch("/users/me", body).await.expect_problem(409, "conflict");
    assert_eq!(refused["pointer"], "/phone");
    let icons = "SELECT count(*) FROM t_im_user WHERE head_icon IS NOT NULL";
    assert_eq!(app.count(icons, &[]).await, 0, "all or nothing");
}

#[tokio::test]
async fn an_edit_is_written_and_its_echo_is_not_told_again() {
    let (hr, app) = company().await;
    assert_eq!(told(&app).await, 0);
    // Part of it is ours, part of it is not.
    let body = json!({"head_icon": "/e1.png", "phone": "102"});
    let reply = app.person("e1").patch("/users/me", body).await.expect(202);
    assert_eq!(reply["applied"], json!({"head_icon": "/e1.png"}));
    let pending = &reply["edit"];
    assert_eq!((&pending["state"], &pending["asked_by"]), (&json!("waiting"), &json!("e1")));
    let edit_id = text(&pending["edit_id"]);
    let done = until(&app, &edit_id, "applied").await;
    assert_eq!((&done["attributes"], &done["base"]), (&json!({"phone": "102"}), &json!({"phone": "100"})));
    assert_eq!((&done["detail"], &done["attempts"]), (&Value::Null, &json!(1)));
    assert_eq!(hr.books().of("e1", "phone"), "102");
    assert_eq!(hr.books().of("e1", "title"), "engineer", "and nothing else");
    assert_eq!(phone(&app, "e1").await.as_deref(), Some("102"));
    assert_eq!(told(&app).await, 2, "the icon, and the telephone");
    // It comes back by runs, and is no edit.
    let done = run(&app, "incremental").await;
    assert_eq!((&done["staged"], &done["counts"]["users"]), (&json!(1), &json!({"same": 1})), "{done}");
    run(&app, "full").await;
    assert_eq!(told(&app).await, 2);
    let own = app.person("e1").get("/users/e1/edits").await.expect(200);
    assert_eq!(own["items"][0]["edit_id"], json!(edit_id));
    // What is so already is not sent.
    let same = desk(&app).patch("/users/e1", json!({"phone": "102"})).await.expect(200);
    assert_eq!((&same["applied"], &same["edit"]), (&json!({"phone": "102"}), &Value::Null));
    // Lists, null, and somebody who is named as HR names them.
    let id = edit(&app, "e2", json!({"title": null, "manager": "e1", "department_ids": []})).await;
    until(&app, &id, "applied").await;
    let patch = hr.books().patches.last().expect("a change").body.clone();
    assert_eq!(patch, json!({"title": null, "manager_id": "e1", "department_ids": []}));
    assert_guarded(&hr);
}

#[tokio::test]
async fn a_change_that_was_made_there_meanwhile_is_a_conflict_and_kept() {
    // The version is known from the listing, so the edit goes out on what is known here.
    let (hr, app) = company_with("directory.user_fields = { version = \"/etag\" }\n").await;
    hr.books().set("e1", "phone", json!("101"));
    let id = edit(&app, "e1", json!({"phone": "102"})).await;
    let conflict = until(&app, &id, "conflict").await;
    assert_eq!(conflict["theirs"], json!({"phone": "101"}));
    assert_eq!(hr.books().of("e1", "phone"), "101");
    assert_eq!(phone(&app, "e1").await.as_deref(), Some("101"), "what HR says is so");
    let statuses = |hr: &Hr| hr.books().patches.iter().map(|patch| patch.status).collect::<Vec<_>>();
    assert_eq!(statuses(&hr), [Some(412)]);
    // By hand, over what was shown; but not over what nobody has seen.
    desk(&app)
        .post(&format!("/directory/edits/{id}/retry"), json!({}))
        .await
        .expect_problem(403, "forbidden");
    hr.books().set("e1", "phone", json!("103"));
    root(&app).post(&format!("/directory/edits/{id}/retry"), json!({})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_directory_edit WHERE state = 'conflict' AND theirs = '{\"phone\": \"103\"}'", 1)
        .await;
    root(&app).post(&format!("/directory/edits/{id}/retry"), json!({})).await.expect(200);
    until(&app, &id, "applied").await;
    assert_eq!(hr.books().of("e1", "phone"), "102");
    root(&app).post(&format!("/directory/edits/{id}/retry"), json!({})).await.expect_problem(409, "conflict");
    // Another one, and HR's word stays.
    hr.books().set("e1", "phone", json!("105"));
    let id = edit(&app, "e1", json!({"phone": "104"})).await;
    until(&app, &id, "conflict").await;
    let conflicts = desk(&app).get("/directory/edits?state=conflict").await.expect(200);
    assert_eq!(conflicts["items"].as_array().expect("items").len(), 1);
    let cancelled = root(&app).post(&format!("/directory/edits/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!((&cancelled["state"], &cancelled["detail"]), (&json!("cancelled"), &json!("by root")));
    root(&app)
        .post(&format!("/directory/edits/{id}/cancel"), json!({}))
        .await
        .expect_problem(409, "conflict");
    assert_eq!(hr.books().of("e1", "phone"), "105");
    assert_guarded(&hr);
}

#[tokio::test]
async fn another_attribute_that_was_changed_there_is_no_conflict() {
    let (hr, app) = company_with("directory.user_fields = { version = \"/etag\" }\n").await;
    hr.books().set("e1", "title", json!("architect"));
    let id = edit(&app, "e1", json!({"phone": "102"})).await;
    until(&app, &id, "applied").await;
    let statuses: Vec<_> = hr.books().patches.iter().map(|patch| patch.status).collect();
    assert_eq!(statuses, [Some(412), Some(200)], "once on what was known, once on what was read");
    let versions: Vec<_> = hr.books().patches.iter().map(|patch| patch.if_match.clone()).collect();
    assert!(versions[0].is_some() && versions[0] != versions[1], "{versions:?}");
    assert_eq!(hr.books().of("e1", "phone"), "102");
    assert_eq!(hr.books().of("e1", "title"), "architect");
    let both =
        "SELECT count(*) FROM t_im_user WHERE user_id = 'e1' AND phone = '102' AND title = 'architect'";
    assert_eq!(app.count(both, &[]).await, 1);
    assert_eq!(told(&app).await, 1);
    // The same edit made there needs none here.
    hr.books().set("e2", "phone", json!("202"));
    let id = edit(&app, "e2", json!({"phone": "202"})).await;
    until(&app, &id, "applied").await;
}

#[tokio::test]
async fn an_attribute_is_written_where_the_settings_say_it_stands() {
    let fields =
        "{ phone = \"/contact/phone|/phone\", email = \"/contact/mail\", title = \"/jobs/0/title\" }";
    let (hr, app) = company_with(&format!("directory.user_fields = {fields}\n")).await;
    assert_eq!(phone(&app, "e1").await.as_deref(), Some("100"), "the first place that has any");
    let id = edit(&app, "e1", json!({"phone": "102", "email": "zs@corp.example"})).await;
    until(&app, &id, "applied").await;
    assert_eq!(hr.books().of("e1", "contact"), json!({"phone": "102", "mail": "zs@corp.example"}));
    assert_eq!(hr.books().of("e1", "phone"), "100");
    assert_eq!(phone(&app, "e1").await.as_deref(), Some("102"));
    // Taken there, but what we read of it is not what was asked for: that is said, and what they say is so.
    let id = edit(&app, "e1", json!({"phone": null})).await;
    assert_eq!(until(&app, &id, "applied").await["detail"], "the source has stored another value");
    assert_eq!(hr.books().of("e1", "contact"), json!({"mail": "zs@corp.example"}));
    assert_eq!(phone(&app, "e1").await.as_deref(), Some("100"));
    // Nobody knows which place of a list is whose.
    let refused = desk(&app).patch("/users/e1", json!({"title": "architect"})).await;
    assert_eq!(refused.expect_problem(409, "conflict")["pointer"], "/title");
    assert_guarded(&hr);
}

#[tokio::test]
async fn edits_of_a_person_go_one_after_another_on_any_replica() {
    let hr = hr().await;
    let database = database().await;
    let first = TestApp::start_on(database.clone(), &hr.write_settings()).await;
    let second = TestApp::start_on(database, &hr.write_settings()).await;
    run(&first, "full").await;
    {
        // Some are answered badly, and those after them wait.
        let mut books = hr.books();
        books.moods.extend([
            Mood::Answer(503, None),
            Mood::Lost,
            Mood::Answer(500, None),
            Mood::Answer(429, None),
        ]);
    }
    for number in 0..10 {
        for (app, person) in [(&first, "e1"), (&second, "e2"), (&first, "e3")] {
            edit(app, person, json!({"phone": format!("{person}-{number}")})).await;
        }
    }
    first.until(PENDING, 0).await;
    let applied = "SELECT count(*) FROM t_im_directory_edit WHERE state = 'applied'";
    assert_eq!(first.count(applied, &[]).await, 30);
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for patch in hr.books().patches.iter().filter(|patch| [None, Some(200)].contains(&patch.status)) {
        seen.entry(patch.id.clone()).or_default().push(text(&patch.body["phone"]));
    }
    for (person, phones) in &mut seen {
        phones.dedup();
        let wanted: Vec<String> = (0..10).map(|number| format!("{person}-{number}")).collect();
        assert_eq!(*phones, wanted);
        assert_eq!(hr.books().of(person, "phone"), json!(format!("{person}-9")));
        assert_eq!(phone(&first, person).await, Some(format!("{person}-9")));
    }
    assert_guarded(&hr);
}

#[tokio::test]
async fn an_outage_is_waited_out_and_one_person_holds_up_nobody_else() {
    let (hr, app) = company().await;
    hr.books().moods.extend([Mood::Silent; 2]);
    let slow = edit(&app, "e1", json!({"phone": "102"})).await;
    app.until("SELECT count(*) FROM t_im_directory_edit WHERE state = 'sent'", 1).await;
    until(&app, &slow, "waiting").await;
    hr.books().dies_after(0);
    let other = edit(&app, "e2", json!({"phone": "202"})).await;
    let tried = "SELECT count(*) FROM t_im_directory_edit WHERE edit_id = $1::text::bigint AND failures >= 3";
    app.until_with(tried, &[&other], 1).await;
    assert_eq!(shown(&app, &other).await["detail"], "the source answers 502");
    assert_eq!(phone(&app, "e2").await.as_deref(), Some("100"), "until HR has it");
    hr.books().comes_back();
    until(&app, &other, "applied").await;
    until(&app, &slow, "applied").await;
    assert_guarded(&hr);
}

#[tokio::test]
async fn a_source_may_ask_to_be_left_alone_for_longer() {
    let (hr, app) = company().await;
    hr.books().moods.push_back(Mood::Answer(429, Some(600)));
    let id = edit(&app, "e1", json!({"phone": "102"})).await;
    let later = "SELECT count(*) FROM t_im_directory_edit WHERE state = 'waiting' AND due_at > now() + interval '9 minutes'";
    app.until(later, 1).await;
    assert_eq!(shown(&app, &id).await["detail"], "the source answers 429");
    // An admin need not wait.
    root(&app).post(&format!("/directory/edits/{id}/retry"), json!({})).await.expect(200);
    until(&app, &id, "applied").await;
}

#[tokio::test]
async fn what_is_not_taken_in_time_has_failed_and_is_shown() {
    let (hr, app) = company_with("directory.edit_give_up_ms = 1\n").await;
    hr.books().dies_after(0);
    let id = edit(&app, "e1", json!({"phone": "102"})).await;
    assert_eq!(until(&app, &id, "failed").await["detail"], "the source answers 502");
    hr.books().comes_back();
    root(&app).post(&format!("/directory/edits/{id}/retry"), json!({})).await.expect(200);
    until(&app, &id, "applied").await;
    assert_eq!(hr.books().of("e1", "phone"), "102");
}

#[tokio::test]
async fn what_the_source_will_not_have_is_refused_and_the_next_one_goes() {
    let (hr, app) = company().await;
    hr.books().moods.extend([Mood::Answer(403, None), Mood::Answer(422, None)]);
    let ids = [
        edit(&app, "e1", json!({"phone": "102"})).await,
        edit(&app, "e1", json!({"phone": "103"})).await,
        edit(&app, "e1", json!({"phone": "104"})).await,
    ];
    assert_eq!(until(&app, &ids[0], "refused").await["detail"], "the source answers 403");
    assert_eq!(until(&app, &ids[1], "refused").await["detail"], "the source answers 422");
    until(&app, &ids[2], "applied").await;
    // Nobody is written who is no more, and a run hears of it.
    hr.books().remove("e2");
    let id = edit(&app, "e2", json!({"phone": "202"})).await;
    let gone = until(&app, &id, "refused").await;
    assert_eq!(gone["detail"], "the source no longer has this user");
    app.until("SELECT count(*) FROM t_im_user WHERE user_id = 'e2' AND deleted_at IS NOT NULL", 1).await;
    // Nor anybody without a version.
    hr.books().unversioned = true;
    let id = edit(&app, "e3", json!({"phone": "302"})).await;
    let refused = until(&app, &id, "refused").await;
    assert_eq!(refused["detail"], "the source gives no versions, so no write can have a precondition");
    assert_eq!(hr.books().of("e3", "phone"), "100");
    assert_guarded(&hr);
}

#[tokio::test]
async fn a_run_that_heard_of_somebody_before_an_edit_does_not_undo_it() {
    let (hr, app) = company().await;
    // It is held with what it has heard, and let go on after the edit.
    hr.books().empty = true;
    hr.books().set("e1", "title", json!("architect"));
    let asked = desk(&app).post("/directory/sync", json!({})).await.expect(202);
    app.until("SELECT count(*) FROM t_im_directory_run WHERE state = 'held'", 1).await;
    hr.books().empty = false;
    let id = edit(&app, "e1", json!({"phone": "102"})).await;
    until(&app, &id, "applied").await;
    let before = told(&app).await;
    let approve = format!("/directory/runs/{}/approve", text(&asked["run_id"]));
    root(&app).post(&approve, json!({})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_directory_changed", 0).await;
    app.until("SELECT count(*) FROM t_im_directory_run WHERE ended_at IS NULL", 0).await;
    let here = "SELECT count(*) FROM t_im_user WHERE user_id = 'e1' AND active AND phone = '102'";
    assert_eq!(app.count(here, &[]).await, 1, "they were read again");
    assert_eq!(told(&app).await, before);
}
