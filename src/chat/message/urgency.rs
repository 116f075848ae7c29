//! How urgent a message is, as its sender says with the send.

use deadpool_postgres::GenericClient;
use serde::Deserialize;
use serde_json::Value;
use time::Duration;
use tokio_postgres::Statement;

use crate::base::error::{Error, Result};
use crate::base::strict;
use crate::people::preference::Priority;
use crate::sql;

/// Most steps of a message.
const STEPS_MAX: usize = 5;
/// The first push of a message needs some time.
const AFTER_MIN_S: u32 = 10;

/// How urgent a message is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urgency {
    /// Whether its push is marked urgent.
    pub is_urgent: bool,
    /// What happens while receivers have not read, in the order of time.
    pub steps: Vec<NewStep>,
}

/// A step of a message that is not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewStep {
    pub kind: StepKind,
    /// The seconds after the message.
    pub after_s: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// One more push, marked urgent.
    Urgent,
    /// Observers are told.
    Event,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    after_s: u32,
    priority: Option<Priority>,
    event: Option<bool>,
}

impl StepKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Event => "event",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Urgent, Self::Event].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Urgency {
    /// Parses and checks `priority` and `escalate` of a send. `at` is the pointer of the item that holds them. No step
    /// may be later than `within` after the message.
    pub fn parse(
        priority: Option<Priority>,
        escalate: Option<Value>,
        within: Duration,
        at: &str,
    ) -> Result<Self> {
        let at = format!("{at}/escalate");
        let steps: Vec<Step> =
            escalate.map_or_else(|| Ok(Vec::new()), |steps| strict::read_value(steps, &at))?;
        if steps.len() > STEPS_MAX {
            return Err(Error::field(at, format!("must have at most {STEPS_MAX} steps")));
        }
        let most_s = u32::try_from(within.whole_seconds()).unwrap_or(u32::MAX);
        let mut last = 0;
        for (place, step) in steps.iter().enumerate() {
            let below = |field: &str| format!("{at}/{place}/{field}");
            if !(AFTER_MIN_S..=most_s).contains(&step.after_s) {
                return Err(Error::field(
                    below("after_s"),
                    format!("must be {AFTER_MIN_S} to {most_s} seconds"),
                ));
            }
            if step.after_s <= last {
                return Err(Error::field(below("after_s"), "must be more than that of the step before"));
            }
            last = step.after_s;
        }
        let steps = steps.iter().enumerate().map(|(place, step)| step.check(&format!("{at}/{place}")));
        Ok(Self { is_urgent: priority == Some(Priority::Urgent), steps: steps.collect::<Result<_>>()? })
    }

    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// What a client id stands for, besides the content.
    pub fn digested(&self) -> String {
        let steps: Vec<String> =
            self.steps.iter().map(|step| format!("{}{}", step.kind.as_str(), step.after_s)).collect();
        format!("{} {}", self.is_urgent, steps.join(" "))
    }
}

/// The urgency of the sends of one transaction, ready to be written.
pub struct Note {
    statement: Statement,
    urgent: Vec<i32>,
    places: Vec<i32>,
    kinds: Vec<&'static str>,
    after_s: Vec<i32>,
}

impl Note {
    /// None if all sends are plain. The statement is prepared here, so that [`Note::write`] sends it at once.
    pub async fn prepare<'a>(
        client: &impl GenericClient,
        urgencies: impl Iterator<Item = &'a Urgency>,
    ) -> Result<Option<Self>> {
        // Positions in the batch, from 1.
        let urgencies: Vec<(i32, &Urgency)> = (1..).zip(urgencies).filter(|(_, u)| !u.is_plain()).collect();
        if urgencies.is_empty() {
            return Ok(None);
        }
        let statement = client.prepare_cached(sql!("chat/message/note_urgency")).await?;
        let steps = urgencies.iter().flat_map(|(place, u)| u.steps.iter().map(|step| (*place, step)));
        let steps: Vec<(i32, &NewStep)> = steps.collect();
        Ok(Some(Self {
            statement,
            urgent: urgencies.iter().filter(|(_, u)| u.is_urgent).map(|(place, _)| *place).collect(),
            places: steps.iter().map(|(place, _)| *place).collect(),
            kinds: steps.iter().map(|(_, step)| step.kind.as_str()).collect(),
            after_s: steps.iter().map(|(_, step)| step.after_s).collect(),
        }))
    }

    /// Writes it in the transaction that has just stored the sends.
    pub async fn write(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<u64, tokio_postgres::Error> {
        client.execute(&self.statement, &[&self.urgent, &self.places, &self.kinds, &self.after_s]).await
    }
}

impl Step {
    fn check(&self, at: &str) -> Result<NewStep> {
        let kind = match (self.priority, self.event) {
            (Some(Priority::Urgent), None | Some(false)) => StepKind::Urgent,
            (None, Some(true)) => StepKind::Event,
            _ => {
                let detail =
                    "must have either `priority` with the value urgent, or `event` with the value true";
                return Err(Error::field(at, detail));
            }
        };
        Ok(NewStep { kind, after_s: i32::try_from(self.after_s).unwrap_or(i32::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(escalate: Value) -> std::result::Result<Vec<(&'static str, i32)>, String> {
        let parsed = Urgency::parse(None, Some(escalate), Duration::DAY, "/3");
        parsed
            .map(|urgency| urgency.steps.iter().map(|step| (step.kind.as_str(), step.after_s)).collect())
            .map_err(|e| e.pointer.expect("a pointer"))
    }

    #[test]
    fn steps_are_in_the_order_of_time_and_within_bounds() {
        let steps = json!([{"after_s": 600, "priority": "urgent"}, {"after_s": 3600, "event": true}]);
        assert_eq!(parsed(steps), Ok(vec![("urgent", 600), ("event", 3600)]));
        assert_eq!(parsed(json!([])), Ok(vec![]));
        for (wrong, pointer) in [
            (json!([{"after_s": 9, "event": true}]), "/3/escalate/0/after_s"),
            (json!([{"after_s": 86_401, "event": true}]), "/3/escalate/0/after_s"),
            (json!([{"after_s": -1, "event": true}]), "/3/escalate/0/after_s"),
            (
                json!([{"after_s": 60, "event": true}, {"after_s": 60, "priority": "urgent"}]),
                "/3/escalate/1/after_s",
            ),
            (json!([{"after_s": 60}]), "/3/escalate/0"),
            (json!([{"after_s": 60, "priority": "normal"}]), "/3/escalate/0"),
            (json!([{"after_s": 60, "priority": "urgent", "event": true}]), "/3/escalate/0"),
            (json!([{"after_s": 60, "event": false}]), "/3/escalate/0"),
            (json!([{"event": true}]), "/3/escalate/0/after_s"),
            (json!([{"after_s": 60, "event": true, "sms": true}]), "/3/escalate/0/sms"),
            (json!({"after_s": 60, "event": true}), "/3/escalate"),
            (
                json!((1..=6).map(|n| json!({"after_s": n * 60, "event": true})).collect::<Vec<_>>()),
                "/3/escalate",
            ),
        ] {
            assert_eq!(parsed(wrong.clone()), Err(pointer.to_owned()), "{wrong}");
        }
    }
}
