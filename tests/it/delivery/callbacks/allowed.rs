//! Where a POST may go, over real sockets and with a real name server that changes its mind.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::app::TestApp;
use crate::support::{Client, NameServer, Receiver, Service, shared};

/// An address of loopback that the test's service may use, unlike the other ones.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// What a test of the endpoint comes to: nothing, if it was taken.
async fn refusal(admin: &Client, callback: &Value) -> Value {
    let tested = admin.post(&path(callback, "/test"), json!({})).await.expect(200);
    assert_eq!(tested["taken"] == true, tested["error"].is_null(), "{tested}");
    tested["error"].clone()
}

#[tokio::test]
async fn a_name_that_is_rebound_reaches_nothing_it_should_not() {
    let names = NameServer::start(&[ALLOWED]).await;
    let settings = format!(
        "{}callback_allow = [\"portal.test\", \"{ALLOWED}\"]\ncallback_dns_servers = [\"{}\"]\n",
        OPEN.lines().next().map(|keys| format!("{keys}\n")).unwrap_or_default(),
        names.address(),
    );
    let app = TestApp::start_with(&settings).await;
    let admin = app.client("root", &["admin"]);
    let good = Receiver::start_on((ALLOWED, 0).into()).await;
    let forbidden = Receiver::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, good.port()))).await;
    let made = observer(&admin, &format!("http://portal.test:{}/hook", good.port())).await;

    assert_eq!(refusal(&admin, &made).await, Value::Null);
    assert_eq!((names.asked(), good.received().len()), (1, 1));
    for rebound in [
        &[Ipv4Addr::LOCALHOST][..],
        &[METADATA],
        &[Ipv4Addr::UNSPECIFIED],
        &[ALLOWED, Ipv4Addr::LOCALHOST],
        &[Ipv4Addr::LOCALHOST, ALLOWED],
    ] {
        names.answer(rebound);
        let asked = names.asked();
        assert_eq!(refusal(&admin, &made).await, "address not allowed by callback_allow", "{rebound:?}");
        assert_eq!(names.asked(), asked + 1, "each connection asks again");
    }
    names.answer(&[]);
    assert_eq!(refusal(&admin, &made).await, "name not found");
    names.answer(&[ALLOWED]);
    assert_eq!(refusal(&admin, &made).await, Value::Null);
    assert_eq!(good.received().len(), 2);
    assert_eq!(forbidden.received().len(), 0, "nobody came");
}

#[tokio::test]
async fn a_list_that_shrinks_holds_for_endpoints_that_are_there() {
    let mut app = TestApp::start_with(OPEN).await;
    let receiver = Receiver::start().await;
    let made = observer(&app.client("root", &["admin"]), &receiver.url()).await;
    assert_eq!(refusal(&app.client("root", &["admin"]), &made).await, Value::Null);
    for allow in ["[]", "[\"0.0.0.0/0\"]", "[\"127.0.0.2\"]", "[\"localhost\"]"] {
        app.halt().await;
        app.set("callback_allow", allow);
        app.run().await;
        let admin = app.client("root", &["admin"]);
        assert_eq!(refusal(&admin, &made).await, "address not allowed by callback_allow", "{allow}");
        let body = json!({"url": receiver.url(), "event_types": ["user.*"]});
        let problem = admin.post("/callbacks", body).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], "/url");
    }
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn the_proxy_of_an_environment_is_not_asked() {
    let database = crate::app::database().await;
    let proxy = Receiver::start().await;
    let receiver = Receiver::start().await;
    let mut service = Service::start(
        env!("CARGO_BIN_EXE_im-push-gateway"),
        &[
            ("database_url", &shared().url(&database)),
            ("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
            ("callback_allow", "127.0.0.0/8"),
        ],
    )
    .await;
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        service.set_environment(variable, Some(&proxy.url()));
    }
    service.set_environment("no_proxy", None);
    service.restart().await;
    let admin = Client::new(&service.api(), "root", &["admin"]);
    let made = observer(&admin, &receiver.url()).await;
    assert_eq!(refusal(&admin, &made).await, Value::Null);
    assert_eq!((receiver.received().len(), proxy.received().len()), (1, 0));
}
