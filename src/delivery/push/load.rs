//! Builds the body of a batch: messages with their receivers, or events.

use std::collections::{BTreeMap, HashMap, HashSet};

use bit_vec::BitVec;
use futures_util::TryFutureExt;
use futures_util::future::try_join3;
use postgres_types::{Json, ToSql};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Push;
use super::notify::{Candidate, Marks, Scope, Settings};
use crate::base::error::{Error, Result};
use crate::base::extra::{self, Extra, Passed};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::delivery::endpoint::{Callback, Kind};
use crate::delivery::ledger::{self, BLOCK_SLOTS, Key};
use crate::sql;

/// The body of a push. The contract is `openapi/push-callback.yaml`.
#[derive(Serialize)]
struct Body<'a> {
    batch_id: String,
    messages: Vec<Pushed<'a>>,
    deliveries: Vec<Delivery<'a>>,
}

#[derive(Serialize)]
struct Pushed<'a> {
    ms_id: String,
    channel_id: String,
    channel_type: &'a str,
    /// `None` for a direct channel, whose name depends on the reader, and for a group without a name.
    channel_name: Option<&'a str>,
    seq: i64,
    sender: &'a str,
    sender_name: &'a str,
    server_time: String,
    #[serde(rename = "type")]
    ms_type: &'a str,
    content: Box<RawValue>,
    /// What the message carries beside its content.
    #[serde(flatten)]
    extra: Passed,
    /// Present if the message was recalled before the push. Then its content is empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recalled: bool,
}

/// Receivers of the same messages with the same marks share an entry.
#[derive(Serialize)]
struct Delivery<'a> {
    receivers: Vec<&'a str>,
    ms_ids: Vec<String>,
    /// Those of `ms_ids` that the receivers should not hear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent: Vec<String>,
    /// Those of `ms_ids` that are urgent for the receivers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urgent: Vec<String>,
}

/// The body of an observer's batch. The contract is in `openapi/im-push-gateway/webhooks.yaml`.
#[derive(Serialize)]
struct EventPayload<'a> {
    batch_id: String,
    callback_id: &'a str,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
pub(super) struct Event<'a> {
    event_id: String,
    #[serde(rename = "type")]
    what: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<String>,
    /// Of the event's channel, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_name: Option<Option<&'a str>>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Message(Pushed<'a>),
    Other(Value),
}

/// The body of a batch, and its content for settling the answer.
pub(super) struct Loaded {
    body: Vec<u8>,
    held: Held,
}

/// The content of a batch: messages with their receivers, or the ids of events.
pub(super) enum Held {
    Messages(Messages),
    Events(Vec<i64>),
}

/// The receivers of a batch, by item and block.
#[derive(Default)]
pub(super) struct Messages {
    pub users: Vec<User>,
    pub parts: Vec<Part>,
    /// The index in `users` by user id.
    places: HashMap<String, u32>,
    /// The number of messages for each of `users`.
    messages: Vec<u32>,
    /// The indices of users with `every_s` who hear this push.
    pub alerted: Vec<u32>,
}

/// A receiver of a batch. A receiver who has left the company gets nothing, and counts as offline.
pub(super) struct User {
    pub user_id: String,
    pub has_left: bool,
}

/// The receivers of one item in one block of a message: their position in the block, and their index in the
/// users of the batch.
pub(super) struct Part {
    pub item: i64,
    pub key: Key,
    pub receivers: Vec<(u16, u32)>,
}

impl Part {
    /// The slot of each receiver, and their index in the users of the batch.
    fn slots(&self) -> impl Iterator<Item = (i32, u32)> {
        let first = self.key.block * BLOCK_SLOTS;
        self.receivers.iter().map(move |(bit, user)| (first + i32::from(*bit), *user))
    }
}

impl Loaded {
    /// Whether the batch has no receivers and no events.
    pub fn is_empty(&self) -> bool {
        match &self.held {
            Held::Messages(messages) => messages.counts().next().is_none(),
            Held::Events(events) => events.is_empty(),
        }
    }

    pub fn into_parts(self) -> (Vec<u8>, Held) {
        (self.body, self.held)
    }
}

