//! Uploads: created, resumed, ended early. `write` has the bytes, `finish` the checks at the end.

mod digest;
mod finish;
mod write;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio_postgres::Row;

pub use digest::{ALGORITHMS, Checksum};
pub use write::Append;

use super::Files;
use super::read;
use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::FileId;
use crate::base::store::{Statements, retrying};
use crate::sql;

/// An upload to create.
#[derive(Debug)]
pub struct NewFile {
    /// Cleaned; see [`super::clean_name`].
    pub name: String,
    pub size: u64,
    /// `Upload-Metadata`, to be given back.
    pub metadata: Option<String>,
    /// The SHA-256 that the content must have.
    pub sha256: Option<Vec<u8>>,
    /// The caller's own id of this request. It makes a repeat safe.
    pub client_id: Option<String>,
}

/// How far an upload has come.
#[derive(Debug)]
pub struct Progress {
    pub file_id: FileId,
    pub offset: i64,
    pub size: i64,
    pub metadata: Option<String>,
    /// When it is removed if no more bytes come. None: it is finished.
    pub expires_at: Option<OffsetDateTime>,
}

fn claim_of<'a>(owner: &'a str, new: &'a NewFile) -> Option<Claim<'a>> {
    new.client_id.as_deref().map(|client_id| Claim { caller: owner, call: "file", client_id })
}

impl Files {
    /// Creates an upload without any bytes. The flag says whether an earlier call with this client id created it.
    pub async fn create(&self, owner: &str, new: &NewFile, now: OffsetDateTime) -> Result<(FileId, bool)> {
        if new.size > self.settings.max_bytes {
            let most = self.settings.max_bytes;
            return Err(Error::new(Kind::TooLarge, format!("a file can have at most {most} bytes")));
        }
        self.file_store.open(now).await?;
        // Creations of a user wait for each other with a connection each. Sends need the connections too.
        let _place = self.creates.acquire().await.map_err(Error::internal)?;
        retrying(|| self.create_once(owner, new, now)).await
    }

    async fn create_once(&self, owner: &str, new: &NewFile, now: OffsetDateTime) -> Result<(FileId, bool)> {
        let claim = claim_of(owner, new);
        let digest = claim::digest(&(&new.name, new.size, &new.sha256))?;
        let mut client = self.store.client().await?;
        if let Some(claim) = &claim
            && let Some(kept) = claim.kept(&client).await?
        {
            return Ok((kept.of(&digest)?.into(), true));
        }
        let tx = client.transaction().await?;
        tx.one(sql!("files/upload/lock_owner"), &[&owner]).await?;
        self.check_quota(&tx, owner, new.size).await?;
        let size = i64::try_from(new.size).map_err(Error::internal)?;
        let expires_at = now + self.unfinished();
        let row = tx
            .one(
                sql!("files/upload/create"),
                &[&owner, &new.name, &size, &new.metadata, &new.sha256, &now, &expires_at],
            )
            .await?;
        let file_id: FileId = row.get("file_id");
        if let Some(claim) = &claim
            && !claim.keep(&tx, &digest, (file_id.into(), now)).await?
        {
            drop(tx);
            let kept = claim.kept(&client).await?.ok_or_else(claim::forgotten)?;
            return Ok((kept.of(&digest)?.into(), true));
        }
        tx.commit().await?;
        Ok((file_id, false))
    }

    async fn check_quota(&self, tx: &Transaction<'_>, owner: &str, size: u64) -> Result<()> {
        let (files, bytes) = read::usage(tx, owner).await?;
        let (files, bytes) = (files.unsigned_abs(), bytes.unsigned_abs());
        let (most_files, most_bytes) = (self.settings.quota_files, self.settings.quota_bytes);
        if files >= most_files {
            let detail = format!("you have {files} files, and {most_files} are allowed: delete some");
            return Err(Error::new(Kind::QuotaExceeded, detail));
        }
        if bytes.saturating_add(size) > most_bytes {
            let detail = format!("your files have {bytes} bytes, and {most_bytes} are allowed: delete some");
            return Err(Error::new(Kind::QuotaExceeded, detail));
        }
        Ok(())
    }

