//! What an attempt has sent: the events that its request held, read again from the log.

use serde_json::value::{RawValue, to_raw_value};
use tokio_postgres::Row;
use uuid::Uuid;

use super::load::{event_of, events_of};
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// The payload of an attempt, as far as the log still has it. Of messages that were recalled meanwhile it has no content.
#[derive(Debug)]
pub struct SentPayload {
    pub batch_id: String,
    /// The events as the endpoint gets them, in JSON.
    pub events: Vec<Box<RawValue>>,
    /// Events that the log has no more, that the callback takes no more, or that the application may no longer hear of.
    pub missing: i64,
}

/// The payload of an attempt: of its events those that the callback takes now. `since_aimed`: only of an attempt since its
/// URL or a filter changed. `None`: the endpoint has no such attempt, or its events are not kept.
pub async fn payload(
    store: &Store,
    callback_id: &str,
    attempt_id: i64,
    since_aimed: bool,
) -> Result<Option<SentPayload>> {
    let client = store.client().await?;
    let attempt = client.opt(sql!("delivery/push/sent"), &[&callback_id, &attempt_id, &since_aimed]).await?;
    let Some(attempt) = attempt else { return Ok(None) };
    let rows = events_of(&client, None, Some(attempt_id)).await?;
    drop(client);
    let json =
        |row: &Row| -> Result<Box<RawValue>> { to_raw_value(&event_of(row)?).map_err(Error::internal) };
    let events = rows.iter().map(json).collect::<Result<Vec<_>>>()?;
    let missing = attempt.get::<_, i64>("events") - i64::try_from(events.len()).unwrap_or(i64::MAX);
    Ok(Some(SentPayload { batch_id: attempt.get::<_, Uuid>("batch_id").to_string(), events, missing }))
}
