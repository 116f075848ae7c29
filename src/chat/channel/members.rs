//! The members of a channel: they join, leave, are removed, and have roles.

use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::group::dissolve_channel;
use super::membership::lock;
use super::{MemberRole, check_users, emit, get, too_many};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::events::{self, NewEvent, Type};
use crate::people::relation;
use crate::sql;

/// Members added to an existing channel in one transaction. Senders wait for one step at most.
pub const JOIN_STEP: usize = 1_000;
/// Pause between two such transactions.
pub const JOIN_PAUSE: Duration = Duration::from_millis(10);

/// The users to add, the member limit and the time.
#[derive(Debug, Clone, Copy)]
pub struct Joiners<'a> {
    pub users: &'a [String],
    pub most_members: u32,
    pub now: OffsetDateTime,
}

#[derive(Debug)]
pub struct Member {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub role: MemberRole,
    pub joined_at: OffsetDateTime,
    /// Until when the member sends nothing to the group.
    pub silenced_until: Option<OffsetDateTime>,
}

/// The place of another member.
pub(super) struct OtherMember {
    pub role: MemberRole,
    pub is_robot: bool,
}

/// Adds members in short steps, so that the channel is never locked for long. Returns the number of new
/// members. A direct channel becomes a group owned by the caller. A repeat is safe.
pub async fn add(store: &Store, channel_id: ChannelId, caller: &str, joiners: Joiners<'_>) -> Result<u64> {
    let Joiners { users, .. } = joiners;
    get(store, channel_id, caller).await?;
    check_users(store, users, "/user_ids").await?;
    let mut sorted = users.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let joining = count_newcomers(store, channel_id, &sorted).await?;
    if joining > i64::from(joiners.most_members) {
        return Err(too_many(joiners.most_members, "/user_ids"));
    }
    let mut added = 0;
    for (step, users) in sorted.chunks(JOIN_STEP).enumerate() {
        if step > 0 {
            // Lets waiting senders continue.
            tokio::time::sleep(JOIN_PAUSE).await;
        }
        let step = Joiners { users, ..joiners };
        added += retrying(|| join(store, channel_id, caller, step)).await?;
    }
    Ok(added)
}

/// The member count after the join. A join that exceeds the limit changes nothing.
async fn count_newcomers(store: &Store, channel_id: ChannelId, users: &[String]) -> Result<i64> {
    Ok(store.one(sql!("chat/channel/count_joined"), &[&channel_id, &users]).await?.get(0))
}

async fn join(store: &Store, channel_id: ChannelId, caller: &str, joiners: Joiners<'_>) -> Result<u64> {
    let Joiners { users, most_members, now } = joiners;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_add()?;
    must_not_be_blocked(&tx, caller, users).await?;
    let count = insert(&tx, channel_id, caller, (users, now)).await?;
    if count > 0 && !place.is_group {
        tx.run(sql!("chat/channel/upgrade"), &[&channel_id, &caller]).await?;
        let data = json!({"changed": ["channel_type"]});
        emit(&tx, Type::ChannelUpdated, (channel_id, caller), data).await?;
    }
    if i64::from(place.member_count) + count > i64::from(most_members) {
        return Err(too_many(most_members, "/user_ids"));
    }
    tx.commit().await?;
    Ok(count.unsigned_abs())
}

/// Refuses users who block the caller by now. The answer names no position: these are not in the caller's order.
async fn must_not_be_blocked(tx: &Transaction<'_>, caller: &str, users: &[String]) -> Result<()> {
    let checked = relation::check_not_blocked(tx, caller, users, "/user_ids").await;
    checked.map_err(|error| if error.kind == Kind::Blocked { error.at("/user_ids") } else { error })
}

/// Makes users members of a channel that an earlier statement locks. Returns how many were none.
pub async fn insert(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    actor: &str,
    (users, now): (&[String], OffsetDateTime),
) -> Result<i64> {
    let row = tx.one(sql!("chat/channel/join"), &[&channel_id, &users, &now]).await?;
    let joined: Vec<&str> = row.get("joined");
    let count = joined.len() as i64;
    if count > 0 {
        let data = json!({"user_ids": joined});
        emit(tx, Type::ChannelMembersAdded, (channel_id, actor), data).await?;
    }
    Ok(count)
}

/// Removes a member from a group. Only for the owner and admins. The owner cannot be removed. The user does not join again
/// alone: a member adds the user, or an admin agrees to a request.
pub async fn remove(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
    retrying(|| remove_once(store, channel_id, caller, user)).await
}

