//! What strangers send, or do not send: half heads, silence, slow bodies, hosts that are none.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{LONG, LOOK, TestApp};
use crate::support::Client;

const HALF_HEAD: &str = "GET /healthz HTTP/1.1\r\nHost: im\r\nX-Never-Ending: ";
const WHOLE: &str = "GET /healthz HTTP/1.1\r\nHost: im\r\n\r\n";

/// A socket that has sent this much.
pub async fn dial(app: &TestApp, sent: &str) -> TcpStream {
    let mut socket = TcpStream::connect(app.base.trim_start_matches("http://")).await.expect("a connection");
    socket.write_all(sent.as_bytes()).await.expect("the other side reads");
    socket
}

/// All that comes until the other side closes.
pub async fn rest(mut socket: TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end, too: what was never read is thrown away with the socket.
    let _ = tokio::time::timeout(LONG, socket.read_to_end(&mut all)).await.expect("the other side closes");
    String::from_utf8_lossy(&all).into_owned()
}

/// What comes of a request on a connection of its own.
async fn answer(app: &TestApp, head: &str) -> u16 {
    let closing = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let text = rest(dial(app, &closing).await).await;
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

#[tokio::test]
async fn many_half_heads_keep_out_nobody_who_asks_for_something() {
    let app = TestApp::start_with("connections_max = 6\nstreams_max = 5\nhead_timeout_ms = 86400000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let mut stream = app.person("b").listen(None).await;
    stream.expect("hello").await;
    let mut held = Vec::new();
    for _ in 0..10 {
        for _ in 0..8 {
            held.push(dial(&app, HALF_HEAD).await);
        }
        Client::anonymous(&app.base).get("/healthz").await.expect(200);
    }
    // Those who came first made room; a stream is under way and stays.
    held.truncate(40);
    for socket in held {
        assert_eq!(rest(socket).await, "");
    }
    app.say("a", &channel, "still there").await;
    stream.expect("message.created").await;
}

#[tokio::test]
async fn a_half_head_is_cut_and_so_is_a_connection_without_a_next_request() {
    let app = TestApp::start_with("head_timeout_ms = 50\nidle_timeout_ms = 86400000").await;
    for said in ["", "G", HALF_HEAD] {
        assert_eq!(rest(dial(&app, said).await).await, "", "{said:?}");
    }
    let app = TestApp::start_with("head_timeout_ms = 86400000\nidle_timeout_ms = 50").await;
    for next in ["", HALF_HEAD] {
        let text = rest(dial(&app, &format!("{WHOLE}{next}")).await).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{next:?}: {text}");
    }
}

#[tokio::test]
async fn a_connection_with_a_request_under_way_outlives_both_times() {
    let app = TestApp::start_with("head_timeout_ms = 1000\nidle_timeout_ms = 1000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let mut stream = app.person("b").listen(None).await;
    stream.expect("hello").await;
    // Both times are over for a connection that said nothing since.
    for _ in 0..2 {
        rest(dial(&app, "").await).await;
    }
    app.say("a", &channel, "still there").await;
    stream.expect("message.created").await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::start_with("request_body_timeout_ms = 500").await;
    app.people(&["a"]).await;
    let head =
        "POST /api/v1/groups HTTP/1.1\r\nHost: im\r\nx-user-id: a\r\ncontent-type: application/json\r\n";
    for body in ["content-length: 100\r\n\r\n{", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let text = rest(dial(&app, &format!("{head}{body}")).await).await;
        assert!(text.starts_with("HTTP/1.1 503") && text.contains("did not arrive within 500 ms"), "{text}");
    }
    // Nor is one whose sender nobody has proven: the answer comes before the body.
    let unproven = head.replace("x-user-id: a\r\n", "content-length: 100\r\n");
    assert_eq!(answer(&app, &format!("{unproven}\r\n")).await, 401);
}

#[tokio::test]
async fn a_body_that_comes_a_byte_at_a_time_is_cut() {
    let app = TestApp::start_with("request_body_timeout_ms = 1000").await;
    app.people(&["a"]).await;
    let head = "POST /api/v1/groups HTTP/1.1\r\nHost: im\r\nx-user-id: a\r\ncontent-type: application/json\r\n\
                content-length: 1000000\r\n\r\n";
    let (mut reader, mut writer) = dial(&app, head).await.into_split();
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(LOOK);
        // Ends when the other side has closed.
        while writer.write_all(b" ").await.is_ok() {
            pace.tick().await;
        }
    });
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(LONG, reader.read_to_end(&mut answer)).await.expect("the other side closes");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("did not arrive within 1000 ms"),
        "{answer}"
    );
    tokio::time::timeout(LONG, dripping).await.expect("the connection is closed").unwrap();
}

#[tokio::test]
async fn a_request_has_one_host() {
    let app = TestApp::start().await;
    let asked = |version: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("GET /healthz HTTP/{version}\r\n{hosts}\r\n")
    };
    for (version, hosts, status) in [
        ("1.1", &["im.corp.example"][..], 200),
        ("1.1", &["127.0.0.1:8080"], 200),
        ("1.1", &["[::1]:80"], 200),
        ("1.0", &[], 200),
        ("1.1", &[], 400),
        ("1.1", &["im", "im"], 400),
        ("1.1", &["im", "evil.example"], 400),
        ("1.0", &["im", "evil.example"], 400),
        ("1.1", &[""], 400),
        ("1.1", &["im/evil"], 400),
        ("1.1", &["im, evil.example"], 400),
        ("1.1", &["user@im"], 400),
    ] {
        assert_eq!(answer(&app, &asked(version, hosts)).await, status, "HTTP/{version} {hosts:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_compressed_is_refused_as_such() {
    let app = TestApp::start().await;
    app.people(&["a", "hr"]).await;
    let http = reqwest::Client::new();
    let user =
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "zs"}).to_string();
    for (path, body) in [("/api/v1/groups", "{\"name\": \"g\"}"), ("/scim/v2/Users", user.as_str())] {
        for (coding, status) in [("gzip", 415), ("identity, br", 415), ("", 415), ("identity", 201)] {
            let request = http.post(format!("{}{path}", app.base)).header("x-user-id", "hr");
            let request =
                request.header("x-user-roles", "directory").header("content-type", "application/json");
            let request = request.header("content-encoding", coding).body(body.to_owned());
            assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{path} {coding:?}");
        }
    }
}

#[tokio::test]
async fn a_head_has_room_for_a_long_token_and_no_more_than_its_setting() {
    let app = TestApp::start().await;
    for (bytes, status) in [(25_000, 200), (70_000, 431)] {
        let head = format!(
            "GET /healthz HTTP/1.1\r\nHost: im\r\nAuthorization: Bearer {}\r\n\r\n",
            "x".repeat(bytes)
        );
        assert_eq!(answer(&app, &head).await, status, "{bytes}");
    }
}
