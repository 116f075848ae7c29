//! Settings of the database.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{broken, millis, no_time};

const PARTITIONS_AHEAD_MAX: u32 = 60;
const STATEMENT_MIN: Duration = Duration::from_secs(1);

/// Settings of the database.
#[derive(Debug, Clone, Deserialize)]
pub struct DatabaseSettings {
    #[serde(rename = "database_url")]
    pub url: Secret,
    #[serde(rename = "database_read_url")]
    pub read_url: Secret,
    #[serde(rename = "database_read_max_lag_ms", deserialize_with = "millis")]
    pub read_max_lag: Duration,
    #[serde(rename = "database_ca_file")]
    pub ca_file: String,
    #[serde(rename = "database_pool_size")]
    pub pool_size: usize,
    #[serde(rename = "database_connection_life_ms", deserialize_with = "millis")]
    pub connection_life: Duration,
    #[serde(rename = "database_wait_ms", deserialize_with = "millis")]
    pub wait: Duration,
    #[serde(rename = "database_statement_timeout_ms", deserialize_with = "millis")]
    pub statement_timeout: Duration,
    #[serde(rename = "readiness_wait_ms", deserialize_with = "millis")]
    pub readiness_wait: Duration,
    pub partitions_ahead_days: u32,
}

impl DatabaseSettings {
    pub(super) fn check(&self) -> Vec<String> {
        let (url, read_url) = (self.url.expose(), self.read_url.expose());
        broken(&[
            (
                url.is_empty(),
                "`database_url` is not set: set it here or as IMPG_DATABASE_URL, such as postgresql://user:password@host:5432/database",
            ),
            (
                !url.is_empty() && url.parse::<tokio_postgres::Config>().is_err(),
                "`database_url` must be the address of a PostgreSQL database, such as postgresql://user:password@host:5432/database",
            ),
            (
                !read_url.is_empty() && read_url.parse::<tokio_postgres::Config>().is_err(),
                "`database_read_url` must be the address of the database on a standby, such as postgresql://user:password@standby:5432/database, or empty",
            ),
            (
                !read_url.is_empty() && read_url == url,
                "`database_read_url` must name a standby, and `database_url` the primary: empty it to read from the primary alone",
            ),
            (no_time(self.read_max_lag), "`database_read_max_lag_ms` must be 1 ms to a day"),
            (no_time(self.connection_life), "`database_connection_life_ms` must be 1 ms to a day"),
            (no_time(self.wait), "`database_wait_ms` must be 1 ms to a day"),
            (
                self.statement_timeout < STATEMENT_MIN || no_time(self.statement_timeout),
                "`database_statement_timeout_ms` must be 1 s to a day: steps of background work need a second",
            ),
            (no_time(self.readiness_wait), "`readiness_wait_ms` must be 1 ms to a day"),
            (self.partitions_ahead_days > PARTITIONS_AHEAD_MAX, "`partitions_ahead_days` must be at most 60"),
        ])
    }
}
