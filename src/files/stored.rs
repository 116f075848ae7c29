//! How many files there are.

use time::OffsetDateTime;

use super::Files;
use crate::base::error::Result;
use crate::base::store::Statements;
use crate::sql;

/// Most files that are counted one by one.
const COUNTED_MAX: i64 = 5_000;

/// The number of files.
#[derive(Debug)]
pub struct Stored {
    pub files: i64,
    /// Those begun since the time that was asked for.
    pub recent: i64,
    /// Whether there are more than are counted: `files` is then an estimate, and `recent` a lower bound.
    pub estimated: bool,
}

impl Files {
    /// The number of files, and of those begun since a time.
    pub async fn stored(&self, since: OffsetDateTime) -> Result<Stored> {
        let row = self.0.store.one(sql!("files/stored/stored"), &[&since, &COUNTED_MAX]).await?;
        Ok(Stored { files: row.get("stored"), recent: row.get("recent"), estimated: row.get("estimated") })
    }
}
