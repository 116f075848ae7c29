//! Settings of the directory: `[directory]` in a file, `IMPG_DIRECTORY_<KEY>` in the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use super::values::{DAYS_MAX, MONTH, TIME_MAX, broken, list, millis, no_time};
use super::{ConfigError, Secret, mistakes};
use crate::base::cron::Schedule;

/// Largest permitted page.
const PAGE_SIZE_MAX: u32 = 10_000;

/// Settings of the directory's source. `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySettings {
    pub source: SourceKind,
    pub users_url: String,
    pub departments_url: String,
    pub user_url: String,
    pub department_url: String,
    pub authorization: Secret,
    pub bind_dn: String,
    pub bind_password: Secret,
    pub starttls: bool,
    pub id_attribute: String,
    pub ca_file: String,
    #[serde(rename = "timeout_ms", deserialize_with = "millis")]
    pub timeout: Duration,
    pub answer_max_bytes: usize,
    pub page_size: u32,
    pub page_size_parameter: String,
    pub paging: Paging,
    pub cursor_parameter: String,
    pub index_parameter: String,
    pub token_parameter: String,
    pub items: String,
    pub next: String,
    pub token: String,
    pub total: String,
    #[serde(deserialize_with = "pairs")]
    pub user_fields: BTreeMap<String, String>,
    #[serde(deserialize_with = "pairs")]
    pub department_fields: BTreeMap<String, String>,
    #[serde(deserialize_with = "pairs")]
    pub kinds: BTreeMap<String, String>,
    #[serde(deserialize_with = "list")]
    pub local: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub editable: Vec<String>,
    pub write_url: String,
    #[serde(rename = "edit_retry_base_ms", deserialize_with = "millis")]
    pub edit_retry_base: Duration,
    #[serde(rename = "edit_retry_max_ms", deserialize_with = "millis")]
    pub edit_retry_max: Duration,
    #[serde(rename = "edit_give_up_ms", deserialize_with = "millis")]
    pub edit_give_up: Duration,
    pub edit_keep_days: u32,
    pub alone_max: u32,
    pub return_days: u32,
    pub run_attempts: u32,
    #[serde(rename = "run_retry_base_ms", deserialize_with = "millis")]
    pub run_retry_base: Duration,
    #[serde(rename = "run_retry_max_ms", deserialize_with = "millis")]
    pub run_retry_max: Duration,
    pub schedule: String,
    pub full_schedule: String,
    pub time_zone: String,
    pub guard_count: u32,
    pub guard_share: f64,
    pub keep_days: u32,
}

/// The kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    None,
    Http,
    Scim,
    Ldap,
}

/// How the next page of a listing is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    Cursor,
    Index,
}

impl DirectorySettings {
    pub(super) fn check(&self) -> Vec<String> {
        let schedules = [self.schedule().err(), self.full_schedule().err()];
        let schedules = schedules.iter().flatten().flat_map(ConfigError::mistakes).cloned().collect();
        [self.check_source(), self.check_edits(), schedules].concat()
    }

