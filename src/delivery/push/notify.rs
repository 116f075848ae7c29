//! The marks of a push: which messages are urgent for a receiver, and which the receiver should not hear. The sender, and
//! the settings of users and members decide. No mark withholds a message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::Client;
use futures_util::future::try_join3;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::load::User;
use super::{Limits, Push};
use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::Statements;
use crate::delivery::escalation::{self, Pair};
use crate::people::preference::{self, Known, Slots, Timing};
use crate::sql;

/// The messages and users of a batch.
pub(super) struct Scope<'a> {
    pub batch_id: Uuid,
    /// As `push/messages` gives them.
    pub rows: &'a [Row],
    pub users: &'a [User],
    /// The slots of each channel, with the index of their user.
    pub slots: &'a HashMap<ChannelId, Vec<(i32, u32)>>,
}

/// The settings that concern a batch.
pub(super) struct Settings {
    now: OffsetDateTime,
    /// The slots of members who have muted their channel.
    muted: HashMap<ChannelId, HashSet<i32>>,
    /// Users with settings, by their index in the users of the batch.
    timed: Vec<(u32, Arc<Timing>)>,
    /// When users with `every_s` last had an audible push.
    alerted: HashMap<String, OffsetDateTime>,
    /// The receivers of urgent items who still have not read, by item.
    still_unread: HashMap<i64, HashSet<String>>,
}

/// The marks of a batch, by user. Most users have none.
#[derive(Default)]
pub(super) struct Marks {
    silent: HashMap<u32, HashSet<MsId>>,
    urgent: HashMap<u32, HashSet<MsId>>,
    /// First pushes of urgent messages. Whether a receiver has room for one more is not decided yet.
    pub candidates: Vec<Candidate>,
    /// The users whose `every_s` begins again with this push.
    pub alerted: Vec<u32>,
}

/// A message that its sender has called urgent, and a receiver.
pub(super) struct Candidate {
    pub user: u32,
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
}

impl Settings {
    /// Reads the settings for a batch. Without any, it asks the database for nothing.
    pub async fn of(client: &Client, known: &Known, scope: &Scope<'_>, now: OffsetDateTime) -> Result<Self> {
        let users = scope.users;
        let timed = known.of(users.iter().map(|user| user.user_id.as_str()));
        let limited = timed.iter().filter(|(_, timing)| timing.every.is_positive());
        let limited: Vec<&str> = limited.map(|(user, _)| users[*user as usize].user_id.as_str()).collect();
        let channels = scope.channels_with_mutes();
        let (muted, alerted, still_unread) = try_join3(
            preference::muted(client, &channels, now),
            preference::alerted(client, &limited, now),
            scope.still_unread(client),
        )
        .await?;
        Ok(Self { now, muted, timed, alerted, still_unread })
    }

    /// Whether the member in a slot has muted the channel.
    pub fn is_muted(&self, channel_id: ChannelId, slot: i32) -> bool {
        !self.muted.is_empty() && self.muted.get(&channel_id).is_some_and(|slots| slots.contains(&slot))
    }

    /// The receivers of an item, if it names them. None: all receivers of its messages.
    pub(super) fn named<'a>(&'a self, row: &'a Row) -> Option<HashSet<&'a str>> {
        if row.get("again") {
            let unread = self.still_unread.get(&row.get("item"));
            return Some(unread.into_iter().flatten().map(String::as_str).collect());
        }
        row.get::<_, Option<Vec<&str>>>("named").map(|named| named.into_iter().collect())
    }