    /// How far an own upload has come. Its client has come back, so a request that still writes to it is dead,
    /// and loses the lock. An upload whose bytes are all stored is finished first.
    pub async fn resume(&self, file_id: FileId, owner: &str, now: OffsetDateTime) -> Result<Progress> {
        let client = self.store.client().await?;
        if let Some(row) = client.opt(sql!("files/upload/interrupt"), &[&file_id, &owner, &now]).await? {
            return Ok(progress(file_id, &row));
        }
        drop(client);
        let progress = self.whole(file_id, owner, now).await?;
        if progress.expires_at.is_some() {
            self.finish(file_id, None, now).await?;
        }
        Ok(Progress { expires_at: None, ..progress })
    }

    /// An own upload whose bytes are all stored. `expires_at` is none once it is ready.
    pub(super) async fn whole(&self, file_id: FileId, owner: &str, now: OffsetDateTime) -> Result<Progress> {
        let row = self.upload(file_id, owner).await?;
        let mut progress = progress(file_id, &row);
        if row.get::<_, &str>("state") == "ready" {
            progress.expires_at = None;
        } else if progress.expires_at.is_none_or(|at| at <= now) {
            return Err(no_upload());
        }
        Ok(progress)
    }

    /// Why a request cannot write to an upload at this offset.
    pub(super) async fn refuse(
        &self,
        file_id: FileId,
        owner: &str,
        offset: i64,
        now: OffsetDateTime,
    ) -> Error {
        let row = match self.upload(file_id, owner).await {
            Ok(row) => row,
            Err(e) => return e,
        };
        let (stored, expires_at) =
            (row.get::<_, i64>("stored"), row.get::<_, Option<OffsetDateTime>>("expires_at"));
        if row.get::<_, &str>("state") == "uploading" && expires_at.is_none_or(|at| at <= now) {
            return no_upload();
        }
        if stored != offset {
            return Error::new(Kind::Conflict, format!("the upload is at offset {stored}"));
        }
        Error::new(Kind::Locked, "wait until it ends, or ask for the offset with HEAD")
    }

    async fn upload(&self, file_id: FileId, owner: &str) -> Result<Row> {
        self.store.opt(sql!("files/upload/upload"), &[&file_id, &owner]).await?.ok_or_else(no_upload)
    }

    /// Takes an unfinished upload back to its beginning. An error if it is locked or gone; false if it is ready.
    pub(super) async fn restart(&self, file_id: FileId, owner: &str, now: OffsetDateTime) -> Result<bool> {
        let client = self.store.client().await?;
        let locked = now + self.lock_length();
        if client.opt(sql!("files/upload/restart"), &[&file_id, &owner, &now, &locked]).await?.is_some() {
            return Ok(true);
        }
        drop(client);
        let row = self.upload(file_id, owner).await.map_err(|e| match e.kind {
            Kind::NotFound => claim::gone(),
            _ => e,
        })?;
        match row.get("state") {
            "ready" => Ok(false),
            _ => Err(Error::new(Kind::Locked, "an earlier request with this client_id is still running")),
        }
    }

    /// Removes an own file, finished or not. A message that holds it must be recalled first.
    pub async fn remove(&self, file_id: FileId, owner: &str, now: OffsetDateTime) -> Result<()> {
        if self.remove_unheld(&[file_id], Some(owner), now).await? > 0 {
            self.wake.notify_one();
            return Ok(());
        }
        self.upload(file_id, owner).await?;
        Err(Error::new(Kind::Conflict, "a message holds the file: recall the message first"))
    }
}

impl Files {
    /// Removes those of the files that no message holds and that are of this owner, or, without an owner, whose time
    /// is over. Returns how many.
    pub(in crate::files) async fn remove_unheld(
        &self,
        file_ids: &[FileId],
        owner: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<usize> {
        retrying(|| self.remove_once(file_ids, owner, now)).await
    }

    async fn remove_once(
        &self,
        file_ids: &[FileId],
        owner: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<usize> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.all(sql!("files/upload/lock"), &[&file_ids]).await?;
        let gone = tx.all(sql!("files/upload/remove"), &[&file_ids, &owner, &now]).await?;
        tx.commit().await?;
        Ok(gone.len())
    }
}

fn no_upload() -> Error {
    Error::not_found("no such upload, or it has expired")
}

fn progress(file_id: FileId, row: &Row) -> Progress {
    Progress {
        file_id,
        offset: row.get("stored"),
        size: row.get("size"),
        metadata: row.get("metadata"),
        expires_at: row.get("expires_at"),
    }
}
