//! Removes users who have left the company from their groups, so that they receive no new messages. They stay
//! in their direct channels, so that the history keeps both names. Users who return soon enough get their
//! groups back, for example after a mistaken removal.

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};

use super::emit;
use super::group::dissolve_channel;
use super::members::{self, remove_membership};
use crate::base::error::Result;
use crate::base::number::ChannelId;
use crate::base::store::{self, Statements, Store, retrying};
use crate::base::worker::Tick;
use crate::events::Type;
use crate::sql;
use serde_json::json;

/// Rules for users who return to a group.
#[derive(Debug, Clone, Copy)]
pub struct Returns {
    pub within: Duration,
    pub most_members: u32,
}

/// Removes one leaver from one group, or returns one user to one group. Forgets the user when no group is
/// left.
pub async fn tick(store: &Store, returns: Returns) -> Result<Tick> {
    retrying(|| step(store, returns)).await
}

async fn step(store: &Store, returns: Returns) -> Result<Tick> {
    let mut client = store.client().await?;
    let Some(row) = client.opt(sql!("chat/channel/leaver"), &[]).await? else {
        return Ok(Tick::Idle);
    };
    let (user, channel_id): (String, Option<ChannelId>) = (row.get("user_id"), row.get("channel_id"));
    let tx = client.transaction().await?;
    match channel_id {
        Some(channel_id) if row.get("is_back") => come_back(&tx, channel_id, &user, returns).await?,
        Some(channel_id) => leave(&tx, channel_id, &user).await?,
        None => {
            tx.run(sql!("chat/channel/forget_leaver"), &[&user]).await?;
        }
    }
    tx.commit().await?;
    Ok(Tick::More)
}

/// Forgets a batch of groups to which it is too late to return.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("chat/channel/prune_left"), &[&before, &most]).await
}

async fn come_back(tx: &Transaction<'_>, channel_id: ChannelId, user: &str, returns: Returns) -> Result<()> {
    tx.all(sql!("chat/channel/lock_for_leaver"), &[&channel_id]).await?;
    let now: OffsetDateTime = store::now(tx).await?;
    let most = i32::try_from(returns.most_members).unwrap_or(i32::MAX);
    let earliest = now - returns.within;
    let Some(row) = tx.opt(sql!("chat/channel/rejoin"), &[&channel_id, &user, &earliest, &most]).await?
    else {
        return Ok(());
    };
    let role: &str = row.get("role");
    members::insert(tx, channel_id, user, (&[user.to_owned()], now)).await?;
    tx.run(sql!("chat/channel/set_role"), &[&channel_id, &user, &role]).await?;
    Ok(())
}

/// Transfers ownership to the admin with the longest membership, or else to such a member. Then leaves.
async fn leave(tx: &Transaction<'_>, channel_id: ChannelId, user: &str) -> Result<()> {
    tx.all(sql!("chat/channel/lock_for_leaver"), &[&channel_id]).await?;
    // The user can return or leave in between, so read the membership again under the lock.
    let Some(place) = tx.opt(sql!("chat/channel/place_of_leaver"), &[&channel_id, &user]).await? else {
        return Ok(());
    };
    tx.run(sql!("chat/channel/note_left"), &[&channel_id, &user]).await?;
    if place.get::<_, bool>("owns") {
        match place.get::<_, Option<&str>>("heir") {
            Some(heir) => {
                tx.run(sql!("chat/channel/hand_over"), &[&channel_id, &user, &heir]).await?;
                emit(tx, Type::ChannelUpdated, (channel_id, user), json!({"changed": ["owner"]})).await?;
            }
            None => dissolve_channel(tx, channel_id, user, place.get("now")).await?,
        }
    }
    remove_membership(tx, channel_id, user, user).await
}
