//! Signals and data reach those who are in the call, on all replicas, and no others; nothing of a signal is stored.

use serde_json::{Value, json};

use super::{LISTENING, act, open, ring, signal};
use crate::api::contract::assert_fits;
use crate::app::TestApp;
use crate::support::Socket;

/// A session description as browsers make it, with what must be escaped.
fn description() -> Value {
    json!({"type": "offer", "sdp": "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=\"候选\"\r\n".repeat(300)})
}

fn live<'a>(socket: &'a Socket, event: &str) -> Vec<&'a Value> {
    socket.live.iter().filter(|told| told["event"] == event).collect()
}

#[tokio::test]
async fn a_signal_reaches_one_user_on_every_replica_and_is_stored_nowhere() {
    let one = TestApp::start().await;
    let two = TestApp::start_on(one.database.clone(), "").await;
    one.people(&["a", "b", "c", "d"]).await;
    let group = one.group(&["a", "b", "c"]).await;
    let all = one.group(&["a", "b", "c", "d"]).await;
    let (mut here, mut there) = (open(&one, "b").await, open(&two, "b").await);
    let (mut called, mut outside, mut own) =
        (open(&two, "c").await, open(&two, "d").await, open(&one, "a").await);
    one.until(LISTENING, 2).await;
    let call = ring(&one, "a", &group).await;
    act(&two, "b", &call, "accept").await.expect(200);
    let offer = description();
    assert!(offer.to_string().len() > 16_000, "more than one signal of PostgreSQL takes");
    signal(&one, "a", &call, "b", offer.clone()).await.expect(204);
    signal(&one, "a", &call, "b", json!({"candidate": "mark-of-this-test"})).await.expect(204);
    for socket in [&mut here, &mut there] {
        let told = socket.until_live("call.signal").await;
        assert_fits("SocketEvent", &told);
        let wanted = json!({"call_id": call, "channel_id": group, "from": "a", "data": offer});
        assert_eq!(told["data"], wanted, "in the order in which they were sent");
        let told = socket.until_live("call.signal").await;
        assert_eq!(told["data"]["data"]["candidate"], "mark-of-this-test");
    }
    // A sign that all signals before it have been told: a message to everybody, after one more signal.
    signal(&two, "b", &call, "a", json!("answer")).await.expect(204);
    assert_eq!(own.until_live("call.signal").await["data"]["data"], "answer");
    one.say("a", &all, "end").await;
    for socket in [&mut called, &mut outside, &mut own] {
        socket.until("message.created").await;
        assert!(live(socket, "call.signal").is_empty(), "{:?}", socket.live);
    }
    let stored = "SELECT (SELECT count(*) FROM t_im_event e WHERE e.data::text LIKE '%mark-of-this-test%' OR e.type IN ('call.signal', 'call.data')) \
                  + (SELECT count(*) FROM t_im_call_data) + (SELECT count(*) FROM t_im_message WHERE content::text LIKE '%mark-of%')";
    assert_eq!(one.count(stored, &[]).await, 0);
}

#[tokio::test]
async fn data_reaches_all_in_the_call_and_the_newest_that_is_kept_those_who_come_later() {
    let app =
        TestApp::start_with("call_data_names = 2\ncall_data_max_bytes = 100\ncall_signal_max_bytes = 100")
            .await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let (mut b, mut c) = (open(&app, "b").await, open(&app, "c").await);
    app.until(LISTENING, 1).await;
    let call = ring(&app, "a", &group).await;
    act(&app, "b", &call, "accept").await.expect(200);
    let path = format!("/calls/{call}/data");
    let share = async |name: &str, data: Value, keep: bool| {
        app.person("a").post(&path, json!({"name": name, "data": data, "keep": keep})).await
    };
    share("stroke", json!([1, 2]), false).await.expect(204);
    let told = b.until_live("call.data").await;
    assert_fits("SocketEvent", &told);
    let wanted = json!({"call_id": call, "channel_id": group, "from": "a", "name": "stroke", "data": [1, 2]});
    assert_eq!(told["data"], wanted);
    for page in 1..=3 {
        share("board", json!({"page": page}), true).await.expect(204);
    }
    share("screen", json!(true), true).await.expect(204);
    share("third", json!(true), true).await.expect_problem(409, "conflict");
    share("screen", json!("\u{0}"), true).await.expect_problem(422, "invalid-field");
    share("screen", json!("x".repeat(100)), false).await.expect_problem(413, "too-large");
    share("two\nlines", json!(1), false).await.expect_problem(422, "invalid-field");
    signal(&app, "a", &call, "b", json!("x".repeat(100))).await.expect_problem(413, "too-large");
    // One who is only called sees nothing of it yet.
    let seen = app.person("c").get(&format!("/calls/{call}")).await.expect(200);
    assert!(seen["data"].is_null(), "{seen}");
    let accepted = act(&app, "c", &call, "accept").await.expect(200);
    let board = json!({"name": "board", "user_id": "a", "data": {"page": 3}});
    let screen = json!({"name": "screen", "user_id": "a", "data": true});
    assert_eq!(accepted["data"], json!([board, screen]));
    assert!(live(&c, "call.data").is_empty());
    share("stroke", json!([3]), false).await.expect(204);
    assert_eq!(c.until_live("call.data").await["data"]["data"], json!([3]));
    for user in ["a", "b", "c"] {
        act(&app, user, &call, "end").await.expect(200);
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_call_data", &[]).await, 0);
}

#[tokio::test]
async fn a_stream_hears_of_signals_if_it_asks_for_them() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let url = format!("{}/api/v1/events?calls=true", app.base);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = http.get(url).header("x-user-id", "b").send().await.expect("a stream");
    let mut asks = crate::support::Listener::new(response);
    asks.expect("hello").await;
    app.until(LISTENING, 1).await;
    let call = ring(&app, "a", &direct).await;
    let ringing = asks.expect("call.ringing").await;
    assert_fits("StreamedEvent", &ringing.data);
    act(&app, "b", &call, "accept").await.expect(200);
    asks.expect("call.accepted").await;
    signal(&app, "a", &call, "b", json!("offer")).await.expect(204);
    assert_eq!(
        asks.next_live().await,
        json!({"call_id": call, "channel_id": direct, "from": "a", "data": "offer"})
    );
}
