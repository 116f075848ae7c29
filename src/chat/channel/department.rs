//! Department groups: groups whose members follow a department.
//!
//! Each change of the directory raises its revision. Each group is then compared with its department, and the
//! differences are applied in short steps. A comparison records its revision before it reads the members, and each step
//! records it again. So no step of an older comparison comes after the members were read, and none undoes a newer one.

use std::time::Instant;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::group::{NAME_MAX_CHARS, check_label, check_who_sends};
use super::members::{self, JOIN_PAUSE, JOIN_STEP};
use super::{JoinRule, NewcomersSee, WhoAdds, WhoSends, emit};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::worker::{Pace, Tick, Work};
use crate::events::{self, NewEvent, Type};
use crate::people::departments::no_department;
use crate::people::users::check_active;
use crate::sql;

/// Groups compared in one tick.
const TICK_GROUPS: i64 = 500;
/// A synchronization changes the directory many times a second. Comparisons use at most half of the time.
const REST: u32 = 1;

/// A department group to create.
#[derive(Debug, Clone, Copy)]
pub struct NewGroup<'a> {
    pub department_id: &'a str,
    /// `None`: the current name of the department.
    pub name: Option<&'a str>,
    /// Whether members of departments below it also belong to the group.
    pub below: bool,
    pub owner: &'a str,
    pub who_sends: Option<&'a str>,
}

#[derive(Debug)]
pub struct Group {
    pub channel_id: ChannelId,
    pub department_id: String,
    pub below: bool,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub member_count: i32,
    /// Number of users who did not fit.
    pub left_out: i32,
    pub create_time: OffsetDateTime,
}

/// Returns the group of a department.
pub async fn get(store: &Store, department_id: &str) -> Result<Group> {
    find(store, department_id).await?.ok_or_else(|| Error::not_found("the department has no group"))
}

async fn find(store: &Store, department_id: &str) -> Result<Option<Group>> {
    Ok(store.opt(sql!("chat/channel/department_group"), &[&department_id]).await?.map(|row| Group {
        channel_id: row.get("channel_id"),
        department_id: row.get("department_id"),
        below: row.get("below"),
        name: row.get("channel_name"),
        owner: row.get("owner"),
        member_count: row.get("member_count"),
        left_out: row.get("left_out"),
        create_time: row.get("create_time"),
    }))
}

/// Creates the group of a department, or returns the existing one. Also returns whether it is new. All its
/// members are there at once.
pub async fn create(
    store: &Store,
    new: NewGroup<'_>,
    most_members: u32,
    now: OffsetDateTime,
) -> Result<(Group, bool)> {
    check_label("/name", new.name, NAME_MAX_CHARS)?;
    check_who_sends(new.who_sends)?;
    check_id(new.owner).map_err(|reason| Error::field("/owner", reason))?;
    check_active(store, new.owner).await.map_err(|error| match error.kind {
        Kind::UnknownUser => Error::field("/owner", "must be an active user of the directory"),
        _ => error,
    })?;
    let mut is_new = false;
    // Another request can create the group in between. Then find it.
    loop {
        if let Some(group) = find(store, new.department_id).await? {
            if group.below != new.below {
                return Err(Error::new(
                    Kind::Conflict,
                    "the department already has a group with another value of `below`",
                ));
            }
            return Ok((group, is_new));
        }
        is_new = retrying(|| create_once(store, new, most_members, now)).await?;
    }
}

