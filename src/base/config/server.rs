//! Settings of the listeners, and limits of requests.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::values::{broken, millis, no_time, optional};
use crate::base::cron::Zone;

/// Smallest and largest permitted size of a request head.
const HEAD_BYTES_MIN: usize = 8 * 1024;
const HEAD_BYTES_MAX: usize = 1024 * 1024;
const HTTP2_STREAMS: RangeInclusive<u32> = 1..=10_000;
/// Highest rate of a caller, and the sizes of its bursts.
const RATE_MAX: u32 = 1_000_000;
const BURST: RangeInclusive<u32> = 1..=1_000_000;

/// Settings of the listeners, and limits of requests.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "optional")]
    pub metrics_listen: Option<SocketAddr>,
    pub tls_certificate_file: String,
    pub tls_key_file: String,
    pub http2_streams_max: u32,
    pub connections_max: usize,
    pub connections_per_peer: usize,
    pub requests_max: usize,
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
    pub user_requests_per_second: u32,
    pub user_requests_burst: u32,
    pub machine_requests_per_second: u32,
    pub machine_requests_burst: u32,
    pub link_requests_per_second: u32,
    pub link_requests_burst: u32,
    pub compress_min_bytes: u64,
    pub time_zone: String,
    #[serde(rename = "shutdown_grace_ms", deserialize_with = "millis")]
    pub shutdown_grace: Duration,
}

impl ServerSettings {
    pub(super) fn check(&self) -> Vec<String> {
        let rules = broken(&[
            (no_time(self.request_timeout), "`request_timeout_ms` must be 1 ms to a day"),
            (no_time(self.request_body_timeout), "`request_body_timeout_ms` must be 1 ms to a day"),
            (no_time(self.head_timeout), "`head_timeout_ms` must be 1 ms to a day"),
            (no_time(self.idle_timeout), "`idle_timeout_ms` must be 1 ms to a day"),
            (no_time(self.write_timeout), "`write_timeout_ms` must be 1 ms to a day"),
            (
                !(HEAD_BYTES_MIN..=HEAD_BYTES_MAX).contains(&self.head_max_bytes),
                "`head_max_bytes` must be 8192 to 1048576",
            ),
            (
                self.request_bodies_max_bytes < self.request_body_max_bytes,
                "`request_bodies_max_bytes` must be at least `request_body_max_bytes`",
            ),
            (
                self.tls_certificate_file.is_empty() != self.tls_key_file.is_empty(),
                "`tls_certificate_file` and `tls_key_file` belong together: set both for TLS, or neither",
            ),
            (!HTTP2_STREAMS.contains(&self.http2_streams_max), "`http2_streams_max` must be 1 to 10000"),
            (self.requests_max == 0, "`requests_max` must be at least 1: with 0 every request is refused"),
            (
                self.user_requests_per_second.max(self.machine_requests_per_second) > RATE_MAX,
                "`user_requests_per_second` and `machine_requests_per_second` must be at most 1000000; 0 is no limit",
            ),
            (
                !(1..=RATE_MAX).contains(&self.link_requests_per_second)
                    || !BURST.contains(&self.link_requests_burst),
                "`link_requests_per_second` and `link_requests_burst` must be 1 to 1000000",
            ),
            (
                !BURST.contains(&self.user_requests_burst) || !BURST.contains(&self.machine_requests_burst),
                "`user_requests_burst` and `machine_requests_burst` must be 1 to 1000000",
            ),
        ]);
        let zone = self.zone().err().map(|error| error.mistakes().to_vec()).unwrap_or_default();
        [rules, zone].concat()
    }

    /// Whether callers reach the service by TLS.
    pub fn is_encrypted(&self) -> bool {
        !self.tls_certificate_file.is_empty() && !self.tls_key_file.is_empty()
    }

    /// The time zone of the days in a search.
    pub fn zone(&self) -> Result<Zone, ConfigError> {
        Zone::parse(&self.time_zone)
            .map_err(|e| ConfigError::of(format!("`time_zone`: {e}; use a name such as `Asia/Shanghai`")))
    }
}