async fn remove_once(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_manage()?;
    place.must_not_follow()?;
    let member = other_member(&tx, channel_id, user).await?;
    if member.is_robot {
        let detail = "remove a robot with DELETE /channels/{id}/robots/{robot_id}";
        return Err(Error::new(Kind::Conflict, detail));
    }
    match member.role {
        MemberRole::Owner => {
            return Err(Error::new(
                Kind::Conflict,
                "the owner cannot be removed: transfer ownership first, with POST /channels/{id}/owner",
            ));
        }
        MemberRole::Admin if place.role != MemberRole::Owner => {
            return Err(Error::new(Kind::Forbidden, "only the owner can remove an admin"));
        }
        MemberRole::Admin | MemberRole::Member => {}
    }
    remove_membership(&tx, channel_id, caller, user).await?;
    tx.run(sql!("chat/channel/note_removed"), &[&channel_id, &user]).await?;
    Ok(tx.commit().await?)
}

/// Leaves a group. The owner must transfer ownership first. An owner who is the last member dissolves the
/// group.
pub async fn leave(store: &Store, channel_id: ChannelId, caller: &str, now: OffsetDateTime) -> Result<()> {
    retrying(|| leave_once(store, channel_id, caller, now)).await
}

async fn leave_once(store: &Store, channel_id: ChannelId, caller: &str, now: OffsetDateTime) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_be_group()?;
    place.must_not_follow()?;
    // Robots do not read, so they do not keep a group open.
    let others = place.member_count - place.robot_count - 1;
    if place.role == MemberRole::Owner && others > 0 && !place.dissolved {
        return Err(Error::new(
            Kind::Conflict,
            "transfer ownership with POST /channels/{id}/owner before leaving",
        ));
    }
    if others == 0 && !place.dissolved {
        dissolve_channel(&tx, channel_id, caller, now).await?;
    }
    remove_membership(&tx, channel_id, caller, caller).await?;
    Ok(tx.commit().await?)
}

/// Transfers ownership to another member. Only for the owner.
pub async fn hand_over(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
    retrying(|| hand_over_once(store, channel_id, caller, user)).await
}

async fn hand_over_once(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_own()?;
    let member = find_member(&tx, channel_id, user).await?.filter(|member| !member.is_robot);
    if member.is_none() {
        return Err(Error::field("/user_id", "is not a member of the group, or is a robot"));
    }
    if place.owner.as_deref() != Some(user) {
        tx.run(sql!("chat/channel/hand_over"), &[&channel_id, &caller, &user]).await?;
        emit(&tx, Type::ChannelUpdated, (channel_id, caller), json!({"changed": ["owner"]})).await?;
    }
    Ok(tx.commit().await?)
}

/// Changes a role between admin and member. Only for the owner.
pub async fn set_role(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    role: &str,
) -> Result<()> {
    if !matches!(MemberRole::parse(role), Some(MemberRole::Admin | MemberRole::Member)) {
        return Err(Error::field("/role", "must be admin or member"));
    }
    retrying(|| set_role_once(store, channel_id, caller, user, role)).await
}

async fn set_role_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    role: &str,
) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, channel_id, caller).await?.must_own()?;
    let member = other_member(&tx, channel_id, user).await?;
    if member.is_robot {
        return Err(Error::new(Kind::Conflict, "a robot has no role"));
    }
    if member.role == MemberRole::Owner {
        return Err(Error::new(Kind::Conflict, "transfer ownership with POST /channels/{id}/owner"));
    }
    tx.run(sql!("chat/channel/set_role"), &[&channel_id, &user, &role]).await?;
    emit(&tx, Type::ChannelUpdated, (channel_id, caller), json!({"changed": ["roles"]})).await?;
    Ok(tx.commit().await?)
}

/// One page of members by user id, after `after`.
pub async fn list(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Member>> {
    get(store, channel_id, caller).await?;
    let rows = store.all(sql!("chat/channel/members"), &[&channel_id, &after, &limit]).await?;
    let member = |row: &Row| {
        Ok(Member {
            user_id: row.get("user_id"),
            name: row.get("name"),
            head_icon: row.get("head_icon"),
            role: MemberRole::from_db(row.get("role"))?,
            joined_at: row.get("joined_at"),
            silenced_until: row.get("silenced_until"),
        })
    };
    rows.iter().map(member).collect()
}

async fn find_member(tx: &Transaction<'_>, channel_id: ChannelId, user: &str) -> Result<Option<OtherMember>> {
    let row = tx.opt(sql!("chat/channel/member_role"), &[&channel_id, &user]).await?;
    row.map(|row| {
        Ok(OtherMember { role: MemberRole::from_db(row.get("role"))?, is_robot: row.get("is_robot") })
    })
    .transpose()
}

pub(super) async fn other_member(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    user: &str,
) -> Result<OtherMember> {
    find_member(tx, channel_id, user).await?.ok_or_else(|| Error::not_found("no such member"))
}

/// Ends a membership, and tells of it.
pub async fn remove_membership(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
) -> Result<()> {
    tx.run(sql!("chat/channel/remove_membership"), &[&channel_id, &user]).await?;
    let data = json!({"channel_id": channel_id.to_string(), "user_ids": [user]});
    let (what, besides) = (Type::ChannelMembersRemoved, &[user][..]);
    events::emit(tx, NewEvent { what, channel_id, actor: caller, data, besides }).await
}
