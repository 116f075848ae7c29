//! Elasticsearch as an archive: the conformance of every archive, and what goes wrong with servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use im_push_gateway::archive::{Archive, Document, Find, Order, Parts, elastic};
use im_push_gateway::base::config::Config;
use im_push_gateway::base::error::{Error, Kind};
use serde_json::{Value, json};

use super::conformance::conforms;
use super::documents::{document, ids, ms_id};
use crate::support::{Elastic, Meddler, Meddling, shared_elastic};

/// A superuser of the file realm. The realm takes a hash of any kind it knows.
const USERS: &str = "tester:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
const ROLES: &str = "superuser:tester\n";

fn connect(url: &str, index: &str, more: &str) -> Arc<dyn Archive> {
    let settings = format!(
        "database_url = \"postgresql://unused\"\narchive_url = \"{url}\"\narchive_index = \"{index}\"\n\
         archive_replicas = 0\n{more}"
    );
    let config = Config::from_toml(&settings).expect("settings of a test");
    Arc::new(elastic::Elastic::new(&config).expect("it connects to nothing yet"))
}

/// An archive of its own on the node of all tests.
fn fresh(test: &str) -> Option<Arc<dyn Archive>> {
    Some(connect(&shared_elastic()?.url(), test, ""))
}

conforms!(fresh);

async fn everything(archive: &dyn Archive) -> Vec<Document> {
    archive.refresh().await.unwrap();
    let all = Find { parts: Parts::All, order: Order::Oldest, ..Find::newest(usize::MAX) };
    archive.find(&all).await.unwrap()
}

fn numbered(numbers: std::ops::Range<i64>) -> Vec<Document> {
    numbers.map(document).collect()
}

#[track_caller]
fn assert_away(e: &Error, detail: &str) {
    assert_eq!(e.kind, Kind::Unavailable, "{e}");
    assert_eq!(e.detail, detail, "{e}");
    assert!(e.cause().is_some(), "{e} says why, for the log");
}

