//! Faults of the archive, the search and the directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::select_all;
use im_push_gateway::archive::mover;
use im_push_gateway::base::store::Store;
use serde_json::json;
use tempfile::TempDir;

use super::watched::Watched;
use crate::app::LONG;
use crate::support::sandbox::free_port;
use crate::support::{Hr, Receiver, Script};

/// The age of the messages that move.
const OLD: &str = "-40 days";
/// With this age of the archive, their day alone moves.
const ONE_DAY: &str = "39";
/// With this one, it could have moved more than a week ago.
const A_WEEK: &str = "31";
const PUSHES: &str = "SELECT (SELECT count(*) FROM v_im_push_item) + (SELECT count(*) FROM t_im_push_batch)";
const UNINDEXED: &str = "SELECT (SELECT count(*) FROM t_im_index_queue) \
     + (SELECT count(*) FROM t_im_archive WHERE walk_ms_id IS NOT NULL)";

/// The folder of an embedded archive, and a copy of it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().expect("a folder"));
        std::fs::create_dir(folder.path("archive")).expect("a folder");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A replica that archives days of this age here. Its clock shows [`OLD`], and no run begins by itself.
    async fn watched(&self, age_days: &str) -> Watched {
        let archive = format!("embedded:{}", self.path("archive").display());
        let settings = [
            ("archive_url", archive.as_str()),
            ("archive_schedule", "0 0 29 2 *"),
            ("archive_age_days", age_days),
            ("request_timeout_ms", "2000"),
            ("archive_drop_grace_ms", "2001"),
            ("background_send_wait_ms", "0"),
        ];
        Watched::at(OLD, &settings).await
    }

    /// Copies the archive while the replica is stopped.
    async fn keep_copy(&self, watched: &mut Watched) {
        assert!(watched.service.stop().await.success());
        copy(&self.path("archive"), &self.path("copy"));
        watched.restart_at(OLD).await;
    }

    /// Puts the copy back.
    fn restore_copy(&self) {
        std::fs::remove_dir_all(self.path("archive")).expect("the archive goes");
        copy(&self.path("copy"), &self.path("archive"));
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(copied.success());
}

/// Asks for a run, as `im-push-gateway archive run` does.
async fn ask(watched: &Watched) {
    let store = Store::new(&crate::app::config(&watched.database, "")).expect("a store");
    let now = store.now().await.expect("a clock");
    mover::ask(&store, "hand", now).await.expect("a run is asked for");
}

async fn ended(watched: &Watched, outcome: &str) {
    let runs = format!("SELECT count(*) FROM t_im_archive_run WHERE outcome = '{outcome}'");
    watched.counts(&runs, 1).await;
}

/// The day is written, the replica is killed, and the archive is restored from before: verification finds nothing.
pub async fn unverified() -> Watched {
    let folder = Folder::new();
    let mut watched = folder.watched(ONE_DAY).await;
    folder.keep_copy(&mut watched).await;
    let channel = watched.channel().await;
    watched.say(&channel).await;
    watched.counts(PUSHES, 0).await;
    watched.counts(UNINDEXED, 0).await;
    watched.service.set_environment("FAILPOINTS", Some("written=return"));
    watched.restart_at("0").await;
    ask(&watched).await;
    watched.counts("SELECT count(*) FROM t_im_archive_day WHERE step = 'written' AND messages > 0", 1).await;
    watched.service.kill9();
    folder.restore_copy();
    watched.service.set_environment("FAILPOINTS", None);
    watched.service.restart().await;
    watched.sees("impg_archive_verify_failures_total", 1.0).await;
    ended(&watched, "failed").await;
    // The gauges are read when it starts.
    watched.restart_at("0").await;
    watched.sees("impg_archive_alarm{alarm=\"failed\"}", 1.0).await;
    watched
}

/// A day has moved, and a copy of the archive from before is put in its place.
pub async fn older_copy() -> Watched {
    let folder = Folder::new();
    let mut watched = folder.watched(ONE_DAY).await;
    folder.keep_copy(&mut watched).await;
    let channel = watched.channel().await;
    watched.say(&channel).await;
    watched.counts(PUSHES, 0).await;
    watched.counts(UNINDEXED, 0).await;
    watched.restart_at("0").await;
    ask(&watched).await;
    ended(&watched, "done").await;
    assert!(watched.service.stop().await.success());
    folder.restore_copy();
    watched.restart_at("0").await;
    let b = watched.client("b", &[]);
    b.get(&format!("{channel}/messages")).await.expect_problem(503, "unavailable");
    watched.sees("impg_archive_gaps_total", 1.0).await;
    b.post(&format!("{channel}/read"), json!({"seq": 1})).await;
    watched.sees("impg_outbox_held_up_total", 1.0).await;
    watched
}

/// The gateway is away for weeks: the run leaves the day where it is.
pub async fn held() -> Watched {
    let folder = Folder::new();
    let mut watched = folder.watched(A_WEEK).await;
    let channel = watched.channel().await;
    watched.gateway.down();
    watched.say(&channel).await;
    watched.restart_at("0").await;
    ask(&watched).await;
    ended(&watched, "done").await;
    watched.restart_at("0").await;
    watched.sees("impg_archive_alarm{alarm=\"overdue\"}", 1.0).await;
    watched
}

pub async fn away() -> Watched {
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut watched = Watched::at("-5 minutes", &[("archive_url", url.as_str())]).await;
    let channel = watched.channel().await;
    watched.say(&channel).await;
    watched.restart_at("0").await;
    watched.sees("impg_index_lag_seconds", 61.0).await;
    watched
}

pub async fn directory() -> Watched {
    let hr = Hr::start().await;
    let pairs = hr.pairs();
    let mut settings: Vec<(&str, &str)> =
        pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    settings.push(("directory_run_attempts", "1"));
    let mut watched = Watched::start(&settings).await;
    drop(hr);
    watched.client("hr", &["directory"]).post("/directory/sync", json!({})).await.expect(202);
    watched.sees("impg_directory_runs_total{outcome=\"failed\"}", 1.0).await;
    watched
}

/// One search waits for the archive, so that a second one is refused.
pub async fn hanging() -> Watched {
    let archive = Receiver::start().await;
    // It is away while the service starts.
    archive.answer(Script::status(503, &[], ""));
    let url = format!("http://127.0.0.1:{}", archive.port());
    let settings = [("archive_url", url.as_str()), ("archive_requests_max", "1"), ("archive_retry_ms", "0")];
    let mut watched = Watched::start(&settings).await;
    watched.channel().await;
    archive.answer(Script::raw("").then_endlessly("", LONG));
    let searches = (0..2).map(|_| {
        let a = watched.client("a", &[]);
        tokio::spawn(async move { a.get("/search/messages?q=hello").await })
    });
    let (refused, _, waiting) = select_all(searches).await;
    refused.expect("it is answered").expect_problem(503, "unavailable");
    watched.sees("impg_archive_requests_shed_total", 1.0).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    watched
}
