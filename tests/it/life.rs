//! Starting, refusing, stopping; and every answer that is an error.

use std::time::Instant;

use im_push_gateway::app::App;
use im_push_gateway::base::config::Config;
use im_push_gateway::base::store::Store;
use reqwest::Method;
use serde_json::json;

use crate::app::{LONG, TestApp, config, text};
use crate::support::{Client, Cluster, shared};

#[tokio::test]
async fn two_replicas_that_start_at_once_migrate_once() {
    let empty = shared().fresh_database(None).await;
    let start = || App::build(config(&empty, ""));
    let (one, two, three) = tokio::join!(start(), start(), start());
    for app in [one, two, three] {
        app.expect("each of them starts");
    }
    let client = shared().connect(&empty).await;
    let versions: i64 =
        client.query_one("SELECT count(*) FROM refinery_schema_history", &[]).await.unwrap().get(0);
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/schema")).unwrap().count();
    assert_eq!(versions, i64::try_from(files).unwrap());
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    for setting in ["fsync", "full_page_writes"] {
        let careless = Cluster::start_with(&[(setting, "off")]);
        let toml =
            format!("database_url = \"{}\"\ntrusted_peers = [\"127.0.0.1\"]", careless.url("postgres"));
        let refused = App::build(Config::from_toml(&toml).unwrap()).await.err().expect("refused");
        assert!(refused.to_string().contains(setting), "{refused}");
    }
}

#[tokio::test]
async fn readiness_follows_the_database() {
    let cluster = Cluster::start();
    cluster.create_database("life", None).await;
    let settings = format!("database_url = \"{}\"\ndatabase_wait_ms = 1000", cluster.url("life"));
    let app = TestApp::start_on("life".into(), &settings).await;
    let probe = Client::anonymous(&app.base);
    assert_eq!(probe.get("/readyz").await.expect(200)["status"], "ready");
    cluster.kill9();
    assert_eq!(probe.get("/readyz").await.expect(503)["database"], "away");
    assert_eq!(probe.get("/healthz").await.expect(200)["status"], "alive");
    app.person("a").get("/conversations").await.expect_problem(503, "unavailable");
    cluster.restart().await;
    assert_eq!(probe.get("/readyz").await.expect(200)["status"], "ready");
}

#[tokio::test]
async fn a_connection_to_the_database_lives_for_a_bounded_time() {
    let database = crate::app::database().await;
    let backend = async |store: &Store| -> i32 {
        let client = store.client().await.unwrap();
        client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
    };
    let lasting = Store::new(&config(&database, "")).unwrap();
    assert_eq!(backend(&lasting).await, backend(&lasting).await);
    let brief = Store::new(&config(&database, "database_connection_life_ms = 1")).unwrap();
    let (first, started) = (backend(&brief).await, Instant::now());
    while backend(&brief).await == first {
        assert!(started.elapsed() < LONG, "it is used for good");
    }
}

#[tokio::test]
async fn stopping_lets_what_is_under_way_end() {
    let mut app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let sender = app.person("a");
    let path = format!("/channels/{channel}/messages");
    let body = |i: usize| json!({"type": "text", "content": {"text": i.to_string()}});
    let sends: Vec<_> = (0..20)
        .map(|i| {
            let (sender, path, body) = (sender.clone(), path.clone(), body(i));
            tokio::spawn(async move { sender.try_call(Method::POST, &path, Some(body)).await })
        })
        .collect();
    app.until("SELECT (last_seq > 0)::int::bigint FROM t_im_channel", 1).await;
    app.halt().await;
    let mut acknowledged = 0;
    for send in sends {
        if let Ok(reply) = send.await.unwrap() {
            assert!(reply.status == 201 || reply.status == 503, "{reply:?}");
            acknowledged += i64::from(reply.status == 201);
        }
    }
    let stored = app.count("SELECT count(*) FROM t_im_message", &[]).await;
    assert!(acknowledged > 0 && acknowledged <= stored);
    sender.try_call(Method::GET, "/conversations", None).await.expect_err("nobody listens any more");
}

