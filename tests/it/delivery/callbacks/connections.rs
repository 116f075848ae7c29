//! Connections to endpoints: one that the receiver has closed fails nothing, and none outlives its name.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::app::{LONG, TestApp};
use crate::support::{Client, NameServer, Receiver, Script};

/// More than a test asks for.
const MANY: usize = 1_000_000;

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

#[tokio::test]
async fn a_name_that_moves_is_followed_under_steady_traffic() {
    let (before, after) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let names = NameServer::start(&[before]).await;
    let settings = format!(
        "{OPEN}callback_dns_servers = [\"{}\"]\nconnection_life_ms = 100\ncallback_idle_ms = 60000\n",
        names.address()
    );
    let app = TestApp::start_with(&settings).await;
    let admin = app.client("root", &["admin"]);
    let old = Receiver::start_on((before, 0).into()).await;
    let new = Receiver::start_on(SocketAddr::from((after, old.port()))).await;
    for receiver in [&old, &new] {
        receiver.keep_for(MANY);
    }
    let made = observer(&admin, &format!("http://portal.test:{}/hook", old.port())).await;
    test(&admin, &made).await;
    assert_eq!(old.received().len(), 1);
    names.answer(&[after]);
    let moved = Instant::now();
    while new.received().is_empty() {
        assert!(moved.elapsed() < LONG, "{} still went to the old address", old.received().len());
        assert_eq!(test(&admin, &made).await["taken"], true);
    }
}
