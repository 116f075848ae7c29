//! Settings of channels and messages.

use std::time::Duration;

use serde::Deserialize;

use super::values::{DAYS_MAX, TIME_MAX, broken, millis, no_url};

/// The promised time for repeating a send. A shorter memory of client ids is refused.
const CLIENT_ID_KEEP_DAYS_MIN: u32 = 7;
/// Most channels that a user can be allowed to pin.
const PINNED_MAX: u32 = 1_000;
/// Most invites that a group can be allowed to have, and most uses of one.
const INVITES_MAX: u32 = 1_000;
const INVITE_USES_MAX: u32 = 1_000_000;
/// Most users who can be allowed to wait for a group.
const JOIN_REQUESTS_MAX: u32 = 100_000;
/// Most messages of a robot in a minute. Each call writes that many times into a row.
const ROBOT_PER_MINUTE_MAX: u32 = 600;

/// Settings of channels and messages.
#[derive(Debug, Clone, Deserialize)]
pub struct ChatSettings {
    pub group_max_members: u32,
    pub invites_per_group: u32,
    pub invite_uses_max: u32,
    pub invite_expire_days: u32,
    pub join_requests_max: u32,
    pub pinned_max: u32,
    pub robots_per_group: u32,
    pub robot_per_minute: u32,
    pub robot_url: String,
    pub favourites_max: u32,
    pub send_batch: usize,
    pub send_lanes: usize,
    pub send_queue: usize,
    pub mention_all: WhoMentions,
    pub mention_keep_days: u32,
    pub urgent_max: u32,
    pub escalate_within_days: u32,
    #[serde(rename = "nudge_every_ms", deserialize_with = "millis")]
    pub nudge_every: Duration,
    #[serde(rename = "remind_after_ms", deserialize_with = "millis")]
    pub remind_after: Duration,
    #[serde(rename = "recall_within_ms", deserialize_with = "millis")]
    pub recall_within: Duration,
    pub client_id_keep_days: u32,
}

/// Who mentions all members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhoMentions {
    Admins,
    Everybody,
}

impl ChatSettings {
    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (self.send_lanes == 0, "`send_lanes` must be at least 1"),
            (
                self.send_batch == 0 || self.send_queue == 0,
                "`send_batch` and `send_queue` must be at least 1",
            ),
            (
                self.client_id_keep_days < CLIENT_ID_KEEP_DAYS_MIN,
                "`client_id_keep_days` must be at least 7: a send can be repeated for that long",
            ),
            (self.client_id_keep_days > DAYS_MAX, "`client_id_keep_days` must be at most 3650"),
            (self.mention_keep_days > DAYS_MAX, "`mention_keep_days` must be at most 3650"),
            (self.escalate_within_days == 0, "`escalate_within_days` must be at least 1"),
            (self.nudge_every > TIME_MAX, "`nudge_every_ms` must be at most a day"),
            (self.remind_after > TIME_MAX, "`remind_after_ms` must be at most a day"),
            (
                !(1..=INVITES_MAX).contains(&self.invites_per_group),
                "`invites_per_group` must be 1 to 1000: a group shows all of them",
            ),
            (
                !(1..=INVITE_USES_MAX).contains(&self.invite_uses_max),
                "`invite_uses_max` must be 1 to 1000000",
            ),
            (!(1..=DAYS_MAX).contains(&self.invite_expire_days), "`invite_expire_days` must be 1 to 3650"),
            (
                !(1..=JOIN_REQUESTS_MAX).contains(&self.join_requests_max),
                "`join_requests_max` must be 1 to 100000: each request counts them",
            ),
            (
                self.pinned_max > PINNED_MAX,
                "`pinned_max` must be at most 1000: the conversation list compares each channel with all of them",
            ),
            (
                !(1..=ROBOT_PER_MINUTE_MAX).contains(&self.robot_per_minute),
                "`robot_per_minute` must be 1 to 600",
            ),
            (
                no_url(&self.robot_url),
                "`robot_url` must be empty or the URL of /api/v1/robots as programs see it",
            ),
        ])
    }

    /// How long after a message its last step can be.
    pub fn escalate_within(&self) -> time::Duration {
        time::Duration::days(self.escalate_within_days.into())
    }
}
