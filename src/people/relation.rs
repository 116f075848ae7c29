//! What users are to each other: friends, friend requests, follows and blocks.
//!
//! A relation is a pair of rows that mirror each other. A step writes both in one transaction, under the locks of both
//! users, the lower id first. So steps of both users take turns. The rows of the members of their direct channel have a
//! copy of what a send must know (`talk`), which is written under the channel's lock: a send reads no other row.

mod pair;

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;

pub use pair::{FriendRules, Friendship, Pair, RelationKind, Side, Step};

use super::contacts;
use super::users::UserKind;
use crate::base::config::{FriendRequests, PeopleSettings, Unfriend};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::{is_blank, is_label};
use crate::sql;

/// Most characters of the message of a friend request.
const MESSAGE_MAX_CHARS: usize = 500;
const REMARK_MAX_CHARS: usize = 255;
const TAG_MAX_CHARS: usize = 64;

/// A user and the other one.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    pub user_id: &'a str,
    pub other_id: &'a str,
}

/// What another user is to the user.
#[derive(Debug, Clone)]
pub struct Relation {
    pub other_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub active: bool,
    pub kinds: Vec<RelationKind>,
    /// What the other one wrote with a request that waits.
    pub message: Option<String>,
    /// The user's own name for the other one.
    pub remark: Option<String>,
    pub tags: Vec<String>,
    pub changed_at: OffsetDateTime,
}

/// A change of the user's notes. An outer `None` leaves the value.
#[derive(Debug, Default)]
pub struct Notes {
    pub remark: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
}

/// Both sides as the database has them, and who they are.
struct Known {
    pair: Pair,
    /// Whether the user is an application.
    is_application: bool,
    /// What the directory says of the other user. None: it does not know the user.
    other: Option<(UserKind, bool)>,
}

/// Takes a step. A step that is taken already changes nothing.
pub async fn change(
    store: &Store,
    between: Between<'_>,
    step: &Step,
    settings: &PeopleSettings,
    now: OffsetDateTime,
) -> Result<()> {
    if between.user_id == between.other_id {
        return Err(Error::parameter("user_id", "must be another user than the caller"));
    }
    if let Step::Ask(message) = step {
        check_message(message.as_deref())?;
    }
    retrying(|| change_once(store, between, step, settings, now)).await
}

async fn change_once(
    store: &Store,
    between: Between<'_>,
    step: &Step,
    settings: &PeopleSettings,
    now: OffsetDateTime,
) -> Result<()> {
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, between).await?;
    // A statement of its own, so that its snapshot is taken after the locks.
    let known = known(&tx, between).await?;
    if !step.is_end() {
        known.must_be_people()?;
    }
    let rules = FriendRules {
        at_once: settings.friend_requests == FriendRequests::AtOnce,
        one_side: settings.unfriend == Unfriend::OneSide,
    };
    let after = known.pair.clone().after(step, rules)?;
    if after == known.pair {
        // A replica of an earlier version may have made the channel.
        if *step == Step::Block {
            mark_direct(&tx, between, &after).await?;
            tx.commit().await?;
        }
        return Ok(());
    }
    must_fit(&tx, between, (&known.pair, &after), settings).await?;
    write(&tx, between, &after, now).await?;
    mark_direct(&tx, between, &after).await?;
    tell(&tx, between, (&known.pair.mine, &after.mine)).await?;
    if step.is_told() {
        tell(&tx, between.turned(), (&known.pair.theirs, &after.theirs)).await?;
    }
    Ok(tx.commit().await?)
}

/// Repairs direct channels that do not know what their users are to each other: replicas of an earlier version have made
/// them. Looks at so many of the newest channels, created since a time. Returns how many were repaired.
pub async fn repair_directs(store: &Store, newest: i64, since: OffsetDateTime) -> Result<usize> {
    let rows = store.all(sql!("people/relation/unmarked"), &[&newest, &since]).await?;
    for row in &rows {
        let between = Between { user_id: row.get("pair_low"), other_id: row.get("pair_high") };
        retrying(|| repair_direct(store, between)).await?;
    }
    Ok(rows.len())
}

