//! Messages of MLS (RFC 9420). The service keeps them in order, and does not read them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::Checked;
use super::optional_safe_integer;

/// Most characters of a message as base64. A Welcome to a large group is the longest.
const MLS_MAX_CHARS: usize = 262_144;
const MLS: &str = "must be a message of MLS of at most 262,144 characters, in base64";

/// A message that the clients of an encrypted channel can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mls {
    mls: String,
    kind: MlsKind,
    /// How many commits the channel has had when the sender made the message. A commit ends this epoch.
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

/// What a message is for. Clients say it, because the service does not read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MlsKind {
    Application,
    Commit,
    Welcome,
    Proposal,
}

impl Mls {
    /// The type of the message.
    pub const TYPE: &str = "mls";

    pub(super) fn check(&self) -> Checked {
        let fits = (1..=MLS_MAX_CHARS).contains(&self.mls.len());
        if !fits || BASE64_STANDARD.decode(&self.mls).is_err() {
            return Err(("mls", MLS));
        }
        if self.kind == MlsKind::Commit && self.epoch.is_none() {
            return Err(("epoch", "is missing: a commit names the epoch that it ends"));
        }
        Ok(())
    }

    /// Whether clients need a stored message to read the later ones.
    pub fn is_needed(ms_type: &str, content: &Value) -> bool {
        ms_type == Self::TYPE && matches!(content["kind"].as_str(), Some("commit" | "welcome"))
    }

    /// The epoch that a stored content ends, if it is a commit.
    pub fn commit_epoch(content: &Value) -> Option<i64> {
        content["epoch"].as_i64().filter(|_| content["kind"] == "commit")
    }
}
