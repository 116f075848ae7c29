//! The caller's membership, and what it allows.

use deadpool_postgres::Transaction;
use time::OffsetDateTime;

use super::{ChannelType, JoinRule, MemberRole, WhoAdds, no_channel};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::ChannelId;
use crate::sql;

/// The caller's membership, read while the channel is locked.
pub struct Membership {
    pub is_group: bool,
    pub owner: Option<String>,
    pub member_count: i32,
    pub dissolved: bool,
    pub role: MemberRole,
    pub follows_department: bool,
    pub who_adds: WhoAdds,
    pub join: JoinRule,
    /// Whether the other member of the direct channel blocks the caller.
    pub is_blocked: bool,
    /// How many of the members are robots.
    pub robot_count: i32,
    pub is_encrypted: bool,
}

impl MemberRole {
    /// Refuses a member who is neither the owner nor an admin.
    pub fn must_manage(self) -> Result<()> {
        match self {
            Self::Owner | Self::Admin => Ok(()),
            Self::Member => {
                Err(Error::new(Kind::Forbidden, "only the owner and admins of the group can do this"))
            }
        }
    }
}

impl Membership {
    pub fn must_be_group(&self) -> Result<()> {
        if self.is_group {
            Ok(())
        } else {
            Err(Error::new(Kind::Conflict, "a direct channel has no roles; only a group supports this"))
        }
    }

    pub fn must_be_open(&self) -> Result<()> {
        if self.dissolved { Err(Error::new(Kind::ChannelDissolved, "")) } else { Ok(()) }
    }

    /// Refuses to change members of a group that follows a department and is not dissolved.
    pub fn must_not_follow(&self) -> Result<()> {
        if self.follows_department && !self.dissolved {
            return Err(Error::new(
                Kind::Conflict,
                "this group follows a department: change the department instead",
            ));
        }
        Ok(())
    }

    /// Refuses a caller who may not add users. A direct channel becomes a group with its first addition, unless the other
    /// member blocks the caller.
    pub fn must_add(&self) -> Result<()> {
        self.must_be_open()?;
        self.must_not_follow()?;
        if self.is_blocked {
            return Err(Error::new(Kind::Blocked, ""));
        }
        if self.is_group && self.who_adds == WhoAdds::Admins { self.role.must_manage() } else { Ok(()) }
    }

    /// Refuses a caller who is no admin of an open group.
    pub fn must_manage(&self) -> Result<()> {
        self.must_be_group()?;
        self.must_be_open()?;
        self.role.must_manage()
    }

    pub fn must_own(&self) -> Result<()> {
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
pub async fn lock(tx: &Transaction<'_>, channel_id: ChannelId, caller: &str) -> Result<Membership> {
    let statement = tx.prepare_cached(sql!("chat/channel/lock")).await?;
    // The first read can be older than the lock. Read the membership again once the lock is held.
    tx.query_opt(&statement, &[&channel_id, &caller]).await?.ok_or_else(no_channel)?;
    let row = tx.query_opt(&statement, &[&channel_id, &caller]).await?.ok_or_else(no_channel)?;
    let is_group = ChannelType::from_db(row.get("channel_type"))? == ChannelType::Group;
    Ok(Membership {
        is_group,
        owner: row.get("owner"),
        member_count: row.get("member_count"),
        dissolved: row.get::<_, Option<OffsetDateTime>>("dissolved_at").is_some(),
        role: MemberRole::from_db(row.get("role"))?,
        follows_department: row.get("follows_department"),
        who_adds: WhoAdds::from_db(row.get("who_adds"))?,
        join: JoinRule::from_db(row.get("join_rule"))?,
        // Members of a group can still have what they were to each other, if an earlier version has made it of a pair.
        is_blocked: !is_group && row.get::<_, Option<&str>>("talk") == Some("blocked"),
        robot_count: row.get("robot_count"),
        is_encrypted: row.get("encrypted"),
    })
}
