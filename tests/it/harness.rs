//! The ground under the other tests: what they trust without asking is asked here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::gateway::SECRET;
use crate::support::sandbox::{POLL, Sandbox, residents};
use crate::support::{Answer, Client, Cluster, Gate, Gateway, Service, shared};

/// Far more than anything here takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(30);
/// Set for the programs that this test binary plays itself.
const PLAY: &str = "HARNESS_PLAYS";

// ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_template_is_built_once_and_its_copies_are_apart() {
    let cluster = shared();
    let builds = AtomicU32::new(0);
    for _ in 0..2 {
        cluster
            .template("harness", |url| {
                builds.fetch_add(1, Ordering::Relaxed);
                let database = url.rsplit('/').next().expect("a database in the URL").to_owned();
                async move {
                    // The connection stays open: a pool does not close in an instant either.
                    let client = cluster.connect(&database).await;
                    client.batch_execute("CREATE TABLE t AS SELECT 1 AS n").await.unwrap();
                    std::mem::forget(client);
                }
            })
            .await;
    }
    assert_eq!(builds.load(Ordering::Relaxed), 1);

    let (one, other) =
        tokio::join!(cluster.fresh_database(Some("harness")), cluster.fresh_database(Some("harness")));
    cluster.connect(&one).await.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(rows(cluster, &one).await, 2);
    assert_eq!(rows(cluster, &other).await, 1);

    // Somebody connected does not keep a database alive.
    let _connected = cluster.connect(&one).await;
    cluster.drop_database(&one).await;
    cluster.drop_database(&one).await;
    cluster.create_database(&one, None).await;
}

#[tokio::test]
async fn the_server_is_durable_unless_told_otherwise() {
    let careless = Cluster::start_with(&[("fsync", "off"), ("application_name", "it's")]);
    assert_eq!(setting(&careless, "fsync").await, "off");
    assert_eq!(setting(&careless, "application_name").await, "it's");
    for (name, value) in [("fsync", "on"), ("full_page_writes", "on"), ("listen_addresses", "127.0.0.1")] {
        assert_eq!(setting(shared(), name).await, value);
    }
    let folder = careless.path().to_owned();
    drop(careless);
    assert_eq!(residents(&folder), [0; 0]);
    assert!(!folder.exists());
}

#[tokio::test]
async fn committed_rows_survive_kill_9() {
    let cluster = Cluster::start();
    let address = cluster.url("postgres");
    let client = cluster.connect("postgres").await;
    client.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO t VALUES (3)").await.unwrap();
    // A backend busy with a query outlives its postmaster if nobody sees to it.
    let busy = cluster.connect("postgres").await;
    let query = tokio::spawn(async move { busy.batch_execute("SELECT pg_sleep(600)").await });

    cluster.kill9();
    assert_eq!(cluster.processes(), [0; 0]);
    assert!(query.await.unwrap().is_err());
    assert!(client.batch_execute("COMMIT").await.is_err());

    cluster.restart().await;
    assert_eq!(cluster.url("postgres"), address);
    assert_eq!(rows(&cluster, "postgres").await, 2);
    // A server that still runs is killed first.
    cluster.restart().await;
    assert_eq!(rows(&cluster, "postgres").await, 2);
    assert!(cluster.log_tail().contains("recovery"), "{}", cluster.log_tail());
}

#[test]
fn nothing_outlives_an_owner_killed_by_kill_9() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "harness::owner_to_be_killed", "--ignored", "--nocapture"])
        .env(PLAY, "owner")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folders = lines.filter_map(|line| line.strip_prefix("folder ").map(PathBuf::from));
    let folders: Vec<PathBuf> = folders.take(2).collect();
    let [cluster, stubborn] = folders.as_slice() else { panic!("the owner says where its folders are") };
    assert!(residents(cluster).len() > 1, "a postmaster and its children");
    assert_eq!(residents(stubborn).len(), 1);

    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + LONG;
    for folder in [cluster, stubborn] {
        while folder.exists() || !residents(folder).is_empty() {
            assert!(Instant::now() < deadline, "{:?} are left in {}", residents(folder), folder.display());
            std::thread::sleep(POLL);
        }
    }
}

