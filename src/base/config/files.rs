//! Settings of files.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{DAYS_MAX, MONTH, TIME_MAX, broken, list, millis, no_time, no_url};

/// Smallest and largest permitted piece of a file. SHA-256 works in blocks of 64 bytes, and pieces end with one.
const PIECE_BYTES_MIN: usize = 64 * 1024;
const PIECE_BYTES_MAX: usize = 64 * 1024 * 1024;
const FILE_BYTES_MAX: u64 = 1 << 40;
const PICTURE_PIXELS_MAX: u64 = 1_000_000_000;
const PICTURE_BYTES_MAX: u64 = 1 << 30;
const FORM_PIXELS_MAX: u32 = 10_000;

/// Settings of files.
#[derive(Debug, Clone, Deserialize)]
pub struct FileSettings {
    #[serde(rename = "file_store")]
    pub store: String,
    #[serde(rename = "file_s3_endpoint")]
    pub s3_endpoint: String,
    #[serde(rename = "file_s3_region")]
    pub s3_region: String,
    #[serde(rename = "file_s3_access_key")]
    pub s3_access_key: String,
    #[serde(rename = "file_s3_secret_key")]
    pub s3_secret_key: Secret,
    #[serde(rename = "file_store_timeout_ms", deserialize_with = "millis")]
    pub store_timeout: Duration,
    #[serde(rename = "file_url")]
    pub url: String,
    #[serde(rename = "file_max_bytes")]
    pub max_bytes: u64,
    #[serde(rename = "file_post_max_bytes")]
    pub post_max_bytes: u64,
    #[serde(rename = "file_piece_bytes")]
    pub piece_bytes: usize,
    #[serde(rename = "file_uploads_max")]
    pub uploads_max: usize,
    #[serde(rename = "file_uploads_per_user")]
    pub uploads_per_user: usize,
    #[serde(rename = "file_downloads_max")]
    pub downloads_max: usize,
    #[serde(rename = "file_idle_ms", deserialize_with = "millis")]
    pub idle: Duration,
    #[serde(rename = "file_flush_ms", deserialize_with = "millis")]
    pub flush: Duration,
    #[serde(rename = "file_upload_expire_ms", deserialize_with = "millis")]
    pub upload_expire: Duration,
    #[serde(rename = "file_unused_days")]
    pub unused_days: u32,
    #[serde(rename = "file_orphan_days")]
    pub orphan_days: u32,
    #[serde(rename = "file_sweep_ms", deserialize_with = "millis")]
    pub sweep: Duration,
    #[serde(rename = "file_quota_bytes")]
    pub quota_bytes: u64,
    #[serde(rename = "file_quota_files")]
    pub quota_files: u64,
    #[serde(rename = "file_remove_with_message")]
    pub remove_with_message: bool,
    #[serde(rename = "file_picture_max_bytes")]
    pub picture_max_bytes: u64,
    #[serde(rename = "file_picture_max_pixels")]
    pub picture_max_pixels: u64,
    #[serde(rename = "file_pictures_at_once")]
    pub pictures_at_once: usize,
    #[serde(rename = "file_thumbnail_pixels")]
    pub thumbnail_pixels: u32,
    #[serde(rename = "file_preview_pixels")]
    pub preview_pixels: u32,
    #[serde(rename = "file_remove_place")]
    pub remove_place: bool,
    #[serde(rename = "file_link_keys", deserialize_with = "list")]
    pub link_keys: Vec<Secret>,
    #[serde(rename = "file_link_life_ms", deserialize_with = "millis")]
    pub link_life: Duration,
}

/// Where uploaded files are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileTarget {
    /// Uploads are off.
    Nowhere,
    Folder(PathBuf),
    /// A bucket, and the beginning of its keys.
    Bucket(String, String),
    /// An invalid value, refused at the start.
    Unknown,
}

