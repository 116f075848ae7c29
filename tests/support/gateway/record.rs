//! What a gateway saw.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PushedMessage {
    pub ms_id: String,
    pub channel_id: String,
    pub channel_type: String,
    pub channel_name: Option<String>,
    pub seq: i64,
    pub sender: String,
    pub sender_name: Option<String>,
    pub server_time: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub content: Value,
    pub preview: Option<String>,
    pub mentions: Option<Value>,
    pub reply_to: Option<Value>,
    pub topic: Option<String>,
    pub data: Option<Value>,
    pub recalled: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    pub receivers: Vec<String>,
    pub ms_ids: Vec<String>,
    #[serde(default)]
    pub silent: Vec<String>,
    #[serde(default)]
    pub urgent: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    pub batch_id: String,
    pub messages: Vec<PushedMessage>,
    pub deliveries: Vec<Delivery>,
}

/// One request that was signed and well-formed.
#[derive(Debug)]
pub struct Batch {
    /// How many came before it.
    pub order: usize,
    /// 1 the first time this `webhook-id` came, then 2, …
    pub attempt: usize,
    pub webhook_id: String,
    pub headers: HeaderMap,
    pub path: String,
    pub size_bytes: usize,
    pub batch_id: String,
    pub messages: Vec<PushedMessage>,
    pub deliveries: Vec<Delivery>,
}

impl Batch {
    /// Message and receiver, in the order of the messages.
    pub fn pairs(&self) -> Vec<(&PushedMessage, &str)> {
        let mut receivers: HashMap<&str, Vec<&str>> = HashMap::new();
        for delivery in &self.deliveries {
            for ms_id in &delivery.ms_ids {
                let of_message = receivers.entry(ms_id).or_default();
                of_message.extend(delivery.receivers.iter().map(String::as_str));
            }
        }
        let mut pairs = Vec::new();
        for message in &self.messages {
            let of_message = receivers.get(message.ms_id.as_str()).into_iter().flatten();
            pairs.extend(of_message.map(|receiver| (message, *receiver)));
        }
        pairs
    }

    pub fn channels(&self) -> BTreeSet<&str> {
        self.messages.iter().map(|message| message.channel_id.as_str()).collect()
    }

    pub fn receivers(&self) -> BTreeSet<&str> {
        self.deliveries.iter().flat_map(|delivery| &delivery.receivers).map(String::as_str).collect()
    }
}

/// A batch and what it was answered, once that is decided.
#[derive(Debug)]
pub struct Arrival {
    pub batch: Arc<Batch>,
    pub answer: Option<Answer>,
}

/// A request that no gateway would take.
#[derive(Debug)]
pub struct Refusal {
    pub headers: HeaderMap,
    pub reason: String,
}

/// All that was seen, in order of arrival.
#[derive(Debug, Default)]
pub struct Record {
    pub arrivals: Vec<Arrival>,
    pub refusals: Vec<Refusal>,
    /// Message-and-receiver pairs that came, repeats and all.
    pub pairs: usize,
    attempts: HashMap<String, usize>,
    /// By channel: seq, ms_id, receiver, when they came first.
    sightings: HashMap<String, Vec<(i64, String, String)>>,
    /// By ms_id and receiver.
    seen: HashMap<String, HashMap<String, usize>>,
}

impl Record {
    /// Who was shown what in this channel, each the first time it came.
    pub fn first_sightings(&self, channel_id: &str) -> Vec<(i64, String, String)> {
        self.sightings.get(channel_id).cloned().unwrap_or_default()
    }

    /// How often this message came for this receiver.
    pub fn seen(&self, ms_id: &str, receiver: &str) -> usize {
        self.seen.get(ms_id).and_then(|receivers| receivers.get(receiver)).copied().unwrap_or_default()
    }

    /// How each push of this message for this receiver was marked: normal, silent or urgent.
    pub fn marks(&self, ms_id: &str, receiver: &str) -> Vec<&'static str> {
        let deliveries = self.batches().flat_map(|batch| &batch.deliveries);
        let has = |list: &[String], one: &str| list.iter().any(|item| item == one);
        let theirs = deliveries.filter(|d| has(&d.receivers, receiver) && has(&d.ms_ids, ms_id));
        let mark = |d: &Delivery| match (has(&d.urgent, ms_id), has(&d.silent, ms_id)) {
            (true, false) => "urgent",
            (false, true) => "silent",
            (false, false) => "normal",
            (true, true) => "urgent and silent",
        };
        theirs.map(mark).collect()
    }

    /// How many receivers this message came for.
    pub fn receivers_of(&self, ms_id: &str) -> usize {
        self.seen.get(ms_id).map_or(0, HashMap::len)
    }

    /// Different message-and-receiver pairs that came.
    pub fn distinct_pairs(&self) -> usize {
        self.seen.values().map(HashMap::len).sum()
    }

    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.arrivals.iter().map(|arrival| arrival.batch.as_ref())
    }

    /// Every attempt of one batch, first to last.
    pub fn attempts_of(&self, webhook_id: &str) -> Vec<Arc<Batch>> {
        let all = self.arrivals.iter().filter(|arrival| arrival.batch.webhook_id == webhook_id);
        all.map(|arrival| arrival.batch.clone()).collect()
    }

    pub(super) fn arrive(&mut self, mut batch: Batch) -> Arc<Batch> {
        let attempt = self.attempts.entry(batch.webhook_id.clone()).or_default();
        *attempt += 1;
        (batch.order, batch.attempt) = (self.arrivals.len(), *attempt);
        for (message, receiver) in batch.pairs() {
            self.pairs += 1;
            let receivers = self.seen.entry(message.ms_id.clone()).or_default();
            let count = receivers.entry(receiver.to_owned()).or_default();
            *count += 1;
            if *count == 1 {
                let sightings = self.sightings.entry(message.channel_id.clone()).or_default();
                sightings.push((message.seq, message.ms_id.clone(), receiver.to_owned()));
            }
        }
        let batch = Arc::new(batch);
        self.arrivals.push(Arrival { batch: batch.clone(), answer: None });
        batch
    }

    pub(super) fn summary(&self) -> String {
        let refused: Vec<&str> = self.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
        let (batches, distinct) = (self.arrivals.len(), self.distinct_pairs());
        format!(
            "{batches} batches with {} pairs, {distinct} of them different; refused: {refused:?}",
            self.pairs
        )
    }
}
