//! HTTP/2: the same answers and the same limits as with HTTP/1.1, on connections with several requests at a time.

use std::process::Command;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::app::{LONG, TestApp};
use crate::base::database::until;
use crate::base::tls::Authority;

/// A connection, and how it ends.
struct Connection {
    sender: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    async fn over(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, builder: &Builder) -> Self {
        let (sender, connection) = builder.handshake::<_, Bytes>(socket).await.expect("a handshake");
        Self { sender, ended: tokio::spawn(connection) }
    }

    /// Without TLS: the client knows that the service speaks HTTP/2.
    async fn plain(app: &TestApp) -> Self {
        Self::with(app, &Builder::new()).await
    }

    async fn with(app: &TestApp, builder: &Builder) -> Self {
        let socket = TcpStream::connect(app.base.trim_start_matches("http://")).await.expect("a connection");
        Self::over(socket, builder).await
    }

    /// The answer to a request by the user `a`.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response<h2::RecvStream>, h2::Error> {
        let mut request = Request::get(format!("http://im.example{path}")).header("x-user-id", "a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await?;
        sender.send_request(request.body(()).expect("a request"), true)?.0.await
    }

    /// Begins a request without its body.
    async fn begin(&self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::post(format!("http://im.example{path}"))
            .header("x-user-id", "a")
            .header("content-type", "application/json");
        let mut sender = self.sender.clone().ready().await.expect("room for a request");
        sender.send_request(request.body(()).expect("a request"), false).expect("it is sent")
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        self.ask(path, headers).await.expect("an answer").status()
    }

    /// How the connection ends by the other side.
    async fn end(self) -> Result<(), h2::Error> {
        // Requests can still be sent while there is a sender.
        let Self { sender: _sender, ended } = self;
        tokio::time::timeout(LONG, ended).await.expect("the connection ends").expect("no panic")
    }
}

async fn all(answer: Response<h2::RecvStream>) -> Vec<u8> {
    let (mut body, mut all) = (answer.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a part of the answer");
        body.flow_control().release_capacity(piece.len()).expect("room");
        all.extend_from_slice(&piece);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_it_speaks_http_2_without_tls() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let url = format!("{}/api/v1/groups", app.base);
    let output = Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", "--max-time", "30", "--header", "x-user-id: a"])
        .args(["--write-out", "\n%{http_version} %{http_code}", "--json", "{\"name\": \"a group\"}", &url])
        .output()
        .expect("curl runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let (body, version) = told.rsplit_once('\n').expect("an answer");
    assert_eq!(version, "2 201");
    assert!(serde_json::from_str::<Value>(body).unwrap()["channel_id"].is_string(), "{body}");
    // A client of HTTP/1.1 that offers HTTP/2 gets HTTP/1.1.
    let offered = Command::new("curl")
        .args(["--silent", "--http2", "--max-time", "30", "--output", "/dev/null"])
        .args(["--write-out", "%{http_version} %{http_code}", &format!("{}/healthz", app.base)])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&offered.stdout), "1.1 200");
}

#[tokio::test]
async fn a_request_names_one_host_and_a_head_has_its_size() {
    let app = TestApp::start_with("http2_streams_max = 3").await;
    app.people(&["a"]).await;
    let connection = Connection::plain(&app).await;
    assert_eq!(connection.status("/healthz", &[]).await, 200);
    assert_eq!(connection.status("/healthz", &[("host", "im.example")]).await, 200);
    assert_eq!(connection.status("/healthz", &[("host", "evil.example")]).await, 400);
    let resources = connection.ask("/scim/v2/ResourceTypes", &[("x-user-roles", "directory")]).await.unwrap();
    let resources = String::from_utf8(all(resources).await).unwrap();
    assert!(resources.contains("http://im.example/scim/v2/"), "{resources}");
    assert_eq!(connection.status("/healthz", &[("authorization", &"x".repeat(25_000))]).await, 200);
    assert_eq!(connection.status("/healthz", &[("authorization", &"x".repeat(70_000))]).await, 431);
    assert_eq!(connection.sender.current_max_send_streams(), 3);
}

#[tokio::test]
async fn requests_of_all_connections_are_bounded() {
    let app = TestApp::start_with("streams_max = 1\nconnections_max = 4").await;
    app.people(&["a"]).await;
    let (one, other) = (Connection::plain(&app).await, Connection::plain(&app).await);
    let mut begun = Vec::new();
    for _ in 0..2 {
        begun.push(one.begin("/api/v1/groups").await);
        begun.push(other.begin("/api/v1/groups").await);
    }
    for connection in [&one, &other] {
        let refused = until(|| connection.ask("/api/v1/users/me", &[]), refused).await.expect("an answer");
        assert_eq!(refused.headers()["retry-after"], "1");
        let problem: Value = serde_json::from_slice(&all(refused).await).expect("a problem");
        assert!(
            problem["detail"].as_str().expect("a detail").contains("too many requests of HTTP/2"),
            "{problem}"
        );
    }
    drop(begun);
    until(|| one.status("/api/v1/users/me", &[]), |status| *status == 200).await;
}

fn refused(answer: &Result<Response<h2::RecvStream>, h2::Error>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.status() == 503)
}

