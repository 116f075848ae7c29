//! `/messages` and `/channels/{id}/messages`: send, recall, read history.

mod reading;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::problem::{log_failure, problem};
use super::wire::{AtMost, Json, MaybeJson, PathId, check_reason, rfc3339};
use super::{Api, Authenticated, Person};
use crate::archive::Recalled;
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, FileId, MsId};
use crate::base::strict;
use crate::chat::message::{
    Content, HeldFile, Mentions, Outgoing, Quoted, Reply as Replied, Sent, StoredFile, Thread, Urgency,
    check_client_id, cut,
};
use crate::files::File;
use crate::identity::Role;
use crate::people::preference::Priority;
use crate::records::history::{self, Message};
use crate::records::recall::{self, Recall};

pub use reading::Cursor;

/// Most messages of one bulk send.
const BULK_MAX: usize = 1_000;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/messages", post(send_many))
        .route("/channels/{channel_id}/messages", get(reading::list).post(send))
        .route("/messages/{ms_id}/recall", post(recall))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    client_id: Option<String>,
    #[serde(rename = "type")]
    ms_type: String,
    content: Value,
    priority: Option<Priority>,
    escalate: Option<Value>,
    mentions: Option<Value>,
    reply_to: Option<MsId>,
    topic: Option<String>,
    data: Option<Value>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Serialize)]
pub struct SentView {
    ms_id: MsId,
    seq: i64,
    #[serde(with = "rfc3339")]
    server_time: OffsetDateTime,
    repeated: bool,
    #[serde(skip_serializing_if = "is_false")]
    replaced: bool,
}

/// The result of one item of a bulk send.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ItemResult {
    Sent {
        status: u16,
        #[serde(flatten)]
        sent: SentView,
    },
    Refused {
        status: u16,
        problem: Value,
    },
}

/// One result for each item, in order.
#[derive(Serialize)]
pub struct Results {
    pub results: Vec<ItemResult>,
}

#[derive(Serialize)]
pub struct MessageView {
    ms_id: MsId,
    channel_id: ChannelId,
    seq: i64,
    #[serde(with = "rfc3339")]
    server_time: OffsetDateTime,
    sender: String,
    sender_name: String,
    #[serde(rename = "type")]
    ms_type: String,
    content: Value,
    /// What the message carries beside its content.
    #[serde(flatten)]
    extra: Extra,
    #[serde(skip_serializing_if = "is_zero")]
    reply_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recalled: Option<RecalledView>,
}

