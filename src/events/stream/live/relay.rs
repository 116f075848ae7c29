//! Texts for some listeners, told live on all replicas and never stored: the signals of calls.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::error::{Error, Result};
use crate::base::store::Statements;
use crate::events::stream::Hub;
use crate::events::stream::queue::{End, Reason};
use crate::sql;

/// Most bytes of a part in base64. PostgreSQL takes signals of less than 8,000 bytes.
const PART_BYTES: usize = 7_000;
/// Most parts of a text. What callers hand over is bounded by settings, far below.
const PARTS_MAX: usize = 256;

/// What is told, and to whom.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    to: Vec<String>,
    /// The text of the event.
    text: String,
}

/// A part of it. The parts of one text come one after another.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    id: String,
    at: usize,
    of: usize,
    text: String,
}

/// The parts that have come so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    id: String,
    parts: usize,
    text: String,
}

impl Assembly {
    /// Takes a part. Returns the whole with the last one.
    pub fn take(&mut self, part: Part) -> Option<Told> {
        if part.at == 1 {
            *self = Self { id: part.id, parts: 1, text: part.text };
        } else if part.id == self.id && part.at == self.parts + 1 && part.of <= PARTS_MAX {
            self.parts = part.at;
            self.text.push_str(&part.text);
        } else {
            // Its beginning is lost.
            return None;
        }
        if part.at < part.of {
            return None;
        }
        let whole = std::mem::take(self);
        serde_json::from_slice(&BASE64_STANDARD.decode(whole.text).ok()?).ok()
    }
}

/// The parts of a text, in base64: so a part has as many bytes as characters.
fn parts(told: &Told) -> Result<Vec<String>> {
    let whole = BASE64_STANDARD.encode(serde_json::to_vec(told).map_err(Error::internal)?);
    let parts = whole.as_bytes().chunks(PART_BYTES);
    Ok(parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

impl Hub {
    /// Tells an event to the listeners of these users who hear of calls, on all replicas. It is not stored: a user who does not
    /// listen gets nothing.
    pub async fn relay(&self, to: &[&str], event: &str, data: &impl Serialize) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        // JSON is one line, as server-sent events require.
        let data = serde_json::to_string(data).map_err(Error::internal)?;
        let to = to.iter().map(|&user_id| user_id.to_owned()).collect();
        let parts = parts(&Told { to, text: format!("event: {event}\ndata: {data}\n\n") })?;
        if parts.len() > PARTS_MAX {
            return Err(Error::internal("a text is too long to be told live"));
        }
        let id = Uuid::now_v7().to_string();
        self.store.one(sql!("events/stream/relay"), &[&id, &parts]).await?;
        Ok(())
    }

    /// Puts what another replica, or this one, relays into the queues of its listeners. A queue without room ends: a call without
    /// one of its signals does not come about, so its client must know.
    pub(super) fn tell_relayed(&self, told: &Told) {
        let text = Bytes::from(told.text.clone());
        let mut full = Vec::new();
        {
            let crowd = self.crowd();
            for person in told.to.iter().filter_map(|name| crowd.people.get(name.as_str())) {
                let queues = person.queues.iter().filter(|queue| queue.wants.calls);
                full.extend(queues.filter(|queue| !queue.put_live(&text)).cloned());
            }
        }
        let reached = self.delivered.load(std::sync::atomic::Ordering::Acquire);
        for queue in full {
            self.end(&queue, End::Resync(Reason::TooSlow, reached.max(queue.joined)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Part> {
        let told = Told { to: vec!["a".into()], text: text.into() };
        let parts = parts(&told).expect("parts");
        let of = parts.len();
        let part = |(at, text)| Part { id: "1".into(), at: at + 1, of, text };
        parts.into_iter().enumerate().map(part).collect()
    }

    #[test]
    fn a_long_text_is_put_together_again_and_one_whose_beginning_is_lost_is_not() {
        let text = "候选 \"quoted\" \\ ".repeat(3_000);
        let mut assembly = Assembly::default();
        let mut told = None;
        for part in split(&text) {
            assert!(part.text.len() <= PART_BYTES);
            assert!(told.is_none());
            told = assembly.take(part);
        }
        assert_eq!(told.expect("the whole").text, text);
        let rest = split(&text).into_iter().skip(1);
        assert!(rest.map(|part| assembly.take(part)).all(|told| told.is_none()));
        let short = split("short").remove(0);
        assert_eq!(assembly.take(short).expect("one part").text, "short");
    }
}
