//! The bytes of one request, written into an upload piece by piece.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::digest::{Checksum, Sha256State};
use super::{NewFile, Progress};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::FileId;
use crate::base::store::Statements;
use crate::files::file_store::random_id;
use crate::files::{Files, PLANNED, RunningUpload, Watch};
use crate::sql;

/// A request that adds bytes to an upload.
#[derive(Debug)]
pub struct Append {
    pub file_id: FileId,
    pub owner: String,
    pub offset: i64,
    /// The number of bytes, if the request says so.
    pub length: Option<u64>,
    pub checksum: Option<Checksum>,
}

impl Files {
    /// Writes `body` from an offset on. The bytes that came are stored also if the client is cut off: the work does
    /// not end with the caller. With a checksum all bytes of the request count, or none.
    pub async fn append<S, E>(&self, append: Append, body: S, now: OffsetDateTime) -> Result<Progress>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static,
        E: fmt::Display + Send + 'static,
    {
        let running = RunningUpload::begin(self, &append.owner)?;
        self.file_store.open(now).await?;
        let (file_id, owner, offset) = (append.file_id, append.owner.clone(), append.offset);
        let taken = match self.take(append, running, now).await? {
            Some(writer) => writer,
            None => {
                let progress = self.whole(file_id, &owner, now).await;
                return match progress {
                    // A repeat of the last request, whose answer was lost.
                    Ok(progress) if progress.offset == offset && progress.expires_at.is_none() => {
                        Ok(progress)
                    }
                    _ => Err(self.refuse(file_id, &owner, offset, now).await),
                };
            }
        };
        let written = self.writing.spawn(taken.run(body));
        written.await.map_err(Error::internal)?
    }

    /// Stores a file that comes in one request. Nothing of it stays if the request fails.
    pub async fn put<S, E>(
        &self,
        owner: &str,
        new: NewFile,
        body: S,
        now: OffsetDateTime,
    ) -> Result<(FileId, bool)>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static,
        E: fmt::Display + Send + 'static,
    {
        if new.size > self.settings.post_max_bytes {
            let most = self.settings.post_max_bytes;
            let detail = format!("a file in one request can have at most {most} bytes: use /files/uploads");
            return Err(Error::new(Kind::TooLarge, detail));
        }
        let (files, owner) = (self.clone(), owner.to_owned());
        // The work does not end with the caller, so that nothing stays of a request that is cut.
        let stored = self.writing.spawn(async move { files.put_whole(&owner, new, body, now).await });
        stored.await.map_err(Error::internal)?
    }

    async fn put_whole<S, E>(
        &self,
        owner: &str,
        new: NewFile,
        body: S,
        now: OffsetDateTime,
    ) -> Result<(FileId, bool)>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static,
        E: fmt::Display + Send + 'static,
    {
        let (file_id, repeated) = self.create(owner, &new, now).await?;
        if repeated && !self.restart(file_id, owner, now).await? {
            return Ok((file_id, true));
        }
        let append =
            Append { file_id, owner: owner.to_owned(), offset: 0, length: Some(new.size), checksum: None };
        let done = match new.size {
            0 => self.finish(file_id, None, now).await,
            _ => self.append(append, body, now).await.and_then(|progress| {
                match progress.offset == progress.size {
                    true => Ok(()),
                    false => Err(Error::new(Kind::MalformedBody, "the body is incomplete")),
                }
            }),
        };
        if let Err(e) = done {
            if let Err(error) = self.undo(owner, &new, file_id, now).await {
                tracing::debug!(%error, %file_id, "a failed upload stays until it expires");
            }
            return Err(e);
        }
        Ok((file_id, false))
    }

    /// Removes what a failed request made, so that its repeat with the same client id begins anew.
    async fn undo(&self, owner: &str, new: &NewFile, file_id: FileId, now: OffsetDateTime) -> Result<()> {
        // An upload with a wrong checksum is removed already: the client id is forgotten before the removal.
        if let Some(claim) = super::claim_of(owner, new) {
            claim.forget(&self.store, file_id.into()).await?;
        }
        self.remove(file_id, owner, now).await
    }

    async fn take(
        &self,
        append: Append,
        running: RunningUpload,
        now: OffsetDateTime,
    ) -> Result<Option<Writer>> {
        let (object, locked) = (random_id()?, now + self.lock_length());
        let client = self.store.client().await?;
        let Append { file_id, owner, offset, length, checksum } = append;
        let row = client
            .opt(
                sql!("files/upload/take"),
                &[&file_id, &owner, &offset, &now, &locked, &object, &(now + PLANNED)],
            )
            .await?;
        drop(client);
        let Some(row) = row else { return Ok(None) };
        let hashed: i64 = row.get("hashed");
        let mut writer = Writer {
            files: self.clone(),
            file_id,
            epoch: row.get("epoch"),
            size: row.get("size"),
            sha: Sha256State::restore(row.get::<_, Option<&[u8]>>("hash_state"), hashed)?,
            from: hashed,
            fresh: 0,
            buffer: BytesMut::new(),
            checksum,
            object,
            is_spoiled: false,
            written: Vec::new(),
            planned: now,
            watch: Watch::at(now),
            expires_at: row.get("expires_at"),
            _running: running,
        };
        let begun = writer.begin(row.get("tail_id"), (offset, length)).await;
        match begun {
            Ok(()) => Ok(Some(writer)),
            Err(e) => {
                writer.release().await;
                Err(e)
            }
        }
    }
}