async fn repair_direct(store: &Store, between: Between<'_>) -> Result<()> {
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, between).await?;
    let known = known(&tx, between).await?;
    mark_direct(&tx, between, &known.pair).await?;
    Ok(tx.commit().await?)
}

/// Locks the relations of two users until the transaction ends. Take a turn of the store before: the locks of a popular
/// user are wanted by many.
pub async fn lock(tx: &Transaction<'_>, between: Between<'_>) -> Result<()> {
    let (low, high) = between.sorted();
    tx.one(sql!("people/relation/lock"), &[&low, &high]).await?;
    Ok(())
}

/// Ends the friendship on the side of a user who has sent a message into a direct channel and did not know that the other
/// one has ended it.
pub async fn find_out(
    store: &Store,
    channel_id: ChannelId,
    user_id: &str,
    settings: &PeopleSettings,
) -> Result<()> {
    let row = store.opt(sql!("people/relation/peer"), &[&channel_id, &user_id]).await?;
    let Some(row) = row else { return Ok(()) };
    let other_id: String = row.get("other_id");
    let between = Between { user_id, other_id: &other_id };
    let now = store.now().await?;
    change(store, between, &Step::FindOut, settings, now).await
}

/// A page of the relations of a user, by the id of the other one.
pub async fn list(
    store: &Store,
    user_id: &str,
    kind: Option<RelationKind>,
    (after, limit): (&str, i64),
) -> Result<Vec<Relation>> {
    let kind = kind.map(RelationKind::as_str);
    let rows = store.all(sql!("people/relation/list"), &[&user_id, &kind, &after, &limit]).await?;
    rows.iter().map(relation).collect()
}

/// What these users are to a user. Users without a relation are left out.
pub async fn of_user(store: &Store, user_id: &str, others: &[&str]) -> Result<HashMap<String, Relation>> {
    let rows = store.all(sql!("people/relation/of_user"), &[&user_id, &others]).await?;
    rows.iter().map(|row| Ok((row.get("other_id"), relation(row)?))).collect()
}

/// Changes the remark and the tags that a user gives to another one.
pub async fn note(store: &Store, between: Between<'_>, notes: &Notes, tags_max: u32) -> Result<()> {
    notes.check(tags_max as usize)?;
    let Between { user_id, other_id } = between;
    let (remark, tags) = (notes.remark.as_ref().and_then(Option::as_ref), notes.tags.as_ref());
    let noted = retrying(|| async {
        let parameters: [&(dyn postgres_types::ToSql + Sync); 6] =
            [&user_id, &other_id, &notes.remark.is_some(), &remark, &notes.tags.is_some(), &tags];
        store.run(sql!("people/relation/note"), &parameters).await
    })
    .await?;
    if noted == 0 { Err(no_relation()) } else { Ok(()) }
}

/// Refuses users who block the caller. `at` is the pointer of the list.
pub async fn check_not_blocked(
    client: &impl Statements,
    caller: &str,
    users: &[String],
    at: &str,
) -> Result<()> {
    // The ids are not checked yet, and the database refuses U+0000.
    let users: Vec<&str> =
        users.iter().map(|user| if user.contains('\0') { "" } else { user.as_str() }).collect();
    match client.opt(sql!("people/relation/blocking"), &[&caller, &users]).await? {
        None => Ok(()),
        Some(row) => {
            let position: i64 = row.get("position");
            Err(Error::new(Kind::Blocked, "").at(format!("{at}/{position}")))
        }
    }
}

pub fn no_relation() -> Error {
    Error::not_found("no relation to this user")
}

impl<'a> Between<'a> {
    /// The lower id first.
    fn sorted(self) -> (&'a str, &'a str) {
        if self.user_id < self.other_id {
            (self.user_id, self.other_id)
        } else {
            (self.other_id, self.user_id)
        }
    }

