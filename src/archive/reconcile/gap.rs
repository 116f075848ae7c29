//! What the archive has lost, so that readers are told instead of given less.

use time::Date;

use crate::base::error::{Error, Kind, Result};
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::sql;

/// What a reader needs of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Message,
    /// Also the statuses of its receivers.
    Ledger,
}

/// A cold day of which the archive has lost something.
#[derive(Debug)]
pub struct Gap {
    day: Date,
    /// The first id after the day.
    pub below: MsId,
}

/// The newest such day in a range of ids: from one, and below another.
pub async fn gap(store: &Store, (from, below): (MsId, MsId), needs: Needs) -> Result<Option<Gap>> {
    let with_ledger = needs == Needs::Ledger;
    let row = store.opt(sql!("archive/reconcile/gap"), &[&from, &below, &with_ledger]).await?;
    Ok(row.map(|row| Gap { day: row.get("day"), below: row.get("below_ms_id") }))
}

/// Fails if the archive has lost something of the day of a message.
pub async fn refuse_lost(store: &Store, ms_id: MsId, needs: Needs) -> Result<()> {
    refuse_gap(store, (ms_id, ms_id.next()), needs).await
}

/// Fails if the archive has lost something of a day in a range of ids: from one, and below another. Asked after a read of
/// the archive, so what was recorded before that is seen.
pub async fn refuse_gap(store: &Store, range: (MsId, MsId), needs: Needs) -> Result<()> {
    store.catch_up().await?;
    match gap(store, range, needs).await? {
        Some(gap) => Err(gap.error()),
        None => Ok(()),
    }
}

impl Gap {
    /// The answer to a reader who comes to the day.
    pub fn error(&self) -> Error {
        metrics::counter!("impg_archive_gaps_total").increment(1);
        let day = self.day;
        let detail = format!(
            "the archive has lost records of {day}; to search older ones, set `to` to {day}T00:00:00Z"
        );
        Error::new(Kind::Unavailable, detail)
    }
}
