//! One row of the ledger: the state of each receiver, and its changes.

use std::collections::BTreeMap;

use bit_vec::BitVec;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::Key;
use crate::delivery::status::{Status, Verdict};

/// Most bytes of one time in `times`: enough milliseconds for 34 years.
const MOMENT_BYTES_MAX: usize = 5;
const MOMENT_MAX: i64 = (1 << (8 * MOMENT_BYTES_MAX)) - 1;

/// The reasons of rejections, by position.
pub type Reasons = BTreeMap<usize, String>;

/// The receivers of one message in one block of slots. A receiver has a bit in at most one of `received`, `read`,
/// `offline` and `rejected`.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub key: Key,
    pub server_time: OffsetDateTime,
    pub receivers: BitVec,
    pub received: Option<BitVec>,
    pub read: Option<BitVec>,
    pub offline: Option<BitVec>,
    pub rejected: Option<BitVec>,
    /// The time when all of these bits were set, if they share one time.
    pub changed_at: Option<OffsetDateTime>,
    /// Otherwise one time per position: milliseconds since `server_time`, each in as few bytes as the largest needs.
    pub times: Option<Vec<u8>>,
    pub reasons: Option<Reasons>,
    /// The times as numbers, after one has changed.
    moments: Option<Vec<i64>>,
    newly_received: i32,
    /// The positions of receivers with a first verdict.
    newly_unreached: Option<BitVec>,
}

impl Block {
    /// A block whose receivers are all unreceived.
    pub const fn new(key: Key, server_time: OffsetDateTime, receivers: BitVec) -> Self {
        Self {
            key,
            server_time,
            receivers,
            received: None,
            read: None,
            offline: None,
            rejected: None,
            changed_at: None,
            times: None,
            reasons: None,
            moments: None,
            newly_received: 0,
            newly_unreached: None,
        }
    }

    pub(super) fn of_row(row: &Row) -> Self {
        let key = Key { ms_id: row.get("ms_id"), block: row.get("block") };
        Self {
            received: row.get("received"),
            read: row.get("read"),
            offline: row.get("offline"),
            rejected: row.get("rejected"),
            changed_at: row.get("changed_at"),
            times: row.get("times"),
            reasons: row.get::<_, Option<Json<Reasons>>>("reasons").map(|Json(reasons)| reasons),
            ..Self::new(key, row.get("server_time"), row.get("receivers"))
        }
    }

    pub fn is_receiver(&self, bit: usize) -> bool {
        self.receivers.get(bit).unwrap_or(false)
    }

    pub fn status(&self, bit: usize) -> Status {
        if is_set(self.read.as_ref(), bit) {
            Status::Read
        } else if is_set(self.received.as_ref(), bit) {
            Status::Received
        } else {
            Status::Unreceived
        }
    }

    /// The gateway's verdict on a receiver who is unreceived, if there is one.
    pub fn verdict(&self, bit: usize) -> Option<Verdict> {
        if is_set(self.offline.as_ref(), bit) {
            Some(Verdict::Offline)
        } else if is_set(self.rejected.as_ref(), bit) {
            Some(Verdict::Rejected)
        } else {
            None
        }
    }

    pub fn reason(&self, bit: usize) -> Option<&str> {
        self.reasons.as_ref()?.get(&bit).map(String::as_str)
    }

    /// The time of the receiver's last change; without a change the time of the message.
    pub fn time(&self, bit: usize) -> OffsetDateTime {
        let since_sent = |moment| self.server_time + Duration::milliseconds(moment);
        match (&self.times, self.changed_at) {
            _ if self.moments.is_some() => {
                since_sent(self.moments.as_ref().map_or(0, |moments| moments[bit]))
            }
            (Some(times), _) => since_sent(decoded(times, bit, self.receivers.len())),
            (None, Some(at)) if self.is_touched(bit) => at,
            _ => self.server_time,
        }
    }

    /// Raises a receiver's status. Returns whether it rose.
    pub fn advance(&mut self, bit: usize, status: Status, at: OffsetDateTime) -> bool {
        if !self.is_receiver(bit) || self.status(bit) >= status {
            return false;
        }
        self.clear(bit);
        if status == Status::Read {
            self.set(bit, |block| &mut block.read);
        } else {
            self.set(bit, |block| &mut block.received);
            self.newly_received += 1;
        }
        self.stamp(bit, at);
        true
    }

