//! Silences: a member sends nothing to a group until a time. The member reads on. A silence outlasts a leave.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::members::other_member;
use super::membership::lock;
use super::{MemberRole, emit};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{self, Statements, Store, retrying};
use crate::events::Type;
use crate::sql;

/// The longest silence.
const SILENCE_MAX: Duration = Duration::days(366);

/// Silences a member until a time, or ends the silence. Only for the owner and admins. Only the owner can silence an admin.
pub async fn set(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    until: Option<OffsetDateTime>,
) -> Result<()> {
    retrying(|| set_once(store, channel_id, caller, user, until)).await
}

async fn set_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    until: Option<OffsetDateTime>,
) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_manage()?;
    let member = other_member(&tx, channel_id, user).await?;
    if member.is_robot {
        let detail = "a robot cannot be silenced: remove it with DELETE /channels/{id}/robots/{robot_id}";
        return Err(Error::new(Kind::Conflict, detail));
    }
    match member.role {
        MemberRole::Owner => return Err(Error::new(Kind::Conflict, "the owner cannot be silenced")),
        MemberRole::Admin if place.role != MemberRole::Owner => {
            return Err(Error::new(Kind::Forbidden, "only the owner can silence an admin"));
        }
        MemberRole::Admin | MemberRole::Member => {}
    }
    // The clock that sends are compared with.
    let now: OffsetDateTime = store::now(&tx).await?;
    match until {
        Some(until) if until <= now || until > now + SILENCE_MAX => {
            return Err(Error::field("/until", "must be in the future, and within 366 days"));
        }
        Some(until) => tx.run(sql!("chat/channel/silence"), &[&channel_id, &user, &until, &now]).await?,
        None => tx.run(sql!("chat/channel/end_silence"), &[&channel_id, &user]).await?,
    };
    emit(&tx, Type::ChannelUpdated, (channel_id, caller), json!({"changed": ["silences"]})).await?;
    Ok(tx.commit().await?)
}
