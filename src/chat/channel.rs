//! Channels: direct channels and groups, their members and roles.
//!
//! Every change of members locks the channel's row first. A join or leave therefore falls between two
//! messages, never inside one.

pub mod department;
pub mod direct;
pub mod group;
pub mod invite;
pub mod joining;
pub mod leavers;
pub mod members;
mod membership;
pub mod oversight;
pub mod silence;
mod values;

use deadpool_postgres::Transaction;
use serde_json::Value;
use time::OffsetDateTime;

use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store};
use crate::events::{self, NewEvent, Type};
use crate::people::users::unknown_user;
use crate::sql;

pub(super) use membership::lock;
pub use values::{ChannelType, JoinRule, MemberRole, NewcomersSee, WhoAdds, WhoSends};

/// A channel as one of its members sees it.
#[derive(Debug, Clone)]
pub struct Channel {
    pub channel_id: ChannelId,
    pub channel_type: ChannelType,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub announcement: Option<String>,
    pub creator: String,
    pub owner: Option<String>,
    pub create_time: OffsetDateTime,
    pub newcomers_see: NewcomersSee,
    pub who_sends: WhoSends,
    pub description: Option<String>,
    pub join: JoinRule,
    pub who_adds: WhoAdds,
    /// Whether a search finds the group although it is closed.
    pub findable: bool,
    /// Whether it takes only messages that clients have encrypted.
    pub encrypted: bool,
    pub member_count: i32,
    pub last_seq: i64,
    pub dissolved_at: Option<OffsetDateTime>,
    /// The caller's own role.
    pub role: MemberRole,
    /// The department that the group follows.
    pub department_id: Option<String>,
}

/// Returns a channel of the caller. A channel of which the caller is no member is not found.
pub async fn get(store: &Store, channel_id: ChannelId, caller: &str) -> Result<Channel> {
    let row = store.opt(sql!("chat/channel/get"), &[&channel_id, &caller]).await?;
    let row = row.ok_or_else(no_channel)?;
    Ok(Channel {
        channel_id: row.get("channel_id"),
        channel_type: ChannelType::from_db(row.get("channel_type"))?,
        name: row.get("channel_name"),
        picture: row.get("picture"),
        announcement: row.get("announcement"),
        creator: row.get("creator"),
        owner: row.get("owner"),
        create_time: row.get("create_time"),
        newcomers_see: NewcomersSee::from_db(row.get("newcomers_see"))?,
        who_sends: WhoSends::from_db(row.get("who_sends"))?,
        description: row.get("description"),
        join: JoinRule::from_db(row.get("join_rule"))?,
        who_adds: WhoAdds::from_db(row.get("who_adds"))?,
        findable: row.get("findable"),
        encrypted: row.get("encrypted"),
        member_count: row.get("member_count"),
        last_seq: row.get("last_seq"),
        dissolved_at: row.get("dissolved_at"),
        role: MemberRole::from_db(row.get("role"))?,
        department_id: row.get("department_id"),
    })
}

/// Emits an event about a change by `caller`.
pub(super) async fn emit(
    tx: &Transaction<'_>,
    what: Type,
    (channel_id, caller): (ChannelId, &str),
    mut data: Value,
) -> Result<()> {
    data["channel_id"] = channel_id.to_string().into();
    events::emit(tx, NewEvent { what, channel_id, actor: caller, data, besides: &[] }).await
}

async fn check_users(store: &Store, users: &[String], at: &str) -> Result<()> {
    for (position, user) in users.iter().enumerate() {
        check_id(user).map_err(|reason| Error::field(format!("{at}/{position}"), reason))?;
    }
    match store.opt(sql!("chat/channel/unknown_users"), &[&users]).await? {
        None => Ok(()),
        Some(row) => Err(unknown_user(at, row.get(0))),
    }
}

pub(super) fn no_channel() -> Error {
    Error::not_found("no such channel")
}

pub(super) fn too_many(most: u32, pointer: &str) -> Error {
    Error::field(pointer, format!("a group can have at most {most} members"))
}
