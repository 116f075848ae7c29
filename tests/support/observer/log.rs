//! What an observer saw, and what of it breaks a promise.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::Request;

/// Something that we were told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    #[serde(deserialize_with = "number")]
    pub event_id: i64,
    #[serde(rename = "type")]
    pub what: String,
    pub at: String,
    pub channel_id: Option<String>,
    pub channel_type: Option<String>,
    pub channel_name: Option<String>,
    pub data: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    batch_id: String,
    callback_id: String,
    events: Vec<Event>,
}

/// One POST of a batch.
#[derive(Debug)]
pub struct Post {
    /// How many came before it.
    pub order: usize,
    /// 1 the first time this batch came, then 2, …
    pub attempt: usize,
    pub at: Instant,
    pub headers: HeaderMap,
    pub batch_id: String,
    pub callback_id: String,
    pub events: Vec<Event>,
}

/// All that was seen, in order of arrival.
#[derive(Debug, Default)]
pub struct Log {
    pub posts: Vec<Arc<Post>>,
    /// The status each was told whole; none, while or because it was not.
    pub answers: Vec<Option<u16>>,
    /// What came and was no batch of events.
    pub refusals: Vec<String>,
    attempts: HashMap<String, usize>,
    /// Each event when it came first.
    first: Vec<Event>,
    known: HashSet<i64>,
}

impl Log {
    /// Every event in the order in which it came first.
    pub fn events(&self) -> &[Event] {
        &self.first
    }

    /// The types of what was told of a channel, in the order in which it came first.
    pub fn types<'a>(&'a self, channel_id: &'a str) -> Vec<&'a str> {
        self.of(channel_id).map(|event| event.what.as_str()).collect()
    }

    /// The messages of a channel, in the order in which they came first.
    pub fn seqs(&self, channel_id: &str) -> Vec<i64> {
        let created = self.of(channel_id).filter(|event| event.what == "message.created");
        created.filter_map(|event| event.data["seq"].as_i64()).collect()
    }

    /// How many messages came, of all channels.
    pub fn messages(&self) -> usize {
        self.first.iter().filter(|event| event.what == "message.created").count()
    }

    /// Every attempt of one batch, first to last.
    pub fn attempts_of(&self, batch_id: &str) -> Vec<Arc<Post>> {
        self.posts.iter().filter(|post| post.batch_id == batch_id).cloned().collect()
    }

    /// How many POSTs were told that they are taken.
    pub fn taken(&self) -> usize {
        self.answers.iter().flatten().filter(|status| (200..300).contains(*status)).count()
    }

    /// What breaks a promise: a batch that changed its members, an event in two batches, events of a
    /// channel that came first out of order. With `heard`, every answer that was given was heard, so
    /// that what was taken must not come again.
    pub fn violations(&self, heard: bool) -> Vec<String> {
        let mut found = Vec::new();
        let ids = |post: &Post| post.events.iter().map(|event| event.event_id).collect::<Vec<_>>();
        let mut members: HashMap<&str, Vec<i64>> = HashMap::new();
        let mut home: HashMap<i64, &str> = HashMap::new();
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        let mut taken: HashSet<&str> = HashSet::new();
        for (post, answer) in self.posts.iter().zip(&self.answers) {
            let batch = post.batch_id.as_str();
            if heard && taken.contains(batch) {
                found.push(format!("{batch} came again after it was taken"));
            }
            if answer.is_some_and(|status| (200..300).contains(&status)) {
                taken.insert(batch);
            }
            if members.entry(batch).or_insert_with(|| ids(post)) != &ids(post) {
                found.push(format!("{batch} changed its members"));
            }
            for event in &post.events {
                let first = *home.entry(event.event_id).or_insert(batch);
                if first != batch {
                    found.push(format!("event {} came in {first} and in {batch}", event.event_id));
                }
                let before = last.entry(event.channel_id.as_deref().unwrap_or_default()).or_default();
                if event.event_id < *before && post.attempt == 1 {
                    found.push(format!("event {} came after {before} of its channel", event.event_id));
                }
                *before = event.event_id.max(*before);
            }
        }
        found
    }

    fn of<'a>(&'a self, channel_id: &'a str) -> impl Iterator<Item = &'a Event> {
        self.first.iter().filter(move |event| event.channel_id.as_deref() == Some(channel_id))
    }

    pub(super) fn arrive(&mut self, mut post: Post) -> Arc<Post> {
        let attempt = self.attempts.entry(post.batch_id.clone()).or_default();
        *attempt += 1;
        (post.order, post.attempt) = (self.posts.len(), *attempt);
        for event in &post.events {
            if self.known.insert(event.event_id) {
                self.first.push(event.clone());
            }
        }
        let post = Arc::new(post);
        self.posts.push(post.clone());
        self.answers.push(None);
        post
    }

    pub(super) fn answered(&mut self, order: usize, status: Option<u16>) {
        self.answers[order] = status;
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} posts with {} different events, {} taken; no batches: {:?}",
            self.posts.len(),
            self.first.len(),
            self.taken(),
            self.refusals
        )
    }
}

/// The batch of a request; what is not one, in words.
pub(super) fn understand(request: &Request) -> Result<Post, String> {
    let Request { line, headers, body } = request;
    if !line.starts_with("POST /events ") {
        return Err(line.clone());
    }
    let Body { batch_id, callback_id, events } =
        serde_json::from_slice(body).map_err(|e| format!("{line}: {e}"))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("webhook-id") != batch_id || header("content-type") != "application/json" {
        return Err(format!("{line}: headers of another batch"));
    }
    let headers = headers.clone();
    Ok(Post { order: 0, attempt: 0, at: Instant::now(), headers, batch_id, callback_id, events })
}

/// Ids travel as text.
fn number<'de, D: serde::Deserializer<'de>>(text: D) -> Result<i64, D::Error> {
    String::deserialize(text)?.parse().map_err(serde::de::Error::custom)
}

/// Batch, channel and events of a POST that never was, and what it was answered.
pub type MadeUp<'a> = (&'a str, &'a str, &'a [i64], Option<u16>);

impl Log {
    /// A log as it might have been, for tests of what is said of it.
    pub fn made_up(posts: &[MadeUp]) -> Self {
        let mut log = Self::default();
        for (batch_id, channel_id, event_ids, answer) in posts {
            let event = |event_id: &i64| Event {
                event_id: *event_id,
                what: "message.created".to_owned(),
                at: String::new(),
                channel_id: Some((*channel_id).to_owned()),
                channel_type: None,
                channel_name: None,
                data: Value::Null,
            };
            let post = Post {
                order: 0,
                attempt: 0,
                at: Instant::now(),
                headers: HeaderMap::new(),
                batch_id: (*batch_id).to_owned(),
                callback_id: "made-up".to_owned(),
                events: event_ids.iter().map(event).collect(),
            };
            let order = log.arrive(post).order;
            log.answered(order, *answer);
        }
        log
    }
}
