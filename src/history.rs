//! Read again: a channel's messages, both ways, as far as the reader may see.

use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::sql;
use crate::store::Store;

/// A message as readers see it.
#[derive(Debug)]
pub struct Message {
    pub ms_id: i64,
    pub channel_id: i64,
    pub seq: i64,
    pub server_time: OffsetDateTime,
    pub sender: String,
    pub sender_name: String,
    pub ms_type: String,
    pub content: Value,
}

/// A place between two messages: seq, and the ms_id beside it that bounds the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub seq: i64,
    pub ms_id: i64,
}

impl Place {
    /// Before every message, and after every one.
    pub const START: Self = Self { seq: 0, ms_id: 0 };
    pub const END: Self = Self { seq: i64::MAX, ms_id: i64::MAX };
}

/// Up to `limit` messages below `before` and above `after_seq`, newest first.
pub async fn before(
    store: &Store,
    channel_id: i64,
    reader: &str,
    (before, after_seq): (Place, i64),
    limit: i64,
) -> Result<Vec<Message>> {
    let client = store.client().await?;
    check_member(&client, channel_id, reader).await?;
    let statement = client.prepare_cached(sql!("history/before")).await?;
    let rows = client
        .query(&statement, &[&channel_id, &reader, &before.seq, &before.ms_id, &after_seq, &limit])
        .await?;
    Ok(rows.into_iter().map(message).collect())
}

/// Up to `limit` messages above `after`, oldest first.
pub async fn after(
    store: &Store,
    channel_id: i64,
    reader: &str,
    after: Place,
    limit: i64,
) -> Result<Vec<Message>> {
    let client = store.client().await?;
    check_member(&client, channel_id, reader).await?;
    let statement = client.prepare_cached(sql!("history/after")).await?;
    let rows = client.query(&statement, &[&channel_id, &reader, &after.seq, &after.ms_id, &limit]).await?;
    Ok(rows.into_iter().map(message).collect())
}

async fn check_member(client: &deadpool_postgres::Object, channel_id: i64, reader: &str) -> Result<()> {
    let statement = client.prepare_cached(sql!("history/is_member")).await?;
    if client.query_one(&statement, &[&channel_id, &reader]).await?.get(0) {
        Ok(())
    } else {
        Err(Error::not_found("no such channel"))
    }
}

fn message(row: tokio_postgres::Row) -> Message {
    Message {
        ms_id: row.get("ms_id"),
        channel_id: row.get("channel_id"),
        seq: row.get("seq"),
        server_time: row.get("server_time"),
        sender: row.get("sender"),
        sender_name: row.get("sender_name"),
        ms_type: row.get("ms_type"),
        content: row.get("content"),
    }
}
