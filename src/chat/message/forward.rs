//! Forwards: a message that holds copies of others, as they were then.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::HeldFile;
use super::content::cut;
use super::outgoing::Outgoing;
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, FileId, MsId};

/// Most bytes of a forward as JSON.
const FORWARD_MAX_BYTES: usize = 262_144;
/// Most forwards in one another. Each adds 3 levels to the JSON of the message, and readers take 127 levels.
const FORWARDS_MAX: usize = 10;
/// The type of a forward.
pub const FORWARD: &str = "forward";

/// A message to forward, as its reader sees it.
#[derive(Debug, Clone)]
pub struct Original {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub sender: String,
    pub sender_name: String,
    pub server_time: OffsetDateTime,
    pub ms_type: String,
    pub content: Value,
    /// The text that is ready to show, unless it is a text.
    pub preview: Option<String>,
}

#[derive(Serialize)]
struct Copied<'a> {
    ms_id: MsId,
    channel_id: ChannelId,
    sender: &'a str,
    sender_name: &'a str,
    server_time: String,
    #[serde(rename = "type")]
    ms_type: &'a str,
    content: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
}

/// Copies of messages, ready to be sent into channels.
#[derive(Debug, Clone)]
pub struct Forward {
    ms_ids: Vec<MsId>,
    content: Value,
    preview: String,
    files: Vec<FileId>,
}

impl Forward {
    /// Copies messages, in this order.
    pub fn of(originals: &[Original]) -> Result<Self> {
        if originals.iter().any(|original| forwards(&original.content) >= FORWARDS_MAX) {
            return Err(Error::new(
                Kind::TooLarge,
                "the messages have 10 forwards in one another: send what is in them as a new message",
            ));
        }
        let copied = originals.iter().map(Original::copied).collect::<Result<Vec<_>>>()?;
        let content = json!({ "messages": copied });
        if content.to_string().len() > FORWARD_MAX_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                "forward fewer messages at once: they have more than 256 KiB",
            ));
        }
        let mut files = Vec::new();
        held(&content, &mut files);
        let preview = originals.first().map(|first| first.shown(originals.len())).unwrap_or_default();
        Ok(Self {
            ms_ids: originals.iter().map(|original| original.ms_id).collect(),
            content,
            preview,
            files,
        })
    }

    /// The send of the copies into one channel. The client id counts for each channel.
    pub fn to(&self, channel_id: ChannelId, sender: &str, client_id: Option<&str>) -> Result<Outgoing> {
        let mut extra = Extra::new();
        extra.insert("preview".into(), self.preview.as_str().into());
        Ok(Outgoing {
            content: self.content.clone(),
            short: json!({ "text": self.preview }),
            extra,
            files: self.files.iter().copied().map(HeldFile::of).collect(),
            ..Self::bare(&self.ms_ids, channel_id, sender, client_id)?
        })
    }

    /// The same send without its content: what an earlier call has sent is found by it, when the messages cannot be read
    /// any more.
    pub fn bare(
        ms_ids: &[MsId],
        channel_id: ChannelId,
        sender: &str,
        client_id: Option<&str>,
    ) -> Result<Outgoing> {
        let client_id = client_id.map(|client_id| format!("\u{1e}{channel_id} {client_id}"));
        Outgoing::bare(channel_id, sender, client_id, FORWARD, &json!([FORWARD, ms_ids]).to_string())
    }
}

impl Original {
    fn copied(&self) -> Result<Value> {
        let copied = Copied {
            ms_id: self.ms_id,
            channel_id: self.channel_id,
            sender: &self.sender,
            sender_name: &self.sender_name,
            server_time: self.server_time.format(&Rfc3339).map_err(Error::internal)?,
            ms_type: &self.ms_type,
            content: &self.content,
            preview: self.preview.as_deref(),
        };
        serde_json::to_value(copied).map_err(Error::internal)
    }

    /// The preview of a forward that begins with this message.
    fn shown(&self, count: usize) -> String {
        let text = self.preview.as_deref().or_else(|| self.content.get("text")?.as_str()).unwrap_or_default();
        let more = if count > 1 { format!(" (+{})", count - 1) } else { String::new() };
        format!("↪ {}{more}", cut(&format!("{}: {text}", self.sender_name)))
    }
}

/// How many forwards lie in one another: 0 for another content, 1 for a forward of other contents.
fn forwards(content: &Value) -> usize {
    let Some(messages) = content.get("messages").and_then(Value::as_array) else { return 0 };
    1 + messages.iter().map(|message| forwards(&message["content"])).max().unwrap_or_default()
}

/// The files that a content holds, also those of forwards in it.
fn held(content: &Value, files: &mut Vec<FileId>) {
    let file_id = content.get("file_id").and_then(|id| FileId::parse(id.as_str()?));
    files.extend(file_id.filter(|id| !files.contains(id)));
    for message in content.get("messages").and_then(Value::as_array).into_iter().flatten() {
        held(&message["content"], files);
    }
}
