//! Ends the calls that no user ends: missed ones, those that last too long, and those whose users have left the channel.
//!
//! Each replica looks. A call is looked at again under the lock of its channel, so one of them ends it.

use crate::base::error::Result;
use crate::base::number::CallId;
use crate::base::store::Statements;
use crate::base::worker::{Tick, Work};
use crate::sql;

use super::call::Calls;

/// Most calls of a step.
const STEP: i64 = 100;

impl Work for Calls {
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let rows = self.store.all(sql!("calls/overdue/list"), &[&now, &STEP]).await?;
        // One that fails does not hold up the others. It is tried again with the next step.
        let mut failed = None;
        for row in &rows {
            if let Err(error) = self.expire(row.get::<_, CallId>("call_id")).await {
                failed = Some(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(if rows.len() as i64 >= STEP { Tick::More } else { Tick::Idle }),
        }
    }
}