async fn http(method: reqwest::Method, url: String) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.request(method, url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn an_item_that_failed_fails_the_writing_and_writing_again_repairs() {
    let Some(server) = shared_elastic() else { return };
    let meddler = Meddler::before(&server.url()).await;
    let archive = connect(meddler.url(), "items", "");
    let hasty = connect(meddler.url(), "items", "archive_timeout_ms = 300");
    let documents = numbered(0..5);
    archive.write(&documents[..1]).await.unwrap();
    for (meddling, detail) in [
        (Meddling::SayOfItem(3, 429), "the archive is away"),
        (Meddling::SayOfItem(0, 503), "the archive is away"),
        (Meddling::SayOfItem(1, 403), "the archive refuses our credentials"),
        (Meddling::Refuse(429), "the archive is away"),
        (Meddling::Refuse(502), "the archive is away"),
        (Meddling::Refuse(401), "the archive refuses our credentials"),
        (Meddling::Delay(Duration::from_secs(2)), "the archive is away"),
        (Meddling::Cut, "the archive is away"),
    ] {
        meddler.meet("/_bulk", meddling);
        let archive = if matches!(meddling, Meddling::Delay(_)) { &hasty } else { &archive };
        assert_away(&archive.write(&documents).await.unwrap_err(), detail);
    }
    meddler.let_pass();
    archive.write(&documents).await.unwrap();
    assert_eq!(everything(&*archive).await, documents);

    meddler.meet("/_bulk", Meddling::SayOfItem(2, 400));
    let mistake = archive.write(&documents).await.unwrap_err();
    assert_eq!(mistake.kind, Kind::Internal);
    assert!(mistake.to_string().contains("said_so"), "{mistake}");
}

#[tokio::test]
async fn a_search_is_whole_or_an_error() {
    let Some(server) = shared_elastic() else { return };
    let meddler = Meddler::before(&server.url()).await;
    let archive = connect(meddler.url(), "whole", "");
    let hasty = connect(meddler.url(), "whole", "archive_timeout_ms = 300\narchive_retry_ms = 100");
    archive.write(&numbered(0..5)).await.unwrap();
    archive.refresh().await.unwrap();
    for meddling in [Meddling::Refuse(503), Meddling::Cut, Meddling::Delay(Duration::from_secs(2))] {
        meddler.meet("/_search", meddling);
        assert_away(&hasty.find(&Find::newest(9)).await.unwrap_err(), "the archive is away");
    }
    for path in ["/_search", "/_refresh"] {
        meddler.meet(path, Meddling::SayShardFailed);
        let e = match path {
            "/_search" => archive.find(&Find::newest(9)).await.unwrap_err(),
            _ => archive.refresh().await.unwrap_err(),
        };
        assert_eq!((e.kind, &*e.detail), (Kind::Unavailable, "a part of the archive is away"));
    }
    meddler.let_pass();
    assert_eq!(archive.find(&Find::newest(9)).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_read_is_repeated_while_the_server_says_not_now() {
    let Some(server) = shared_elastic() else { return };
    let meddler = Meddler::before(&server.url()).await;
    // Long enough for whatever a busy machine does in between.
    let archive = connect(meddler.url(), "passing", "archive_retry_ms = 20000");
    archive.write(&numbered(0..5)).await.unwrap();
    for status in [429, 503] {
        for path in ["/_search", "/_refresh", "/_doc/archive"] {
            let refused = meddler.refuse_first(path, 3, status);
            match path {
                "/_search" => assert!(archive.find(&Find::newest(9)).await.is_ok()),
                "/_refresh" => archive.refresh().await.unwrap(),
                _ => assert!(!archive.identity().await.unwrap().is_empty()),
            }
            assert!(refused.load(Ordering::SeqCst) > 3, "{path} was asked again");
        }
    }
    for (path, status) in [("/_search", 502), ("/_search", 401)] {
        let refused = meddler.refuse_first(path, 1, status);
        archive.find(&Find::newest(9)).await.unwrap_err();
        assert_eq!(refused.load(Ordering::SeqCst), 1, "{status} does not pass");
    }
}

#[tokio::test]
async fn an_index_is_searched_from_when_its_shard_answers() {
    let Some(server) = shared_elastic() else { return };
    let meddler = Meddler::before(&server.url()).await;
    let (archive, hasty) =
        (connect(meddler.url(), "rising", ""), connect(meddler.url(), "rising", "archive_retry_ms = 100"));
    let (january, february) = (numbered(0..3), numbered(38..40));
    archive.write(&january).await.unwrap();
    meddler.meet("/rising-2026-02/_search", Meddling::Refuse(503));
    assert_away(&hasty.write(&february).await.unwrap_err(), "the archive is away");
    assert_eq!(everything(&*archive).await, january, "what is there is found all the while");
    let searched = http(reqwest::Method::GET, format!("{}/rising", server.url())).await;
    assert_eq!(searched.as_object().unwrap().keys().collect::<Vec<_>>(), ["rising-2026-01"]);
    meddler.let_pass();
    archive.write(&february).await.unwrap();
    assert_eq!(everything(&*archive).await, [january, february].concat());
}

#[tokio::test]
async fn what_cannot_be_stored_is_named_without_being_quoted() {
    let Some(archive) = fresh("unstorable") else { return };
    let mut endless = document(1);
    endless.sender = "secret ".repeat(10_000);
    let e = archive.write(&[document(0), endless]).await.unwrap_err();
    assert_eq!(e.kind, Kind::Internal);
    assert!(e.to_string().contains("document_parsing_exception"), "{e}");
    assert!(!e.to_string().contains("secret"), "{e}");
    assert_eq!(ids(&everything(&*archive).await), ids(&[document(0)]));
}

#[tokio::test]
async fn an_index_that_was_lost_is_made_again_as_it_was() {
    let Some(server) = shared_elastic() else { return };
    let archive = connect(&server.url(), "lost", "");
    archive.write(&numbered(0..40)).await.unwrap();
    let indices = http(reqwest::Method::GET, format!("{}/lost", server.url())).await;
    let names: Vec<&String> = indices.as_object().unwrap().keys().collect();
    assert_eq!(names, ["lost-2026-01", "lost-2026-02"]);
    let before = &indices["lost-2026-02"];
    assert_eq!(before["mappings"]["dynamic"], "strict");
    assert_eq!(before["settings"]["index"]["sort"]["order"], json!(["desc", "desc"]));
    for name in names {
        http(reqwest::Method::DELETE, format!("{}/{name}", server.url())).await;
    }
    http(reqwest::Method::DELETE, format!("{}/_index_template/lost", server.url())).await;
    assert_eq!(everything(&*archive).await, []);
    archive.write(&numbered(30..50)).await.unwrap();
    assert_eq!(everything(&*archive).await, numbered(30..50));
    let again = http(reqwest::Method::GET, format!("{}/lost", server.url())).await;
    assert_eq!(again["lost-2026-02"]["mappings"], before["mappings"]);
    assert_eq!(again["lost-2026-02"]["aliases"], before["aliases"]);
}

#[tokio::test]
async fn two_processes_agree_on_the_identity_and_two_indices_differ() {
    let Some(server) = shared_elastic() else { return };
    let open = |index| connect(&server.url(), index, "");
    let (one, other, third) = (open("same"), open("same"), open("same-not"));
    let (one, other, third) = tokio::join!(one.identity(), other.identity(), third.identity());
    let (one, third) = (one.unwrap(), third.unwrap());
    assert_eq!(one, other.unwrap());
    assert_ne!(one, third);
    // One name begins like the other, and each has its own messages.
    open("same").write(&numbered(0..2)).await.unwrap();
    open("same-not").write(&numbered(2..5)).await.unwrap();
    assert_eq!(everything(&*open("same")).await, numbered(0..2));
    assert_eq!(everything(&*open("same-not")).await, numbered(2..5));
}

#[tokio::test]
async fn acknowledged_documents_survive_kill_9_and_a_server_that_hangs() {
    let Some(server) = tokio::task::spawn_blocking(Elastic::start).await.unwrap() else { return };
    let archive = connect(&server.url(), "killed", "archive_timeout_ms = 5000");
    archive.write(&numbered(0..100)).await.unwrap();
    let hasty = connect(&server.url(), "killed", "archive_timeout_ms = 300");
    server.pause();
    assert_away(&hasty.write(&numbered(0..100)).await.unwrap_err(), "the archive is away");
    assert_away(&hasty.find(&Find::newest(1)).await.unwrap_err(), "the archive is away");
    server.resume();

    let acknowledged = Arc::new(AtomicI64::new(100));
    let writing = {
        let (archive, acknowledged) = (archive.clone(), acknowledged.clone());
        tokio::spawn(async move {
            loop {
                let next = acknowledged.load(Ordering::SeqCst);
                if let Err(e) = archive.write(&numbered(next..next + 50)).await {
                    return e;
                }
                acknowledged.store(next + 50, Ordering::SeqCst);
            }
        })
    };
    while acknowledged.load(Ordering::SeqCst) < 1_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill9();
    assert_away(&writing.await.unwrap(), "the archive is away");
    assert_away(&archive.identity().await.unwrap_err(), "the archive is away");

    server.restart().await;
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    let mut again = archive.write(&numbered(acknowledged..acknowledged + 50)).await;
    while let Err(e) = again {
        // The node answers before it has opened its indices.
        assert_eq!(e.kind, Kind::Unavailable, "{e}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        again = archive.write(&numbered(acknowledged..acknowledged + 50)).await;
    }
    assert_eq!(everything(&*archive).await, numbered(0..acknowledged + 50));
}

/// An authority of our own, and a certificate by it for this machine with its key.
fn certificates() -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[req]\ndistinguished_name = dn\n[dn]\n[authority]\nbasicConstraints = critical, CA:TRUE\n\
                    [server]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    std::fs::write(folder.path().join("settings"), settings).unwrap();
    for (name, by) in
        [("authority", &[][..]), ("server", &["-CA", "authority.pem", "-CAkey", "authority.key"])]
    {
        let (subject, key, certificate) =
            (format!("/CN={name}"), format!("{name}.key"), format!("{name}.pem"));
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", "settings"])
            .args(["-subj", &subject, "-extensions", name, "-keyout", &key, "-out", &certificate])
            .args(by)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    ["authority.pem", "server.pem", "server.key"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap())
}

#[tokio::test]
async fn a_secured_server_is_verified_and_takes_a_password_or_an_api_key() {
    let [authority, certificate, key] = certificates();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, &authority).unwrap();
    let start = move || {
        let settings = [
            ("xpack.security.enabled", "true"),
            ("xpack.security.http.ssl.enabled", "true"),
            ("xpack.security.http.ssl.key", "key.pem"),
            ("xpack.security.http.ssl.certificate", "certificate.pem"),
        ];
        let files = [
            ("key.pem", &*key),
            ("certificate.pem", &*certificate),
            ("users", USERS),
            ("users_roles", ROLES),
        ];
        Elastic::start_with(&settings, &files)
    };
    let Some(server) = tokio::task::spawn_blocking(start).await.unwrap() else { return };
    let open = |more: &str| connect(&server.url(), "secured", more);
    let trusted = format!("archive_ca_file = \"{}\"\n", trusted.display());
    let password = "archive_user = \"tester\"\narchive_password = \"password\"\n";

    let untrusted = open(password).identity().await.unwrap_err();
    assert_away(&untrusted, "the archive is away");
    assert!(untrusted.to_string().contains("certificate"), "{untrusted}");

    let archive = open(&format!("{trusted}{password}"));
    archive.write(&numbered(0..3)).await.unwrap();
    assert_eq!(everything(&*archive).await, numbered(0..3));

    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    let made = client.post(format!("{}/_security/api_key", server.url())).json(&json!({ "name": "archive" }));
    let made: Value = made.basic_auth("tester", Some("password")).send().await.unwrap().json().await.unwrap();
    let by_key = open(&format!("{trusted}archive_api_key = {}", made["encoded"]));
    assert_eq!(everything(&*by_key).await, numbered(0..3));

    for wrong in
        ["", "archive_user = \"tester\"\narchive_password = \"guess\"\n", "archive_api_key = \"YTpi\"\n"]
    {
        let stranger = open(&format!("{trusted}{wrong}"));
        for e in [
            stranger.write(&numbered(0..1)).await.unwrap_err(),
            stranger.find(&Find::message(ms_id(1))).await.unwrap_err(),
            stranger.identity().await.unwrap_err(),
        ] {
            assert_away(&e, "the archive refuses our credentials");
        }
    }
}

#[tokio::test]
async fn an_archive_that_was_indexed_otherwise_is_refused() {
    let Some(server) = shared_elastic() else { return };
    let identity = connect(&server.url(), "otherwise", "").identity().await.unwrap();
    assert_eq!(connect(&server.url(), "otherwise", "").identity().await.unwrap(), identity);
    let update = format!("{}/otherwise-identity/_doc/archive", server.url());
    let request = reqwest::Client::new().put(update).json(&json!({"uuid": identity}));
    assert!(request.send().await.unwrap().status().is_success(), "as an earlier version wrote it");
    let refused = connect(&server.url(), "otherwise", "").identity().await.unwrap_err();
    assert!(refused.detail.contains("archive adopt"), "{refused}");
}
