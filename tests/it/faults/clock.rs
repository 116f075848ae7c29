//! The clock of the database jumps by an hour, ahead and back, while people send.

use super::scene::{Mended, Scene, all_answered};
use crate::app::database;
use crate::support::shared;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_an_hour_either_way_changes_no_order_and_holds_up_nothing() {
    let database = database().await;
    let scene = Scene::start(&shared().url(&database), 2, &[]).await;
    // Signatures have the time of the database.
    scene.gateway.ignore_time();
    let talk = scene.talk();
    for offset in ["1 hour", "0", "-1 hour"] {
        talk.acknowledged().await;
        jump(&scene, &database, offset).await;
    }
    talk.acknowledged().await;
    jump(&scene, &database, "0").await;
    all_answered(&Mended::now("clock an hour off").well(&scene, talk).await);
}

/// Connections have the clock of when they were opened, so all are opened again.
async fn jump(scene: &Scene, database: &str, offset: &str) {
    let sql = scene.sql().await;
    let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{offset}'");
    sql.batch_execute(&alter).await.expect("the clock moves");
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql.execute(others, &[]).await.expect("connections end");
}
