//! The gate: a program of the company that is asked about each message before it is stored. It allows the message,
//! refuses it, or gives another content.
//!
//! A question holds no lock and no database connection. At most so many questions are under way or wait. Beyond them, and
//! while the breaker is open, the rule of the gate for messages without an answer counts at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use uuid::Uuid;

use super::endpoint::{Admission, Callback, Callbacks, GATE, InForce, Posted};
use crate::base::config::Config;
use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store};
use crate::base::text::overrides_direction;
use crate::people::users::UserKind;
use crate::sql;

/// Longest reason that a sender is told.
const REASON_MAX_CHARS: usize = 200;
/// The share of the time of a request that a question can take, and of the requests of a replica that can wait for answers.
const SHARE: u32 = 2;
/// When a message without an answer can be sent again, unless the breaker says it.
const WAIT_S: u64 = 1;

const BUSY: Unanswered = Unanswered { reason: "busy", wait_s: WAIT_S };

named! {
    /// What the gate is asked about.
    pub enum Subject ("subject of a question") {
        Message = "message",
        /// The next state of a card.
        CardUpdate = "card_update",
        /// The message that each receiver of a notification will get.
        Notification = "notification",
    }
}

/// Asks the gate. It is shared by all requests of a replica.
pub struct Gate {
    callbacks: Arc<Callbacks>,
    /// For questions that are under way or wait.
    places: Semaphore,
    longest: Duration,
}

/// Who sends, and where, as the gate is told.
#[derive(Debug, Clone)]
pub struct Origin {
    sender: String,
    name: String,
    kind: UserKind,
    /// None: a notification, which goes into many channels.
    channel: Option<Channel>,
    now: OffsetDateTime,
    /// When the clock was read. All questions of a call share it.
    read: Instant,
}

#[derive(Debug, Clone)]
struct Channel {
    channel_id: ChannelId,
    channel_type: String,
    name: Option<String>,
}

/// A question.
#[derive(Debug)]
pub struct Question {
    pub subject: Subject,
    pub origin: Origin,
    /// What the sender said: the type, the content and what goes with it.
    pub said: Map<String, Value>,
}

/// The content that the gate gives in place of the sender's. It is not checked yet.
#[derive(Debug)]
pub struct Replacement {
    pub ms_type: String,
    pub content: Value,
}

/// A verdict of the gate.
enum Verdict {
    Allow,
    /// With the reason for the sender.
    Refuse(String),
    /// Without a type: that of the message.
    Replace(Option<String>, Value),
}

/// Why there is no answer, and when another question can have one.
struct Unanswered {
    reason: &'static str,
    wait_s: u64,
}

#[derive(Deserialize)]
struct Answer {
    verdict: String,
    reason: Option<String>,
    #[serde(rename = "type")]
    ms_type: Option<String>,
    content: Option<Value>,
}

impl Gate {
    pub fn new(callbacks: Arc<Callbacks>, config: &Config) -> Self {
        let most =
            config.callbacks.gate_questions_max.min(config.server.requests_max / SHARE as usize).max(1);
        Self {
            callbacks,
            places: Semaphore::new(most.min(Semaphore::MAX_PERMITS)),
            longest: config.server.request_timeout / SHARE,
        }
    }

    /// The gate, if there is one and it is not paused.
    pub fn in_force(&self) -> Option<Arc<InForce>> {
        self.callbacks.gate()
    }

