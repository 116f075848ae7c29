//! Settings of the people: SCIM, and who is online.

use std::time::Duration;

use serde::Deserialize;

use super::values::{broken, millis, no_time, no_url};

/// Settings of the people: SCIM, and who is online.
#[derive(Debug, Clone, Deserialize)]
pub struct PeopleSettings {
    pub scim_url: String,
    pub scim_user_id: ScimUserId,
    pub scim_groups: ScimGroups,
    #[serde(rename = "presence_expire_ms", deserialize_with = "millis")]
    pub presence_expire: Duration,
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

impl PeopleSettings {
    pub(super) fn check(&self) -> Vec<String> {
        broken(&[
            (no_url(&self.scim_url), "`scim_url` must be empty or the URL of /scim/v2 as clients see it"),
            (no_time(self.presence_expire), "`presence_expire_ms` must be 1 ms to a day"),
        ])
    }
}
