//! A send, and the answer to it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::content::Mls;
use super::{Content, HeldFile, Mentions, Thread, Urgency};
use crate::base::error::{Error, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, MsId};

/// The prefix of client ids that the service generates. Callers cannot use it: control characters are refused.
const INNER_ID_MARK: char = '\u{1f}';

/// Length of a digest.
const DIGEST_BYTES: usize = 16;
/// Follows the digest of a message whose content the gate has replaced.
const REPLACED: u8 = 1;

/// The client id of a send that the service makes by itself, by a name that no other such send has.
pub fn inner_client_id(name: &str) -> String {
    format!("{INNER_ID_MARK}{name}")
}

/// A send: a message that is not stored yet.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub(super) channel_id: ChannelId,
    pub(super) sender: String,
    pub(super) client_id: String,
    pub(super) digest: Vec<u8>,
    pub(super) ms_type: &'static str,
    pub(super) content: Value,
    /// The content as the conversation list shows it.
    pub(super) short: Value,
    /// What the message carries beside its content.
    pub(super) extra: Extra,
    pub(super) mentions: Mentions,
    pub(super) thread: Thread,
    pub(super) files: Vec<HeldFile>,
    pub(super) urgency: Urgency,
}

/// A committed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub ms_id: MsId,
    pub seq: i64,
    pub server_time: OffsetDateTime,
    /// Whether an earlier send with this client id stored it.
    pub repeated: bool,
    /// Whether the gate has replaced the content.
    pub replaced: bool,
}

impl Outgoing {
    /// Generates a client id if the caller gives none. It shows whether a commit without an answer was stored.
    pub fn new(
        channel_id: ChannelId,
        sender: &str,
        client_id: Option<String>,
        content: &Content,
    ) -> Result<Self> {
        let body = content.to_json();
        let ms_type = content.ms_type();
        let mut extra = Extra::new();
        if !matches!(content, Content::Text(_)) {
            extra.insert("preview".into(), content.preview().into());
        }
        let bare = Self::bare(channel_id, sender, client_id, ms_type, &body.to_string())?;
        Ok(Self { short: content.short(), content: body, extra, ..bare })
    }

    /// A send without content. The client id stands for `digested`.
    pub(super) fn bare(
        channel_id: ChannelId,
        sender: &str,
        client_id: Option<String>,
        ms_type: &'static str,
        digested: &str,
    ) -> Result<Self> {
        let client_id = match client_id {
            Some(given) => given,
            None => {
                let mut random = [0u8; 16];
                getrandom::fill(&mut random).map_err(Error::internal)?;
                inner_client_id(&BASE64_URL_SAFE_NO_PAD.encode(random))
            }
        };
        let mut digest = Sha256::new();
        digest.update(channel_id.0.to_be_bytes());
        digest.update(ms_type);
        digest.update(digested);
        Ok(Self {
            channel_id,
            sender: sender.to_owned(),
            client_id,
            digest: digest.finalize()[..DIGEST_BYTES].to_vec(),
            ms_type,
            short: Value::Null,
            content: Value::Null,
            extra: Extra::new(),
            mentions: Mentions::default(),
            thread: Thread::default(),
            files: Vec::new(),
            urgency: Urgency::default(),
        })
    }

    /// The same send with its urgency. It is a part of what the client id stands for.
    pub fn with_urgency(mut self, urgency: Urgency) -> Self {
        if !urgency.is_plain() {
            self.digest(&urgency.digested());
            self.urgency = urgency;
        }
        self
    }

    /// The same send with the users that it mentions. They are a part of what the client id stands for.
    pub fn with_mentions(mut self, mentions: Mentions) -> Self {
        if !mentions.is_empty() {
            let shown = mentions.to_json();
            self.digest(&format!("mentions {shown}"));
            self.extra.insert("mentions".into(), shown);
            self.mentions = mentions;
        }
        self
    }

    /// The same send with the file that it holds, and the content as readers see it. The client id stands for what the caller
    /// said.
    pub fn with_file(mut self, file: HeldFile, content: &Content) -> Self {
        self.content = content.to_json();
        self.short = content.short();
        self.extra.insert("preview".into(), content.preview().into());
        self.files.push(file);
        self
    }

    /// The same send with what connects it to others. It is a part of what the client id stands for.
    pub fn with_thread(mut self, thread: Thread) -> Self {
        if !thread.is_empty() {
            self.digest(&thread.digested());
            thread.show(&mut self.extra);
            self.thread = thread;
        }
        self
    }

    /// The same send with the content that the gate gives in place of it, and the file that this content holds. The client
    /// id stands for what the caller said.
    pub fn with_replacement(mut self, content: &Content, file: Option<HeldFile>) -> Self {
        self.ms_type = content.ms_type();
        self.content = content.to_json();
        self.short = content.short();
        self.extra.remove("preview");
        if !matches!(content, Content::Text(_)) {
            self.extra.insert("preview".into(), content.preview().into());
        }
        self.files = file.into_iter().collect();
        self.digest.truncate(DIGEST_BYTES);
        self.digest.push(REPLACED);
        self
    }

    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// What the sender says: the type, the content and what the message carries beside it.
    pub fn said(&self) -> Extra {
        let mut said = self.extra.clone();
        said.insert("type".into(), self.ms_type.into());
        said.insert("content".into(), self.content.clone());
        said
    }

    /// The epoch that it ends, if it is a commit of MLS.
    pub(super) fn commit_epoch(&self) -> Option<i64> {
        if self.ms_type == Mls::TYPE { Mls::commit_epoch(&self.content) } else { None }
    }

    /// Whether a digest in the database stands for the same send.
    pub(super) fn is_same(&self, digest: &[u8]) -> bool {
        said(digest) == said(&self.digest)
    }

    pub(super) fn is_replaced(&self) -> bool {
        is_replaced(&self.digest)
    }

    /// Adds to what the client id stands for.
    fn digest(&mut self, part: &str) {
        let mut digest = Sha256::new();
        digest.update(&self.digest);
        digest.update(part);
        self.digest = digest.finalize()[..DIGEST_BYTES].to_vec();
    }

    /// Whether the service generated the client id.
    pub(super) fn has_inner_id(&self) -> bool {
        self.client_id.starts_with(INNER_ID_MARK)
    }
}

/// The part of a digest that stands for what the caller said.
fn said(digest: &[u8]) -> &[u8] {
    &digest[..digest.len().min(DIGEST_BYTES)]
}

/// Whether the digest is that of a message whose content the gate has replaced.
pub(super) fn is_replaced(digest: &[u8]) -> bool {
    digest.len() > DIGEST_BYTES
}
