//! Who is online: told in bulk by instances of the gateway, and no longer than they are heard.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::Client;

const ONLINE: &str = "SELECT count(*) FROM t_im_user WHERE status = 'online'";
/// People whose status is not what the instances that hold them say.
const WRONG: &str = "SELECT count(*) FROM t_im_user u WHERE (u.status = 'online') \
     <> EXISTS (SELECT FROM t_im_presence p WHERE p.user_id = u.user_id)";
/// What was written for observers, whether or not it has its place in the log by now.
const TOLD: &str = "SELECT data FROM (SELECT new_id AS place, type, data FROM t_im_event_new \
     UNION ALL SELECT event_id, type, data FROM t_im_event) e WHERE type = 'presence.changed' ORDER BY place";

fn gateway(app: &TestApp) -> Client {
    app.client("gw", &["gateway"])
}

/// A report of an instance: everybody with the same status.
fn report(instance: &str, people: &[&str], status: &str) -> Value {
    let users: Vec<Value> =
        people.iter().map(|user_id| json!({"user_id": user_id, "status": status})).collect();
    json!({"gateway": instance, "users": users})
}

fn snapshot(instance: &str, people: &[&str]) -> Value {
    let mut report = report(instance, people, "online");
    report["snapshot"] = json!(true);
    report
}

async fn put(app: &TestApp, report: Value) -> Value {
    gateway(app).put("/presence", report).await.expect(200)
}

/// Which of these are online, as a machine reads it.
async fn online(app: &TestApp, people: &[&str]) -> Vec<String> {
    let path = format!("/presence?user_ids={}", people.join(","));
    let read = gateway(app).get(&path).await.expect(200);
    let items = read["items"].as_array().expect("items");
    items.iter().filter(|item| item["status"] == "online").map(|item| text(&item["user_id"])).collect()
}

async fn listen(app: &TestApp) {
    let observer = "INSERT INTO t_im_callback (callback_id, kind, url, event_types, state) \
                    VALUES ('portal', 'observer', 'https://portal.example/', '{presence.*}', 'paused')";
    app.sql().await.execute(observer, &[]).await.expect("an observer");
}

/// The changes of each event, oldest first.
async fn told(app: &TestApp) -> Vec<Vec<Value>> {
    let rows = app.sql().await.query(TOLD, &[]).await.expect("events");
    let users = |data: Value| data["users"].as_array().expect("users").clone();
    rows.iter().map(|row| users(row.get(0))).collect()
}

fn changes(events: &[Vec<Value>]) -> Vec<(String, String)> {
    events.iter().flatten().map(|change| (text(&change["user_id"]), text(&change["status"]))).collect()
}

fn pair(user_id: &str, status: &str) -> (String, String) {
    (user_id.to_owned(), status.to_owned())
}

