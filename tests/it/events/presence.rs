//! Presence and statuses, told live: to partners who listen, bounded, and once in a window.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{TestApp, database, text};
use crate::support::{Client, Listener, Service, Socket, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");

fn report(users: &[(&str, &str)]) -> Value {
    let users: Vec<Value> =
        users.iter().map(|(user_id, status)| json!({"user_id": user_id, "status": status})).collect();
    json!({"gateway": "gw-1", "users": users})
}

async fn put(app: &TestApp, users: &[(&str, &str)]) {
    app.client("gw", &["gateway"]).put("/presence", report(users)).await.expect(200);
}

async fn open(app: &TestApp, user_id: &str) -> Socket {
    let mut socket = Socket::open(&app.base, user_id, "?presence=true").await;
    socket.until("hello").await;
    socket
}

/// Users and what is told of them by one event.
async fn heard(socket: &mut Socket, event: &str, field: &str) -> Vec<(String, Value)> {
    let told = socket.until_live(event).await;
    assert_fits("SocketEvent", &told);
    let users = told["data"]["users"].as_array().expect("users");
    users.iter().map(|user| (text(&user["user_id"]), user[field].clone())).collect()
}

#[tokio::test]
async fn friends_and_followers_hear_who_is_online_and_a_blocked_user_does_not() {
    let app = TestApp::start_with("presence_window_ms = 20\nfriend_requests = \"at_once\"").await;
    app.people(&["a", "b", "c", "d"]).await;
    // Neither of them has a conversation with a.
    for (other, kind) in [("b", "friend"), ("c", "follow")] {
        let path = format!("/users/me/relations/{other}");
        app.person("a").put(&path, json!({"kind": kind})).await.expect(200);
    }
    app.direct("a", "d").await;
    app.person("d").put("/users/me/relations/a", json!({"kind": "block"})).await.expect(200);
    let mut a = open(&app, "a").await;
    let online = |user: &str| (user.to_owned(), json!("online"));
    put(&app, &[("b", "online")]).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("b")]);
    put(&app, &[("d", "online"), ("c", "online")]).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("c")]);
}

#[tokio::test]
async fn partners_hear_who_is_online_and_others_do_not() {
    let app = TestApp::start_with("presence_window_ms = 20").await;
    app.people(&["a", "b", "c", "d"]).await;
    let group = app.group(&["a", "b"]).await;
    app.direct("a", "c").await;
    put(&app, &[("b", "online"), ("d", "online")]).await;
    let mut a = open(&app, "a").await;
    let online = |user: &str| (user.to_owned(), json!("online"));
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("b")], "who is online now");
    let mut silent = Socket::open(&app.base, "a", "").await;
    put(&app, &[("c", "online"), ("d", "offline")]).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("c")]);
    // A new partner is heard of, too.
    app.person("a").post(&format!("/channels/{group}/members"), json!({"user_ids": ["d"]})).await.expect(200);
    a.until("channel.members_added").await;
    let watched = "SELECT count(*) FROM t_im_user WHERE user_id = 'd' AND status = 'online'";
    put(&app, &[("d", "online")]).await;
    app.until(watched, 1).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("d")]);
    // And one of a direct channel, from its first message on.
    app.people(&["e"]).await;
    put(&app, &[("e", "online")]).await;
    let direct = app.direct("e", "a").await;
    app.say("e", &direct, "hello").await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await, [online("e")]);
    silent.call("ping", json!({})).await;
    assert!(!silent.live.iter().any(|told| told["event"] == "presence.changed"), "it did not ask for it");
    // Streams tell the same.
    let url = format!("{}/api/v1/events?presence=true", app.base);
    let opened =
        reqwest::Client::builder().no_proxy().build().unwrap().get(url).header("x-user-id", "a").send();
    let mut stream = Listener::new(opened.await.expect("an answer"));
    stream.expect("hello").await;
    let told = stream.expect("presence.changed").await.data;
    assert_fits("LivePresences", &told);
    assert_eq!(told["users"].as_array().map(Vec::len), Some(4), "{told}");
}

#[tokio::test]
async fn a_user_who_comes_and_goes_is_told_once_in_a_window() {
    let app = TestApp::start_with("presence_window_ms = 3000").await;
    app.people(&["a", "b", "c"]).await;
    app.direct("a", "b").await;
    app.direct("a", "c").await;
    put(&app, &[("c", "online")]).await;
    let mut a = open(&app, "a").await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await[0].0, "c", "from here on changes are told");
    put(&app, &[("b", "online")]).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await[0].1, "online");
    for _ in 0..5 {
        put(&app, &[("b", "offline")]).await;
        put(&app, &[("b", "online")]).await;
    }
    put(&app, &[("b", "offline")]).await;
    assert_eq!(heard(&mut a, "presence.changed", "status").await[0].1, "offline", "the last of them");
    assert!(a.live.iter().all(|told| told["event"] != "presence.changed"), "{:?}", a.live);
}

