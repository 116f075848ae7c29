//! What a batch holds, as one body: messages and who is to get each, or events.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::callback::{Callback, Kind};
use crate::error::{Error, Result};
use crate::sql;
use crate::store::Store;

/// What is POSTed. The contract is `openapi/push-callback.yaml`.
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
    seq: i64,
    sender: &'a str,
    server_time: String,
    #[serde(rename = "type")]
    ms_type: &'a str,
    content: Value,
    /// Present on what was taken back before it was pushed: its content is empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recalled: bool,
}

/// Receivers who get the same messages share an entry.
#[derive(Serialize)]
struct Delivery<'a> {
    receivers: Vec<&'a str>,
    ms_ids: Vec<String>,
}

/// What an observer is POSTed. The contract is in `openapi/im-push-gateway.yaml`, under `webhooks`.
#[derive(Serialize)]
struct Told<'a> {
    batch_id: String,
    callback_id: &'a str,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    event_id: String,
    #[serde(rename = "type")]
    what: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<String>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Message(Pushed<'a>),
    Other(Value),
}

/// A batch on the wire, and what it holds.
pub(super) struct Loaded {
    body: Vec<u8>,
    held: Held,
}

/// How many messages each receiver gets by a batch, or how many events it tells.
pub(super) enum Held {
    Messages {
        receivers: HashMap<String, u32>,
        /// Receivers who have left the company: they get nothing, as if they were offline.
        left: HashSet<String>,
    },
    Events(u32),
}

impl Loaded {
    /// Whether it is for nobody.
    pub fn is_empty(&self) -> bool {
        match &self.held {
            Held::Messages { receivers, .. } => receivers.is_empty(),
            Held::Events(events) => *events == 0,
        }
    }

    pub fn into_parts(self) -> (Vec<u8>, Held) {
        (self.body, self.held)
    }
}

impl Held {
    pub fn pairs(&self) -> u32 {
        match self {
            Self::Messages { receivers, .. } => receivers.values().sum(),
            Self::Events(events) => *events,
        }
    }
}

/// Reads what a batch holds and writes its body: the same each time, but for a message that was taken
/// back, the type of a channel that was upgraded and receivers who have left meanwhile.
pub(super) async fn load(store: &Store, callback: &Callback, batch_id: Uuid) -> Result<Loaded> {
    match callback.kind {
        Kind::Gateway => load_messages(store, batch_id).await,
        Kind::Observer => load_events(store, callback, batch_id).await,
    }
}

async fn load_events(store: &Store, callback: &Callback, batch_id: Uuid) -> Result<Loaded> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/events")).await?;
    let rows = client.query(&statement, &[&batch_id]).await?;
    drop(client);
    let events = rows.iter().map(event).collect::<Result<Vec<_>>>()?;
    let held = Held::Events(u32::try_from(events.len()).unwrap_or(u32::MAX));
    let told = Told { batch_id: batch_id.to_string(), callback_id: &callback.callback_id, events };
    Ok(Loaded { body: serde_json::to_vec(&told).map_err(Error::internal)?, held })
}

fn event(row: &tokio_postgres::Row) -> Result<Event<'_>> {
    let is_message = row.get::<_, Option<i64>>("ms_id").is_some();
    Ok(Event {
        event_id: row.get::<_, i64>("event_id").to_string(),
        what: row.get("what"),
        at: row.get::<_, OffsetDateTime>("at").format(&Rfc3339).map_err(Error::internal)?,
        channel_id: row.get::<_, Option<i64>>("event_channel_id").map(|id| id.to_string()),
        data: if is_message { Data::Message(pushed_message(row)?) } else { Data::Other(row.get("data")) },
    })
}

async fn load_messages(store: &Store, batch_id: Uuid) -> Result<Loaded> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/messages")).await?;
    let messages = client.query(&statement, &[&batch_id]).await?;
    let statement = client.prepare_cached(sql!("push/receivers")).await?;
    let rows = client.query(&statement, &[&batch_id]).await?;
    drop(client);
    let mut receivers_of: HashMap<i64, Vec<&str>> = HashMap::new();
    let mut left = HashSet::new();
    for row in &rows {
        if let Some(receivers) = row.get::<_, Option<Vec<&str>>>("receivers") {
            receivers_of.entry(row.get("ms_id")).or_default().extend(receivers);
        }
        left.extend(row.get::<_, Option<Vec<String>>>("left_ids").into_iter().flatten());
    }
    let mut ms_ids_of: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut pushed = Vec::with_capacity(messages.len());
    for row in &messages {
        let ms_id: i64 = row.get("ms_id");
        let Some(receivers) = receivers_of.remove(&ms_id) else { continue };
        for receiver in receivers {
            let ms_ids = ms_ids_of.entry(receiver).or_default();
            // Two rows of the queue may name a pair: a dead letter replayed twice.
            if ms_ids.last() != Some(&ms_id) {
                ms_ids.push(ms_id);
            }
        }
        pushed.push(pushed_message(row)?);
    }
    let receivers = ms_ids_of.iter().map(|(r, ids)| ((*r).to_owned(), ids.len() as u32)).collect();
    let body = Body { batch_id: batch_id.to_string(), messages: pushed, deliveries: share(ms_ids_of) };
    let body = serde_json::to_vec(&body).map_err(Error::internal)?;
    Ok(Loaded { body, held: Held::Messages { receivers, left } })
}

fn pushed_message(row: &tokio_postgres::Row) -> Result<Pushed<'_>> {
    let server_time: OffsetDateTime = row.get("server_time");
    Ok(Pushed {
        ms_id: row.get::<_, i64>("ms_id").to_string(),
        channel_id: row.get::<_, i64>("channel_id").to_string(),
        channel_type: row.get("channel_type"),
        seq: row.get("seq"),
        sender: row.get("sender"),
        server_time: server_time.format(&Rfc3339).map_err(Error::internal)?,
        ms_type: row.get("ms_type"),
        content: row.get("content"),
        recalled: row.get("recalled"),
    })
}

fn share(ms_ids_of: BTreeMap<&str, Vec<i64>>) -> Vec<Delivery<'_>> {
    let mut sharing: BTreeMap<Vec<i64>, Vec<&str>> = BTreeMap::new();
    for (receiver, ms_ids) in ms_ids_of {
        sharing.entry(ms_ids).or_default().push(receiver);
    }
    let delivery = |(ms_ids, receivers): (Vec<i64>, Vec<_>)| Delivery {
        receivers,
        ms_ids: ms_ids.iter().map(i64::to_string).collect(),
    };
    sharing.into_iter().map(delivery).collect()
}
