//! What connects a message to others: the message to which it replies, its topic, and data and a reference of its sender.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use serde_json::{Value, json};
use tokio_postgres::{Row, Statement};

use super::outgoing::Outgoing;
use crate::base::error::{Error, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, MsId};
use crate::base::strict::depth;
use crate::base::text::is_label;
use crate::sql;

const TOPIC_MAX_CHARS: usize = 64;
const REF_MAX_CHARS: usize = 128;
const DATA_MAX_BYTES: usize = 4_096;
/// Deepest nesting of data. It is stored, and pushed and archived within other JSON, and readers take 127 levels.
const DATA_MAX_DEPTH: usize = 32;
/// What a topic must be.
pub const TOPIC_RULE: &str = "must be one line of 1 to 64 characters, at least one of them visible";
/// What a reference must be.
pub const REF_RULE: &str = "must be one line of 1 to 128 characters, at least one of them visible";

/// What connects a message to others, as its sender says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thread {
    /// The pointer of the item.
    at: String,
    pub reply: Option<Reply>,
    topic: Option<String>,
    data: Option<Value>,
    reference: Option<String>,
}

/// A message to which another one replies.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub ms_id: MsId,
    /// None if the channel has no such message.
    pub quoted: Option<Quoted>,
}

/// What a reply shows of the message, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Quoted {
    pub seq: i64,
    pub sender: String,
    pub sender_name: String,
    pub ms_type: String,
    /// None if it is recalled.
    pub preview: Option<String>,
}

impl Thread {
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Checks `topic`, `data` and `ref` of a send. `at` is the pointer of the item that holds them.
    pub fn parse(
        topic: Option<String>,
        data: Option<Value>,
        reference: Option<String>,
        at: &str,
    ) -> Result<Self> {
        if topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            return Err(Error::field(format!("{at}/topic"), TOPIC_RULE));
        }
        if reference.as_ref().is_some_and(|reference| !is_ref(reference)) {
            return Err(Error::field(format!("{at}/ref"), REF_RULE));
        }
        if let Some(data) = &data {
            let at = format!("{at}/data");
            if !data.is_object() {
                return Err(Error::field(at, "must be an object"));
            }
            if data.to_string().len() > DATA_MAX_BYTES {
                return Err(Error::field(at, "must have at most 4,096 bytes of JSON"));
            }
            if depth(data) > DATA_MAX_DEPTH {
                let must = "must be at most 32 levels deep: put deeper parts into it as text";
                return Err(Error::field(at, must));
            }
            if has_nul(data) {
                return Err(Error::field(at, "must not contain U+0000"));
            }
        }
        Ok(Self { at: at.to_owned(), reply: None, topic, data, reference })
    }

    pub fn is_empty(&self) -> bool {
        self.reply.is_none() && self.topic.is_none() && self.data.is_none() && self.reference.is_none()
    }

    /// What the client id stands for, besides the content.
    pub(super) fn digested(&self) -> String {
        let reply = self.reply.as_ref().map(|reply| reply.ms_id);
        json!(["thread", reply, self.topic, self.data, self.reference]).to_string()
    }

    /// Adds what readers see of it.
    pub(super) fn show(&self, extra: &mut Extra) {
        if let Some(Reply { ms_id, quoted: Some(quoted) }) = &self.reply {
            let Quoted { seq, sender, sender_name, ms_type, preview } = quoted;
            let mut shown = json!({
                "ms_id": ms_id.to_string(), "seq": seq, "sender": sender, "sender_name": sender_name, "type": ms_type
            });
            match preview {
                Some(preview) => shown["preview"] = json!(preview),
                None => shown["recalled"] = json!(true),
            }
            extra.insert("reply_to".into(), shown);
        }
        let others = [("topic", self.topic.as_ref().map(|topic| json!(topic))), ("data", self.data.clone())];
        let others = others.into_iter().chain([("ref", self.reference.as_ref().map(|named| json!(named)))]);
        extra.extend(others.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }

    /// Whether it has something by which messages are found.
    fn is_found(&self) -> bool {
        self.reply.is_some() || self.topic.is_some() || self.reference.is_some()
    }
}

/// Whether a text can be a topic.
pub fn is_topic(topic: &str) -> bool {
    is_label(topic, TOPIC_MAX_CHARS)
}

