//! Several processes on one database whose settings differ: what each may change of what they share.

use std::time::{Duration, Instant};

use im_push_gateway::app::App;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{LONG, LOOK, config, database, text};
use crate::support::gateway::SECRET;
use crate::support::{Client, Gateway, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");

/// The settings of a process that differ from the others'.
#[derive(Clone, Copy)]
struct Kind {
    callback_url: &'static str,
    /// Its archive is refused, after everything else was found to be good.
    fails: bool,
}

const KINDS: [Kind; 7] = [
    Kind { callback_url: "http://one.example/push", fails: false },
    Kind { callback_url: "http://two.example/push", fails: false },
    Kind { callback_url: "none", fails: false },
    Kind { callback_url: "", fails: false },
    Kind { callback_url: "http://two.example/push", fails: true },
    Kind { callback_url: "none", fails: true },
    Kind { callback_url: "", fails: true },
];

#[tokio::test]
async fn a_start_changes_the_gateway_if_it_names_one_and_succeeds() {
    let (database, folder) = (database().await, TempDir::new().expect("a folder"));
    let sql = shared().connect(&database).await;
    sql.batch_execute("INSERT INTO t_im_archive (archive_id) VALUES ('that of others')").await.unwrap();
    let archive = format!("archive_url = \"embedded:{}\"", folder.path().display());
    let mut expected = None;
    for (first, second) in KINDS.iter().flat_map(|first| KINDS.iter().map(move |second| (first, second))) {
        // Both are there at once; that either goes changes nothing.
        let mut replicas = Vec::new();
        for kind in [first, second] {
            let settings = format!(
                "callback_url = \"{}\"\ncallback_secrets = [\"{SECRET}\"]\n{}",
                kind.callback_url,
                if kind.fails { &archive } else { "" }
            );
            let started = App::build(config(&database, &settings)).await;
            assert_eq!(started.is_err(), kind.fails, "{:?}", started.err());
            replicas.push(started);
            match kind.callback_url {
                _ if kind.fails => {}
                "" => {}
                "none" => expected = None,
                url => expected = Some(url),
            }
            let row = "SELECT url FROM t_im_callback WHERE callback_id = 'gateway'";
            let url: Option<String> = sql.query_one(row, &[]).await.unwrap().get(0);
            assert_eq!(url.as_deref(), expected);
        }
    }
    let adopted: String = sql.query_one("SELECT archive_id FROM t_im_archive", &[]).await.unwrap().get(0);
    assert_eq!(adopted, "that of others");
}

#[tokio::test]
async fn a_start_that_fails_takes_no_archive() {
    let (database, folder) = (database().await, TempDir::new().expect("a folder"));
    let settings = format!(
        "archive_url = \"embedded:{}\"\ndirectory.source = \"http\"\ndirectory.users_url = \"http://127.0.0.1:9/\"\n\
         directory.authorization = \"a\\nb\"\n",
        folder.path().display()
    );
    assert!(App::build(config(&database, &settings)).await.is_err());
    let taken = "SELECT count(*) FROM t_im_archive";
    let sql = shared().connect(&database).await;
    assert_eq!(sql.query_one(taken, &[]).await.unwrap().get::<_, i64>(0), 0);
}

// ── processes ────────────────────────────────────────────────────────────────────────────────

/// A database, the settings that every process on it has, and a channel of two people.
struct World {
    database: String,
    channel: String,
}

impl World {
    async fn serve(&self, settings: &[(&str, &str)]) -> Service {
        self.try_serve(settings).await.unwrap_or_else(|log| panic!("it does not start:\n{log}"))
    }

    async fn try_serve(&self, settings: &[(&str, &str)]) -> Result<Service, String> {
        let url = shared().url(&self.database);
        let mut all = vec![("database_url", url.as_str()), ("poll_ms", "50"), ("callback_secrets", SECRET)];
        all.extend(settings);
        Service::try_start(BINARY, &all).await
    }

    async fn say(&self, service: &Service, words: &str) -> String {
        let body = json!({"type": "text", "content": {"text": words}});
        let path = format!("/channels/{}/messages", self.channel);
        text(&Client::new(&service.api(), "a", &[]).post(&path, body).await.expect(201)["ms_id"])
    }
}

/// Waits until `/readyz` says this of the push. It is 200 all the while.
async fn push_is(service: &Service, wanted: &str) {
    let (probe, started) = (Client::anonymous(&service.url()), Instant::now());
    loop {
        let readiness: Value = probe.get("/readyz").await.expect(200);
        if readiness["callback"] == wanted {
            return;
        }
        assert!(started.elapsed() < LONG, "still {readiness}, not {wanted}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Warnings of a process that name all of these.
fn warnings(service: &Service, words: &[&str]) -> usize {
    let log = service.log();
    log.lines().filter(|line| line.contains("WARN") && words.iter().all(|word| line.contains(word))).count()
}

async fn pushed(gateway: &Gateway, ms_id: &str) {
    gateway.wait_for(|record| record.seen(ms_id, "b") > 0, LONG).await;
}

#[tokio::test]
async fn no_other_process_turns_the_push_off_by_silence_and_none_loses_a_message() {
    let (gateway, other, folder) = (Gateway::start(), Gateway::start(), TempDir::new().expect("a folder"));
    let mut world = World { database: database().await, channel: String::new() };
    let secret_url = format!("{}?token=hush", gateway.url());
    let mut healthy = world.serve(&[("callback_url", &secret_url)]).await;
    let hr = Client::new(&healthy.api(), "hr", &["directory"]);
    let users = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
    hr.post("/directory/changes", users).await.expect(200);
    let direct = json!({"type": "direct", "members": ["b"]});
    world.channel = text(&hr.person("a").post("/channels", direct).await.expect(201)["channel_id"]);

    // One without a gateway that fails, and one that runs: it takes sends, and others push them.
    let sql = shared().connect(&world.database).await;
    sql.batch_execute("INSERT INTO t_im_archive (archive_id) VALUES ('that of others')").await.unwrap();
    let archive = format!("embedded:{}", folder.path().display());
    for url in ["", "none", &other.url()] {
        let failing = world.try_serve(&[("archive_url", &archive), ("callback_url", url)]).await;
        let log = failing.err().expect("it is refused");
        assert!(log.contains("another archive"), "{log}");
    }
    let mut silent = world.serve(&[]).await;
    push_is(&silent, "missing").await;
    assert_eq!(warnings(&silent, &["callback_url is not set", &gateway.url()]), 1);
    pushed(&gateway, &world.say(&silent, "by the silent one").await).await;
    push_is(&healthy, "ok").await;
    assert_eq!(
        warnings(&healthy, &["has changed"]),
        0,
        "the first gateway is no change, and there was none since"
    );

    // One that turns it off: all say so, and what is sent waits for a restart of one with a gateway.
    let mut off = world.serve(&[("callback_url", "none")]).await;
    for process in [&healthy, &silent, &off] {
        push_is(process, "off").await;
    }
    for process in [&healthy, &silent] {
        assert_eq!(warnings(process, &["has changed", &gateway.url(), "\"now\":\"none\""]), 1);
    }
    let (got, waits) = (world.say(&healthy, "got meanwhile").await, world.say(&off, "waits").await);
    let receipt = json!([{"ms_id": got, "receiver": "b", "status": "received"}]);
    Client::new(&healthy.api(), "gw", &["gateway"]).post("/receipts", receipt).await.expect(200);
    assert!(off.stop().await.success() && silent.stop().await.success());
    healthy.restart().await;
    pushed(&gateway, &waits).await;
    push_is(&healthy, "ok").await;
    gateway.read(|record| assert_eq!(record.seen(&got, "b"), 0));

    // One with another gateway: each pushes to its own, and says so.
    let moved = world.serve(&[("callback_url", &other.url())]).await;
    push_is(&healthy, "differs").await;
    push_is(&moved, "ok").await;
    assert_eq!(warnings(&healthy, &["has changed", &gateway.url(), &other.url()]), 1);
    let ms_id = world.say(&healthy, "by either").await;
    let either = async {
        while gateway.read(|r| r.seen(&ms_id, "b")) + other.read(|r| r.seen(&ms_id, "b")) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, either).await.expect("it is pushed");
    for process in [&healthy, &silent, &off, &moved] {
        assert!(!process.log().contains("hush"), "{}", process.log());
    }
}