    /// Asks about a message. `None`: it stays as its sender said it.
    ///
    /// # Errors
    /// The gate refuses the message, or gives no answer and its rule is to refuse.
    pub async fn ask(&self, gate: &InForce, question: &Question) -> Result<Option<Replacement>> {
        if !gate.concerns(question.origin.kind) {
            return Ok(None);
        }
        let began = Instant::now();
        let answer = self.answer(gate, question).await;
        metrics::histogram!("impg_gate_seconds").record(began.elapsed());
        let count = |verdict: &'static str| {
            metrics::counter!("impg_gate_verdicts_total", "verdict" => verdict).increment(1);
        };
        match answer {
            Ok(Verdict::Allow) => {
                count("allow");
                Ok(None)
            }
            Ok(Verdict::Refuse(reason)) => {
                count("refuse");
                Err(Error::new(Kind::GateRefused, reason))
            }
            Ok(Verdict::Replace(ms_type, content)) => {
                count("replace");
                let own = || question.said.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(Some(Replacement { ms_type: ms_type.unwrap_or_else(own), content }))
            }
            Err(Unanswered { reason, wait_s }) => gate.unanswered(reason, wait_s).map(|()| None),
        }
    }

    async fn answer(&self, gate: &InForce, question: &Question) -> std::result::Result<Verdict, Unanswered> {
        let no_secret = Unanswered { reason: "secret does not decrypt", wait_s: WAIT_S };
        let callback = gate.callback.as_deref().ok_or(no_secret)?;
        let origin = &question.origin;
        let now = || origin.now + origin.read.elapsed();
        // Before there is a place to wait for.
        if callback.breaker_state(now()) == "open" {
            return Err(open(None));
        }
        let _place = self.places.try_acquire().map_err(|_| BUSY)?;
        let began = Instant::now();
        // A call with many messages must end in time, also if each answer is slow.
        let patience = callback.timeout.min(self.longest.saturating_sub(origin.read.elapsed()));
        if patience.is_zero() {
            return Err(BUSY);
        }
        let slot = tokio::time::timeout(patience, callback.slots().acquire()).await;
        let _slot = slot.ok().and_then(std::result::Result::ok).ok_or(BUSY)?;
        let asked = now();
        if let Admission::Open(until) = callback.admission(asked) {
            return Err(open(Some(until - asked)));
        }
        let question_id = Uuid::now_v7().to_string();
        let body = question.body(&question_id).to_string().into_bytes();
        let posted =
            callback.post_within(patience.saturating_sub(began.elapsed()), &question_id, body, asked).await;
        judged(callback, &posted, asked)
    }
}

/// The verdict of an answer. The breaker is told whether the gate works: one that refuses a question (4xx) may answer
/// another.
fn judged(
    callback: &Callback,
    posted: &Posted,
    now: OffsetDateTime,
) -> std::result::Result<Verdict, Unanswered> {
    let verdict = match posted.error {
        Some(error) => Err(error),
        None => verdict(&posted.answer).ok_or("no verdict"),
    };
    let is_there = verdict.is_ok() || posted.error.is_some() && posted.endpoint_is_there();
    callback.note(is_there, now + posted.took);
    verdict.map_err(|reason| Unanswered { reason, wait_s: WAIT_S })
}

fn open(wait: Option<time::Duration>) -> Unanswered {
    let wait_s = wait.map_or(0, |wait| wait.whole_seconds().max(0).unsigned_abs());
    Unanswered { reason: "breaker open", wait_s: wait_s.max(WAIT_S) }
}

fn verdict(answer: &[u8]) -> Option<Verdict> {
    let Answer { verdict, reason, ms_type, content } = serde_json::from_slice(answer).ok()?;
    match verdict.as_str() {
        "allow" => Some(Verdict::Allow),
        "refuse" => Some(Verdict::Refuse(plain(&reason.unwrap_or_default()))),
        "replace" => Some(Verdict::Replace(ms_type, content?)),
        _ => None,
    }
}

/// A reason as one short line that is shown in the order in which it is written.
fn plain(reason: &str) -> String {
    let is_shown = |c: &char| !c.is_control() && !overrides_direction(c.encode_utf8(&mut [0; 4]));
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(is_shown).take(REASON_MAX_CHARS).collect()
}

impl Question {
    fn body(&self, question_id: &str) -> Value {
        let Origin { sender, name, kind, channel, .. } = &self.origin;
        let mut message = self.said.clone();
        message.insert("sender".into(), json!(sender));
        message.insert("sender_name".into(), json!(name));
        message.insert("sender_kind".into(), json!(kind));
        if let Some(Channel { channel_id, channel_type, name }) = channel {
            message.insert("channel_id".into(), json!(channel_id));
            message.insert("channel_type".into(), json!(channel_type));
            message.insert("channel_name".into(), json!(name));
        }
        json!({
            "question_id": question_id,
            "callback_id": GATE,
            "subject": self.subject,
            "message": message,
        })
    }
}

