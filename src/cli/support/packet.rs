//! The archive as a file: a tar.gz that only its owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use time::OffsetDateTime;

/// The folder in the archive.
const FOLDER: &str = "im-push-gateway-support";
/// Only the owner reads and writes.
const MODE: u32 = 0o600;

/// An archive that is being written. Dropped before its end, its file is removed.
pub struct Packet {
    path: PathBuf,
    /// None once it is finished.
    builder: Option<Builder<GzEncoder<File>>>,
    written_at: u64,
}

/// Fails if the file exists, before anything is gathered for it.
pub fn refuse_existing(path: &Path) -> Result<(), String> {
    if path.symlink_metadata().is_ok() { Err(exists(path)) } else { Ok(()) }
}

fn exists(path: &Path) -> String {
    format!("{} exists: name another file with --out, or remove this one", path.display())
}

impl Packet {
    /// Creates the file. It never replaces one.
    pub fn create(path: &Path, now: OffsetDateTime) -> Result<Self, String> {
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => exists(path),
            _ => format!("cannot create {}: {e}; name another file with --out", path.display()),
        })?;
        Ok(Self {
            path: path.to_owned(),
            builder: Some(Builder::new(GzEncoder::new(file, Compression::default()))),
            written_at: now.unix_timestamp().unsigned_abs(),
        })
    }

    /// Adds a file.
    pub fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let Some(builder) = &mut self.builder else { return Ok(()) };
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(self.written_at);
        builder.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())
    }

    /// Ends the archive. It is on the disk then.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(builder) = self.builder.take() {
            let ended = builder.into_inner().and_then(GzEncoder::finish).and_then(|file| file.sync_all());
            if let Err(e) = ended {
                // Half an archive is of no use.
                let _ = std::fs::remove_file(&self.path);
                return Err(e);
            }
        }
        Ok(())
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        if self.builder.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
