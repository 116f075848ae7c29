//! Settings of the push to the gateway and to other endpoints.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::Secret;
use super::values::{DAY, DAYS_MAX, MONTH, broken, list, millis, no_time, no_url, web_url};

/// A sender waits for the gate.
const GATE_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

/// Highest rate of a replay by a link, in pushes a second, and most pairs that can wait before one.
const LINK_REPLAY_RATE: RangeInclusive<i32> = 1..=100_000;
const LINK_REPLAY_WAITING: RangeInclusive<i64> = 1..=1_000_000;

/// A link for the developer of a callback holds for a while, not for good.
const LINK_HOURS_MAX: u32 = 720;

/// Settings of the push to the gateway and to other endpoints.
#[derive(Debug, Clone, Deserialize)]
pub struct CallbackSettings {
    #[serde(rename = "callback_url")]
    pub url: String,
    #[serde(rename = "callback_hold_days")]
    pub hold_days: u32,
    #[serde(rename = "callback_secrets", deserialize_with = "list")]
    pub secrets: Vec<Secret>,
    #[serde(rename = "callback_keys", deserialize_with = "list")]
    pub keys: Vec<Secret>,
    #[serde(rename = "callback_allow", deserialize_with = "list")]
    pub allow: Vec<String>,
    #[serde(rename = "callback_dns_servers", deserialize_with = "list")]
    pub dns_servers: Vec<String>,
    #[serde(rename = "callback_secret_overlap_ms", deserialize_with = "millis")]
    pub secret_overlap: Duration,
    #[serde(rename = "callback_timeout_ms", deserialize_with = "millis")]
    pub timeout: Duration,
    #[serde(rename = "callback_idle_ms", deserialize_with = "millis")]
    pub idle: Duration,
    #[serde(rename = "callback_lease_margin_ms", deserialize_with = "millis")]
    pub lease_margin: Duration,
    #[serde(rename = "callback_answer_max_bytes")]
    pub answer_max_bytes: usize,
    #[serde(rename = "callback_concurrency")]
    pub concurrency: usize,
    #[serde(rename = "gate_timeout_ms", deserialize_with = "millis")]
    pub gate_timeout: Duration,
    pub gate_concurrency: usize,
    pub gate_questions_max: usize,
    #[serde(rename = "callback_own_max")]
    pub own_max: u32,
    #[serde(rename = "callback_link_max_hours")]
    pub link_max_hours: u32,
    #[serde(rename = "callback_link_replay_per_second")]
    pub link_replay_per_second: i32,
    #[serde(rename = "callback_link_replay_waiting_pairs")]
    pub link_replay_waiting_pairs: i64,
    /// The address of `/console`, for links.
    pub console_url: String,
    #[serde(rename = "callback_batch_pairs")]
    pub batch_pairs: u32,
    #[serde(rename = "callback_batch_rows")]
    pub batch_rows: u32,
    #[serde(rename = "callback_batch_bytes")]
    pub batch_bytes: u32,
    #[serde(rename = "callback_retry_base_ms", deserialize_with = "millis")]
    pub retry_base: Duration,
    #[serde(rename = "callback_retry_max_ms", deserialize_with = "millis")]
    pub retry_max: Duration,
    #[serde(rename = "callback_give_up_ms", deserialize_with = "millis")]
    pub give_up: Duration,
    #[serde(rename = "callback_breaker_failures")]
    pub breaker_failures: u32,
    #[serde(rename = "callback_breaker_probe_ms", deserialize_with = "millis")]
    pub breaker_probe: Duration,
    #[serde(rename = "callback_keep_days")]
    pub keep_days: u32,
    #[serde(rename = "callback_disable_after_ms", deserialize_with = "millis")]
    pub disable_after: Duration,
}

/// The gateway's endpoint in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayTarget {
    /// Not set: the gateway in the database stays.
    Unset,
    /// There is no gateway.
    Off,
    At(Url),
    /// An invalid value, refused at the start.
    Unknown,
}

impl CallbackSettings {
    /// The gateway that `callback_url` names.
    pub fn gateway(&self) -> GatewayTarget {
        match self.url.as_str() {
            "" => GatewayTarget::Unset,
            "none" => GatewayTarget::Off,
            url => web_url(url).map_or(GatewayTarget::Unknown, GatewayTarget::At),
        }
    }

    pub(super) fn check(&self) -> Vec<String> {
        let gateway = self.gateway();
        let rules = broken(&[
            (self.concurrency == 0, "`callback_concurrency` must be at least 1"),
            (
                self.link_max_hours > LINK_HOURS_MAX,
                "`callback_link_max_hours` must be at most 720 (30 days); 0 turns links off",
            ),
            (
                !LINK_REPLAY_RATE.contains(&self.link_replay_per_second),
                "`callback_link_replay_per_second` must be 1 to 100000",
            ),
            (
                !LINK_REPLAY_WAITING.contains(&self.link_replay_waiting_pairs),
                "`callback_link_replay_waiting_pairs` must be 1 to 1000000",
            ),
            (
                no_url(&self.console_url),
                "`console_url` must be empty or the URL of /console as people outside see it",
            ),
            (self.gate_concurrency == 0, "`gate_concurrency` must be at least 1"),
            (
                self.gate_questions_max < self.gate_concurrency,
                "`gate_questions_max` must be at least `gate_concurrency`",
            ),
            (
                self.batch_pairs == 0 || self.batch_rows == 0 || self.batch_bytes == 0,
                "`callback_batch_pairs`, `callback_batch_rows` and `callback_batch_bytes` must be at least 1",
            ),
            (
                matches!(gateway, GatewayTarget::At(_)) && self.secrets.is_empty(),
                "`callback_url` needs `callback_secrets`: pushes must be signed; make a secret with: \
                 echo whsec_$(openssl rand -base64 32)",
            ),
            (
                gateway == GatewayTarget::Unknown,
                "`callback_url` must be empty, none, or an http or https URL",
            ),
        ]);
        [rules, self.check_times()].concat()
    }

    fn check_times(&self) -> Vec<String> {
        broken(&[
            (no_time(self.timeout), "`callback_timeout_ms` must be 1 ms to a day"),
            (!GATE_TIMEOUT.contains(&self.gate_timeout), "`gate_timeout_ms` must be 100 to 10000"),
            (self.secret_overlap > MONTH, "`callback_secret_overlap_ms` must be at most 30 days"),
            (no_time(self.idle), "`callback_idle_ms` must be 1 ms to a day"),
            (no_time(self.lease_margin), "`callback_lease_margin_ms` must be 1 ms to a day"),
            (no_time(self.retry_base), "`callback_retry_base_ms` must be 1 ms to a day"),
            (no_time(self.retry_max), "`callback_retry_max_ms` must be 1 ms to a day"),
            (no_time(self.breaker_probe), "`callback_breaker_probe_ms` must be 1 ms to a day"),
            (
                self.retry_max < self.retry_base,
                "`callback_retry_max_ms` must be at least `callback_retry_base_ms`",
            ),
            (self.keep_days > DAYS_MAX, "`callback_keep_days` must be at most 3650"),
            (
                DAY * self.keep_days < self.give_up,
                "`callback_keep_days` must not be shorter than `callback_give_up_ms`: dead letters must outlive retries",
            ),
            (no_time(self.disable_after), "`callback_disable_after_ms` must be 1 ms to a day"),
        ])
    }
}
