//! The night of autumn in which an hour comes twice.

use std::sync::Arc;

use im_push_gateway::archive;
use im_push_gateway::archive::index::Bound;
use im_push_gateway::archive::mover::Archiver;
use im_push_gateway::base::store::Store;
use im_push_gateway::base::worker::{Tick, Work as _};
use tempfile::TempDir;

use crate::app::{config, database};
use crate::support::shared;

/// The database's clock shows this time, in UTC.
async fn at(database: &str, time: &str) -> Store {
    let sql = shared().connect(database).await;
    let offset = format!("SELECT ('{time}Z'::timestamptz - now())::text");
    let offset: String = sql.query_one(&offset, &[]).await.expect("an interval").get(0);
    let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{offset}'");
    sql.batch_execute(&alter).await.expect("the clock moves");
    Store::new(&config(database, "")).expect("a store")
}

#[tokio::test]
async fn a_nightly_run_comes_once_in_the_night_of_autumn() {
    let (database, folder) = (database().await, TempDir::new().expect("a folder"));
    let settings = config(
        &database,
        &format!(
            "archive_url = \"embedded:{}\"\narchive_schedule = \"30 2 * * *\"\n\
             archive_time_zone = \"Europe/Berlin\"\narchive_age_days = 3000",
            folder.path().display()
        ),
    );
    let archive = archive::open(&settings).await.expect("it opens").expect("an archive");
    let runs = "SELECT count(*) FROM t_im_archive_run WHERE asked_by = 'schedule' AND outcome = 'done'";
    // 2:30 is at 0:30 UTC and, after the clocks were set, again at 1:30 UTC. The next night it is at 1:30 UTC alone.
    for (time, wanted) in [
        ("2026-10-24 22:00", 0),
        ("2026-10-25 00:20", 0),
        ("2026-10-25 00:40", 1),
        ("2026-10-25 01:20", 1),
        ("2026-10-25 01:40", 1),
        ("2026-10-25 12:00", 1),
        ("2026-10-26 00:40", 1),
        ("2026-10-26 01:40", 2),
    ] {
        let store = at(&database, time).await;
        let bound = Arc::new(Bound::new(store.clone(), archive.clone()));
        let archiver = Archiver::new(store.clone(), bound, &settings).expect("an archiver");
        while archiver.tick().await.expect("a tick") == Tick::More {}
        archiver.release().await.expect("the lease is given back");
        let found: i64 =
            shared().connect(&database).await.query_one(runs, &[]).await.expect("a count").get(0);
        assert_eq!(found, wanted, "at {time} UTC");
    }
}
