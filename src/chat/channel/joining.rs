//! Users join groups by themselves: at once, or after an admin has let them in. A search finds these groups.

use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::members::insert;
use super::{JoinRule, check_users, get, membership, no_channel};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{self, Statements, Store, retrying};
use crate::base::text::{fold, is_blank};
use crate::sql;

/// Most characters of the message of a request.
const MESSAGE_MAX_CHARS: usize = 500;
/// Most admins who are told of a request.
const TOLD_MAX: i64 = 200;
/// Groups that one page of a search reads. A page ends there, full or not.
const LOOK_MAX: i64 = 2_000;

/// What a user who wants to join must know of a group. It is locked.
pub(super) struct Place {
    pub join: JoinRule,
    pub is_member: bool,
    /// Whether the owner or an admin has removed the user.
    was_removed: bool,
    findable: bool,
    member_count: i32,
}

/// A user who waits to join.
#[derive(Debug)]
pub struct JoinRequest {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub message: Option<String>,
    pub requested_at: OffsetDateTime,
}

/// An answer to a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Approve { most_members: u32 },
    Decline,
}

/// A group that a search has found.
#[derive(Debug)]
pub struct Found {
    pub channel_id: ChannelId,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub description: Option<String>,
    pub member_count: i32,
    pub join: JoinRule,
    pub is_member: bool,
}

impl Place {
    pub fn must_have_room(&self, most_members: u32) -> Result<()> {
        if i64::from(self.member_count) < i64::from(most_members) {
            return Ok(());
        }
        Err(Error::new(Kind::Conflict, format!("the group has {most_members} members and is full")))
    }

    /// Refuses a user that the owner or an admin has removed.
    pub fn must_not_be_removed(&self) -> Result<()> {
        if !self.was_removed {
            return Ok(());
        }
        let detail = if self.takes_requests() {
            "an admin has removed you from the group: ask a member to add you, or POST /channels/{id}/requests"
        } else {
            "an admin has removed you from the group: ask a member to add you"
        };
        Err(Error::new(Kind::Forbidden, detail))
    }

    /// Whether the user can ask to join. A user who was removed asks also where others join at once.
    fn takes_requests(&self) -> bool {
        self.join == JoinRule::Request || self.join == JoinRule::Open && self.was_removed
    }

    /// Why a user cannot join in the way that was tried. A group that cannot be found does not exist for the user.
    fn refusal(&self) -> Error {
        match self.join {
            JoinRule::Closed if !self.findable => no_channel(),
            JoinRule::Closed => Error::new(Kind::Forbidden, "the group is closed: ask a member to add you"),
            JoinRule::Request => Error::new(Kind::Forbidden, "ask to join with POST /channels/{id}/requests"),
            JoinRule::Code => {
                Error::new(Kind::Forbidden, "ask a member for a code, and join with POST /channels/join")
            }
            JoinRule::Open => {
                Error::new(Kind::Conflict, "the group is open: join with POST /channels/{id}/join")
            }
        }
    }
}

/// Locks a group for a user who wants to join. None: there is no such group, or it is dissolved.
/// Take a turn of the store before: the lock of an open group is wanted by many.
pub(super) async fn lock(tx: &Transaction<'_>, channel_id: ChannelId, user: &str) -> Result<Option<Place>> {
    // The first read can be older than the lock.
    tx.opt(sql!("chat/channel/lock_to_join"), &[&channel_id, &user]).await?;
    let Some(row) = tx.opt(sql!("chat/channel/lock_to_join"), &[&channel_id, &user]).await? else {
        return Ok(None);
    };
    let join = JoinRule::from_db(row.get("join_rule"))?;
    let follows: bool = row.get("follows_department");
    Ok(Some(Place {
        // The members of a department group follow the department.
        join: if follows { JoinRule::Closed } else { join },
        is_member: row.get("is_member"),
        was_removed: row.get("was_removed"),
        findable: row.get("findable"),
        member_count: row.get("member_count"),
    }))
}

/// Makes the user a member of a group that is locked.
pub(super) async fn add_joiner(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    user: &str,
    now: OffsetDateTime,
) -> Result<()> {
    insert(tx, channel_id, user, (&[user.to_owned()], now)).await?;
    Ok(())
}

/// Joins an open group. A repeat is safe.
pub async fn join(store: &Store, channel_id: ChannelId, user: &str, most_members: u32) -> Result<()> {
    retrying(|| join_once(store, channel_id, user, most_members)).await
}

async fn join_once(store: &Store, channel_id: ChannelId, user: &str, most_members: u32) -> Result<()> {
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, user).await?.ok_or_else(no_channel)?;
    if place.is_member {
        return Ok(());
    }
    if place.join != JoinRule::Open {
        return Err(place.refusal());
    }
    place.must_not_be_removed()?;
    place.must_have_room(most_members)?;
    add_joiner(&tx, channel_id, user, store::now(&tx).await?).await?;
    Ok(tx.commit().await?)
}

