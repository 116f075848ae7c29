//! The database is away, is switched over, takes no writes, or has no room.

use std::process::Command;

use super::scene::{Mended, Scene, all_answered};
use crate::base::database::until;
use crate::support::{Client, Cluster, Disk};

const READ_ONLY: &str = "the database is read-only";
const FULL: &str = "the database is out of room, memory or connections";
/// Sends wait for a database that is away as long as a request may.
const BRIEF: &[(&str, &str)] = &[("request_timeout_ms", "5000"), ("database_wait_ms", "2000")];

async fn change(client: &tokio_postgres::Client, statements: &[&str]) {
    for statement in statements {
        client.batch_execute(statement).await.expect(statement);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_costs_a_wait_and_no_message() {
    let cluster = Cluster::start();
    cluster.create_database("life", None).await;
    let scene = Scene::start(&cluster.url("life"), 1, BRIEF).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    cluster.kill9();
    talk.refused(None).await;
    let reply = scene.ready(0, |reply| reply.status == 503).await;
    assert_eq!(reply.body["database"], "away");
    Client::anonymous(&scene.services[0].url()).get("/healthz").await.expect(200);
    cluster.restart().await;
    all_answered(&Mended::now("database away").well(&scene, talk).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_to_a_synchronous_standby_loses_nothing() {
    let primary = Cluster::start();
    primary.create_database("life", None).await;
    let standby = primary.standby();
    let admin = primary.connect("postgres").await;
    change(&admin, &["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"]).await;
    let synchronous = || async {
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        admin.query_one(state, &[]).await.expect("a count").get::<_, i64>(0)
    };
    until(synchronous, |standbys| *standbys == 1).await;
    let both =
        format!("postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/life", primary.port(), standby.port());
    let scene = Scene::start(&both, 1, BRIEF).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    primary.kill9();
    talk.refused(Some(READ_ONLY)).await;
    scene.ready(0, |reply| reply.body["database"] == "read_only").await;
    let promoted = standby.connect("postgres").await.query_one("SELECT pg_promote()", &[]).await;
    assert!(promoted.expect("an answer").get::<_, bool>(0));
    all_answered(&Mended::now("switchover").well(&scene, talk).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_only_reads_refuses_sends_and_serves_reads() {
    let cluster = Cluster::start();
    cluster.create_database("life", None).await;
    let scene = Scene::start(&cluster.url("life"), 1, BRIEF).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    let admin = cluster.connect("postgres").await;
    let reload = "SELECT pg_reload_conf()";
    change(&admin, &["ALTER SYSTEM SET default_transaction_read_only = on", reload]).await;
    talk.refused(Some(READ_ONLY)).await;
    scene.ready(0, |reply| reply.status == 503 && reply.body["database"] == "read_only").await;
    let member = scene.member(0);
    // Connections that are being replaced may be a moment away.
    until(|| member.get("/conversations"), |reply| reply.status == 200).await;
    change(&admin, &["SET default_transaction_read_only = off"]).await;
    change(&admin, &["ALTER SYSTEM RESET default_transaction_read_only", reload]).await;
    all_answered(&Mended::now("database read-only").well(&scene, talk).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_on_a_full_disk_refuses_sends_until_there_is_room() {
    let (disk, cluster) = (Disk::of(96), Cluster::start());
    let space = disk.path().join("space").display().to_string();
    let admin = cluster.connect("postgres").await;
    // The server's own user owns the folder.
    change(&admin, &[&format!("COPY (SELECT) TO PROGRAM 'mkdir {space}'")]).await;
    change(&admin, &[&format!("CREATE TABLESPACE small LOCATION '{space}'")]).await;
    change(&admin, &["CREATE DATABASE life TEMPLATE template0 TABLESPACE small"]).await;
    let scene = Scene::start(&cluster.url("life"), 1, BRIEF).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    disk.fill(0);
    talk.refused(Some(FULL)).await;
    scene.member(0).get("/conversations").await.expect(200);
    Client::anonymous(&scene.services[0].url()).get("/healthz").await.expect(200);
    disk.free();
    all_answered(&Mended::now("database's disk full").well(&scene, talk).await);
}

/// Puts the write-ahead log of a server on this disk, and starts it again.
async fn log_on(disk: &Disk, cluster: &Cluster) {
    cluster.kill9();
    let (log, small) = (cluster.path().join("data/pg_wal"), disk.path().join("log"));
    let copied = Command::new("cp").arg("--archive").arg(&log).arg(&small).status().expect("cp runs");
    assert!(copied.success());
    std::fs::remove_dir_all(&log).expect("its old place");
    std::os::unix::fs::symlink(&small, &log).expect("its new place");
    cluster.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_ahead_log_without_room_is_a_database_that_is_away() {
    let (disk, cluster) = (Disk::of(256), Cluster::start());
    log_on(&disk, &cluster).await;
    cluster.create_database("life", None).await;
    let scene = Scene::start(&cluster.url("life"), 1, BRIEF).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    disk.fill(0);
    // What is sent needs a new file of the log sooner.
    let admin = cluster.connect("postgres").await;
    while admin.batch_execute("SELECT pg_switch_wal()").await.is_ok() {
        talk.answered().await;
    }
    talk.refused(None).await;
    scene.ready(0, |reply| reply.status == 503 && reply.body["database"] == "away").await;
    disk.free();
    // PostgreSQL has ended itself. Whatever supervises it starts it again.
    cluster.restart().await;
    all_answered(&Mended::now("write-ahead log's disk full").well(&scene, talk).await);
}