/// Returns false if the department already has a group.
async fn create_once(
    store: &Store,
    new: NewGroup<'_>,
    most_members: u32,
    now: OffsetDateTime,
) -> Result<bool> {
    let NewGroup { department_id, name, below, owner, who_sends } = new;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let department = tx
        .opt(sql!("chat/channel/department_for_group"), &[&department_id])
        .await?
        .ok_or_else(no_department)?;
    let revision: i64 = department.get("revision");
    let name = name.unwrap_or_else(|| department.get("name"));
    let room = i64::from(most_members) - 1;
    let people =
        tx.one(sql!("chat/channel/department_members"), &[&department_id, &below, &owner, &room]).await?;
    let members: Vec<&str> = people.get("members");
    let left_out = count_i32(people.get::<_, i64>("total") - members.len() as i64);
    let (nothing, who_sends): (Option<&str>, _) = (None, who_sends.unwrap_or(WhoSends::Everybody.as_str()));
    // Its members follow the department: no user joins it, and none is added.
    let (sees, join, who_adds) =
        (NewcomersSee::Nothing.as_str(), JoinRule::Closed.as_str(), WhoAdds::Everybody.as_str());
    let params: [&(dyn ToSql + Sync); 13] = [
        &owner, &name, &nothing, &sees, &members, &now, &who_sends, &nothing, &join, &who_adds, &false,
        &nothing, &false,
    ];
    let channel_id: ChannelId = tx.one(sql!("chat/channel/create_group"), &params).await?.get(0);
    let follows = tx
        .run(
            sql!("chat/channel/follow_department"),
            &[&channel_id, &department_id, &below, &revision, &left_out],
        )
        .await?;
    if follows == 0 {
        return Ok(false);
    }
    let count = members.len() + 1;
    let data = json!({"channel_type": "group", "name": name, "creator": owner, "member_count": count});
    emit(&tx, Type::ChannelCreated, (channel_id, owner), data).await?;
    tx.commit().await?;
    warn_of_left_out(channel_id, left_out);
    Ok(true)
}

/// Applies changes of departments to their groups. Every replica may run it at once.
pub struct Groups {
    store: Store,
    most_members: u32,
    pace: Pace,
}

/// The result of a comparison.
struct Differences {
    channel_id: ChannelId,
    /// The revision of the directory, read before its users.
    revision: i64,
    owner: Option<String>,
    leaving: Vec<String>,
    joining: Vec<String>,
    left_out: i32,
}

/// A part of the differences, applied in one transaction.
#[derive(Clone, Copy)]
struct Step<'a> {
    leaving: &'a [String],
    joining: &'a [String],
    now: OffsetDateTime,
}

impl Groups {
    pub fn new(store: Store, most_members: u32) -> Self {
        Self { store, most_members, pace: Pace::new(REST) }
    }

    /// Applies the differences of a group, unless a newer comparison does.
    async fn follow(&self, channel_id: ChannelId, revision: i64) -> Result<()> {
        // This waits for a step of an older comparison that is under way, and ends that comparison.
        if self.store.run(sql!("chat/channel/begin_to_follow"), &[&channel_id, &revision]).await? == 0 {
            return Ok(());
        }
        let differences = self.compare(channel_id, revision).await?;
        let now = self.store.now().await?;
        let (mut leaving, mut joining) = (&differences.leaving[..], &differences.joining[..]);
        let mut left_out = 0;
        loop {
            let step;
            (step, leaving, joining) = next_step(leaving, joining, now);
            let is_last = leaving.is_empty() && joining.is_empty();
            let last_after = is_last.then_some(left_out);
            match retrying(|| self.step(&differences, step, last_after)).await? {
                None => return Ok(()),
                Some(without_room) => left_out += without_room,
            }
            if is_last {
                break;
            }
            // Lets waiting senders continue.
            tokio::time::sleep(JOIN_PAUSE).await;
        }
        if left_out != differences.left_out {
            warn_of_left_out(channel_id, left_out);
        }
        Ok(())
    }

    async fn compare(&self, channel_id: ChannelId, revision: i64) -> Result<Differences> {
        let row = self.store.one(sql!("chat/channel/department_differences"), &[&channel_id]).await?;
        Ok(Differences {
            channel_id,
            revision,
            owner: row.get("owner"),
            leaving: row.get("leaving"),
            joining: row.get("joining"),
            left_out: row.get("left_out"),
        })
    }

