//! `/messages/{ms_id}/forward`: copies of messages, sent into other channels.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Reply, Router};
use serde::Deserialize;
use serde_json::Value;

use super::messages::{Results, again, item_result};
use super::wire::{AtMost, Json, PathId, check_client_id_if_any};
use super::{Api, Person};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::chat::message::{self, Forward, Mls, Original, Sent};
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
    let AtMost(more) = new.ms_ids.unwrap_or(AtMost(Vec::new()));
    let ms_ids: Vec<MsId> = std::iter::once(ms_id).chain(more).collect();
    let (sender, client_id) = (caller.user_id.as_str(), new.client_id.as_deref());
    let before = sent_before(&api, &channel_ids, &ms_ids, (sender, client_id)).await?;
    let mut after = Vec::new();
    if before.iter().any(Option::is_none) {
        let forward = originals(&api, sender, &ms_ids).await.and_then(|originals| Forward::of(&originals));
        let is_new = before.iter().all(Option::is_none);
        let forward = if is_new { Ok(forward?) } else { forward };
        let channels = channel_ids.iter().zip(&before).filter(|(_, before)| before.is_none());
        let to = |(channel_id, _): (&ChannelId, _)| match &forward {
            Ok(forward) => forward.to(*channel_id, sender, client_id),
            Err(e) => Err(again(e)),
        };
        after = api.send_all(channels.map(to).collect()).await;
    }
    let mut after = after.into_iter();
    let results = before.into_iter().filter_map(|sent| sent.or_else(|| after.next())).map(item_result);
    Ok(Reply(Results { results: results.collect() }))
}

/// What an earlier call with this client id has sent into the channels. A repeat does not read the messages again: they may
/// have been recalled since.
async fn sent_before(
    api: &Api,
    channel_ids: &[ChannelId],
    ms_ids: &[MsId],
    (sender, client_id): (&str, Option<&str>),
) -> Result<Vec<Option<Result<Sent>>>> {
    if client_id.is_none() {
        return Ok(channel_ids.iter().map(|_| None).collect());
    }
    let bare = |channel_id: &ChannelId| Forward::bare(ms_ids, *channel_id, sender, client_id);
    let sends = channel_ids.iter().map(bare).collect::<Result<Vec<_>>>()?;
    message::sent_before(&api.store, &sends.iter().collect::<Vec<_>>()).await
}

/// Messages that the caller sees, in this order. The first one is in the path, the others in `ms_ids`.
async fn originals(api: &Api, caller: &str, ms_ids: &[MsId]) -> Result<Vec<Original>> {
    let found = history::many(&api.store, api.archive(), Some(caller), ms_ids).await?;
    let one = |(place, ms_id): (usize, &MsId)| match found.get(ms_id) {
        Some(Ok(message)) => original(message),
        Some(Err(e)) => Err(again(e)),
        None if place == 0 => Err(Error::not_found("no such message")),
        None => Err(Error::not_found("no such message").at(format!("/ms_ids/{}", place - 1))),
    };
    ms_ids.iter().enumerate().map(one).collect()
}

fn original(message: &Message) -> Result<Original> {
    if message.recalled.is_some() {
        return Err(Error::new(Kind::Conflict, "the message was recalled"));
    }
    if message.ms_type == Mls::TYPE {
        let told = "only its members can read the message: let the client send it as a new one";
        return Err(Error::new(Kind::ChannelEncrypted, told));
    }
    Ok(Original {
        ms_id: message.ms_id,
        channel_id: message.channel_id,
        sender: message.sender.clone(),
        sender_name: message.sender_name.clone(),
        server_time: message.server_time,
        ms_type: message.ms_type.clone(),
        content: message.content.clone(),
        preview: message.extra.get("preview").and_then(Value::as_str).map(str::to_owned),
    })
}
