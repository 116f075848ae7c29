//! The gate as a replica last read it: whom it is asked about, and what happens without its answer.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row;

use super::{Callback, GATE, State};
use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::people::users::UserKind;

named! {
    /// What becomes of a message if the gate gives no answer.
    pub enum WithoutAnswer ("rule without an answer") {
        /// It is stored as its sender said it.
        Allow = "allow",
        /// The sender is told to send it again.
        Refuse = "refuse",
    }
}

/// The gate, while it is not paused.
pub struct InForce {
    /// None if it cannot be asked: its secret or headers do not decrypt.
    pub(in crate::delivery) callback: Option<Arc<Callback>>,
    without_answer: WithoutAnswer,
    /// None: all senders.
    sender_kinds: Option<Vec<String>>,
}

impl InForce {
    /// Reads it from the rows of all endpoints. A value that this release does not know refuses messages.
    pub(super) fn of(rows: &[Row], callbacks: &HashMap<String, Arc<Callback>>) -> Option<Self> {
        let row = rows.iter().find(|row| row.get::<_, &str>("callback_id") == GATE)?;
        if State::parse(row.get("state")) == Some(State::Paused) {
            return None;
        }
        let without_answer: Option<&str> = row.get("without_answer");
        Some(Self {
            callback: callbacks.get(GATE).cloned(),
            without_answer: without_answer.and_then(WithoutAnswer::parse).unwrap_or(WithoutAnswer::Refuse),
            sender_kinds: row.get("sender_kinds"),
        })
    }

    /// Whether it is asked about the messages of such a sender.
    pub fn concerns(&self, kind: UserKind) -> bool {
        self.sender_kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|known| known == kind.as_str()))
    }

    /// What becomes of a message without an answer that counts. `reason` is for the metrics.
    ///
    /// # Errors
    /// The message is refused, and can be sent again after `wait_s` seconds.
    pub fn unanswered(&self, reason: &'static str, wait_s: u64) -> Result<()> {
        let rule = self.without_answer;
        metrics::counter!("impg_gate_unanswered_total").increment(1);
        metrics::counter!("impg_gate_failures_total", "reason" => reason).increment(1);
        tracing::debug!(reason, rule = rule.as_str(), "the gate has given no answer");
        match rule {
            WithoutAnswer::Allow => Ok(()),
            WithoutAnswer::Refuse => Err(Error::new(Kind::GateUnanswered, "").retry_after(wait_s.max(1))),
        }
    }
}
