//! Settings: the commented default file, overridden by the operator's file, overridden by `IMPG_<KEY>`.

mod directory;
mod mistakes;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::base::cron::{Schedule, Zone};
pub use directory::{Directory, Paging, SourceKind};
pub use mistakes::ConfigError;

/// The commented defaults, as printed by `im-push-gateway settings`.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// The promised time for repeating a send. A shorter memory of client ids is refused.
const CLIENT_ID_KEEP_DAYS_MIN: u32 = 7;
/// Longest duration of any time setting.
const TIME_MAX: Duration = DAY;
const DAY: Duration = Duration::from_secs(86_400);
/// Longest overlap of an old and a new secret.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Long enough that replicas notice when half of it is over.
const STREAM_KEEP_MIN: Duration = Duration::from_secs(60);
const DAYS_MAX: u32 = 3_650;
/// Smallest and largest permitted size of a request head.
const HEAD_BYTES_MIN: usize = 8 * 1024;
const HEAD_BYTES_MAX: usize = 1024 * 1024;
/// Smallest and largest permitted piece of a file. SHA-256 works in blocks of 64 bytes, and pieces end with one.
const PIECE_BYTES_MIN: usize = 64 * 1024;
const PIECE_BYTES_MAX: usize = 64 * 1024 * 1024;
const FILE_BYTES_MAX: u64 = 1 << 40;
const PICTURE_PIXELS_MAX: u64 = 1_000_000_000;
const PICTURE_BYTES_MAX: u64 = 1 << 30;
const FORM_PIXELS_MAX: u32 = 10_000;
const LINK_KEY_BYTES: usize = 32;
/// Most channels that a user can be allowed to pin.
const PINNED_MAX: u32 = 1_000;
const PARTITIONS_AHEAD_MAX: u32 = 60;
/// Elasticsearch allows index names of 255 bytes, and suffixes are appended to ours.
const INDEX_NAME_MAX: usize = 100;

