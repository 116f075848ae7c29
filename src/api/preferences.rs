//! `/users/me/notifications` and `/channels/{id}/settings`: the caller's notification settings.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{Json, PathId, rfc3339};
use super::{Api, Person};
use crate::base::error::Result;
use crate::base::number::ChannelId;
use crate::people::preference::{self, ChannelPreference, Member, Preference, Priority, Quiet};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me/notifications", get(show).put(replace))
        .route("/channels/{channel_id}/settings", get(show_channel).put(replace_channel))
}

/// An absent field has its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    quiet: Option<Vec<Quiet>>,
    every_s: Option<u32>,
    ways: Option<Vec<String>>,
    offline_reminder: Option<bool>,
    offline_priority: Option<Priority>,
}

#[derive(Serialize)]
struct View {
    quiet: Vec<Quiet>,
    every_s: u32,
    ways: Vec<String>,
    offline_reminder: bool,
    offline_priority: Priority,
}

/// An absent field has its default. A time to mute until mutes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedOfChannel {
    muted: Option<bool>,
    #[serde(default, with = "rfc3339::option")]
    mute_until: Option<OffsetDateTime>,
    pinned: Option<bool>,
    remark: Option<String>,
}

#[derive(Serialize)]
struct ChannelView {
    muted: bool,
    #[serde(with = "rfc3339::option")]
    mute_until: Option<OffsetDateTime>,
    pinned: bool,
    remark: Option<String>,
}

impl From<Wanted> for Preference {
    fn from(wanted: Wanted) -> Self {
        let default = Self::default();
        Self {
            quiet: wanted.quiet.unwrap_or(default.quiet),
            every_s: wanted.every_s.unwrap_or(default.every_s),
            ways: wanted.ways.unwrap_or(default.ways),
            offline_reminder: wanted.offline_reminder.unwrap_or(default.offline_reminder),
            offline_priority: wanted.offline_priority.unwrap_or(default.offline_priority),
        }
    }
}

impl From<Preference> for View {
    fn from(p: Preference) -> Self {
        Self {
            quiet: p.quiet,
            every_s: p.every_s,
            ways: p.ways,
            offline_reminder: p.offline_reminder,
            offline_priority: p.offline_priority,
        }
    }
}

impl From<WantedOfChannel> for ChannelPreference {
    fn from(wanted: WantedOfChannel) -> Self {
        Self {
            muted: wanted.muted.unwrap_or(wanted.mute_until.is_some()),
            mute_until: wanted.mute_until,
            pinned: wanted.pinned.unwrap_or_default(),
            remark: wanted.remark,
        }
    }
}

impl From<ChannelPreference> for ChannelView {
    fn from(p: ChannelPreference) -> Self {
        Self { muted: p.muted, mute_until: p.mute_until, pinned: p.pinned, remark: p.remark }
    }
}

async fn show(State(api): State<Api>, Person(caller): Person) -> Result<Reply<View>> {
    Ok(Reply(preference::get(&api.store, &caller.user_id).await?.into()))
}

async fn replace(
    State(api): State<Api>,
    Person(caller): Person,
    Json(wanted): Json<Wanted>,
) -> Result<Reply<View>> {
    let wanted = Preference::from(wanted);
    let now = api.store.now().await?;
    preference::put(&api.store, &caller.user_id, &wanted, now).await?;
    Ok(Reply(wanted.into()))
}

async fn show_channel(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
) -> Result<Reply<ChannelView>> {
    let member = Member { channel_id, user_id: &caller.user_id };
    Ok(Reply(preference::of_channel(&api.store, member).await?.into()))
}

async fn replace_channel(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
    Json(wanted): Json<WantedOfChannel>,
) -> Result<Reply<ChannelView>> {
    let wanted = ChannelPreference::from(wanted);
    let member = Member { channel_id, user_id: &caller.user_id };
    // The clock of the database, by which pushes judge the end.
    let now = api.store.now().await?;
    preference::put_channel(&api.store, member, &wanted, api.config.chat.pinned_max, now).await?;
    Ok(Reply(preference::of_channel(&api.store, member).await?.into()))
}