#[tokio::test]
async fn a_gateway_tells_who_came_and_who_went() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let came = put(&app, report("gw-1", &["a", "b", "stranger"], "online")).await;
    let expected = json!({"online": 2, "offline": 0, "changed": 2, "unknown": ["stranger"],
        "unknown_count": 1, "snapshot_wanted": true});
    assert_eq!(came, expected);
    let read = app.person("c").get("/presence?user_ids=c,b,a,stranger,a").await.expect(200);
    let items = read["items"].as_array().unwrap();
    let statuses: Vec<_> = items.iter().map(|i| (i["user_id"].clone(), i["status"].clone())).collect();
    let expected = [("a", "online"), ("b", "online"), ("c", "offline")].map(|(u, s)| (json!(u), json!(s)));
    assert_eq!(statuses, expected);
    let since = items[0]["since"].clone();
    assert!(since.is_string() && items[2]["since"].is_null());

    // Told again, nothing changes; told twice in one report, the last word counts.
    assert_eq!(put(&app, report("gw-1", &["a", "b"], "online")).await["changed"], 0);
    let flapping = json!({"gateway": "gw-1", "users": [
        {"user_id": "a", "status": "offline"}, {"user_id": "b", "status": "online"},
        {"user_id": "b", "status": "offline"}, {"user_id": "a", "status": "online"},
    ]});
    let flapped = put(&app, flapping).await;
    assert_eq!(
        (&flapped["online"], &flapped["offline"], &flapped["changed"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let read = app.person("c").get("/presence?user_ids=a,b").await.expect(200);
    assert_eq!(
        read["items"][0],
        json!({"user_id": "a", "status": "online", "since": since, "user_status": null})
    );
    assert_eq!(read["items"][1]["status"], "offline");
    assert!(read["items"][1]["since"].is_string());
}

#[tokio::test]
async fn somebody_held_twice_stays_online_until_both_let_go() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    put(&app, report("gw-1", &["a", "b"], "online")).await;
    assert_eq!(put(&app, report("gw-2", &["a"], "online")).await["changed"], 0);
    let went = put(&app, report("gw-1", &["a", "b"], "offline")).await;
    assert_eq!((&went["offline"], &went["changed"]), (&json!(2), &json!(1)), "gw-2 still holds a");
    assert_eq!(online(&app, &["a", "b"]).await, ["a"]);
    // Who names no instance is one by their own name.
    let own = json!({"users": [{"user_id": "a", "status": "online"}]});
    put(&app, own).await;
    put(&app, report("gw-2", &["a"], "offline")).await;
    assert_eq!(online(&app, &["a"]).await, ["a"]);
    assert_eq!(put(&app, report("gw", &["a"], "offline")).await["changed"], 1);
    assert_eq!(app.count("SELECT count(*) FROM t_im_presence", &[]).await, 0);
}

#[tokio::test]
async fn a_snapshot_is_everybody_of_its_instance_and_of_no_other() {
    let app = TestApp::start().await;
    let crowd = app.crowd(2_500).await;
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    listen(&app).await;
    assert_eq!(put(&app, report("gw-1", &crowd, "online")).await["snapshot_wanted"], true);
    put(&app, report("gw-2", &crowd[..10], "online")).await;
    let left = put(&app, snapshot("gw-1", &crowd[2_400..])).await;
    let expected = json!({"online": 100, "offline": 2_400, "changed": 2_390, "unknown": [],
        "unknown_count": 0, "snapshot_wanted": false});
    assert_eq!(left, expected);
    assert_eq!(app.count(ONLINE, &[]).await, 110);
    assert_eq!(app.count(WRONG, &[]).await, 0);
    let events = told(&app).await;
    assert!(events.iter().all(|event| event.len() <= 1_000), "at most 1,000 people an event");
    assert_eq!(events.iter().map(Vec::len).sum::<usize>(), 2_500 + 2_390);
    // One that holds nobody yet.
    assert_eq!(put(&app, snapshot("gw-2", &[])).await["changed"], 10);
    assert_eq!(app.count(ONLINE, &[]).await, 100);
    app.until("SELECT count(*) FROM t_im_presence_gateway WHERE sweep_since IS NOT NULL", 0).await;
}

#[tokio::test]
async fn a_snapshot_in_parts_lets_nobody_go_before_its_end() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    put(&app, snapshot("gw-1", &["a", "b", "c", "d"])).await;
    let part = |id: &str, people: &[&str], more: bool| {
        let mut part = snapshot("gw-1", people);
        part["snapshot_id"] = json!(id);
        part["more"] = json!(more);
        part
    };
    // Broken off, begun anew: whom only the first one named goes.
    put(&app, part("one", &["d"], true)).await;
    put(&app, part("two", &["a"], true)).await;
    assert_eq!(online(&app, &["a", "b", "c", "d", "e"]).await, ["a", "b", "c", "d"]);
    put(&app, report("gw-1", &["e"], "online")).await;
    let ended = put(&app, part("two", &["b"], false)).await;
    assert_eq!((&ended["offline"], &ended["changed"]), (&json!(2), &json!(2)));
    assert_eq!(online(&app, &["a", "b", "c", "d", "e"]).await, ["a", "b", "e"]);
    // No answer? The last part again changes nothing.
    put(&app, report("gw-1", &["c"], "online")).await;
    assert_eq!(put(&app, part("two", &["b"], false)).await["changed"], 0);
    assert_eq!(online(&app, &["a", "b", "c", "d", "e"]).await, ["a", "b", "c", "e"]);
}

#[tokio::test]
async fn what_a_snapshot_left_undone_is_ended_by_any_replica() {
    let app = TestApp::start().await;
    let crowd = app.crowd(1_500).await;
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    put(&app, snapshot("gw-1", &crowd)).await;
    // As if the replica had been killed between the report's commit and the first step.
    let broken_off = "UPDATE t_im_presence_gateway \
                      SET generation = 9, kept_from = 9, sweep_since = im_clock() - interval '1 minute'";
    app.sql().await.execute(broken_off, &[]).await.unwrap();
    app.until(ONLINE, 0).await;
    app.until("SELECT count(*) FROM t_im_presence_gateway WHERE sweep_since IS NOT NULL", 0).await;
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_presence_gateway", &[]).await,
        1,
        "it was heard just now"
    );
}

