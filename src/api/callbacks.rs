//! `/callbacks`: what was pushed, what waits, what was given up.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{Id, Json, Page, PageQuery, PathWord, Query, rfc3339};
use super::{Api, Now, Proven};
use crate::error::{Error, Result};
use crate::identity::Role;
use crate::push;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/callbacks", get(list))
        .route("/callbacks/{callback_id}/deliveries", get(deliveries))
        .route("/callbacks/{callback_id}/dead-letters", get(dead_letters))
        .route("/callbacks/{callback_id}/replay", post(replay))
}

#[derive(Serialize)]
struct Callbacks {
    items: Vec<CallbackView>,
}

#[derive(Serialize)]
struct CallbackView {
    callback_id: &'static str,
    url: String,
    waiting_rows: i64,
    waiting_pairs: i64,
    #[serde(with = "rfc3339::option")]
    oldest_queued_at: Option<OffsetDateTime>,
    batches_in_flight: i64,
    dead_letters: i64,
    breaker: &'static str,
}

#[derive(Serialize)]
struct AttemptView {
    attempt_id: Id,
    batch_id: String,
    #[serde(with = "rfc3339")]
    attempted_at: OffsetDateTime,
    duration_ms: i32,
    http_status: Option<i32>,
    error: Option<String>,
    pairs: i32,
    received: i32,
    offline: i32,
    rejected: i32,
    retried: i32,
    unknown: i32,
}

#[derive(Serialize)]
struct DeadLetterView {
    dead_id: Id,
    channel_id: Id,
    from_ms_id: Id,
    to_ms_id: Id,
    pairs: i32,
    reason: String,
    #[serde(with = "rfc3339")]
    dead_at: OffsetDateTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    dead_ids: Option<Vec<Id>>,
}

#[derive(Serialize)]
struct Replayed {
    replayed: u64,
}

async fn list(State(api): State<Api>, caller: Proven) -> Result<Reply<Callbacks>> {
    caller.must_be(Role::Support)?;
    let Some(callback) = &api.callback else {
        return Ok(Reply(Callbacks { items: Vec::new() }));
    };
    let backlog = push::backlog(&api.store).await?;
    let view = CallbackView {
        callback_id: push::GATEWAY,
        url: callback.public_url(),
        waiting_rows: backlog.rows,
        waiting_pairs: backlog.pairs,
        oldest_queued_at: backlog.oldest,
        batches_in_flight: backlog.batches,
        dead_letters: backlog.dead,
        breaker: callback.state(),
    };
    Ok(Reply(Callbacks { items: vec![view] }))
}

async fn deliveries(
    State(api): State<Api>,
    caller: Proven,
    PathWord(callback_id): PathWord,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<AttemptView>>> {
    caller.must_be(Role::Support)?;
    check_known(&callback_id)?;
    let limit = page.limit()?;
    let rows = push::attempts(&api.store, page.cursor()?.unwrap_or(i64::MAX), limit).await?;
    let view = |row: &tokio_postgres::Row| AttemptView {
        attempt_id: Id(row.get("attempt_id")),
        batch_id: row.get::<_, uuid::Uuid>("batch_id").to_string(),
        attempted_at: row.get("attempted_at"),
        duration_ms: row.get("duration_ms"),
        http_status: row.get("http_status"),
        error: row.get("error"),
        pairs: row.get("pairs"),
        received: row.get("received"),
        offline: row.get("offline"),
        rejected: row.get("rejected"),
        retried: row.get("retried"),
        unknown: row.get("unknown"),
    };
    Ok(Reply(Page::new(rows.iter().map(view).collect(), limit, |a: &AttemptView| a.attempt_id.0)))
}

async fn dead_letters(
    State(api): State<Api>,
    caller: Proven,
    PathWord(callback_id): PathWord,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<DeadLetterView>>> {
    caller.must_be(Role::Support)?;
    check_known(&callback_id)?;
    let limit = page.limit()?;
    let rows = push::dead_letters(&api.store, page.cursor()?.unwrap_or(i64::MAX), limit).await?;
    let view = |row: &tokio_postgres::Row| DeadLetterView {
        dead_id: Id(row.get("dead_id")),
        channel_id: Id(row.get("channel_id")),
        from_ms_id: Id(row.get("from_ms_id")),
        to_ms_id: Id(row.get("to_ms_id")),
        pairs: row.get("pairs"),
        reason: row.get("reason"),
        dead_at: row.get("dead_at"),
    };
    Ok(Reply(Page::new(rows.iter().map(view).collect(), limit, |d: &DeadLetterView| d.dead_id.0)))
}

async fn replay(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    PathWord(callback_id): PathWord,
    Json(which): Json<Replay>,
) -> Result<Reply<Replayed>> {
    caller.must_be(Role::Admin)?;
    check_known(&callback_id)?;
    if which.dead_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::field("/dead_ids", "must name at least one; without it all are replayed"));
    }
    let dead_ids = which.dead_ids.map(|ids| ids.into_iter().map(|id| id.0).collect());
    let replayed = push::replay(&api.store, dead_ids, now).await?;
    api.push.notify_one();
    Ok(Reply(Replayed { replayed }))
}

fn check_known(callback_id: &str) -> Result<()> {
    if callback_id == push::GATEWAY { Ok(()) } else { Err(Error::not_found("no such callback")) }
}