/// All settings. `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database_url: Secret,
    pub database_ca_file: String,
    pub database_pool_size: usize,
    #[serde(rename = "database_connection_life_ms", deserialize_with = "millis")]
    pub database_connection_life: Duration,
    #[serde(rename = "database_wait_ms", deserialize_with = "millis")]
    pub database_wait: Duration,
    #[serde(rename = "readiness_wait_ms", deserialize_with = "millis")]
    pub readiness_wait: Duration,
    pub listen: SocketAddr,
    #[serde(deserialize_with = "optional")]
    pub metrics_listen: Option<SocketAddr>,

    pub identity_mode: IdentityMode,
    pub identity_names: IdentityNames,
    pub identity_preset: String,
    pub identity_user_header: String,
    pub identity_user_encoding: UserEncoding,
    pub identity_roles_header: String,
    #[serde(deserialize_with = "list")]
    pub trusted_peers: Vec<String>,
    pub identity_secret: Secret,
    pub unsafe_trust_every_peer: bool,
    #[serde(deserialize_with = "list")]
    pub hmac_secrets: Vec<Secret>,
    #[serde(rename = "hmac_skew_ms", deserialize_with = "millis")]
    pub hmac_skew: Duration,
    pub jwt_issuer: String,
    pub jwt_audience: String,
    pub jwt_jwks_url: String,
    #[serde(deserialize_with = "list")]
    pub jwt_algorithms: Vec<String>,
    pub jwt_user_claim: String,
    pub jwt_roles_claim: String,
    pub jwt_max_bytes: usize,
    #[serde(rename = "jwt_refresh_ms", deserialize_with = "millis")]
    pub jwt_refresh: Duration,

    pub connections_max: usize,
    #[serde(rename = "head_timeout_ms", deserialize_with = "millis")]
    pub head_timeout: Duration,
    #[serde(rename = "idle_timeout_ms", deserialize_with = "millis")]
    pub idle_timeout: Duration,
    pub head_max_bytes: usize,
    pub request_body_max_bytes: usize,
    #[serde(rename = "request_body_timeout_ms", deserialize_with = "millis")]
    pub request_body_timeout: Duration,
    pub request_bodies_max_bytes: usize,
    #[serde(rename = "request_timeout_ms", deserialize_with = "millis")]
    pub request_timeout: Duration,
    #[serde(rename = "write_timeout_ms", deserialize_with = "millis")]
    pub write_timeout: Duration,
    pub group_max_members: u32,
    pub pinned_max: u32,

    pub send_batch: usize,
    #[serde(rename = "background_send_wait_ms", deserialize_with = "millis")]
    pub background_send_wait: Duration,
    pub send_lanes: usize,
    pub send_queue: usize,
    pub urgent_max: u32,
    pub escalate_within_days: u32,
    #[serde(rename = "nudge_every_ms", deserialize_with = "millis")]
    pub nudge_every: Duration,
    #[serde(rename = "recall_within_ms", deserialize_with = "millis")]
    pub recall_within: Duration,
    pub client_id_keep_days: u32,
    pub partitions_ahead_days: u32,

    pub streams_max: usize,
    pub streams_per_user: usize,
    pub stream_queue: usize,
    #[serde(rename = "stream_poll_ms", deserialize_with = "millis")]
    pub stream_poll: Duration,
    #[serde(rename = "stream_unread_ms", deserialize_with = "millis")]
    pub stream_unread: Duration,
    #[serde(rename = "stream_heartbeat_ms", deserialize_with = "millis")]
    pub stream_heartbeat: Duration,
    #[serde(rename = "stream_life_ms", deserialize_with = "millis")]
    pub stream_life: Duration,
    #[serde(rename = "stream_keep_ms", deserialize_with = "millis")]
    pub stream_keep: Duration,

    pub callback_url: String,
    pub callback_hold_days: u32,
    #[serde(deserialize_with = "list")]
    pub callback_secrets: Vec<Secret>,
    #[serde(deserialize_with = "list")]
    pub callback_keys: Vec<Secret>,
    #[serde(deserialize_with = "list")]
    pub callback_allow: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub callback_dns_servers: Vec<String>,
    #[serde(rename = "callback_secret_overlap_ms", deserialize_with = "millis")]
    pub callback_secret_overlap: Duration,
    #[serde(rename = "callback_timeout_ms", deserialize_with = "millis")]
    pub callback_timeout: Duration,
    #[serde(rename = "callback_idle_ms", deserialize_with = "millis")]
    pub callback_idle: Duration,
    #[serde(rename = "callback_lease_margin_ms", deserialize_with = "millis")]
    pub callback_lease_margin: Duration,
    pub callback_answer_max_bytes: usize,
    pub callback_concurrency: usize,
    pub callback_batch_pairs: u32,
    pub callback_batch_rows: u32,
    pub callback_batch_bytes: u32,
    #[serde(rename = "callback_retry_base_ms", deserialize_with = "millis")]
    pub callback_retry_base: Duration,
    #[serde(rename = "callback_retry_max_ms", deserialize_with = "millis")]
    pub callback_retry_max: Duration,
    #[serde(rename = "callback_give_up_ms", deserialize_with = "millis")]
    pub callback_give_up: Duration,
    pub callback_breaker_failures: u32,
    #[serde(rename = "callback_breaker_probe_ms", deserialize_with = "millis")]
    pub callback_breaker_probe: Duration,
    pub callback_keep_days: u32,
    #[serde(rename = "callback_disable_after_ms", deserialize_with = "millis")]
    pub callback_disable_after: Duration,

    #[serde(rename = "event_poll_ms", deserialize_with = "millis")]
    pub event_poll: Duration,
    #[serde(rename = "event_window_ms", deserialize_with = "millis")]
    pub event_window: Duration,
    pub event_keep_days: u32,

    pub scim_url: String,
    pub scim_user_id: ScimUserId,
    pub scim_groups: ScimGroups,

    #[serde(rename = "presence_expire_ms", deserialize_with = "millis")]
    pub presence_expire: Duration,

    pub file_store: String,
    pub file_s3_endpoint: String,
    pub file_s3_region: String,
    pub file_s3_access_key: String,
    pub file_s3_secret_key: Secret,
    #[serde(rename = "file_store_timeout_ms", deserialize_with = "millis")]
    pub file_store_timeout: Duration,
    pub file_url: String,
    pub file_max_bytes: u64,
    pub file_post_max_bytes: u64,
    pub file_piece_bytes: usize,
    pub file_uploads_max: usize,
    pub file_downloads_max: usize,
    #[serde(rename = "file_idle_ms", deserialize_with = "millis")]
    pub file_idle: Duration,
    #[serde(rename = "file_flush_ms", deserialize_with = "millis")]
    pub file_flush: Duration,
    #[serde(rename = "file_upload_expire_ms", deserialize_with = "millis")]
    pub file_upload_expire: Duration,
    pub file_unused_days: u32,
    pub file_orphan_days: u32,
    #[serde(rename = "file_sweep_ms", deserialize_with = "millis")]
    pub file_sweep: Duration,
    pub file_quota_bytes: u64,
    pub file_quota_files: u64,
    pub file_remove_with_message: bool,
    pub file_picture_max_bytes: u64,
    pub file_picture_max_pixels: u64,
    pub file_pictures_at_once: usize,
    pub file_thumbnail_pixels: u32,
    pub file_preview_pixels: u32,
    pub file_remove_place: bool,
    #[serde(deserialize_with = "list")]
    pub file_link_keys: Vec<Secret>,
    #[serde(rename = "file_link_life_ms", deserialize_with = "millis")]
    pub file_link_life: Duration,

    pub time_zone: String,

    pub archive_url: String,
    pub archive_api_key: Secret,
    pub archive_user: String,
    pub archive_password: Secret,
    pub archive_ca_file: String,
    pub archive_index: String,
    pub archive_replicas: u32,
    #[serde(rename = "archive_timeout_ms", deserialize_with = "millis")]
    pub archive_timeout: Duration,
    #[serde(rename = "archive_retry_ms", deserialize_with = "millis")]
    pub archive_retry: Duration,
    pub archive_age_days: u32,
    pub archive_schedule: String,
    pub archive_time_zone: String,
    pub archive_rows_per_second: u64,
    #[serde(rename = "archive_drop_grace_ms", deserialize_with = "millis")]
    pub archive_drop_grace: Duration,

    #[serde(rename = "poll_ms", deserialize_with = "millis")]
    pub poll: Duration,
    #[serde(rename = "lease_ms", deserialize_with = "millis")]
    pub lease: Duration,
    #[serde(rename = "connection_life_ms", deserialize_with = "millis")]
    pub connection_life: Duration,
    #[serde(rename = "shutdown_grace_ms", deserialize_with = "millis")]
    pub shutdown_grace: Duration,
    pub log: String,
    pub log_format: LogFormat,

    pub directory: Directory,
}

