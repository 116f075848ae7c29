//! Sockets: events and requests over one connection, with the limits of HTTP, resumed without a hole.

mod bearer;
mod many;
mod old;
mod outside;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, database, text};
use crate::support::socket::PROTOCOL;
use crate::support::{Client, Service, Socket, shared};
use crate::torture::dice::Dice;

/// How often a client is cut.
const CUTS: usize = 200;
const NEWEST: &str = "SELECT last_event_id FROM t_im_event_head";
const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");

async fn open(app: &TestApp, user_id: &str, query: &str) -> Socket {
    let mut socket = Socket::open(&app.base, user_id, query).await;
    socket.until("hello").await;
    socket
}

async fn sequence(app: &TestApp) -> i64 {
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    app.count(NEWEST, &[]).await
}

fn words(told: &Value) -> String {
    assert_eq!(told["event"], "message.created", "{told}");
    assert_fits("SocketEvent", told);
    assert_fits("StreamedEvent", &told["data"]);
    text(&told["data"]["data"]["content"]["text"])
}

fn message(channel: &str, words: &str) -> Value {
    json!({"channel_id": channel, "type": "text", "content": {"text": words}})
}

#[tokio::test]
async fn a_socket_tells_events_and_takes_the_requests_of_http() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (group, foreign) = (app.group(&["a", "b"]).await, app.direct("a", "c").await);
    let (mut a, mut b) = (open(&app, "a", "").await, open(&app, "b", "").await);
    let mut with_id = message(&group, "over a socket");
    with_id["client_id"] = json!("s-1");
    let sent = a.ask("send", with_id.clone()).await;
    assert_fits("SocketAnswer", &sent);
    assert_eq!((&sent["result"]["seq"], &sent["result"]["repeated"]), (&json!(1), &json!(false)));
    assert_eq!(a.call("send", with_id).await["repeated"], true);
    let told = b.until("message.created").await;
    assert_eq!(words(&told), "over a socket");
    assert_eq!(words(&a.until("message.created").await), "over a socket", "the sender's other devices, too");
    // What is sent over HTTP comes, too, and the calls are those of HTTP.
    app.say("a", &group, "over http").await;
    assert_eq!(words(&b.until("message.created").await), "over http");
    assert_eq!(b.call("received", json!({"channel_id": group, "seq": 2})).await, json!({"received_seq": 2}));
    let read = b.call("read", json!({"channel_id": group, "seq": 1})).await;
    assert_eq!(read, json!({"read_seq": 1, "unread_count": 1}));
    let ledger = app.ledger(&sent["result"]["ms_id"]).await;
    assert_eq!(ledger[0].1, "read");
    let gap = b.call("messages", json!({"channel_id": group, "after_seq": 1, "limit": 5})).await;
    assert_eq!((gap["items"].as_array().unwrap().len(), &gap["items"][0]["seq"]), (1, &json!(2)));
    assert_eq!(b.call("ping", json!({})).await, json!({}));
    // Problems are those of HTTP, too.
    let refused = b.ask("send", message(&foreign, "not mine")).await;
    assert_fits("SocketAnswer", &refused);
    assert_eq!(refused["problem"]["type"], "urn:im-push-gateway:problem:not-found");
    let refused = a.ask("send", json!({"channel_id": group, "type": "text", "content": {"text": ""}})).await;
    assert_eq!(refused["problem"]["pointer"], "/content/text", "{refused}");
    b.until_live("unread").await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_socket_stays() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let mut a = open(&app, "a", "").await;
    for (frame, id, slug) in [
        ("{", json!(null), "malformed-body"),
        ("[1]", json!(null), "invalid-field"),
        ("{\"method\":\"ping\"}", json!(null), "invalid-field"),
        ("{\"id\":\"x\",\"method\":\"drop\"}", json!("x"), "invalid-field"),
        ("{\"id\":2,\"method\":\"send\",\"params\":{\"channel_id\":\"99\"}}", json!(2), "invalid-field"),
        ("{\"id\":3,\"method\":\"typing\",\"params\":{\"channel_id\":\"99\"}}", json!(3), "not-found"),
        (
            "{\"id\":4,\"method\":\"messages\",\"params\":{\"channel_id\":\"99\",\"limit\":[]}}",
            json!(4),
            "invalid-field",
        ),
    ] {
        a.say(frame).await;
        let answer = a.answer(&id).await;
        assert_fits("SocketAnswer", &answer);
        assert_eq!(
            answer["problem"]["type"],
            format!("urn:im-push-gateway:problem:{slug}"),
            "{frame}: {answer}"
        );
    }
    a.send(Message::Ping("still there".into())).await;
    a.call("ping", json!({})).await;
}