/// Played by a process of its own.
#[test]
#[ignore = "the victim of nothing_outlives_an_owner_killed_by_kill_9"]
fn owner_to_be_killed() {
    if std::env::var_os(PLAY).is_some_and(|role| role == "owner") {
        println!("\nfolder {}", shared().path().display());
        // PostgreSQL would miss its folder by itself, sooner or later. This does not.
        let stubborn = Sandbox::new("stubborn", "");
        let mut sleeper = stubborn.enter(Command::new("sleep").arg("600"), "log").spawn().unwrap();
        println!("folder {}", stubborn.path().display());
        sleeper.wait().unwrap();
    }
}

// ── The gateway ──────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn only_what_is_signed_and_well_formed_counts() {
    let gateway = Gateway::start();
    let pusher = Pusher::new(&gateway);
    let other = "whsec_b25lIHNlY3JldCBpcyBub3QgYW5vdGhlciBzZWNyZXQ=";

    assert_eq!(pusher.push("m1", &batch(&[("1", &["li"])])).await.status(), 200);
    let forged = pusher.signed_by(other).push("m2", &batch(&[("2", &["li"])])).await;
    assert_eq!(forged.status(), 401);
    let unsigned = pusher.http.post(gateway.url()).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(pusher.push("m3", &json!({"batch_id": "m3"})).await.status(), 400);
    let mut stray = batch(&[("4", &["li"])]);
    stray["deliveries"][0]["ms_ids"] = json!(["5"]);
    assert_eq!(pusher.push("m4", &stray).await.status(), 400);
    assert_eq!(pusher.http.get(gateway.url()).send().await.unwrap().status(), 405);

    gateway.expect_secret(other);
    assert_eq!(pusher.push("m5", &batch(&[("6", &["li"])])).await.status(), 401);
    assert_eq!(pusher.signed_by(other).push("m6", &batch(&[("6", &["li"])])).await.status(), 200);

    gateway.read(|record| {
        assert_eq!(record.batches().map(|batch| batch.webhook_id.as_str()).collect::<Vec<_>>(), ["m1", "m6"]);
        assert_eq!(record.refusals.len(), 6);
        assert_eq!(record.seen("2", "li"), 0);
    });
}

#[tokio::test]
async fn every_answer_is_given_as_told() {
    let gateway = Gateway::start();
    let pusher = Pusher::new(&gateway);
    let ok = |body: Value| (200, "", body);
    let elsewhere = gateway.url();
    let cases = [
        (Answer::All, ok(json!({"received": "all"}))),
        (
            Answer::all_except(&["u1"], &["u2"]),
            ok(json!({"received": "all", "except": {"offline": ["u1"], "retry": ["u2"]}})),
        ),
        (
            Answer::lists(&["u1"], &["u2"], &["u3"], &[("u4", "unknown")]),
            ok(json!({
                "received": ["u1"], "offline": ["u2"], "retry": ["u3"],
                "rejected": [{"receiver": "u4", "reason": "unknown"}]
            })),
        ),
        (Answer::status(503), (503, "", Value::Null)),
        (Answer::retry_after(429, 7), (429, "7", Value::Null)),
        (Answer::garbage(), ok(json!("{\"received\": \"al"))),
        (Answer::Redirect(elsewhere.clone()), (307, &elsewhere, Value::Null)),
        (Answer::All.after(Duration::from_millis(1)), ok(json!({"received": "all"}))),
    ];
    for (answer, expected) in cases {
        let told = answer.clone();
        gateway.answer(move |_| told.clone());
        let reply = pusher.push("m", &batch(&[("1", &["li"])])).await;
        let status = reply.status().as_u16();
        let header = |name| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let header = header("retry-after").or_else(|| header("location")).unwrap_or_default();
        let text = reply.text().await.unwrap();
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        };
        assert_eq!((status, header.as_str(), body), expected, "{answer:?}");
    }
    gateway.read(|record| assert!(record.arrivals.iter().all(|arrival| arrival.answer.is_some())));
}

#[tokio::test]
async fn silence_comes_in_three_ways() {
    let gateway = Gateway::start();
    let pusher = Pusher::new(&gateway);
    let body = batch(&[("1", &["li"])]);

    gateway.answer(|_| Answer::Close);
    let error = pusher.try_push("m", &body).await.unwrap_err();
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");

    gateway.answer(|_| Answer::Hang);
    let hanging = pusher.try_push("m", &body);
    tokio::select! {
        answer = hanging => panic!("{answer:?}"),
        () = gateway.wait_for(|record| record.arrivals.len() == 2, LONG) => {}
    }

    gateway.down();
    assert!(pusher.try_push("m", &body).await.unwrap_err().is_connect());
    gateway.up();
    gateway.answer(|_| Answer::All);
    assert_eq!(pusher.push("m", &body).await.status(), 200);
    assert_eq!(gateway.read(|record| record.attempts_of("m").len()), 3);
}

