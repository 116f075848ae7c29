//! The file store: a folder or a bucket, with objects named by random ids. One store belongs to one database.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig,
};
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::base::config::{FileSettings, FileTarget};
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// The object that holds the id of the store. The sweep does not remove it.
const MARK: &str = "store-id";
/// Bytes of one read from a folder. Each read is one task of the pool of blocking threads.
const STRIDE: u64 = 256 * 1024;
/// Requests to S3 after the first one fails, within the time limit of the store.
const RETRIES: usize = 3;

const ANOTHER: &str = "file_store is another store than the one this database belongs to. Every replica needs the same file_store, and each \
     database its own";

const TAKEN: &str =
    "file_store has the files of another database. To take them over, remove its object `store-id` first";

/// An object in the store.
#[derive(Debug)]
pub struct StoredObject {
    /// None: it is not one of ours.
    pub object_id: Option<Uuid>,
    path: Path,
    pub changed_at: OffsetDateTime,
}

/// The store of the settings. It is opened at its first use, so that a service without files needs none.
pub struct FileStore {
    target: FileTarget,
    /// Begins the keys of all objects.
    beginning: String,
    within: Duration,
    make: Box<dyn Fn() -> object_store::Result<Arc<dyn ObjectStore>> + Send + Sync>,
    opened: OnceCell<Arc<dyn ObjectStore>>,
    store: Store,
}

impl FileStore {
    pub fn new(store: Store, settings: &FileSettings) -> Self {
        let target = settings.target();
        let (beginning, make): (String, Box<dyn Fn() -> _ + Send + Sync>) = match target.clone() {
            FileTarget::Folder(folder) => (String::new(), Box::new(move || open_folder(&folder))),
            FileTarget::Bucket(bucket, beginning) => {
                let settings = settings.clone();
                (beginning, Box::new(move || open_bucket(&settings, &bucket)))
            }
            FileTarget::Nowhere | FileTarget::Unknown => (
                String::new(),
                Box::new(|| {
                    Err(object_store::Error::NotImplemented {
                        operation: "any".into(),
                        implementer: "no file store".into(),
                    })
                }),
            ),
        };
        Self { target, beginning, within: settings.store_timeout, make, opened: OnceCell::new(), store }
    }

    /// Whether the settings name a store.
    pub fn is_set(&self) -> bool {
        !matches!(self.target, FileTarget::Nowhere | FileTarget::Unknown)
    }

    /// Opens the store, if that has not been done.
    pub async fn open(&self, now: OffsetDateTime) -> Result<&Arc<dyn ObjectStore>> {
        if !self.is_set() {
            return Err(Error::new(Kind::Conflict, "uploads are off: set `file_store`"));
        }
        self.opened
            .get_or_try_init(|| async {
                let objects = (self.make)().map_err(failed)?;
                self.bind(&*objects, now).await?;
                Ok(objects)
            })
            .await
    }

    fn objects(&self) -> Result<&Arc<dyn ObjectStore>> {
        self.opened.get().ok_or_else(|| Error::unavailable("the file store is not open"))
    }