#[tokio::test]
async fn a_status_is_shown_everywhere_and_ends_by_itself() {
    let app = TestApp::start_with("presence_window_ms = 20").await;
    app.people(&["a", "b"]).await;
    app.direct("a", "b").await;
    let (a, b) = (app.person("a"), app.person("b"));
    let mut listens = open(&app, "a").await;
    let status = json!({"text": "休假", "emoji": "🌴", "until": "2999-01-01T00:00:00+08:00"});
    b.put("/users/me/status", status).await.expect_problem(422, "invalid-field");
    for (wrong, pointer) in [
        (json!({"text": ""}), "/text"),
        (json!({"text": "x".repeat(101)}), "/text"),
        (json!({"text": "x", "emoji": "\n"}), "/emoji"),
        (json!({"text": "x", "until": "tomorrow"}), "/until"),
        (json!({"text": "x", "until": "2020-01-01T00:00:00Z"}), "/until"),
    ] {
        let problem = b.put("/users/me/status", wrong).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer);
    }
    let shown = json!({"text": "休假", "emoji": "🌴", "until": null});
    assert_eq!(b.put("/users/me/status", json!({"text": "休假", "emoji": "🌴"})).await.expect(200), shown);
    assert_eq!(heard(&mut listens, "status.changed", "user_status").await, [("b".to_owned(), shown.clone())]);
    assert_eq!(a.get("/users/b").await.expect(200)["user_status"], shown);
    assert_eq!(a.get("/presence?user_ids=b").await.expect(200)["items"][0]["user_status"], shown);
    let found = a.get("/users?limit=200").await.expect(200);
    let found =
        found["items"].as_array().unwrap().iter().find(|user| user["user_id"] == "b").unwrap().clone();
    assert_eq!(found["user_status"], shown);
    b.delete("/users/me/status").await.expect(204);
    b.delete("/users/me/status").await.expect(204);
    assert_eq!(heard(&mut listens, "status.changed", "user_status").await, [("b".to_owned(), json!(null))]);
    // One with an end is gone then, without a call.
    let ends = "INSERT INTO t_im_user_status (user_id, text, until, changed_at) \
                VALUES ('b', 'soon over', im_clock() + interval '3 s', im_clock())";
    app.sql().await.execute(ends, &[]).await.unwrap();
    app.sql().await.execute("SELECT im_signal_users(ARRAY['b'])", &[]).await.unwrap();
    assert_eq!(heard(&mut listens, "status.changed", "user_status").await[0].1["text"], "soon over");
    assert_eq!(heard(&mut listens, "status.changed", "user_status").await, [("b".to_owned(), json!(null))]);
    assert_eq!(a.get("/users/b").await.expect(200)["user_status"], json!(null));
}

#[tokio::test]
async fn a_listener_hears_of_no_more_partners_than_the_settings_say() {
    let app = TestApp::start_with("presence_window_ms = 20\npresence_partners_max = 2").await;
    let names = ["a", "b", "c", "d", "e"];
    app.people(&names).await;
    app.group(&names).await;
    app.direct("a", "e").await;
    put(&app, &[("b", "online"), ("c", "online"), ("d", "online"), ("e", "online")]).await;
    let mut a = open(&app, "a").await;
    let told: Vec<String> =
        heard(&mut a, "presence.changed", "status").await.into_iter().map(|(name, _)| name).collect();
    assert_eq!((told.len(), told.contains(&"e".to_owned())), (2, true), "direct partners first: {told:?}");
}

async fn online(app: &TestApp, user_id: &str, wanted: bool) {
    let sql = "SELECT count(*) FROM t_im_user WHERE user_id = $1 AND status = 'online'";
    app.until_with(sql, &[&user_id], i64::from(wanted)).await;
}

#[tokio::test]
async fn without_a_gateway_open_sockets_make_a_user_online() {
    let settings = "callback_url = \"none\"\npresence_window_ms = 20";
    let one = TestApp::start_with(settings).await;
    let mut two = TestApp::start_on(one.database.clone(), settings).await;
    one.people(&["a", "b"]).await;
    one.direct("a", "b").await;
    let mut listens = open(&one, "a").await;
    online(&one, "a", true).await;
    let (first, second) = (open(&one, "b").await, open(&two, "b").await);
    assert_eq!(heard(&mut listens, "presence.changed", "status").await, [("b".to_owned(), json!("online"))]);
    app_has_instances(&one, 2).await;
    drop(first);
    app_has_instances(&one, 1).await;
    online(&one, "b", true).await;
    // A replica that stops says so.
    two.halt().await;
    online(&one, "b", false).await;
    drop(second);
    assert_eq!(heard(&mut listens, "presence.changed", "status").await, [("b".to_owned(), json!("offline"))]);
}

/// Waits until so many replicas hold sockets of b.
async fn app_has_instances(app: &TestApp, count: i64) {
    app.until("SELECT count(*) FROM t_im_presence WHERE user_id = 'b'", count).await;
}

#[tokio::test]
async fn the_users_of_a_killed_replica_go_offline() {
    let database = database().await;
    let url = shared().url(&database);
    let settings = [
        ("database_url", url.as_str()),
        ("callback_url", "none"),
        ("presence_expire_ms", "2000"),
        ("poll_ms", "50"),
    ];
    let (mut one, two) = tokio::join!(Service::start(BINARY, &settings), Service::start(BINARY, &settings));
    let people = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    let hr = Client::new(&two.api(), "hr", &["directory"]);
    hr.post("/directory/changes", people).await.expect(200);
    let (_a, _b) = (Socket::open(&one.url(), "a", "").await, Socket::open(&two.url(), "b", "").await);
    let desk = Client::new(&two.api(), "desk", &["gateway"]);
    until_online(&desk, &["online", "online"]).await;
    one.kill9();
    until_online(&desk, &["offline", "online"]).await;
}

/// Waits until a and b have these statuses.
async fn until_online(desk: &Client, wanted: &[&str]) {
    let started = std::time::Instant::now();
    loop {
        let read = desk.get("/presence?user_ids=a,b").await.expect(200);
        let now: Vec<String> =
            read["items"].as_array().unwrap().iter().map(|one| text(&one["status"])).collect();
        if now == wanted {
            return;
        }
        assert!(started.elapsed() < crate::app::LONG, "still {now:?}");
        tokio::time::sleep(crate::app::LOOK).await;
    }
}