#[tokio::test]
async fn a_gate_holds_answers_until_it_opens() {
    let gateway = Gateway::start();
    let pusher = Pusher::new(&gateway);
    let gate = Gate::closed();
    let held = gate.clone();
    gateway.answer(move |_| Answer::All.behind(&held));

    let pushed = tokio::spawn({
        let pusher = pusher.clone();
        async move { pusher.push("m", &batch(&[("1", &["li"])])).await.status() }
    });
    gateway.wait_for(|record| record.seen("1", "li") == 1, LONG).await;
    assert!(!pushed.is_finished());
    gate.open();
    assert_eq!(pushed.await.unwrap(), 200);
}

#[tokio::test]
async fn the_record_tells_first_sightings_from_repeats() {
    let gateway = Gateway::start();
    let pusher = Pusher::new(&gateway);
    gateway.answer(|batch| if batch.attempt == 1 { Answer::status(500) } else { Answer::All });

    let first = batch(&[("1", &["li", "wang"]), ("2", &["li"])]);
    assert_eq!(pusher.push("m1", &first).await.status(), 500);
    assert_eq!(pusher.push("m1", &first).await.status(), 200);
    assert_eq!(pusher.push("m2", &batch(&[("2", &["li", "wang"])])).await.status(), 500);

    let sighting = |seq: i64, receiver: &str| (seq, seq.to_string(), receiver.to_owned());
    gateway.read(|record| {
        let expected = [sighting(1, "li"), sighting(1, "wang"), sighting(2, "li"), sighting(2, "wang")];
        assert_eq!(record.first_sightings("7"), expected);
        assert_eq!(record.first_sightings("8"), []);
        assert_eq!((record.seen("2", "li"), record.seen("2", "wang"), record.seen("3", "li")), (3, 1, 0));
        assert_eq!((record.pairs, record.distinct_pairs(), record.receivers_of("1")), (8, 4, 2));
        assert_eq!(record.batches().map(|batch| batch.attempt).collect::<Vec<_>>(), [1, 2, 1]);
        let [one, two] = record.attempts_of("m1").try_into().unwrap();
        assert_eq!((&one.messages, &one.deliveries), (&two.messages, &two.deliveries));
    });
    gateway.forget();
    assert_eq!(gateway.read(|record| record.pairs), 0);
}

// ── The service and its clients ──────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_service_is_started_killed_restarted_and_stopped() {
    let (folder, binary) = stand_in_binary();
    let mut service = Service::start(&binary, &[("poll_ms", "17")]).await;
    let address = service.url();
    let li = Client::new(&service.url(), "li.si", &["gateway", "support"]);
    let seen = li.post("/echo?a=b", json!({"n": 1})).await.expect(200);
    let seen = seen.as_str().unwrap().to_lowercase();
    for line in [
        "post /echo?a=b ",
        "x-user-id: li.si\r",
        "x-user-roles: gateway,support\r",
        "content-type: application/json\r",
        "{\"n\":1}",
        "poll_ms=17",
    ] {
        assert!(seen.contains(line), "{line} is not in {seen}");
    }
    let wang = li.person("wang").get("/echo").await.expect(200);
    assert!(!wang.as_str().unwrap().contains("x-user-roles"), "{wang}");
    li.get("/problem").await.expect_problem(404, "not-found");

    service.kill9();
    assert!(li.try_call(reqwest::Method::GET, "/echo", None).await.is_err());
    service.set("poll_ms", "18");
    service.restart().await;
    assert_eq!(service.url(), address);
    assert!(li.get("/echo").await.expect(200).as_str().unwrap().contains("poll_ms=18"));
    assert!(!service.stop().await.success(), "the stand-in dies of SIGTERM");
    assert_eq!(service.log().matches("\"listening\"").count(), 2);

    let refused = Service::try_start(&binary, &[("database_url", "nonsense")]).await.err().unwrap();
    assert!(refused.contains("not a PostgreSQL address"), "{refused}");
    drop(folder);
}

