//! A listing is not believed to be whole: nobody leaves because an entry was passed over.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::{Client, Roll};

const EVERYBODY: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

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

fn entry(id: &str) -> String {
    json!({"id": id, "name": id, "displayName": id, "userName": id}).to_string()
}

/// Who works there, and which departments there are.
async fn there(app: &TestApp) -> (String, String) {
    let sql = "SELECT (SELECT coalesce(string_agg(user_id, '' ORDER BY user_id), '') FROM t_im_user WHERE active), \
               (SELECT coalesce(string_agg(department_id, '' ORDER BY department_id), '') FROM t_im_department WHERE removed_at IS NULL)";
    let row = app.sql().await.query_one(sql, &[]).await.expect("a row");
    (row.get(0), row.get(1))
}

/// A source with six people and six departments, and a service that knows them.
async fn company(settings: impl Fn(&Roll) -> String) -> (Roll, TestApp) {
    let roll = Roll::start().await;
    for list in ["Users", "Groups"] {
        roll.change(list, |l| EVERYBODY.iter().for_each(|id| l.put(id, entry(id))));
    }
    let page = "directory.page_size = 2\ndirectory.page_size_parameter = \"count\"\n";
    let app = TestApp::start_with(&format!("{}{page}", settings(&roll))).await;
    assert_eq!(run(&app).await["state"], "done");
    assert_eq!(there(&app).await, ("abcdef".to_owned(), "abcdef".to_owned()));
    (roll, app)
}

type Settings = fn(&Roll) -> String;
/// Sources that can be asked for one, and those that cannot.
const ASKED_ALONE: [Settings; 3] = [
    Roll::scim,
    |roll| format!("{}{}", roll.hr("index"), roll.alone()),
    |roll| format!("{}{}", roll.hr("cursor"), roll.alone()),
];
const LISTED_ONLY: [Settings; 2] = [|roll| roll.hr("index"), |roll| roll.hr("cursor")];

/// One is removed and one is added while the pages are read: the third is passed over, and the count is right.
fn shift(roll: &Roll, list: &str) {
    roll.change(list, |l| {
        l.put("z", entry("z"));
        l.shows(&[&EVERYBODY, &["b", "c", "d", "e", "f", "z"]]);
    });
}

/// A page leaves one out, and the next one tells another one twice.
fn stutter(roll: &Roll, list: &str) {
    roll.change(list, |l| {
        l.total = Some(6);
        l.shows(&[&["a", "c", "d", "e", "f"], &EVERYBODY]);
    });
}

/// The listing is whole again.
fn calm(roll: &Roll, list: &str) {
    roll.change(list, |l| {
        l.total = None;
        l.views.clear();
        l.asked.clear();
    });
}

#[tokio::test]
async fn whoever_is_passed_over_stays() {
    for settings in ASKED_ALONE.iter().chain(&LISTED_ONLY) {
        for list in ["Users", "Groups"] {
            for wrong in [shift, stutter] {
                let (roll, app) = company(settings).await;
                wrong(&roll, list);
                let done = run(&app).await;
                assert_eq!(done["state"], "done", "{done}");
                let (people, departments) = there(&app).await;
                let seen = if list == "Users" { people } else { departments };
                assert_eq!(seen.trim_end_matches('z'), "abcdef", "{}: {done}", settings(&roll));
                assert_eq!(app.count("SELECT count(*) FROM t_im_leaver", &[]).await, 0);
            }
        }
    }
}