    fn check_source(&self) -> Vec<String> {
        let asks = self.source != SourceKind::None;
        let is_ldap = self.source == SourceKind::Ldap;
        let wrong = |url: &str| !url.is_empty() && !is_address(url, &["http", "https"]);
        let lists: &[&str] = if is_ldap { &["ldap", "ldaps"] } else { &["http", "https"] };
        let no_id = |url: &str| !url.is_empty() && !url.contains("{id}");
        broken(&[
            (asks && self.users_url.is_empty(), "`directory.source` needs `directory.users_url`"),
            (
                [&self.users_url, &self.departments_url]
                    .into_iter()
                    .any(|url| !url.is_empty() && !is_address(url, lists)),
                "`directory.users_url` and `directory.departments_url` must be http(s) URLs, or ldap(s) ones of an LDAP server",
            ),
            (
                [&self.user_url, &self.department_url, &self.write_url].into_iter().any(|url| wrong(url)),
                "`directory.user_url`, `directory.department_url` and `directory.write_url` must be http(s) URLs",
            ),
            (
                self.bind_dn.is_empty() != self.bind_password.expose().is_empty(),
                "set `directory.bind_dn` and `directory.bind_password` both or not at all: a bind without a password is anonymous (RFC 4513)",
            ),
            (
                self.starttls && !self.users_url.starts_with("ldap://"),
                "`directory.starttls` needs an ldap:// URL",
            ),
            (is_ldap && self.id_attribute.is_empty(), "`directory.id_attribute` is not set"),
            (
                no_id(&self.user_url) || no_id(&self.department_url) || no_id(&self.write_url),
                "`directory.user_url`, `directory.department_url` and `directory.write_url` need {id} in place of the external id",
            ),
            (no_time(self.timeout), "`directory.timeout_ms` must be 1 ms to a day"),
            (self.answer_max_bytes == 0, "`directory.answer_max_bytes` must be at least 1"),
            (
                self.page_size == 0 || self.page_size > PAGE_SIZE_MAX,
                "`directory.page_size` must be 1 to 10000",
            ),
            (!(0.0..=1.0).contains(&self.guard_share), "`directory.guard_share` must be 0.0 to 1.0"),
            (self.keep_days == 0 || self.keep_days > DAYS_MAX, "`directory.keep_days` must be 1 to 3650"),
            (self.return_days > DAYS_MAX, "`directory.return_days` must be 0 to 3650"),
            (self.run_attempts == 0, "`directory.run_attempts` must be at least 1"),
            (
                !is_pause(self.run_retry_base, self.run_retry_max),
                "`directory.run_retry_base_ms` and `directory.run_retry_max_ms` must be 1 ms to a day, the first not above the second",
            ),
        ])
    }

    fn check_edits(&self) -> Vec<String> {
        let writes = !self.write_url.is_empty();
        broken(&[
            (writes && self.source == SourceKind::None, "`directory.write_url` needs `directory.source`"),
            (
                writes && self.source == SourceKind::Ldap,
                "`directory.write_url` cannot be used with an LDAP server",
            ),
            (
                writes && self.source == SourceKind::Http && self.user_url.is_empty(),
                "`directory.write_url` needs `directory.user_url`: users are read before and after a write",
            ),
            (
                !is_pause(self.edit_retry_base, self.edit_retry_max),
                "`directory.edit_retry_base_ms` and `directory.edit_retry_max_ms` must be 1 ms to a day, the first not above the second",
            ),
            (
                self.edit_give_up.is_zero() || self.edit_give_up > MONTH,
                "`directory.edit_give_up_ms` must be 1 ms to 30 days",
            ),
            (
                self.edit_keep_days == 0 || self.edit_keep_days > DAYS_MAX,
                "`directory.edit_keep_days` must be 1 to 3650",
            ),
        ])
    }

    /// When an incremental run begins.
    pub fn schedule(&self) -> Result<Option<Schedule>, ConfigError> {
        self.parse("directory.schedule", &self.schedule)
    }

    /// When a full run begins.
    pub fn full_schedule(&self) -> Result<Option<Schedule>, ConfigError> {
        self.parse("directory.full_schedule", &self.full_schedule)
    }

    fn parse(&self, key: &str, cron: &str) -> Result<Option<Schedule>, ConfigError> {
        if cron.is_empty() {
            return Ok(None);
        }
        let schedule = Schedule::parse(cron, &self.time_zone);
        schedule.map(Some).map_err(|e| mistakes::schedule(key, "directory.time_zone", &e))
    }
}

fn is_address(url: &str, schemes: &[&str]) -> bool {
    // `{id}` is not allowed in a URL, so an id is put in its place.
    let is_one = |url: Url| url.has_host() && schemes.contains(&url.scheme());
    Url::parse(&url.replace("{id}", "id")).is_ok_and(is_one)
}

/// A table, or pairs with commas, as an environment variable has it.
fn pairs<'de, D: Deserializer<'de>>(de: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Table(BTreeMap<String, String>),
        Text(String),
    }
    match Either::deserialize(de)? {
        Either::Table(table) => Ok(table),
        Either::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').ok_or_else(|| {
                    serde::de::Error::custom("must be key=value pairs, separated by commas")
                })?;
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            })
            .collect(),
    }
}

/// Whether these are valid first and longest pauses between attempts.
fn is_pause(first: Duration, longest: Duration) -> bool {
    !first.is_zero() && first <= longest && longest <= TIME_MAX
}