impl Held {
    pub fn pairs(&self) -> u32 {
        match self {
            Self::Messages(messages) => messages.counts().map(|(_, count)| count).sum(),
            Self::Events(events) => u32::try_from(events.len()).unwrap_or(u32::MAX),
        }
    }

    /// The oldest and the newest message of the batch. Empty for events.
    pub fn span(&self) -> Vec<MsId> {
        let Self::Messages(messages) = self else { return Vec::new() };
        let ms_ids = || messages.parts.iter().map(|part| part.key.ms_id);
        ms_ids().min().into_iter().chain(ms_ids().max()).collect()
    }

    /// The events of the batch. `None`: it has messages.
    pub fn event_ids(&self) -> Option<&[i64]> {
        match self {
            Self::Messages(_) => None,
            Self::Events(events) => Some(events),
        }
    }

    /// The messages of the batch. Only they get verdicts.
    pub fn messages(&self) -> Result<&Messages> {
        match self {
            Self::Messages(messages) => Ok(messages),
            Self::Events(_) => Err(Error::internal("verdicts on events")),
        }
    }
}

impl Messages {
    /// Whether the batch has a message for a user.
    pub fn has(&self, user_id: &str) -> bool {
        self.places.get(user_id).is_some_and(|user| self.messages[*user as usize] > 0)
    }

    /// Every user with messages in the batch, and their number.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u32)> {
        let counts = self.users.iter().zip(&self.messages).filter(|(_, count)| **count > 0);
        counts.map(|(user, count)| (user.user_id.as_str(), *count))
    }
}

/// Reads the content of a batch and builds its body. A retry has the same body, except for recalled messages,
/// the type of an upgraded channel, changed names, receivers who have left meanwhile, and marks.
pub(super) async fn load(
    push: &Push,
    callback: &Callback,
    batch_id: Uuid,
    now: OffsetDateTime,
) -> Result<Loaded> {
    match callback.kind {
        Kind::Gateway => load_messages(push, batch_id, now).await,
        Kind::Observer | Kind::Gate => load_events(&push.store, callback, batch_id).await,
    }
}

async fn load_events(store: &Store, callback: &Callback, batch_id: Uuid) -> Result<Loaded> {
    let client = store.client().await?;
    let rows = events_of(&client, Some(batch_id), None).await?;
    drop(client);
    let events = rows.iter().map(event_of).collect::<Result<Vec<_>>>()?;
    let held = Held::Events(rows.iter().map(|row| row.get("event_id")).collect());
    let payload = EventPayload { batch_id: batch_id.to_string(), callback_id: &callback.callback_id, events };
    Ok(Loaded { body: serde_json::to_vec(&payload).map_err(Error::internal)?, held })
}

/// The events of a batch that is under way, or of an attempt.
pub(super) async fn events_of(
    client: &impl Statements,
    batch_id: Option<Uuid>,
    attempt_id: Option<i64>,
) -> Result<Vec<Row>> {
    client.all(sql!("delivery/push/events"), &[&batch_id, &attempt_id]).await
}

pub(super) fn event_of(row: &Row) -> Result<Event<'_>> {
    let is_message = row.get::<_, Option<MsId>>("ms_id").is_some();
    let channel_type: Option<&str> = row.get("channel_type");
    Ok(Event {
        event_id: row.get::<_, i64>("event_id").to_string(),
        what: row.get("what"),
        at: row.get::<_, OffsetDateTime>("at").format(&Rfc3339).map_err(Error::internal)?,
        channel_id: row.get::<_, Option<ChannelId>>("event_channel_id").map(|id| id.to_string()),
        channel_type,
        channel_name: channel_type.map(|_| row.get("channel_name")),
        data: if is_message { Data::Message(pushed_message(row)?) } else { Data::Other(row.get("data")) },
    })
}

