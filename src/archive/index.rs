//! The search index: new messages go into the archive soon after the commit, in batches. The commit adds a
//! row to a queue. The row is deleted when the archive has the messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::archive::{Archive, Document, Find, Recalled};
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::Extra;
use crate::base::lease::Lease;
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::base::worker::{Tick, Work};
use crate::sql;

/// Most commits of one batch, and most messages of one batch of the walk through a new archive.
const COMMITS_MAX: i32 = 500;
const WALK_MAX: i32 = 2_000;
/// Most messages of one write.
const WRITE_MAX: usize = 2_000;
/// Pause between batches, so that the archive gets batches and not single commits.
const LINGER: Duration = Duration::from_millis(200);
/// The version of the document of a message as it was sent. A card has its own version.
const SENT: i64 = 1;
/// The version of the document of a recalled message. The move into the archive uses higher ones.
const RECALLED: i64 = FINAL - 1;
/// The move into the archive writes versions above this one.
pub const FINAL: i64 = 1_000_000_000;

const ANOTHER: &str = "archive_url is another archive than the one this database belongs to. An embedded archive serves one replica: \
     several need Elasticsearch. To change archives while nothing is cold: im-push-gateway archive adopt";

/// The work that waits for the index.
#[derive(Debug)]
pub struct Backlog {
    pub commits: i64,
    pub oldest: Option<OffsetDateTime>,
}

impl Backlog {
    /// Age in seconds of the oldest message that is not indexed; 0 if there is none.
    pub fn lag_seconds(&self, now: OffsetDateTime) -> f64 {
        self.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0))
    }
}

/// An archive that is checked before every use. It may have been unreachable at the start, and the database
/// may have adopted another one since. An archive of another database is neither written nor read.
pub struct Bound {
    store: Store,
    archive: Arc<dyn Archive>,
    archive_id: OnceCell<String>,
}

impl Bound {
    pub fn new(store: Store, archive: Arc<dyn Archive>) -> Self {
        Self { store, archive, archive_id: OnceCell::new() }
    }

    /// Checks that the archive belongs to this database. A database without an archive adopts it.
    pub async fn check(&self) -> Result<()> {
        self.sure().await.map(|_| ())
    }

    /// Checks that the database has no other archive. Changes nothing.
    pub async fn refuse_another(&self) -> Result<()> {
        let archive_id = self.archive_id.get_or_try_init(|| self.archive.identity()).await?;
        match state(&self.store).await? {
            Some(state) if state.archive_id != *archive_id => Err(Error::new(Kind::Internal, ANOTHER)),
            _ => Ok(()),
        }
    }

    /// Like [`Self::check`], but an unreachable archive is accepted and checked later.
    pub async fn adopt(&self) -> Result<()> {
        match self.check().await {
            Err(error) if error.is_unavailable() => Ok(()),
            checked => checked,
        }
    }

    async fn sure(&self) -> Result<&dyn Archive> {
        let archive_id = self.archive_id.get_or_try_init(|| self.archive.identity()).await?;
        let mut known = state(&self.store).await?;
        if known.is_none() {
            let client = self.store.client().await?;
            client.run(sql!("archive/index/adopt"), &[archive_id]).await?;
            drop(client);
            // Another replica may have adopted another archive first.
            known = state(&self.store).await?;
        }
        match known {
            Some(state) if state.archive_id == *archive_id => Ok(&*self.archive),
            _ => Err(Error::new(Kind::Internal, ANOTHER)),
        }
    }
}

impl Archive for Bound {
    fn identity(&self) -> BoxFuture<'_, Result<String>> {
        self.archive.identity()
    }

    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>> {
        async move { self.sure().await?.write(documents).await }.boxed()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<()>> {
        async move { self.sure().await?.refresh().await }.boxed()
    }

    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>> {
        async move { self.sure().await?.find(find).await }.boxed()
    }
}

/// The index worker. It runs on one replica at a time.
pub struct Index {
    store: Store,
    archive: Arc<Bound>,
    lease: Lease,
    away: AtomicBool,
}

