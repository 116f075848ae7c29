//! Settings of the event streams.

use std::time::Duration;

use serde::Deserialize;

use super::values::{broken, millis, no_time};

/// Long enough that replicas notice when half of it is over.
const KEEP_MIN: Duration = Duration::from_secs(60);

/// Settings of the event streams.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamSettings {
    #[serde(rename = "streams_max")]
    pub max: usize,
    #[serde(rename = "streams_per_user")]
    pub per_user: usize,
    #[serde(rename = "stream_queue")]
    pub queue: usize,
    #[serde(rename = "stream_poll_ms", deserialize_with = "millis")]
    pub poll: Duration,
    #[serde(rename = "stream_unread_ms", deserialize_with = "millis")]
    pub unread: Duration,
    #[serde(rename = "stream_heartbeat_ms", deserialize_with = "millis")]
    pub heartbeat: Duration,
    #[serde(rename = "stream_life_ms", deserialize_with = "millis")]
    pub life: Duration,
    #[serde(rename = "stream_keep_ms", deserialize_with = "millis")]
    pub keep: Duration,
}

impl StreamSettings {
    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (
                self.max == 0 || self.per_user == 0 || self.queue == 0,
                "`streams_max`, `streams_per_user` and `stream_queue` must be at least 1",
            ),
            (no_time(self.poll), "`stream_poll_ms` must be 1 ms to a day"),
            (no_time(self.unread), "`stream_unread_ms` must be 1 ms to a day"),
            (no_time(self.heartbeat), "`stream_heartbeat_ms` must be 1 ms to a day"),
            (no_time(self.life), "`stream_life_ms` must be 1 ms to a day"),
            (self.keep < KEEP_MIN || no_time(self.keep), "`stream_keep_ms` must be a minute to a day"),
        ])
    }
}