    /// Gives the store and the database the same id, at the first use of both. The database gets it first. After a
    /// crash between the two writes, the next call completes them.
    async fn bind(&self, objects: &dyn ObjectStore, now: OffsetDateTime) -> Result<()> {
        let mark = self.path(MARK);
        let found = self.mark(objects, &mark).await?;
        let known = self.known_id().await?;
        match (found, known) {
            (Some(found), Some((known, true))) if found == known => return Ok(()),
            (_, Some((_, true))) => return Err(refuse(ANOTHER)),
            (Some(found), known) if known.is_none_or(|(known, _)| known != found) => {
                return Err(refuse(TAKEN));
            }
            _ => {}
        }
        let client = self.store.client().await?;
        client.run(sql!("files/file_store/keep_store_id"), &[&random_id()?, &now]).await?;
        drop(client);
        // Another replica may have written either id meanwhile.
        let (known, _) = self.known_id().await?.ok_or_else(|| Error::internal("the store has no id"))?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = objects.put_opts(&mark, PutPayload::from(known.to_string()), create);
        match self.limit(put).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(e) => return Err(failed(e)),
        }
        if self.mark(objects, &mark).await? != Some(known) {
            return Err(refuse(TAKEN));
        }
        self.store.run(sql!("files/file_store/note_marked"), &[&known]).await?;
        Ok(())
    }

    async fn mark(&self, objects: &dyn ObjectStore, mark: &Path) -> Result<Option<Uuid>> {
        let read = async { objects.get(mark).await?.bytes().await };
        match self.limit(read).await {
            Ok(bytes) => {
                let text = std::str::from_utf8(&bytes).unwrap_or_default();
                Ok(Some(Uuid::parse_str(text.trim()).map_err(|_| refuse(ANOTHER))?))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    /// Whether the database has a store, as soon as any file was uploaded.
    pub async fn is_bound(&self) -> Result<bool> {
        Ok(self.is_set() && self.known_id().await?.is_some_and(|(_, is_marked)| is_marked))
    }

    /// The id of the store of this database, and whether the store has it.
    async fn known_id(&self) -> Result<Option<(Uuid, bool)>> {
        let row = self.store.opt(sql!("files/file_store/store_id"), &[]).await?;
        Ok(row.map(|row| (row.get("store_id"), row.get("is_marked"))))
    }

    /// Writes an object whole, durably.
    pub async fn put(&self, object_id: Uuid, bytes: Bytes) -> Result<()> {
        let (objects, path) = (self.objects()?, self.path(&key(object_id)));
        self.limit(objects.put(&path, PutPayload::from(bytes))).await.map(|_| ()).map_err(failed)
    }

    /// A range of an object, in parts. The limit of the store bounds the wait for each part.
    pub fn read(
        self: &Arc<Self>,
        object_id: Uuid,
        from: u64,
        below: u64,
    ) -> BoxStream<'static, Result<Bytes>> {
        let file_store = self.clone();
        let is_folder = matches!(self.target, FileTarget::Folder(_));
        let stride = if is_folder { STRIDE } else { below - from };
        let parts = (from..below).step_by(usize::try_from(stride.max(1)).unwrap_or(usize::MAX));
        let part = move |start: u64| {
            let file_store = file_store.clone();
            async move { file_store.part(object_id, start, below.min(start + stride), is_folder).await }
        };
        stream::iter(parts).then(part).try_flatten().boxed()
    }

    async fn part(
        self: Arc<Self>,
        object_id: Uuid,
        from: u64,
        below: u64,
        is_whole: bool,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (objects, path) = (self.objects()?, self.path(&key(object_id)));
        if is_whole {
            let bytes = self.limit(objects.get_range(&path, from..below)).await.map_err(failed)?;
            return Ok(stream::once(async { Ok(bytes) }).boxed());
        }
        let options = GetOptions { range: Some((from..below).into()), ..GetOptions::default() };
        let result = self.limit(objects.get_opts(&path, options)).await.map_err(failed)?;
        Ok(result.into_stream().map_err(failed).boxed())
    }

    /// A whole object, at most a piece.
    pub async fn get(&self, object_id: Uuid) -> Result<Bytes> {
        let (objects, path) = (self.objects()?, self.path(&key(object_id)));
        self.limit(async { objects.get(&path).await?.bytes().await }).await.map_err(failed)
    }

    /// Removes an object. One that does not exist is removed already.
    pub async fn remove(&self, object_id: Uuid) -> Result<()> {
        self.remove_at(&self.path(&key(object_id))).await
    }

    /// Removes an object that the database does not know.
    pub async fn clear(&self, object: &StoredObject) -> Result<()> {
        self.remove_at(&object.path).await
    }

    async fn remove_at(&self, path: &Path) -> Result<()> {
        match self.limit(self.objects()?.delete(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed(e)),
        }
    }

    /// The objects in one of the 256 parts of the store.
    pub async fn shard(&self, shard: u8) -> Result<Vec<StoredObject>> {
        let prefix = self.path(&format!("{shard:02x}"));
        let listed: Vec<_> =
            self.objects()?.list(Some(&prefix)).map_err(failed).try_collect::<Vec<_>>().await?;
        let stored = |meta: object_store::ObjectMeta| StoredObject {
            object_id: meta.location.filename().and_then(|name| Uuid::parse_str(name).ok()),
            changed_at: OffsetDateTime::from_unix_timestamp(meta.last_modified.timestamp())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            path: meta.location,
        };
        Ok(listed.into_iter().map(stored).collect())
    }

    /// Removes files that a crash left half written in this part of a folder. A listing does not show them.
    pub async fn clear_staged(&self, shard: u8, changed_before: OffsetDateTime) -> Result<u64> {
        let FileTarget::Folder(folder) = &self.target else { return Ok(0) };
        let folder = folder.join(format!("{shard:02x}"));
        let before = SystemTime::from(changed_before);
        let clear = tokio::task::spawn_blocking(move || clear_staged(&folder, before));
        clear.await.map_err(Error::internal)?.map_err(|e| Error::unavailable(AWAY).because(e))
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.beginning))
    }

    async fn limit<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        tokio::time::timeout(self.within, work).await.unwrap_or_else(|_| {
            let source = io::Error::new(io::ErrorKind::TimedOut, "no answer within file_store_timeout_ms");
            Err(object_store::Error::Generic { store: "files", source: source.into() })
        })
    }
}

