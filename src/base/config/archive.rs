//! Settings of the archive.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::values::{DAYS_MAX, broken, millis, no_time, web_url};
use super::{ConfigError, Secret, mistakes};
use crate::base::cron::Schedule;

/// Elasticsearch allows index names of 255 bytes, and suffixes are appended to ours.
const INDEX_NAME_MAX: usize = 100;

/// Settings of the archive.
#[derive(Debug, Clone, Deserialize)]
pub struct ArchiveSettings {
    #[serde(rename = "archive_url")]
    pub url: String,
    #[serde(rename = "archive_api_key")]
    pub api_key: Secret,
    #[serde(rename = "archive_user")]
    pub user: String,
    #[serde(rename = "archive_password")]
    pub password: Secret,
    #[serde(rename = "archive_ca_file")]
    pub ca_file: String,
    #[serde(rename = "archive_index")]
    pub index: String,
    #[serde(rename = "archive_replicas")]
    pub replicas: u32,
    #[serde(rename = "archive_requests_max")]
    pub requests_max: usize,
    #[serde(rename = "archive_timeout_ms", deserialize_with = "millis")]
    pub timeout: Duration,
    #[serde(rename = "archive_retry_ms", deserialize_with = "millis")]
    pub retry: Duration,
    #[serde(rename = "archive_age_days")]
    pub age_days: u32,
    #[serde(rename = "archive_schedule")]
    pub schedule: String,
    #[serde(rename = "archive_time_zone")]
    pub time_zone: String,
    #[serde(rename = "archive_rows_per_second")]
    pub rows_per_second: u64,
    #[serde(rename = "archive_drop_grace_ms", deserialize_with = "millis")]
    pub drop_grace: Duration,
}

/// The kind of archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveTarget {
    Nowhere,
    Folder(PathBuf),
    Server(Url),
    /// An invalid value, refused at the start.
    Unknown,
}

impl ArchiveSettings {
    /// The archive that `archive_url` names.
    pub fn target(&self) -> ArchiveTarget {
        if self.url.is_empty() {
            return ArchiveTarget::Nowhere;
        }
        if let Some(folder) = self.url.strip_prefix("embedded:").filter(|folder| !folder.is_empty()) {
            return ArchiveTarget::Folder(folder.into());
        }
        match web_url(&self.url) {
            Some(url) if !has_credentials(&url) => ArchiveTarget::Server(url),
            _ => ArchiveTarget::Unknown,
        }
    }

    /// When days move into the archive.
    pub fn schedule(&self) -> Result<Schedule, ConfigError> {
        Schedule::parse(&self.schedule, &self.time_zone)
            .map_err(|e| mistakes::schedule("archive_schedule", "archive_time_zone", &e))
    }

    pub(super) fn check(&self) -> Vec<String> {
        let rules = broken(&[
            (
                self.target() == ArchiveTarget::Unknown,
                "`archive_url` must be empty, http(s)://host:port without user and password, or embedded:<folder>",
            ),
            (
                !is_index_name(&self.index),
                "`archive_index` must have 1 to 100 characters of a-z, 0-9, -, _ and ., and begin with a letter or digit",
            ),
            (
                !self.api_key.expose().is_empty() && !self.user.is_empty(),
                "set `archive_api_key` or `archive_user`, not both",
            ),
            (
                self.requests_max == 0,
                "`archive_requests_max` must be at least 1: with 0 every search is refused",
            ),
            (no_time(self.timeout), "`archive_timeout_ms` must be 1 ms to a day"),
            (self.age_days > DAYS_MAX, "`archive_age_days` must be at most 3650"),
        ]);
        let schedule = self.schedule().err().map(|error| error.mistakes().to_vec()).unwrap_or_default();
        [rules, schedule].concat()
    }
}

/// Credentials have settings of their own, which no error or log shows.
fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Whether Elasticsearch accepts this as the beginning of an index name.
fn is_index_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= INDEX_NAME_MAX
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.'))
}