/// How callers are authenticated; see the table "Who is calling" in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    Jwt,
    Hmac,
    Headers,
}

/// How the header with the user's name encodes characters beyond ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserEncoding {
    Ascii,
    #[serde(rename = "utf-8")]
    Utf8,
    Percent,
}

/// Which attribute of a user the proof contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityNames {
    UserId,
    LoginName,
}

/// How the `user_id` of a user created through SCIM is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScimUserId {
    ExternalId,
    UserName,
    Generated,
}

/// What the Groups of SCIM are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScimGroups {
    Departments,
    Groups,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

/// The gateway's endpoint in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayPlace {
    /// Not set: the gateway in the database stays.
    Unset,
    /// There is no gateway.
    Off,
    At(Url),
    /// An invalid value, refused at the start.
    Unknown,
}

/// Where uploaded files are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// Uploads are off.
    Nowhere,
    Folder(PathBuf),
    /// A bucket, and the beginning of its keys.
    Bucket(String, String),
    /// An invalid value, refused at the start.
    Unknown,
}

/// The kind of archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    Nowhere,
    Folder(PathBuf),
    Server(Url),
    /// An invalid value, refused at the start.
    Unknown,
}

/// A value that is never shown in logs or errors.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// Accepts any scalar, because a variable of digits is read as a number. No error quotes the value.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Text(String),
            Whole(u64),
            Signed(i64),
            Flag(bool),
        }
        match Scalar::deserialize(de) {
            Ok(Scalar::Text(text)) => Ok(Self(text)),
            Ok(Scalar::Whole(n)) => Ok(Self(n.to_string())),
            Ok(Scalar::Signed(n)) => Ok(Self(n.to_string())),
            Ok(Scalar::Flag(flag)) => Ok(Self(flag.to_string())),
            Err(_) => Err(serde::de::Error::custom("must be text; put it in quotes")),
        }
    }
}