const AWAY: &str = "the file store is away";

/// A new id of an object or a store.
pub fn random_id() -> Result<Uuid> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid())
}

fn key(object_id: Uuid) -> String {
    let id = object_id.simple().to_string();
    format!("{}/{id}", &id[..2])
}

fn open_folder(folder: &PathBuf) -> object_store::Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(folder)
        .map_err(|e| object_store::Error::Generic { store: "files", source: e.into() })?;
    // An upload is acknowledged when it is on the disk.
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}

fn open_bucket(settings: &FileSettings, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let within = settings.store_timeout;
    // Writes and the first bytes of reads have a limit here. A reader that is slow takes as long as it needs.
    let options =
        ClientOptions::new().with_timeout_disabled().with_read_timeout(within).with_connect_timeout(within);
    let backoff = BackoffConfig { max_backoff: within / 4, ..BackoffConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&settings.s3_region)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: within })
        .with_client_options(options);
    if !settings.s3_endpoint.is_empty() {
        let plain = settings.s3_endpoint.starts_with("http://");
        builder = builder.with_endpoint(&settings.s3_endpoint).with_allow_http(plain);
    }
    if !settings.s3_access_key.is_empty() {
        builder = builder
            .with_access_key_id(&settings.s3_access_key)
            .with_secret_access_key(settings.s3_secret_key.expose());
    }
    Ok(Arc::new(builder.build()?))
}

/// Half-written objects of a folder are named `<id>#<number>`.
fn clear_staged(folder: &PathBuf, before: SystemTime) -> io::Result<u64> {
    let mut cleared = 0;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let is_staged = entry.file_name().to_string_lossy().contains('#');
        if is_staged && entry.metadata()?.modified()? < before {
            std::fs::remove_file(entry.path())?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

fn refuse(detail: &'static str) -> Error {
    tracing::error!("{detail}");
    Error::unavailable("the file store is not usable; the log of the service says why")
}

/// The error of a call to the store.
fn failed(e: object_store::Error) -> Error {
    if is_full(&e) {
        return Error::new(Kind::StorageFull, "free some room in the file store, then go on").because(e);
    }
    if matches!(e, object_store::Error::NotFound { .. }) {
        metrics::counter!("impg_file_objects_missing_total").increment(1);
        return Error::unavailable("a part of the file is missing in the file store").because(e);
    }
    Error::unavailable(AWAY).because(e)
}

fn is_full(e: &object_store::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut cause = e.source();
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge)) {
            return true;
        }
        cause = error.source();
    }
    false
}