/// Asks to join a group. Its owner and admins are told. A repeat keeps its place. Returns when it was first asked.
pub async fn ask(
    store: &Store,
    channel_id: ChannelId,
    user: &str,
    message: Option<&str>,
    most: u32,
) -> Result<OffsetDateTime> {
    let fits =
        |text: &str| !is_blank(text) && text.chars().count() <= MESSAGE_MAX_CHARS && !text.contains('\0');
    if !message.is_none_or(fits) {
        let detail = format!(
            "must have 1 to {MESSAGE_MAX_CHARS} characters, at least one of them visible, without U+0000"
        );
        return Err(Error::field("/message", detail));
    }
    retrying(|| ask_once(store, channel_id, user, message, most)).await
}

async fn ask_once(
    store: &Store,
    channel_id: ChannelId,
    user: &str,
    message: Option<&str>,
    most: u32,
) -> Result<OffsetDateTime> {
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, user).await?.ok_or_else(no_channel)?;
    if place.is_member {
        return Err(Error::new(Kind::Conflict, "you are a member of the group already"));
    }
    if !place.takes_requests() {
        return Err(place.refusal());
    }
    let most = i64::from(most);
    let waiting: i64 =
        tx.one(sql!("chat/channel/count_requests"), &[&channel_id, &user, &most]).await?.get(0);
    if waiting >= most {
        let detail = format!("{most} users wait for this group: ask again later");
        return Err(Error::new(Kind::Conflict, detail));
    }
    let now: OffsetDateTime = store::now(&tx).await?;
    let row = tx.one(sql!("chat/channel/keep_request"), &[&channel_id, &user, &message, &now]).await?;
    if row.get("is_new") {
        tell(&tx, channel_id, (user, user), "waiting").await?;
    }
    tx.commit().await?;
    Ok(row.get("requested_at"))
}

/// Withdraws the caller's request. A repeat is safe.
pub async fn withdraw(store: &Store, channel_id: ChannelId, user: &str) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        if tx.run(sql!("chat/channel/take_request"), &[&channel_id, &user]).await? > 0 {
            tell(&tx, channel_id, (user, user), "withdrawn").await?;
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// One page of the users who wait, by user id. Only for the owner and admins.
pub async fn requests(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    (after, limit): (&str, i64),
) -> Result<Vec<JoinRequest>> {
    get(store, channel_id, caller).await?.role.must_manage()?;
    let rows = store.all(sql!("chat/channel/requests"), &[&channel_id, &after, &limit]).await?;
    let request = |row: &Row| JoinRequest {
        user_id: row.get("user_id"),
        name: row.get("name"),
        head_icon: row.get("head_icon"),
        message: row.get("message"),
        requested_at: row.get("requested_at"),
    };
    Ok(rows.iter().map(request).collect())
}

/// Answers a request to join. Only for the owner and admins. The user is told.
pub async fn answer(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    answer: Answer,
) -> Result<()> {
    if let Answer::Approve { .. } = answer {
        // First: a stranger does not learn who waits.
        get(store, channel_id, caller).await?.role.must_manage()?;
        check_users(store, &[user.to_owned()], "/user_id").await.map_err(|_| no_request())?;
    }
    retrying(|| answer_once(store, channel_id, caller, user, answer)).await
}

async fn answer_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    user: &str,
    answer: Answer,
) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = membership::lock(&tx, channel_id, caller).await?;
    place.must_manage()?;
    place.must_not_follow()?;
    if tx.run(sql!("chat/channel/take_request"), &[&channel_id, &user]).await? == 0 {
        return Err(no_request());
    }
    let state = match answer {
        Answer::Approve { most_members } => {
            if i64::from(place.member_count) >= i64::from(most_members) {
                let detail = format!("the group has {most_members} members and is full");
                return Err(Error::new(Kind::Conflict, detail));
            }
            let now = store::now(&tx).await?;
            insert(&tx, channel_id, caller, (&[user.to_owned()], now)).await?;
            "approved"
        }
        Answer::Decline => "declined",
    };
    tell(&tx, channel_id, (caller, user), state).await?;
    Ok(tx.commit().await?)
}

/// A page of groups that may be found, newest first, and where it ends if there may be more. A page can be short.
pub async fn search(
    store: &Store,
    user: &str,
    typed: Option<&str>,
    (below, limit): (ChannelId, i64),
) -> Result<(Vec<Found>, Option<ChannelId>)> {
    let typed = typed.map(fold);
    let rows = store.all(sql!("chat/channel/search"), &[&typed, &below, &LOOK_MAX, &user, &limit]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(channel_id) = row.get("channel_id") else { continue };
        found.push(Found {
            channel_id,
            name: row.get("channel_name"),
            picture: row.get("picture"),
            description: row.get("description"),
            member_count: row.get("member_count"),
            join: JoinRule::from_db(row.get("join_rule"))?,
            is_member: row.get("is_member"),
        });
    }
    let next = if found.len() as i64 == limit {
        found.last().map(|last| last.channel_id)
    } else {
        rows.first().filter(|row| row.get::<_, i64>("looked") == LOOK_MAX).map(|row| row.get("reached"))
    };
    Ok((found, next))
}

/// Tells the owner, the admins and the user of a request.
async fn tell(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    (actor, user): (&str, &str),
    state: &str,
) -> Result<()> {
    tx.one(sql!("chat/channel/tell_request"), &[&channel_id, &actor, &user, &state, &TOLD_MAX]).await?;
    Ok(())
}

fn no_request() -> Error {
    Error::not_found("no request of this user waits: it was withdrawn or answered")
}
