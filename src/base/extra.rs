//! What a message carries beside its content: a ready preview, and whom it mentions. It is stored, pushed, streamed
//! and archived as one object.

use serde_json::{Map, Value};

/// The fields beside `content`, as they are stored and shown. A plain text has none.
pub type Extra = Map<String, Value>;

/// The user id under which a mention of all members is kept. No user has it: ids have no slash.
pub const ALL: &str = "/all";

/// The value of `mentions` for all members.
pub const MENTIONS_ALL: &str = "all";

/// Whether a message mentions a user, alone or with all others.
pub fn mentions(extra: &Extra, user_id: &str) -> bool {
    mentioned(extra).any(|mentioned| mentioned == user_id || mentioned == ALL)
}

/// The users whom a message mentions, or [`ALL`].
pub fn mentioned(extra: &Extra) -> impl Iterator<Item = &str> {
    let (all, users) = match extra.get("mentions") {
        Some(Value::String(all)) if all == MENTIONS_ALL => (Some(ALL), None),
        Some(Value::Array(users)) => (None, Some(users)),
        _ => (None, None),
    };
    all.into_iter().chain(users.into_iter().flatten().filter_map(Value::as_str))
}

/// The marks by which the archive finds a message.
pub fn marks(extra: &Extra) -> Vec<String> {
    mentioned(extra).map(mention_mark).collect()
}

/// The marks of messages that mention a user, alone or with all others.
pub fn marks_of_mentioned(user_id: &str) -> Vec<String> {
    vec![mention_mark(user_id), mention_mark(ALL)]
}

fn mention_mark(user_id: &str) -> String {
    format!("mention:{user_id}")
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
        assert_eq!(marks(&all), ["mention:/all"]);
        assert_eq!(marks(&named), ["mention:a", "mention:all"]);
    }
}