impl Secret {
    /// The value itself. Call this only where the value is used.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "[redacted]" })
    }
}

impl Config {
    /// Reads the defaults, `file` if given, and the environment, and checks the result. `more` finds further
    /// mistakes of settings that can be read.
    pub fn load(file: Option<&Path>, more: impl Fn(&Self) -> Vec<String>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError::of(format!("{} is not a file", path.display())));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        let table = |key: &str| match key.split_once('_') {
            Some((table, key)) if table.eq_ignore_ascii_case(mistakes::TABLE) => {
                format!("{}.{key}", mistakes::TABLE).into()
            }
            _ => key.to_owned().into(),
        };
        let env = Env::prefixed("IMPG_").ignore(&["config"]).map(move |key| table(key.as_str()));
        mistakes::read(&figment.merge(env), |config| [config.check(), more(config)].concat())
    }

    /// The defaults with `overrides` (TOML). Tests and the demo begin with it.
    pub fn from_toml(overrides: &str) -> Result<Self, ConfigError> {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(overrides));
        mistakes::read(&figment, Self::check)
    }

    /// All rules that the settings break.
    fn check(&self) -> Vec<String> {
        let parsed = [self.archive_schedule().err(), self.zone().err()];
        [
            self.check_basics(),
            self.check_times(),
            self.check_archive(),
            self.check_streams(),
            self.check_requests(),
            self.check_files(),
            self.check_pictures(),
            parsed.iter().flatten().flat_map(ConfigError::mistakes).cloned().collect(),
            self.directory.check(),
        ]
        .concat()
    }

    fn check_basics(&self) -> Vec<String> {
        let database_url = self.database_url.expose();
        broken(&[
            (
                database_url.is_empty(),
                "`database_url` is not set: set it here or as IMPG_DATABASE_URL, such as postgresql://user:password@host:5432/database",
            ),
            (
                !database_url.is_empty() && database_url.parse::<tokio_postgres::Config>().is_err(),
                "`database_url` must be the address of a PostgreSQL database, such as postgresql://user:password@host:5432/database",
            ),
            (
                self.database_pool_size < self.send_lanes + 2,
                "`database_pool_size` must be at least `send_lanes` + 2",
            ),
            (self.send_lanes == 0, "`send_lanes` must be at least 1"),
            (
                self.send_batch == 0 || self.send_queue == 0,
                "`send_batch` and `send_queue` must be at least 1",
            ),
            (self.callback_concurrency == 0, "`callback_concurrency` must be at least 1"),
            (
                self.callback_batch_pairs == 0
                    || self.callback_batch_rows == 0
                    || self.callback_batch_bytes == 0,
                "`callback_batch_pairs`, `callback_batch_rows` and `callback_batch_bytes` must be at least 1",
            ),
            (
                self.client_id_keep_days < CLIENT_ID_KEEP_DAYS_MIN,
                "`client_id_keep_days` must be at least 7: a send can be repeated for that long",
            ),
            (
                matches!(self.gateway_place(), GatewayPlace::At(_)) && self.callback_secrets.is_empty(),
                "`callback_url` needs `callback_secrets`: pushes must be signed; make a secret with: \
                 echo whsec_$(openssl rand -base64 32)",
            ),
            (
                matches!(self.gateway_place(), GatewayPlace::Unknown),
                "`callback_url` must be empty, none, or an http or https URL",
            ),
            (
                !self.scim_url.is_empty() && Url::parse(&self.scim_url).is_err(),
                "`scim_url` must be empty or the URL of /scim/v2 as clients see it",
            ),
            (
                matches!(self.archive_place(), ArchivePlace::Unknown),
                "`archive_url` must be empty, http(s)://host:port without user and password, or embedded:<folder>",
            ),
            (
                !is_index_name(&self.archive_index),
                "`archive_index` must have 1 to 100 characters of a-z, 0-9, -, _ and ., and begin with a letter or digit",
            ),
            (
                !self.archive_api_key.expose().is_empty() && !self.archive_user.is_empty(),
                "set `archive_api_key` or `archive_user`, not both",
            ),
        ])
    }

    /// How long after a message its last step can be.
    pub fn escalate_within(&self) -> time::Duration {
        time::Duration::days(self.escalate_within_days.into())
    }

    /// How long events are kept.
    pub fn event_keep(&self) -> Duration {
        DAY * self.event_keep_days
    }

    /// The time zone of the days in a search.
    pub fn zone(&self) -> Result<Zone, ConfigError> {
        Zone::parse(&self.time_zone)
            .map_err(|e| ConfigError::of(format!("`time_zone`: {e}; use a name such as `Asia/Shanghai`")))
    }

    /// When days move into the archive.
    pub fn archive_schedule(&self) -> Result<Schedule, ConfigError> {
        Schedule::parse(&self.archive_schedule, &self.archive_time_zone)
            .map_err(|e| mistakes::schedule("archive_schedule", "archive_time_zone", &e))
    }

    /// The gateway that `callback_url` names.
    pub fn gateway_place(&self) -> GatewayPlace {
        match self.callback_url.as_str() {
            "" => GatewayPlace::Unset,
            "none" => GatewayPlace::Off,
            url => match Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => GatewayPlace::At(url),
                _ => GatewayPlace::Unknown,
            },
        }
    }

    /// With an archive, each day has its own partitions, because days move one by one.
    pub fn partitions_by_month(&self) -> bool {
        self.archive_place() == ArchivePlace::Nowhere
    }

    /// The archive that `archive_url` names.
    pub fn archive_place(&self) -> ArchivePlace {
        if self.archive_url.is_empty() {
            return ArchivePlace::Nowhere;
        }
        if let Some(folder) = self.archive_url.strip_prefix("embedded:").filter(|folder| !folder.is_empty()) {
            return ArchivePlace::Folder(folder.into());
        }
        match Url::parse(&self.archive_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && !has_credentials(&url) => {
                ArchivePlace::Server(url)
            }
            _ => ArchivePlace::Unknown,
        }
    }

    /// The file store that `file_store` names.
    pub fn file_place(&self) -> FilePlace {
        if self.file_store.is_empty() {
            return FilePlace::Nowhere;
        }
        if let Some(folder) = self.file_store.strip_prefix("folder:").filter(|folder| !folder.is_empty()) {
            return FilePlace::Folder(folder.into());
        }
        match self.file_store.strip_prefix("s3://").map(|place| place.split_once('/').unwrap_or((place, "")))
        {
            Some((bucket, beginning)) if !bucket.is_empty() => {
                FilePlace::Bucket(bucket.to_owned(), beginning.trim_matches('/').to_owned())
            }
            _ => FilePlace::Unknown,
        }
    }

    fn check_files(&self) -> Vec<String> {
        let zero = |time: Duration| time.is_zero() || time > TIME_MAX;
        let is_url = |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        broken(&[
            (
                self.file_place() == FilePlace::Unknown,
                "`file_store` must be empty, folder:<folder> or s3://<bucket>/<beginning of keys>",
            ),
            (
                !self.file_s3_endpoint.is_empty() && !is_url(&self.file_s3_endpoint),
                "`file_s3_endpoint` must be empty or an http or https URL",
            ),
            (
                self.file_s3_access_key.is_empty() != self.file_s3_secret_key.expose().is_empty(),
                "set both `file_s3_access_key` and `file_s3_secret_key`, or neither",
            ),
            (
                !self.file_url.is_empty() && !is_url(&self.file_url),
                "`file_url` must be empty or the URL of /api/v1/files as clients see it",
            ),
            (
                !(PIECE_BYTES_MIN..=PIECE_BYTES_MAX).contains(&self.file_piece_bytes)
                    || !self.file_piece_bytes.is_multiple_of(PIECE_BYTES_MIN),
                "`file_piece_bytes` must be a multiple of 65536, at most 67108864",
            ),
            (
                !(1..=FILE_BYTES_MAX).contains(&self.file_max_bytes),
                "`file_max_bytes` must be 1 to 1099511627776",
            ),
            (
                self.file_post_max_bytes > self.file_max_bytes,
                "`file_post_max_bytes` must be at most `file_max_bytes`",
            ),
            (
                self.file_uploads_max == 0 || self.file_downloads_max == 0,
                "`file_uploads_max` and `file_downloads_max` must be at least 1",
            ),
            (zero(self.file_store_timeout), "`file_store_timeout_ms` must be 1 ms to a day"),
            (zero(self.file_idle), "`file_idle_ms` must be 1 ms to a day"),
            (zero(self.file_flush), "`file_flush_ms` must be 1 ms to a day"),
            (
                self.file_upload_expire.is_zero() || self.file_upload_expire > OVERLAP_MAX,
                "`file_upload_expire_ms` must be 1 ms to 30 days",
            ),
            (
                self.file_sweep.is_zero() || self.file_sweep > OVERLAP_MAX,
                "`file_sweep_ms` must be 1 ms to 30 days",
            ),
            (
                self.file_unused_days > DAYS_MAX || self.file_orphan_days > DAYS_MAX,
                "`file_unused_days` and `file_orphan_days` must be at most 3650",
            ),
        ])
    }

    fn check_pictures(&self) -> Vec<String> {
        let is_key =
            |key: &Secret| BASE64_STANDARD.decode(key.expose()).is_ok_and(|key| key.len() == LINK_KEY_BYTES);
        broken(&[
            (
                !(1..=PICTURE_PIXELS_MAX).contains(&self.file_picture_max_pixels),
                "`file_picture_max_pixels` must be 1 to 1000000000",
            ),
            (
                self.file_picture_max_bytes > PICTURE_BYTES_MAX,
                "`file_picture_max_bytes` must be at most 1073741824: a picture is read into memory",
            ),
            (self.file_pictures_at_once == 0, "`file_pictures_at_once` must be at least 1"),
            (
                self.file_thumbnail_pixels == 0 || self.file_thumbnail_pixels > self.file_preview_pixels,
                "`file_thumbnail_pixels` must be at least 1, and at most `file_preview_pixels`",
            ),
            (self.file_preview_pixels > FORM_PIXELS_MAX, "`file_preview_pixels` must be at most 10000"),
            (
                !self.file_link_keys.iter().all(is_key),
                "each of `file_link_keys` must be the base64 of 32 random bytes: openssl rand -base64 32",
            ),
            (
                self.file_link_life < Duration::from_secs(1) || self.file_link_life > TIME_MAX,
                "`file_link_life_ms` must be a second to a day",
            ),
        ])
    }

    fn check_streams(&self) -> Vec<String> {
        let zero = |time: Duration| time.is_zero() || time > TIME_MAX;
        broken(&[
            (
                self.streams_max == 0 || self.streams_per_user == 0 || self.stream_queue == 0,
                "`streams_max`, `streams_per_user` and `stream_queue` must be at least 1",
            ),
            (zero(self.stream_poll), "`stream_poll_ms` must be 1 ms to a day"),
            (zero(self.stream_unread), "`stream_unread_ms` must be 1 ms to a day"),
            (zero(self.stream_heartbeat), "`stream_heartbeat_ms` must be 1 ms to a day"),
            (zero(self.stream_life), "`stream_life_ms` must be 1 ms to a day"),
            (
                self.stream_keep < STREAM_KEEP_MIN || zero(self.stream_keep),
                "`stream_keep_ms` must be a minute to a day",
            ),
        ])
    }

    fn check_requests(&self) -> Vec<String> {
        broken(&[
            (
                self.connections_max <= self.streams_max,
                "`connections_max` must be more than `streams_max`: each stream is a connection",
            ),
            (
                self.pinned_max > PINNED_MAX,
                "`pinned_max` must be at most 1000: the conversation list compares each channel with all of them",
            ),
            (
                !(HEAD_BYTES_MIN..=HEAD_BYTES_MAX).contains(&self.head_max_bytes),
                "`head_max_bytes` must be 8192 to 1048576",
            ),
            (
                self.jwt_max_bytes == 0 || self.jwt_max_bytes >= self.head_max_bytes,
                "`jwt_max_bytes` must be at least 1 and less than `head_max_bytes`: a token is part of the head",
            ),
            (
                self.request_bodies_max_bytes < self.request_body_max_bytes,
                "`request_bodies_max_bytes` must be at least `request_body_max_bytes`",
            ),
        ])
    }

    /// Checks the archive's times.
    fn check_archive(&self) -> Vec<String> {
        broken(&[
            (
                self.archive_timeout.is_zero() || self.archive_timeout > TIME_MAX,
                "`archive_timeout_ms` must be 1 ms to a day",
            ),
            (
                self.callback_hold_days >= self.archive_age_days,
                "`callback_hold_days` must be less than `archive_age_days`: a held day cannot move",
            ),
            (
                self.event_keep_days >= self.archive_age_days,
                "`event_keep_days` must be less than `archive_age_days`: events are read together with their messages",
            ),
            (
                self.archive_drop_grace <= self.request_timeout,
                "`archive_drop_grace_ms` must be more than `request_timeout_ms`: a request may still read the day",
            ),
            (
                self.escalate_within_days >= self.archive_age_days,
                "`escalate_within_days` must be less than `archive_age_days`: a day with steps that wait cannot move",
            ),
            (self.archive_age_days > DAYS_MAX, "`archive_age_days` must be at most 3650"),
            (
                self.archive_age_days <= self.client_id_keep_days,
                "`archive_age_days` must be more than `client_id_keep_days`: a repeated send reads its message from PostgreSQL",
            ),
        ])
    }

    /// Checks that times are neither zero nor too long.
    fn check_times(&self) -> Vec<String> {
        let zero = |time: Duration| time.is_zero() || time > TIME_MAX;
        let days = |days: u32| days > DAYS_MAX;
        broken(&[
            (zero(self.database_connection_life), "`database_connection_life_ms` must be 1 ms to a day"),
            (zero(self.connection_life), "`connection_life_ms` must be 1 ms to a day"),
            (zero(self.database_wait), "`database_wait_ms` must be 1 ms to a day"),
            (zero(self.readiness_wait), "`readiness_wait_ms` must be 1 ms to a day"),
            (zero(self.request_timeout), "`request_timeout_ms` must be 1 ms to a day"),
            (zero(self.request_body_timeout), "`request_body_timeout_ms` must be 1 ms to a day"),
            (zero(self.head_timeout), "`head_timeout_ms` must be 1 ms to a day"),
            (zero(self.idle_timeout), "`idle_timeout_ms` must be 1 ms to a day"),
            (zero(self.write_timeout), "`write_timeout_ms` must be 1 ms to a day"),
            (zero(self.poll), "`poll_ms` must be 1 ms to a day"),
            (
                zero(self.lease) || self.lease <= self.poll,
                "`lease_ms` must be more than `poll_ms`, and at most a day",
            ),
            (zero(self.callback_timeout), "`callback_timeout_ms` must be 1 ms to a day"),
            (
                self.callback_secret_overlap > OVERLAP_MAX,
                "`callback_secret_overlap_ms` must be at most 30 days",
            ),
            (zero(self.callback_idle), "`callback_idle_ms` must be 1 ms to a day"),
            (zero(self.callback_lease_margin), "`callback_lease_margin_ms` must be 1 ms to a day"),
            (zero(self.callback_retry_base), "`callback_retry_base_ms` must be 1 ms to a day"),
            (zero(self.callback_retry_max), "`callback_retry_max_ms` must be 1 ms to a day"),
            (zero(self.callback_breaker_probe), "`callback_breaker_probe_ms` must be 1 ms to a day"),
            (
                self.callback_retry_max < self.callback_retry_base,
                "`callback_retry_max_ms` must be at least `callback_retry_base_ms`",
            ),
            (self.escalate_within_days == 0, "`escalate_within_days` must be at least 1"),
            (self.nudge_every > TIME_MAX, "`nudge_every_ms` must be at most a day"),
            (zero(self.presence_expire), "`presence_expire_ms` must be 1 ms to a day"),
            (days(self.callback_keep_days), "`callback_keep_days` must be at most 3650"),
            (
                self.event_keep() <= self.callback_disable_after,
                "`event_keep_days` must be longer than `callback_disable_after_ms`",
            ),
            (
                DAY * self.callback_keep_days < self.callback_give_up,
                "`callback_keep_days` must not be shorter than `callback_give_up_ms`: dead letters must outlive retries",
            ),
            (zero(self.callback_disable_after), "`callback_disable_after_ms` must be 1 ms to a day"),
            (zero(self.event_poll), "`event_poll_ms` must be 1 ms to a day"),
            (self.event_window > TIME_MAX, "`event_window_ms` must be at most a day"),
            (
                self.event_keep() <= self.callback_give_up,
                "`event_keep_days` must be longer than `callback_give_up_ms`: events that are retried must still exist",
            ),
            (days(self.client_id_keep_days), "`client_id_keep_days` must be at most 3650"),
            (self.partitions_ahead_days > PARTITIONS_AHEAD_MAX, "`partitions_ahead_days` must be at most 60"),
        ])
    }
}

/// The reasons of the broken rules.
fn broken(rules: &[(bool, &str)]) -> Vec<String> {
    rules.iter().filter(|(broken, _)| *broken).map(|(_, reason)| (*reason).to_owned()).collect()
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

fn millis<'de, D: Deserializer<'de>>(de: D) -> Result<Duration, D::Error> {
    u64::deserialize(de).map(Duration::from_millis)
}

fn optional<'de, D: Deserializer<'de>>(de: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(de)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A list, or one string with commas, as an environment variable has it.
fn list<'de, D: Deserializer<'de>, T: From<String> + Deserialize<'de>>(de: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Many(Vec<T>),
        One(String),
    }
    Ok(match Either::deserialize(de)? {
        Either::Many(values) => values,
        Either::One(text) => {
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| T::from(s.to_owned())).collect()
        }
    })
}
