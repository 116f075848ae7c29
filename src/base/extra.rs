//! What a message carries beside its content: a ready preview, the users that it mentions, the message to which it
//! replies, its topic, and data of its sender. It is stored, pushed, streamed and archived as one object.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::base::number::{ChannelId, MsId};

/// The fields beside `content`, as they are stored and shown. A plain text has none.
pub type Extra = Map<String, Value>;

/// The same fields to pass on. Their values are not parsed, so that no value is too deep for a worker.
pub type Passed = BTreeMap<String, Box<RawValue>>;

/// The user id under which a mention of all members is kept. No user has it: ids have no slash.
pub const ALL: &str = "/all";

/// The value of `mentions` for all members.
pub const MENTIONS_ALL: &str = "all";

/// Whether a message mentions a user, alone or with all others.
pub fn mentions(extra: &Extra, user_id: &str) -> bool {
    mentioned(extra).any(|mentioned| mentioned == user_id || mentioned == ALL)
}

/// The fields that [`mentions`] reads.
pub fn mentions_of(passed: &Passed) -> Extra {
    let mentions = passed.get("mentions").and_then(|raw| serde_json::from_str(raw.get()).ok());
    mentions.map(|mentions| ("mentions".to_owned(), mentions)).into_iter().collect()
}

/// The users that a message mentions, or [`ALL`].
pub fn mentioned(extra: &Extra) -> impl Iterator<Item = &str> {
    let (all, users) = match extra.get("mentions") {
        Some(Value::String(all)) if all == MENTIONS_ALL => (Some(ALL), None),
        Some(Value::Array(users)) => (None, Some(users)),
        _ => (None, None),
    };
    all.into_iter().chain(users.into_iter().flatten().filter_map(Value::as_str))
}

/// The topic of a message.
pub fn topic(extra: &Extra) -> Option<&str> {
    extra.get("topic")?.as_str()
}

/// The message to which a message replies.
pub fn replied(extra: &Extra) -> Option<MsId> {
    MsId::parse(extra.get("reply_to")?.get("ms_id")?.as_str()?)
}

/// The place in the channel of the message to which a message replies.
pub fn replied_seq(extra: &Extra) -> Option<i64> {
    extra.get("reply_to")?.get("seq")?.as_i64()
}

/// Takes the message to which it replies, because the reader may not see that message.
pub fn forget_replied(extra: &mut Extra) {
    extra.remove("reply_to");
}

/// Takes the preview of the message to which it replies, because that message was recalled.
pub fn hide_replied(extra: &mut Extra) {
    if let Some(Value::Object(replied)) = extra.get_mut("reply_to") {
        replied.remove("preview");
        replied.insert("recalled".into(), true.into());
    }
}

/// The marks by which the archive finds a message.
pub fn marks(sender: &str, extra: &Extra) -> Vec<String> {
    let mut marks: Vec<String> = mentioned(extra).map(mention_mark).collect();
    marks.extend(replied(extra).map(reply_mark));
    marks.extend(topic(extra).map(topic_mark));
    let reference = extra.get("ref").and_then(Value::as_str);
    marks.extend(reference.map(|reference| ref_mark(sender, reference)));
    marks
}

/// The marks of messages that mention a user, alone or with all others.
pub fn marks_of_mentioned(user_id: &str) -> Vec<String> {
    vec![mention_mark(user_id), mention_mark(ALL)]
}

fn mention_mark(user_id: &str) -> String {
    format!("mention:{user_id}")
}

/// The mark of replies to a message.
pub fn reply_mark(ms_id: MsId) -> String {
    format!("reply:{ms_id}")
}

/// The mark of messages with a topic, in every channel, in the archive. A search finds it in the channels of its reader.
pub fn topic_mark(topic: &str) -> String {
    format!("topic:{topic}")
}

/// The mark of hot messages of a channel with a topic.
pub fn topic_mark_in(channel_id: ChannelId, topic: &str) -> String {
    format!("topic:{channel_id}/{topic}")
}

/// The mark of a sender's messages with a reference. The id of the sender has no slash.
pub fn ref_mark(sender: &str, reference: &str) -> String {
    format!("ref:{sender}/{reference}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn extra(value: Value) -> Extra {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_mention_is_of_named_users_or_of_all() {
        let named = extra(json!({"mentions": ["a", "all"]}));
        assert!(mentions(&named, "a") && mentions(&named, "all") && !mentions(&named, "b"));
        let all = extra(json!({"mentions": "all"}));
        assert!(mentions(&all, "a") && mentions(&all, "b"));
        assert!(!mentions(&extra(json!({"preview": "x"})), "a"));
        assert_eq!(marks("s", &all), ["mention:/all"]);
        assert_eq!(marks("s", &named), ["mention:a", "mention:all"]);
    }

    #[test]
    fn what_is_recalled_is_not_quoted() {
        let mut reply = extra(
            json!({"topic": "t", "ref": "a/b", "reply_to": {"ms_id": "7", "sender": "a", "preview": "x"}}),
        );
        assert_eq!(marks("s", &reply), ["reply:7", "topic:t", "ref:s/a/b"]);
        hide_replied(&mut reply);
        assert_eq!(reply["reply_to"], json!({"ms_id": "7", "sender": "a", "recalled": true}));
    }

    #[test]
    fn what_is_passed_on_can_be_of_any_depth() {
        let deep =
            format!(r#"{{"data": {}1{}, "mentions": ["a"]}}"#, r#"{"a": "#.repeat(200), "}".repeat(200));
        assert!(serde_json::from_str::<Extra>(&deep).is_err());
        let passed: Passed = serde_json::from_str(&deep).expect("it is not parsed");
        assert!(mentions(&mentions_of(&passed), "a"));
        assert!(serde_json::to_string(&passed).expect("JSON").contains(&"}".repeat(200)));
    }
}
