//! The archive of a single machine: an index in a folder.
//!
//! Each segment holds its documents newest first. A search reads them in the order of its answer, and stops
//! when it has enough.

mod fields;
mod find;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tantivy::directory::error::LockError;
use tantivy::directory::{DirectoryLock, Lock, MmapDirectory};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Directory, Index, IndexReader, IndexSettings, IndexSortByField, IndexWriter};
use tantivy::{Order as Sort, ReloadPolicy, Searcher, TantivyError};
use uuid::Uuid;

use super::{Archive, Document, Find};
use crate::base::analyzer as text;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::MsId;
use fields::Fields;

/// The file with the id of the archive.
const ID_FILE: &str = "archive-id";
/// Locked while the archive is open. The system unlocks it when the process ends.
const LOCK_FILE: &str = ".archive.lock";
/// Memory for what is written between two commits. More goes to the disk.
const WRITER_BYTES: usize = 50_000_000;
const MERGE_THREADS: usize = 1;
/// Every document is written twice, so a part of every segment is dead. Above this share a segment is
/// rewritten.
const DEAD_RATIO_MAX: f32 = 0.3;
/// Documents are compressed together in blocks of this size: ledgers of one channel are similar.
const STORE_BLOCK_BYTES: usize = 32 * 1024;
const STORE_ZSTD_LEVEL: i32 = 9;
/// Uncompressed blocks that each segment caches for the next search.
const STORE_BLOCKS_CACHED: usize = 8;

/// An archive in a folder. Only one process can have it open.
pub struct Embedded(Arc<Folder>);

struct Folder {
    path: PathBuf,
    id: String,
    index: Index,
    fields: Fields,
    reader: IndexReader,
    /// None after an error, so that the next commit does not include a failed batch.
    writer: Mutex<Option<IndexWriter>>,
    _lock: DirectoryLock,
}

impl Embedded {
    /// Opens the archive in a folder, or creates it. No other process may have it open.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| failed(e.into()))?;
        let directory = MmapDirectory::open(dir).map_err(|e| failed(e.into()))?;
        let lock = Lock { filepath: LOCK_FILE.into(), is_blocking: false };
        let lock = directory.acquire_lock(&lock).map_err(|e| lock_failed(dir, e))?;
        let (schema, fields) = Fields::schema();
        let builder = Index::builder().schema(schema).settings(settings());
        let index = builder.open_or_create(directory).map_err(failed)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORE_BLOCKS_CACHED)
            .try_into()
            .map_err(failed)?;
        let (id, analysis) = id(dir).map_err(|e| failed(e.into()))?;
        if analysis != text::ANALYSIS {
            return Err(Error::new(Kind::Conflict, text::ANOTHER_ANALYSIS));
        }
        let folder =
            Folder { path: dir.into(), id, index, fields, reader, writer: Mutex::new(None), _lock: lock };
        *folder.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.new_writer()?);
        Ok(Self(Arc::new(folder)))
    }
}

impl Archive for Embedded {
    fn identity(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(async { Ok(self.0.id.clone()) })
    }

    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut owned = Vec::with_capacity(documents.len());
            for document in documents {
                owned.push(document.clone());
                // A document with very many receivers takes long to copy.
                tokio::task::yield_now().await;
            }
            self.blocking(move |folder| folder.write(&owned)).await
        })
    }

    fn refresh(&self) -> BoxFuture<'_, Result<()>> {
        // Written documents are visible at once.
        Box::pin(async { Ok(()) })
    }

    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>> {
        let find = find.clone();
        Box::pin(self.blocking(move |folder| {
            let searcher = folder.reader.searcher();
            find::find(&searcher, &folder.fields, &find).map_err(failed)
        }))
    }
}

impl Embedded {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&folder)).await.map_err(Error::internal)?
    }
}