async fn load_messages(push: &Push, batch_id: Uuid, now: OffsetDateTime) -> Result<Loaded> {
    let client = push.store.client().await?;
    let (messages, people) = (
        client.prepare_cached(sql!("delivery/push/messages")).await?,
        client.prepare_cached(sql!("delivery/push/people")).await?,
    );
    let batch: [&(dyn ToSql + Sync); 1] = [&batch_id];
    let (messages, people) = (client.query(&messages, &batch), client.query(&people, &batch));
    let (messages, people) = (messages.map_err(Error::from), people.map_err(Error::from));
    let (rows, people, ()) = try_join3(messages, people, push.known.refresh(&client)).await?;
    let mut held = Messages::default();
    let slots = slots(&mut held, &people);
    let scope = Scope { batch_id, rows: &rows, users: &held.users, slots: &slots };
    let settings = Settings::of(&client, &push.known, &scope, now).await?;
    drop(client);
    let Collected { pushed, ms_ids_of, mut marks } = collect(&rows, &slots, &settings, &mut held)?;
    marks.admit(push, &held.users, (batch_id, now)).await;
    held.messages = ms_ids_of.iter().map(|ms_ids| ms_ids.len() as u32).collect();
    settings.apply(&held.users, &ms_ids_of, &mut marks);
    let deliveries = share(&held.users, ms_ids_of, &marks);
    let body = serde_json::to_vec(&Body { batch_id: batch_id.to_string(), messages: pushed, deliveries });
    let body = body.map_err(Error::internal)?;
    held.alerted = marks.alerted;
    Ok(Loaded { body, held: Held::Messages(held) })
}

/// The messages of a batch, and which user gets which of them.
struct Collected<'a> {
    pushed: Vec<Pushed<'a>>,
    ms_ids_of: Vec<Vec<MsId>>,
    marks: Marks,
}

/// Collects the messages with their receivers, and marks those that need nothing else to be decided.
fn collect<'a>(
    rows: &'a [Row],
    slots: &HashMap<ChannelId, Vec<(i32, u32)>>,
    settings: &Settings,
    held: &mut Messages,
) -> Result<Collected<'a>> {
    let mut marks = Marks::default();
    let mut ms_ids_of: Vec<Vec<MsId>> = vec![Vec::new(); held.users.len()];
    let mut pushed: Vec<Pushed<'_>> = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows {
        let (channel_id, ms_id): (ChannelId, MsId) = (row.get("channel_id"), row.get("ms_id"));
        let (again, urgent): (bool, bool) = (row.get("again"), row.get("urgent"));
        let of_channel = slots.get(&channel_id).map_or(&[][..], Vec::as_slice);
        let parts = parts(row, held, of_channel, settings.named(row).as_ref());
        // Only a channel that a member has muted asks for it.
        let extra = match row.get::<_, bool>("has_muted") {
            true => extra::mentions_of(&row.get::<_, Json<Passed>>("extra").0),
            false => Extra::new(),
        };
        let mut is_for_some = false;
        for (slot, user) in parts.iter().flat_map(Part::slots) {
            if held.users[user as usize].has_left {
                continue;
            }
            if again {
                marks.urge(user, ms_id);
            }
            // Two items may contain the same pair: a dead letter that was replayed twice.
            let ms_ids = &mut ms_ids_of[user as usize];
            if ms_ids.last() == Some(&ms_id) {
                continue;
            }
            ms_ids.push(ms_id);
            is_for_some = true;
            if urgent && !again {
                marks.candidates.push(Candidate { user, ms_id, channel_id, seq: row.get("seq") });
            }
            let is_mentioned = || extra::mentions(&extra, &held.users[user as usize].user_id);
            if settings.is_muted(channel_id, slot) && !is_mentioned() {
                marks.silence(user, ms_id);
            }
        }
        held.parts.extend(parts);
        if is_for_some && last != Some(ms_id) {
            pushed.push(pushed_message(row)?);
            last = Some(ms_id);
        }
    }
    Ok(Collected { pushed, ms_ids_of, marks })
}

/// Collects the users of the batch. Returns the slots of each channel in order, with the index of their user.
fn slots(held: &mut Messages, people: &[Row]) -> HashMap<ChannelId, Vec<(i32, u32)>> {
    let mut slots: HashMap<ChannelId, Vec<(i32, u32)>> = HashMap::new();
    for row in people {
        let (user_ids, have_left): (Vec<&str>, Vec<bool>) = (row.get("user_ids"), row.get("have_left"));
        let users = user_ids.into_iter().zip(have_left).map(|(user_id, has_left)| {
            held.places.get(user_id).copied().unwrap_or_else(|| {
                let user = held.users.len() as u32;
                held.users.push(User { user_id: user_id.to_owned(), has_left });
                held.places.insert(user_id.to_owned(), user);
                user
            })
        });
        let mut of_channel: Vec<(i32, u32)> =
            row.get::<_, Vec<i32>>("slots").into_iter().zip(users).collect();
        of_channel.sort_unstable();
        of_channel.dedup();
        slots.insert(row.get("channel_id"), of_channel);
    }
    slots
}

