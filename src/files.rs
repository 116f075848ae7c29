//! Files that users upload, and messages hold.
//!
//! A file lies in the file store in pieces. An upload can be cut at any byte and go on, on any replica: each
//! request writes pieces and commits how far it came. No connection of the database is held while bytes move.

mod file_store;
mod link;
mod name;
mod picture;
mod place;
mod read;
mod sniff;
mod stored;
mod sweep;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::config::FileSettings;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::Store;
use file_store::FileStore;
pub use link::Link;
pub use name::clean as clean_name;
pub use read::{Content, File, Usage};
pub use sniff::is_shown;
pub use stored::Stored;
pub use sweep::Sweeper;
pub use upload::{ALGORITHMS, Append, Checksum, NewFile, Progress};

/// Most uploads that are created at the same time. Each waits for its user's lock with a connection of its own.
const CREATES_AT_ONCE: usize = 4;
/// How long an object stays planned: longer than any write of it. After that it counts as left by a crash.
const PLANNED: Duration = Duration::HOUR;

/// The files of a replica. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Stage>);

pub struct Stage {
    store: Store,
    settings: FileSettings,
    file_store: Arc<FileStore>,
    uploads: Arc<Semaphore>,
    /// Running uploads by user.
    uploads_of: Mutex<HashMap<String, usize>>,
    creates: Semaphore,
    downloads: Arc<Semaphore>,
    pictures: Arc<Semaphore>,
    keys: link::Keys,
    /// Requests that write. They end in order when their clients are gone.
    writing: TaskTracker,
    stop: CancellationToken,
    /// Wakes the sweeper.
    wake: Arc<Notify>,
}

impl std::ops::Deref for Files {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.0
    }
}

impl Files {
    /// The files of the settings. Requests that write end soon after `stop`.
    pub fn new(store: Store, settings: &FileSettings, stop: CancellationToken) -> Self {
        Self(Arc::new(Stage {
            file_store: Arc::new(FileStore::new(store.clone(), settings)),
            store,
            uploads: Arc::new(Semaphore::new(settings.uploads_max.min(Semaphore::MAX_PERMITS))),
            uploads_of: Mutex::default(),
            creates: Semaphore::new(CREATES_AT_ONCE),
            downloads: Arc::new(Semaphore::new(settings.downloads_max.min(Semaphore::MAX_PERMITS))),
            pictures: Arc::new(Semaphore::new(settings.pictures_at_once.min(Semaphore::MAX_PERMITS))),
            keys: link::Keys::parse(&settings.link_keys).unwrap_or_default(),
            settings: settings.clone(),
            writing: TaskTracker::new(),
            stop,
            wake: Arc::new(Notify::new()),
        }))
    }

    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Waits until no request writes any more.
    pub async fn written(&self) {
        self.writing.close();
        self.writing.wait().await;
    }

    fn uploads_of(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.uploads_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a request that writes keeps its lock without a sign of life.
    fn lock_length(&self) -> Duration {
        // The longest wait for a byte, then for the store.
        let quiet = self.settings.idle + self.settings.flush + 2 * self.settings.store_timeout;
        Duration::try_from(quiet).unwrap_or(Duration::HOUR) + Duration::seconds(10)
    }

    fn unused(&self) -> Duration {
        Duration::days(self.settings.unused_days.into())
    }

    fn unfinished(&self) -> Duration {
        self.settings.upload_expire.try_into().unwrap_or(Duration::DAY)
    }
}

/// A running upload. Dropping it lets another one begin.
struct RunningUpload {
    files: Files,
    owner: String,
    _permit: OwnedSemaphorePermit,
}

impl RunningUpload {
    /// One more, unless too many are running, of the user or of all.
    fn begin(files: &Files, owner: &str) -> Result<Self> {
        let permit = take_place(&files.uploads, "too many uploads are running; send the request again")?;
        let most = files.settings.uploads_per_user;
        let mut running = files.uploads_of();
        let count = running.get(owner).copied().unwrap_or(0);
        if count >= most {
            let told =
                format!("{count} uploads of yours are running; send the request again when one has ended");
            return Err(Error::new(Kind::Unavailable, told));
        }
        running.insert(owner.to_owned(), count + 1);
        Ok(Self { files: files.clone(), owner: owner.to_owned(), _permit: permit })
    }
}

impl Drop for RunningUpload {
    fn drop(&mut self) {
        let mut running = self.files.uploads_of();
        match running.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(running.remove(&self.owner)),
        }
    }
}

/// One of a limited number of requests.
fn take_place(places: &Arc<Semaphore>, what: &'static str) -> Result<OwnedSemaphorePermit> {
    places.clone().try_acquire_owned().map_err(|_| Error::unavailable(what))
}

/// A clock that goes on from the time of a request.
#[derive(Debug, Clone, Copy)]
struct Watch {
    began: OffsetDateTime,
    since: std::time::Instant,
}

impl Watch {
    fn at(now: OffsetDateTime) -> Self {
        Self { began: now, since: std::time::Instant::now() }
    }

    fn now(&self) -> OffsetDateTime {
        self.began + self.since.elapsed()
    }
}
