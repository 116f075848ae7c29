//! What a batch holds: its messages and who is to get each, as one body.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

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

/// A batch on the wire: the body, and how many messages each receiver gets by it.
pub(super) struct Load {
    pub body: Vec<u8>,
    pub receivers: HashMap<String, u32>,
}

/// Reads a batch's messages and receivers and writes its body: the same each time, but for the
/// type of a channel that was upgraded meanwhile.
pub(super) async fn load(store: &Store, batch_id: Uuid) -> Result<Load> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("push/messages")).await?;
    let messages = client.query(&statement, &[&batch_id]).await?;
    let statement = client.prepare_cached(sql!("push/receivers")).await?;
    let rows = client.query(&statement, &[&batch_id]).await?;
    drop(client);
    let mut receivers_of: HashMap<i64, Vec<&str>> = HashMap::new();
    for row in &rows {
        let receivers: Vec<&str> = row.get("receivers");
        receivers_of.entry(row.get("ms_id")).or_default().extend(receivers);
    }
    let mut ms_ids_of: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut pushed = Vec::with_capacity(messages.len());
    for row in &messages {
        let ms_id: i64 = row.get("ms_id");
        for receiver in receivers_of.remove(&ms_id).unwrap_or_default() {
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
    Ok(Load { body: serde_json::to_vec(&body).map_err(Error::internal)?, receivers })
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
