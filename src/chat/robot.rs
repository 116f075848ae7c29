//! Robots of groups: programs send through them, with the bodies that robots of DingTalk and WeCom take.
//!
//! A robot is an application user and a member of its group. Its messages go the way of all messages.

mod answer;
mod body;
mod secret;

use std::slice;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use uuid::Uuid;

pub use answer::{Dialect, Refusal};
pub use body::{Body, Said};
pub use secret::{Address, Proof};

use super::channel::group::check_label;
use super::channel::{self, members};
use crate::base::audit::{self, Action, Entry};
use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::chat::message::{MENTIONS_MAX, Mentions};
use crate::sql;

const NAME_MAX_CHARS: usize = 64;

/// A robot, without its secrets.
#[derive(Debug)]
pub struct Robot {
    pub robot_id: i64,
    /// The application user that sends its messages.
    pub user_id: String,
    pub name: String,
    /// Whether a call must prove the secret.
    pub must_sign: bool,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub rotated_at: Option<OffsetDateTime>,
}

/// A robot to create.
#[derive(Debug)]
pub struct NewRobot {
    pub name: String,
    pub must_sign: bool,
    /// The caller's own id of this request. It makes a repeat safe.
    pub client_id: Option<String>,
}

/// A change of a robot. `None` leaves the value.
#[derive(Debug)]
pub struct Change {
    pub name: Option<String>,
    pub must_sign: Option<bool>,
}

/// The most robots of a group, and the most members.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub robots: u32,
    pub members: u32,
}

/// An admin of a group who manages its robots.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    pub channel_id: ChannelId,
    pub caller: &'a str,
    pub now: OffsetDateTime,
}

/// The robot of an address, as a call meets it.
#[derive(Debug)]
pub struct Called {
    pub robot_id: i64,
    pub channel_id: ChannelId,
    pub user_id: String,
    must_sign: bool,
    salt: Vec<u8>,
}

impl NewRobot {
    fn digest(&self, channel_id: ChannelId) -> Result<Vec<u8>> {
        claim::digest(&(channel_id.0, &self.name, self.must_sign))
    }

    fn claim<'a>(&'a self, caller: &'a str) -> Option<Claim<'a>> {
        self.client_id.as_deref().map(|client_id| Claim { caller, call: "robot", client_id })
    }
}

/// The robots of a group, oldest first. Only for the owner and admins.
pub async fn list(store: &Store, channel_id: ChannelId, caller: &str) -> Result<Vec<Robot>> {
    channel::get(store, channel_id, caller).await?.role.must_manage()?;
    let rows = store.all(sql!("chat/robot/list"), &[&channel_id, &None::<i64>]).await?;
    Ok(rows.iter().map(robot).collect())
}

/// Creates a robot. Its address is shown once: a repeat with the same `client_id` finds the robot without it.
pub async fn create(
    store: &Store,
    by: Manager<'_>,
    new: &NewRobot,
    limits: Limits,
) -> Result<(Robot, Option<Address>)> {
    check_label("/name", Some(&new.name), NAME_MAX_CHARS)?;
    if let Some(made) = made_before(store, by, new).await? {
        return Ok((made, None));
    }
    let address = Address::mint()?;
    match retrying(|| create_once(store, by, (new, &address), limits)).await? {
        Some(robot_id) => Ok((get(store, by.channel_id, robot_id).await?, Some(address))),
        None => {
            let made = made_before(store, by, new).await?;
            made.map(|robot| (robot, None)).ok_or_else(claim::forgotten)
        }
    }
}

