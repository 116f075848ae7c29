//! Unread counts from scratch, cursors, conversation lists, pages.

use std::collections::{HashMap, HashSet};

use super::status::Reads;
use super::{Case, Fault, Findings};
use crate::torture::history::Conversation;

pub fn check(case: &Case, findings: &mut Findings) {
    let reads = Reads::new(case);
    let mut shown: HashMap<&str, HashSet<i64>> = HashMap::new();
    for conversation in &case.evidence.conversations {
        let entries = shown.entry(&conversation.user).or_default();
        findings.check(entries.insert(conversation.channel_id), Fault::WrongConversations, || {
            format!("{conversation:?} comes twice")
        });
        one(case, &reads, conversation, findings);
    }
    for user in &case.evidence.listed {
        for (channel_id, users) in &case.intervals {
            let mut intervals = users.get(user.as_str()).into_iter().flatten();
            let member = intervals.any(|i| i.to_seq.is_none());
            let listed = shown.get(user.as_str()).is_some_and(|all| all.contains(channel_id));
            findings.check(member == listed, Fault::WrongConversations, || {
                format!("{user} and channel {channel_id}: member {member}, listed {listed}")
            });
        }
    }
    pages(case, findings);
}

fn one<'a>(case: &Case<'a>, reads: &Reads<'a>, shown: &Conversation, findings: &mut Findings) {
    let mut intervals = case.intervals_of(shown.channel_id, &shown.user).iter();
    let Some(interval) = intervals.find(|i| i.to_seq.is_none()) else {
        return;
    };
    let messages = case.channels.get(&shown.channel_id).into_iter().flatten();
    let unread = messages
        .filter(|m| interval.holds(m.seq) && m.seq > shown.read_seq && m.sender != shown.user)
        .count();
    findings.check(unread as i64 == shown.unread_count, Fault::WrongUnread, || {
        format!("{shown:?}: counted from scratch it is {unread}")
    });
    let (acknowledged, asked) = reads.of(interval);
    let joined = interval.from_seq - 1;
    let range = acknowledged.max(joined)..=asked.max(joined);
    findings.check(
        shown.read_seq == interval.read_seq && range.contains(&shown.read_seq),
        Fault::WrongCursor,
        || format!("{shown:?}: stored is {}, the reads say {range:?}", interval.read_seq),
    );
}

fn pages(case: &Case, findings: &mut Findings) {
    for paged in &case.evidence.paged {
        let intervals = case.intervals_of(paged.channel_id, &paged.reader);
        let sees = |seq: i64| {
            let mut of_reader = intervals.iter();
            of_reader.any(|i| i.sees_from_seq <= seq && i.to_seq.is_none_or(|to| seq <= to))
        };
        let messages = case.channels.get(&paged.channel_id).into_iter().flatten();
        let expected: Vec<i64> = messages.filter(|m| sees(m.seq)).map(|m| m.ms_id).collect();
        findings.check(expected == paged.ms_ids, Fault::WrongPage, || {
            let at = expected.iter().zip(&paged.ms_ids).position(|(one, other)| one != other);
            format!(
                "channel {} for {}: {} messages instead of {}, the first other one is at {at:?}",
                paged.channel_id,
                paged.reader,
                paged.ms_ids.len(),
                expected.len()
            )
        });
    }
}
