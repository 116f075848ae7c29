//! Settings of notifications.

use serde::Deserialize;

use super::values::{DAYS_MAX, broken};

/// Most receivers of a notification, and most of one step of it, that the settings permit.
const RECEIVERS_MAX: u32 = 1_000_000;
const STEP_MAX: u32 = 1_000;

/// Settings of notifications.
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationSettings {
    #[serde(rename = "notification_receivers_max")]
    pub receivers_max: u32,
    #[serde(rename = "notifications_open_max")]
    pub open_max: u32,
    #[serde(rename = "notification_ahead_days")]
    pub ahead_days: u32,
    #[serde(rename = "notification_step")]
    pub step: u32,
    /// 0: no limit.
    #[serde(rename = "notification_receivers_per_second")]
    pub receivers_per_second: u32,
}

impl NotificationSettings {
    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (
                !(1..=RECEIVERS_MAX).contains(&self.receivers_max),
                "`notification_receivers_max` must be 1 to 1000000",
            ),
            (self.open_max == 0, "`notifications_open_max` must be at least 1"),
            (self.ahead_days > DAYS_MAX, "`notification_ahead_days` must be at most 3650"),
            (
                !(1..=STEP_MAX).contains(&self.step),
                "`notification_step` must be 1 to 1000: one transaction locks as many channels",
            ),
            (
                (1..self.step).contains(&self.receivers_per_second),
                "`notification_receivers_per_second` must be 0 or at least `notification_step`: a replica that stops waits for \
                 the pause after a step, a second at most",
            ),
        ])
    }
}
