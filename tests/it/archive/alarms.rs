//! The scheduler wakes workers; what is due is the database's to say, and the poll finds it too.

use std::sync::Arc;
use std::time::Duration;

use im_push_gateway::archive;
use im_push_gateway::archive::index::Bound;
use im_push_gateway::archive::mover::Archiver;
use im_push_gateway::base::cron::Alarms;
use im_push_gateway::base::worker::{self, Work as _};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, config};

const RUNS: &str =
    "SELECT least(count(*), 2) FROM t_im_archive_run WHERE asked_by = 'schedule' AND ended_at IS NOT NULL";
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(86_400);

/// The archiver of a database of its own, whose schedule comes every second.
struct Work {
    app: TestApp,
    archiver: Arc<Archiver>,
    wake: Arc<Notify>,
    alarms: Alarms,
    _folder: TempDir,
}

impl Work {
    async fn new() -> Self {
        let (app, folder) = (TestApp::start().await, TempDir::new().expect("a folder"));
        let settings = format!(
            "archive_url = \"embedded:{}\"\narchive_schedule = \"* * * * * *\"",
            folder.path().display()
        );
        let config = config(&app.database, &settings);
        let archive = archive::open(&config).await.unwrap().expect("an archive");
        let bound = Arc::new(Bound::new(app.store.clone(), archive));
        let archiver = Arc::new(Archiver::new(app.store.clone(), bound, &config).unwrap());
        let wake = Arc::<Notify>::default();
        let alarms = Alarms::start(&[(config.archive.schedule().unwrap(), wake.clone())]).await.unwrap();
        Self { app, archiver, wake, alarms, _folder: folder }
    }

    fn works(&self, poll: Duration) -> CancellationToken {
        let (stop, archiver) = (CancellationToken::new(), self.archiver.clone());
        let tick = move || {
            let archiver = archiver.clone();
            async move { archiver.tick().await }
        };
        tokio::spawn(worker::run("archiver", poll, self.wake.clone(), stop.clone(), tick));
        stop
    }
}

#[tokio::test]
async fn a_schedule_that_comes_wakes_its_worker() {
    let work = Work::new().await;
    let stop = work.works(NEVER);
    work.app.until(RUNS, 2).await;
    stop.cancel();
    work.alarms.stop().await;
}

#[tokio::test]
async fn work_goes_on_when_the_scheduler_has_stopped() {
    let work = Work::new().await;
    let Work { app, archiver, wake, alarms, _folder } = work;
    alarms.stop().await;
    let stop = CancellationToken::new();
    let tick = move || {
        let archiver = archiver.clone();
        async move { archiver.tick().await }
    };
    tokio::spawn(worker::run("archiver", Duration::from_millis(50), wake, stop.clone(), tick));
    app.until(RUNS, 2).await;
    stop.cancel();
}
