//! Statuses agree with what was said: never lower than acknowledged, never higher than asked.

use std::collections::HashMap;

use super::delivery::pairs;
use super::{Case, Fault, Findings};
use crate::torture::history::{Interval, Read, Verdict};

const RECEIVED: i16 = 1;
const READ: i16 = 2;
const OFFLINE: i16 = 1;
const REJECTED: i16 = 2;

/// How far the status of one pair may, and must, have come.
#[derive(Default, Clone, Copy)]
struct Bounds {
    least: i16,
    most: i16,
    offline: bool,
    rejected: bool,
}

pub fn check(case: &Case, findings: &mut Findings) {
    let mut bounds: HashMap<(i64, &str), Bounds> = HashMap::new();
    by_answers(case, &mut bounds);
    by_receipts(case, &mut bounds);
    let reads = Reads::new(case);
    for row in &case.evidence.ledger {
        let pair = (row.ms_id, row.receiver.as_str());
        let Some(message) = case.by_id.get(&row.ms_id) else {
            continue;
        };
        let Some(interval) = case.interval(message.channel_id, &row.receiver, message.seq) else {
            continue;
        };
        let mut bounds = bounds.get(&pair).copied().unwrap_or_default();
        let (acknowledged, asked) = reads.of(interval);
        if message.seq <= acknowledged {
            bounds.least = READ;
        }
        if message.seq <= asked {
            bounds.most = READ;
        }
        let says =
            || format!("{pair:?} has status {}, verdict {:?}, in {interval:?}", row.status, row.verdict);
        findings.check(row.status >= bounds.least, Fault::StatusTooLow, || {
            format!("{}, at least {} was acknowledged", says(), bounds.least)
        });
        findings.check(row.status <= bounds.most, Fault::StatusTooHigh, || {
            format!("{}, nothing ever said more than {}", says(), bounds.most)
        });
        let founded = match row.verdict {
            None => true,
            Some(OFFLINE) => row.status == 0 && bounds.offline,
            Some(REJECTED) => row.status == 0 && bounds.rejected,
            Some(_) => false,
        };
        findings.check(founded, Fault::WrongVerdict, says);
    }
}

/// Any answer may have counted. One must have: if every answer of a batch that says anything
/// says `received` of somebody, then one of them was written.
fn by_answers<'a>(case: &Case<'a>, bounds: &mut HashMap<(i64, &'a str), Bounds>) {
    let mut batches: HashMap<&str, HashMap<(i64, &'a str), bool>> = HashMap::new();
    for arrival in &case.evidence.arrivals {
        let Some(answer) = &arrival.answer else { continue };
        let certain = batches.entry(&arrival.batch_id).or_default();
        for pair in pairs(arrival) {
            let verdict = answer.of(pair.1);
            let bounds = bounds.entry(pair).or_default();
            match verdict {
                Verdict::Received => bounds.most = bounds.most.max(RECEIVED),
                Verdict::Offline => bounds.offline = true,
                Verdict::Rejected => bounds.rejected = true,
                Verdict::Retry => {}
            }
            let always = certain.entry(pair).or_insert(true);
            *always &= verdict == Verdict::Received;
        }
    }
    for (pair, always) in batches.into_values().flatten() {
        if always {
            bounds.entry(pair).or_default().least = RECEIVED;
        }
    }
}

fn by_receipts<'a>(case: &Case<'a>, bounds: &mut HashMap<(i64, &'a str), Bounds>) {
    for receipt in case.evidence.receipts.iter().filter(|receipt| !receipt.read) {
        let bounds = bounds.entry((receipt.ms_id, &receipt.receiver)).or_default();
        bounds.most = bounds.most.max(RECEIVED);
        if receipt.taken {
            bounds.least = bounds.least.max(RECEIVED);
        }
    }
}

/// How far reads reach in each interval: surely, and at most.
pub struct Reads<'a> {
    reach: HashMap<(i64, &'a str, i64), (i64, i64)>,
}

impl<'a> Reads<'a> {
    pub fn new(case: &Case<'a>) -> Self {
        let mut reads = Self { reach: HashMap::new() };
        for read in &case.evidence.reads {
            reads.by_cursor(case, read);
        }
        for receipt in case.evidence.receipts.iter().filter(|receipt| receipt.read) {
            let Some(message) = case.by_id.get(&receipt.ms_id) else {
                continue;
            };
            // A sender's own message is no receipt's business.
            if receipt.receiver == message.sender {
                continue;
            }
            if let Some(interval) = case.interval(message.channel_id, &receipt.receiver, message.seq) {
                reads.reaches(interval, message.seq, receipt.taken);
            }
        }
        reads
    }

    /// `(acknowledged, asked)`: the seqs up to which an interval's messages are read.
    pub fn of(&self, interval: &'a Interval) -> (i64, i64) {
        let key = (interval.channel_id, interval.user.as_str(), interval.from_seq);
        self.reach.get(&key).copied().unwrap_or((0, 0))
    }

    /// A read moves the cursor of the interval that was open then. Which one that was shows in
    /// the answer, except at the end of an interval: there the next one begins, and if it was
    /// left before anything was said it has left no trace.
    fn by_cursor(&mut self, case: &Case<'a>, read: &'a Read) {
        let Some(interval) = case.interval(read.channel_id, &read.user, read.seq) else {
            return;
        };
        let certain = read
            .read_seq
            .is_some_and(|at| at >= read.seq && interval.holds(at) && interval.to_seq != Some(at));
        self.reaches(interval, read.seq, certain);
    }

    fn reaches(&mut self, interval: &'a Interval, seq: i64, certain: bool) {
        let key = (interval.channel_id, interval.user.as_str(), interval.from_seq);
        let (acknowledged, asked) = self.reach.entry(key).or_default();
        *asked = (*asked).max(seq);
        if certain {
            *acknowledged = (*acknowledged).max(seq);
        }
    }
}
