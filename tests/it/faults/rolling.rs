//! Replicas are replaced one after another while people send.

use super::scene::{Mended, Scene};
use crate::app::database;
use crate::support::shared;

/// A busy machine is no reason to call the database away.
const PATIENT: &[(&str, &str)] = &[("database_wait_ms", "30000")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_costs_at_most_one_retry_on_the_next_replica() {
    let mut scene = Scene::start(&shared().url(&database().await), 3, PATIENT).await;
    let talk = scene.talk();
    for replica in 0..scene.services.len() {
        talk.acknowledged().await;
        assert!(scene.services[replica].stop().await.success(), "{}", scene.services[replica].log_tail());
        talk.acknowledged().await;
        scene.services[replica].restart().await;
    }
    let tries = Mended::now("rolling restart").well(&scene, talk).await;
    let twice = tries.iter().find(|tried| tried.turn > 0 && !tried.is_done());
    assert!(twice.is_none(), "the next replica takes it: {twice:?}");
}