/// An object that this request has written.
struct Written {
    object: Uuid,
    from: i64,
    bytes: i64,
}

/// The state of a request that writes. It has the lock of its upload.
struct Writer {
    files: Files,
    file_id: FileId,
    epoch: i64,
    size: i64,
    /// SHA-256 of everything before the buffer.
    sha: Sha256State,
    /// The place of the buffer in the file.
    from: i64,
    buffer: BytesMut,
    /// Bytes at the end of the buffer that are in no object yet.
    fresh: usize,
    checksum: Option<Checksum>,
    /// The planned object.
    object: Uuid,
    /// Whether a write of the planned object failed. The store may still carry it out later, over newer bytes, so
    /// the object is not used again.
    is_spoiled: bool,
    /// Objects that are written and not committed, and since when their plans hold.
    written: Vec<Written>,
    planned: OffsetDateTime,
    watch: Watch,
    expires_at: OffsetDateTime,
    _running: RunningUpload,
}

impl Writer {
    /// Reads the short piece at the end: the new bytes continue it.
    async fn begin(&mut self, tail: Option<Uuid>, (offset, length): (i64, Option<u64>)) -> Result<()> {
        let left = (self.size - offset).unsigned_abs();
        if length.is_some_and(|length| length > left) {
            return Err(too_long(left));
        }
        if offset > self.from {
            let tail = tail.ok_or_else(|| Error::internal("the last piece of an upload is missing"))?;
            self.buffer.extend_from_slice(&self.files.file_store.get(tail).await?);
            if self.buffer.len() as i64 != offset - self.from {
                return Err(Error::internal("the last piece of an upload has another size"));
            }
        }
        Ok(())
    }

    async fn run<S, E>(mut self, body: S) -> Result<Progress>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        E: fmt::Display + Send + 'static,
    {
        let done = self.receive(body).await;
        // What came before a cut is kept, unless it had to match a checksum.
        let kept = match &done {
            Ok(()) => self.keep_all().await,
            Err(e) if self.checksum.is_none() && e.kind != Kind::StorageFull => self.keep_all().await,
            Err(_) => Ok(()),
        };
        let offset = self.from + (self.buffer.len() - self.fresh) as i64;
        let outcome = match done.and(kept) {
            Ok(()) if offset == self.size => {
                let finished = self.files.finish(self.file_id, Some(self.epoch), self.watch.now()).await;
                self.release().await;
                finished.map(|()| None)
            }
            outcome => {
                self.release().await;
                outcome.map(|()| Some(self.expires_at))
            }
        };
        let Self { file_id, size, .. } = self;
        outcome.map(|expires_at| Progress { file_id, offset, size, metadata: None, expires_at })
    }

