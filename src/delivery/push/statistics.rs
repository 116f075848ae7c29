//! How an endpoint has answered lately, from its recorded attempts.

use time::{Duration, OffsetDateTime};

use crate::base::error::Result;
use crate::base::store::{Statements, Store};
use crate::sql;

/// Stretches into which the time is cut.
const STRETCHES: i32 = 24;
/// Most attempts that are counted of each stretch.
const COUNTED_MAX: i64 = 200;
/// Most newest attempts among which failures are looked for, and most kinds of failure that are shown.
const NEWEST_MAX: i64 = 1_000;
const FAILURES_MAX: i64 = 10;

/// The attempts of an endpoint by time, and its last failures.
#[derive(Debug)]
pub struct Statistics {
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
    /// Oldest first.
    pub stretches: Vec<Stretch>,
    /// Newest first.
    pub failures: Vec<Failure>,
}

/// The attempts of one stretch of time.
#[derive(Debug)]
pub struct Stretch {
    pub from: OffsetDateTime,
    pub attempts: i64,
    pub failed: i64,
    pub pairs: i64,
    pub received: i64,
    pub slowest_ms: i32,
    /// Whether there are more attempts than are counted.
    pub truncated: bool,
}

/// One kind of failure among the newest attempts.
#[derive(Debug)]
pub struct Failure {
    pub http_status: Option<i32>,
    pub error: String,
    pub attempts: i64,
    pub last_at: OffsetDateTime,
    /// The beginning of the newest answer.
    pub answer: Option<String>,
}

/// How an endpoint has answered in the `last` hours. It reads a limited number of attempts.
pub async fn statistics(
    store: &Store,
    callback_id: &str,
    last: Duration,
    now: OffsetDateTime,
) -> Result<Statistics> {
    let from = now - last;
    let seconds = last.as_seconds_f64() / f64::from(STRETCHES);
    let client = store.client().await?;
    let rows = client
        .all(sql!("delivery/push/statistics"), &[&callback_id, &from, &seconds, &STRETCHES, &COUNTED_MAX])
        .await?;
    let stretches = rows.iter().map(|row| Stretch {
        from: row.get("at"),
        attempts: row.get("attempts"),
        failed: row.get("failed"),
        pairs: row.get("pairs"),
        received: row.get("received"),
        slowest_ms: row.get("slowest_ms"),
        truncated: row.get("truncated"),
    });
    let failed =
        client.all(sql!("delivery/push/failures"), &[&callback_id, &NEWEST_MAX, &FAILURES_MAX]).await?;
    let failures = failed.iter().map(|row| Failure {
        http_status: row.get("http_status"),
        error: row.get("error"),
        attempts: row.get("attempts"),
        last_at: row.get("last_at"),
        answer: row.get("answer"),
    });
    Ok(Statistics { from, to: now, stretches: stretches.collect(), failures: failures.collect() })
}