/// `replaced` is there only if the gate has replaced the content.
pub fn is_false(replaced: &bool) -> bool {
    !replaced
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct RecalledView {
    by: String,
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
}

#[derive(Serialize)]
struct RecalledMessage {
    ms_id: MsId,
    recalled: RecalledView,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallBody {
    reason: Option<String>,
}

/// The sends of a call, with the messages to which they reply.
struct Sends<'a> {
    api: &'a Api,
    sender: &'a str,
    originals: HashMap<MsId, Result<Message>>,
}

impl<'a> Sends<'a> {
    /// Reads the messages to which the sends reply, all at once. Whether the sender sees them is checked with the sends.
    async fn of(api: &'a Api, sender: &'a str, replied: &[MsId]) -> Result<Self> {
        let originals = history::many(&api.store, api.archive(), None, replied).await?;
        Ok(Self { api, sender, originals })
    }

    /// The send of a message. Its errors point below `at`.
    async fn outgoing(&self, new: NewMessage, channel_id: ChannelId, at: &str) -> Result<Outgoing> {
        let Self { api, sender, .. } = self;
        let urgency = Urgency::parse(new.priority, new.escalate, api.config.chat.escalate_within(), at)?;
        if let Some(client_id) = &new.client_id {
            check_client_id(client_id, at)?;
        }
        let content = Content::parse(&new.ms_type, new.content, at)?;
        let mentions = Mentions::parse(new.mentions, at)?;
        let mut thread = Thread::parse(new.topic, new.data, new.reference, at)?;
        if let Some(ms_id) = new.reply_to {
            thread.reply = Some(Replied { ms_id, quoted: self.quoted(channel_id, ms_id)? });
        }
        let outgoing = Outgoing::new(channel_id, sender, new.client_id, &content)?;
        let outgoing = holding(api, sender, outgoing, content, at).await?;
        Ok(outgoing.with_urgency(urgency).with_mentions(mentions).with_thread(thread))
    }

    /// What a reply shows of a message of the channel.
    fn quoted(&self, channel_id: ChannelId, ms_id: MsId) -> Result<Option<Quoted>> {
        let message = match self.originals.get(&ms_id) {
            Some(Ok(message)) if message.channel_id == channel_id => message,
            Some(Err(e)) => return Err(again(e)),
            _ => return Ok(None),
        };
        let shown = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let preview = shown(message.extra.get("preview"))
            .or_else(|| shown(message.content.get("text")).map(|text| cut(&text)));
        Ok(Some(Quoted {
            seq: message.seq,
            sender: message.sender.clone(),
            sender_name: message.sender_name.clone(),
            ms_type: message.ms_type.clone(),
            preview: preview.filter(|_| message.recalled.is_none()),
        }))
    }
}

/// An error that several items of a call share. Its cause is logged here, because the copy has none.
pub fn again(e: &Error) -> Error {
    log_failure(e);
    let again = Error::new(e.kind, e.detail.clone());
    match &e.pointer {
        Some(pointer) => again.at(pointer.clone()),
        None => again,
    }
}

/// The send with the file that its content holds. Whether the sender can read it is checked again with the send.
pub async fn holding(
    api: &Api,
    sender: &str,
    outgoing: Outgoing,
    content: Content,
    at: &str,
) -> Result<Outgoing> {
    let Some(file_id) = content.file_id() else { return Ok(outgoing) };
    let at = format!("{at}/content/file_id");
    let Some(file) = readable(api, sender, file_id).await? else {
        return Ok(outgoing.with_file(HeldFile { at, file_id: None }, &content));
    };
    let filled = filled(content, file, &at)?;
    Ok(outgoing.with_file(HeldFile { at, file_id: Some(file_id) }, &filled))
}

/// A file that is whole, and that a user can read.
pub async fn readable(api: &Api, reader: &str, file_id: FileId) -> Result<Option<File>> {
    match api.files.get(file_id, reader).await {
        Ok(file) => Ok(file.media_type.is_some().then_some(file)),
        Err(e) if e.kind == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The content with what is known of its file. `at` is the pointer of `file_id`.
pub fn filled(content: Content, file: File, at: &str) -> Result<Content> {
    let File { name, size, media_type, width, height, .. } = file;
    let pixels = |side: i32| u64::from(side.unsigned_abs());
    let stored = StoredFile {
        name,
        size: size.unsigned_abs(),
        media_type: media_type.unwrap_or_default(),
        pixels: width.map(pixels).zip(height.map(pixels)),
    };
    content.with_file(stored).map_err(|must| Error::field(at, must))
}

impl From<Sent> for SentView {
    fn from(s: Sent) -> Self {
        let Sent { ms_id, seq, server_time, repeated, replaced } = s;
        Self { ms_id, seq, server_time, repeated, replaced }
    }
}

impl From<Message> for MessageView {
    fn from(m: Message) -> Self {
        Self {
            ms_id: m.ms_id,
            channel_id: m.channel_id,
            seq: m.seq,
            server_time: m.server_time,
            sender: m.sender,
            sender_name: m.sender_name,
            ms_type: m.ms_type,
            content: m.content,
            extra: m.extra,
            reply_count: m.replies,
            recalled: m.recalled.map(Into::into),
        }
    }
}

impl From<Recalled> for RecalledView {
    fn from(recalled: Recalled) -> Self {
        Self { by: recalled.by, at: recalled.at }
    }
}

/// The statement that stores a message checks its sender. This handler does not need [`Person`].
async fn send(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    PathId(channel_id): PathId<ChannelId>,
    Json(new): Json<NewMessage>,
) -> Result<impl IntoResponse> {
    caller.require(Role::User)?;
    let sends = Sends::of(&api, &caller.user_id, new.reply_to.as_slice()).await?;
    let outgoing = sends.outgoing(new, channel_id, "").await?;
    let sent = api.send(outgoing).await?;
    let status = if sent.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Reply(SentView::from(sent))))
}

async fn send_many(
    State(api): State<Api>,
    Person(caller): Person,
    Json(AtMost(items)): Json<AtMost<BULK_MAX, Value>>,
) -> Result<Reply<Results>> {
    if items.is_empty() {
        return Err(Error::field("", "must have at least one item"));
    }
    let items: Vec<_> = items.into_iter().enumerate().map(|(index, item)| bulk_item(index, item)).collect();
    let replied: Vec<MsId> = items.iter().filter_map(|item| item.as_ref().ok()?.1.reply_to).collect();
    let sends = Sends::of(&api, &caller.user_id, &replied).await?;
    let mut outgoing = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        outgoing.push(match item {
            Ok((channel_id, new)) => sends.outgoing(new, channel_id, &format!("/{index}")).await,
            Err(e) => Err(e),
        });
    }
    let results = api.send_all(outgoing).await.into_iter().map(item_result).collect();
    Ok(Reply(Results { results }))
}

/// An invalid item fails alone, so each item is parsed separately. It is a message with the channel that it goes to.
fn bulk_item(index: usize, mut item: Value) -> Result<(ChannelId, NewMessage)> {
    let at = format!("/{index}");
    let channel_id = item.as_object_mut().and_then(|fields| fields.remove("channel_id"));
    let new: NewMessage = strict::read_value(item, &at)?;
    let at_channel = format!("{at}/channel_id");
    let channel_id = channel_id.ok_or_else(|| Error::field(at_channel.as_str(), "is missing"))?;
    Ok((strict::read_value(channel_id, &at_channel)?, new))
}

/// A send as an item of a bulk answer.
pub fn item_result(result: Result<Sent>) -> ItemResult {
    match result {
        Ok(sent) => ItemResult::Sent { status: if sent.repeated { 200 } else { 201 }, sent: sent.into() },
        Err(e) => {
            log_failure(&e);
            ItemResult::Refused { status: e.kind.row().0, problem: problem(&e) }
        }
    }
}

async fn recall(
    State(api): State<Api>,
    caller: Authenticated,
    PathId(ms_id): PathId<MsId>,
    MaybeJson(body): MaybeJson<RecallBody>,
) -> Result<Reply<RecalledMessage>> {
    let any = caller.must_be(Role::Admin).is_ok();
    if !any {
        caller.must_be(Role::User)?;
        crate::people::users::check_active(&api.store, &caller.0.user_id).await?;
    }
    let reason = check_reason(body.reason.as_deref()).map_err(|e| Error::field("/reason", e.detail))?;
    let within = api.config.chat.recall_within.try_into().unwrap_or(Duration::MAX);
    // The clock of the database, which also set the time of the message.
    let now = api.store.now().await?;
    let recall = Recall { ms_id, by: &caller.0.user_id, any, reason, now, within };
    let recalled = recall::recall(&api.store, api.archive(), recall).await?;
    Ok(Reply(RecalledMessage { ms_id, recalled: recalled.into() }))
}
