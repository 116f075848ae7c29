//! Notifications: one message of an application to many receivers.

mod cold;
mod files;
mod killed;
mod poison;
mod refused;
mod timed;

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Client;

/// The notifications with work left.
const OPEN: &str = "SELECT count(*) FROM t_im_notification WHERE is_open";

/// People in two departments, one who has left, and two applications.
async fn company(app: &TestApp) {
    let people = json!({
        "departments": [{"department_id": "rd", "name": "研发部"},
                        {"department_id": "web", "name": "前端组", "parent_id": "rd"}],
        "users": [
            {"user_id": "a", "name": "A", "department_id": "rd"}, {"user_id": "b", "name": "B", "department_id": "web"},
            {"user_id": "c", "name": "C"}, {"user_id": "d", "name": "D"},
            {"user_id": "gone", "name": "Gone", "active": false},
            {"user_id": "oa", "name": "审批助手", "kind": "application"},
            {"user_id": "crm", "name": "CRM", "kind": "application"},
        ],
    });
    app.client("hr", &["directory"]).post("/directory/changes", people).await.expect(200);
}

fn words(client_id: &str, to: Value) -> Value {
    json!({"client_id": client_id, "to": to, "type": "text", "content": {"text": client_id}})
}

/// Creates a notification. Returns its path.
async fn notify(client: &Client, body: Value) -> String {
    let made = client.post("/notifications", body).await.expect(202);
    format!("/notifications/{}", text(&made["notification_id"]))
}

/// The counts of a notification that are not 0. All of them add up.
async fn counts(client: &Client, path: &str) -> Value {
    let shown = client.get(path).await.expect(200);
    let counts = shown["counts"].as_object().expect("counts");
    let sum: i64 = counts.values().map(|count| count.as_i64().expect("a count")).sum();
    assert_eq!(sum, shown["receivers"].as_i64().expect("receivers"), "{shown}");
    Value::Object(counts.clone().into_iter().filter(|(_, count)| *count != 0).collect())
}

/// The receivers with a status, page by page.
async fn receivers(client: &Client, path: &str, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}/receivers?{query}{cursor}")).await.expect(200);
        found.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

async fn names(client: &Client, path: &str, query: &str) -> Vec<String> {
    receivers(client, path, query).await.iter().map(|one| text(&one["user_id"])).collect()
}

