//! The end of an upload: all bytes are stored, and what they are is checked before anyone reads them.

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use super::digest::Sha256State;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::FileId;
use crate::base::store::Statements;
use crate::files::file_store::random_id;
use crate::files::picture::{Made, Picture, Sizes};
use crate::files::read::{ORIGINAL, Piece};
use crate::files::{Files, PLANNED, picture, place, sniff};
use crate::sql;

/// An upload whose bytes are all stored. This request has its lock.
struct Whole {
    file_id: FileId,
    epoch: i64,
    owner: String,
    size: i64,
    hashed: i64,
    hash_state: Option<Vec<u8>>,
    wanted_sha256: Option<Vec<u8>>,
}

/// What the checks found, and made.
struct Findings {
    sha256: Vec<u8>,
    media_type: &'static str,
    picture: Option<Picture>,
    /// Pieces that lost the place of a picture: where they begin, and their bytes.
    changed: Vec<(i64, Bytes)>,
}

/// An object that becomes part of the file.
struct New {
    object: Uuid,
    form: &'static str,
    from: i64,
    bytes: Bytes,
    media_type: Option<&'static str>,
}

impl Files {
    /// Checks an upload whose bytes are all stored, and makes it ready. `epoch` is that of the request that holds
    /// its lock. A file that the checks refuse is removed. It is repeated safely after a crash.
    pub(in crate::files) async fn finish(
        &self,
        file_id: FileId,
        epoch: Option<i64>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let locked = now + self.lock_length();
        let client = self.store.client().await?;
        let row = client.opt(sql!("files/upload/take_whole"), &[&file_id, &epoch, &now, &locked]).await?;
        drop(client);
        let row = row.ok_or_else(|| Error::new(Kind::Locked, "the upload is being checked; ask again"))?;
        let whole = Whole {
            file_id,
            epoch: row.get("epoch"),
            owner: row.get("owner"),
            size: row.get("size"),
            hashed: row.get("hashed"),
            hash_state: row.get("hash_state"),
            wanted_sha256: row.get("wanted_sha256"),
        };
        // The objects that this check plans. After a failure they are removed at once.
        let mut planned = Vec::new();
        let done = match self.check(&whole).await {
            Ok(findings) => self.make_ready(&whole, findings, &mut planned, now).await,
            Err(e) => Err(e),
        };
        if let Err(e) = &done {
            self.after_failure(&whole, e, &planned, now).await;
        }
        done
    }

    async fn check(&self, whole: &Whole) -> Result<Findings> {
        let pieces = self.pieces(whole.file_id, ORIGINAL).await?;
        let sha256 = self.sha256(whole, &pieces).await?;
        if whole.wanted_sha256.as_ref().is_some_and(|wanted| *wanted != sha256) {
            return Err(Error::new(
                Kind::ChecksumMismatch,
                "the file has another SHA-256 than announced; it is removed",
            ));
        }
        let head = self.head(&pieces).await?;
        let media_type = sniff::media_type(&head);
        let plain = Findings { sha256, media_type, picture: None, changed: Vec::new() };
        let is_picture = picture::is_known(media_type) || place::is_told_by(media_type);
        if !is_picture || whole.size.unsigned_abs() > self.settings.picture_max_bytes {
            return Ok(plain);
        }
        self.look(plain, &pieces, whole.size).await
    }

    /// Decodes a picture and blanks its place, on a thread that may block. Few pictures are in memory at once.
    async fn look(&self, plain: Findings, pieces: &[Piece], size: i64) -> Result<Findings> {
        let busy = || Error::unavailable("too many pictures are being decoded; ask again");
        // A longer wait would outlive the lock of the upload.
        let wait = self.settings.idle + self.settings.store_timeout;
        let permit =
            tokio::time::timeout(wait, self.pictures.clone().acquire_owned()).await.map_err(|_| busy())?;
        let permit = permit.map_err(|_| busy())?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        for piece in pieces {
            bytes.extend_from_slice(&self.file_store.get(piece.object).await?);
        }
        let sizes = Sizes {
            pixels: self.settings.picture_max_pixels,
            thumbnail: self.settings.thumbnail_pixels,
            preview: self.settings.preview_pixels,
        };
        let (media_type, blanks) = (plain.media_type, self.settings.remove_place);
        let looked = tokio::task::spawn_blocking(move || -> Result<_> {
            // Held as long as the picture is in memory here, also when the caller has gone.
            let _permit = permit;
            let picture = picture::make(&bytes, media_type, sizes)?;
            let sha256 = (blanks && place::blank(&mut bytes)).then(|| Sha256State::new().finish(&bytes));
            Ok((picture, sha256, bytes))
        });
        let (picture, sha256, bytes) = match looked.await {
            Ok(looked) => looked?,
            Err(error) => {
                // The decoder panicked. The file stays as it is.
                tracing::error!(%error, media_type, "a picture could not be looked at");
                return Ok(plain);
            }
        };
        let Some(sha256) = sha256 else { return Ok(Findings { picture, ..plain }) };
        let bytes = Bytes::from(bytes);
        let part = |piece: &Piece| {
            let (from, below) = (piece.from as usize, (piece.from + piece.bytes) as usize);
            (piece.from, bytes.slice(from..below))
        };
        Ok(Findings { sha256, picture, changed: pieces.iter().map(part).collect(), ..plain })
    }

