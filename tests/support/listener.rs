//! One person's stream of events, read as a browser does (the HTML standard's event streams).

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

/// Far more than anything takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(30);

/// An open stream. Dropped: cut.
pub struct Listener {
    response: reqwest::Response,
    unread: Vec<u8>,
    /// What a browser would resume with: no further than what was handed out. Of a chunk that held several
    /// events, those still to be handed out do not count as heard.
    pub last_id: Option<i64>,
    /// The last id that was read.
    read_id: Option<i64>,
    pub retry_ms: Option<u64>,
    /// Comments and ids without an event, all together.
    pub beats: u32,
    ready: VecDeque<StreamEvent>,
    /// The totals of unread messages, in the order in which they were told. They come between events.
    pub totals: Vec<i64>,
    /// The data of signals and data of calls. They have no place in the log.
    live: VecDeque<Value>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEvent {
    pub id: i64,
    pub event: String,
    pub data: Value,
}

impl Listener {
    pub fn new(response: reqwest::Response) -> Self {
        let (unread, ready) = (Vec::new(), VecDeque::new());
        let (totals, live) = (Vec::new(), VecDeque::new());
        Self { response, unread, last_id: None, read_id: None, retry_ms: None, beats: 0, ready, totals, live }
    }

    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The next event; none when the stream has ended in order.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        // A stream that only beats is no event either.
        let reading = async { while self.ready.is_empty() && self.read().await {} };
        tokio::time::timeout(LONG, reading).await.expect("an event, or the end, in time");
        let told = self.ready.pop_front();
        self.last_id = told.as_ref().map(|told| told.id).or(self.last_id);
        self.catch_up_with_what_was_read();
        told
    }

    /// An id without an event counts once every event before it was handed out.
    fn catch_up_with_what_was_read(&mut self) {
        if self.ready.is_empty() {
            self.last_id = self.read_id;
        }
    }

    /// The data of the next signal of a call.
    pub async fn next_live(&mut self) -> Value {
        let reading = async { while self.live.is_empty() && self.read().await {} };
        tokio::time::timeout(LONG, reading).await.expect("a signal in time");
        self.live.pop_front().expect("a signal before the end")
    }

    /// The next event, which there must be, of this type.
    #[track_caller]
    pub fn expect<'a>(&'a mut self, event: &'a str) -> impl Future<Output = StreamEvent> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let told = self.next().await;
            match told {
                Some(told) if told.event == event => told,
                other => panic!("{caller}: {event} was to come, and not {other:?}"),
            }
        }
    }

    /// Events up to and with this id.
    pub async fn until(&mut self, id: i64) -> Vec<StreamEvent> {
        let mut all = Vec::new();
        while all.last().is_none_or(|told: &StreamEvent| told.id < id) {
            all.push(self.next().await.expect("events up to this one"));
        }
        all
    }

    /// Whatever events come until everything up to this id was told, which a sign of life says, too.
    pub async fn up_to(&mut self, id: i64) -> Vec<StreamEvent> {
        let mut all = Vec::new();
        let reading = async {
            while self.last_id.is_none_or(|last| last < id) {
                if self.ready.is_empty() {
                    assert!(self.read().await, "the stream ended");
                    continue;
                }
                let told = self.ready.pop_front().expect("it is there");
                self.last_id = Some(told.id);
                self.catch_up_with_what_was_read();
                all.push(told);
            }
        };
        tokio::time::timeout(LONG, reading).await.expect("everything up to this id in time");
        all
    }

    /// Events up to and with the message of these words.
    pub async fn through(&mut self, words: &str) -> Vec<StreamEvent> {
        let mut all = Vec::new();
        while all.last().is_none_or(|told: &StreamEvent| told.data["data"]["content"]["text"] != words) {
            all.push(self.next().await.expect("events up to this one"));
        }
        all
    }

    /// Reads on until the last total of unread messages is this one.
    pub async fn until_total(&mut self, wanted: i64) {
        let reading = async {
            while self.totals.last() != Some(&wanted) {
                assert!(self.read().await, "the stream ended at {:?}", self.totals);
            }
        };
        let told = tokio::time::timeout(LONG, reading).await;
        assert!(told.is_ok(), "{wanted} was to come after {:?}", self.totals);
    }

    /// Waits for a sign of life without an event.
    pub async fn beat(&mut self) {
        let before = self.beats;
        let reading = async {
            while self.beats == before {
                assert!(self.read().await, "the stream ended");
            }
        };
        tokio::time::timeout(LONG, reading).await.expect("a sign of life in time");
    }

    /// Takes what comes next off the socket. False: the end.
    async fn read(&mut self) -> bool {
        let Ok(Some(chunk)) = self.response.chunk().await else {
            return false;
        };
        self.unread.extend_from_slice(&chunk);
        while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            self.take(std::str::from_utf8(&block).expect("UTF-8"));
        }
        self.catch_up_with_what_was_read();
        true
    }

    fn take(&mut self, block: &str) {
        let (mut event, mut data, mut has_id) = (None, Vec::new(), false);
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').expect("a field");
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => {}
                "id" => {
                    self.read_id = Some(value.parse().expect("an id"));
                    has_id = true;
                }
                "retry" => self.retry_ms = Some(value.parse().expect("a time")),
                "event" => event = Some(value.to_owned()),
                "data" => data.push(value),
                _ => panic!("a field {field:?}"),
            }
        }
        if data.is_empty() {
            self.beats += 1;
            return;
        }
        if event.as_deref() == Some("unread") {
            assert!(!has_id, "a total has no place in the log");
            let total: Value = serde_json::from_str(&data.join("\n")).expect("data is JSON");
            self.totals.push(total["unread_total"].as_i64().expect("a total"));
            return;
        }
        if matches!(event.as_deref(), Some("call.signal" | "call.data")) {
            assert!(!has_id, "a signal has no place in the log");
            self.live.push_back(serde_json::from_str(&data.join("\n")).expect("data is JSON"));
            return;
        }
        self.ready.push_back(StreamEvent {
            id: self.read_id.expect("an event has an id"),
            event: event.expect("an event has a type"),
            data: serde_json::from_str(&data.join("\n")).expect("data is JSON"),
        });
    }
}
