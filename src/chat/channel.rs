//! Channels: direct channels and groups, their members and roles.
//!
//! Every change of members locks the channel's row first. A join or leave therefore falls between two
//! messages, never inside one.

pub mod leavers;

pub mod department;
pub mod direct;
pub mod oversight;
mod values;

use std::collections::HashSet;
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::{is_blank, is_label};
use crate::events::{self, NewEvent, Type};
use crate::people::users::unknown_user;
use crate::sql;

pub use values::{ChannelType, MemberRole, NewcomersSee, WhoSends};

/// Members added to an existing channel in one transaction. Senders wait for one step at most.
const JOIN_STEP: usize = 1_000;
/// Pause between two such transactions.
const JOIN_PAUSE: Duration = Duration::from_millis(10);
const NAME_MAX_CHARS: usize = 255;
const ANNOUNCEMENT_MAX_CHARS: usize = 4_000;
const PICTURE_MAX_CHARS: usize = 2_048;

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
    pub member_count: i32,
    pub last_seq: i64,
    pub dissolved_at: Option<OffsetDateTime>,
    /// The caller's own role.
    pub role: MemberRole,
    /// The department that the group follows.
    pub department_id: Option<String>,
}

/// A new group. Its creator is the owner.
#[derive(Debug)]
pub struct NewGroup {
    pub name: Option<String>,
    pub picture: Option<String>,
    pub newcomers_see: Option<String>,
    pub who_sends: Option<String>,
    pub members: Vec<String>,
    /// The caller's own id of this request. It makes a repeat safe.
    pub client_id: Option<String>,
}

impl NewGroup {
    fn claim<'a>(&'a self, caller: &'a str) -> Option<Claim<'a>> {
        self.client_id.as_deref().map(|client_id| Claim { caller, call: "group", client_id })
    }

    fn digest(&self) -> Result<Vec<u8>> {
        claim::digest(&(&self.name, &self.picture, &self.newcomers_see, &self.who_sends, &self.members))
    }

    /// Checks the texts of the group. The members are checked elsewhere.
    pub fn check(&self) -> Result<()> {
        check_label("/name", self.name.as_deref(), NAME_MAX_CHARS)?;
        check_label("/picture", self.picture.as_deref(), PICTURE_MAX_CHARS)?;
        check_newcomers_see(self.newcomers_see.as_deref())?;
        check_who_sends(self.who_sends.as_deref())
    }
}

/// A change of a group. An outer `None` leaves the value, an inner `None` clears it.
#[derive(Debug, Default)]
pub struct Change {
    pub name: Option<Option<String>>,
    pub picture: Option<Option<String>>,
    pub announcement: Option<Option<String>>,
    pub newcomers_see: Option<String>,
    pub who_sends: Option<String>,
}

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
}

/// The caller's membership, read while the channel is locked.
pub(super) struct Membership {
    is_group: bool,
    owner: Option<String>,
    pub(super) member_count: i32,
    dissolved: bool,
    role: MemberRole,
    follows_department: bool,
    /// How many of the members are robots.
    robot_count: i32,
}

/// The place of another member.
struct OtherMember {
    role: MemberRole,
    is_robot: bool,
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
        member_count: row.get("member_count"),
        last_seq: row.get("last_seq"),
        dissolved_at: row.get("dissolved_at"),
        role: MemberRole::from_db(row.get("role"))?,
        department_id: row.get("department_id"),
    })
}

/// Creates a group owned by `caller`. All its members are there at once.
///
/// Returns its id and whether it is new. A repeat with the same `client_id` returns the first group.
pub async fn create_group(
    store: &Store,
    caller: &str,
    group: &NewGroup,
    most_members: u32,
    now: OffsetDateTime,
) -> Result<(ChannelId, bool)> {
    group.check()?;
    check_users(store, &group.members, "/members").await?;
    let mut seen = HashSet::from([caller]);
    let members: Vec<&str> = group.members.iter().map(String::as_str).filter(|m| seen.insert(m)).collect();
    if members.len() >= most_members as usize {
        return Err(too_many(most_members, "/members"));
    }
    let newcomers_see = group.newcomers_see.as_deref().unwrap_or(NewcomersSee::Nothing.as_str());
    let who_sends = group.who_sends.as_deref().unwrap_or(WhoSends::Everybody.as_str());
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let params: [&(dyn ToSql + Sync); 7] =
        [&caller, &group.name, &group.picture, &newcomers_see, &members, &now, &who_sends];
    let channel_id: ChannelId = tx.one(sql!("chat/channel/create_group"), &params).await?.get(0);
    let count = members.len() + 1;
    let data = json!({"channel_type": "group", "name": group.name, "creator": caller, "member_count": count});
    emit(&tx, Type::ChannelCreated, (channel_id, caller), data).await?;
    if let Some(claim) = group.claim(caller)
        && !claim.keep(&tx, &group.digest()?, (channel_id.0, now)).await?
    {
        drop(tx);
        let made = made_before(store, caller, group).await?;
        return made.map(|id| (id, false)).ok_or_else(claim::forgotten);
    }
    tx.commit().await?;
    Ok((channel_id, true))
}