/// `None`: a concurrent call has used the same client id.
async fn create_once(
    store: &Store,
    by: Manager<'_>,
    (new, address): (&NewRobot, &Address),
    limits: Limits,
) -> Result<Option<i64>> {
    let Manager { channel_id, caller, now } = by;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = channel::lock(&tx, channel_id, caller).await?;
    place.must_manage()?;
    if place.is_encrypted {
        let told = "a robot cannot encrypt: create it in a group that is not encrypted";
        return Err(Error::new(Kind::ChannelEncrypted, told));
    }
    if tx.one(sql!("chat/robot/count"), &[&channel_id]).await?.get::<_, i64>(0) >= i64::from(limits.robots) {
        let told = format!("the group has {} robots already: remove one first", limits.robots);
        return Err(Error::new(Kind::Conflict, told));
    }
    if i64::from(place.member_count) >= i64::from(limits.members) {
        return Err(channel::too_many(limits.members, ""));
    }
    let user_id = format!("robot-{}", Uuid::now_v7());
    let (hash, salt) = (address.token_hash(), address.salt());
    let row = tx
        .one(
            sql!("chat/robot/create"),
            &[&channel_id, &user_id, &new.name, &new.must_sign, &hash, &salt, &caller, &now],
        )
        .await?;
    let robot_id: i64 = row.get("robot_id");
    members::insert(&tx, channel_id, caller, (slice::from_ref(&user_id), now)).await?;
    tx.one(sql!("chat/robot/receive_nothing"), &[&channel_id, &user_id]).await?;
    let change = json!({"name": new.name, "must_sign": new.must_sign, "user_id": user_id});
    note(&tx, by, (Action::RobotCreated, robot_id), change).await?;
    if let Some(claim) = new.claim(caller)
        && !claim.keep(&tx, &new.digest(channel_id)?, (robot_id, now)).await?
    {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(robot_id))
}

/// The robot that was created with the same `client_id`.
async fn made_before(store: &Store, by: Manager<'_>, new: &NewRobot) -> Result<Option<Robot>> {
    let Some(claim) = new.claim(by.caller) else { return Ok(None) };
    let Some(kept) = claim.kept(&store.client().await?).await? else { return Ok(None) };
    let robot_id = kept.of(&new.digest(by.channel_id)?)?;
    // The caller can have lost the role since.
    let mut robots = list(store, by.channel_id, by.caller).await?;
    robots.retain(|robot| robot.robot_id == robot_id);
    robots.pop().map(Some).ok_or_else(claim::gone)
}

async fn get(store: &Store, channel_id: ChannelId, robot_id: i64) -> Result<Robot> {
    let row = store.opt(sql!("chat/robot/list"), &[&channel_id, &Some(robot_id)]).await?;
    row.as_ref().map(robot).ok_or_else(no_robot)
}

/// Changes the name of a robot, or whether calls must prove its secret.
pub async fn change(store: &Store, by: Manager<'_>, robot_id: i64, change: &Change) -> Result<Robot> {
    check_label("/name", change.name.as_deref(), NAME_MAX_CHARS)?;
    retrying(|| change_once(store, by, robot_id, change)).await?;
    get(store, by.channel_id, robot_id).await
}

async fn change_once(store: &Store, by: Manager<'_>, robot_id: i64, change: &Change) -> Result<()> {
    let Manager { channel_id, caller, now } = by;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    channel::lock(&tx, channel_id, caller).await?.must_manage()?;
    let changed = tx
        .opt(sql!("chat/robot/change"), &[&channel_id, &robot_id, &change.name, &change.must_sign, &now])
        .await?;
    changed.ok_or_else(no_robot)?;
    let told = json!({"name": change.name, "must_sign": change.must_sign});
    note(&tx, by, (Action::RobotChanged, robot_id), told).await?;
    Ok(tx.commit().await?)
}

/// Gives a robot another address and secret. The old ones end at once.
pub async fn rotate(store: &Store, by: Manager<'_>, robot_id: i64) -> Result<(Robot, Address)> {
    let address = Address::mint()?;
    retrying(|| rotate_once(store, by, robot_id, &address)).await?;
    Ok((get(store, by.channel_id, robot_id).await?, address))
}

async fn rotate_once(store: &Store, by: Manager<'_>, robot_id: i64, address: &Address) -> Result<()> {
    let Manager { channel_id, caller, now } = by;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    channel::lock(&tx, channel_id, caller).await?.must_manage()?;
    let (hash, salt) = (address.token_hash(), address.salt());
    match tx.run(sql!("chat/robot/rotate"), &[&channel_id, &robot_id, &hash, &salt, &now]).await? {
        0 => return Err(no_robot()),
        _ => note(&tx, by, (Action::RobotRotated, robot_id), json!({})).await?,
    }
    Ok(tx.commit().await?)
}