#[tokio::test]
async fn a_listing_in_which_entries_come_twice_or_are_missing_lets_nobody_go() {
    for settings in ASKED_ALONE.iter().chain(&LISTED_ONLY) {
        let (roll, app) = company(settings).await;
        // `f` has really left.
        roll.change("Users", |l| {
            l.remove("f");
            l.total = Some(6);
            l.shows(&[&["a", "b", "c", "d", "e"], &["a", "a", "b", "c", "d", "e"]]);
        });
        for _ in 0..2 {
            let done = run(&app).await;
            assert_eq!((&done["state"], there(&app).await.0.as_str()), (&json!("done"), "abcdef"), "{done}");
            let detail = text(&done["detail"]);
            assert!(detail.ends_with("were repeated, so missing records are kept"), "{detail}");
        }
    }
    let (roll, app) = company(ASKED_ALONE[2]).await;
    roll.change("Users", |l| {
        l.remove("f");
        l.total = Some(6);
    });
    let done = run(&app).await;
    assert_eq!(done["detail"], "5 of 6 were listed, so missing records are kept", "{done}");
    assert_eq!(there(&app).await.0, "abcdef");
}

#[tokio::test]
async fn whoever_has_left_goes_once_the_source_says_so_alone() {
    for settings in ASKED_ALONE {
        let (roll, app) = company(settings).await;
        for list in ["Users", "Groups"] {
            calm(&roll, list);
            roll.change(list, |l| l.remove("f"));
        }
        assert_eq!(run(&app).await["state"], "done");
        assert_eq!(there(&app).await, ("abcde".to_owned(), "abcde".to_owned()));
        for list in ["Users", "Groups"] {
            assert_eq!(roll.change(list, |l| l.asked.clone()), ["f"], "nobody else is asked for");
        }
        // An answer that is another record is none.
        roll.change("Users", |l| {
            l.put("e", entry("x"));
            l.shows(&[&["a", "b", "c", "d"]]);
        });
        let done = run(&app).await;
        assert_eq!((&done["problems"], there(&app).await.0.as_str()), (&json!(1), "abcde"), "{done}");
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_for_alone_they_are_missing_twice_in_a_row() {
    let too_many: Settings = |roll| format!("{}directory.alone_max = 0\n", ASKED_ALONE[2](roll));
    for settings in LISTED_ONLY.iter().chain([&too_many]) {
        let (roll, app) = company(settings).await;
        let lists = |work: fn(&Roll, &str)| ["Users", "Groups"].iter().for_each(|list| work(&roll, list));
        let missing = |roll: &Roll, list: &str| roll.change(list, |l| l.remove("f"));
        let back = |roll: &Roll, list: &str| roll.change(list, |l| l.put("f", entry("f")));
        let whole = ("abcdef".to_owned(), "abcdef".to_owned());
        // Missing, there, missing: not twice in a row. A dry run counts for nothing.
        for change in [missing, back, missing] {
            lists(change);
            desk(&app).post("/directory/sync", json!({"dry_run": true})).await.expect(202);
            let done = run(&app).await;
            assert_eq!(there(&app).await, whole, "{done}");
        }
        // Nor is a listing that is not whole in between.
        lists(stutter_without_f);
        run(&app).await;
        assert_eq!(there(&app).await, whole);
        lists(calm);
        run(&app).await;
        assert_eq!(there(&app).await, ("abcde".to_owned(), "abcde".to_owned()));
        assert!(roll.change("Users", |l| l.asked.is_empty()));
    }
}

fn stutter_without_f(roll: &Roll, list: &str) {
    roll.change(list, |l| {
        l.total = Some(6);
        l.shows(&[&["a", "b", "c", "d", "e"], &["a", "a", "b", "c", "d", "e"]]);
    });
}

#[tokio::test]
async fn the_members_of_a_group_that_is_passed_over_stay_in_it() {
    let roll = Roll::start().await;
    let group = |id: &str| json!({"id": id, "displayName": id, "members": [{"value": "zs"}]}).to_string();
    roll.change("Groups", |l| EVERYBODY.iter().for_each(|id| l.put(id, group(id))));
    roll.change("Users", |l| l.put("zs", entry("zs")));
    let app = TestApp::start_with(&format!("{}directory.page_size = 2\n", roll.scim())).await;
    let works = "SELECT count(*) FROM t_im_department_user WHERE user_id = 'zs' AND department_id <= 'f'";
    run(&app).await;
    assert_eq!(app.count(works, &[]).await, 6);
    for wrong in [shift, stutter] {
        calm(&roll, "Groups");
        wrong(&roll, "Groups");
        let done = run(&app).await;
        assert_eq!(app.count(works, &[]).await, 6, "{done}");
    }
    calm(&roll, "Groups");
    roll.change("Groups", |l| l.remove("f"));
    run(&app).await;
    assert_eq!(app.count(works, &[]).await, 5);
}

/// Who is in a group, with their roles.
async fn members(app: &TestApp, as_whom: &str, channel: &str) -> Vec<(String, String)> {
    let page = app.person(as_whom).get(&format!("/channels/{channel}/members")).await.expect(200);
    let items = page["items"].as_array().expect("items");
    let mut members: Vec<_> = items.iter().map(|m| (text(&m["user_id"]), text(&m["role"]))).collect();
    members.sort_unstable();
    members
}

fn is(members: &[(&str, &str)]) -> Vec<(String, String)> {
    members.iter().map(|(user, role)| ((*user).to_owned(), (*role).to_owned())).collect()
}

/// Tells whether somebody is active, and waits until their groups have followed.
async fn active(app: &TestApp, user: &str, active: bool) {
    let told = json!({"users": [{"user_id": user, "name": user, "active": active}]});
    desk(app).post("/directory/changes", told).await.expect(200);
    app.until("SELECT count(*) FROM t_im_leaver", 0).await;
}

#[tokio::test]
async fn whoever_returns_in_time_is_back_in_their_groups() {
    let app = TestApp::start_with("group_max_members = 3\n").await;
    app.people(&["a", "b", "c", "d"]).await;
    let admin = app.group(&["a", "b", "c"]).await;
    let role = json!({"role": "admin"});
    app.person("a").put(&format!("/channels/{admin}/members/b/role"), role).await.expect(204);
    let own = app.group(&["b", "a"]).await;
    let left_before = app.group(&["a", "b"]).await;
    app.person("b").post(&format!("/channels/{left_before}/leave"), json!({})).await.expect(204);
    let (full, dissolved, again) =
        (app.group(&["a", "b", "c"]).await, app.group(&["a", "b"]).await, app.group(&["a", "b"]).await);
    active(&app, "b", false).await;
    assert_eq!(members(&app, "a", &admin).await, is(&[("a", "owner"), ("c", "member")]));
    assert_eq!(members(&app, "a", &own).await, is(&[("a", "owner")]));
    app.person("a").post(&format!("/channels/{full}/members"), json!({"user_ids": ["d"]})).await.expect(200);
    app.person("a").delete(&format!("/channels/{dissolved}")).await.expect(204);
    app.say("a", &admin, "while they were away").await;

    active(&app, "b", true).await;
    assert_eq!(members(&app, "a", &admin).await, is(&[("a", "owner"), ("b", "admin"), ("c", "member")]));
    assert_eq!(
        members(&app, "a", &own).await,
        is(&[("a", "owner"), ("b", "admin")]),
        "another one owns it by now"
    );
    assert_eq!(members(&app, "a", &again).await, is(&[("a", "owner"), ("b", "member")]));
    assert_eq!(members(&app, "a", &left_before).await, is(&[("a", "owner")]), "they had left it themselves");
    assert_eq!(members(&app, "a", &full).await, is(&[("a", "owner"), ("c", "member"), ("d", "member")]));
    app.person("b").get(&format!("/channels/{dissolved}/members")).await.expect_problem(404, "not-found");
    assert_eq!(app.seqs("b", &admin, "").await, Vec::<i64>::new(), "what was said meanwhile is not theirs");
    assert_eq!(app.count("SELECT count(*) FROM t_im_left_group", &[]).await, 0);

    // Too late.
    active(&app, "b", false).await;
    let sql = "UPDATE t_im_left_group SET left_at = left_at - interval '8 days'";
    assert!(app.sql().await.execute(sql, &[]).await.expect("an update") > 0);
    active(&app, "b", true).await;
    assert_eq!(members(&app, "a", &again).await, is(&[("a", "owner")]));
}
