//! The event log as streams read it, and the serialization of events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::queue::Queue;
use crate::base::error::{Error, Result};
use crate::base::extra::Passed;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::sql;

/// `complete_from` while transactions may still leave events out.
pub(super) const WHOLE_NOWHERE: i64 = i64::MAX;

/// The position of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub last_event_id: i64,
    /// From the event after this one, the log holds all events for streams.
    pub complete_from: i64,
    /// The oldest stored event.
    pub oldest: Option<i64>,
    /// Whether the log stops, or will stop soon, unless a listener extends it.
    pub due: bool,
}

/// The fields of an event that decide who gets it.
#[derive(Debug)]
pub(super) struct Event {
    pub event_id: i64,
    pub channel_id: Option<ChannelId>,
    seq: Option<i64>,
    /// Whether it is of a message that a reader may have on the screen.
    is_of_shown: bool,
    pub audience: Vec<String>,
    /// Whether it can change which users share a channel.
    pub is_of_members: bool,
    /// Whose number of unread messages the event can change.
    pub counts: Counts,
}

/// The users whose number of unread messages an event can change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Counts {
    OfNoUser,
    OfAllWhoGetIt,
    Of(Vec<String>),
}

/// A membership of a listener.
#[derive(Debug)]
pub(super) struct Span {
    /// Their number on the roster.
    pub number: usize,
    from_seq: i64,
    sees_from_seq: i64,
    to_seq: Option<i64>,
}

/// One user's part of a range of the log.
#[derive(Debug)]
pub(super) struct Stretch {
    pub last_event_id: i64,
    pub complete_from: i64,
    pub oldest: Option<i64>,
    /// The last event of the range.
    pub reached: i64,
    pub is_last: bool,
    pub event_ids: Vec<i64>,
}

/// An event on the wire.
#[derive(Serialize)]
struct EventPayload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    channel_id: Option<String>,
    channel_type: Option<&'a str>,
    /// `None` for a direct channel, whose name depends on the reader, and for a group without a name.
    channel_name: Option<&'a str>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Message(Box<Message<'a>>),
    Other(Box<RawValue>),
}

/// The message of `message.created` and `message.updated`.
#[derive(Serialize)]
struct Message<'a> {
    ms_id: String,
    channel_id: String,
    channel_type: &'a str,
    channel_name: Option<&'a str>,
    seq: i64,
    sender: &'a str,
    sender_name: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    server_time: OffsetDateTime,
    #[serde(rename = "type")]
    ms_type: &'a str,
    content: Box<RawValue>,
    /// What the message carries beside its content.
    #[serde(flatten)]
    extra: Passed,
    /// Set if the message was recalled before the event was sent. The content is then empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recalled: bool,
}

impl Span {
    /// Whether an event of the channel lies in this membership. A user who sees earlier messages also gets
    /// their recalls and updates.
    pub fn holds(&self, event: &Event) -> bool {
        let from_seq = if event.is_of_shown { self.sees_from_seq } else { self.from_seq };
        match event.seq {
            Some(seq) => seq >= from_seq && self.to_seq.is_none_or(|to_seq| seq <= to_seq),
            None => self.to_seq.is_none(),
        }
    }
}

impl Span {
    /// Whether the listener is a member now.
    pub fn is_current(&self) -> bool {
        self.to_seq.is_none()
    }

    /// Whether the listener may see a message of the channel.
    fn sees(&self, seq: i64) -> bool {
        seq >= self.sees_from_seq && self.to_seq.is_none_or(|to_seq| seq <= to_seq)
    }
}

/// The position of the log. `due` is true once less than half of `keep` remains.
pub(super) async fn head(store: &Store, keep: Duration) -> Result<Head> {
    let row = store.one(sql!("events/stream/head"), &[&millis(keep / 2)]).await?;
    Ok(Head {
        last_event_id: row.get("last_event_id"),
        complete_from: row.get("complete_from"),
        oldest: row.get("oldest"),
        due: row.get("due"),
    })
}