    async fn receive<S, E>(&mut self, mut body: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        E: fmt::Display + Send + 'static,
    {
        let (idle, flush) = (self.files.settings.idle, self.files.settings.flush);
        let stop = self.files.stop.clone();
        let (mut heard, mut flushed) = (Instant::now(), Instant::now());
        loop {
            let wake = (heard + idle).min(flushed + flush);
            let next = tokio::select! {
                next = body.next() => Some(next),
                () = tokio::time::sleep_until(wake) => None,
                () = stop.cancelled() => return Err(Error::unavailable("the service is stopping")),
            };
            match next {
                Some(Some(Ok(bytes))) => {
                    self.add(&bytes).await?;
                    heard = Instant::now();
                }
                Some(Some(Err(e))) => {
                    tracing::debug!(error = %e, file_id = %self.file_id, "an upload was cut");
                    return Err(Error::new(Kind::MalformedBody, "the body is incomplete"));
                }
                Some(None) => return Ok(()),
                None if heard.elapsed() >= idle => {
                    return Err(Error::new(
                        Kind::Timeout,
                        format!("no byte came within {} ms", idle.as_millis()),
                    ));
                }
                None => {}
            }
            if flushed.elapsed() >= flush {
                self.flush().await?;
                flushed = Instant::now();
            }
        }
    }

    /// Takes bytes in, and writes the pieces that are full.
    async fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.size - self.from - self.buffer.len() as i64;
        if bytes.len() as i64 > left {
            return Err(too_long(left.unsigned_abs()));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        self.fresh += bytes.len();
        let piece = self.files.settings.piece_bytes;
        while self.buffer.len() >= piece {
            let full = Bytes::copy_from_slice(&self.buffer[..piece]);
            let (from, sha) = (self.from, self.sha.clone());
            let hash = tokio::task::spawn_blocking({
                let (mut sha, full) = (sha, full.clone());
                move || {
                    sha.update(&full);
                    sha
                }
            });
            self.put(from, full).await?;
            self.sha = hash.await.map_err(Error::internal)?;
            self.buffer.advance(piece);
            self.from += piece as i64;
            self.fresh = self.fresh.min(self.buffer.len());
            self.commit_or_hold().await?;
        }
        Ok(())
    }

    /// Stores what a slow client has sent, and shows that this request lives.
    async fn flush(&mut self) -> Result<()> {
        if self.checksum.is_none() && self.fresh > 0 {
            self.put_short().await?;
        }
        self.commit_or_hold().await
    }

    /// Stores the rest of the request, if its checksum is right.
    async fn keep_all(&mut self) -> Result<()> {
        if let Some(checksum) = self.checksum.take() {
            checksum.check()?;
        }
        if self.fresh > 0 {
            self.put_short().await?;
        }
        if self.written.is_empty() { Ok(()) } else { self.commit().await }
    }

    async fn put_short(&mut self) -> Result<()> {
        self.put(self.from, Bytes::copy_from_slice(&self.buffer)).await?;
        self.fresh = 0;
        Ok(())
    }

    async fn put(&mut self, from: i64, bytes: Bytes) -> Result<()> {
        let length = bytes.len() as i64;
        if self.next()? != self.object {
            // The object was written, and its commit failed; or its write failed.
            self.hold().await?;
        }
        self.is_spoiled = true;
        self.files.file_store.put(self.object, bytes).await?;
        self.is_spoiled = false;
        metrics::counter!("impg_file_stored_bytes_total").increment(length.unsigned_abs());
        self.written.push(Written { object: self.object, from, bytes: length });
        Ok(())
    }

    /// Commits what is written. Before the checksum is known, nothing is committed, and only the lock is extended.
    async fn commit_or_hold(&mut self) -> Result<()> {
        match self.checksum.is_none() && !self.written.is_empty() {
            true => self.commit().await,
            false => self.hold().await,
        }
    }

    async fn commit(&mut self) -> Result<()> {
        let (now, next) = (self.watch.now(), self.next()?);
        let expires_at = now + self.files.unfinished();
        let stored = self.from + (self.buffer.len() - self.fresh) as i64;
        let objects: Vec<Uuid> = self.written.iter().map(|w| w.object).collect();
        let from: Vec<i64> = self.written.iter().map(|w| w.from).collect();
        let bytes: Vec<i64> = self.written.iter().map(|w| w.bytes).collect();
        let (locked, planned) = (now + self.files.lock_length(), now + PLANNED);
        let (file_id, epoch, hash) = (self.file_id, self.epoch, self.sha.bytes());
        let row = self
            .files
            .store
            .opt(
                sql!("files/upload/keep"),
                &[
                    &file_id,
                    &epoch,
                    &objects,
                    &from,
                    &bytes,
                    &stored,
                    &self.from,
                    &hash,
                    &next,
                    &now,
                    &locked,
                    &expires_at,
                    &planned,
                ],
            )
            .await?;
        row.ok_or_else(taken_over)?;
        self.written.clear();
        self.object = next;
        self.expires_at = expires_at;
        Ok(())
    }

    /// The object to write next: the planned one, unless it is written already.
    fn next(&self) -> Result<Uuid> {
        match self.written.last() {
            Some(last) if last.object == self.object => random_id(),
            _ if self.is_spoiled => random_id(),
            _ => Ok(self.object),
        }
    }

    async fn hold(&mut self) -> Result<()> {
        let now = self.watch.now();
        let next = self.next()?;
        // Seldom: a request with a checksum has more and more objects, and each piece holds.
        let is_due = now - self.planned >= PLANNED / 2;
        let planned: Vec<Uuid> = self.written.iter().filter(|_| is_due).map(|w| w.object).collect();
        let (locked, until) = (now + self.files.lock_length(), now + PLANNED);
        let row = self
            .files
            .store
            .opt(sql!("files/upload/hold"), &[&self.file_id, &self.epoch, &planned, &next, &locked, &until])
            .await?;
        row.ok_or_else(taken_over)?;
        if is_due {
            self.planned = now;
        }
        self.object = next;
        self.is_spoiled = false;
        Ok(())
    }

    /// Gives the lock back. If that fails, the lock and the planned objects expire.
    async fn release(&mut self) {
        let mut unused: Vec<Uuid> = self.written.iter().map(|w| w.object).collect();
        unused.push(self.object);
        let released = async {
            self.files
                .store
                .run(sql!("files/upload/release"), &[&self.file_id, &self.epoch, &unused, &self.watch.now()])
                .await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = released.await {
            tracing::debug!(%error, file_id = %self.file_id, "the lock of an upload expires");
        }
        self.files.wake.notify_one();
    }
}

fn too_long(left: u64) -> Error {
    Error::new(Kind::TooLarge, format!("the upload takes {left} more bytes"))
}

fn taken_over() -> Error {
    Error::new(Kind::Locked, "another request has taken over the upload, or it is gone")
}
