//! Direct channels: of two users, found or created.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;

use super::check_users;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store};
use crate::people::relation::{self, Between};
use crate::sql;

/// Returns the direct channel of the caller and `other`, and whether it is new. Both users can create it at
/// once. An existing channel is found even if the other user has left. A new one with a user who blocks the caller is
/// refused. So is an encrypted one, if the two have a plain one or if one of them is an application: the service itself makes
/// the channels of notifications, and their messages are plain.
pub async fn open(
    store: &Store,
    (caller, other): (&str, &str),
    encrypted: bool,
    now: OffsetDateTime,
) -> Result<(ChannelId, bool)> {
    // If the channel becomes a group in between, the pair is free again. Then create it.
    loop {
        if let Some((found, is_encrypted)) = find(store, caller, other).await? {
            if encrypted && !is_encrypted {
                let told = "the two have a direct channel, and it stays as it is: create an encrypted group of the two";
                return Err(Error::new(Kind::ChannelNotEncrypted, told));
            }
            return Ok((found, false));
        }
        let others = vec![other.to_owned()];
        check_users(store, &others, "/members").await?;
        if encrypted && store.one(sql!("chat/channel/any_application"), &[&vec![caller, other]]).await?.get(0)
        {
            let told = "must be false: an application is in the channel, and its messages are not encrypted";
            return Err(Error::field("/encrypted", told));
        }
        let _turn = store.turn().await?;
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        // The new members' rows copy the relation. It does not change meanwhile.
        relation::lock(&tx, Between { user_id: caller, other_id: other }).await?;
        relation::check_not_blocked(&tx, caller, &others, "/members").await?;
        let created = create(&tx, (caller, &[other]), encrypted, now).await?.first().copied();
        tx.commit().await?;
        if let Some(created) = created {
            return Ok((created, true));
        }
    }
}

/// The direct channels of a user with others, by the other user. Missing ones are created. They stay locked, as
/// in a send, until the transaction ends: none of them becomes a group before. Channels that another
/// transaction holds are left out.
pub async fn lock_all(
    tx: &Transaction<'_>,
    user: &str,
    others: &[&str],
    now: OffsetDateTime,
) -> Result<HashMap<String, ChannelId>> {
    create(tx, (user, others), false, now).await?;
    let rows = tx.all(sql!("chat/channel/lock_directs"), &[&user, &others]).await?;
    Ok(rows.iter().map(|row| (row.get("other"), row.get("channel_id"))).collect())
}

/// Creates the channels of the pairs that have none.
async fn create(
    client: &impl Statements,
    (user, others): (&str, &[&str]),
    encrypted: bool,
    now: OffsetDateTime,
) -> Result<Vec<ChannelId>> {
    let rows = client.all(sql!("chat/channel/create_directs"), &[&user, &others, &now, &encrypted]).await?;
    Ok(rows.iter().map(|row| row.get("channel_id")).collect())
}

/// The channel of a pair, and whether it is encrypted.
async fn find(store: &Store, one: &str, other: &str) -> Result<Option<(ChannelId, bool)>> {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    let row = store.opt(sql!("chat/channel/find_direct"), &[&low, &high]).await?;
    Ok(row.map(|row| (row.get("channel_id"), row.get("encrypted"))))
}