/// At most `limit` events for streams after the first id, up to the second one.
pub(super) async fn page(store: &Store, (after, up_to): (i64, i64), limit: i64) -> Result<Vec<Event>> {
    let rows = store.all(sql!("events/stream/page"), &[&after, &up_to, &limit]).await?;
    let event = |row: &Row| {
        let audience: Vec<String> = row.get::<_, Option<_>>("audience").unwrap_or_default();
        let kind: &str = row.get("type");
        let counts = match (kind, row.get::<_, Option<Vec<String>>>("readers")) {
            ("message.read", Some(readers)) => Counts::Of(readers),
            ("message.created" | "message.recalled" | "message.read", _) => Counts::OfAllWhoGetIt,
            ("channel.members_removed", _) => Counts::Of(audience.clone()),
            _ => Counts::OfNoUser,
        };
        Event {
            event_id: row.get("event_id"),
            channel_id: row.get("channel_id"),
            seq: row.get("seq"),
            is_of_members: is_of_members(kind, row.get("seq")),
            is_of_shown: matches!(kind, "message.recalled" | "message.updated"),
            audience,
            counts,
        }
    };
    Ok(rows.iter().map(event).collect())
}

/// Whether an event can change which users share a channel. A direct channel tells of itself by its first message.
fn is_of_members(kind: &str, seq: Option<i64>) -> bool {
    kind.starts_with("channel.") && kind != "channel.updated" || kind == "message.created" && seq == Some(1)
}

/// The unread channels of users: user, channel, number.
pub(super) async fn unread_of(store: &Store, user_ids: &[&str]) -> Result<Vec<(String, ChannelId, i64)>> {
    let rows = store.all(sql!("events/stream/unread_of"), &[&user_ids]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("channel_id"), row.get("unread_count"))).collect())
}

/// The numbers of unread messages of users in channels, in order; 0 for a user who is no member.
pub(super) async fn unread_in(store: &Store, pairs: &[(Arc<str>, ChannelId)]) -> Result<Vec<i64>> {
    let user_ids: Vec<&str> = pairs.iter().map(|(user_id, _)| &**user_id).collect();
    let channel_ids: Vec<ChannelId> = pairs.iter().map(|(_, channel_id)| *channel_id).collect();
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("events/stream/unread_in")).await?;
    let mut counts = vec![0; pairs.len()];
    for row in client.query(&statement, &[&user_ids, &channel_ids]).await? {
        counts[row.get::<_, i64>("ord") as usize - 1] = row.get("unread_count");
    }
    Ok(counts)
}

/// The memberships of the listeners, by channel. Channels of up to `most_read` members are read completely.
pub(super) async fn members(
    store: &Store,
    channels: &[ChannelId],
    numbers: &RawValue,
    most_read: usize,
) -> Result<HashMap<ChannelId, Vec<Span>>> {
    let most_read = i32::try_from(most_read).unwrap_or(i32::MAX);
    let rows = store.all(sql!("events/stream/members"), &[&channels, &Json(numbers), &most_read]).await?;
    let mut spans: HashMap<ChannelId, Vec<Span>> = HashMap::new();
    for row in &rows {
        spans.entry(row.get("channel_id")).or_default().push(Span {
            number: row.get::<_, i32>("number") as usize,
            from_seq: row.get("from_seq"),
            sees_from_seq: row.get("sees_from_seq"),
            to_seq: row.get("to_seq"),
        });
    }
    Ok(spans)
}

/// The events of `user_id` among the next `limit` events after `after`, up to an event if given.
pub(super) async fn missed(
    store: &Store,
    user_id: &str,
    (after, up_to): (i64, Option<i64>),
    limit: i64,
) -> Result<Stretch> {
    let row = store.one(sql!("events/stream/missed"), &[&user_id, &after, &up_to, &limit]).await?;
    Ok(Stretch {
        last_event_id: row.get("last_event_id"),
        complete_from: row.get("complete_from"),
        oldest: row.get("oldest"),
        reached: row.get("reached"),
        is_last: row.get("is_last"),
        event_ids: row.get("event_ids"),
    })
}

/// An event as it is sent.
#[derive(Debug)]
pub(super) struct Text {
    pub text: Bytes,
    pub replied: Option<Replied>,
}

