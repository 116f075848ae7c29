//! `/callbacks`: the endpoints, and what waits for them.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::Serialize;
use time::OffsetDateTime;

use super::wire::rfc3339;
use super::{Api, Proven};
use crate::callback::GATEWAY;
use crate::error::Result;
use crate::identity::Role;
use crate::push;

pub fn routes() -> Router<Api> {
    Router::new().route("/callbacks", get(list))
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

async fn list(State(api): State<Api>, caller: Proven) -> Result<Reply<Callbacks>> {
    caller.must_be(Role::Support)?;
    let Some(callback) = api.callbacks.get(GATEWAY) else {
        return Ok(Reply(Callbacks { items: Vec::new() }));
    };
    let backlog = push::backlog(&api.store, GATEWAY).await?;
    let view = CallbackView {
        callback_id: GATEWAY,
        url: callback.public_url(),
        waiting_rows: backlog.rows,
        waiting_pairs: backlog.pairs,
        oldest_queued_at: backlog.oldest,
        batches_in_flight: backlog.batches,
        dead_letters: backlog.dead,
        breaker: callback.breaker_state(api.store.now().await?),
    };
    Ok(Reply(Callbacks { items: vec![view] }))
}