#[tokio::test]
async fn a_silent_instance_is_gone_and_a_heartbeat_keeps_one() {
    let mut app = TestApp::start().await;
    let crowd = app.crowd(2_100).await;
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    listen(&app).await;
    put(&app, snapshot("gw-1", &["u00001", "u00002"])).await;
    put(&app, snapshot("gw-2", &crowd[1..])).await;
    app.clock("90 seconds").await;
    assert_eq!(put(&app, report("gw-1", &[], "online")).await["snapshot_wanted"], false, "a heartbeat");
    assert_eq!(app.count(ONLINE, &[]).await, 2_100, "nobody has been silent for two minutes");
    let before = told(&app).await.len();
    app.clock("150 seconds").await;
    app.until(ONLINE, 2).await;
    assert_eq!(online(&app, &crowd[..3]).await, ["u00001", "u00002"], "held by the one that was heard");
    app.until("SELECT count(*) FROM t_im_presence_gateway", 1).await;
    let gone: Vec<Vec<Value>> = told(&app).await.split_off(before);
    assert!(gone.iter().all(|event| event.len() <= 1_000));
    let gone = changes(&gone);
    assert_eq!(gone.len(), 2_098);
    assert!(gone.iter().all(|(_, status)| status == "offline"));

    // Back again, it is asked for everybody; those it names are online at once.
    let back = put(&app, report("gw-2", &["u00003"], "online")).await;
    assert_eq!((&back["changed"], &back["snapshot_wanted"]), (&json!(1), &json!(true)));
    assert_eq!(put(&app, snapshot("gw-2", &crowd[1..])).await["changed"], 2_097);
}

#[tokio::test]
async fn nobody_reads_that_people_of_a_silent_instance_are_online() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    put(&app, snapshot("gw-1", &["a", "b"])).await;
    put(&app, snapshot("gw-2", &["b"])).await;
    let mut holding = app.sql().await;
    let transaction = holding.transaction().await.unwrap();
    // Nobody gets round to letting go of them.
    transaction.execute("SELECT FROM t_im_user FOR UPDATE", &[]).await.unwrap();
    let silent = "UPDATE t_im_presence_gateway SET heard_at = heard_at - interval '121 seconds' \
                  WHERE gateway = 'gw-1'";
    app.sql().await.execute(silent, &[]).await.unwrap();
    assert_eq!(app.count(ONLINE, &[]).await, 2);
    let read = gateway(&app).get("/presence?user_ids=a,b").await.expect(200);
    assert_eq!(
        (&read["items"][0]["status"], &read["items"][1]["status"]),
        (&json!("offline"), &json!("online"))
    );
    let lately = "SELECT count(*) WHERE $1::text::timestamptz BETWEEN im_clock() - interval '30 seconds' AND im_clock()";
    assert_eq!(app.count(lately, &[&text(&read["items"][0]["since"])]).await, 1, "a second ago");
    transaction.rollback().await.unwrap();
    app.until(ONLINE, 1).await;
}

#[tokio::test]
async fn a_clock_that_went_back_keeps_nobody_online() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    put(&app, snapshot("gw-1", &["a"])).await;
    let ahead = "UPDATE t_im_presence_gateway SET heard_at = heard_at + interval '1 year'";
    app.sql().await.execute(ahead, &[]).await.unwrap();
    app.until("SELECT count(*) FROM t_im_presence_gateway WHERE heard_at > im_clock()", 0).await;
    assert_eq!(online(&app, &["a"]).await, ["a"], "its silence counts from now");
}