/// The receivers of the message of a row, by block. `named` limits them.
fn parts(row: &Row, held: &Messages, slots: &[(i32, u32)], named: Option<&HashSet<&str>>) -> Vec<Part> {
    let (from, to): (Option<i32>, Option<i32>) = (row.get("from_slot"), row.get("to_slot"));
    let (from, to) = (from.unwrap_or(0), to.unwrap_or(i32::MAX));
    let is_meant =
        |user: u32| named.is_none_or(|named| named.contains(held.users[user as usize].user_id.as_str()));
    let blocks: Vec<i32> = row.get("blocks");
    let receivers: Vec<BitVec> = row.get("receivers");
    let part = |(block, bits): (i32, BitVec)| {
        let low = (block * BLOCK_SLOTS).max(from);
        let high = (block * BLOCK_SLOTS + (BLOCK_SLOTS - 1)).min(to);
        let within = slots.partition_point(|(slot, _)| *slot < low)..;
        let within = slots[within].iter().take_while(|(slot, _)| *slot <= high);
        let receives = within.filter(|(slot, _)| bits.get(ledger::bit(*slot)) == Some(true));
        let receivers = receives.filter(|(_, user)| is_meant(*user));
        Part {
            item: row.get("item"),
            key: Key { ms_id: row.get("ms_id"), block },
            receivers: receivers.map(|(slot, user)| (ledger::bit(*slot) as u16, *user)).collect(),
        }
    };
    blocks.into_iter().zip(receivers).map(part).filter(|part| !part.receivers.is_empty()).collect()
}

fn pushed_message(row: &Row) -> Result<Pushed<'_>> {
    let server_time: OffsetDateTime = row.get("server_time");
    Ok(Pushed {
        ms_id: row.get::<_, MsId>("ms_id").to_string(),
        channel_id: row.get::<_, ChannelId>("channel_id").to_string(),
        channel_type: row.get("channel_type"),
        channel_name: row.get("channel_name"),
        seq: row.get("seq"),
        sender: row.get("sender"),
        sender_name: row.get::<_, Option<_>>("sender_name").unwrap_or_default(),
        server_time: server_time.format(&Rfc3339).map_err(Error::internal)?,
        ms_type: row.get("ms_type"),
        content: row.get::<_, Json<_>>("content").0,
        extra: row.get::<_, Json<_>>("extra").0,
        recalled: row.get("recalled"),
    })
}

/// Groups receivers by their messages and marks. They are in id order, so that a retry has the same body.
fn share<'a>(users: &'a [User], ms_ids_of: Vec<Vec<MsId>>, marks: &Marks) -> Vec<Delivery<'a>> {
    let mut receiving: Vec<(&str, u32, Vec<MsId>)> = (0..)
        .zip(users.iter().zip(ms_ids_of))
        .map(|(user, (named, ids))| (named.user_id.as_str(), user, ids))
        .filter(|(.., ids)| !ids.is_empty())
        .collect();
    receiving.sort_unstable_by_key(|(user_id, ..)| *user_id);
    let mut sharing: BTreeMap<[Vec<MsId>; 3], Vec<&str>> = BTreeMap::new();
    for (receiver, user, ms_ids) in receiving {
        let (silent, urgent) = marks.of(user, &ms_ids);
        sharing.entry([ms_ids, silent, urgent]).or_default().push(receiver);
    }
    let text = |ids: Vec<MsId>| ids.iter().map(MsId::to_string).collect();
    let delivery = |([ms_ids, silent, urgent], receivers): ([Vec<MsId>; 3], Vec<_>)| Delivery {
        receivers,
        ms_ids: text(ms_ids),
        silent: text(silent),
        urgent: text(urgent),
    };
    sharing.into_iter().map(delivery).collect()
}