    async fn sha256(&self, whole: &Whole, pieces: &[Piece]) -> Result<Vec<u8>> {
        let state = Sha256State::restore(whole.hash_state.as_deref(), whole.hashed)?;
        let tail = match pieces.last() {
            Some(last) if last.from == whole.hashed => self.file_store.get(last.object).await?,
            _ => Bytes::new(),
        };
        if whole.hashed + tail.len() as i64 != whole.size {
            return Err(Error::internal("the pieces of an upload do not add up"));
        }
        tokio::task::spawn_blocking(move || state.finish(&tail)).await.map_err(Error::internal)
    }

    async fn head(&self, pieces: &[Piece]) -> Result<Bytes> {
        let Some(first) = pieces.first() else { return Ok(Bytes::new()) };
        let mut head = self.file_store.get(first.object).await?;
        head.truncate(sniff::HEAD_BYTES);
        Ok(head)
    }

    async fn make_ready(
        &self,
        whole: &Whole,
        findings: Findings,
        planned: &mut Vec<Uuid>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let Findings { sha256, media_type, picture, changed } = findings;
        let (width, height) = picture.as_ref().map(|p| (p.width as i32, p.height as i32)).unzip();
        let new = made(changed, picture)?;
        let objects: Vec<Uuid> = new.iter().map(|new| new.object).collect();
        if !objects.is_empty() {
            let until = now + PLANNED;
            self.store.run(sql!("files/upload/plan"), &[&whole.file_id, &objects, &until]).await?;
            planned.extend(&objects);
        }
        for new in &new {
            self.file_store.put(new.object, new.bytes.clone()).await?;
        }
        let forms: Vec<&str> = new.iter().map(|new| new.form).collect();
        let from: Vec<i64> = new.iter().map(|new| new.from).collect();
        let bytes: Vec<i64> = new.iter().map(|new| new.bytes.len() as i64).collect();
        let types: Vec<Option<&str>> = new.iter().map(|new| new.media_type).collect();
        let expires_at = now + self.unused();
        let row = self
            .store
            .opt(
                sql!("files/upload/finish"),
                &[
                    &whole.file_id,
                    &whole.epoch,
                    &sha256,
                    &media_type,
                    &width,
                    &height,
                    &now,
                    &expires_at,
                    &objects,
                    &forms,
                    &from,
                    &bytes,
                    &types,
                ],
            )
            .await?;
        row.map(|_| ())
            .ok_or_else(|| Error::new(Kind::Locked, "another request finishes the upload; ask again"))
    }

    /// Removes a file that is refused. After any other failure the checks can be repeated at once.
    async fn after_failure(&self, whole: &Whole, failure: &Error, planned: &[Uuid], now: OffsetDateTime) {
        let refused = [Kind::ChecksumMismatch, Kind::TooLarge].contains(&failure.kind);
        let ended = match refused {
            true => self.remove(whole.file_id, &whole.owner, now).await,
            false => self.unlock(whole, planned, now).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, file_id = %whole.file_id, "an upload stays locked until its lock expires");
        }
    }

    async fn unlock(&self, whole: &Whole, planned: &[Uuid], now: OffsetDateTime) -> Result<()> {
        self.store.run(sql!("files/upload/release"), &[&whole.file_id, &whole.epoch, &planned, &now]).await?;
        Ok(())
    }
}

/// The objects that the checks made.
fn made(changed: Vec<(i64, Bytes)>, picture: Option<Picture>) -> Result<Vec<New>> {
    let mut new = Vec::new();
    for (from, bytes) in changed {
        new.push(New { object: random_id()?, form: ORIGINAL, from, bytes, media_type: None });
    }
    let (thumbnail, preview) = picture.map(|picture| (picture.thumbnail, picture.preview)).unzip();
    for (form, made) in [("thumbnail", thumbnail), ("preview", preview.flatten())] {
        let Some(Made { bytes, media_type }) = made else { continue };
        let (object, bytes) = (random_id()?, bytes.into());
        new.push(New { object, form, from: 0, bytes, media_type: Some(media_type) });
    }
    Ok(new)
}
