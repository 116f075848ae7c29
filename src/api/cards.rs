//! `/messages/{ms_id}/actions` and `/messages/{ms_id}/card`: what receivers do on cards, and new states of cards.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{patch, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gate;
use super::messages::is_false;
use super::wire::{Json, PathId};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::base::number::MsId;
use crate::chat::message::{CardChange, Content};
use crate::delivery::gate::{Replacement, Subject};
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
    #[serde(skip_serializing_if = "is_false")]
    replaced: bool,
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
    let (change, replaced) = pass(&api, ms_id, &caller.user_id, change).await?;
    let now = api.store.now().await?;
    let content = card::update(&api.store, ms_id, &caller.user_id, &change, now).await?;
    Ok(Reply(CardView { ms_id, content, replaced }))
}

/// Asks the gate about the next state of a card. The change, and whether it is that of the gate.
async fn pass(api: &Api, ms_id: MsId, by: &str, change: CardChange) -> Result<(CardChange, bool)> {
    let Some(gate) = api.gate() else { return Ok((change, false)) };
    let card::Proposed { channel_id, content } = card::proposed(&api.store, ms_id, by, &change).await?;
    let said = [
        ("ms_id", json!(ms_id)),
        ("type", content.ms_type().into()),
        ("content", content.to_json()),
        ("preview", content.preview().into()),
    ];
    let said = said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let asked = gate::ask(api, &gate, Subject::CardUpdate, (Some(channel_id), by), said).await?;
    let Some(replacement) = asked else { return Ok((change, false)) };
    let replaced = gate::settle(&gate, card_of(replacement, change.version()))?;
    Ok(replaced.map_or((change, false), |replaced| (replaced, true)))
}

/// The change to the card of a replacement. Its version does not count: the change has one.
fn card_of(by: Replacement, version: u64) -> Result<CardChange> {
    let Replacement { ms_type, mut content } = by;
    if let Some(fields) = content.as_object_mut() {
        fields.remove("version");
    }
    match Content::parse(&ms_type, content, "")? {
        Content::Card(card) => Ok(CardChange::to(card, version)),
        _ => Err(Error::field("/type", "must be card")),
    }
}
