//! The listeners of a replica, numbered, so that one query finds who gets which event.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::Listener;
use super::log::{Event, Span};
use super::queue::Queue;
use crate::base::number::ChannelId;

/// The numbered listeners.
pub(super) struct Roster {
    pub queues: Vec<Vec<Arc<Queue>>>,
    /// The user ids, by number.
    pub names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
    /// The numbers as JSON, for SQL.
    pub json: Box<RawValue>,
}

impl Roster {
    pub fn of(people: &HashMap<Arc<str>, Listener>) -> Self {
        let listening = people.iter().filter(|(_, person)| !person.queues.is_empty());
        let (names, queues): (Vec<_>, Vec<_>) =
            listening.map(|(user_id, person)| (user_id.clone(), person.queues.clone())).unzip();
        let numbers: HashMap<Arc<str>, usize> =
            names.iter().enumerate().map(|(number, user_id)| (user_id.clone(), number)).collect();
        let by_name: HashMap<&str, usize> =
            numbers.iter().map(|(user_id, number)| (&**user_id, *number)).collect();
        let json = serde_json::value::to_raw_value(&by_name).expect("names and numbers are JSON");
        Self { queues, names, numbers, json }
    }

    /// The listeners of an event: its audience and the members at its position. An event without a position
    /// goes to the current members.
    pub fn listeners(&self, event: &Event, spans: &HashMap<ChannelId, Vec<Span>>) -> Vec<usize> {
        let audience = event.audience.iter().filter_map(|user_id| self.numbers.get(user_id.as_str()));
        let spans = event.channel_id.and_then(|channel_id| spans.get(&channel_id));
        let members = spans.into_iter().flatten().filter(|span| span.holds(event)).map(|span| &span.number);
        let mut listeners: Vec<usize> = audience.chain(members).copied().collect();
        listeners.sort_unstable();
        listeners.dedup();
        listeners
    }
}
