//! Was everything kept that was promised? A pure function over the evidence.

mod delivery;
mod order;
mod reading;
mod status;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::history::{Evidence, Interval, LedgerRow, Message};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Acknowledged, and not there.
    Lost,
    /// There more than once.
    Doubled,
    /// There, and nobody was told so, or it was refused.
    Unasked,
    /// One send, two answers; or the answer names another message.
    OtherAnswer,
    Gap,
    /// ms_id or server_time fall while seq rises.
    Swapped,
    /// The interval says otherwise than the acknowledged joins and leaves.
    WrongMember,
    /// The members' bits that sends copy say otherwise than the intervals.
    WrongBits,
    MissingRow,
    RowTooMany,
    NotPushed,
    /// Pushed to somebody who is no receiver, or not as it was stored.
    WronglyPushed,
    PushedOutOfOrder,
    /// Answered `retry`, and never sent again.
    NotRetried,
    /// Done with, though no answer ever said anything of it.
    NeverAnswered,
    StatusTooHigh,
    StatusTooLow,
    WrongVerdict,
    WrongUnread,
    WrongCursor,
    /// A conversation list lacks a channel, or has one too many.
    WrongConversations,
    /// Paging shows a message twice, not at all, out of order, or to the wrong reader.
    WrongPage,
    LeftOver,
}

pub struct Violation {
    pub fault: Fault,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.fault, self.what)
    }
}

/// What is found wrong, in the order of a message's way.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, fault: Fault, what: impl Into<String>) {
        self.0.push(Violation { fault, what: what.into() });
    }

    fn check(&mut self, holds: bool, fault: Fault, what: impl FnOnce() -> String) {
        if !holds {
            self.add(fault, what());
        }
    }
}

/// The evidence by the keys it is asked for.
struct Case<'a> {
    evidence: &'a Evidence,
    by_id: HashMap<i64, &'a Message>,
    /// By channel, in order of seq.
    channels: BTreeMap<i64, Vec<&'a Message>>,
    /// By channel and user, in order of `from_seq`.
    intervals: HashMap<i64, HashMap<&'a str, Vec<&'a Interval>>>,
    ledger: HashMap<i64, HashMap<&'a str, &'a LedgerRow>>,
}

impl<'a> Case<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let mut case = Self {
            evidence,
            by_id: evidence.messages.iter().map(|m| (m.ms_id, m)).collect(),
            channels: BTreeMap::new(),
            intervals: HashMap::new(),
            ledger: HashMap::new(),
        };
        for message in &evidence.messages {
            case.channels.entry(message.channel_id).or_default().push(message);
        }
        for messages in case.channels.values_mut() {
            messages.sort_by_key(|m| (m.seq, m.ms_id));
        }
        for interval in &evidence.intervals {
            let of_channel = case.intervals.entry(interval.channel_id).or_default();
            of_channel.entry(&interval.user).or_default().push(interval);
        }
        for intervals in case.intervals.values_mut().flat_map(HashMap::values_mut) {
            intervals.sort_by_key(|i| i.from_seq);
        }
        for row in &evidence.ledger {
            case.ledger.entry(row.ms_id).or_default().insert(&row.receiver, row);
        }
        case
    }

    fn intervals_of(&self, channel_id: i64, user: &str) -> &[&'a Interval] {
        self.intervals.get(&channel_id).and_then(|users| users.get(user)).map_or(&[], Vec::as_slice)
    }

    /// The interval of `user` that holds `seq`.
    fn interval(&self, channel_id: i64, user: &str, seq: i64) -> Option<&'a Interval> {
        let mut all = self.intervals_of(channel_id, user).iter();
        all.find(|i| i.holds(seq)).copied()
    }

    /// Whoever is to get a message: members when it was accepted, less its sender.
    fn receivers(&self, message: &Message) -> impl Iterator<Item = &'a str> {
        let (seq, sender) = (message.seq, message.sender.clone());
        let of_channel = self.intervals.get(&message.channel_id).into_iter().flatten();
        of_channel
            .filter(move |(user, intervals)| **user != sender && intervals.iter().any(|i| i.holds(seq)))
            .map(|(user, _)| *user)
    }
}

/// The members' bits are those of the open intervals.
fn bits(evidence: &Evidence, findings: &mut Findings) {
    let open = evidence.intervals.iter().filter(|i| i.to_seq.is_none());
    let open: BTreeSet<(i64, &str)> = open.map(|i| (i.channel_id, i.user.as_str())).collect();
    let bits: BTreeSet<(i64, &str)> =
        evidence.members.iter().map(|(id, user)| (*id, user.as_str())).collect();
    for (channel_id, user) in open.symmetric_difference(&bits) {
        findings.add(Fault::WrongBits, format!("{user} in channel {channel_id}"));
    }
}

/// Everything that is wrong.
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let case = Case::new(evidence);
    let mut findings = Findings::default();
    order::check(&case, &mut findings);
    delivery::check(&case, &mut findings);
    status::check(&case, &mut findings);
    reading::check(&case, &mut findings);
    bits(evidence, &mut findings);
    for (table, rows) in &evidence.left_over {
        findings.check(*rows == 0, Fault::LeftOver, || format!("{table} still has {rows} rows"));
    }
    findings.0
}
