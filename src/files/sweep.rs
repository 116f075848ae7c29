//! The sweeper: what expires, what a crash left, and whether store and database hold the same.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Files;
use crate::base::error::Result;
use crate::base::lease::Lease;
use crate::base::number::FileId;
use crate::base::store::{Statements, retrying};
use crate::base::worker::{Tick, Work};
use crate::sql;

/// Files and objects of one step.
const STEP: i64 = 200;
/// Objects that are removed at the same time.
const AT_ONCE: usize = 8;
/// Uploads that one step finishes.
const FINISH_STEP: i64 = 10;
/// Parts of the store, by the first byte of an object's id.
const SHARDS: u32 = 256;

/// Runs on one replica at a time.
pub struct Sweeper {
    files: Files,
    lease: Lease,
}

impl Sweeper {
    pub fn new(files: Files, lease: std::time::Duration) -> Self {
        let lease = Lease::new(files.store.clone(), "files", lease);
        Self { files, lease }
    }
}

impl Work for Sweeper {
    async fn tick(&self) -> Result<Tick> {
        let now = self.files.store.now().await?;
        if self.lease.take(now).await?.is_none() {
            return Ok(Tick::Idle);
        }
        let expired = self.expire(now).await?;
        // Without any file there is no store to open.
        if !self.files.file_store.is_bound().await? {
            return Ok(Tick::Idle);
        }
        self.files.file_store.open(now).await?;
        let dropped = self.drop_objects(now).await?;
        self.finish_uploads(now).await?;
        self.compare_next(now).await?;
        Ok(if expired || dropped { Tick::More } else { Tick::Idle })
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.files.store.now().await?).await
    }
}

impl Sweeper {
    /// Removes files whose time is over, and lets those stay that a message holds or has held.
    async fn expire(&self, now: OffsetDateTime) -> Result<bool> {
        let client = self.files.store.client().await?;
        let rows = client.all(sql!("files/sweep/expired"), &[&now, &STEP]).await?;
        let stays = |row: &&Row| {
            row.get::<_, bool>("held")
                || row.get::<_, bool>("used") && !self.files.settings.remove_with_message
        };
        let (stay, go): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(stays);
        let ids = |rows: Vec<&Row>| rows.iter().map(|row| row.get("file_id")).collect::<Vec<FileId>>();
        let (stay, go) = (ids(stay), ids(go));
        drop(client);
        if !stay.is_empty() {
            retrying(|| self.keep(&stay, now)).await?;
        }
        if !go.is_empty() {
            let gone = self.files.remove_unheld(&go, None, now).await?;
            metrics::counter!("impg_files_removed_total").increment(gone as u64);
        }
        Ok(rows.len() as i64 >= STEP)
    }

    /// Lets files stay. A recall can have released them since they were read.
    async fn keep(&self, file_ids: &[FileId], now: OffsetDateTime) -> Result<()> {
        let mut client = self.files.store.client().await?;
        let tx = client.transaction().await?;
        tx.all(sql!("files/sweep/lock"), &[&file_ids]).await?;
        let used_stay = !self.files.settings.remove_with_message;
        tx.run(sql!("files/sweep/keep_held"), &[&file_ids, &now, &used_stay]).await?;
        Ok(tx.commit().await?)
    }

    /// Removes objects that no file needs: from the store first, then their rows.
    async fn drop_objects(&self, now: OffsetDateTime) -> Result<bool> {
        let client = self.files.store.client().await?;
        let rows = client.all(sql!("files/sweep/dropped"), &[&now, &STEP]).await?;
        drop(client);
        let objects: Vec<Uuid> = rows.iter().map(|row| row.get("object_id")).collect();
        if objects.is_empty() {
            return Ok(false);
        }
        let remove = objects.clone().into_iter().map(|object| {
            let file_store = self.files.file_store.clone();
            async move { file_store.remove(object).await.map(|()| object) }
        });
        let removed: Vec<Result<Uuid>> = stream::iter(remove).buffer_unordered(AT_ONCE).collect().await;
        let mut gone = Vec::with_capacity(removed.len());
        let mut failure = None;
        for removed in removed {
            match removed {
                Ok(object) => gone.push(object),
                Err(e) => failure = Some(e),
            }
        }
        self.files.store.run(sql!("files/sweep/forget"), &[&gone, &now]).await?;
        if let Some(error) = failure {
            // They are tried again by the next sweep. The others, and the rest of the sweep, do not wait for them.
            tracing::warn!(%error, left = objects.len() - gone.len(), "objects could not be removed from file_store");
            return Ok(false);
        }
        Ok(objects.len() as i64 >= STEP)
    }