/// The group that was created with the same `client_id`.
pub async fn made_before(store: &Store, caller: &str, group: &NewGroup) -> Result<Option<ChannelId>> {
    let Some(claim) = group.claim(caller) else { return Ok(None) };
    let kept = claim.kept(&store.client().await?).await?;
    kept.map(|kept| kept.of(&group.digest()?).map(ChannelId)).transpose()
}

/// Changes name, picture, announcement, `newcomers_see` or `who_sends` of a group. Only for the owner and admins.
pub async fn update(store: &Store, channel_id: ChannelId, caller: &str, change: Change) -> Result<()> {
    check_label("/name", change.name.as_ref().and_then(Option::as_deref), NAME_MAX_CHARS)?;
    check_label("/picture", change.picture.as_ref().and_then(Option::as_deref), PICTURE_MAX_CHARS)?;
    check_length(
        "/announcement",
        change.announcement.as_ref().and_then(Option::as_deref),
        ANNOUNCEMENT_MAX_CHARS,
    )?;
    check_newcomers_see(change.newcomers_see.as_deref())?;
    check_who_sends(change.who_sends.as_deref())?;
    retrying(|| update_once(store, channel_id, caller, &change)).await
}

async fn update_once(store: &Store, channel_id: ChannelId, caller: &str, change: &Change) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, channel_id, caller).await?.must_manage()?;
    tx.run(
        sql!("chat/channel/update"),
        &[
            &channel_id,
            &change.name.is_some(),
            &change.name.as_ref().and_then(Option::as_ref),
            &change.picture.is_some(),
            &change.picture.as_ref().and_then(Option::as_ref),
            &change.announcement.is_some(),
            &change.announcement.as_ref().and_then(Option::as_ref),
            &change.newcomers_see,
            &change.who_sends,
        ],
    )
    .await?;
    let changed = [
        ("name", change.name.is_some()),
        ("picture", change.picture.is_some()),
        ("announcement", change.announcement.is_some()),
        ("newcomers_see", change.newcomers_see.is_some()),
        ("who_sends", change.who_sends.is_some()),
    ];
    let changed: Vec<&str> = changed.iter().filter(|(_, is)| *is).map(|(what, _)| *what).collect();
    emit(&tx, Type::ChannelUpdated, (channel_id, caller), json!({"changed": changed})).await?;
    Ok(tx.commit().await?)
}

/// Dissolves a group. Members can still read its history. Only for the owner.
pub async fn dissolve(store: &Store, channel_id: ChannelId, caller: &str, now: OffsetDateTime) -> Result<()> {
    retrying(|| dissolve_once(store, channel_id, caller, now)).await
}

async fn dissolve_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    now: OffsetDateTime,
) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, channel_id, caller).await?.must_own()?;
    dissolve_channel(&tx, channel_id, caller, now).await?;
    Ok(tx.commit().await?)
}

/// Adds members in short steps, so that the channel is never locked for long. Returns the number of new
/// members. A direct channel becomes a group owned by the caller. A repeat is safe.
pub async fn add_members(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    joiners: Joiners<'_>,
) -> Result<u64> {
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
    place.must_be_open()?;
    place.must_not_follow()?;
    let count = seat(&tx, channel_id, caller, (users, now)).await?;
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

/// Makes users members of a channel that an earlier statement locks. Returns how many were none.
pub(super) async fn seat(
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

/// Removes a member from a group. Only for the owner and admins. The owner cannot be removed.
pub async fn remove_member(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
    retrying(|| remove_member_once(store, channel_id, caller, user)).await
}

async fn remove_member_once(store: &Store, channel_id: ChannelId, caller: &str, user: &str) -> Result<()> {
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
pub async fn members(
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
        })
    };
    rows.iter().map(member).collect()
}

impl MemberRole {
    /// Refuses a member who is neither the owner nor an admin.
    pub(super) fn must_manage(self) -> Result<()> {
        match self {
            Self::Owner | Self::Admin => Ok(()),
            Self::Member => {
                Err(Error::new(Kind::Forbidden, "only the owner and admins of the group can do this"))
            }
        }
    }
}

