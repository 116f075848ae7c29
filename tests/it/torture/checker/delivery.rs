//! One ledger row a receiver; each pushed at least once, first in order.

use std::collections::{HashMap, HashSet};

use super::{Case, Fault, Findings};
use crate::torture::history::{Arrival, Evidence, Moment, Verdict};

/// PostgreSQL writes a commit that it does not wait for to its log within three times `wal_writer_delay`: 600 ms.
const WAL_DELAY: Moment = 1_000_000;
/// What is told of a violation happened within this time of it.
const NEAR: Moment = 10_000_000;

pub fn check(case: &Case, findings: &mut Findings) {
    ledger(case, findings);
    pushes(case, findings);
    sightings(case, findings);
    answers(case, findings);
}

fn ledger(case: &Case, findings: &mut Findings) {
    let mut rows = HashSet::new();
    for row in &case.evidence.ledger {
        let pair = (row.ms_id, row.receiver.as_str());
        let receives = case.by_id.get(&row.ms_id).is_some_and(|message| {
            row.receiver != message.sender
                && case.interval(message.channel_id, &row.receiver, message.seq).is_some()
        });
        findings
            .check(receives && rows.insert(pair), Fault::RowTooMany, || format!("a ledger row for {pair:?}"));
    }
    for message in &case.evidence.messages {
        for receiver in case.receivers(message) {
            findings.check(rows.contains(&(message.ms_id, receiver)), Fault::MissingRow, || {
                format!(
                    "no ledger row for {receiver} of {} (channel {} seq {})",
                    message.ms_id, message.channel_id, message.seq
                )
            });
        }
    }
}

/// What the gateway was told agrees with what is stored.
fn pushes(case: &Case, findings: &mut Findings) {
    for arrival in &case.evidence.arrivals {
        findings.check(!arrival.messages.is_empty(), Fault::WronglyPushed, || {
            format!("batch {} brought nothing", arrival.batch_id)
        });
        for pushed in &arrival.messages {
            let stored = case.by_id.get(&pushed.0);
            let same = stored.is_some_and(|m| (m.ms_id, m.channel_id, m.seq) == *pushed);
            findings
                .check(same, Fault::WronglyPushed, || format!("batch {} has {pushed:?}", arrival.batch_id));
        }
        for (ms_id, receiver) in pairs(arrival) {
            let known = case.ledger.get(&ms_id).is_some_and(|rows| rows.contains_key(receiver));
            findings.check(known, Fault::WronglyPushed, || {
                format!("batch {} has {ms_id} for {receiver}", arrival.batch_id)
            });
        }
    }
}

/// Everybody saw everything, and a channel's messages came in order of seq when they came first.
fn sightings(case: &Case, findings: &mut Findings) {
    let mut seen: HashSet<(i64, &str)> = HashSet::new();
    let mut furthest: HashMap<i64, i64> = HashMap::new();
    for arrival in &case.evidence.arrivals {
        let of_message = by_message(arrival);
        for (ms_id, channel_id, seq) in &arrival.messages {
            let receivers = of_message.get(ms_id).into_iter().flatten();
            let first = receivers.filter(|receiver| seen.insert((*ms_id, receiver))).count();
            if first == 0 {
                continue;
            }
            let furthest = furthest.entry(*channel_id).or_default();
            findings.check(*seq >= *furthest, Fault::PushedOutOfOrder, || {
                format!(
                    "channel {channel_id}: seq {seq} came first after {furthest}, in batch {}",
                    arrival.batch_id
                )
            });
            *furthest = (*furthest).max(*seq);
        }
    }
    for row in &case.evidence.ledger {
        findings.check(seen.contains(&(row.ms_id, row.receiver.as_str())), Fault::NotPushed, || {
            format!("{} never came for {}", row.ms_id, row.receiver)
        });
    }
}

/// A batch is done when an answer said something of it; whom every such answer of it said to
/// try again came again in another one. A crash of the database may lose a batch that it has just made: then all that is in
/// it came again in others.
fn answers(case: &Case, findings: &mut Findings) {
    let mut last_seen: HashMap<(i64, &str), usize> = HashMap::new();
    let mut attempts: HashMap<&str, Vec<usize>> = HashMap::new();
    for (order, arrival) in case.evidence.arrivals.iter().enumerate() {
        attempts.entry(&arrival.batch_id).or_default().push(order);
        for pair in pairs(arrival) {
            last_seen.insert(pair, order);
        }
    }
    for (batch_id, orders) in attempts {
        let of_batch = orders.iter().map(|order| &case.evidence.arrivals[*order]);
        let judged: Vec<_> = of_batch.filter_map(|arrival| arrival.answer.as_ref()).collect();
        let last = orders[orders.len() - 1];
        let is_lost = || {
            is_cut(case, case.evidence.arrivals[last].at)
                && pairs(&case.evidence.arrivals[last]).all(|pair| last_seen[&pair] > last)
        };
        findings.check(!judged.is_empty() || is_lost(), Fault::NeverAnswered, || {
            format!("batch {batch_id} came {} times", orders.len())
        });
        for (ms_id, receiver) in pairs(&case.evidence.arrivals[last]) {
            let retry =
                !judged.is_empty() && judged.iter().all(|answer| answer.of(receiver) == Verdict::Retry);
            findings.check(!retry || last_seen[&(ms_id, receiver)] > last, Fault::NotRetried, || {
                let story = story(case, (ms_id, receiver), case.evidence.arrivals[last].at);
                format!("{ms_id} for {receiver}, after batch {batch_id}\n{story}")
            });
        }
    }
}

/// All arrivals of a pair, and the crashes of the database around a moment.
fn story(case: &Case, pair: (i64, &str), around: Moment) -> String {
    let Evidence { arrivals, crashes, .. } = case.evidence;
    let came = arrivals.iter().filter(|arrival| pairs(arrival).any(|one| one == pair)).map(|arrival| {
        let verdict = arrival.answer.as_ref().map(|answer| answer.of(pair.1));
        format!("  {} µs: batch {}, {verdict:?}", arrival.at, arrival.batch_id)
    });
    let near = crashes.iter().filter(|(from, to)| from.abs_diff(around).min(to.abs_diff(around)) < NEAR);
    let killed = near.map(|(from, to)| format!("  {from} to {to} µs: the database was killed"));
    came.chain(killed).collect::<Vec<_>>().join("\n")
}

/// Whether the database was killed so soon after a moment that a batch that came then may not be in its log.
fn is_cut(case: &Case, at: Moment) -> bool {
    case.evidence.crashes.iter().any(|(from, to)| from.saturating_sub(WAL_DELAY) <= at && at <= *to)
}

/// The pairs of message and receiver that a POST brought.
pub fn pairs(arrival: &Arrival) -> impl Iterator<Item = (i64, &str)> {
    arrival.deliveries.iter().flat_map(|(receivers, ms_ids)| {
        let each = receivers.iter().map(String::as_str);
        each.flat_map(|receiver| ms_ids.iter().map(move |ms_id| (*ms_id, receiver)))
    })
}

fn by_message(arrival: &Arrival) -> HashMap<i64, Vec<&str>> {
    let mut receivers: HashMap<i64, Vec<&str>> = HashMap::new();
    for (ms_id, receiver) in pairs(arrival) {
        receivers.entry(ms_id).or_default().push(receiver);
    }
    receivers
}
