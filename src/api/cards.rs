//! `/messages/{ms_id}/actions` and `/messages/{ms_id}/card`: what receivers do on cards, and new states of cards.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{patch, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::{Json, PathId};
use super::{Api, Person};
use crate::base::error::Result;
use crate::base::number::MsId;
use crate::chat::message::CardChange;
use crate::records::card::{self, Action};

pub fn routes() -> Router<Api> {
    Router::new().route("/messages/{ms_id}/actions", post(act)).route("/messages/{ms_id}/card", patch(update))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAction {
    button_id: String,
    value: Option<String>,
    version: Option<u64>,
}

#[derive(Serialize)]
struct ActedView {
    ms_id: MsId,
    version: u64,
    button_id: String,
    value: Option<String>,
    repeated: bool,
}

#[derive(Serialize)]
struct CardView {
    ms_id: MsId,
    content: Value,
}

async fn act(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    Json(new): Json<NewAction>,
) -> Result<impl IntoResponse> {
    let NewAction { button_id, value, version } = new;
    // The clock of the database, which also gives events their time.
    let now = api.store.now().await?;
    let by = caller.user_id.as_str();
    let action = Action { ms_id, by, button_id: &button_id, value: value.as_deref(), version, now };
    let acted = card::act(&api.store, action).await?;
    let status = if acted.repeated { StatusCode::OK } else { StatusCode::CREATED };
    let (version, repeated) = (acted.version, acted.repeated);
    Ok((status, Reply(ActedView { ms_id, version, button_id, value, repeated })))
}

async fn update(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    Json(change): Json<CardChange>,
) -> Result<Reply<CardView>> {
    let now = api.store.now().await?;
    let content = card::update(&api.store, ms_id, &caller.user_id, &change, now).await?;
    Ok(Reply(CardView { ms_id, content }))
}
