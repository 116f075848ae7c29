//! Calls: who rings and who is in, what users hand each other, how calls end and the one message that each leaves.

mod ends;
mod media;
mod relayed;
mod stories;

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::{Reply, Socket};

/// Replicas that listen to the signals of each other.
const LISTENING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%LISTEN im_live'";

/// Calls in a channel.
async fn ring(app: &TestApp, caller: &str, channel: &str) -> String {
    let body = json!({"channel_id": channel, "media": "video"});
    text(&app.person(caller).post("/calls", body).await.expect(201)["call_id"])
}

/// Does something in a call that has no body: accept, decline, end.
async fn act(app: &TestApp, user: &str, call: &str, what: &str) -> Reply {
    app.person(user).post(&format!("/calls/{call}/{what}"), json!(null)).await
}

async fn signal(app: &TestApp, user: &str, call: &str, to: &str, data: Value) -> Reply {
    app.person(user).post(&format!("/calls/{call}/signal"), json!({"to": to, "data": data})).await
}

/// The states of the users of a call, as a user sees them.
async fn states(app: &TestApp, user: &str, call: &str) -> Vec<(String, String)> {
    let call = app.person(user).get(&format!("/calls/{call}")).await.expect(200);
    let users = call["users"].as_array().expect("users");
    users.iter().map(|user| (text(&user["user_id"]), text(&user["state"]))).collect()
}

/// The messages of calls in a channel, as a member reads them.
async fn left(app: &TestApp, user: &str, channel: &str) -> Vec<Value> {
    let page = app.person(user).get(&format!("/channels/{channel}/messages?limit=200")).await.expect(200);
    let items = page["items"].as_array().expect("items");
    items.iter().filter(|message| message["type"] == "call").cloned().collect()
}

/// The message that the only call in a channel has left.
async fn only(app: &TestApp, user: &str, channel: &str) -> Value {
    let mut left = left(app, user, channel).await;
    assert_eq!(left.len(), 1, "{left:?}");
    left.remove(0)
}

/// A socket that hears of calls.
async fn open(app: &TestApp, user_id: &str) -> Socket {
    let mut socket = Socket::open(&app.base, user_id, "").await;
    socket.until("hello").await;
    socket
}

/// Every operation once, with success.
pub async fn exercise(app: &TestApp) {
    app.people(&["call-a", "call-b"]).await;
    let channel = app.direct("call-a", "call-b").await;
    let declined = ring(app, "call-a", &channel).await;
    act(app, "call-b", &declined, "decline").await.expect(200);
    let call = ring(app, "call-a", &channel).await;
    let a = app.person("call-a");
    a.get(&format!("/calls?state=live&channel_id={channel}")).await.expect(200);
    act(app, "call-b", &call, "accept").await.expect(200);
    signal(app, "call-a", &call, "call-b", json!({"candidate": ""})).await.expect(204);
    let shared = json!({"name": "screen", "data": {"shared": true}, "keep": true});
    a.post(&format!("/calls/{call}/data"), shared).await.expect(204);
    a.get(&format!("/calls/{call}")).await.expect(200);
    a.get(&format!("/calls/{call}/ice-servers")).await.expect(200);
    act(app, "call-a", &call, "end").await.expect(200);
    a.get(&format!("/channels/{channel}/messages")).await.expect(200);
}
