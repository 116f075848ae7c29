//! Settings of the event streams and sockets.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::values::{broken, list, millis, no_time};

/// Long enough that replicas notice when half of it is over.
const KEEP_MIN: Duration = Duration::from_secs(60);

/// Most partners of whose presence a listener can hear.
const PARTNERS_MAX: usize = 1_000;
/// Smallest and largest permitted size of a frame.
const FRAME_BYTES: RangeInclusive<usize> = 1_024..=16 * 1024 * 1024;

/// Settings of the event streams and sockets.
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
    #[serde(rename = "presence_partners_max")]
    pub presence_partners: usize,
    #[serde(rename = "presence_window_ms", deserialize_with = "millis")]
    pub presence_window: Duration,
    #[serde(rename = "typing_every_ms", deserialize_with = "millis")]
    pub typing_every: Duration,
    pub typing_members_max: usize,
    #[serde(rename = "socket_silence_ms", deserialize_with = "millis")]
    pub socket_silence: Duration,
    pub socket_frame_max_bytes: usize,
    #[serde(deserialize_with = "list")]
    pub socket_origins: Vec<String>,
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
            (self.presence_partners > PARTNERS_MAX, "`presence_partners_max` must be at most 1000"),
            (no_time(self.presence_window), "`presence_window_ms` must be 1 ms to a day"),
            (no_time(self.typing_every), "`typing_every_ms` must be 1 ms to a day"),
            (no_time(self.socket_silence), "`socket_silence_ms` must be 1 ms to a day"),
            (
                !FRAME_BYTES.contains(&self.socket_frame_max_bytes),
                "`socket_frame_max_bytes` must be 1024 to 16777216",
            ),
            (
                !self.socket_origins.iter().all(|origin| is_origin(origin)),
                "`socket_origins` must be origins as browsers send them, such as https://portal.example.com",
            ),
        ])
    }
}

/// Whether a text is an origin as browsers send it: a scheme and a host, with a port unless it is the usual one.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}
