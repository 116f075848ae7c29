//! The marks of a push: which messages a receiver should not hear. The settings of users and members decide. No mark
//! withholds a message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::Client;
use futures_util::future::try_join;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::load::User;
use crate::base::error::Result;
use crate::people::preference::{self, Known, Slots, Timing};

/// The settings that concern a batch.
pub(super) struct Settings {
    now: OffsetDateTime,
    /// The slots of members who have muted their channel.
    muted: HashMap<i64, HashSet<i32>>,
    /// Users with settings, by their index in the users of the batch.
    timed: Vec<(u32, Arc<Timing>)>,
    /// When users with `every_s` last had an audible push.
    alerted: HashMap<String, OffsetDateTime>,
}

/// The marks of a batch, by user. Most users have none.
#[derive(Default)]
pub(super) struct Marks {
    silent: HashMap<u32, HashSet<i64>>,
    /// The users whose `every_s` begins again with this push.
    pub alerted: Vec<u32>,
}

impl Settings {
    /// Reads the settings for the messages and users of a batch. Without any, it asks the database for nothing.
    pub async fn of(
        client: &Client,
        known: &Known,
        users: &[User],
        channels: &[Slots],
        now: OffsetDateTime,
    ) -> Result<Self> {
        let timed = known.of(users.iter().map(|user| user.user_id.as_str()));
        let limited = timed.iter().filter(|(_, timing)| timing.every.is_positive());
        let limited: Vec<&str> = limited.map(|(user, _)| users[*user as usize].user_id.as_str()).collect();
        let (muted, alerted) =
            try_join(preference::muted(client, channels, now), preference::alerted(client, &limited, now))
                .await?;
        Ok(Self { now, muted, timed, alerted })
    }

    /// Whether the member in a slot has muted the channel.
    pub fn is_muted(&self, channel_id: i64, slot: i32) -> bool {
        !self.muted.is_empty() && self.muted.get(&channel_id).is_some_and(|slots| slots.contains(&slot))
    }

    /// Marks what comes in quiet hours, and what comes too soon after the last audible push.
    pub fn apply(&self, users: &[User], ms_ids_of: &[Vec<i64>], marks: &mut Marks) {
        for (user, timing) in &self.timed {
            let ms_ids = &ms_ids_of[*user as usize];
            let last = self.alerted.get(&users[*user as usize].user_id);
            let quiet = timing.is_quiet(self.now);
            let mut is_free = !quiet && last.is_none_or(|last| self.now - *last >= timing.every);
            for ms_id in ms_ids.iter().filter(|_| quiet || timing.every.is_positive()) {
                if marks.is_silent(*user, *ms_id) {
                    continue;
                }
                if std::mem::replace(&mut is_free, false) {
                    marks.alerted.push(*user);
                } else {
                    marks.silence(*user, *ms_id);
                }
            }
        }
    }
}

impl Marks {
    pub fn silence(&mut self, user: u32, ms_id: i64) {
        self.silent.entry(user).or_default().insert(ms_id);
    }

    fn is_silent(&self, user: u32, ms_id: i64) -> bool {
        self.silent.get(&user).is_some_and(|silent| silent.contains(&ms_id))
    }

    /// Those of a user's messages that are silent, in their order.
    pub fn silent(&self, user: u32, ms_ids: &[i64]) -> Vec<i64> {
        let Some(silent) = self.silent.get(&user) else {
            return Vec::new();
        };
        ms_ids.iter().copied().filter(|ms_id| silent.contains(ms_id)).collect()
    }
}

/// The channels of a batch that a member has muted, each with the range of its slots in the batch.
pub(super) fn channels_with_mutes(rows: &[Row], slots: &HashMap<i64, Vec<(i32, u32)>>) -> Vec<Slots> {
    let mut ranges = BTreeMap::new();
    for row in rows.iter().filter(|row| row.get("has_muted")) {
        let channel_id: i64 = row.get("channel_id");
        let of_channel = slots.get(&channel_id).map_or(&[][..], Vec::as_slice);
        if let (Some((low, _)), Some((high, _))) = (of_channel.first(), of_channel.last()) {
            ranges.insert(channel_id, Slots { channel_id, low: *low, high: *high });
        }
    }
    ranges.into_values().collect()
}
