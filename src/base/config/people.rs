//! Settings of the people: SCIM, who is online, and what they are to each other.

use std::time::Duration;

use serde::Deserialize;

use super::values::{broken, millis, no_time, no_url};

/// Most relations, and most friend requests, that a user can be allowed to have.
const RELATIONS_MAX: u32 = 100_000;
/// Most tags that a relation can be allowed to have.
const TAGS_MAX: u32 = 100;

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
        ])
    }
}
