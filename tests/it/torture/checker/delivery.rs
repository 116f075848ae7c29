//! One ledger row a receiver; each pushed at least once, first in order.

use std::collections::{HashMap, HashSet};

use super::{Case, Fault, Findings};
use crate::torture::history::{Arrival, Verdict};

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
/// try again came again in another one. A worker that lost its lease can bring the batch once more, also after that.
fn answers(case: &Case, findings: &mut Findings) {
    let mut came: HashMap<(i64, &str), Vec<usize>> = HashMap::new();
    let mut attempts: HashMap<&str, Vec<usize>> = HashMap::new();
    for (order, arrival) in case.evidence.arrivals.iter().enumerate() {
        attempts.entry(&arrival.batch_id).or_default().push(order);
        pairs(arrival).for_each(|pair| came.entry(pair).or_default().push(order));
    }
    for (batch_id, orders) in attempts {
        let of_batch = orders.iter().map(|order| &case.evidence.arrivals[*order]);
        let judged: Vec<_> = of_batch.filter_map(|arrival| arrival.answer.as_ref()).collect();
        findings.check(!judged.is_empty(), Fault::NeverAnswered, || {
            format!("batch {batch_id} came {} times", orders.len())
        });
        let said = orders.iter().find(|order| case.evidence.arrivals[**order].answer.is_some());
        let Some(&said) = said else { continue };
        for pair in pairs(&case.evidence.arrivals[said]) {
            let retry = judged.iter().all(|answer| answer.of(pair.1) == Verdict::Retry);
            let mut later = came[&pair].iter().filter(|order| **order > said);
            let again = later.any(|order| case.evidence.arrivals[*order].batch_id != batch_id);
            findings
                .check(!retry || again, Fault::NotRetried, || format!("{pair:?}, after batch {batch_id}"));
        }
    }
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
