//! The tasks of a replica.

use std::future::Future;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a replica. If one panics, the replica stops: a replica with missing workers is worse than
/// none. The database holds all unfinished work.
#[derive(Clone, Default)]
pub struct TaskSet {
    pub(super) tracker: TaskTracker,
    pub(super) broken: CancellationToken,
}

impl TaskSet {
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let broken = self.broken.clone();
        self.tracker.spawn(async move {
            if std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!("a worker panicked");
                broken.cancel();
            }
        });
    }
}