    /// Applies the gateway's verdict to a receiver who is unreceived.
    pub fn set_verdict(&mut self, bit: usize, verdict: Verdict, reason: Option<&str>, at: OffsetDateTime) {
        match verdict {
            Verdict::Received => {
                self.advance(bit, Status::Received, at);
            }
            Verdict::Offline | Verdict::Rejected => {
                if self.is_receiver(bit) && self.status(bit) == Status::Unreceived {
                    if self.verdict(bit).is_none() {
                        self.set(bit, |block| &mut block.newly_unreached);
                    }
                    self.clear(bit);
                    if verdict == Verdict::Offline {
                        self.set(bit, |block| &mut block.offline);
                    } else {
                        self.set(bit, |block| &mut block.rejected);
                    }
                    if let Some(reason) = reason {
                        self.reasons.get_or_insert_default().insert(bit, reason.to_owned());
                    }
                    self.stamp(bit, at);
                }
            }
            Verdict::Retry => {}
        }
    }

    pub(super) const fn has_changed(&self) -> bool {
        self.moments.is_some()
    }

    pub(super) const fn newly_received(&self) -> i32 {
        self.newly_received
    }

    /// The positions of receivers whose first verdict was set since the block was locked.
    pub const fn newly_unreached(&self) -> Option<&BitVec> {
        self.newly_unreached.as_ref()
    }

    /// Encodes `changed_at` and `times`. If all set bits share one time, it is `changed_at`.
    pub(super) fn encoded_times(&self) -> (Option<OffsetDateTime>, Option<Vec<u8>>) {
        let Some(moments) = &self.moments else {
            return (self.changed_at, self.times.clone());
        };
        let mut touched = (0..moments.len()).filter(|bit| self.is_touched(*bit)).map(|bit| moments[bit]);
        let first = touched.next();
        if touched.all(|moment| Some(moment) == first) {
            return (first.map(|moment| self.server_time + Duration::milliseconds(moment)), None);
        }
        let largest = moments.iter().copied().max().unwrap_or_default();
        let unused = (largest.leading_zeros() / 8).min(7) as usize;
        let bytes = moments.iter().flat_map(|moment| moment.to_be_bytes().into_iter().skip(unused));
        (None, Some(bytes.collect()))
    }

    fn is_touched(&self, bit: usize) -> bool {
        [&self.received, &self.read, &self.offline, &self.rejected]
            .into_iter()
            .any(|bits| is_set(bits.as_ref(), bit))
    }

    fn set(&mut self, bit: usize, bits: impl Fn(&mut Self) -> &mut Option<BitVec>) {
        let length = self.receivers.len();
        bits(self).get_or_insert_with(|| BitVec::from_elem(length, false)).set(bit, true);
    }

    /// Clears the bits and the reason of a receiver.
    fn clear(&mut self, bit: usize) {
        for bits in [&mut self.received, &mut self.read, &mut self.offline, &mut self.rejected] {
            if let Some(set) = bits.as_mut().filter(|set| set.get(bit) == Some(true)) {
                set.set(bit, false);
                if set.none() {
                    *bits = None;
                }
            }
        }
        if let Some(reasons) = &mut self.reasons {
            reasons.remove(&bit);
            if reasons.is_empty() {
                self.reasons = None;
            }
        }
    }

    fn stamp(&mut self, bit: usize, at: OffsetDateTime) {
        if self.moments.is_none() {
            let moment = |bit| self.since_sent(self.time(bit));
            self.moments = Some((0..self.receivers.len()).map(moment).collect());
        }
        let moment = self.since_sent(at);
        if let Some(moments) = &mut self.moments {
            moments[bit] = moment;
        }
    }

    /// Milliseconds since the message. A time before the message counts as 0.
    fn since_sent(&self, at: OffsetDateTime) -> i64 {
        i64::try_from((at - self.server_time).whole_milliseconds()).unwrap_or(MOMENT_MAX).clamp(0, MOMENT_MAX)
    }
}

fn is_set(bits: Option<&BitVec>, bit: usize) -> bool {
    bits.is_some_and(|bits| bits.get(bit).unwrap_or(false))
}

fn decoded(times: &[u8], bit: usize, length: usize) -> i64 {
    let width = times.len() / length.max(1);
    let bytes = times.get(bit * width..(bit + 1) * width).unwrap_or_default();
    bytes.iter().fold(0, |moment, byte| moment << 8 | i64::from(*byte))
}