#[tokio::test]
async fn a_client_that_has_fallen_silent_does_not_hold_up_a_stop() {
    let mut app = TestApp::start_with("shutdown_grace_ms = 3600000").await;
    let socket = TcpStream::connect(app.base.trim_start_matches("http://")).await.expect("a connection");
    let (sender, mut connection) = Builder::new().handshake::<_, Bytes>(socket).await.expect("a handshake");
    let answered = async {
        let mut sender = sender.ready().await.expect("a connection");
        let request = Request::get("http://im.example/healthz").body(()).expect("a request");
        sender.send_request(request, true).expect("it is sent").0.await.expect("an answer").status()
    };
    let status = tokio::select! {
        _ = &mut connection => panic!("the connection has ended"),
        status = answered => status,
    };
    assert_eq!(status, 200);
    // From here on the client neither reads nor answers.
    tokio::time::timeout(LONG, app.halt()).await.expect("the stop does not wait for it");
    drop(connection);
}

#[tokio::test]
async fn idle_connections_and_heads_that_do_not_come_are_cut() {
    let app = TestApp::start_with("head_timeout_ms = 200\nidle_timeout_ms = 86400000").await;
    Connection::plain(&app).await.end().await.expect("closed without a first request");

    let app = TestApp::start_with("head_timeout_ms = 86400000\nidle_timeout_ms = 200").await;
    let connection = Connection::plain(&app).await;
    assert_eq!(connection.status("/healthz", &[]).await, 200);
    connection.end().await.expect("closed in order");
}

#[tokio::test]
async fn a_connection_with_a_stream_under_way_is_not_idle() {
    let app = TestApp::start_with("head_timeout_ms = 1000\nidle_timeout_ms = 500").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let connection = Connection::plain(&app).await;
    let stream = connection.ask("/api/v1/events", &[]).await.expect("a stream");
    let mut events = stream.into_body();
    // Other requests begin and end on the same connection, and connections without requests are cut meanwhile.
    for _ in 0..3 {
        assert_eq!(connection.status("/healthz", &[]).await, 200);
        let other = Connection::plain(&app).await;
        assert_eq!(other.status("/healthz", &[]).await, 200);
        other.end().await.expect("closed in order");
    }
    app.say("b", &channel, "still there").await;
    let mut told = String::new();
    while !told.contains("still there") {
        let piece =
            tokio::time::timeout(LONG, events.data()).await.expect("an event").expect("more").unwrap();
        events.flow_control().release_capacity(piece.len()).unwrap();
        told.push_str(&String::from_utf8_lossy(&piece));
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_an_answer_is_cut() {
    let app = TestApp::start_with("write_timeout_ms = 1000").await;
    let mut narrow = Builder::new();
    narrow.initial_window_size(1_000);
    let connection = Connection::with(&app, &narrow).await;
    let answer = connection.ask("/openapi.json", &[]).await.expect("an answer");
    // It is kept, and not read.
    let _ = connection.end().await;
    drop(answer);
    // One that reads slowly, with the same window, gets all.
    let connection = Connection::with(&app, &narrow).await;
    let answer = connection.ask("/openapi.json", &[]).await.expect("an answer");
    let contract: Value = serde_json::from_slice(&all(answer).await).expect("the whole answer");
    assert_eq!(contract["info"]["title"], "im-push-gateway");
}

#[tokio::test]
async fn a_stop_ends_open_connections_in_order() {
    for encrypted in [false, true] {
        let authority = Authority::new();
        let mut app =
            TestApp::start_with(&if encrypted { authority.settings() } else { String::new() }).await;
        let sql = app.sql().await;
        let person =
            "INSERT INTO t_im_user (user_id, name, updated_at, words_due) VALUES ('a', 'A', now(), false)";
        sql.batch_execute(person).await.unwrap();
        let connect = async |app: &TestApp| match encrypted {
            false => Connection::plain(app).await,
            true => {
                let socket = authority.connect(app, &[b"h2"]).await.expect("a TLS handshake");
                Connection::over(socket, &Builder::new()).await
            }
        };
        let (idle, busy) = (connect(&app).await, connect(&app).await);
        for connection in [&idle, &busy] {
            assert_eq!(connection.status("/healthz", &[]).await, 200);
        }
        sql.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let asking = tokio::spawn(async move {
            let answer = busy.ask("/api/v1/emojis", &[]).await.expect("an answer");
            let status = answer.status();
            (status, all(answer).await, busy)
        });
        app.until(crate::api::limits::WAITING, 1).await;

        let address = app.base.trim_start_matches("http://").to_owned();
        let (_, (status, body, busy)) = tokio::join!(app.halt(), async {
            idle.end().await.expect("an idle connection ends in order");
            let refused = || async { TcpStream::connect(&address).await.is_err() };
            until(refused, |refused| *refused).await;
            assert!(!asking.is_finished());
            sql.batch_execute("ROLLBACK").await.unwrap();
            asking.await.expect("no panic")
        });
        assert_eq!(status, 200, "the request under way has its answer");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({"items": []}));
        busy.end().await.expect("and its connection ends in order");
    }
}
