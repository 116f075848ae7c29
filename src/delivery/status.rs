//! The state machine of a receiver: push statuses, verdicts, and the meaning of the gateway's answer.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::base::error::{Error, Result};
use crate::base::strict;

/// The push status of one message for one receiver. It only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Unreceived,
    Received,
    Read,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreceived => "unreceived",
            Self::Received => "received",
            Self::Read => "read",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unreceived, Self::Received, Self::Read].into_iter().find(|s| s.as_str() == text)
    }

    /// The code in the ledger.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// From the code in the ledger.
    ///
    /// # Errors
    /// An internal error that names a code without a status.
    pub fn from_db(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Self::Unreceived),
            1 => Ok(Self::Received),
            2 => Ok(Self::Read),
            _ => Err(Error::internal(format!("the database has an unknown push status: {code}"))),
        }
    }
}

/// The gateway's verdict on one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The receiver has the messages: status `received`.
    Received,
    /// The receiver is offline. Not retried: the receiver pulls the messages later.
    Offline,
    /// Final: this receiver cannot get these messages.
    Rejected,
    /// Retry this receiver later, separately. Also the verdict on receivers missing from an answer.
    Retry,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Offline => "offline",
            Self::Rejected => "rejected",
            Self::Retry => "retry",
        }
    }

    /// The verdict in the ledger, by its code. Other verdicts are not kept.
    ///
    /// # Errors
    /// An internal error that names a code without a verdict.
    pub fn from_db(code: i16) -> Result<Self> {
        match code {
            1 => Ok(Self::Offline),
            2 => Ok(Self::Rejected),
            _ => Err(Error::internal(format!("the database has an unknown verdict: {code}"))),
        }
    }
}

/// Longest stored reason of a rejection, in characters.
const REASON_MAX_CHARS: usize = 200;

/// An answer with a verdict for every receiver of a batch: the named ones, and the rest.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdicts {
    pub named: HashMap<String, (Verdict, Option<String>)>,
    pub rest: Verdict,
    /// Number of users in the answer who are not receivers of the batch. They are ignored.
    pub unknown: usize,
}

impl Verdicts {
    pub fn of(&self, receiver: &str) -> Verdict {
        self.named.get(receiver).map_or(self.rest, |(verdict, _)| *verdict)
    }

    /// The verdict on a receiver, and the reason if they were rejected.
    pub fn with_reason(&self, receiver: &str) -> (Verdict, Option<&str>) {
        self.named.get(receiver).map_or((self.rest, None), |(verdict, reason)| (*verdict, reason.as_deref()))
    }
}

/// The two forms of an answer: `received` is `all` with exceptions, or a list beside other lists. Unknown
/// fields are refused, so that a misspelt field does not mark receivers as received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    received: Value,
    #[serde(default, deserialize_with = "given")]
    except: Option<Others>,
    #[serde(default, deserialize_with = "given")]
    offline: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    retry: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    rejected: Option<Vec<Rejected>>,
}

/// A field that is present must not be null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(de: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(de).map(Some)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Others {
    offline: Vec<String>,
    retry: Vec<String>,
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected {
    receiver: String,
    #[serde(default)]
    reason: String,
}

