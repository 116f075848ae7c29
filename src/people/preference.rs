//! Notification settings: those of a user, and those of a member for a channel. They decide how a push is marked, and
//! never whether it is sent.

mod known;
mod quiet;

use std::collections::{BTreeSet, HashMap, HashSet};

use postgres_types::Json;
use serde::Deserialize;
use time::OffsetDateTime;

pub use known::{Known, Timing};
pub use quiet::{HOLD_MAX, Quiet, Window};

use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::sql;

/// Most windows of quiet hours of a user.
const QUIET_MAX: usize = 10;
const WAYS_MAX: usize = 10;
const WAY_MAX_CHARS: usize = 32;
/// The longest `every_s`: a day.
pub const EVERY_MAX_S: u32 = 86_400;
const REMARK_MAX_CHARS: usize = 255;

/// The notification settings of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    pub quiet: Vec<Quiet>,
    /// The shortest time between two audible pushes, and between two reminders; 0: none.
    pub every_s: u32,
    /// How portals may reach the user, such as `email` or `sms`. Empty: no wish.
    pub ways: Vec<String>,
    /// Whether portals are told that the user was offline.
    pub offline_reminder: bool,
    pub offline_priority: Priority,
}

named! {
    /// The urgency of a push or a reminder.
    #[derive(PartialOrd, Ord, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Priority ("priority") {
        Normal = "normal",
        Urgent = "urgent",
    }
}

/// The settings of a member for a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelPreference {
    pub muted: bool,
    /// When the channel is no longer muted. None: it stays muted.
    pub mute_until: Option<OffsetDateTime>,
    pub pinned: bool,
    /// The member's own name for the channel.
    pub remark: Option<String>,
}

/// A member of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub channel_id: ChannelId,
    pub user_id: &'a str,
}

/// A range of slots of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    pub channel_id: ChannelId,
    pub low: i32,
    pub high: i32,
}

impl Default for Preference {
    fn default() -> Self {
        Self {
            quiet: Vec::new(),
            every_s: 0,
            ways: Vec::new(),
            offline_reminder: true,
            offline_priority: Priority::Normal,
        }
    }
}

impl Preference {
    fn check(&self) -> Result<()> {
        if self.quiet.len() > QUIET_MAX {
            return Err(Error::field("/quiet", format!("must have at most {QUIET_MAX} windows")));
        }
        for (place, quiet) in self.quiet.iter().enumerate() {
            quiet.window().map_err(|(field, why)| Error::field(format!("/quiet/{place}/{field}"), why))?;
        }
        if self.every_s > EVERY_MAX_S {
            return Err(Error::field("/every_s", format!("must be 0 to {EVERY_MAX_S} seconds")));
        }
        if self.ways.len() > WAYS_MAX {
            return Err(Error::field("/ways", format!("must have at most {WAYS_MAX} names")));
        }
        for (place, way) in self.ways.iter().enumerate() {
            let shaped =
                way.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
            if !shaped || way.is_empty() || way.len() > WAY_MAX_CHARS {
                let detail = format!("must have 1 to {WAY_MAX_CHARS} characters of a-z, 0-9, _ and -");
                return Err(Error::field(format!("/ways/{place}"), detail));
            }
        }
        if self.ways.iter().collect::<BTreeSet<_>>().len() < self.ways.len() {
            return Err(Error::field("/ways", "must not name a way twice"));
        }
        Ok(())
    }
}

impl ChannelPreference {
    fn check(&self, now: OffsetDateTime) -> Result<()> {
        match self.mute_until {
            Some(_) if !self.muted => {
                return Err(Error::field(
                    "/mute_until",
                    "needs `muted`: set `muted` to true, or leave it out",
                ));
            }
            Some(until) if until <= now => {
                return Err(Error::field("/mute_until", "must be in the future"));
            }
            _ => {}
        }
        if self.remark.as_deref().is_some_and(|remark| !is_label(remark, REMARK_MAX_CHARS)) {
            let detail = format!(
                "must be one line of 1 to {REMARK_MAX_CHARS} characters, at least one of them visible, without \
                 directional marks (U+202A to U+202E, U+2066 to U+2069)"
            );
            return Err(Error::field("/remark", detail));
        }
        Ok(())
    }
}

/// The notification settings of a user. A user who has set none has the defaults.
pub async fn get(store: &Store, user_id: &str) -> Result<Preference> {
    let row = store.opt(sql!("people/preference/get"), &[&user_id]).await?;
    row.as_ref().map_or_else(|| Ok(Preference::default()), read)
}

