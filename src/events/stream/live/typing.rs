//! Who is typing: told to the members of the channel who are connected, and never stored.

use std::collections::HashSet;
use std::sync::PoisonError;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Live;
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::base::store::Statements;
use crate::events::stream::{Hub, LOOK_UP_COST, log};
use crate::sql;

/// Most signals that wait to be told. Further ones are dropped.
const WAITING: usize = 1_000;

/// A member is typing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Typing {
    channel_id: String,
    user_id: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    Told,
    /// The channel has too many members.
    Kept,
}

impl Live {
    pub(super) fn note_typing(&self, typing: Typing) {
        let mut waiting = self.typing.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push(typing);
        }
    }
}

impl Hub {
    /// Says to the connected members of a channel, on all replicas, that a member is typing.
    ///
    /// # Errors
    /// `Kind::NotFound` if the user is no member, or the channel is dissolved.
    pub async fn type_in(&self, channel_id: ChannelId, user_id: &str) -> Result<Typed> {
        let most = self.live.typing_members_max;
        let row = self.store.opt(sql!("events/stream/type_in"), &[&channel_id, &user_id, &most]).await?;
        let row = row.ok_or_else(|| Error::not_found("no such channel"))?;
        Ok(if row.get("is_told") { Typed::Told } else { Typed::Kept })
    }

    /// Tells who is typing to the listeners who are members.
    pub(super) async fn tell_typing(&self) -> Result<()> {
        let waiting = std::mem::take(&mut *self.live.typing.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let waiting: HashSet<Typing> = waiting.into_iter().collect();
        let channels: HashSet<ChannelId> =
            waiting.iter().filter_map(|typing| ChannelId::parse(&typing.channel_id)).collect();
        let channels: Vec<ChannelId> = channels.into_iter().collect();
        let roster = self.crowd().roster();
        let most_read = roster.queues.len().saturating_mul(LOOK_UP_COST);
        let spans = log::members(&self.store, &channels, &roster.json, most_read).await?;
        for typing in &waiting {
            let members = ChannelId::parse(&typing.channel_id).and_then(|channel_id| spans.get(&channel_id));
            let data = json!({"channel_id": typing.channel_id, "user_id": typing.user_id});
            let text = Bytes::from(format!("event: typing\ndata: {data}\n\n"));
            let current = members.into_iter().flatten().filter(|span| span.is_current());
            let numbers: HashSet<usize> = current.map(|span| span.number).collect();
            for number in numbers.into_iter().filter(|number| *roster.names[*number] != *typing.user_id) {
                for queue in roster.queues[number].iter().filter(|queue| queue.wants.typing) {
                    // One that is full misses it: the next one comes within seconds.
                    let _ = queue.put_live(&text);
                }
            }
        }
        Ok(())
    }
}