impl Index {
    pub fn new(store: Store, archive: Arc<Bound>, lease: Duration) -> Self {
        let lease = Lease::new(store.clone(), "index", lease);
        Self { store, archive, lease, away: AtomicBool::new(false) }
    }

    /// Whether the archive did not answer the last write.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    async fn step(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        if self.lease.take(now).await?.is_none() {
            return Ok(Tick::Idle);
        }
        self.archive.check().await?;
        let Some(state) = state(&self.store).await? else {
            return Ok(Tick::Idle);
        };
        let taken = self.take().await?;
        if !taken.is_empty() {
            let queue_ids: Vec<i64> = taken.iter().map(|(id, _)| *id).collect();
            let ms_ids: Vec<MsId> = taken.iter().flat_map(|(_, ms_ids)| ms_ids.iter().copied()).collect();
            self.index(&ms_ids, state.version_base).await?;
            self.store.run(sql!("archive/index/done"), &[&queue_ids]).await?;
            return Ok(Tick::More);
        }
        match state.walk_ms_id {
            Some(from) => self.walk(from, state.version_base).await,
            None => Ok(Tick::Idle),
        }
    }

    async fn take(&self) -> Result<Vec<(i64, Vec<MsId>)>> {
        let rows = self.store.all(sql!("archive/index/take"), &[&COMMITS_MAX]).await?;
        Ok(rows.iter().map(|row| (row.get("queue_id"), row.get("ms_ids"))).collect())
    }

    /// One step through all hot messages, for an archive that has none of them.
    async fn walk(&self, from: MsId, version_base: i64) -> Result<Tick> {
        let client = self.store.client().await?;
        let rows = client.all(sql!("archive/index/walk"), &[&from, &WALK_MAX]).await?;
        drop(client);
        let ms_ids: Vec<MsId> = rows.iter().map(|row| row.get(0)).collect();
        self.index(&ms_ids, version_base).await?;
        let next = ms_ids.last().map(|last| last.next());
        self.store.run(sql!("archive/index/walked"), &[&next, &from]).await?;
        Ok(Tick::More)
    }

    async fn index(&self, ms_ids: &[MsId], version_base: i64) -> Result<()> {
        for some in ms_ids.chunks(WRITE_MAX) {
            let mut documents = self.documents(some).await?;
            documents.iter_mut().for_each(|document| document.version += version_base);
            match self.archive.write(&documents).await {
                Err(e) if e.kind != Kind::Unavailable => self.write_singly(&documents).await?,
                written => written?,
            }
            metrics::counter!("impg_indexed_messages_total").increment(documents.len() as u64);
        }
        Ok(())
    }

    /// Writes documents one by one, so that a refused document does not block the others. The refusal is
    /// logged. The move of its day finds it again and then fails.
    async fn write_singly(&self, documents: &[Document]) -> Result<()> {
        for document in documents {
            match self.archive.write(std::slice::from_ref(document)).await {
                Err(error) if error.kind != Kind::Unavailable => {
                    tracing::error!(ms_id = document.ms_id.0, %error, "the archive refused a message");
                    metrics::counter!("impg_index_refused_total").increment(1);
                }
                written => written?,
            }
        }
        Ok(())
    }

    async fn documents(&self, ms_ids: &[MsId]) -> Result<Vec<Document>> {
        let rows = self.store.all(sql!("archive/index/messages"), &[&ms_ids]).await?;
        let readable = |row: &Row| match document(row) {
            Ok(document) => Some(document),
            // Like a document that the archive refuses: the move of its day finds it again and then fails.
            Err(error) => {
                let ms_id: MsId = row.get("ms_id");
                tracing::error!(ms_id = ms_id.0, %error, "a message cannot be read, and is not indexed");
                metrics::counter!("impg_index_refused_total").increment(1);
                None
            }
        };
        Ok(rows.iter().filter_map(readable).collect())
    }
}