/// The message to which the message of an event replies.
#[derive(Debug)]
pub(super) struct Replied {
    seq: i64,
    /// The event for listeners who may not see that message.
    without: Bytes,
}

impl Text {
    /// The numbers of the listeners who may see the message to which it replies. `spans` are all memberships in its channel.
    pub fn seeing(&self, spans: &[Span]) -> HashSet<usize> {
        let sees = |span: &&Span| self.replied.as_ref().is_some_and(|replied| span.sees(replied.seq));
        spans.iter().filter(sees).map(|span| span.number).collect()
    }

    /// The event as a listener gets it, one of those `seeing` or another one.
    pub fn shown(&self, number: usize, seeing: &HashSet<usize>) -> &Bytes {
        match &self.replied {
            Some(replied) if !seeing.contains(&number) => &replied.without,
            _ => &self.text,
        }
    }
}

/// Serialized events in the order of their ids, for a reader or for several. Deleted events are missing.
pub(super) async fn texts(store: &Store, event_ids: &[i64], reader: Option<&str>) -> Result<Vec<Text>> {
    if event_ids.is_empty() {
        return Ok(Vec::new());
    }
    store.all(sql!("events/stream/texts"), &[&event_ids, &reader]).await?.iter().map(text).collect()
}

/// The positions of listeners in the list who may no longer listen.
pub(super) async fn gone(store: &Store, queues: &[&Arc<Queue>]) -> Result<Vec<usize>> {
    let user_ids: Vec<&str> = queues.iter().map(|queue| &*queue.user_id).collect();
    let proofs: Vec<Option<&[u8]>> = queues.iter().map(|queue| queue.proof.as_deref()).collect();
    let rows = store.all(sql!("events/stream/gone"), &[&user_ids, &proofs]).await?;
    Ok(rows.iter().map(|row| row.get::<_, i32>("number") as usize - 1).collect())
}

fn text(row: &Row) -> Result<Text> {
    let (event_id, kind): (i64, &str) = (row.get("event_id"), row.get("type"));
    let data = match row.get::<_, Option<MsId>>("ms_id") {
        Some(ms_id) => Data::Message(Box::new(message(ms_id, row))),
        None => Data::Other(row.get::<_, Json<_>>("data").0),
    };
    let channel_id = row.get::<_, Option<ChannelId>>("channel_id").map(|id| id.to_string());
    let (channel_type, channel_name) = (row.get("channel_type"), row.get("channel_name"));
    let mut payload = EventPayload { kind, at: row.get("at"), channel_id, channel_type, channel_name, data };
    let text = payload.text(event_id)?;
    let replied = match payload.forget_replied() {
        Some(seq) => Some(Replied { seq, without: payload.text(event_id)? }),
        None => None,
    };
    Ok(Text { text, replied })
}

impl EventPayload<'_> {
    fn text(&self, event_id: i64) -> Result<Bytes> {
        // JSON is one line, as server-sent events require.
        let json = serde_json::to_string(self).map_err(Error::internal)?;
        Ok(format!("id: {event_id}\nevent: {}\ndata: {json}\n\n", self.kind).into())
    }

    /// Takes the message to which it replies. Returns the place of that message in the channel.
    fn forget_replied(&mut self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Place {
            seq: i64,
        }
        let Data::Message(message) = &mut self.data else { return None };
        let replied = message.extra.remove("reply_to")?;
        Some(serde_json::from_str::<Place>(replied.get()).map_or(0, |place| place.seq))
    }
}

fn message(ms_id: MsId, row: &Row) -> Message<'_> {
    Message {
        ms_id: ms_id.to_string(),
        channel_id: row.get::<_, ChannelId>("channel_id").to_string(),
        channel_type: row.get("channel_type"),
        channel_name: row.get("channel_name"),
        seq: row.get("seq"),
        sender: row.get("sender"),
        sender_name: row.get::<_, Option<_>>("sender_name").unwrap_or_default(),
        server_time: row.get("server_time"),
        ms_type: row.get("ms_type"),
        content: row.get::<_, Json<_>>("content").0,
        extra: row.get::<_, Json<_>>("extra").0,
        recalled: row.get("recalled"),
    }
}

/// A duration in milliseconds, for SQL.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