#[tokio::test]
async fn a_frame_that_no_socket_takes_ends_it_with_its_code() {
    let app = TestApp::start_with("socket_frame_max_bytes = 2048").await;
    app.people(&["a"]).await;
    let mut binary = open(&app, "a", "").await;
    binary.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(binary.ended().await.code, Some(1003));
    let mut large = open(&app, "a", "").await;
    large.say(&"x".repeat(2_049)).await;
    assert_eq!(large.ended().await.code, Some(1009));
    // Below the protocol: a frame without a mask, one of an unknown kind, and text that is no UTF-8.
    for (bytes, code) in [
        (&b"\x81\x02{}"[..], 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x81\x82\x00\x00\x00\x00\xff\xff", 1007),
    ] {
        let mut broken = open(&app, "a", "").await;
        broken.wire().write_all(bytes).await.unwrap();
        assert_eq!(broken.ended().await.code, Some(code), "{bytes:?}");
    }
    // Several frames of one message count together.
    let mut parts = open(&app, "a", "").await;
    for (place, first) in [0x01u8, 0x00, 0x80].into_iter().enumerate() {
        let mut frame = vec![first, 0x80 | 126, 4, 0, 0, 0, 0, 0];
        frame.extend(vec![b'x'; 1_024]);
        let sent = parts.wire().write_all(&frame).await;
        assert!(sent.is_ok() || place == 2);
    }
    assert_eq!(parts.ended().await.code, Some(1009));
}

#[tokio::test]
async fn only_the_own_site_and_listed_ones_open_sockets() {
    let app = TestApp::start_with("socket_origins = [\"https://portal.example.com\"]").await;
    app.people(&["a"]).await;
    let own = app.base.clone();
    for (headers, status) in [
        (&[("origin", "https://evil.example")][..], Some(403)),
        (&[("origin", "null")], Some(403)),
        (&[("sec-fetch-site", "cross-site")], Some(403)),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://other.example.com")], Some(403)),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://portal.example.com")], None),
        (&[("origin", own.as_str())], None),
        (&[("sec-fetch-site", "same-origin"), ("origin", own.as_str())], None),
        (&[], None),
    ] {
        let headers = [&[("x-user-id", "a"), PROTOCOL][..], headers].concat();
        let opened = Socket::try_open(&app.base, "", &headers).await;
        assert_eq!(opened.err(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_request_that_opens_no_socket_says_why() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let a = app.person("a");
    assert_eq!(a.get("/ws").await.expect_problem(400, "invalid-parameter")["pointer"], "upgrade");
    app.person("stranger").get("/ws").await.expect_problem(403, "unknown-user");
    for (headers, status) in [
        (&[("x-user-id", "a"), ("sec-websocket-protocol", "soap")][..], 400),
        (&[("x-user-id", "a")], 400),
        (&[PROTOCOL], 401),
        // Where the gateway says who is calling, a token comes through the gateway or not at all.
        (
            &[("sec-websocket-protocol", "im.v1, bearer.impg_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
            401,
        ),
    ] {
        assert_eq!(Socket::try_open(&app.base, "", headers).await.err(), Some(status), "{headers:?}");
    }
}

#[tokio::test]
async fn sockets_share_the_limits_of_streams_and_of_requests() {
    let settings = "streams_per_user = 2\nuser_requests_per_second = 1\nuser_requests_burst = 4";
    let app = TestApp::start_with(settings).await;
    app.people(&["a", "b"]).await;
    let mut first = open(&app, "a", "").await;
    let _stream = app.person("a").listen(None).await;
    let headers = [("x-user-id", "a"), PROTOCOL];
    assert_eq!(Socket::try_open(&app.base, "", &headers).await.err(), Some(429));
    let mut asked = 0;
    let refused = loop {
        let answer = first.ask("ping", json!({})).await;
        if answer.get("problem").is_some() {
            break answer;
        }
        asked += 1;
        assert!(asked < 1_000, "no limit");
    };
    assert_eq!(refused["problem"]["type"], "urn:im-push-gateway:problem:rate-limited");
    assert!(refused["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{refused}");
    // Frames that cannot be read count, too, and the socket stays.
    first.say("{").await;
    let refused = first.answer(&Value::Null).await;
    assert_eq!(refused["problem"]["type"], "urn:im-push-gateway:problem:rate-limited");
}

/// Cuts a socket at random and resumes after the event `since`, on one replica after the other.
async fn heard_in_pieces(bases: [&str; 2], dice: &mut Dice, mut since: i64, last: &AtomicI64) -> Vec<Value> {
    let (mut heard, mut cuts, mut moved) = (Vec::new(), 0, Instant::now());
    loop {
        let query = format!("?last_event_id={since}");
        let base: &str = bases[dice.below(bases.len())];
        let mut socket = Socket::open(base, "b", &query).await;
        let cut = tokio::time::sleep(dice.pause(0, 25));
        tokio::pin!(cut);
        loop {
            tokio::select! {
                told = socket.next() => match told.expect("only we end it") {
                    told if told["event"] == "hello" => {}
                    told => heard.push(told),
                },
                () = &mut cut => break,
            }
        }
        let before = since;
        since = socket.last_id.unwrap_or(before);
        cuts += 1;
        let last = last.load(Ordering::Acquire);
        let all = last > 0 && since >= last;
        if cuts >= CUTS && all {
            return heard;
        }
        if since > before || all {
            moved = Instant::now();
        }
        assert!(moved.elapsed() < LONG, "{cuts} cuts and {} events, up to {since}", heard.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_cut_two_hundred_times_misses_nothing_and_gets_nothing_twice() {
    let settings = "stream_heartbeat_ms = 5\nstream_poll_ms = 2";
    let one = TestApp::start_with(settings).await;
    let two = TestApp::start_on(one.database.clone(), settings).await;
    one.people(&["a", "b", "c"]).await;
    let channels = [one.group(&["a", "b"]).await, one.direct("a", "b").await, one.direct("a", "c").await];
    let first = open(&one, "b", "").await.last_id.unwrap();
    let last = AtomicI64::new(0);
    let sending = async {
        let (mut dice, mut sent) = (Dice::new(7), Vec::new());
        let mut a = open(&one, "a", "").await;
        for i in 0..300 {
            let channel = dice.pick(&channels);
            a.call("send", message(channel, &format!("{i}"))).await;
            sent.extend((*channel != channels[2]).then(|| format!("{i}")));
            if dice.percent(40) {
                sequence(&two).await;
            }
        }
        last.store(sequence(&one).await, Ordering::Release);
        sent
    };
    let mut dice = Dice::new(11);
    let (sent, heard) =
        tokio::join!(sending, heard_in_pieces([&one.base, &two.base], &mut dice, first, &last));
    assert_eq!(heard.iter().map(words).collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn a_slow_reader_is_told_to_load_anew() {
    // However long the machine takes, the client is slow and not gone.
    let patience = "write_timeout_ms = 600000\nsocket_silence_ms = 600000";
    let settings = format!("stream_queue = 60\nstream_heartbeat_ms = 50\n{patience}");
    let app = TestApp::start_with(&settings).await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let mut slow = Socket::narrow(&app.base, "b", "").await;
    let long = "x".repeat(20_000);
    let mut quick = app.person("a").listen(None).await;
    for _ in 0..20 {
        app.person("a").post("/messages", json!(vec![message(&group, &long); 30])).await.expect(200);
        let newest = sequence(&app).await;
        quick.until(newest).await;
    }
    let mut told = Vec::new();
    while let Some(event) = slow.next().await {
        told.push(event);
    }
    let resync = told.last().expect("an event");
    assert_eq!((&resync["event"], &resync["data"]["reason"]), (&json!("resync"), &json!("too_slow")));
    assert_fits("SocketEvent", resync);
    assert!(told.len() < 500, "what waits is bounded");
    assert_eq!(slow.closed.as_ref().and_then(|closed| closed.code), Some(1012));
    let mut again = open(&app, "b", &format!("?last_event_id={}", slow.last_id.unwrap())).await;
    app.say("a", &group, "and on").await;
    // What the log still has comes first.
    while words(&again.until("message.created").await) != "and on" {}
}

#[tokio::test]
async fn a_replica_that_stops_ends_its_sockets_in_order_and_waits_for_none() {
    let mut app = TestApp::start().await;
    app.people(&["a"]).await;
    let (mut reads, still) = (open(&app, "a", "").await, open(&app, "a", "").await);
    let started = Instant::now();
    let ended = tokio::spawn(async move { reads.ended().await });
    app.halt().await;
    assert!(started.elapsed() < Duration::from_secs(10), "less than the grace of requests");
    assert_eq!(ended.await.unwrap().code, Some(1001));
    drop(still);
}

#[tokio::test]
async fn the_clients_of_a_killed_replica_resume_at_another() {
    let database = database().await;
    let url = shared().url(&database);
    let settings = [("database_url", url.as_str()), ("callback_url", "none")];
    let (mut one, two) = tokio::join!(Service::start(BINARY, &settings), Service::start(BINARY, &settings));
    let people = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    Client::new(&two.api(), "hr", &["directory"]).post("/directory/changes", people).await.expect(200);
    let a = Client::new(&two.api(), "a", &[]);
    let direct = a.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let channel = text(&direct["channel_id"]);
    let mut b = Socket::open(&one.url(), "b", "").await;
    let mut a = Socket::open(&two.url(), "a", "").await;
    a.call("send", message(&channel, "before")).await;
    assert_eq!(words(&b.until("message.created").await), "before");
    one.kill9();
    assert_eq!(b.ended().await.code, None, "a connection that is cut");
    a.call("send", message(&channel, "meanwhile")).await;
    let mut b = Socket::open(&two.url(), "b", &format!("?last_event_id={}", b.last_id.unwrap())).await;
    assert_eq!(words(&b.until("message.created").await), "meanwhile");
    a.call("send", message(&channel, "after")).await;
    assert_eq!(words(&b.until("message.created").await), "after");
}

#[tokio::test]
async fn a_client_that_says_nothing_at_all_loses_its_socket() {
    let app = TestApp::start_with("socket_silence_ms = 1500\nstreams_per_user = 1").await;
    app.people(&["a", "b"]).await;
    // It does not even answer pings, because it is never read.
    let silent = open(&app, "a", "").await;
    let mut answers = open(&app, "b", "").await;
    let started = Instant::now();
    while Socket::try_open(&app.base, "", &[("x-user-id", "a"), PROTOCOL]).await.is_err() {
        assert!(started.elapsed() < LONG, "its place is not given back");
        tokio::select! {
            _ = answers.frame() => {}
            () = tokio::time::sleep(crate::app::LOOK) => {}
        }
    }
    answers.call("ping", json!({})).await;
    drop(silent);
}

#[tokio::test]
async fn a_user_who_leaves_loses_the_socket() {
    let app = TestApp::start_with("stream_heartbeat_ms = 20").await;
    app.people(&["a"]).await;
    let mut socket = open(&app, "a", "").await;
    let gone = json!({"users": [{"user_id": "a", "name": "A", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", gone).await.expect(200);
    assert_eq!(socket.ended().await.code, Some(1008));
}

#[tokio::test]
async fn who_is_typing_reaches_the_members_who_are_connected_and_is_never_stored() {
    let settings = "typing_members_max = 3\nstream_heartbeat_ms = 50\ntyping_every_ms = 60000";
    let one = TestApp::start_with(settings).await;
    let two = TestApp::start_on(one.database.clone(), settings).await;
    one.people(&["a", "b", "c", "d"]).await;
    let (direct, large) = (one.direct("a", "b").await, one.group(&["a", "b", "c", "d"]).await);
    let mut a = open(&one, "a", "").await;
    let (mut here, mut there) = (open(&one, "b", "").await, open(&two, "b", "").await);
    let mut stranger = open(&two, "c", "").await;
    // The replicas listen to each other a moment after their first socket.
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%LISTEN im_live'";
    one.until(listening, 2).await;
    assert_eq!(a.call("typing", json!({"channel_id": direct})).await, json!({"told": true}));
    for socket in [&mut here, &mut there] {
        let told = socket.until_live("typing").await;
        assert_fits("SocketEvent", &told);
        assert_eq!(told["data"], json!({"channel_id": direct, "user_id": "a"}));
    }
    let again = a.call("typing", json!({"channel_id": direct})).await;
    assert_eq!(again, json!({"told": false}), "it was said a moment ago");
    assert_eq!(here.call("typing", json!({"channel_id": large})).await, json!({"told": false}), "too many");
    // A sign that all signals before it have been told: a message to everybody.
    one.say("a", &large, "end").await;
    for socket in [&mut a, &mut stranger] {
        socket.until("message.created").await;
        assert!(!socket.live.iter().any(|told| told["event"] == "typing"), "{:?}", socket.live);
    }
    let stored = "SELECT count(*) FROM t_im_event WHERE type LIKE '%typing%'";
    assert_eq!(one.count(stored, &[]).await, 0);
}
