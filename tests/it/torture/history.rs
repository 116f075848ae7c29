//! What was asked of the service and what it answered, what the gateway was told and what it
//! said, what was found in the end: plain data, so that it can be judged without a service.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// Microseconds since the history began.
pub type Moment = u64;

/// When a call without an answer may still have an effect: always.
pub const NEVER: Moment = Moment::MAX;

/// One send and every time it was tried.
#[derive(Debug, Clone, Default)]
pub struct Send {
    pub channel_id: i64,
    pub sender: String,
    /// What it says; no two sends say the same.
    pub text: String,
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub replica: usize,
    pub from: Moment,
    pub to: Moment,
    pub answer: SendAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendAnswer {
    Acknowledged {
        ms_id: i64,
        seq: i64,
    },
    /// The service understood and said no.
    Refused(u16),
    /// No answer, or one that leaves open what was stored.
    Unclear,
}

/// Somebody joins a channel or leaves it, tried until that is clear. Changes of one person in
/// one channel never overlap.
#[derive(Debug, Clone)]
pub struct Change {
    pub channel_id: i64,
    pub user: String,
    pub joins: bool,
    pub from: Moment,
    pub to: Moment,
}

/// A receipt the gateway sent.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub ms_id: i64,
    pub receiver: String,
    pub read: bool,
    /// The service answered, and knew message and receiver.
    pub taken: bool,
}

/// A person moved their read cursor.
#[derive(Debug, Clone)]
pub struct Read {
    pub channel_id: i64,
    pub user: String,
    pub seq: i64,
    /// Where the cursor stood afterwards, if the service answered.
    pub read_seq: Option<i64>,
}

/// What the gateway thinks of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Received,
    Offline,
    Rejected,
    Retry,
}

/// An answer that says something: of the named ones, and of the rest.
#[derive(Debug, Clone)]
pub struct Verdicts {
    pub named: HashMap<String, Verdict>,
    pub rest: Verdict,
}

impl Verdicts {
    pub fn of(&self, receiver: &str) -> Verdict {
        self.named.get(receiver).copied().unwrap_or(self.rest)
    }
}

/// One POST at the gateway.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub batch_id: String,
    /// `(ms_id, channel_id, seq)`, in the order they were told.
    pub messages: Vec<(i64, i64, i64)>,
    /// Receivers and the messages they get.
    pub deliveries: Vec<(Vec<String>, Vec<i64>)>,
    /// None: an answer that says nothing, or no answer.
    pub answer: Option<Verdicts>,
}

/// A row of `t_im_message`.
#[derive(Debug, Clone)]
pub struct Message {
    pub ms_id: i64,
    pub channel_id: i64,
    pub seq: i64,
    /// Microseconds since 1970.
    pub server_time: i64,
    pub sender: String,
    pub text: String,
}

/// A row of `t_im_channel_user`.
#[derive(Debug, Clone)]
pub struct Interval {
    pub channel_id: i64,
    pub user: String,
    pub from_seq: i64,
    pub to_seq: Option<i64>,
    pub sees_from_seq: i64,
    pub read_seq: i64,
}

impl Interval {
    pub fn holds(&self, seq: i64) -> bool {
        self.from_seq <= seq && self.to_seq.is_none_or(|to| seq <= to)
    }
}

/// A row of `t_im_message_push`.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    pub ms_id: i64,
    pub receiver: String,
    pub status: i16,
    pub verdict: Option<i16>,
}

/// An entry of somebody's `GET /conversations`.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub user: String,
    pub channel_id: i64,
    pub unread_count: i64,
    pub read_seq: i64,
}

/// A channel's history as somebody was shown it over HTTP, page after page, oldest first.
#[derive(Debug, Clone)]
pub struct Paged {
    pub channel_id: i64,
    pub reader: String,
    pub ms_ids: Vec<i64>,
}

/// Everything there is to judge by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub sends: Vec<Send>,
    pub changes: Vec<Change>,
    pub receipts: Vec<Receipt>,
    pub reads: Vec<Read>,
    pub arrivals: Vec<Arrival>,
    pub messages: Vec<Message>,
    pub intervals: Vec<Interval>,
    pub ledger: Vec<LedgerRow>,
    /// Channels and their members, as the bits kept for sends have them.
    pub members: Vec<(i64, String)>,
    pub conversations: Vec<Conversation>,
    /// Whose conversation lists were asked for.
    pub listed: Vec<String>,
    pub paged: Vec<Paged>,
    /// Tables that should be empty, and how many rows they have.
    pub left_over: Vec<(String, i64)>,
}

/// Where the load writes down what it does, while it does it.
pub struct Recorder {
    began: Instant,
    evidence: Mutex<Evidence>,
}

impl Recorder {
    pub fn new() -> Self {
        Self { began: Instant::now(), evidence: Mutex::default() }
    }

    pub fn now(&self) -> Moment {
        self.began.elapsed().as_micros() as Moment
    }

    pub fn write(&self, entry: impl FnOnce(&mut Evidence)) {
        entry(&mut self.evidence.lock().expect("no panic while held"));
    }

    pub fn read<T>(&self, look: impl FnOnce(&Evidence) -> T) -> T {
        look(&self.evidence.lock().expect("no panic while held"))
    }

    /// All that was written down; from now on it starts anew.
    pub fn take(&self) -> Evidence {
        std::mem::take(&mut *self.evidence.lock().expect("no panic while held"))
    }
}
