//! The archive is away, slow, or has no room: sends and pushes do not notice, and the search catches up.

use std::time::Instant;

use super::scene::{Mended, PATIENCE, Scene, Talk, Try, said};
use crate::app::{LOOK, database};
use crate::support::{Disk, Elastic, Meddler, Meddling, Reply, shared};

/// Much longer than `archive_timeout_ms` of these tests.
const SLOW: Meddling = Meddling::Delay(PATIENCE);
/// What the log says while Elasticsearch keeps its disk from being full.
const NO_ROOM: &str = "the archive is read-only: check its free disk space";

/// Megabytes of Elasticsearch's disk, and the bytes that are left when it is as good as full: above its last watermark.
const ROOM: u32 = 256;
const LEFT: usize = 13 << 20;

/// A node that has its data on this disk, and looks after it as in production.
fn node(disk: &Disk) -> Option<Elastic> {
    let data = disk.path().join("data").display().to_string();
    let settings = [
        ("path.data", data.as_str()),
        ("cluster.routing.allocation.disk.threshold_enabled", "true"),
        ("cluster.routing.allocation.disk.watermark.low", "70%"),
        ("cluster.routing.allocation.disk.watermark.high", "80%"),
        ("cluster.routing.allocation.disk.watermark.flood_stage", "90%"),
        // The shortest that it takes. It looks at the disk so often.
        ("cluster.info.update.interval", "10s"),
    ];
    Elastic::start_with(&settings, &[])
}

async fn search(scene: &Scene, number: usize) -> Reply {
    scene.member(0).get(&format!("/search/messages?q={}", said(number).replace(' ', "%20"))).await
}

/// Searches until the answer is what it should become.
async fn searched(scene: &Scene, number: usize, wanted: impl Fn(&Reply) -> bool) -> Reply {
    let started = Instant::now();
    loop {
        let reply = search(scene, number).await;
        if wanted(&reply) {
            return reply;
        }
        assert!(started.elapsed() < PATIENCE, "still {reply:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// What was said meanwhile is found again, without a hand. Says how long that took.
async fn caught_up(fault: &str, scene: &Scene, talk: &Talk) {
    let (mended, number) = (Instant::now(), talk.acknowledged_of(0));
    searched(scene, number, |reply| reply.status == 200 && reply.body["items"][0].is_object()).await;
    println!("{fault}: found again after {:.1?}", mended.elapsed());
}

/// The probe says so and stays `200`.
async fn away(scene: &Scene) {
    let reply = scene.ready(0, |reply| reply.body["archive"] == "away").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

fn all_taken(tries: &[Try]) {
    let refused = tries.iter().find(|tried| !tried.is_done());
    assert!(refused.is_none(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elasticsearch_that_is_slow_away_or_full_stops_no_send() {
    let disk = Disk::of(ROOM);
    let Some(node) = tokio::task::block_in_place(|| node(&disk)) else { return };
    let meddler = Meddler::before(&node.url()).await;
    let database = database().await;
    let settings = [
        ("archive_url", meddler.url()),
        ("archive_index", database.as_str()),
        ("archive_replicas", "0"),
        ("archive_timeout_ms", "3000"),
        ("database_wait_ms", "30000"),
    ];
    let scene = Scene::start(&shared().url(&database), 1, &settings).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    caught_up("elasticsearch started", &scene, &talk).await;

    meddler.meet("/_search", SLOW);
    let refused = searched(&scene, 1, |reply| reply.status != 200).await;
    refused.expect_problem(503, "unavailable");
    meddler.meet("/_bulk", SLOW);
    away(&scene).await;
    meddler.let_pass();
    caught_up("elasticsearch slow", &scene, &talk).await;

    node.kill9();
    let refused = searched(&scene, 1, |reply| reply.status != 200).await;
    refused.expect_problem(503, "unavailable");
    away(&scene).await;
    node.restart().await;
    caught_up("elasticsearch away", &scene, &talk).await;

    disk.fill(LEFT);
    let started = Instant::now();
    while !scene.services[0].log().contains(NO_ROOM) {
        assert!(started.elapsed() < PATIENCE, "{}\n{}", scene.services[0].log_tail(), node.log_tail());
        tokio::time::sleep(LOOK).await;
    }
    away(&scene).await;
    search(&scene, 1).await.expect(200);
    disk.free();
    caught_up("elasticsearch's disk full", &scene, &talk).await;
    all_taken(&Mended::now("elasticsearch slow, away and full").well(&scene, talk).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_index_on_a_full_disk_stops_no_send_and_catches_up() {
    let disk = Disk::of(32);
    let archive = format!("embedded:{}", disk.path().join("index").display());
    let settings = [("archive_url", archive.as_str()), ("database_wait_ms", "30000")];
    let scene = Scene::start(&shared().url(&database().await), 1, &settings).await;
    let talk = scene.talk();
    talk.acknowledged().await;
    caught_up("index started", &scene, &talk).await;
    disk.fill(0);
    away(&scene).await;
    talk.acknowledged().await;
    search(&scene, 1).await.expect(200);
    disk.free();
    caught_up("index's disk full", &scene, &talk).await;
    all_taken(&Mended::now("index's disk full").well(&scene, talk).await);
}
