//! Acknowledged is durable, once, in one order, to whoever was a member.

use std::collections::{HashMap, HashSet};

use super::{Case, Fault, Findings};
use crate::torture::history::{Change, Message, Moment, NEVER, Send, SendAnswer};

pub fn check(case: &Case, findings: &mut Findings) {
    sends(case, findings);
    unasked(case, findings);
    sequences(case, findings);
    members(case, findings);
}

/// Each send against the messages that say its text.
fn sends(case: &Case, findings: &mut Findings) {
    let mut by_text: HashMap<&str, Vec<&Message>> = HashMap::new();
    for message in &case.evidence.messages {
        by_text.entry(&message.text).or_default().push(message);
    }
    for send in &case.evidence.sends {
        let stored = by_text.get(send.text.as_str()).map_or(&[][..], Vec::as_slice);
        let acknowledged = acknowledged(send);
        findings.check(stored.len() <= 1, Fault::Doubled, || {
            format!("{} is stored as {:?}", send.text, stored.iter().map(|m| m.ms_id).collect::<Vec<_>>())
        });
        match (acknowledged.as_slice(), stored) {
            ([], [_]) if !may_be_stored(send) => {
                findings.add(Fault::Unasked, format!("{} was refused and is stored", send.text));
            }
            ([], _) => {}
            (answers, []) => findings
                .add(Fault::Lost, format!("{} was acknowledged as {answers:?} and is not there", send.text)),
            (answers, [message, ..]) => {
                let right = (message.ms_id, message.seq);
                let same = answers.iter().all(|answer| *answer == right);
                findings.check(same, Fault::OtherAnswer, || {
                    format!("{} is stored as {right:?}, answers were {answers:?}", send.text)
                });
                let place = (message.channel_id, &message.sender) == (send.channel_id, &send.sender);
                findings.check(place, Fault::OtherAnswer, || {
                    format!(
                        "{} was for {} and is stored in {}",
                        send.text, send.channel_id, message.channel_id
                    )
                });
            }
        }
    }
}

/// The different answers a send was given.
fn acknowledged(send: &Send) -> Vec<(i64, i64)> {
    let mut answers: Vec<(i64, i64)> = send
        .attempts
        .iter()
        .filter_map(|attempt| match attempt.answer {
            SendAnswer::Acknowledged { ms_id, seq } => Some((ms_id, seq)),
            SendAnswer::Refused(_) | SendAnswer::Unclear => None,
        })
        .collect();
    answers.sort_unstable();
    answers.dedup();
    answers
}

fn may_be_stored(send: &Send) -> bool {
    let refused = |answer| matches!(answer, SendAnswer::Refused(_));
    !send.attempts.iter().all(|attempt| refused(attempt.answer))
}

fn unasked(case: &Case, findings: &mut Findings) {
    let asked: HashSet<&str> = case.evidence.sends.iter().map(|s| s.text.as_str()).collect();
    for message in &case.evidence.messages {
        findings.check(asked.contains(message.text.as_str()), Fault::Unasked, || {
            format!("{} ({}) was never sent", message.ms_id, message.text)
        });
    }
}

fn sequences(case: &Case, findings: &mut Findings) {
    for (channel_id, messages) in &case.channels {
        let mut expected = 1;
        for message in messages {
            let at = || format!("channel {channel_id} seq {} ({})", message.seq, message.ms_id);
            findings.check(message.seq >= expected, Fault::Doubled, || format!("{} is there twice", at()));
            findings.check(message.seq <= expected, Fault::Gap, || {
                format!("{} comes where {expected} is missing", at())
            });
            expected = message.seq + 1;
        }
        for pair in messages.windows(2) {
            let rises = pair[0].ms_id < pair[1].ms_id && pair[0].server_time < pair[1].server_time;
            findings.check(rises, Fault::Swapped, || {
                format!(
                    "channel {channel_id}: {:?} is not before {:?}",
                    (pair[0].seq, pair[0].ms_id, pair[0].server_time),
                    (pair[1].seq, pair[1].ms_id, pair[1].server_time)
                )
            });
        }
    }
}

/// The intervals against what joins and leaves were acknowledged, wherever those leave no doubt.
fn members(case: &Case, findings: &mut Findings) {
    let mut changes: HashMap<i64, HashMap<&str, Vec<&Change>>> = HashMap::new();
    for change in &case.evidence.changes {
        let of_channel = changes.entry(change.channel_id).or_default();
        of_channel.entry(&change.user).or_default().push(change);
    }
    for of_user in changes.values_mut().flat_map(HashMap::values_mut) {
        of_user.sort_by_key(|change| change.from);
    }
    for send in &case.evidence.sends {
        let Some(&(ms_id, seq)) = acknowledged(send).first() else {
            continue;
        };
        let window = (send.attempts.iter().map(|a| a.from).min().unwrap_or(0), acknowledged_at(send));
        let asked = changes.get(&send.channel_id);
        let known = case.intervals.get(&send.channel_id).into_iter().flat_map(HashMap::keys);
        let users: HashSet<&str> = known.chain(asked.into_iter().flat_map(HashMap::keys)).copied().collect();
        for user in users {
            let of_user = asked.and_then(|all| all.get(user)).map_or(&[][..], Vec::as_slice);
            let Some(member) = surely(of_user, window) else {
                continue;
            };
            let found = case.interval(send.channel_id, user, seq).is_some();
            findings.check(found == member, Fault::WrongMember, || {
                format!(
                    "{user} in channel {} at seq {seq} ({ms_id}): asked {member}, found {found}",
                    send.channel_id
                )
            });
        }
    }
}

fn acknowledged_at(send: &Send) -> Moment {
    let is_acknowledged = |answer| matches!(answer, SendAnswer::Acknowledged { .. });
    let ends = send.attempts.iter().filter(|a| is_acknowledged(a.answer));
    ends.map(|a| a.to).min().unwrap_or(NEVER)
}

/// Whether somebody was a member all the time between two moments; None while it changed.
fn surely(changes: &[&Change], (from, to): (Moment, Moment)) -> Option<bool> {
    let before = changes.iter().take_while(|change| change.from <= to).last();
    match before {
        None => Some(false),
        Some(change) if change.to < from => Some(change.joins),
        Some(_) => None,
    }
}