    fn turned(self) -> Self {
        Self { user_id: self.other_id, other_id: self.user_id }
    }
}

impl Notes {
    fn check(&self, tags_max: usize) -> Result<()> {
        let line = |most: usize| {
            format!(
                "must be one line of 1 to {most} characters, at least one of them visible, without directional marks"
            )
        };
        if !self.remark.iter().flatten().all(|remark| is_label(remark, REMARK_MAX_CHARS)) {
            return Err(Error::field("/remark", line(REMARK_MAX_CHARS)));
        }
        let Some(tags) = &self.tags else { return Ok(()) };
        if tags.len() > tags_max {
            return Err(Error::field("/tags", format!("must have at most {tags_max} tags")));
        }
        for (place, tag) in tags.iter().enumerate() {
            if !is_label(tag, TAG_MAX_CHARS) {
                return Err(Error::field(format!("/tags/{place}"), line(TAG_MAX_CHARS)));
            }
            if tags[..place].contains(tag) {
                return Err(Error::field(format!("/tags/{place}"), "is there twice"));
            }
        }
        Ok(())
    }
}

impl Known {
    /// Refuses a user who has left, and applications. Which other applications there are is not told.
    fn must_be_people(&self) -> Result<()> {
        if self.is_application {
            return Err(Error::new(Kind::Forbidden, "only people have relations: call as a person"));
        }
        match self.other {
            Some((UserKind::Internal | UserKind::External, true)) => Ok(()),
            _ => Err(Error::not_found("no such user, or one that is no person")),
        }
    }
}

/// Refuses what is beyond the limits. Counts only for a side that gains something.
async fn must_fit(
    tx: &Transaction<'_>,
    between: Between<'_>,
    (before, after): (&Pair, &Pair),
    settings: &PeopleSettings,
) -> Result<()> {
    let full = |detail: String| Err(Error::new(Kind::Conflict, detail));
    let gains = |of: fn(&Side) -> bool, before: &Side, after: &Side| of(after) && !of(before);
    let (most, requests) = (settings.relations_max, settings.friend_requests_max);
    let Between { user_id, other_id } = between;
    if gains(Side::is_own, &before.mine, &after.mine) && is_full(tx, user_id, "made", most).await? {
        return full(format!("you have {most} relations: end one first"));
    }
    // Apart from the rest: who has many relations can still block.
    if gains(|side| side.blocks, &before.mine, &after.mine) && is_full(tx, user_id, "blocks", most).await? {
        return full(format!("you block {most} users: end a block first"));
    }
    if gains(Side::is_own, &before.theirs, &after.theirs) && is_full(tx, other_id, "made", most).await? {
        return full(format!("the other user has {most} relations and can take no more"));
    }
    if gains(Side::is_asked, &before.theirs, &after.theirs)
        && is_full(tx, other_id, "requests", requests).await?
    {
        return full(format!("{requests} friend requests wait for the other user: ask again later"));
    }
    Ok(())
}

/// Whether a user has as many relations of a kind as may be.
async fn is_full(tx: &Transaction<'_>, user_id: &str, kind: &str, most: u32) -> Result<bool> {
    let most = i64::from(most);
    let counted: i64 = tx.one(sql!("people/relation/count"), &[&user_id, &kind, &most]).await?.get(0);
    Ok(counted >= most)
}

async fn known(tx: &Transaction<'_>, between: Between<'_>) -> Result<Known> {
    let Between { user_id, other_id } = between;
    let rows = tx.all(sql!("people/relation/pair"), &[&user_id, &other_id]).await?;
    let [mine, theirs] = &rows[..] else { return Err(Error::internal("a pair has two sides")) };
    let other = match theirs.get::<_, Option<&str>>("kind") {
        Some(kind) => Some((UserKind::from_db(kind)?, theirs.get("active"))),
        None => None,
    };
    Ok(Known {
        pair: Pair { mine: side(mine)?, theirs: side(theirs)? },
        is_application: mine.get::<_, Option<&str>>("kind") == Some(UserKind::Application.as_str()),
        other,
    })
}