/// The notification settings of these users. Users who have set none are left out.
pub async fn of_users(client: &impl Statements, user_ids: &[&str]) -> Result<HashMap<String, Preference>> {
    let rows = client.all(sql!("people/preference/of_users"), &[&user_ids]).await?;
    rows.iter().map(|row| Ok((row.get("user_id"), read(row)?))).collect()
}

fn read(row: &tokio_postgres::Row) -> Result<Preference> {
    let Json(quiet) = row.get("quiet");
    Ok(Preference {
        quiet,
        every_s: row.get::<_, i32>("every_s").unsigned_abs(),
        ways: row.get("ways"),
        offline_reminder: row.get("offline_reminder"),
        offline_priority: Priority::from_db(row.get("offline_priority"))?,
    })
}

/// Replaces the notification settings of a user.
pub async fn put(store: &Store, user_id: &str, wanted: &Preference, now: OffsetDateTime) -> Result<()> {
    wanted.check()?;
    let every_s = i32::try_from(wanted.every_s).unwrap_or(i32::MAX);
    let (reminder, priority) = (wanted.offline_reminder, wanted.offline_priority.as_str());
    retrying(|| async {
        store
            .run(
                sql!("people/preference/put"),
                &[&user_id, &Json(&wanted.quiet), &every_s, &wanted.ways, &reminder, &priority, &now],
            )
            .await?;
        Ok(())
    })
    .await
}

/// The settings of a member for a channel.
pub async fn of_channel(store: &Store, member: Member<'_>) -> Result<ChannelPreference> {
    let row =
        store.opt(sql!("people/preference/get_channel"), &[&member.channel_id, &member.user_id]).await?;
    let row = row.ok_or_else(|| Error::not_found("no such channel"))?;
    Ok(ChannelPreference {
        muted: row.get("muted"),
        mute_until: row.get("mute_until"),
        pinned: row.get("pinned"),
        remark: row.get("remark"),
    })
}

/// Replaces the settings of a member for a channel. A user can pin at most `pinned_max` channels.
pub async fn put_channel(
    store: &Store,
    member: Member<'_>,
    wanted: &ChannelPreference,
    pinned_max: u32,
    now: OffsetDateTime,
) -> Result<()> {
    wanted.check(now)?;
    let Member { channel_id, user_id } = member;
    let ChannelPreference { muted, mute_until, pinned, remark } = wanted;
    let row = retrying(|| async {
        let most = i64::from(pinned_max);
        store
            .one(
                sql!("people/preference/put_channel"),
                &[&channel_id, &user_id, muted, mute_until, pinned, remark, &now, &most],
            )
            .await
    })
    .await?;
    if !row.get::<_, bool>("is_member") {
        return Err(Error::not_found("no such channel"));
    }
    if !row.get::<_, bool>("has_room") {
        let detail = format!("{pinned_max} channels are pinned already; unpin one first");
        return Err(Error::new(Kind::Conflict, detail));
    }
    Ok(())
}

/// The slots of members who have muted their channel, by channel.
pub async fn muted(
    client: &impl Statements,
    ranges: &[Slots],
    now: OffsetDateTime,
) -> Result<HashMap<ChannelId, HashSet<i32>>> {
    if ranges.is_empty() {
        return Ok(HashMap::new());
    }
    let channels: Vec<ChannelId> = ranges.iter().map(|range| range.channel_id).collect();
    let low: Vec<i32> = ranges.iter().map(|range| range.low).collect();
    let high: Vec<i32> = ranges.iter().map(|range| range.high).collect();
    let rows = client.all(sql!("people/preference/muted"), &[&channels, &low, &high, &now]).await?;
    let slots = |row: &tokio_postgres::Row| row.get::<_, Vec<i32>>("slots").into_iter().collect();
    Ok(rows.iter().map(|row| (row.get("channel_id"), slots(row))).collect())
}

/// How these users may be reached. Users without a wish are left out.
pub async fn ways(client: &impl Statements, user_ids: &[&str]) -> Result<HashMap<String, Vec<String>>> {
    let rows = client.all(sql!("people/preference/ways"), &[&user_ids]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("ways"))).collect())
}

/// When these users last had an audible push. A time that was set before the clock stepped back does not count.
pub async fn alerted(
    client: &impl Statements,
    user_ids: &[&str],
    now: OffsetDateTime,
) -> Result<HashMap<String, OffsetDateTime>> {
    if user_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = client.all(sql!("people/preference/alerted"), &[&user_ids, &now]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("alerted_at"))).collect())
}

/// Notes that these users had an audible push.
pub async fn alert(client: &impl Statements, user_ids: &[&str], now: OffsetDateTime) -> Result<()> {
    if user_ids.is_empty() {
        return Ok(());
    }
    client.run(sql!("people/preference/alert"), &[&user_ids, &now]).await?;
    Ok(())
}