#[tokio::test]
async fn changes_are_told_to_observers_who_asked_and_nothing_else_is() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    put(&app, report("gw-1", &["a"], "online")).await;
    assert_eq!(told(&app).await, [] as [Vec<Value>; 0], "nobody listens");
    let other = "INSERT INTO t_im_callback (callback_id, kind, url, event_types, state) \
                 VALUES ('other', 'observer', 'https://other.example/', '{message.created}', 'paused')";
    app.sql().await.execute(other, &[]).await.unwrap();
    put(&app, report("gw-1", &["b"], "online")).await;
    assert_eq!(told(&app).await, [] as [Vec<Value>; 0], "nobody listens to this");
    listen(&app).await;
    put(&app, report("gw-1", &["a", "b"], "online")).await;
    put(&app, report("gw-2", &["a"], "online")).await;
    put(&app, report("gw-2", &["a"], "offline")).await;
    put(&app, report("gw-1", &["c"], "offline")).await;
    put(&app, report("gw-1", &["stranger"], "online")).await;
    put(&app, snapshot("gw-1", &["a", "b"])).await;
    assert_eq!(told(&app).await, [] as [Vec<Value>; 0], "nothing has changed");

    put(&app, report("gw-1", &["a"], "offline")).await;
    let both = json!({"gateway": "gw-1", "users": [
        {"user_id": "c", "status": "online"}, {"user_id": "b", "status": "offline"}]});
    put(&app, both).await;
    let events = told(&app).await;
    let expected = [pair("a", "offline"), pair("b", "offline"), pair("c", "online")];
    assert_eq!((events.len(), changes(&events)), (2, expected.to_vec()));
    // The time told is the time read.
    let read = gateway(&app).get("/presence?user_ids=c").await.expect(200);
    let same = "SELECT count(*) WHERE $1::text::timestamptz = $2::text::timestamptz";
    let (since, at) = (text(&read["items"][0]["since"]), text(&events[1][1]["at"]));
    assert_eq!(app.count(same, &[&since, &at]).await, 1);
    // Once all of it has its place, both events wait for the one who asked, and nothing for anybody else.
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let waiting = "SELECT coalesce(sum(cardinality(event_ids)), 0)::bigint FROM v_im_push_item WHERE callback_id = 'portal'";
    assert_eq!(app.count(waiting, &[]).await, 2);
    let others = "SELECT count(*) FROM v_im_push_item WHERE callback_id <> 'portal'";
    assert_eq!(app.count(others, &[]).await, 0, "presence pushes nothing");
    app.gateway
        .read(|record| assert!(record.arrivals.is_empty(), "the gateway hears nothing of what it told"));
}

#[tokio::test]
async fn whoever_leaves_the_company_goes_offline() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    listen(&app).await;
    put(&app, report("gw-1", &["a", "b"], "online")).await;
    let gone =
        json!({"users": [{"user_id": "a", "name": "A", "active": false}, {"user_id": "b", "name": "Bea"}]});
    let hr = app.client("hr", &["directory"]);
    hr.post("/directory/changes", gone).await.expect(200);
    assert_eq!(online(&app, &["a", "b"]).await, ["b"]);
    assert_eq!(changes(&told(&app).await).last(), Some(&pair("a", "offline")));
    let again = put(&app, report("gw-1", &["a", "b"], "online")).await;
    assert_eq!((&again["online"], &again["unknown"]), (&json!(1), &json!(["a"])));
    assert_eq!(online(&app, &["a", "b"]).await, ["b"]);
    let back = json!({"users": [{"user_id": "a", "name": "A", "active": true}]});
    hr.post("/directory/changes", back).await.expect(200);
    assert_eq!(online(&app, &["a"]).await, [] as [String; 0], "until an instance says so");
}