/// Removes a robot. Its messages stay.
pub async fn remove(store: &Store, by: Manager<'_>, robot_id: i64) -> Result<()> {
    retrying(|| remove_once(store, by, robot_id)).await
}

async fn remove_once(store: &Store, by: Manager<'_>, robot_id: i64) -> Result<()> {
    let Manager { channel_id, caller, now } = by;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    channel::lock(&tx, channel_id, caller).await?.must_manage()?;
    let gone = tx.opt(sql!("chat/robot/remove"), &[&channel_id, &robot_id, &now]).await?;
    let user_id: String = gone.ok_or_else(no_robot)?.get("user_id");
    members::remove_membership(&tx, channel_id, caller, &user_id).await?;
    note(&tx, by, (Action::RobotRemoved, robot_id), json!({"user_id": user_id})).await?;
    Ok(tx.commit().await?)
}

/// The robot that a call may use: its address exists, and the proof is right if one is given or needed. Signatures are
/// judged by the database's clock.
pub async fn called(store: &Store, token: &str, proof: &Proof<'_>) -> std::result::Result<Called, Refusal> {
    let hash = secret::token_hash(token).ok_or(Refusal::UnknownAddress)?;
    let row = store.opt(sql!("chat/robot/find"), &[&hash]).await?.ok_or(Refusal::UnknownAddress)?;
    let called = Called {
        robot_id: row.get("robot_id"),
        channel_id: row.get("channel_id"),
        user_id: row.get("user_id"),
        must_sign: row.get("must_sign"),
        salt: row.get("salt"),
    };
    proof.check(&secret::secret_of(token, &called.salt)?, called.must_sign, row.get("now"))?;
    Ok(called)
}

impl Called {
    /// Takes the place of one message in this minute.
    pub async fn take_place(
        &self,
        store: &Store,
        most: u32,
        now: OffsetDateTime,
    ) -> std::result::Result<(), Refusal> {
        let places = i32::try_from(most).unwrap_or(i32::MAX);
        let row = store.opt(sql!("chat/robot/take"), &[&self.robot_id, &now, &places]).await?;
        let row = row.ok_or(Refusal::UnknownAddress)?;
        if row.get("taken") {
            return Ok(());
        }
        let wait = row.get::<_, Option<OffsetDateTime>>("free_at").map_or(Duration::MINUTE, |at| at - now);
        Err(Refusal::TooMany { most, wait_s: wait.whole_seconds().clamp(0, 59).unsigned_abs() + 1 })
    }

    /// The members that a body names, by user id or phone. Others are ignored, as DingTalk and WeCom do.
    pub async fn mentions(&self, store: &Store, meant: &body::Mentions) -> Result<Mentions> {
        if meant.all {
            return Mentions::parse(Some(json!("all")), "");
        }
        if meant.is_empty() {
            return Ok(Mentions::default());
        }
        let most = MENTIONS_MAX as i64;
        let rows = store
            .all(sql!("chat/robot/meant"), &[&self.channel_id, &meant.user_ids, &meant.phones, &most])
            .await?;
        Mentions::parse(Some(rows.iter().map(|row| row.get::<_, String>("user_id")).collect()), "")
    }
}

fn robot(row: &Row) -> Robot {
    Robot {
        robot_id: row.get("robot_id"),
        user_id: row.get("user_id"),
        name: row.get("name"),
        must_sign: row.get("must_sign"),
        created_by: row.get("created_by"),
        created_at: row.get("created_at"),
        rotated_at: row.get("rotated_at"),
    }
}

async fn note(
    tx: &Transaction<'_>,
    by: Manager<'_>,
    (action, robot_id): (Action, i64),
    mut filter: serde_json::Value,
) -> Result<()> {
    filter["channel_id"] = by.channel_id.to_string().into();
    filter["robot_id"] = robot_id.to_string().into();
    audit::append_with(tx, Entry::change(action, filter, (by.caller, by.now))).await
}

fn no_robot() -> Error {
    Error::not_found("no such robot")
}