    /// Returns how many users did not fit. Returns `None` if a newer comparison exists. The last step gets
    /// the number of users left out so far, and marks the comparison as complete.
    async fn step(
        &self,
        differences: &Differences,
        step: Step<'_>,
        last_after: Option<i32>,
    ) -> Result<Option<i32>> {
        let Differences { channel_id, revision, .. } = *differences;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let Some(channel) = tx.opt(sql!("chat/channel/lock_department_group"), &[&channel_id]).await? else {
            return Ok(None);
        };
        if channel.get::<_, Option<OffsetDateTime>>("dissolved_at").is_some() {
            tx.run(sql!("chat/channel/unfollow"), &[&channel_id]).await?;
            tx.commit().await?;
            return Ok(None);
        }
        let owner: Option<&str> = channel.get("owner");
        let begun = tx.run(sql!("chat/channel/begin_to_follow"), &[&channel_id, &revision]).await? > 0;
        if !begun || owner != differences.owner.as_deref() {
            return Ok(None);
        }
        let actor = owner.unwrap_or_default();
        let members = remove_memberships(&tx, channel_id, actor, step.leaving).await?;
        let room = (i64::from(self.most_members) - i64::from(members)).max(0) as usize;
        let fitting = &step.joining[..step.joining.len().min(room)];
        if !fitting.is_empty() {
            members::insert(&tx, channel_id, actor, (fitting, step.now)).await?;
        }
        let without_room = count_i32((step.joining.len() - fitting.len()) as i64);
        if let Some(left_out) = last_after {
            tx.run(sql!("chat/channel/followed"), &[&channel_id, &revision, &(left_out + without_room)])
                .await?;
        }
        tx.commit().await?;
        Ok(Some(without_room))
    }
}

impl Work for Groups {
    /// Compares some groups that are behind, unless it rests. A failing group does not block others.
    async fn tick(&self) -> Result<Tick> {
        if self.pace.is_resting() {
            return Ok(Tick::Idle);
        }
        let began = Instant::now();
        let client = self.store.client().await?;
        let behind = client.all(sql!("chat/channel/department_groups_behind"), &[&TICK_GROUPS]).await?;
        drop(client);
        let mut failed = Ok(());
        for row in &behind {
            let (channel_id, revision) = (row.get("channel_id"), row.get("revision"));
            if let Err(error) = self.follow(channel_id, revision).await {
                failed = Err(error);
            }
        }
        if !behind.is_empty() {
            self.pace.rest_since(began);
        }
        failed.map(|()| Tick::Idle)
    }
}

/// The next step and the remaining differences. Leaving users come first, because they make room for others.
fn next_step<'a>(
    leaving: &'a [String],
    joining: &'a [String],
    now: OffsetDateTime,
) -> (Step<'a>, &'a [String], &'a [String]) {
    let (leaving, still_leaving) = leaving.split_at(leaving.len().min(JOIN_STEP));
    let (joining, still_joining) = joining.split_at(joining.len().min(JOIN_STEP - leaving.len()));
    (Step { leaving, joining, now }, still_leaving, still_joining)
}

/// Returns the remaining number of members.
async fn remove_memberships(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    actor: &str,
    leaving: &[String],
) -> Result<i32> {
    let row = tx.one(sql!("chat/channel/remove_memberships"), &[&channel_id, &leaving]).await?;
    let parted: Vec<&str> = row.get("parted");
    if !parted.is_empty() {
        let data = json!({"channel_id": channel_id.to_string(), "user_ids": parted});
        let (what, besides) = (Type::ChannelMembersRemoved, &parted[..]);
        events::emit(tx, NewEvent { what, channel_id, actor, data, besides }).await?;
    }
    Ok(row.get("member_count"))
}

fn warn_of_left_out(channel_id: ChannelId, left_out: i32) {
    if left_out > 0 {
        tracing::warn!(
            channel_id = channel_id.0,
            left_out,
            "a department has more users than its group can hold"
        );
    }
}

fn count_i32(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