/// Who sends, and where: one element for each sender and its channel, in order. A sender who cannot send there gets the
/// error that the send would get, so that the gate is not asked about messages of strangers.
pub async fn origins(store: &Store, sends: &[(Option<ChannelId>, &str)]) -> Result<Vec<Result<Origin>>> {
    let (channels, senders): (Vec<Option<ChannelId>>, Vec<&str>) = sends.iter().copied().unzip();
    let rows = store.all(sql!("delivery/gate/senders"), &[&channels, &senders]).await?;
    let read = Instant::now();
    let of = |(row, (channel_id, sender)): (&Row, &(Option<ChannelId>, &str))| {
        let origin = origin(row, *channel_id, (sender, read))?;
        if row.get("is_member") { Ok(origin) } else { Err(Error::not_found("no such channel")) }
    };
    Ok(rows.iter().zip(sends).map(of).collect())
}

/// Who sends, and where, for a sender of whom it is known that it can.
pub async fn origin_of(store: &Store, channel_id: Option<ChannelId>, sender: &str) -> Result<Origin> {
    let row =
        store.one(sql!("delivery/gate/senders"), &[&[channel_id].as_slice(), &[sender].as_slice()]).await?;
    origin(&row, channel_id, (sender, Instant::now()))
}

fn origin(row: &Row, channel_id: Option<ChannelId>, (sender, read): (&str, Instant)) -> Result<Origin> {
    let kind: Option<&str> = row.get("kind");
    let kind = UserKind::from_db(kind.ok_or_else(Error::unknown_caller)?)?;
    let channel = |channel_id| {
        let channel_type: Option<String> = row.get("channel_type");
        let channel_type = channel_type.ok_or_else(|| Error::not_found("no such channel"))?;
        Ok::<_, Error>(Channel { channel_id, channel_type, name: row.get("channel_name") })
    };
    Ok(Origin {
        sender: sender.to_owned(),
        name: row.get("name"),
        kind,
        channel: channel_id.map(channel).transpose()?,
        now: row.get("now"),
        read,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: &str) -> String {
        match verdict(answer.as_bytes()) {
            None => "none".to_owned(),
            Some(Verdict::Allow) => "allow".to_owned(),
            Some(Verdict::Refuse(reason)) => format!("refuse {reason}"),
            Some(Verdict::Replace(ms_type, content)) => format!("replace {ms_type:?} {content}"),
        }
    }

    #[test]
    fn an_answer_is_a_verdict_or_none() {
        for (answer, expected) in [
            (r#"{"verdict": "allow"}"#, "allow"),
            (r#"{"verdict": "allow", "score": 0.1}"#, "allow"),
            (r#"{"verdict": "refuse"}"#, "refuse "),
            (r#"{"verdict": "refuse", "reason": null}"#, "refuse "),
            (r#"{"verdict": "refuse", "reason": " 含有\n敏感词 "}"#, "refuse 含有 敏感词"),
            (r#"{"verdict": "replace", "content": {"text": "*"}}"#, r#"replace None {"text":"*"}"#),
            (r#"{"verdict": "replace", "type": "text", "content": 1}"#, r#"replace Some("text") 1"#),
            (r#"{"verdict": "replace", "type": "text"}"#, "none"),
            (r#"{"verdict": "refuse", "reason": 7}"#, "none"),
            (r#"{"verdict": "ALLOW"}"#, "none"),
            (r#"{"verdict": "allow", "verdict": "refuse"}"#, "none"),
            (r#"{"verdict": "allow"} and more"#, "none"),
            (r#"["allow"]"#, "none"),
            ("{}", "none"),
            ("allow", "none"),
            ("", "none"),
        ] {
            assert_eq!(shown(answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(plain("a\u{7}b\u{202e}c\t\td"), "abc d");
        assert_eq!(plain(&"词".repeat(10_000)).chars().count(), REASON_MAX_CHARS);
    }
}
