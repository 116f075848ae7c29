//! Removes users who have left the company from their groups, so that they receive no new messages. They stay
//! in their direct channels, so that the history keeps both names. Users who return soon enough get their
//! groups back, for example after a mistaken removal.

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};

use super::{dissolve_channel, emit, remove_membership};
use crate::base::error::Result;
use crate::base::store::{Store, retrying};
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
    let next = client.prepare_cached(sql!("chat/channel/leaver")).await?;
    let Some(row) = client.query_opt(&next, &[]).await? else {
        return Ok(Tick::Idle);
    };
    let (user, channel_id): (String, Option<i64>) = (row.get("user_id"), row.get("channel_id"));
    let tx = client.transaction().await?;
    match channel_id {
        Some(channel_id) if row.get("is_back") => come_back(&tx, channel_id, &user, returns).await?,
        Some(channel_id) => leave(&tx, channel_id, &user).await?,
        None => {
            let statement = tx.prepare_cached(sql!("chat/channel/forget_leaver")).await?;
            tx.execute(&statement, &[&user]).await?;
        }
    }
    tx.commit().await?;
    Ok(Tick::More)
}

/// Forgets a batch of groups to which it is too late to return.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("chat/channel/prune_left")).await?;
    Ok(client.execute(&statement, &[&before, &most]).await?)
}

async fn come_back(tx: &Transaction<'_>, channel_id: i64, user: &str, returns: Returns) -> Result<()> {
    let lock = tx.prepare_cached(sql!("chat/channel/lock_for_leaver")).await?;
    tx.query(&lock, &[&channel_id]).await?;
    let clock = tx.prepare_cached(sql!("base/store/now")).await?;
    let now: OffsetDateTime = tx.query_one(&clock, &[]).await?.get(0);
    let statement = tx.prepare_cached(sql!("chat/channel/take_back")).await?;
    let most = i32::try_from(returns.most_members).unwrap_or(i32::MAX);
    let earliest = now - returns.within;
    let Some(row) = tx.query_opt(&statement, &[&channel_id, &user, &earliest, &most]).await? else {
        return Ok(());
    };
    let role: &str = row.get("role");
    let statement = tx.prepare_cached(sql!("chat/channel/join")).await?;
    tx.query_one(&statement, &[&channel_id, &&[user][..], &now]).await?;
    let statement = tx.prepare_cached(sql!("chat/channel/set_role")).await?;
    tx.execute(&statement, &[&channel_id, &user, &role]).await?;
    emit(tx, Type::ChannelMembersAdded, (channel_id, user), json!({"user_ids": [user]})).await
}

/// Transfers ownership to the admin with the longest membership, or else to such a member. Then leaves.
async fn leave(tx: &Transaction<'_>, channel_id: i64, user: &str) -> Result<()> {
    let lock = tx.prepare_cached(sql!("chat/channel/lock_for_leaver")).await?;
    tx.query(&lock, &[&channel_id]).await?;
    // The user can return or leave in between, so read the membership again under the lock.
    let place = tx.prepare_cached(sql!("chat/channel/place_of_leaver")).await?;
    let Some(place) = tx.query_opt(&place, &[&channel_id, &user]).await? else {
        return Ok(());
    };
    let note = tx.prepare_cached(sql!("chat/channel/note_left")).await?;
    tx.execute(&note, &[&channel_id, &user]).await?;
    if place.get::<_, bool>("owns") {
        match place.get::<_, Option<&str>>("heir") {
            Some(heir) => {
                let statement = tx.prepare_cached(sql!("chat/channel/hand_over")).await?;
                tx.execute(&statement, &[&channel_id, &user, &heir]).await?;
                emit(tx, Type::ChannelUpdated, (channel_id, user), json!({"changed": ["owner"]})).await?;
            }
            None => dissolve_channel(tx, channel_id, user, place.get("now")).await?,
        }
    }
    remove_membership(tx, channel_id, user, user).await
}
