//! Whoever has left the company leaves their groups: they are no receivers of what is said from then on.
//! In their direct channels they stay, so that what they said, and to whom, stays as it was.

use deadpool_postgres::Transaction;

use super::{end, part, tell};
use crate::error::Result;
use crate::event::Type;
use crate::schedule::Tick;
use crate::sql;
use crate::store::{Store, retrying};
use serde_json::json;

/// Takes somebody who has left out of one group, or forgets that they have left when they are in none.
pub async fn tick(store: &Store) -> Result<Tick> {
    retrying(|| step(store)).await
}

async fn step(store: &Store) -> Result<Tick> {
    let mut client = store.client().await?;
    let next = client.prepare_cached(sql!("channel/leaver")).await?;
    let Some(row) = client.query_opt(&next, &[]).await? else {
        return Ok(Tick::Idle);
    };
    let (user, channel_id): (String, Option<i64>) = (row.get("user_id"), row.get("channel_id"));
    let tx = client.transaction().await?;
    match channel_id {
        Some(channel_id) => leave(&tx, channel_id, &user).await?,
        None => {
            let statement = tx.prepare_cached(sql!("channel/forget_leaver")).await?;
            tx.execute(&statement, &[&user]).await?;
        }
    }
    tx.commit().await?;
    Ok(Tick::More)
}

/// Its owner hands a group over to the admin, or else the member, who has been in it longest.
async fn leave(tx: &Transaction<'_>, channel_id: i64, user: &str) -> Result<()> {
    let lock = tx.prepare_cached(sql!("channel/lock_for_leaver")).await?;
    tx.query(&lock, &[&channel_id]).await?;
    // Read again under the lock: they may have come back, or left by themselves.
    let place = tx.prepare_cached(sql!("channel/place_of_leaver")).await?;
    let Some(place) = tx.query_opt(&place, &[&channel_id, &user]).await? else {
        return Ok(());
    };
    if place.get::<_, bool>("owns") {
        match place.get::<_, Option<&str>>("heir") {
            Some(heir) => {
                let statement = tx.prepare_cached(sql!("channel/hand_over")).await?;
                tx.execute(&statement, &[&channel_id, &user, &heir]).await?;
                tell(tx, Type::ChannelUpdated, (channel_id, user), json!({"changed": ["owner"]})).await?;
            }
            None => end(tx, channel_id, user, place.get("now")).await?,
        }
    }
    part(tx, channel_id, user, user).await
}
