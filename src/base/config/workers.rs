//! Settings of all workers, and of the log.

use std::time::Duration;

use serde::Deserialize;

use super::values::{broken, millis, no_time};

/// Settings that all workers share.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkerSettings {
    #[serde(rename = "poll_ms", deserialize_with = "millis")]
    pub poll: Duration,
    #[serde(rename = "lease_ms", deserialize_with = "millis")]
    pub lease: Duration,
    #[serde(rename = "background_send_wait_ms", deserialize_with = "millis")]
    pub background_send_wait: Duration,
    /// Of connections to other services; those to the database have their own.
    #[serde(rename = "connection_life_ms", deserialize_with = "millis")]
    pub connection_life: Duration,
}

/// Settings of the log.
#[derive(Debug, Clone, Deserialize)]
pub struct LogSettings {
    #[serde(rename = "log")]
    pub filter: String,
    #[serde(rename = "log_format")]
    pub format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

impl WorkerSettings {
    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (no_time(self.connection_life), "`connection_life_ms` must be 1 ms to a day"),
            (no_time(self.poll), "`poll_ms` must be 1 ms to a day"),
            (
                no_time(self.lease) || self.lease <= self.poll,
                "`lease_ms` must be more than `poll_ms`, and at most a day",
            ),
        ])
    }
}
