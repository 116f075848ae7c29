//! Settings of the log of events.

use std::time::Duration;

use serde::Deserialize;

use super::values::{DAY, TIME_MAX, broken, millis, no_time};

/// Settings of the log of events.
#[derive(Debug, Clone, Deserialize)]
pub struct EventSettings {
    #[serde(rename = "event_poll_ms", deserialize_with = "millis")]
    pub poll: Duration,
    #[serde(rename = "event_window_ms", deserialize_with = "millis")]
    pub window: Duration,
    #[serde(rename = "event_keep_days")]
    pub keep_days: u32,
}

impl EventSettings {
    /// How long events are kept.
    pub fn keep(&self) -> Duration {
        DAY * self.keep_days
    }

    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (no_time(self.poll), "`event_poll_ms` must be 1 ms to a day"),
            (self.window > TIME_MAX, "`event_window_ms` must be at most a day"),
        ])
    }
}
