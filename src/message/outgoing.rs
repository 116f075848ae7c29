//! A message on its way in, and what its sender is answered.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Content;
use crate::error::{Error, Result};

/// Begins the client ids we give to sends that bring none; callers cannot write it.
const INNER_ID_MARK: char = '\u{1f}';

/// A message on its way into a channel.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub(super) channel_id: i64,
    pub(super) sender: String,
    pub(super) client_id: String,
    pub(super) digest: Vec<u8>,
    pub(super) ms_type: &'static str,
    pub(super) content: Value,
    pub(super) preview: Value,
}

/// An acknowledged message: it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub ms_id: i64,
    pub seq: i64,
    pub server_time: OffsetDateTime,
    /// Whether an earlier send with this client id had stored it already.
    pub repeated: bool,
}

impl Outgoing {
    /// A send without a client id gets one of ours, so that an unclear commit can be resolved.
    pub fn new(channel_id: i64, sender: &str, client_id: Option<String>, content: &Content) -> Result<Self> {
        let client_id = match client_id {
            Some(given) => given,
            None => {
                let mut random = [0u8; 16];
                getrandom::fill(&mut random).map_err(Error::internal)?;
                format!("{INNER_ID_MARK}{}", BASE64_URL_SAFE_NO_PAD.encode(random))
            }
        };
        let body = content.to_json();
        let mut digest = Sha256::new();
        digest.update(channel_id.to_be_bytes());
        digest.update(content.ms_type());
        digest.update(body.to_string());
        Ok(Self {
            channel_id,
            sender: sender.to_owned(),
            client_id,
            digest: digest.finalize()[..16].to_vec(),
            ms_type: content.ms_type(),
            preview: content.preview(),
            content: body,
        })
    }

    /// Whether the caller brought no client id.
    pub(super) fn has_inner_id(&self) -> bool {
        self.client_id.starts_with(INNER_ID_MARK)
    }
}