impl Folder {
    /// One commit with all documents that are newer than the stored ones, or with none of them.
    fn write(&self, documents: &[Document]) -> Result<()> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out of the slot: an error drops the writer and what it has not committed.
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => self.new_writer()?,
        };
        let newer = self.newer(&self.reader.searcher(), documents).map_err(failed)?;
        if !newer.is_empty() {
            self.commit(&mut writer, &newer)?;
        }
        *slot = Some(writer);
        Ok(())
    }

    fn new_writer(&self) -> Result<IndexWriter> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(MERGE_THREADS)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let writer = self.index.writer_with_options(options).map_err(|e| match e {
            TantivyError::LockFailure(e, _) => lock_failed(&self.path, e),
            e => failed(e),
        })?;
        let mut merges = LogMergePolicy::default();
        merges.set_del_docs_ratio_before_merge(DEAD_RATIO_MAX);
        writer.set_merge_policy(Box::new(merges));
        // A killed or failed commit leaves files that no list names. The next commit has the same number and
        // would use the same file names, so the files are removed first.
        writer.garbage_collect_files().wait().map_err(failed)?;
        // The last commit may have succeeded although it, or the reload after it, failed. Versions are
        // compared with what the reader sees.
        self.reader.reload().map_err(failed)?;
        Ok(writer)
    }

    /// The highest version of each document, if it is above the stored one.
    fn newer<'d>(
        &self,
        searcher: &Searcher,
        documents: &'d [Document],
    ) -> tantivy::Result<Vec<&'d Document>> {
        let mut highest: HashMap<(MsId, u32), &Document> = HashMap::new();
        for document in documents {
            let best = highest.entry((document.ms_id, document.part)).or_insert(document);
            if document.version > best.version {
                *best = document;
            }
        }
        let mut newer = Vec::with_capacity(highest.len());
        for ((ms_id, part), document) in highest {
            let stored = self.fields.stored_version(searcher, ms_id, part)?;
            if stored.is_none_or(|stored| document.version > stored) {
                newer.push(document);
            }
        }
        Ok(newer)
    }

    fn commit(&self, writer: &mut IndexWriter, documents: &[&Document]) -> Result<()> {
        for document in documents {
            writer.delete_term(self.fields.key_term(document.ms_id, document.part));
            let indexed = self.fields.indexed(document).map_err(Error::internal)?;
            writer.add_document(indexed).map_err(failed)?;
        }
        writer.commit().map_err(failed)?;
        // The commit syncs its files and replaces their list, but does not sync the folder.
        sync_folder(&self.path).map_err(|e| failed(e.into()))?;
        self.reader.reload().map_err(failed)
    }
}

fn settings() -> IndexSettings {
    let compression_level = Some(STORE_ZSTD_LEVEL);
    IndexSettings {
        sort_by_field: Some(IndexSortByField { field: fields::MS_ID.into(), order: Sort::Desc }),
        docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        ..IndexSettings::default()
    }
}

/// The id in the folder, and the number of the analysis it was indexed with. Both are created atomically if
/// there are none.
fn id(dir: &Path) -> std::io::Result<(String, u32)> {
    let path = dir.join(ID_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let (id, analysis) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
            return Ok((id.to_owned(), analysis.parse().unwrap_or_default()));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let id = Uuid::now_v7().to_string();
    let unfinished = dir.join(format!("{ID_FILE}.new"));
    let mut file = File::create(&unfinished)?;
    write!(file, "{id}\n{}\n", text::ANALYSIS)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    sync_folder(dir)?;
    Ok((id, text::ANALYSIS))
}

fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn lock_failed(dir: &Path, e: LockError) -> Error {
    match e {
        LockError::LockBusy => Error::new(
            Kind::Conflict,
            format!(
                "the embedded archive {} is in use by another replica; a service of several replicas needs \
                 Elasticsearch (archive_url)",
                dir.display()
            ),
        ),
        LockError::IoError(_) => failed(TantivyError::LockFailure(e, None)),
    }
}

/// A full or failing disk is temporary; a damaged document or folder is not.
fn failed(e: TantivyError) -> Error {
    use TantivyError as E;
    let passes = matches!(
        e,
        E::IoError(_)
            | E::OpenDirectoryError(_)
            | E::OpenReadError(_)
            | E::OpenWriteError(_)
            | E::LockFailure(..)
            | E::ErrorInThread(_)
            | E::SystemError(_)
    );
    let mut error = Error::internal(e);
    if passes {
        error.kind = Kind::Unavailable;
        error.detail = "the archive is away".into();
    }
    error
}
