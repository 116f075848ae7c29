//! Invites: codes with which users join a group by themselves.

use serde::Serialize;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;

use super::joining::add_joiner;
use super::membership::{Membership, lock};
use super::{JoinRule, MemberRole, WhoAdds, get};
use crate::base::claim::{self, Claim};
use crate::base::config::ChatSettings;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{self, Statements, Store, retrying};
use crate::sql;

/// The characters of a code: none of them is taken for another one.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// 80 random bits: a code cannot be guessed.
const CODE_CHARS: usize = 16;

/// An invite that can be used.
#[derive(Debug, Clone)]
pub struct Invite {
    pub invite_id: i64,
    pub code: String,
    pub uses_left: i32,
    pub expires_at: OffsetDateTime,
    pub created_by: String,
    pub created_at: OffsetDateTime,
}

/// An invite to create. What is left out is the most that the settings allow.
#[derive(Debug, Serialize)]
pub struct NewInvite {
    pub uses: Option<u32>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The caller's own id of this request. It makes a repeat safe.
    #[serde(skip)]
    pub client_id: Option<String>,
}

impl NewInvite {
    fn claim<'a>(&'a self, caller: &'a str) -> Option<Claim<'a>> {
        self.client_id.as_deref().map(|client_id| Claim { caller, call: "invite", client_id })
    }

    fn digest(&self, channel_id: ChannelId) -> Result<Vec<u8>> {
        claim::digest(&(channel_id.0, self))
    }
}

/// Creates an invite. For members who may add users. Returns it and whether it is new: a repeat with the same `client_id`
/// returns the first one.
pub async fn create(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    new: &NewInvite,
    settings: &ChatSettings,
) -> Result<(Invite, bool)> {
    if let Some(made) = made_before(store, channel_id, caller, new).await? {
        return Ok((made, false));
    }
    match retrying(|| create_once(store, channel_id, caller, new, settings)).await? {
        Some(invite) => Ok((invite, true)),
        None => {
            let made = made_before(store, channel_id, caller, new).await?;
            made.map(|invite| (invite, false)).ok_or_else(claim::forgotten)
        }
    }
}

/// None: another call has just created one with the same `client_id`.
async fn create_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    new: &NewInvite,
    settings: &ChatSettings,
) -> Result<Option<Invite>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    must_invite(&place)?;
    let now: OffsetDateTime = store::now(&tx).await?;
    let uses = new.uses.unwrap_or(settings.invite_uses_max);
    if !(1..=settings.invite_uses_max).contains(&uses) {
        return Err(Error::field("/uses", format!("must be 1 to {}", settings.invite_uses_max)));
    }
    let latest = now + Duration::days(settings.invite_expire_days.into());
    let expires_at = new.expires_at.unwrap_or(latest);
    if expires_at <= now || expires_at > latest {
        let detail = format!("must be in the future, and within {} days", settings.invite_expire_days);
        return Err(Error::field("/expires_at", detail));
    }
    tx.run(sql!("chat/channel/sweep_invites"), &[&channel_id, &now]).await?;
    let (code, uses) = (new_code()?, i32::try_from(uses).unwrap_or(i32::MAX));
    let most = i64::from(settings.invites_per_group);
    let row = tx
        .opt(
            sql!("chat/channel/create_invite"),
            &[&channel_id, &code, &uses, &expires_at, &caller, &now, &most],
        )
        .await?;
    let Some(row) = row else {
        return Err(Error::new(Kind::Conflict, format!("the group has {most} invites: revoke one first")));
    };
    let invite = invite(&row);
    if let Some(claim) = new.claim(caller)
        && !claim.keep(&tx, &new.digest(channel_id)?, (invite.invite_id, now)).await?
    {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(invite))
}

async fn made_before(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    new: &NewInvite,
) -> Result<Option<Invite>> {
    let Some(claim) = new.claim(caller) else { return Ok(None) };
    let Some(kept) = claim.kept(&store.client().await?).await? else { return Ok(None) };
    let invite_id = kept.of(&new.digest(channel_id)?)?;
    // A caller who has left the group since does not see the code.
    get(store, channel_id, caller).await?;
    let now = store.now().await?;
    let row = store
        .opt(sql!("chat/channel/invites"), &[&channel_id, &now, &Some(invite_id), &None::<&str>])
        .await?;
    row.map(|row| Some(invite(&row))).ok_or_else(claim::gone)
}

/// The invites of a group that can be used: all for the owner and admins, their own for other members who may add users.
pub async fn list(store: &Store, channel_id: ChannelId, caller: &str) -> Result<Vec<Invite>> {
    let channel = get(store, channel_id, caller).await?;
    if channel.who_adds == WhoAdds::Admins {
        channel.role.must_manage()?;
    }
    let creator = (channel.role == MemberRole::Member).then_some(caller);
    let now = store.now().await?;
    let rows = store.all(sql!("chat/channel/invites"), &[&channel_id, &now, &None::<i64>, &creator]).await?;
    Ok(rows.iter().map(invite).collect())
}

/// Revokes an invite. For the owner, admins and the member who created it.
pub async fn revoke(store: &Store, channel_id: ChannelId, caller: &str, invite_id: i64) -> Result<()> {
    let channel = get(store, channel_id, caller).await?;
    let creator = (channel.role == MemberRole::Member).then_some(caller);
    let revoked = store.run(sql!("chat/channel/revoke_invite"), &[&channel_id, &invite_id, &creator]).await?;
    if revoked == 0 { Err(Error::not_found("no such invite")) } else { Ok(()) }
}

/// Joins the group of a code. Returns the group. A member takes no use of the code.
pub async fn join(store: &Store, code: &str, user: &str, most_members: u32) -> Result<ChannelId> {
    retrying(|| join_once(store, code, user, most_members)).await
}

async fn join_once(store: &Store, code: &str, user: &str, most_members: u32) -> Result<ChannelId> {
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let now: OffsetDateTime = store::now(&tx).await?;
    let row = tx.opt(sql!("chat/channel/find_invite"), &[&code, &now]).await?.ok_or_else(no_code)?;
    let (invite_id, channel_id): (i64, ChannelId) = (row.get("invite_id"), row.get("channel_id"));
    let place = super::joining::lock(&tx, channel_id, user).await?.ok_or_else(no_code)?;
    if place.is_member {
        return Ok(channel_id);
    }
    if place.join == JoinRule::Closed {
        return Err(no_code());
    }
    place.must_not_be_removed()?;
    place.must_have_room(most_members)?;
    if tx.run(sql!("chat/channel/use_invite"), &[&invite_id, &now]).await? == 0 {
        return Err(no_code());
    }
    add_joiner(&tx, channel_id, user, now).await?;
    tx.commit().await?;
    Ok(channel_id)
}

fn must_invite(place: &Membership) -> Result<()> {
    place.must_be_group()?;
    place.must_add()?;
    if place.join == JoinRule::Closed {
        let detail = "no user joins this group by a code: set `join` to code, request or open first";
        return Err(Error::new(Kind::Conflict, detail));
    }
    Ok(())
}

fn new_code() -> Result<String> {
    let mut random = [0u8; CODE_CHARS];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

fn no_code() -> Error {
    Error::not_found("no such code, or it is expired, used up or revoked: ask a member for a new one")
}

fn invite(row: &Row) -> Invite {
    Invite {
        invite_id: row.get("invite_id"),
        code: row.get("code"),
        uses_left: row.get("uses_left"),
        expires_at: row.get("expires_at"),
        created_by: row.get("created_by"),
        created_at: row.get("created_at"),
    }
}
