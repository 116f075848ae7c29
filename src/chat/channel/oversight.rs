//! Channels as support and administrators see them, who need not be members.

use time::OffsetDateTime;
use tokio_postgres::Row;

use serde_json::json;

use super::{ChannelType, MemberRole, emit, no_channel};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::fold;
use crate::events::Type;
use crate::sql;

/// Channels that one read compares with the words of a search, and most reads of a page. A page with few channels
/// ends there, and its cursor continues.
const LOOK: i64 = 500;
const LOOKS_MAX: usize = 20;

/// A channel that is not the viewer's own.
#[derive(Debug)]
pub struct Overseen {
    pub channel_id: ChannelId,
    pub channel_type: ChannelType,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub creator: String,
    pub create_time: OffsetDateTime,
    pub owner: Option<Owner>,
    /// The two users of a direct channel.
    pub pair: Vec<(String, String)>,
    pub member_count: i32,
    pub last_seq: i64,
    pub last_server_time: Option<OffsetDateTime>,
    pub dissolved_at: Option<OffsetDateTime>,
    pub department_id: Option<String>,
    /// Whether the user that was asked for is a member now.
    pub is_member: Option<bool>,
}

#[derive(Debug)]
pub struct Owner {
    pub user_id: String,
    pub name: String,
    pub active: bool,
}

/// A user who is or was in a channel.
#[derive(Debug)]
pub struct Attendance {
    pub user_id: String,
    pub name: String,
    pub kind: String,
    pub active: bool,
    pub intervals: Vec<Interval>,
}

/// One membership: the messages that a user received, and those that the user may see.
#[derive(Debug)]
pub struct Interval {
    pub from_seq: i64,
    /// `None`: the user is a member now.
    pub to_seq: Option<i64>,
    pub sees_from_seq: i64,
    pub joined_at: OffsetDateTime,
    pub role: MemberRole,
    pub read_seq: i64,
    pub received_seq: i64,
}

/// A search for channels: in which a user is or was, or that have no active owner, and whose name contains a text.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub member: Option<&'a str>,
    pub words: Option<&'a str>,
    /// Only groups without an owner, and those whose owner is suspended or has left.
    pub ownerless: bool,
}

/// An ownership that an administrator transfers.
#[derive(Debug, Clone, Copy)]
pub struct Rescue<'a> {
    pub channel_id: ChannelId,
    pub new_owner: &'a str,
    pub admin: &'a str,
    pub reason: &'a str,
    pub now: OffsetDateTime,
}

/// Up to `limit` channels below an id, newest first. Also the id at which the next page continues, if there is one.
pub async fn find(
    store: &Store,
    wanted: Wanted<'_>,
    below: ChannelId,
    limit: usize,
) -> Result<(Vec<Overseen>, Option<ChannelId>)> {
    let words = wanted.words.map(fold);
    let (look, looks_max) = match (&words, wanted.ownerless) {
        (None, _) => (limit as i64, LOOKS_MAX),
        (Some(_), false) => (LOOK, LOOKS_MAX),
        // Each read asks for the groups of all users who have left. A page reads them once.
        (Some(_), true) => (LOOK * LOOKS_MAX as i64, 1),
    };
    let (mut found, mut below) = (Vec::new(), below);
    for _ in 0..looks_max {
        let rows = read(store, wanted.member, None, wanted.ownerless, (below, look)).await?;
        let ended = (rows.len() as i64) < look;
        for row in &rows {
            below = row.get("channel_id");
            let channel = overseen(row)?;
            if words.as_ref().is_none_or(|words| channel.is_called(words)) {
                found.push(channel);
            }
            if found.len() >= limit {
                return Ok((found, Some(below)));
            }
        }
        if ended {
            return Ok((found, None));
        }
    }
    Ok((found, Some(below)))
}

/// One channel.
pub async fn get(store: &Store, channel_id: ChannelId) -> Result<Overseen> {
    let rows = read(store, None, Some(channel_id), false, (ChannelId(0), 1)).await?;
    rows.first().map(overseen).ok_or_else(no_channel)?
}

async fn read(
    store: &Store,
    member: Option<&str>,
    channel_id: Option<ChannelId>,
    ownerless: bool,
    (below, limit): (ChannelId, i64),
) -> Result<Vec<Row>> {
    store.all(sql!("chat/channel/overseen"), &[&member, &channel_id, &below, &limit, &ownerless]).await
}

/// One page of the users who are or were in a channel, by user id, after `after`.
pub async fn attendance(
    store: &Store,
    channel_id: ChannelId,
    after: &str,
    limit: i64,
) -> Result<Vec<Attendance>> {
    get(store, channel_id).await?;
    let rows = store.all(sql!("chat/channel/intervals"), &[&channel_id, &after, &limit]).await?;
    attended(&rows)
}