#[tokio::test]
async fn every_error_is_a_problem_of_a_stable_type() {
    let app = TestApp::start_with("request_body_max_bytes = 2000").await;
    app.people(&["a", "b"]).await;
    let a = app.person("a");
    Client::anonymous(&app.base).get("/nowhere").await.expect_problem(404, "not-found");
    a.get("/channels/0").await.expect_problem(404, "not-found");
    a.get("/channels/99999999999999999999").await.expect_problem(404, "not-found");
    a.delete("/conversations").await.expect_problem(405, "method-not-allowed");
    a.post("/groups", json!({"name": "x".repeat(3_000)})).await.expect_problem(413, "too-large");
    Client::anonymous(&format!("{}/api/v1", app.base))
        .get("/conversations")
        .await
        .expect_problem(401, "unauthenticated");
    let stranger = app.person("someone.else").get("/conversations").await.expect_problem(403, "unknown-user");
    let told = text(&stranger["detail"]);
    assert!(told.contains("POST /directory/changes") && !told.contains("someone.else"), "{told}");
    let field = |body: serde_json::Value| {
        let a = a.clone();
        async move { a.post("/groups", body).await.expect_problem(422, "invalid-field")["pointer"].clone() }
    };
    assert_eq!(field(json!({"name": "g", "colour": "red"})).await, "/colour");
    assert_eq!(field(json!({"name": 7})).await, "/name");
    assert_eq!(field(json!({"members": ["b", 7]})).await, "/members/1");
    assert_eq!(field(json!({"name": "a\u{0}b"})).await, "/name");

    let raw = |media_type: &'static str, body: &'static str| {
        let request = reqwest::Client::new().post(format!("{}/api/v1/groups", app.base));
        let request = request.header("x-user-id", "a").header("content-type", media_type).body(body);
        async move { request.send().await.unwrap() }
    };
    for (media_type, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "{\"name\":", 400),
        ("application/json", "{} {}", 400),
        ("application/json", "\u{feff}{}", 400),
        ("application/json; charset=utf-8", "{}", 201),
    ] {
        let reply = raw(media_type, body).await;
        assert_eq!(reply.status().as_u16(), status, "{media_type} {body}");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    for (broken, named) in [
        ("", "database_url"),
        ("database_url = \"mysql://x\"", "database_url"),
        ("database_url = \"postgresql://x\"\ncolour = 1", "colour"),
        ("database_url = \"postgresql://x\"\ndatabase_read_url = \"mysql://x\"", "database_read_url"),
        ("database_url = \"postgresql://x\"\ndatabase_read_url = \"postgresql://x\"", "database_read_url"),
        ("database_url = \"postgresql://x\"\ndatabase_read_max_lag_ms = 0", "database_read_max_lag_ms"),
        ("database_url = \"postgresql://x\"\nclient_id_keep_days = 3", "client_id_keep_days"),
        ("database_url = \"postgresql://x\"\ncallback_url = \"http://x\"", "callback_secrets"),
        ("database_url = \"postgresql://x\"\nlisten = \"nowhere\"", "listen"),
        ("database_url = \"postgresql://x\"\npoll_ms = 0", "poll_ms"),
        ("database_url = \"postgresql://x\"\ncallback_keep_days = 5000000", "callback_keep_days"),
        ("database_url = \"postgresql://x\"\nstreams_per_user = 0", "streams_per_user"),
        ("database_url = \"postgresql://x\"\nstream_keep_ms = 59999", "stream_keep_ms"),
        ("database_url = \"postgresql://x\"\nwrite_timeout_ms = 0", "write_timeout_ms"),
        ("database_url = \"postgresql://x\"\narchive_url = \"elasticsearch:9200\"", "archive_url"),
        ("database_url = \"postgresql://x\"\narchive_url = \"embedded:\"", "archive_url"),
        ("database_url = \"postgresql://x\"\narchive_url = \"http://user:password@x\"", "archive_url"),
        ("database_url = \"postgresql://x\"\narchive_index = \"Messages\"", "archive_index"),
        ("database_url = \"postgresql://x\"\nrobot_url = \"im.example.com:8080/api\"", "robot_url"),
        ("database_url = \"postgresql://x\"\nconsole_url = \"im.example.com/console\"", "console_url"),
        ("database_url = \"postgresql://x\"\ncallback_link_max_hours = 721", "callback_link_max_hours"),
        (
            "database_url = \"postgresql://x\"\ncallback_link_replay_per_second = 0",
            "callback_link_replay_per_second",
        ),
        (
            "database_url = \"postgresql://x\"\ncallback_link_replay_waiting_pairs = 0",
            "callback_link_replay_waiting_pairs",
        ),
        ("database_url = \"postgresql://x\"\nlink_requests_burst = 0", "link_requests_burst"),
        ("database_url = \"postgresql://x\"\nscim_url = \"im.example.com:8080/scim/v2\"", "scim_url"),
        ("database_url = \"postgresql://x\"\nfile_url = \"im.example.com:8080/files\"", "file_url"),
        (
            "database_url = \"postgresql://x\"\narchive_api_key = \"k\"\narchive_user = \"u\"",
            "archive_api_key",
        ),
    ] {
        let refused = Config::from_toml(broken).expect_err(broken);
        assert!(refused.to_string().contains(named), "{refused}");
    }
    let open = Config::from_toml("database_url = \"postgresql://x\"").unwrap();
    let refused = App::build(open).await.err().expect("an open trust list is refused");
    assert!(refused.to_string().contains("trusted_peers"), "{refused}");
    let shown = format!("{:?}", Config::from_toml("database_url = \"postgresql://u:hunter2@h/d\"").unwrap());
    assert!(!shown.contains("hunter2"));
    // The environment makes a number of digits; a secret of digits is a secret all the same.
    let digits =
        Config::from_toml("database_url = \"postgresql://x\"\nidentity_secret = 8374928374928374").unwrap();
    assert_eq!(digits.identity.secret.expose(), "8374928374928374");
    let float = Config::from_toml("database_url = \"postgresql://x\"\nidentity_secret = 8374.5").unwrap_err();
    assert!(!float.to_string().contains("8374.5"), "{float}");
}

