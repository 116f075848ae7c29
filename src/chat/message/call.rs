//! The message that a call leaves when it ends. Only the service makes it.

use serde_json::json;

use super::content::duration;
use super::outgoing::{Outgoing, inner_client_id};
use crate::base::error::Result;
use crate::base::extra::Extra;
use crate::base::number::{CallId, ChannelId};

/// The type of the message.
pub const CALL: &str = "call";

/// A call that has ended.
#[derive(Debug, Clone)]
pub struct CallRecord {
    pub call_id: CallId,
    pub channel_id: ChannelId,
    pub media: String,
    pub outcome: &'static str,
    /// From the first answer to the end. `None`: it was not answered.
    pub duration_ms: Option<u64>,
    /// Those who were in it, the caller first.
    pub user_ids: Vec<String>,
}

impl CallRecord {
    /// The message of a sender. A call leaves one, so its client id is the call.
    pub fn to_message(&self, sender: &str) -> Result<Outgoing> {
        let Self { call_id, channel_id, media, outcome, duration_ms, user_ids } = self;
        let client_id = inner_client_id(&format!("call{call_id}"));
        let mut content =
            json!({"call_id": call_id, "media": media, "outcome": outcome, "user_ids": user_ids});
        if let Some(duration_ms) = duration_ms {
            content["duration_ms"] = (*duration_ms).into();
        }
        let preview = self.preview();
        let mut extra = Extra::new();
        extra.insert("preview".into(), preview.as_str().into());
        let bare = Outgoing::bare(*channel_id, sender, Some(client_id), CALL, &format!("{CALL} {call_id}"))?;
        Ok(Outgoing { content, short: json!({ "text": preview }), extra, ..bare })
    }

    /// The text that is ready to show, in every language: how long it took, or that no call came about.
    fn preview(&self) -> String {
        let symbol = if self.media == "video" { "📹" } else { "📞" };
        let shown = self.duration_ms.map_or_else(|| "✕".to_owned(), duration);
        format!("{symbol} {shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_by_its_length_or_as_one_that_did_not_come_about() {
        let record = |media: &str, duration_ms| CallRecord {
            call_id: CallId(17),
            channel_id: ChannelId(1),
            media: media.into(),
            outcome: "ended",
            duration_ms,
            user_ids: Vec::new(),
        };
        assert_eq!(record("audio", Some(62_000)).preview(), "📞 1:02");
        assert_eq!(record("video", None).preview(), "📹 ✕");
    }
}