/// Reads the body of a `200`. `None`: the body has no verdicts. Receivers who are not named as received are
/// retried. A receiver named twice gets the more cautious verdict.
pub fn parse_answer(body: &[u8], is_receiver: impl Fn(&str) -> bool) -> Option<Verdicts> {
    let answer: Answer = strict::read(body).ok()?;
    let Answer { received, except, offline, retry, rejected } = answer;
    let (received, rest, others) = match (received, except) {
        (Value::String(all), except) if all == "all" => {
            let no_list = offline.is_none() && retry.is_none() && rejected.is_none();
            (Vec::new(), Verdict::Received, no_list.then(|| except.unwrap_or_default())?)
        }
        (received @ Value::Array(_), None) => {
            let [offline, retry] = [offline, retry].map(Option::unwrap_or_default);
            let others = Others { offline, retry, rejected: rejected.unwrap_or_default() };
            (strict::read_value(received, "").ok()?, Verdict::Retry, others)
        }
        _ => return None,
    };
    let plain = |verdict| move |receiver: String| (receiver, verdict, None);
    let rejected = |r: Rejected| {
        let reason: String = r.reason.chars().filter(|c| !c.is_control()).take(REASON_MAX_CHARS).collect();
        (r.receiver, Verdict::Rejected, Some(reason).filter(|reason| !reason.is_empty()))
    };
    // Later entries overwrite earlier ones, so the most cautious verdict comes last.
    let said = received
        .into_iter()
        .map(plain(Verdict::Received))
        .chain(others.rejected.into_iter().map(rejected))
        .chain(others.offline.into_iter().map(plain(Verdict::Offline)))
        .chain(others.retry.into_iter().map(plain(Verdict::Retry)));
    let mut verdicts = Verdicts { named: HashMap::new(), rest, unknown: 0 };
    for (receiver, verdict, reason) in said {
        if is_receiver(&receiver) {
            verdicts.named.insert(receiver, (verdict, reason));
        } else {
            verdicts.unknown += 1;
        }
    }
    Some(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: &str) -> Option<Verdicts> {
        parse_answer(body.as_bytes(), |receiver| ["u1", "u2", "u3", "u4"].contains(&receiver))
    }

    #[test]
    fn an_unknown_code_is_an_error() {
        for status in [Status::Unreceived, Status::Received, Status::Read] {
            assert_eq!(Status::from_db(status.code()).unwrap(), status);
        }
        assert!(Status::from_db(3).is_err());
        assert_eq!([1, 2].map(|code| Verdict::from_db(code).unwrap()), [Verdict::Offline, Verdict::Rejected]);
        assert!(Verdict::from_db(3).is_err());
    }

    #[test]
    fn all_means_everybody() {
        let verdicts = judged(r#"{"received": "all"}"#).unwrap();
        assert_eq!(verdicts.of("u1"), Verdict::Received);
    }

    #[test]
    fn except_takes_some_out() {
        let verdicts =
            judged(r#"{"received": "all", "except": {"offline": ["u1"], "retry": ["u2"]}}"#).unwrap();
        assert_eq!(
            ["u1", "u2", "u3"].map(|u| verdicts.of(u)),
            [Verdict::Offline, Verdict::Retry, Verdict::Received]
        );
    }

    #[test]
    fn a_list_is_no_answer_nor_a_null_in_one() {
        for body in [
            r#"[["u1"]]"#,
            r#"["all"]"#,
            r#"["all", {}]"#,
            r#"{"received": {"all": null}}"#,
            r#"{"received": "all", "except": null}"#,
            r#"{"received": "all", "except": [["u1"]]}"#,
            r#"{"received": "all", "offline": ["u1"]}"#,
            r#"{"received": ["u1"], "except": {}}"#,
            r#"{"received": ["u1"], "rejected": [["u2", "gone"]]}"#,
            r#"{"received": ["u1"], "received": ["u2"]}"#,
        ] {
            assert!(judged(body).is_none(), "{body}");
        }
    }

    #[test]
    fn whoever_is_not_named_is_retried() {
        let verdicts = judged(
            r#"{"received": ["u1"], "offline": ["u2"], "rejected": [{"receiver": "u3", "reason": "gone"}]}"#,
        )
        .unwrap();
        assert_eq!(verdicts.of("u4"), Verdict::Retry);
        assert_eq!(verdicts.named["u3"], (Verdict::Rejected, Some("gone".into())));
    }

    #[test]
    fn strangers_are_counted_and_ignored() {
        let verdicts = judged(r#"{"received": ["u1", "mallory"]}"#).unwrap();
        assert_eq!((verdicts.unknown, verdicts.named.len()), (1, 1));
    }

    #[test]
    fn named_twice_takes_the_cautious_verdict() {
        let verdicts = judged(r#"{"received": ["u1"], "retry": ["u1"]}"#).unwrap();
        assert_eq!(verdicts.of("u1"), Verdict::Retry);
    }

    #[test]
    fn anything_else_says_nothing() {
        for body in [
            "",
            "ok",
            "{}",
            "[]",
            r#"{"received": "most"}"#,
            r#"{"received": 7}"#,
            r#"{"ok": true}"#,
            r#"{"received": "all", "excpet": {"retry": ["u1"]}}"#,
            r#"{"received": "all", "offline": ["u1"]}"#,
            r#"{"received": ["u1"], "except": {"retry": ["u1"]}}"#,
            r#"{"received": ["u1"], "rejected": ["u2"]}"#,
        ] {
            assert_eq!(judged(body), None, "{body}");
        }
    }
}