/// Played by a process of its own: just enough of `im-push-gateway serve` to be started.
#[test]
#[ignore = "the stand-in of a_service_is_started_killed_restarted_and_stopped"]
fn stand_in_for_the_service() {
    if std::env::var_os(PLAY).is_none_or(|role| role != "service") {
        return;
    }
    assert!(std::env::var_os("IMPG_DATABASE_URL").is_none(), "not a PostgreSQL address");
    let listener = TcpListener::bind(std::env::var("IMPG_LISTEN").unwrap()).unwrap();
    let listen = listener.local_addr().unwrap();
    assert_eq!(listen.ip(), Ipv4Addr::LOCALHOST);
    println!(
        "\n{}",
        json!({"level": "INFO", "fields": {"message": "listening", "listen": listen.to_string()}})
    );
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut head = [0; 4096];
        let mut length = 0;
        while !whole(&head[..length]) {
            length += stream.read(&mut head[length..]).unwrap();
        }
        let request = String::from_utf8_lossy(&head[..length]);
        let poll = std::env::var("IMPG_POLL_MS").unwrap_or_default();
        let (status, media_type, body) = if request.starts_with("GET /problem") {
            let problem = json!({"type": "urn:im-push-gateway:problem:not-found", "status": 404});
            ("404 Not Found", "application/problem+json", problem.to_string())
        } else {
            ("200 OK", "text/plain", format!("{request}\npoll_ms={poll}"))
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
        .unwrap();
    }
}

// ── Helpers ──────────────────────────────────────────────────────────────────────────────────

async fn rows(cluster: &Cluster, database: &str) -> i64 {
    let client = cluster.connect(database).await;
    client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
}

async fn setting(cluster: &Cluster, name: &str) -> String {
    let client = cluster.connect("postgres").await;
    client.query_one("SELECT reset_val FROM pg_settings WHERE name = $1", &[&name]).await.unwrap().get(0)
}

/// A batch of channel 7: messages, whose seq is their ms_id, and their receivers.
fn batch(messages: &[(&str, &[&str])]) -> Value {
    let message = |(ms_id, _): &(&str, &[&str])| {
        json!({
            "ms_id": ms_id, "channel_id": "7", "channel_type": "group", "sender": "zhang",
            "seq": ms_id.parse::<i64>().unwrap(), "server_time": "2024-05-01T08:00:00Z",
            "type": "text", "content": {"text": "hello"}
        })
    };
    let delivery = |(ms_id, receivers): &(&str, &[&str])| json!({"receivers": receivers, "ms_ids": [ms_id]});
    json!({
        "batch_id": "b",
        "messages": messages.iter().map(message).collect::<Vec<_>>(),
        "deliveries": messages.iter().map(delivery).collect::<Vec<_>>()
    })
}

/// What the service will be to the gateway.
#[derive(Clone)]
struct Pusher {
    http: reqwest::Client,
    url: String,
    secret: String,
}

impl Pusher {
    fn new(gateway: &Gateway) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_certs_only([])
            .build()
            .unwrap();
        Self { http, url: gateway.url(), secret: SECRET.to_owned() }
    }

    fn signed_by(&self, secret: &str) -> Self {
        Self { secret: secret.to_owned(), ..self.clone() }
    }

    async fn push(&self, id: &str, body: &Value) -> reqwest::Response {
        self.try_push(id, body).await.unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a signature is checked against the real clock")]
    async fn try_push(&self, id: &str, body: &Value) -> Result<reqwest::Response, reqwest::Error> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let body = body.to_string();
        let signature = Webhook::new(&self.secret).unwrap().sign(id, now, body.as_bytes()).unwrap();
        let request = self.http.post(&self.url).header("webhook-id", id).header("webhook-timestamp", now);
        request.header("webhook-signature", signature).body(body).send().await
    }
}

/// A program that takes `serve` and becomes [`stand_in_for_the_service`].
fn stand_in_binary() -> (Sandbox, PathBuf) {
    let folder = Sandbox::new("stand-in", "");
    let binary = folder.path().join("im-push-gateway");
    let us = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = serve ] || exit 64\n{PLAY}=service exec '{}' \
         --exact harness::stand_in_for_the_service --ignored --nocapture\n",
        us.display()
    );
    std::fs::write(&binary, script).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, binary)
}

/// Whether a request has come to its end.
fn whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The path a test binary of ours has; kept here so that a change of layout is seen.
#[test]
fn the_binary_is_found_beside_us() {
    let found = Service::binary_beside_us();
    assert_eq!(found.file_name(), Path::new(env!("CARGO_BIN_EXE_im-push-gateway")).file_name());
}
