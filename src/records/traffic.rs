//! How much was sent, and how far it has come: counts by hour.

use time::{Duration, OffsetDateTime};

use crate::base::error::Result;
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::sql;

/// Hours that are counted, the current one included.
pub const HOURS: i32 = 24;
/// Most pages of 8 kB read of each table: about 30,000 messages.
const PAGES_MAX: i32 = 1_000;
/// The bits of an ms_id below its milliseconds.
const MS_BITS: u32 = 22;

/// The counts of the last hours.
#[derive(Debug)]
pub struct Traffic {
    pub from: OffsetDateTime,
    /// Whether there is more than is read: the counts then come from a sample.
    pub estimated: bool,
    /// Oldest first.
    pub hours: Vec<Hour>,
}

/// The messages of one hour.
#[derive(Debug)]
pub struct Hour {
    pub from: OffsetDateTime,
    pub messages: i64,
    /// Pairs of a message and a receiver.
    pub receivers: i64,
    /// Pairs that are received, or have a verdict of the gateway.
    pub pushed: i64,
    pub received: i64,
    pub read: i64,
}

/// Counts the messages of the last hours by their status now. It reads a limited number of pages.
pub async fn traffic(store: &Store, now: OffsetDateTime) -> Result<Traffic> {
    let begun = now - Duration::seconds(now.unix_timestamp().rem_euclid(3_600));
    let from = begun - Duration::hours(i64::from(HOURS) - 1);
    let from = from.replace_nanosecond(0).unwrap_or(from);
    let first = MsId((from.unix_timestamp() * 1_000) << MS_BITS);
    let of_hour = 3_600_000_i64 << MS_BITS;
    let rows = store.all(sql!("records/traffic/hours"), &[&first, &of_hour, &HOURS, &PAGES_MAX]).await?;
    let hour = |(at, row): (i64, &tokio_postgres::Row)| Hour {
        from: from + Duration::hours(at),
        messages: row.get("messages"),
        receivers: row.get("receivers"),
        pushed: row.get("pushed"),
        received: row.get("received"),
        read: row.get("read"),
    };
    Ok(Traffic {
        from,
        estimated: rows.first().is_some_and(|row| row.get("estimated")),
        hours: (0..).zip(&rows).map(hour).collect(),
    })
}
