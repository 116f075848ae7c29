//! `/messages/{ms_id}/forward`: copies of messages, sent into other channels.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Reply, Router};
use serde::Deserialize;
use serde_json::Value;

use super::messages::{Results, item_result};
use super::wire::{AtMost, Json, PathId, check_client_id_if_any};
use super::{Api, Person};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::chat::message::{Forward, Original};
use crate::records::history::{self, Message};

/// Most channels of a call.
const CHANNELS_MAX: usize = 100;
/// Most messages besides the one in the path.
const MORE_MAX: usize = 99;

pub fn routes() -> Router<Api> {
    Router::new().route("/messages/{ms_id}/forward", post(forward))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewForward {
    channel_ids: AtMost<CHANNELS_MAX, ChannelId>,
    client_id: Option<String>,
    /// Further messages, which follow in this order.
    #[serde(default)]
    ms_ids: Option<AtMost<MORE_MAX, MsId>>,
}

async fn forward(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    Json(new): Json<NewForward>,
) -> Result<Reply<Results>> {
    check_client_id_if_any(new.client_id.as_deref())?;
    let AtMost(channel_ids) = new.channel_ids;
    if channel_ids.is_empty() {
        return Err(Error::field("/channel_ids", "must have at least one channel"));
    }
    for (place, channel_id) in channel_ids.iter().enumerate() {
        if channel_ids[..place].contains(channel_id) {
            return Err(Error::field(format!("/channel_ids/{place}"), "is given twice"));
        }
    }
    let mut originals = vec![original(&api, &caller.user_id, ms_id).await?];
    for (place, ms_id) in new.ms_ids.map(|AtMost(more)| more).unwrap_or_default().iter().enumerate() {
        let at = |e: Error| if e.kind == Kind::NotFound { e.at(format!("/ms_ids/{place}")) } else { e };
        originals.push(original(&api, &caller.user_id, *ms_id).await.map_err(at)?);
    }
    let forward = Forward::of(&originals)?;
    let to = |channel_id: &ChannelId| forward.to(*channel_id, &caller.user_id, new.client_id.as_deref());
    let sends = channel_ids.iter().map(to).collect();
    let results = api.sender.send_all(sends).await.into_iter().map(item_result).collect();
    Ok(Reply(Results { results }))
}

/// A message that the caller sees.
async fn original(api: &Api, caller: &str, ms_id: MsId) -> Result<Original> {
    let Message { channel_id, sender, sender_name, server_time, ms_type, content, extra, recalled, .. } =
        history::seen(&api.store, api.archive(), caller, ms_id).await?;
    if recalled.is_some() {
        return Err(Error::new(Kind::Conflict, "the message was recalled"));
    }
    let preview = extra.get("preview").and_then(Value::as_str).map(str::to_owned);
    Ok(Original { ms_id, channel_id, sender, sender_name, server_time, ms_type, content, preview })
}