/// The memberships of one user in a channel. `None`: the user never was in it.
pub async fn attendance_of(
    store: &Store,
    channel_id: ChannelId,
    user_id: &str,
) -> Result<Option<Attendance>> {
    let rows = store.all(sql!("chat/channel/intervals_of"), &[&channel_id, &user_id]).await?;
    Ok(attended(&rows)?.pop())
}

fn attended(rows: &[Row]) -> Result<Vec<Attendance>> {
    let mut all: Vec<Attendance> = Vec::new();
    for row in rows {
        let user_id: &str = row.get("user_id");
        if all.last().is_none_or(|last| last.user_id != user_id) {
            all.push(Attendance {
                user_id: user_id.to_owned(),
                name: row.get("name"),
                kind: row.get("kind"),
                active: row.get("active"),
                intervals: Vec::new(),
            });
        }
        if let Some(last) = all.last_mut() {
            last.intervals.push(interval(row)?);
        }
    }
    Ok(all)
}

/// Makes a member the owner of a group, whether or not its owner is still there.
pub async fn rescue(store: &Store, rescue: Rescue<'_>) -> Result<()> {
    check_id(rescue.new_owner).map_err(|reason| Error::field("/user_id", reason))?;
    retrying(|| rescue_once(store, rescue)).await
}

async fn rescue_once(store: &Store, rescue: Rescue<'_>) -> Result<()> {
    let Rescue { channel_id, new_owner, admin, reason, now } = rescue;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.all(sql!("chat/channel/lock_for_leaver"), &[&channel_id]).await?;
    let group =
        tx.opt(sql!("chat/channel/rescued"), &[&channel_id, &new_owner]).await?.ok_or_else(no_channel)?;
    if ChannelType::from_db(group.get("channel_type"))? != ChannelType::Group {
        return Err(Error::new(Kind::Conflict, "a direct channel has no owner: give the id of a group"));
    }
    if group.get::<_, Option<OffsetDateTime>>("dissolved_at").is_some() {
        return Err(Error::new(
            Kind::ChannelDissolved,
            "a dissolved group keeps its owner: give the id of a group that is not dissolved",
        ));
    }
    if !group.get::<_, bool>("can_own") {
        return Err(Error::field("/user_id", "is not an active user who is a member of the group"));
    }
    let owner: Option<&str> = group.get("owner");
    if owner != Some(new_owner) {
        tx.run(sql!("chat/channel/hand_over"), &[&channel_id, &owner, &new_owner]).await?;
        emit(&tx, Type::ChannelUpdated, (channel_id, admin), json!({"changed": ["owner"]})).await?;
    }
    let filter = json!({"channel_id": channel_id, "owner": owner, "new_owner": new_owner});
    let (actor, action, reason) = (admin, Action::OwnerChanged, Some(reason));
    let entry = Entry { at: now, actor, action, reason, filter, results: None };
    audit::append_with(&tx, entry).await?;
    Ok(tx.commit().await?)
}

impl Overseen {
    /// Whether the name, or the name of one of the two users, contains a folded text.
    fn is_called(&self, words: &str) -> bool {
        let names = self.pair.iter().map(|(_, name)| name).chain(&self.name);
        names.into_iter().any(|name| fold(name).contains(words))
    }
}

fn overseen(row: &Row) -> Result<Overseen> {
    let owner = row.get::<_, Option<String>>("owner").map(|user_id| Owner {
        user_id,
        name: row.get::<_, Option<_>>("owner_name").unwrap_or_default(),
        active: row.get::<_, Option<_>>("owner_active").unwrap_or_default(),
    });
    let one =
        |id: &str, name: &str| Some((row.get::<_, Option<String>>(id)?, row.get::<_, Option<String>>(name)?));
    let pair = [one("pair_low", "pair_low_name"), one("pair_high", "pair_high_name")];
    Ok(Overseen {
        channel_id: row.get("channel_id"),
        channel_type: ChannelType::from_db(row.get("channel_type"))?,
        name: row.get("channel_name"),
        picture: row.get("picture"),
        creator: row.get("creator"),
        create_time: row.get("create_time"),
        owner,
        pair: pair.into_iter().flatten().collect(),
        member_count: row.get("member_count"),
        last_seq: row.get("last_seq"),
        last_server_time: row.get("last_server_time"),
        dissolved_at: row.get("dissolved_at"),
        department_id: row.get("department_id"),
        is_member: row.get("is_member"),
    })
}

fn interval(row: &Row) -> Result<Interval> {
    Ok(Interval {
        from_seq: row.get("from_seq"),
        to_seq: row.get("to_seq"),
        sees_from_seq: row.get("sees_from_seq"),
        joined_at: row.get("joined_at"),
        role: MemberRole::from_db(row.get("role"))?,
        read_seq: row.get("read_seq"),
        received_seq: row.get("received_seq"),
    })
}
