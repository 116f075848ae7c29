//! Settings of the people: SCIM, who is online, and what they are to each other.

use std::time::Duration;

use serde::Deserialize;

use super::values::{broken, millis, no_time, no_url};

/// Most relations, and most friend requests, that a user can be allowed to have.
const RELATIONS_MAX: u32 = 100_000;
/// Most tags that a relation can be allowed to have.
const TAGS_MAX: u32 = 100;
/// The largest key package that can be allowed, the most of a user, and the longest time that they are kept.
const KEY_PACKAGE_MAX_BYTES: u32 = 65_536;
const KEY_PACKAGES_MAX: u32 = 10_000;
const KEY_PACKAGE_DAYS_MAX: u32 = 3650;

/// Settings of the people: SCIM, who is online, and what they are to each other.
#[derive(Debug, Clone, Deserialize)]
pub struct PeopleSettings {
    pub scim_url: String,
    pub scim_user_id: ScimUserId,
    pub scim_groups: ScimGroups,
    #[serde(rename = "presence_expire_ms", deserialize_with = "millis")]
    pub presence_expire: Duration,
    pub friend_requests: FriendRequests,
    pub unfriend: Unfriend,
    pub direct_needs_friendship: bool,
    pub relations_max: u32,
    pub friend_requests_max: u32,
    pub relation_tags_max: u32,
    pub key_package_max_bytes: u32,
    pub key_packages_max: u32,
    pub key_package_days: u32,
    pub key_package_claims_per_hour: u32,
}

/// Whether the other user answers a friend request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FriendRequests {
    Ask,
    AtOnce,
}

/// Whose side ends when a user ends a friendship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfriend {
    BothSides,
    OneSide,
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
            (
                !(1..=RELATIONS_MAX).contains(&self.relations_max),
                "`relations_max` must be 1 to 100000: each change of a relation counts them",
            ),
            (
                !(1..=RELATIONS_MAX).contains(&self.friend_requests_max),
                "`friend_requests_max` must be 1 to 100000: each request counts them",
            ),
            (self.relation_tags_max > TAGS_MAX, "`relation_tags_max` must be at most 100"),
            (
                !(1..=KEY_PACKAGE_MAX_BYTES).contains(&self.key_package_max_bytes),
                "`key_package_max_bytes` must be 1 to 65536",
            ),
            (
                !(1..=KEY_PACKAGES_MAX).contains(&self.key_packages_max),
                "`key_packages_max` must be 1 to 10000: each addition counts them",
            ),
            (
                !(1..=KEY_PACKAGE_DAYS_MAX).contains(&self.key_package_days),
                "`key_package_days` must be 1 to 3650",
            ),
            (
                self.key_package_claims_per_hour == 0,
                "`key_package_claims_per_hour` must be at least 1: with 0, no user can be added to an encrypted group",
            ),
        ])
    }
}
