//! `/callbacks/{id}/statistics`: how a callback has answered lately.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::deliveries::check_managed;
use super::wire::{PathWord, Query, rfc3339};
use super::{Api, Authenticated};
use crate::base::error::{Error, Result};
use crate::delivery::push::{self, Failure, Statistics, Stretch};
use crate::identity::Role;

/// Hours of statistics: without a parameter, and most.
const HOURS_DEFAULT: i64 = 24;
const HOURS_MAX: i64 = 168;

pub fn routes() -> Router<Api> {
    Router::new().route("/callbacks/{callback_id}/statistics", get(statistics))
}

#[derive(Serialize)]
struct StatisticsView {
    callback_id: String,
    #[serde(with = "rfc3339")]
    from: OffsetDateTime,
    #[serde(with = "rfc3339")]
    to: OffsetDateTime,
    stretches: Vec<StretchView>,
    failures: Vec<FailureView>,
}

#[derive(Serialize)]
struct StretchView {
    #[serde(with = "rfc3339")]
    from: OffsetDateTime,
    attempts: i64,
    failed: i64,
    pairs: i64,
    received: i64,
    slowest_ms: i32,
    truncated: bool,
}

#[derive(Serialize)]
struct FailureView {
    http_status: Option<i32>,
    error: String,
    attempts: i64,
    #[serde(with = "rfc3339")]
    last_at: OffsetDateTime,
    answer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    hours: Option<i64>,
}

impl From<Stretch> for StretchView {
    fn from(s: Stretch) -> Self {
        Self {
            from: s.from,
            attempts: s.attempts,
            failed: s.failed,
            pairs: s.pairs,
            received: s.received,
            slowest_ms: s.slowest_ms,
            truncated: s.truncated,
        }
    }
}

impl From<Failure> for FailureView {
    fn from(f: Failure) -> Self {
        Self {
            http_status: f.http_status,
            error: f.error,
            attempts: f.attempts,
            last_at: f.last_at,
            answer: f.answer,
        }
    }
}

async fn statistics(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    Query(asked): Query<Hours>,
) -> Result<Reply<StatisticsView>> {
    check_managed(&api, &caller, Role::Support, &callback_id).await?;
    let hours = asked.hours.unwrap_or(HOURS_DEFAULT);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Error::parameter("hours", format!("must be 1 to {HOURS_MAX}")));
    }
    let now = api.store.now().await?;
    let found = push::statistics(&api.store, &callback_id, Duration::hours(hours), now).await?;
    let Statistics { from, to, stretches, failures } = found;
    Ok(Reply(StatisticsView {
        callback_id,
        from,
        to,
        stretches: stretches.into_iter().map(Into::into).collect(),
        failures: failures.into_iter().map(Into::into).collect(),
    }))
}