#[tokio::test]
async fn only_the_gateway_tells_and_only_known_callers_ask() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let told = || report("gw-1", &["a"], "online");
    for roles in [&[][..], &["admin"], &["support", "directory"]] {
        app.client("a", roles).put("/presence", told()).await.expect_problem(403, "forbidden");
    }
    app.person("stranger").get("/presence?user_ids=a").await.expect_problem(403, "unknown-user");
    for roles in [["gateway"], ["support"], ["directory"], ["admin"]] {
        app.client("machine", &roles).get("/presence?user_ids=a").await.expect(200);
    }
    let anonymous = Client::anonymous(&format!("{}/api/v1", app.base));
    anonymous.put("/presence", told()).await.expect_problem(401, "unauthenticated");
    anonymous.get("/presence?user_ids=a").await.expect_problem(401, "unauthenticated");
    assert_eq!(app.count("SELECT count(*) FROM t_im_presence_gateway", &[]).await, 0, "nothing has changed");
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_whole() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let crowd: Vec<String> = (0..10_001).map(|i| format!("x{i}")).collect();
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    let a = json!({"user_id": "a", "status": "online"});
    for (body, pointer) in [
        (report("gw-1", &crowd, "online"), "/users"),
        (json!({"gateway": "gw-1"}), "/users"),
        (json!({"users": [a, {"user_id": "b,c", "status": "online"}]}), "/users/1/user_id"),
        (json!({"users": [a, {"user_id": "b", "status": "busy"}]}), "/users/1/status"),
        (json!({"users": [a, {"user_id": "b"}]}), "/users/1/status"),
        (json!({"users": [a], "gateway": " gw"}), "/gateway"),
        (json!({"users": [a], "snapshots": true}), "/snapshots"),
        (json!({"users": [a], "more": true}), "/more"),
        (json!({"users": [a], "snapshot_id": "s"}), "/snapshot_id"),
        (json!({"users": [a], "snapshot": true, "more": true}), "/snapshot_id"),
        (json!({"users": [a], "snapshot": true, "snapshot_id": "a\u{0}"}), "/snapshot_id"),
    ] {
        let problem = gateway(&app).put("/presence", body).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"].as_str().unwrap_or_default(), pointer, "{problem}");
    }
    assert_eq!(app.count(ONLINE, &[]).await, 0);
    // Ten thousand are taken, and of the unknown ones the first hundred are named.
    let most = put(&app, report("gw-1", &crowd[..10_000], "online")).await;
    assert_eq!((most["unknown"].as_array().unwrap().len(), &most["unknown_count"]), (100, &json!(10_000)));
    let asked = |n: usize| format!("/presence?user_ids={}", crowd[..n].join(","));
    gateway(&app).get(&asked(100)).await.expect(200);
    for path in
        [&asked(101), "/presence", "/presence?user_ids=", "/presence?user_ids=a,", "/presence?user_ids=a&q=1"]
    {
        gateway(&app).get(path).await.expect_problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn reports_of_one_instance_at_once_never_mix() {
    let app = TestApp::start().await;
    let ids = app.crowd(400).await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (left, right) = ids.split_at(200);
    for _ in 0..10 {
        tokio::join!(put(&app, snapshot("gw-1", left)), put(&app, snapshot("gw-1", right)));
        let now = online(&app, &["u00001", "u00200", "u00201", "u00400"]).await;
        assert!(now == ["u00001", "u00200"] || now == ["u00201", "u00400"], "{now:?}");
        assert_eq!(app.count(ONLINE, &[]).await, 200);
        assert_eq!(app.count(WRONG, &[]).await, 0);
    }
}

#[tokio::test]
async fn instances_and_replicas_at_once_agree_on_everybody() {
    let app = TestApp::start().await;
    let other = TestApp::start_on(app.database.clone(), "").await;
    let ids = app.crowd(300).await;
    let forth: Vec<&str> = ids.iter().map(String::as_str).collect();
    let back: Vec<&str> = forth.iter().rev().copied().collect();
    let hr = app.client("hr", &["directory"]);
    let leaver = |active: bool| {
        json!({"users": [
        {"user_id": "u00299", "name": "n", "active": active}, {"user_id": "u00002", "name": "n", "active": active}]})
    };
    listen(&app).await;
    for round in 0..8 {
        let status = if round % 2 == 0 { "online" } else { "offline" };
        let (one, two) = (report("gw-1", &forth, status), report("gw-2", &back, status));
        let three = snapshot("gw-3", if round % 2 == 0 { &forth[..150] } else { &[] });
        let work = async {
            tokio::join!(
                put(&app, one),
                put(&other, two),
                put(&other, three),
                hr.post("/directory/changes", leaver(round % 4 == 3)),
            )
        };
        let (.., changed) = tokio::time::timeout(LONG, work).await.expect("nobody waits for ever");
        changed.expect(200);
        assert_eq!(app.count(WRONG, &[]).await, 0, "round {round}");
        let left = "SELECT count(*) FROM t_im_user WHERE status = 'online' AND NOT active";
        assert_eq!(app.count(left, &[]).await, 0, "round {round}");
        if status == "offline" {
            assert_eq!(app.count(ONLINE, &[]).await, 0, "round {round}");
        }
    }
    // What was told, one after another for each person, ends where they are: nothing is told twice.
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for (user_id, status) in changes(&told(&app).await) {
        assert_ne!(last.insert(user_id.clone(), status.clone()), Some(status), "{user_id} is told twice");
    }
    assert!(last.values().all(|status| status == "offline"));
}
