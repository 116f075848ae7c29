//! `im-push-gateway support gather`: what is in the archive, and what never is.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{LONG, text};
use crate::base::database::until;
use crate::support::{Answer, Client, Gateway, Observer, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
/// All that is planted has one of these. They stand for bodies, names, addresses, phones, ids of users, and secrets.
const PLANTED: &[&str] = &["planted", "种下", "13900000", "cGxhbnRlZ"];
/// Base64 of `planted-planted-planted-planted!`, 32 bytes.
const KEY: &str = "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZCE=";
const USER: &str = "planted-user";
const OTHER: &str = "planted-other";

/// Each file of the archive by its name, and all bytes of the archive.
struct Packet {
    files: BTreeMap<String, String>,
    bytes: Vec<u8>,
}

impl Packet {
    fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            files.insert(name, content);
        }
        Self { files, bytes }
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.files[name])
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", self.files[name]))
    }

    /// The value of a setting as it is shown, and whether it differs from its default.
    fn setting(&self, name: &str) -> (Value, bool) {
        let settings = self.json("settings.json");
        let found = settings.as_array().unwrap().iter().find(|setting| setting["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name}"));
        (found["value"].clone(), found["differs"] == true)
    }
}

/// Runs the command with these settings, and nothing else from the environment.
async fn gather(settings: &[(String, String)], out: &Path) -> Output {
    let mut command = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        command.env_remove(key);
    }
    command.env("IMPG_TRUSTED_PEERS", "127.0.0.1");
    command.envs(settings.iter().map(|(key, value)| (format!("IMPG_{}", key.to_uppercase()), value)));
    command.args(["support", "gather", "--out"]).arg(out);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn out(folder: &TempDir) -> PathBuf {
    folder.path().join("support.tar.gz")
}