/// Whether a text can be a reference.
pub fn is_ref(reference: &str) -> bool {
    is_label(reference, REF_MAX_CHARS)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// The threads of the sends of one transaction, ready to be checked and written.
pub struct Threads<'a> {
    check: Statement,
    note: Statement,
    threads: HashMap<i32, &'a Thread>,
    /// Of replies.
    channels: Vec<ChannelId>,
    senders: Vec<&'a str>,
    replies: Vec<i32>,
    seqs: Vec<Option<i64>>,
    /// Of all.
    places: Vec<i32>,
    reply_to: Vec<Option<MsId>>,
    topics: Vec<Option<&'a str>>,
    references: Vec<Option<&'a str>>,
}

impl<'a> Threads<'a> {
    /// None if no send has a thread. The statements are prepared here, so that they are sent at once.
    pub async fn prepare(
        client: &impl GenericClient,
        sends: impl Iterator<Item = &'a Outgoing>,
    ) -> Result<Option<Self>> {
        // Places in the batch, from 1.
        let sends: Vec<(i32, &Outgoing)> = (1..).zip(sends).filter(|(_, s)| s.thread.is_found()).collect();
        if sends.is_empty() {
            return Ok(None);
        }
        let replies = || sends.iter().filter(|(_, send)| send.thread.reply.is_some());
        let threads = || sends.iter().map(|(_, send)| &send.thread);
        let seq = |reply: &Reply| reply.quoted.as_ref().map(|quoted| quoted.seq);
        Ok(Some(Self {
            check: client.prepare_cached(sql!("chat/message/check_replies")).await?,
            note: client.prepare_cached(sql!("chat/message/note_threads")).await?,
            threads: sends.iter().map(|(place, send)| (*place, &send.thread)).collect(),
            channels: replies().map(|(_, send)| send.channel_id).collect(),
            senders: replies().map(|(_, send)| send.sender.as_str()).collect(),
            replies: replies().map(|(place, _)| *place).collect(),
            seqs: replies().map(|(_, send)| send.thread.reply.as_ref().and_then(seq)).collect(),
            places: sends.iter().map(|(place, _)| *place).collect(),
            reply_to: threads().map(|thread| thread.reply.as_ref().map(|reply| reply.ms_id)).collect(),
            topics: threads().map(|thread| thread.topic.as_deref()).collect(),
            references: threads().map(|thread| thread.reference.as_deref()).collect(),
        }))
    }

    /// Finds the sends that must be refused. A later statement of the transaction refuses them.
    pub(super) async fn check(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let Self { channels, senders, replies, seqs, .. } = self;
        client.query(&self.check, &[channels, senders, replies, seqs]).await
    }

    /// Writes what finds the messages, in the transaction that has just stored the sends.
    pub(super) async fn write(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<u64, tokio_postgres::Error> {
        client.execute(&self.note, &[&self.places, &self.reply_to, &self.topics, &self.references]).await
    }

    /// Why a send is refused, by its place in the batch from 1, if its reply is wrong.
    pub(super) fn refusal(&self, checked: &[Row], place: i64) -> Option<Error> {
        let wrong = checked.iter().find(|row| i64::from(row.get::<_, i32>("place")) == place)?;
        let thread = self.threads.get(&wrong.get("place"))?;
        Some(Error::field(
            format!("{}/reply_to", thread.at),
            "is no message of this channel that the sender sees",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_small_object() {
        let pointer = |data: Value| {
            Thread::parse(None, Some(data), None, "/2").err().map(|e| e.pointer.expect("a pointer"))
        };
        assert_eq!(pointer(json!({"a": {"b": ["中", 1, null]}})), None);
        assert_eq!(pointer(json!({"a": "x".repeat(DATA_MAX_BYTES - 8)})), None);
        let deep = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert_eq!(pointer(deep(DATA_MAX_DEPTH)), None);
        for wrong in [
            json!([]),
            json!("x"),
            json!({"a": "x".repeat(DATA_MAX_BYTES - 7)}),
            deep(DATA_MAX_DEPTH + 1),
            json!({"a": (1..DATA_MAX_DEPTH).fold(json!([]), |inner, _| json!([inner]))}),
            json!({"a": ["\0"]}),
            json!({"\0": 1}),
        ] {
            assert_eq!(pointer(wrong), Some("/2/data".to_owned()));
        }
    }
}