impl Work for Index {
    /// Indexes one batch.
    async fn tick(&self) -> Result<Tick> {
        let began = Instant::now();
        let done = self.step().await;
        let away = |e: &Error| e.is_unavailable() && !e.is_of_database();
        self.away.store(done.as_ref().is_err_and(away), Ordering::Relaxed);
        if matches!(done, Ok(Tick::More)) {
            self.store.throttle().rest("index", began).await;
            tokio::time::sleep(LINGER).await;
        }
        done
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}

/// The document of a new message.
fn document(row: &Row) -> Result<Document> {
    let recalled = recalled(row);
    let message = message(row)?;
    let state =
        message.content.get("version").and_then(Value::as_i64).unwrap_or(SENT).clamp(SENT, RECALLED - 1);
    Ok(Document { version: if recalled.is_some() { RECALLED } else { state }, ..message })
}

/// The document of a message's row, without ledger and version. A recalled message has no content.
///
/// # Errors
/// The JSON of the message cannot be read. A worker must not end by it.
pub(super) fn message(row: &Row) -> Result<Document> {
    let recalled = recalled(row);
    let is_shown = recalled.is_none();
    let unreadable =
        |e: tokio_postgres::Error| Error::internal(format!("the JSON of a message is unreadable: {e}"));
    Ok(Document {
        ms_id: row.get("ms_id"),
        part: 0,
        version: 0,
        channel_id: row.get("channel_id"),
        seq: row.get("seq"),
        server_time: row.get("server_time"),
        sender: row.get("sender"),
        sender_count: row.get("sender_count"),
        ms_type: row.get("ms_type"),
        content: match is_shown {
            true => row.try_get("content").map_err(unreadable)?,
            false => Value::Object(serde_json::Map::new()),
        },
        extra: match is_shown {
            true => row.try_get::<_, Json<_>>("extra").map_err(unreadable)?.0,
            false => Extra::new(),
        },
        recalled,
        ledger: None,
        set_aside: false,
    })
}

/// Who recalled the message and when, if it is recalled.
fn recalled(row: &Row) -> Option<Recalled> {
    let by: Option<String> = row.get("recalled_by");
    by.map(|by| Recalled { by, at: row.get("recalled_at") })
}

/// The archive of this database, and how far its index is.
pub(super) struct IndexState {
    archive_id: String,
    /// Messages from this one on are still to be indexed.
    pub walk_ms_id: Option<MsId>,
    /// Added to the versions of all documents.
    pub version_base: i64,
}

/// Above the versions of the index, and above those of earlier runs.
pub(super) async fn final_version(store: &Store, run_id: i64) -> Result<i64> {
    Ok(state(store).await?.map_or(0, |state| state.version_base) + FINAL + run_id)
}

/// The messages of PostgreSQL after an id, at most `limit`, as they are indexed. A message that cannot be read has no
/// document.
pub(super) async fn hot(store: &Store, above: MsId, limit: i32) -> Result<Vec<(MsId, Option<Document>)>> {
    let rows = store.all(sql!("archive/index/hot"), &[&above, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get("ms_id"), document(row).ok())).collect())
}

pub(super) async fn state(store: &Store) -> Result<Option<IndexState>> {
    let row = store.opt(sql!("archive/index/archive"), &[]).await?;
    let state = |row: Row| IndexState {
        archive_id: row.get("archive_id"),
        walk_ms_id: row.get("walk_ms_id"),
        version_base: row.get("version_base"),
    };
    Ok(row.map(state))
}

/// Makes `archive` the archive of this database, in place of another one. Refused once any day is sealed.
pub async fn adopt(store: &Store, archive: &dyn Archive) -> Result<()> {
    let archive_id = archive.identity().await?;
    let now = store.now().await?;
    let is_new = store.run(sql!("archive/index/adopt"), &[&archive_id]).await? > 0;
    if is_new || state(store).await?.is_some_and(|state| state.archive_id == archive_id) {
        return Ok(());
    }
    if store.run(sql!("archive/index/readopt"), &[&archive_id, &now]).await? == 0 {
        let why = match store.horizon().await?.sealed {
            MsId(0) => "a replica still uses the other archive: stop it first",
            _ => "days have moved into the other archive and exist only there",
        };
        return Err(Error::new(Kind::Conflict, why));
    }
    Ok(())
}

pub async fn backlog(store: &Store) -> Result<Backlog> {
    let row = store.one(sql!("archive/index/backlog"), &[]).await?;
    Ok(Backlog { commits: row.get("commits"), oldest: row.get("oldest") })
}
