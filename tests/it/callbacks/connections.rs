//! Connections to endpoints: one that the receiver has closed fails nothing, and none outlives its name.

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::app::TestApp;
use crate::support::{Client, Receiver, Script};

/// Sends the observer a `callback.test`.
async fn test(admin: &Client, callback: &Value) -> Value {
    admin.post(&path(callback, "/test"), json!({})).await.expect(200)
}

#[tokio::test]
async fn a_post_on_a_connection_that_has_ended_is_sent_again_at_once() {
    let app = TestApp::start_with(&format!("{OPEN}callback_idle_ms = 60000\n")).await;
    let admin = app.client("root", &["admin"]);
    let receiver = Receiver::start().await;
    receiver.keep_for(1);
    let made = observer(&admin, &receiver.url()).await;
    for n in 1..=5 {
        let tested = test(&admin, &made).await;
        assert_eq!(tested["taken"], true, "{tested}");
        assert_eq!(receiver.received().len(), n, "each is answered once");
    }
    // What fails on a new connection fails.
    receiver.keep_for(0);
    receiver.answer(Script::raw(""));
    let arrived = receiver.received().len();
    assert_eq!(test(&admin, &made).await["error"], "connection broke");
    assert_eq!(receiver.received().len(), arrived + 1);
}
