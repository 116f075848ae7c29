//! Faults of the database.

use super::watched::Watched;
use crate::support::{Cluster, Hr};

/// Moments without a database: more than the alerts wait.
const AWAY: usize = 4;

pub async fn killed() -> Watched {
    let cluster = Cluster::start();
    cluster.create_database("alerts", None).await;
    // Four workers have one name: together they fail often in a short time.
    let hr = Hr::start().await;
    let pairs = hr.pairs();
    let mut settings: Vec<(&str, &str)> =
        pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    settings.push(("database_wait_ms", "1000"));
    let mut watched = Watched::on(&cluster, "alerts".to_owned(), &settings).await;
    watched.channel().await;
    let a = watched.client("a", &[]);
    a.get("/conversations").await.expect(200);
    watched.look().await;
    cluster.kill9();
    watched.sees("impg_worker_failures_total", 11.0).await;
    for _ in 0..AWAY {
        a.get("/conversations").await.expect_problem(503, "unavailable");
        watched.look().await;
    }
    watched.sees_that("impg_ready", |ready| ready == 0.0).await;
    watched
}

/// Nothing of the database is free, so what counts cannot ask it.
pub async fn exhausted() -> Watched {
    let settings =
        [("database_pool_size", "4"), ("database_wait_ms", "60000"), ("request_timeout_ms", "60000")];
    let mut watched = Watched::start(&settings).await;
    watched.channel().await;
    let holder = watched.sql().await;
    holder.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let a = watched.client("a", &[]);
    let asking: Vec<_> = (0..12)
        .map(|_| {
            let a = a.clone();
            tokio::spawn(async move { a.get("/emojis").await })
        })
        .collect();
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query LIKE '%t_im_emoji%'";
    watched.counts(blocked, 4).await;
    watched.sees("impg_database_connections{state=\"waited_for\"}", 1.0).await;
    holder.batch_execute("ROLLBACK").await.expect("no lock");
    for asked in asking {
        asked.await.expect("it is answered").expect(200);
    }
    watched
}

pub async fn partitions() -> Watched {
    let mut watched = Watched::start(&[("database_pool_size", "30")]).await;
    let days = "SELECT im_make_partitions(current_date - i) FROM generate_series(40, 140) i";
    watched.sql().await.batch_execute(days).await.expect("partitions");
    watched.restart_at("0").await;
    watched.sees("impg_lock_room_share", 0.81).await;
    watched
}
