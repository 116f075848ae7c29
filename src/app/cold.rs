//! The archive of the settings, and the workers that write into it.

use std::sync::Arc;

use crate::archive;
use crate::archive::index::{Bound, Index};
use crate::archive::mover::Archiver;
use crate::base::config::Config;
use crate::base::error::Result;
use crate::base::store::Store;
use crate::records::outbox::Outbox;

/// The archive and its workers.
#[derive(Clone)]
pub(super) struct ArchiveWorkers {
    pub(super) archive: Arc<Bound>,
    pub(super) index: Arc<Index>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) archiver: Arc<Archiver>,
}

impl ArchiveWorkers {
    /// Opens the archive of the settings. The start succeeds without a reachable archive. It fails if the
    /// database belongs to another archive.
    pub(super) async fn open(config: &Config, store: &Store) -> Result<Option<Self>> {
        let Some(archive) = archive::open(config).await? else {
            return Ok(None);
        };
        let bound = Arc::new(Bound::new(store.clone(), archive));
        match bound.refuse_another().await {
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the archive is away: new messages wait to be indexed");
            }
            checked => checked?,
        }
        Ok(Some(Self {
            archive: bound.clone(),
            index: Arc::new(Index::new(store.clone(), bound.clone(), config.workers.lease)),
            outbox: Arc::new(Outbox::new(store.clone(), bound.clone(), config.workers.lease)),
            archiver: Arc::new(Archiver::new(store.clone(), bound, config)?),
        }))
    }
}
