//! Sends a test event to an observer.

use std::time::Duration;

use postgres_types::Json;
use serde_json::json;
use uuid::Uuid;

use super::{Manager, note};
use crate::base::audit::Action;
use crate::base::error::{self, Error, Result};
use crate::base::store::Statements;
use crate::delivery::endpoint::registry::Callbacks;
use crate::delivery::endpoint::{Kind, Posted};
use crate::sql;

/// Most characters shown of the answer to a test.
const TEST_ANSWER_MAX_CHARS: usize = 2_000;

/// The result of a test.
#[derive(Debug)]
pub struct TestResult {
    pub posted: Posted,
    /// The beginning of the answer, as text.
    pub answer: String,
}

impl Callbacks {
    /// Sends `callback.test` to an observer in any state, and returns its answer within `patience`. The
    /// breaker and the queue are not changed.
    pub async fn test(&self, callback_id: &str, patience: Duration, by: Manager<'_>) -> Result<TestResult> {
        if self.show(callback_id, by.owner(), by.now).await?.kind != Kind::Observer {
            let why = "the gateway and the gate get only messages: send a message to test them";
            return Err(Error::new(error::Kind::Conflict, why));
        }
        self.refresh(by.now).await?;
        let callback = self.get(callback_id).ok_or_else(|| {
            Error::new(error::Kind::Conflict, "no key in callback_keys decrypts this callback: add its key")
        })?;
        let client = self.store.client().await?;
        note(&client, Action::CallbackTested, callback_id, &json!({}), by).await?;
        let data = json!({"callback_id": callback_id});
        let event_id: i64 =
            client.one(sql!("delivery/endpoint/log_test"), &[&Json(&data), &by.now]).await?.get("event_id");
        drop(client);
        let batch_id = Uuid::now_v7().to_string();
        let at = by.now.format(&time::format_description::well_known::Rfc3339).map_err(Error::internal)?;
        let event =
            json!({"event_id": event_id.to_string(), "type": "callback.test", "at": at, "data": data});
        let body = json!({"batch_id": batch_id, "callback_id": callback_id, "events": [event]});
        let posted = callback.post_within(patience, &batch_id, body.to_string().into_bytes(), by.now).await;
        let answer = String::from_utf8_lossy(&posted.answer).chars().take(TEST_ANSWER_MAX_CHARS).collect();
        Ok(TestResult { posted, answer })
    }
}