    /// Finishes uploads whose last request ended after the last byte.
    async fn finish_uploads(&self, now: OffsetDateTime) -> Result<()> {
        let client = self.files.store.client().await?;
        let locked = now + self.files.lock_length();
        let rows = client.all(sql!("files/sweep/whole"), &[&now, &locked, &FINISH_STEP]).await?;
        drop(client);
        for row in rows {
            let file_id: FileId = row.get("file_id");
            if let Err(error) = self.files.finish(file_id, None, now).await {
                tracing::warn!(%error, %file_id, "an upload could not be finished");
            }
        }
        Ok(())
    }

    /// Compares the next part of the store with the database, if it is due. Objects that no row names are removed
    /// once they are old. Objects that are missing are logged.
    async fn compare_next(&self, now: OffsetDateTime) -> Result<()> {
        let every = Duration::try_from(self.files.settings.sweep / SHARDS).unwrap_or(Duration::HOUR);
        let client = self.files.store.client().await?;
        let row = client.opt(sql!("files/sweep/next_shard"), &[&now, &(now + every)]).await?;
        drop(client);
        let Some(row) = row else { return Ok(()) };
        let Ok(shard) = u8::try_from(row.get::<_, i32>("shard")) else { return Ok(()) };
        let keep = Duration::days(self.files.settings.orphan_days.into());
        let restored = row.get::<_, Option<OffsetDateTime>>("restored_at");
        let is_old =
            |changed_at: OffsetDateTime| restored.map_or(changed_at, |at| at.max(changed_at)) < now - keep;
        // Rows come first, then their objects. So an object without a row is of before, or newer than both looks.
        let before = self.known(shard).await?;
        let stored = self.files.file_store.shard(shard).await?;
        let mut removed = 0_u64;
        let ids: HashSet<Uuid> = before.iter().map(|(id, _)| *id).collect();
        for object in &stored {
            let is_known = object.object_id.is_some_and(|id| ids.contains(&id));
            if !is_known && is_old(object.changed_at) {
                self.files.file_store.clear(object).await?;
                removed += 1;
            }
        }
        removed += self.files.file_store.clear_staged(shard, now - keep).await?;
        if removed > 0 {
            tracing::warn!(
                shard,
                removed,
                "removed objects of the file store that the database does not know"
            );
            metrics::counter!("impg_file_orphans_removed_total").increment(removed);
        }
        self.report_missing(shard, before, stored.iter().filter_map(|object| object.object_id).collect())
            .await
    }

    async fn report_missing(
        &self,
        shard: u8,
        before: Vec<(Uuid, bool)>,
        stored: HashSet<Uuid>,
    ) -> Result<()> {
        let missing: Vec<Uuid> =
            before.iter().filter(|(id, kept)| *kept && !stored.contains(id)).map(|(id, _)| *id).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // A file may have been removed meanwhile.
        let after = self.known(shard).await?;
        let missing = missing.iter().filter(|id| after.contains(&(**id, true))).count() as u64;
        if missing > 0 {
            tracing::error!(shard, missing, "objects of files are missing in the file store");
            metrics::counter!("impg_file_objects_missing_total").increment(missing);
        }
        Ok(())
    }

    /// The objects that the database knows in a part, and whether each belongs to a file.
    async fn known(&self, shard: u8) -> Result<Vec<(Uuid, bool)>> {
        let (mut first, mut last) = ([0u8; 16], [0xff_u8; 16]);
        (first[0], last[0]) = (shard, shard);
        let rows = self
            .files
            .store
            .all(sql!("files/sweep/known"), &[&Uuid::from_bytes(first), &Uuid::from_bytes(last)])
            .await?;
        Ok(rows.iter().map(|row| (row.get("object_id"), row.get("kept"))).collect())
    }
}