/// The settings of a service, with a secret wherever one can be.
fn settings(database: &str, gateway: &Gateway, hr: &str, folder: &TempDir) -> Vec<(String, String)> {
    let database = shared().url(database).replacen('@', ":planted-password@", 1);
    let gateway = gateway.url().replacen("http://", "http://planted-login:planted-word@", 1);
    let archive = format!("embedded:{}", folder.path().join("archive").display());
    let files = format!("folder:{}", folder.path().join("files").display());
    let users = format!("{hr}/people?key=planted-in-a-query");
    let pairs: &[(&str, &str)] = &[
        ("database_url", &database),
        ("callback_url", &format!("{gateway}?key=planted-in-a-query")),
        ("callback_secrets", &format!("whsec_{KEY}")),
        ("callback_keys", KEY),
        ("callback_allow", "127.0.0.0/8"),
        ("callback_breaker_failures", "1"),
        ("file_link_keys", KEY),
        ("file_store", &files),
        ("file_s3_access_key", "planted-access-key"),
        ("file_s3_secret_key", "planted-secret-key"),
        ("identity_secret", "planted-identity-secret"),
        ("hmac_secrets", "planted-hmac-secret-of-at-least-32-bytes"),
        ("jwt_jwks_url", "https://planted:planted@keys.example/jwks?planted"),
        ("archive_url", &archive),
        ("archive_user", "planted-archive-user"),
        ("archive_password", "planted-archive-password"),
        ("directory_source", "http"),
        ("directory_users_url", &users),
        ("directory_authorization", "Bearer planted-authorization"),
        ("directory_bind_dn", "cn=planted"),
        ("directory_bind_password", "planted-bind-password"),
        ("traces_url", "https://collector.example/v1/traces?key=planted-in-a-query"),
        ("traces_headers", "authorization: Bearer planted-traces-header"),
        ("traces_share", "0"),
        ("directory_run_attempts", "1"),
        ("directory_schedule", ""),
        ("directory_full_schedule", ""),
        ("poll_ms", "50"),
    ];
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// People, groups, messages, notifications, files and callbacks pass through the service, some of them badly.
async fn a_day(service: &Service, gateway: &Gateway, observer: &Observer) {
    let call = |user: &str, roles: &[&str]| {
        Client::new(&service.api(), user, roles).with_header("x-gateway-secret", "planted-identity-secret")
    };
    let (root, user) = (call("planted-root", &["admin", "directory", "gateway"]), call(USER, &[]));
    let person = |id: &str| {
        json!({"user_id": id, "name": "种下的名字", "login_name": format!("{id}-login"), "email": format!("{id}@im.example"),
            "phone": "+86 139 0000 0001", "title": "planted title", "employee_number": "13900000-1",
            "department_ids": ["planted-department"]})
    };
    let departments = json!([{"department_id": "planted-department", "name": "种下的部门"}]);
    let mut robot = person("planted-app");
    robot["kind"] = json!("application");
    let users = json!([person(USER), person(OTHER), robot]);
    root.post("/directory/changes", json!({"departments": departments, "users": users})).await.expect(200);
    let run = text(&root.post("/directory/sync", json!({})).await.expect(202)["run_id"]);
    let run = format!("/directory/runs/{run}");
    until(|| root.get(&run), |reply| !reply.body["ended_at"].is_null()).await;

    for (url, headers) in [
        (observer.url(), json!({"x-portal": "planted-in-a-header"})),
        ("http://127.0.0.1:9/planted-in-a-long-path/x?key=planted".to_owned(), json!({})),
    ] {
        let wish = json!({"url": url, "event_types": ["message.*", "channel.*"], "headers": headers,
            "description": "planted description"});
        root.post("/callbacks", wish).await.expect(201);
    }
    let group = json!({"name": "种下的群", "members": [OTHER]});
    let group = text(&user.post("/groups", group).await.expect(201)["channel_id"]);
    let message = json!({"type": "text", "content": {"text": "planted-in-a-body 13900000002"}});
    let sent = user.post(&format!("/channels/{group}/messages"), message).await.expect(201);
    gateway.wait_for(|record| record.seen(&text(&sent["ms_id"]), OTHER) > 0, LONG).await;
    observer.wait_for(|log| !log.events().is_empty(), LONG).await;
    user.post(&format!("/channels/{group}/robots"), json!({"name": "planted robot"})).await.expect(201);
    let notice = json!({"to": {"user_ids": [USER]}, "type": "text", "content": {"text": "planted notice"},
        "topic": "planted-topic", "client_id": "planted-client-id"});
    call("planted-app", &[]).post("/notifications", notice).await.expect(202);
    let gone = json!({"type": "text", "content": {"text": "planted-refused"}, "mentions": 7});
    user.post(&format!("/channels/{group}/messages"), gone).await.expect(422);
    // The gateway says no, in words of its own.
    gateway.answer(|_| Answer::status(503));
    let again = json!({"type": "text", "content": {"text": "planted-in-a-second-body"}});
    user.post(&format!("/channels/{group}/messages"), again).await.expect(201);
    let failed = || root.get("/callbacks/gateway/deliveries");
    until(failed, |reply| {
        reply.body["items"].as_array().is_some_and(|all| all.iter().any(|one| one["http_status"] == 503))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_for_support_describes_the_installation_and_no_byte_of_it_a_person_or_a_secret() {
    let (gateway, observer, folder) =
        (Gateway::start_with(&format!("whsec_{KEY}")), Observer::start(), TempDir::new().unwrap());
    let database = crate::app::database().await;
    // Nothing answers as the HR service: the run fails.
    let settings = settings(&database, &gateway, "http://127.0.0.1:9", &folder);
    let pairs: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut service = Service::start(BINARY, &pairs).await;
    a_day(&service, &gateway, &observer).await;
    // A run that an administrator has cancelled names them.
    let sql = shared().connect(&database).await;
    let cancelled = "INSERT INTO t_im_directory_run (mode, asked_by, dry_run, asked_at, ended_at, state, detail, approved_by)
        VALUES ('full', 'hand', false, now(), now(), 'failed', 'cancelled by planted-root', 'planted-root')";
    sql.batch_execute(cancelled).await.unwrap();

    let mut settings = settings;
    settings.push(("listen".to_owned(), service.url().replace("http://", "")));
    let metrics = service.metrics_url().replace("http://", "").replace("/metrics", "");
    settings.push(("metrics_listen".to_owned(), metrics));
    let done = gather(&settings, &out(&folder)).await;
    let (told, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{told}{wrong}");
    service.stop().await;

    let packet = Packet::read(&out(&folder));
    let all = String::from_utf8_lossy(&packet.bytes);
    for planted in PLANTED {
        let found: Vec<&str> = all.lines().filter(|line| line.contains(planted)).collect();
        assert!(found.is_empty(), "{planted} in {found:?}");
        assert!(!told.contains(planted) && !wrong.contains(planted), "{told}{wrong}");
    }
    for name in packet.files.keys().filter(|name| *name != "README.txt") {
        assert!(
            told.contains(name.as_str()) && packet.files["README.txt"].contains(name.as_str()),
            "{name}: {told}"
        );
    }
    assert_eq!(std::fs::metadata(out(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
    it_describes_the_installation(&packet, &database);
}

fn it_describes_the_installation(packet: &Packet, database: &str) {
    assert_eq!(packet.json("build.json")["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(packet.setting("poll_ms"), (json!(50), true));
    assert_eq!(packet.setting("send_lanes"), (json!(2), false));
    assert_eq!(packet.setting("identity_secret"), (json!("[hidden]"), true));
    assert_eq!(packet.setting("jwt_jwks_url").0, "https://keys.example/jwks");
    let shown = packet.setting("database_url").0;
    assert_eq!((&shown["database"], &shown["hosts"]), (&json!(database), &json!(["127.0.0.1"])));
    let checks = packet.json("checks.json");
    let database = checks.as_array().unwrap().iter().find(|check| check["name"] == "database").unwrap();
    assert_eq!(database["level"], "ok", "{checks}");
    let newest = packet.json("build.json")["newest_migration"].clone();
    let migrations = packet.json("migrations.json");
    assert_eq!(migrations.as_array().unwrap().last().unwrap()["version"], newest);
    let tables = packet.json("tables.json");
    assert!(tables.as_array().unwrap().iter().any(|table| table["table"] == "t_im_channel"), "{tables}");
    let partitions = packet.json("partitions.json");
    assert!(partitions.as_array().unwrap().iter().all(|one| one["bytes"].as_i64() > Some(0)), "{partitions}");
    let server = packet.json("database.json");
    assert!(server["settings"]["max_connections"].is_string() && server["bytes"].is_number(), "{server}");
    let leases = packet.json("leases.json");
    assert!(!leases["leases"].as_array().unwrap().is_empty(), "{leases}");
    assert!(packet.json("queues.json")["push_commits"]["pairs"].is_number());
    assert!(packet.json("archive.json")["horizon"]["cold_below_ms_id"].is_number());
    let directory = packet.json("directory_runs.json");
    assert!(
        directory["runs"].as_array().unwrap().iter().any(|run| run["detail"] == "cancelled"),
        "{directory}"
    );
    let callbacks = packet.json("callbacks.json");
    let gateway = callbacks.as_array().unwrap().iter().find(|one| one["callback_id"] == "gateway").unwrap();
    let results = gateway["last_day"].as_array().unwrap();
    assert!(
        results.iter().any(|result| result["http_status"] == 503 && result["error"].is_string()),
        "{gateway}"
    );
    assert!(results.iter().any(|result| result["http_status"] == 200), "{gateway}");
    assert!(gateway["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{gateway}");
    assert!(packet.files["metrics.txt"].contains("impg_http_requests_total"));
    assert_eq!(packet.json("readiness.json")["database"], "ok");
}

#[tokio::test]
async fn an_archive_is_written_while_the_database_is_away_and_never_over_another_file() {
    let folder = TempDir::new().unwrap();
    let settings =
        [("database_url", "postgresql://im:planted-password@127.0.0.1:1/im"), ("metrics_listen", "")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let done = gather(&settings, &out(&folder)).await;
    let told = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(2), "{told}{}", String::from_utf8_lossy(&done.stderr));
    assert!(told.contains("MISSING"), "{told}");
    let packet = Packet::read(&out(&folder));
    for name in ["database.json", "queues.json", "callbacks.json"] {
        let missing = packet.json(name)["missing"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(missing.contains("nothing listens at 127.0.0.1:1"), "{name}: {missing}");
    }
    assert!(
        packet.files["checks.json"].contains("nothing listens at 127.0.0.1:1"),
        "{}",
        packet.files["checks.json"]
    );
    assert!(!String::from_utf8_lossy(&packet.bytes).contains("planted"));

    let before = std::fs::read(out(&folder)).unwrap();
    let done = gather(&settings, &out(&folder)).await;
    let wrong = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{wrong}");
    assert!(wrong.contains("exists: name another file with --out"), "{wrong}");
    assert_eq!(std::fs::read(out(&folder)).unwrap(), before);
    let nowhere = folder.path().join("no-folder/support.tar.gz");
    assert_eq!(gather(&settings, &nowhere).await.status.code(), Some(1));
    assert!(!nowhere.exists());
}