fn side(row: &Row) -> Result<Side> {
    Ok(Side {
        friend: row.get::<_, Option<&str>>("friend").map(Friendship::from_db).transpose()?,
        follows: row.get("follows"),
        followed: row.get("followed"),
        blocks: row.get("blocks"),
        blocked: row.get("blocked"),
        message: row.get("message"),
    })
}

fn relation(row: &Row) -> Result<Relation> {
    let side = side(row)?;
    Ok(Relation {
        other_id: row.get("other_id"),
        name: row.get("name"),
        head_icon: row.get("head_icon"),
        active: row.get("active"),
        kinds: side.kinds(),
        message: side.message,
        remark: row.get("remark"),
        tags: row.get("tags"),
        changed_at: row.get("changed_at"),
    })
}

async fn write(tx: &Transaction<'_>, between: Between<'_>, pair: &Pair, now: OffsetDateTime) -> Result<()> {
    let Between { user_id, other_id } = between;
    if pair.is_empty() {
        tx.run(sql!("people/relation/remove"), &[&user_id, &other_id]).await?;
        return Ok(());
    }
    let sides = [&pair.mine, &pair.theirs];
    let of = |flag: fn(&Side) -> bool| sides.map(flag).to_vec();
    let friends = sides.map(|side| side.friend.map(Friendship::as_str)).to_vec();
    let messages = sides.map(|side| side.message.as_deref()).to_vec();
    let (users, others) = (vec![user_id, other_id], vec![other_id, user_id]);
    let (follows, followed) = (of(|side| side.follows), of(|side| side.followed));
    let (blocks, blocked) = (of(|side| side.blocks), of(|side| side.blocked));
    tx.run(
        sql!("people/relation/write"),
        &[&users, &others, &friends, &follows, &followed, &blocks, &blocked, &messages, &now],
    )
    .await?;
    Ok(())
}

/// Copies what sends must know to the members of the direct channel, if there is one. A user who creates it takes the
/// locks of both users first.
async fn mark_direct(tx: &Transaction<'_>, between: Between<'_>, pair: &Pair) -> Result<()> {
    let Between { user_id, other_id } = between;
    let (low, high) = between.sorted();
    let Some(channel) = tx.opt(sql!("people/relation/lock_direct"), &[&low, &high]).await? else {
        return Ok(());
    };
    let channel_id: ChannelId = channel.get("channel_id");
    let (mine, theirs) = (pair.mine.talk(), pair.theirs.talk());
    tx.run(sql!("people/relation/mark_direct"), &[&channel_id, &user_id, &mine, &other_id, &theirs]).await?;
    Ok(())
}

/// Tells a user what the other one is now, if the user sees a difference.
async fn tell(tx: &Transaction<'_>, between: Between<'_>, (before, after): (&Side, &Side)) -> Result<()> {
    if before.kinds() == after.kinds() {
        return Ok(());
    }
    let Between { user_id, other_id } = between;
    let data = json!({
        "user_id": user_id, "other_id": other_id, "kinds": after.kinds(), "message": after.message,
    });
    tx.one(sql!("people/relation/tell"), &[&user_id, &Json(data)]).await?;
    Ok(())
}

fn check_message(message: Option<&str>) -> Result<()> {
    let fits =
        |text: &str| !is_blank(text) && text.chars().count() <= MESSAGE_MAX_CHARS && !text.contains('\0');
    if message.is_none_or(fits) {
        return Ok(());
    }
    let detail = format!(
        "must have 1 to {MESSAGE_MAX_CHARS} characters, at least one of them visible, without U+0000"
    );
    Err(Error::field("/message", detail))
}

/// Refuses a user of a path whom an external viewer does not see, as if there were no such user.
pub async fn check_visible(store: &Store, viewer: Option<&str>, other_id: &str) -> Result<()> {
    let seen = contacts::seen(store, viewer, &[other_id]).await?;
    if seen.contains(other_id) { Ok(()) } else { Err(Error::not_found("no such user")) }
}
