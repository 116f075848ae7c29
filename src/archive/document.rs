//! The archive's document of a message, and the checksum that compares two copies.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::base::analyzer as text;
use crate::base::extra::{self, Extra};
use crate::base::number::{self, ChannelId, MsId};
use crate::delivery::status::Status;

/// The fields of a content that are searched, before those of a card.
const SEARCHED: [&str; 4] = ["title", "text", "name", "address"];
/// The mark of documents that are set aside. Other marks have a colon.
pub(super) const SET_ASIDE: &str = "set-aside";

/// A message as both archives store it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    #[serde(with = "number::plain")]
    pub ms_id: MsId,
    /// 0 for the first part. Higher for further receivers of a message with very many.
    pub part: u32,
    /// A document replaces only a lower version.
    pub version: i64,
    #[serde(with = "number::plain")]
    pub channel_id: ChannelId,
    pub seq: i64,
    /// Microseconds since 1970.
    #[serde(with = "micros")]
    pub server_time: OffsetDateTime,
    pub sender: String,
    pub sender_count: i64,
    pub ms_type: String,
    /// Empty after a recall.
    pub content: Value,
    /// What the message carries beside its content. Empty after a recall.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled: Option<Recalled>,
    /// None until the message's day has moved: until then PostgreSQL has the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// Kept, but no longer found: a restored database does not know its message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub set_aside: bool,
}

/// The user who recalled the message, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    pub by: String,
    #[serde(with = "micros")]
    pub at: OffsetDateTime,
}

/// A message's receivers by push status. `offline` and `rejected` are unreceived too, with the gateway's
/// verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    #[serde(skip_serializing_if = "Group::is_empty")]
    pub unreceived: Group,
    #[serde(skip_serializing_if = "Group::is_empty")]
    pub offline: Group,
    #[serde(skip_serializing_if = "Group::is_empty")]
    pub rejected: Group,
    #[serde(skip_serializing_if = "Group::is_empty")]
    pub received: Group,
    #[serde(skip_serializing_if = "Group::is_empty")]
    pub read: Group,
}

/// Receivers in id order. The same index in `after_us` has the time of their status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    pub receivers: Vec<String>,
    /// Microseconds after the message's server time.
    pub after_us: Vec<i64>,
    /// The reasons of rejected receivers; empty if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Option<String>>,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty()
    }
}

impl Ledger {
    /// Names of the groups, for [`super::Find::receiver`].
    pub const UNRECEIVED: &[&str] = &["unreceived", "offline", "rejected"];
    pub const RECEIVED: &[&str] = &["received"];
    pub const READ: &[&str] = &["read"];
    pub const ANY: &[&str] = &["unreceived", "offline", "rejected", "received", "read"];

    pub fn groups(&self) -> [(&'static str, &Group); 5] {
        [
            ("unreceived", &self.unreceived),
            ("offline", &self.offline),
            ("rejected", &self.rejected),
            ("received", &self.received),
            ("read", &self.read),
        ]
    }

    /// A receiver's push status, or none if this part does not have them.
    pub fn status(&self, receiver: &str) -> Option<Status> {
        let holds =
            |group: &Group| group.receivers.binary_search_by(|who| who.as_str().cmp(receiver)).is_ok();
        let (name, _) = self.groups().into_iter().find(|(_, group)| holds(group))?;
        Some(match name {
            "read" => Status::Read,
            "received" => Status::Received,
            _ => Status::Unreceived,
        })
    }

    /// The number of receivers.
    pub fn len(&self) -> usize {
        self.groups().iter().map(|(_, group)| group.receivers.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Document {
    /// The searchable part of the content: a text, a title, a name, an address.
    pub fn searchable(&self) -> Cow<'_, str> {
        searchable(&self.content)
    }

    /// The marks by which it is found, such as the users that it mentions, or by which it is not found.
    pub fn marks(&self) -> Vec<String> {
        let aside = self.set_aside.then(|| SET_ASIDE.to_owned());
        extra::marks(&self.sender, &self.extra).into_iter().chain(aside).collect()
    }

    /// The words as both archives index them: see [`text::index_form`].
    pub fn words(&self) -> String {
        text::index_form(&self.searchable())
    }

    /// A checksum over everything except the version, and whether it is set aside. Checksums of many documents are added, so that two sets
    /// can be compared in any order.
    pub fn checksum(&self) -> u128 {
        let Self { ms_id, part, version: _, channel_id, seq, server_time, .. } = self;
        let Self { sender, sender_count, ms_type, content, extra, recalled, ledger, .. } = self;
        let place = (ms_id.0, part, channel_id.0, seq, server_time.unix_timestamp_nanos() / 1000);
        let bytes =
            serde_json::to_vec(&(place, sender, sender_count, ms_type, content, extra, recalled, ledger));
        let bytes = bytes.unwrap_or_default();
        let digest = Sha256::digest(&bytes);
        u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

/// The searchable part of a content, also of the messages in a forward.
pub fn searchable(content: &Value) -> Cow<'_, str> {
    let fields = content.get("fields").and_then(Value::as_array).into_iter().flatten();
    let fields = fields.flat_map(|field| [field["name"].as_str(), field["value"].as_str()]).flatten();
    let own = SEARCHED.iter().filter_map(|key| content.get(*key)?.as_str()).chain(fields).map(Cow::Borrowed);
    let forwarded = content.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut parts = own.chain(forwarded.filter_map(|message| message.get("content")).map(searchable));
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |joined, part| Cow::Owned(format!("{joined}\n{part}")))
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::OffsetDateTime;

    pub fn serialize<S: Serializer>(time: &OffsetDateTime, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_i64((time.unix_timestamp_nanos() / 1000) as i64)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<OffsetDateTime, D::Error> {
        let micros = i64::deserialize(de)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(D::Error::custom)
    }
}