impl FileSettings {
    /// The file store that `file_store` names.
    pub fn target(&self) -> FileTarget {
        if self.store.is_empty() {
            return FileTarget::Nowhere;
        }
        if let Some(folder) = self.store.strip_prefix("folder:").filter(|folder| !folder.is_empty()) {
            return FileTarget::Folder(folder.into());
        }
        match self.store.strip_prefix("s3://").map(|place| place.split_once('/').unwrap_or((place, ""))) {
            Some((bucket, beginning)) if !bucket.is_empty() => {
                FileTarget::Bucket(bucket.to_owned(), beginning.trim_matches('/').to_owned())
            }
            _ => FileTarget::Unknown,
        }
    }

    pub(super) fn check(&self) -> Vec<String> {
        [self.check_store(), self.check_uploads(), self.check_pictures()].concat()
    }

    fn check_store(&self) -> Vec<String> {
        broken(&[
            (
                self.target() == FileTarget::Unknown,
                "`file_store` must be empty, folder:<folder> or s3://<bucket>/<beginning of keys>",
            ),
            (no_url(&self.s3_endpoint), "`file_s3_endpoint` must be empty or an http or https URL"),
            (
                self.s3_access_key.is_empty() != self.s3_secret_key.expose().is_empty(),
                "set both `file_s3_access_key` and `file_s3_secret_key`, or neither",
            ),
            (no_url(&self.url), "`file_url` must be empty or the URL of /api/v1/files as clients see it"),
            (no_time(self.store_timeout), "`file_store_timeout_ms` must be 1 ms to a day"),
            (self.sweep.is_zero() || self.sweep > MONTH, "`file_sweep_ms` must be 1 ms to 30 days"),
            (
                self.unused_days > DAYS_MAX || !(1..=DAYS_MAX).contains(&self.orphan_days),
                "`file_unused_days` must be at most 3650, and `file_orphan_days` 1 to 3650: an object is stored before \
                 its file is, and a younger one may still become part of a file",
            ),
        ])
    }

    fn check_uploads(&self) -> Vec<String> {
        broken(&[
            (
                !(PIECE_BYTES_MIN..=PIECE_BYTES_MAX).contains(&self.piece_bytes)
                    || !self.piece_bytes.is_multiple_of(PIECE_BYTES_MIN),
                "`file_piece_bytes` must be a multiple of 65536, at most 67108864",
            ),
            (!(1..=FILE_BYTES_MAX).contains(&self.max_bytes), "`file_max_bytes` must be 1 to 1099511627776"),
            (self.post_max_bytes > self.max_bytes, "`file_post_max_bytes` must be at most `file_max_bytes`"),
            (
                self.uploads_max == 0 || self.uploads_per_user == 0 || self.downloads_max == 0,
                "`file_uploads_max`, `file_uploads_per_user` and `file_downloads_max` must be at least 1",
            ),
            (no_time(self.idle), "`file_idle_ms` must be 1 ms to a day"),
            (no_time(self.flush), "`file_flush_ms` must be 1 ms to a day"),
            (
                self.upload_expire.is_zero() || self.upload_expire > MONTH,
                "`file_upload_expire_ms` must be 1 ms to 30 days",
            ),
        ])
    }

    fn check_pictures(&self) -> Vec<String> {
        broken(&[
            (
                !(1..=PICTURE_PIXELS_MAX).contains(&self.picture_max_pixels),
                "`file_picture_max_pixels` must be 1 to 1000000000",
            ),
            (
                self.picture_max_bytes > PICTURE_BYTES_MAX,
                "`file_picture_max_bytes` must be at most 1073741824: a picture is read into memory",
            ),
            (self.pictures_at_once == 0, "`file_pictures_at_once` must be at least 1"),
            (
                self.thumbnail_pixels == 0 || self.thumbnail_pixels > self.preview_pixels,
                "`file_thumbnail_pixels` must be at least 1, and at most `file_preview_pixels`",
            ),
            (self.preview_pixels > FORM_PIXELS_MAX, "`file_preview_pixels` must be at most 10000"),
            (
                !self.link_keys.iter().all(|key| key.key().is_some()),
                "each of `file_link_keys` must be the base64 of 32 random bytes: openssl rand -base64 32",
            ),
            (
                self.link_life < Duration::from_secs(1) || self.link_life > TIME_MAX,
                "`file_link_life_ms` must be a second to a day",
            ),
        ])
    }
}
