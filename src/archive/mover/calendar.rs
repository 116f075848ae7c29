//! The days as they are shown: which are in PostgreSQL, which move, and which the archive has.

use time::{Date, OffsetDateTime};

use super::day::Step;
use crate::base::error::Result;
use crate::base::named::named;
use crate::base::store::{Statements, Store};
use crate::sql;

named! {
    /// Where the messages of a day are.
    pub enum DayState ("state of a day") {
        Hot = "hot",
        /// It moves into the archive.
        Sealed = "sealed",
        /// The archive differs from what was written; the day is still in PostgreSQL.
        Failed = "failed",
        Cold = "cold",
        /// The archive has lost records of it.
        Lost = "lost",
    }
}

/// A day as it is shown.
#[derive(Debug)]
pub struct ListedDay {
    pub day: Date,
    /// `None`: it does not move yet.
    pub step: Option<Step>,
    pub messages: Option<i64>,
    pub ledger_rows: Option<i64>,
    pub lost_documents: i64,
    pub lost_ledger_rows: i64,
    /// Of its tables in PostgreSQL. `None`: they are dropped.
    pub bytes: Option<i64>,
    pub sealed_at: Option<OffsetDateTime>,
    pub switched_at: Option<OffsetDateTime>,
    /// Why the last run failed at this day.
    pub failed: Option<String>,
}

impl ListedDay {
    /// Where its messages are.
    pub fn state(&self) -> DayState {
        let is_lost = self.lost_documents > 0 || self.lost_ledger_rows > 0;
        match self.step {
            _ if is_lost => DayState::Lost,
            None => DayState::Hot,
            Some(Step::Switched | Step::Dropped) => DayState::Cold,
            Some(_) if self.failed.is_some() => DayState::Failed,
            Some(_) => DayState::Sealed,
        }
    }
}

/// One page of days before `before`, newest first, none after today.
pub async fn days(
    store: &Store,
    (from, to): (Option<Date>, Option<Date>),
    before: Option<Date>,
    limit: i64,
) -> Result<Vec<ListedDay>> {
    let rows = store.all(sql!("archive/mover/calendar"), &[&from, &to, &before, &limit]).await?;
    let day = |row: &tokio_postgres::Row| {
        Ok(ListedDay {
            day: row.get("day"),
            step: row.get::<_, Option<_>>("step").map(Step::from_db).transpose()?,
            messages: row.get("messages"),
            ledger_rows: row.get("ledger_rows"),
            lost_documents: row.get("lost_documents"),
            lost_ledger_rows: row.get("lost_ledger_rows"),
            bytes: row.get("bytes"),
            sealed_at: row.get("sealed_at"),
            switched_at: row.get("switched_at"),
            failed: row.get("failed"),
        })
    };
    rows.iter().map(day).collect()
}