    /// Marks what comes in quiet hours, and what comes too soon after the last audible push.
    pub fn apply(&self, users: &[User], ms_ids_of: &[Vec<MsId>], marks: &mut Marks) {
        for (user, timing) in &self.timed {
            let ms_ids = &ms_ids_of[*user as usize];
            let last = self.alerted.get(&users[*user as usize].user_id);
            let quiet = timing.is_quiet(self.now);
            let mut is_free = !quiet && last.is_none_or(|last| self.now - *last >= timing.every);
            for ms_id in ms_ids.iter().filter(|_| quiet || timing.every.is_positive()) {
                if marks.has(*user, *ms_id) {
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
    pub fn silence(&mut self, user: u32, ms_id: MsId) {
        self.silent.entry(user).or_default().insert(ms_id);
    }

    /// Marks a message as urgent. It is then not silent.
    pub fn urge(&mut self, user: u32, ms_id: MsId) {
        self.urgent.entry(user).or_default().insert(ms_id);
    }

    /// Decides about the candidates: a receiver with too many open urgent messages gets a normal push. So do all of
    /// them if it cannot be decided in time. A push that waits for it could lose its lease, and would then stop all.
    pub async fn admit(&mut self, push: &Push, users: &[User], (batch_id, now): (Uuid, OffsetDateTime)) {
        let pair = |candidate: &Candidate| {
            let Candidate { user, ms_id, channel_id, seq } = *candidate;
            (Pair { user_id: &users[user as usize].user_id, ms_id, channel_id, seq }, user)
        };
        let candidates = std::mem::take(&mut self.candidates);
        let (pairs, of_users): (Vec<Pair<'_>>, Vec<u32>) = candidates.iter().map(pair).unzip();
        let Limits { urgent_max, lease_margin, .. } = push.limits;
        let admitted = escalation::admit(&push.store, &pairs, urgent_max, (now, lease_margin / 2)).await;
        let admitted = admitted.unwrap_or_else(|error| {
            tracing::warn!(%batch_id, %error, "the urgent messages of a batch are pushed as normal ones");
            metrics::counter!("impg_urgent_undecided_total").increment(pairs.len() as u64);
            HashSet::new()
        });
        for (pair, user) in pairs.iter().zip(of_users) {
            if admitted.contains(&(pair.ms_id, pair.user_id.to_owned())) {
                self.urge(user, pair.ms_id);
            }
        }
    }

    fn has(&self, user: u32, ms_id: MsId) -> bool {
        [&self.silent, &self.urgent]
            .iter()
            .any(|marked| marked.get(&user).is_some_and(|ms_ids| ms_ids.contains(&ms_id)))
    }

    /// Those of a user's messages that are silent, and those that are urgent, in their order.
    pub fn of(&self, user: u32, ms_ids: &[MsId]) -> (Vec<MsId>, Vec<MsId>) {
        let marked = |marks: &HashMap<u32, HashSet<MsId>>| {
            let Some(marked) = marks.get(&user) else {
                return Vec::new();
            };
            ms_ids.iter().copied().filter(|ms_id| marked.contains(ms_id)).collect()
        };
        let urgent = marked(&self.urgent);
        let mut silent = marked(&self.silent);
        silent.retain(|ms_id| !urgent.contains(ms_id));
        (silent, urgent)
    }
}

impl Scope<'_> {
    /// The channels of the batch that a member has muted, each with the range of its slots in the batch.
    fn channels_with_mutes(&self) -> Vec<Slots> {
        let mut ranges = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.get("has_muted")) {
            let channel_id: ChannelId = row.get("channel_id");
            let of_channel = self.slots.get(&channel_id).map_or(&[][..], Vec::as_slice);
            if let (Some((low, _)), Some((high, _))) = (of_channel.first(), of_channel.last()) {
                ranges.insert(channel_id, Slots { channel_id, low: *low, high: *high });
            }
        }
        ranges.into_values().collect()
    }

    /// The receivers of urgent items who have not read since the items were queued.
    async fn still_unread(&self, client: &Client) -> Result<HashMap<i64, HashSet<String>>> {
        if !self.rows.iter().any(|row| row.get("again")) {
            return Ok(HashMap::new());
        }
        let rows = client.all(sql!("delivery/push/still_unread"), &[&self.batch_id]).await?;
        let users = |row: &Row| row.get::<_, Vec<String>>("user_ids").into_iter().collect();
        Ok(rows.iter().map(|row| (row.get("item"), users(row))).collect())
    }
}