impl Membership {
    fn must_be_group(&self) -> Result<()> {
        if self.is_group {
            Ok(())
        } else {
            Err(Error::new(Kind::Conflict, "a direct channel has no roles; only a group supports this"))
        }
    }

    fn must_be_open(&self) -> Result<()> {
        if self.dissolved { Err(Error::new(Kind::ChannelDissolved, "")) } else { Ok(()) }
    }

    /// Refuses to change members of a group that follows a department and is not dissolved.
    fn must_not_follow(&self) -> Result<()> {
        if self.follows_department && !self.dissolved {
            return Err(Error::new(
                Kind::Conflict,
                "this group follows a department: change the department instead",
            ));
        }
        Ok(())
    }

    /// Refuses a caller who is no admin of an open group.
    pub(super) fn must_manage(&self) -> Result<()> {
        self.must_be_group()?;
        self.must_be_open()?;
        self.role.must_manage()
    }

    fn must_own(&self) -> Result<()> {
        self.must_be_group()?;
        self.must_be_open()?;
        match self.role {
            MemberRole::Owner => Ok(()),
            MemberRole::Admin | MemberRole::Member => {
                Err(Error::new(Kind::Forbidden, "only the owner of the group can do this"))
            }
        }
    }
}

/// Locks a channel, and returns the membership of the caller.
pub(super) async fn lock(tx: &Transaction<'_>, channel_id: ChannelId, caller: &str) -> Result<Membership> {
    let statement = tx.prepare_cached(sql!("chat/channel/lock")).await?;
    // The first read can be older than the lock. Read the membership again once the lock is held.
    tx.query_opt(&statement, &[&channel_id, &caller]).await?.ok_or_else(no_channel)?;
    let row = tx.query_opt(&statement, &[&channel_id, &caller]).await?.ok_or_else(no_channel)?;
    Ok(Membership {
        is_group: ChannelType::from_db(row.get("channel_type"))? == ChannelType::Group,
        owner: row.get("owner"),
        member_count: row.get("member_count"),
        dissolved: row.get::<_, Option<OffsetDateTime>>("dissolved_at").is_some(),
        role: MemberRole::from_db(row.get("role"))?,
        follows_department: row.get("follows_department"),
        robot_count: row.get("robot_count"),
    })
}

async fn find_member(tx: &Transaction<'_>, channel_id: ChannelId, user: &str) -> Result<Option<OtherMember>> {
    let row = tx.opt(sql!("chat/channel/member_role"), &[&channel_id, &user]).await?;
    row.map(|row| {
        Ok(OtherMember { role: MemberRole::from_db(row.get("role"))?, is_robot: row.get("is_robot") })
    })
    .transpose()
}

async fn other_member(tx: &Transaction<'_>, channel_id: ChannelId, user: &str) -> Result<OtherMember> {
    find_member(tx, channel_id, user).await?.ok_or_else(|| Error::not_found("no such member"))
}

/// Ends a membership, and tells of it.
pub(super) async fn remove_membership(
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

async fn dissolve_channel(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    caller: &str,
    now: OffsetDateTime,
) -> Result<()> {
    tx.run(sql!("chat/channel/dissolve"), &[&channel_id, &now]).await?;
    emit(tx, Type::ChannelDissolved, (channel_id, caller), json!({})).await
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

/// Checks a label: one visible line without directional overrides.
pub(super) fn check_label(pointer: &str, text: Option<&str>, most_chars: usize) -> Result<()> {
    if text.is_none_or(|text| is_label(text, most_chars)) {
        return Ok(());
    }
    let rule = format!(
        "must be one line of 1 to {most_chars} characters, at least one of them visible, without control \
         characters and without directional marks (U+202A to U+202E, U+2066 to U+2069)"
    );
    Err(Error::field(pointer, rule))
}

fn check_length(pointer: &str, text: Option<&str>, most_chars: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    if is_blank(text) || text.chars().count() > most_chars || text.contains('\0') {
        let bounds =
            format!("must have 1 to {most_chars} characters, at least one of them visible, without U+0000");
        return Err(Error::field(pointer, bounds));
    }
    Ok(())
}

fn check_newcomers_see(value: Option<&str>) -> Result<()> {
    match value.map(NewcomersSee::parse) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(Error::field("/newcomers_see", "must be nothing or everything")),
    }
}

fn check_who_sends(value: Option<&str>) -> Result<()> {
    match value.map(WhoSends::parse) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(Error::field("/who_sends", "must be everybody or admins")),
    }
}

pub(super) fn no_channel() -> Error {
    Error::not_found("no such channel")
}

pub(super) fn too_many(most: u32, pointer: &str) -> Error {
    Error::field(pointer, format!("a group can have at most {most} members"))
}