/// Each operation once, for the contract.
pub async fn exercise(app: &TestApp) {
    let users = json!({"users": [{"user_id": "notifier", "name": "N", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let client = app.person("notifier");
    let path = notify(&client, words("1", json!({"user_ids": ["a", "nobody"]}))).await;
    app.until(OPEN, 0).await;
    client.get(&path).await.expect(200);
    client.get(&format!("{path}/receivers?status=unread")).await.expect(200);
    client.get("/notifications?from=2026-01-01T00:00:00Z").await.expect(200);
    client.delete(&path).await.expect(202);
    app.until(OPEN, 0).await;
    client.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_notification_keeps_its_pace() {
    let app = TestApp::start_with("notification_step = 1\nnotification_receivers_per_second = 10").await;
    company(&app).await;
    notify(&app.person("oa"), words("slowly", json!({"user_ids": ["a", "b", "c", "d"]}))).await;
    app.until(OPEN, 0).await;
    let took =
        "SELECT (1000 * extract(epoch FROM max(server_time) - min(server_time)))::bigint FROM t_im_message";
    let took = app.count(took, &[]).await;
    assert!(took >= 290, "three messages after the first, ten a second: {took} ms");
}

#[tokio::test]
async fn each_receiver_gets_one_message_and_the_application_sees_who_has_read() {
    let app = TestApp::start_with("notification_step = 2").await;
    company(&app).await;
    let (oa, crm) = (app.person("oa"), app.person("crm"));
    let known = app.direct("oa", "a").await;
    let to = json!({"department_ids": ["rd", "lab"], "below": true, "user_ids": ["d", "nobody", "a", "gone", "oa", "c", "d"]});
    let mut body = words("holiday", to);
    body["escalate"] = json!([{"after_s": 600, "event": true}]);
    let made = oa.post("/notifications", body.clone()).await.expect(202);
    let problems = json!([
        {"user_id": "nobody", "reason": "unknown"}, {"user_id": "gone", "reason": "left"},
        {"user_id": "oa", "reason": "sender"}, {"department_id": "lab", "reason": "unknown"},
    ]);
    assert_eq!((&made["receivers"], &made["problems"]), (&json!(4), &problems));
    let path = format!("/notifications/{}", text(&made["notification_id"]));
    app.until(OPEN, 0).await;
    app.settled().await;

    // One message each, in the channel that was there, or in a new one.
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 4);
    assert_eq!(app.seqs("a", &known, "").await, [1]);
    assert_eq!(app.count("SELECT count(*) FROM t_im_escalation WHERE kind = 'event'", &[]).await, 4);
    assert_eq!(counts(&oa, &path).await, json!({"received": 4}));
    let all = receivers(&oa, &path, "limit=3").await;
    assert_eq!(all.iter().map(|one| text(&one["user_id"])).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!((&all[0]["channel_id"], &all[1]["name"]), (&json!(known), &json!("B")));
    let of_b = text(&all[1]["channel_id"]);
    let conversation = app.conversation("b", &of_b).await;
    assert_eq!((&conversation["peer"]["user_id"], &conversation["unread_count"]), (&json!("oa"), &json!(1)));
    assert_eq!(conversation["last_message"]["ms_id"], all[1]["ms_id"]);

    // Reads show at once, and when the ledger has them.
    app.person("b").post(&format!("/channels/{of_b}/read"), json!({"seq": 1})).await.expect(200);
    for _ in 0..2 {
        assert_eq!(counts(&oa, &path).await, json!({"read": 1, "received": 3}));
        assert_eq!(names(&oa, &path, "status=unread&limit=1").await, ["a", "c", "d"]);
        assert_eq!(names(&oa, &path, "status=read,failed").await, ["b"]);
        app.settled().await;
    }
    // An answer of the receiver, and a recall of one message alone.
    app.say("b", &of_b, "thanks").await;
    let of_d = text(&all[3]["ms_id"]);
    oa.post(&format!("/messages/{of_d}/recall"), json!({})).await.expect(200);
    assert_eq!(counts(&oa, &path).await, json!({"read": 1, "received": 2, "recalled": 1}));

    // A repeat is answered as the first call, also when it was changed by a leaver meanwhile.
    let again = oa.post("/notifications", body.clone()).await.expect(200);
    assert_eq!(again, made);
    body["content"]["text"] = json!("another");
    oa.post("/notifications", body.clone()).await.expect_problem(409, "client-id-reused");
    assert_eq!(app.count("SELECT count(*) FROM t_im_notification", &[]).await, 1);
    // The client ids of another application are its own.
    crm.post("/notifications", body).await.expect(202);

    // Another application and people see nothing of it.
    for reply in [crm.get(&path).await, crm.get(&format!("{path}/receivers")).await, crm.delete(&path).await]
    {
        reply.expect_problem(404, "not-found");
    }
    for reply in [
        app.person("b").get(&path).await,
        app.person("b").get("/notifications").await,
        app.person("b").delete(&path).await,
        app.client("root", &["admin", "support"]).get(&path).await,
    ] {
        assert_eq!(reply.status, 403, "{reply:?}");
    }
    let own = oa.get("/notifications").await.expect(200);
    assert_eq!(own["items"].as_array().expect("items").len(), 1);
    let one = &own["items"][0];
    assert_eq!((&one["state"], &one["sent"], &one["failed"]), (&json!("sent"), &json!(4), &json!(0)));
    assert_eq!(crm.get("/notifications").await.expect(200)["items"][0]["client_id"], "holiday");
}

#[tokio::test]
async fn each_message_has_the_topic_the_data_and_the_reference_of_the_call() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    let mut body = words("leave", json!({"user_ids": ["a", "b"]}));
    let named =
        [("topic", json!("请假-771")), ("data", json!({"form": "leave"})), ("ref", json!("leave-771"))];
    for (field, value) in &named {
        body[field] = value.clone();
    }
    let path = notify(&oa, body.clone()).await;
    let mut other = body.clone();
    other["ref"] = json!("leave-772");
    oa.post("/notifications", other).await.expect_problem(409, "client-id-reused");
    app.until(OPEN, 0).await;
    let shown = oa.get(&path).await.expect(200);
    let page = oa.get("/messages?ref=leave-771").await.expect(200);
    let found = page["items"].as_array().expect("items");
    assert_eq!(found.len(), 2);
    for (field, value) in &named {
        assert_eq!(&shown[field], value, "{field}");
        assert!(found.iter().all(|message| &message[field] == value), "{field}: {found:?}");
    }
    let of_a = text(&receivers(&oa, &path, "").await[0]["channel_id"]);
    let topics = app.person("a").get(&format!("/channels/{of_a}/topics")).await.expect(200);
    assert_eq!(topics["items"][0]["topic"], "请假-771");

    oa.delete(&path).await.expect(202);
    app.until(OPEN, 0).await;
    let shown = oa.get(&path).await.expect(200);
    assert!(named.iter().all(|(field, _)| shown[field].is_null()), "{shown}");
}

#[tokio::test]
async fn the_list_is_the_newest_first_and_begins_at_a_time() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    for name in ["1", "2", "3"] {
        notify(&oa, words(name, json!({"user_ids": ["a"]}))).await;
    }
    // One that reaches nobody says so, and is done at once.
    let none = oa.post("/notifications", words("4", json!({"user_ids": ["nobody"]}))).await.expect(202);
    assert_eq!((&none["receivers"], &none["problems"][0]["reason"]), (&json!(0), &json!("unknown")));
    app.until(OPEN, 0).await;
    let listed = app.all(&oa, "/notifications?limit=3").await;
    let names: Vec<String> = listed.iter().map(|one| text(&one["client_id"])).collect();
    assert_eq!(names, ["4", "3", "2", "1"]);
    let from = text(&listed[1]["created_at"]);
    let since = oa.get(&format!("/notifications?from={from}")).await.expect(200);
    assert_eq!(since["items"].as_array().expect("items").len(), 2);
    let later = oa.get("/notifications?from=2126-01-01T00:00:00%2B08:00").await.expect(200);
    assert_eq!(later["items"], json!([]));
}

#[tokio::test]
async fn all_and_departments_are_people_only_and_an_urgent_one_is_pushed_urgent() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    let mut body = words("all", json!({"all": true, "user_ids": ["crm"]}));
    body["priority"] = json!("urgent");
    let path = notify(&oa, body).await;
    let direct = notify(&oa, words("rd", json!({"department_ids": ["rd"]}))).await;
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(names(&oa, &path, "").await, ["a", "b", "c", "crm", "d"]);
    assert_eq!(names(&oa, &direct, "").await, ["a"], "without the departments below");
    assert_eq!(app.count("SELECT count(*) FROM t_im_message WHERE urgent", &[]).await, 5);
    assert_eq!(oa.get(&path).await.expect(200)["priority"], "urgent");
}