/// All mistakes of a start, also those of the identity, in the names that the environment has.
#[test]
fn all_mistakes_of_a_start_are_told_at_once() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_im-push-gateway"));
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        command.env_remove(key);
    }
    let settings = [
        ("IMPG_DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("IMPG_LISEN", "127.0.0.1:0"),
        ("IMPG_LISTEN", "8080"),
        ("IMPG_DIRECTORY_GUARD_CONT", "5"),
        ("IMPG_POLL_MS", "0"),
    ];
    let answer = command.envs(settings).arg("serve").output().unwrap();
    let told = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{told}");
    for mistake in [
        "settings: 6 mistakes\n",
        "`IMPG_LISEN` is not a setting: did you mean `IMPG_LISTEN`?\n",
        "`IMPG_LISTEN` must be an address and a port, such as `127.0.0.1:8080`, not 8080\n",
        "`IMPG_DIRECTORY_GUARD_CONT` is not a setting: did you mean `IMPG_DIRECTORY_GUARD_COUNT`?\n",
        "`poll_ms` must be 1 ms to a day (it is 0)\n",
        "`database_url` must be the address of a PostgreSQL database, such as postgresql://",
        "`trusted_peers` is empty: set it",
    ] {
        assert!(told.contains(mistake), "no {mistake} in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_taken_address_is_told_with_the_setting_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (setting, other) in [("listen", "metrics_listen"), ("metrics_listen", "listen")] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_im-push-gateway"));
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
            command.env_remove(key);
        }
        command
            .env("IMPG_DATABASE_URL", "postgresql://im@127.0.0.1:1/im")
            .env("IMPG_TRUSTED_PEERS", "127.0.0.1");
        command.env(format!("IMPG_{}", other.to_uppercase()), "127.0.0.1:0");
        command.env(format!("IMPG_{}", setting.to_uppercase()), &address);
        let answer = command.arg("serve").output().unwrap();
        let told = String::from_utf8_lossy(&answer.stderr);
        assert_eq!(answer.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("cannot listen on {address}: ")), "{told}");
        assert!(told.contains(&format!("; change `{setting}`")), "{told}");
    }
}

#[tokio::test]
async fn an_encrypted_connection_to_the_database_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    let request = folder.path().join("request.cnf");
    let leaf = "[req]\ndistinguished_name = dn\n[dn]\n[v3]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    std::fs::write(&request, leaf).unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=db",
            "-extensions",
            "v3",
        ])
        .arg("-config")
        .arg(&request)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cluster = Cluster::start();
    let pem = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    for (name, text) in [("server.crt", pem(&certificate)), ("server.key", pem(&key))] {
        cluster.put_data_file(name, &text);
    }
    cluster.connect("postgres").await.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    cluster.restart().await;
    let start = async |ca_file: &str, mode: &str| {
        let url = format!("{}?sslmode={mode}", cluster.url("postgres"));
        let toml = format!(
            "database_url = \"{url}\"\ndatabase_ca_file = \"{ca_file}\"\ntrusted_peers = [\"127.0.0.1\"]"
        );
        let store = im_push_gateway::base::store::Store::new(&Config::from_toml(&toml).unwrap())?;
        let client = store.client().await?;
        let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        im_push_gateway::base::error::Result::Ok(client.query_one(encrypted, &[]).await?.get::<_, bool>(0))
    };
    let ca = certificate.to_str().unwrap();
    assert!(start(ca, "require").await.expect("the authority is known"));
    assert!(!start(ca, "disable").await.expect("plain"));
    start("", "require").await.expect_err("an unknown authority is refused");
    start(key.to_str().unwrap(), "require").await.expect_err("a key is no authority");
}
