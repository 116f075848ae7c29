//! Files as readers see them: their description, and their bytes in ranges.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Files, take_place};
use crate::base::error::{Error, Result};
use crate::base::number::FileId;
use crate::base::store::Statements;
use crate::base::text::hex;
use crate::sql;

/// The content as uploaded.
pub(super) const ORIGINAL: &str = "original";

/// A file, as its uploader and readers see it.
#[derive(Debug)]
pub struct File {
    pub file_id: FileId,
    pub owner: String,
    pub name: String,
    pub size: i64,
    /// Bytes stored so far.
    pub stored: i64,
    pub is_ready: bool,
    /// Found in the content; none until the file is ready.
    pub media_type: Option<String>,
    pub sha256: Option<Vec<u8>>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub created_at: OffsetDateTime,
    /// When it is removed; none while a message holds it.
    pub expires_at: Option<OffsetDateTime>,
    /// The smaller pictures that there are.
    pub forms: Vec<String>,
}

/// How much room the files of a user take, and may take.
#[derive(Debug)]
pub struct Usage {
    pub files: i64,
    pub bytes: i64,
    pub quota_files: u64,
    pub quota_bytes: u64,
}

/// A part of a file: one object of the store.
pub(super) struct Piece {
    pub object: Uuid,
    pub from: i64,
    pub bytes: i64,
    pub media_type: Option<String>,
}

/// The bytes of a file in one form. No connection is held while they are read.
pub struct Content {
    pub file: File,
    pub size: u64,
    pub media_type: String,
    /// Names these bytes: the same tag is given to no others.
    pub tag: String,
    files: Files,
    pieces: Vec<Piece>,
}

impl Files {
    /// A file that the user may read: an own one, or one that a visible message holds.
    pub async fn get(&self, file_id: FileId, reader: &str) -> Result<File> {
        let row = self.store.opt(sql!("files/read/read"), &[&file_id, &reader]).await?;
        row.map(|row| file(&row)).ok_or_else(|| Error::not_found("no such file"))
    }

    /// A page of a user's own files below `below`, newest first.
    pub async fn of_owner(&self, owner: &str, below: FileId, limit: i64) -> Result<Vec<File>> {
        Ok(self
            .store
            .all(sql!("files/read/of_owner"), &[&owner, &below, &limit])
            .await?
            .iter()
            .map(file)
            .collect())
    }

    pub async fn usage(&self, owner: &str) -> Result<Usage> {
        let (files, bytes) = usage(&self.store, owner).await?;
        let (quota_files, quota_bytes) = (self.settings.quota_files, self.settings.quota_bytes);
        Ok(Usage { files, bytes, quota_files, quota_bytes })
    }

    /// The bytes of a readable file in a form.
    pub async fn content(
        &self,
        file_id: FileId,
        reader: &str,
        form: &str,
        now: OffsetDateTime,
    ) -> Result<Content> {
        let file = self.get(file_id, reader).await?;
        let (Some(sha256), Some(media_type), true) = (&file.sha256, &file.media_type, file.is_ready) else {
            return Err(Error::not_found("the upload of this file is not finished"));
        };
        self.file_store.open(now).await?;
        let pieces = self.pieces(file_id, form).await?;
        if pieces.is_empty() && file.size > 0 {
            return Err(Error::not_found("the file has no such form"));
        }
        let sum = hex(sha256);
        let (size, media_type) = match form {
            ORIGINAL => (file.size, media_type.clone()),
            _ => (
                pieces.iter().map(|piece| piece.bytes).sum(),
                pieces.first().and_then(|piece| piece.media_type.clone()).unwrap_or_default(),
            ),
        };
        let tag = if form == ORIGINAL { format!("\"{sum}\"") } else { format!("\"{sum}-{form}\"") };
        Ok(Content { file, size: size.unsigned_abs(), media_type, tag, files: self.clone(), pieces })
    }

    pub(super) async fn pieces(&self, file_id: FileId, form: &str) -> Result<Vec<Piece>> {
        let rows = self.store.all(sql!("files/read/pieces"), &[&file_id, &form]).await?;
        let piece = |row: &Row| Piece {
            object: row.get("object_id"),
            from: row.get("from_byte"),
            bytes: row.get("bytes"),
            media_type: row.get("media_type"),
        };
        Ok(rows.iter().map(piece).collect())
    }
}

impl Content {
    /// The bytes of a range, read as they are asked for.
    pub fn stream(self, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let permit =
            take_place(&self.files.downloads, "too many downloads are running; send the request again")?;
        let file_store = self.files.file_store.clone();
        let parts = self.pieces.into_iter().filter_map(move |piece| {
            let (from, below) = (piece.from.unsigned_abs(), (piece.from + piece.bytes).unsigned_abs());
            let (start, end) = (range.start.max(from), range.end.min(below));
            (start < end).then_some((piece.object, start - from, end - from))
        });
        let read = stream::iter(parts).map(move |(object, from, below)| {
            // The permit lives as long as the stream.
            let _permit = &permit;
            Ok::<_, Error>(file_store.read(object, from, below))
        });
        Ok(read.try_flatten().inspect_err(|error| tracing::error!(%error, "a download is cut")).boxed())
    }
}

/// The number of a user's files, and their bytes.
pub(super) async fn usage(on: &impl Statements, owner: &str) -> Result<(i64, i64)> {
    let row = on.one(sql!("files/read/usage"), &[&owner]).await?;
    Ok((row.get("files"), row.get("bytes")))
}

fn file(row: &Row) -> File {
    File {
        file_id: row.get("file_id"),
        owner: row.get("owner"),
        name: row.get("name"),
        size: row.get("size"),
        stored: row.get("stored"),
        is_ready: row.get::<_, &str>("state") == "ready",
        media_type: row.get("media_type"),
        sha256: row.get("sha256"),
        width: row.get("width"),
        height: row.get("height"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        forms: row.get("forms"),
    }
}
