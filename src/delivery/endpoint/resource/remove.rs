//! Removes an endpoint, and step by step what it leaves.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::{Manager, lock, note, of_settings, shown_url};
use crate::base::audit::Action;
use crate::base::error::Result;
use crate::base::store::{Statements, retrying};
use crate::delivery::endpoint::GATEWAY;
use crate::delivery::endpoint::registry::Callbacks;
use crate::sql;

/// Queue rows and batches that one sweep step deletes.
const SWEEP_ROWS: i64 = 5_000;
const SWEEP_BATCHES: i64 = 50;
/// A removed endpoint's row stays at least this long: by then, no open transaction queues for it any longer.
const FORGET_AFTER: Duration = Duration::from_secs(300);

impl Callbacks {
    /// Removes an endpoint with its secrets and its queue.
    pub async fn remove(&self, callback_id: &str, by: Manager<'_>) -> Result<()> {
        retrying(|| self.take_away(callback_id, by)).await?;
        self.refresh(by.now).await?;
        let gateway = Some(callback_id).filter(|id| *id == GATEWAY);
        while self.sweep(gateway).await? > 0 {}
        Ok(())
    }

    async fn take_away(&self, callback_id: &str, by: Manager<'_>) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = lock(&tx, callback_id, by).await?;
        if row.get("from_settings") {
            return Err(of_settings());
        }
        tx.run(sql!("delivery/endpoint/remove"), &[&callback_id, &by.now]).await?;
        note(&tx, Action::CallbackRemoved, callback_id, &json!({"url": shown_url(row.get("url"))}), by)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Deletes a part of the queues of removed endpoints, and of one more. Returns how many rows.
    async fn sweep(&self, one_more: Option<&str>) -> Result<i64> {
        retrying(|| self.sweep_once(one_more)).await
    }

    async fn sweep_once(&self, one_more: Option<&str>) -> Result<i64> {
        let row = self
            .store
            .one(sql!("delivery/endpoint/sweep"), &[&one_more, &SWEEP_ROWS, &SWEEP_BATCHES])
            .await?;
        Ok(row.get("swept"))
    }

    /// Deletes a part of what removed endpoints left, and the endpoints that have nothing left. Returns how
    /// many rows.
    pub async fn tidy(&self, now: OffsetDateTime) -> Result<i64> {
        let swept = self.sweep(None).await?;
        self.store.run(sql!("delivery/endpoint/forget"), &[&(now - FORGET_AFTER), &now]).await?;
        Ok(swept)
    }
}
