//! The judge is judged: a small history in which nothing is wrong, and every way to spoil it.

use std::collections::{BTreeSet, HashMap};

use super::checker::{Fault, check};
use super::history::{
    Arrival, Attempt, Change, Conversation, Evidence, Interval, LedgerRow, Message, Moment, NEVER, Paged,
    Read, Receipt, Send, SendAnswer, Verdict, Verdicts,
};

const CHANNEL: i64 = 7;

/// a, b and c talk; e leaves after the first message, d joins before the third. c was offline
/// and fetched the first message alone; e was to be tried again; b has read everything; the
/// third message got no answer at first, and then d was rejected.
fn story() -> Evidence {
    Evidence {
        arrivals: vec![
            arrival(
                "one",
                &[(11, 1), (12, 2)],
                &[(&["b", "e"], &[11]), (&["c"], &[11, 12]), (&["a"], &[12])],
                answer(&[("c", Verdict::Offline), ("e", Verdict::Retry)]),
            ),
            arrival("two", &[(11, 1)], &[(&["e"], &[11])], answer(&[])),
            arrival("three", &[(13, 3)], &[(&["b", "c", "d"], &[13])], None),
            arrival("three", &[(13, 3)], &[(&["b", "c", "d"], &[13])], answer(&[("d", Verdict::Rejected)])),
        ],
        messages: vec![message(11, 1, "a", "m1"), message(12, 2, "b", "m2"), message(13, 3, "a", "m3")],
        intervals: vec![
            interval("a", 1, None, 0),
            interval("b", 1, None, 3),
            interval("c", 1, None, 0),
            interval("d", 3, None, 2),
            interval("e", 1, Some(1), 0),
        ],
        ledger: vec![
            row(11, "b", 2, None),
            row(11, "c", 1, None),
            row(11, "e", 1, None),
            row(12, "a", 1, None),
            row(12, "c", 0, Some(1)),
            row(13, "b", 2, None),
            row(13, "c", 1, None),
            row(13, "d", 0, Some(2)),
        ],
        members: ["a", "b", "c", "d"].map(|user| (CHANNEL, user.to_owned())).to_vec(),
        conversations: vec![
            conversation("a", 0, 1),
            conversation("b", 3, 0),
            conversation("c", 0, 3),
            conversation("d", 2, 1),
        ],
        listed: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
        paged: vec![paged("a", &[11, 12, 13]), paged("d", &[13])],
        left_over: vec![("t_im_push_queue".into(), 0)],
        ..asked()
    }
}

/// What was asked for in the story.
fn asked() -> Evidence {
    let join = |user: &str, at: Moment| change(user, true, (at, at + 1));
    Evidence {
        sends: vec![
            send("a", "m1", &[(10, 20, acknowledged(11, 1))]),
            send("b", "m2", &[(30, 33, SendAnswer::Unclear), (34, 40, acknowledged(12, 2))]),
            send("a", "m3", &[(70, 80, acknowledged(13, 3))]),
            send("e", "m4", &[(75, 76, SendAnswer::Refused(404))]),
            send("e", "m5", &[(77, NEVER, SendAnswer::Unclear)]),
        ],
        changes: vec![
            join("a", 0),
            join("b", 0),
            join("c", 0),
            join("e", 0),
            change("e", false, (22, 25)),
            join("d", 50),
        ],
        receipts: vec![receipt(11, "c", false)],
        reads: vec![Read { channel_id: CHANNEL, user: "b".into(), seq: 3, read_seq: Some(3) }],
        ..Evidence::default()
    }
}

/// What is found once the story was told differently.
#[track_caller]
fn finds(expected: &[Fault], spoil: impl FnOnce(&mut Evidence)) {
    let mut evidence = story();
    spoil(&mut evidence);
    let violations = check(&evidence);
    let found: BTreeSet<Fault> = violations.iter().map(|violation| violation.fault).collect();
    let shown: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(found, BTreeSet::from_iter(expected.iter().copied()), "{shown:#?}");
}

#[test]
fn the_story_itself_is_in_order() {
    finds(&[], |_| {});
}

#[test]
fn one_lost() {
    // The last one, with all that belongs to it: no gap shows it.
    finds(&[Fault::Lost, Fault::WrongCursor], |e| {
        e.messages.pop();
        e.ledger.retain(|row| row.ms_id != 13);
        e.arrivals.truncate(2);
        e.paged = vec![paged("a", &[11, 12]), paged("d", &[])];
        e.conversations[2].unread_count = 2;
        e.conversations[3].unread_count = 0;
        e.intervals[1].read_seq = 2;
        e.conversations[1].read_seq = 2;
    });
}

#[test]
fn one_doubled() {
    finds(&[Fault::Doubled], |e| {
        e.messages.push(message(14, 4, "a", "m3"));
        for receiver in ["b", "c", "d"] {
            e.ledger.push(row(14, receiver, 1, None));
        }
        let to: &[(&[&str], &[i64])] = &[(&["b", "c", "d"], &[14])];
        e.arrivals.push(arrival("four", &[(14, 4)], to, answer(&[])));
        e.paged = vec![paged("a", &[11, 12, 13, 14]), paged("d", &[13, 14])];
        for unread in &mut e.conversations[1..] {
            unread.unread_count += 1;
        }
    });
}

#[test]
fn one_seq_twice() {
    finds(&[Fault::Doubled], |e| {
        *e = Evidence {
            sends: e.sends[..2].to_vec(),
            messages: vec![message(11, 1, "a", "m1"), message(12, 1, "b", "m2")],
            ..Evidence::default()
        };
        e.sends[1].attempts[1].answer = acknowledged(12, 1);
    });
}

#[test]
fn one_swapped() {
    for spoil in [
        |e: &mut Evidence| e.messages[1].server_time = e.messages[0].server_time,
        |e: &mut Evidence| e.messages[1].server_time = e.messages[2].server_time + 1,
    ] {
        finds(&[Fault::Swapped], spoil);
    }
}

#[test]
fn one_gap() {
    finds(&[Fault::Gap], |e| {
        e.messages[2].seq = 4;
        e.sends[2].attempts[0].answer = acknowledged(13, 4);
        for arrival in &mut e.arrivals[2..] {
            arrival.messages = vec![(13, CHANNEL, 4)];
        }
        e.intervals[1].read_seq = 4;
        e.conversations[1].read_seq = 4;
        (e.reads[0].seq, e.reads[0].read_seq) = (4, Some(4));
    });
}

#[test]
fn a_repeat_answered_differently() {
    finds(&[Fault::OtherAnswer], |e| {
        let again = Attempt { answer: acknowledged(99, 9), ..e.sends[0].attempts[0].clone() };
        e.sends[0].attempts.push(again);
    });
}

#[test]
fn one_stored_that_nobody_sent_or_that_was_refused() {
    finds(&[Fault::Unasked], |e| {
        e.sends.remove(1);
    });
    finds(&[Fault::Unasked], |e| {
        e.sends[0].attempts[0].answer = SendAnswer::Refused(404);
    });
}

#[test]
fn one_member_too_many_or_too_few() {
    // Nobody asked d in; or e out.
    finds(&[Fault::WrongBits], |e| drop(e.members.pop()));
    finds(&[Fault::WrongBits], |e| e.members.push((CHANNEL, "e".into())));
    finds(&[Fault::WrongMember], |e| {
        e.changes.pop();
    });
    finds(&[Fault::WrongMember], |e| {
        e.changes.remove(4);
    });
    // While it changes, either is right.
    finds(&[], |e| e.changes[5].to = 75);
}

#[test]
fn one_ledger_row_missing() {
    finds(&[Fault::MissingRow, Fault::WronglyPushed], |e| {
        e.ledger.remove(3);
    });
    // Also when it was not pushed.
    finds(&[Fault::MissingRow], |e| {
        e.ledger.remove(3);
        e.arrivals[0].deliveries.pop();
    });
}

#[test]
fn one_ledger_row_too_many() {
    for (ms_id, receiver) in [(12, "e"), (13, "a"), (99, "a")] {
        finds(&[Fault::RowTooMany, Fault::NotPushed], |e| {
            e.ledger.push(row(ms_id, receiver, 0, None));
        });
    }
    finds(&[Fault::RowTooMany], |e| e.ledger.push(row(11, "b", 2, None)));
}

#[test]
fn one_never_pushed() {
    finds(&[Fault::NotPushed, Fault::StatusTooHigh], |e| {
        e.arrivals[0].deliveries.pop();
    });
}

#[test]
fn one_pushed_wrongly() {
    let stranger: &[(&[&str], &[i64])] = &[(&["e"], &[13])];
    finds(&[Fault::WronglyPushed], |e| {
        e.arrivals.push(arrival("four", &[(13, 3)], stranger, answer(&[])));
    });
    finds(&[Fault::WronglyPushed], |e| e.arrivals.push(arrival("four", &[], &[], answer(&[]))));
    finds(&[Fault::WronglyPushed], |e| {
        e.arrivals[1].messages[0].2 = 5;
    });
}

#[test]
fn pushed_out_of_order() {
    finds(&[Fault::PushedOutOfOrder], |e| e.arrivals.rotate_left(2));
}

#[test]
fn one_not_tried_again() {
    finds(&[Fault::NotRetried, Fault::StatusTooHigh], |e| {
        e.arrivals.remove(1);
    });
}

#[test]
fn one_that_comes_once_more_after_it_is_done() {
    finds(&[], |e| {
        let late = Arrival { answer: None, ..e.arrivals[0].clone() };
        e.arrivals.push(late);
    });
    // That is no other batch.
    finds(&[Fault::NotRetried, Fault::StatusTooHigh], |e| {
        let late = Arrival { answer: None, ..e.arrivals[0].clone() };
        e.arrivals[1] = late;
    });
}

#[test]
fn one_done_without_an_answer() {
    finds(&[Fault::NeverAnswered, Fault::WrongVerdict, Fault::StatusTooHigh], |e| {
        e.arrivals.pop();
    });
}

#[test]
fn one_status_too_high() {
    // c never read; d was rejected, and nobody said that it got anything.
    finds(&[Fault::StatusTooHigh], |e| e.ledger[1].status = 2);
    finds(&[Fault::StatusTooHigh], |e| e.ledger[7] = row(13, "d", 1, None));
    // A read of an earlier message is none of this one.
    finds(&[Fault::StatusTooHigh, Fault::WrongCursor], |e| {
        (e.reads[0].seq, e.reads[0].read_seq) = (2, Some(2));
    });
}

#[test]
fn one_status_too_low() {
    // An answer, a receipt, a read.
    finds(&[Fault::StatusTooLow], |e| e.ledger[3].status = 0);
    finds(&[Fault::StatusTooLow], |e| e.ledger[1].status = 0);
    finds(&[Fault::StatusTooLow], |e| e.ledger[5].status = 1);
    // Somebody came back, had nothing to read, and left: that tells nothing of the time before.
    finds(&[], |e| {
        e.reads.push(Read { channel_id: CHANNEL, user: "e".into(), seq: 1, read_seq: Some(1) });
    });
    // A read that was not acknowledged binds nobody.
    finds(&[], |e| {
        e.reads[0].read_seq = None;
        e.ledger[5].status = 1;
    });
}

#[test]
fn one_verdict_without_an_answer() {
    finds(&[Fault::WrongVerdict], |e| e.ledger[7].verdict = Some(1));
    finds(&[Fault::WrongVerdict], |e| e.ledger[3].verdict = Some(1));
}

#[test]
fn one_wrong_unread() {
    finds(&[Fault::WrongUnread], |e| e.conversations[2].unread_count = 2);
}

#[test]
fn one_wrong_cursor() {
    finds(&[Fault::WrongCursor], |e| {
        e.intervals[0].read_seq = 1;
        e.conversations[0].read_seq = 1;
    });
}

#[test]
fn one_conversation_missing_or_too_many() {
    finds(&[Fault::WrongConversations], |e| {
        e.conversations.pop();
    });
    finds(&[Fault::WrongConversations], |e| {
        e.conversations.push(conversation("e", 0, 0));
    });
}

#[test]
fn one_wrong_page() {
    for shown in [&[11, 13][..], &[11, 12, 12, 13], &[12, 11, 13]] {
        finds(&[Fault::WrongPage], |e| e.paged[0] = paged("a", shown));
    }
    finds(&[Fault::WrongPage], |e| e.paged[1] = paged("d", &[12, 13]));
}

#[test]
fn something_left_over() {
    finds(&[Fault::LeftOver], |e| e.left_over[0].1 = 1);
}

// ── Helpers ──────────────────────────────────────────────────────────────────────────────────

fn acknowledged(ms_id: i64, seq: i64) -> SendAnswer {
    SendAnswer::Acknowledged { ms_id, seq }
}

fn send(sender: &str, text: &str, attempts: &[(Moment, Moment, SendAnswer)]) -> Send {
    let attempt = |(from, to, answer): &(Moment, Moment, SendAnswer)| Attempt {
        replica: 0,
        from: *from,
        to: *to,
        answer: *answer,
    };
    Send {
        channel_id: CHANNEL,
        sender: sender.into(),
        text: text.into(),
        attempts: attempts.iter().map(attempt).collect(),
    }
}

fn change(user: &str, joins: bool, (from, to): (Moment, Moment)) -> Change {
    Change { channel_id: CHANNEL, user: user.into(), joins, from, to }
}

fn receipt(ms_id: i64, receiver: &str, read: bool) -> Receipt {
    Receipt { ms_id, receiver: receiver.into(), read, taken: true }
}

fn arrival(
    batch_id: &str,
    messages: &[(i64, i64)],
    deliveries: &[(&[&str], &[i64])],
    answer: Option<Verdicts>,
) -> Arrival {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
    Arrival {
        batch_id: batch_id.into(),
        messages: messages.iter().map(|(ms_id, seq)| (*ms_id, CHANNEL, *seq)).collect(),
        deliveries: deliveries
            .iter()
            .map(|(receivers, ms_ids)| (names(receivers), ms_ids.to_vec()))
            .collect(),
        answer,
    }
}

/// Everybody received it but these.
fn answer(but: &[(&str, Verdict)]) -> Option<Verdicts> {
    let named: HashMap<String, Verdict> =
        but.iter().map(|(who, verdict)| ((*who).to_owned(), *verdict)).collect();
    Some(Verdicts { named, rest: Verdict::Received })
}

fn message(ms_id: i64, seq: i64, sender: &str, text: &str) -> Message {
    Message {
        ms_id,
        channel_id: CHANNEL,
        seq,
        server_time: ms_id * 1_000,
        sender: sender.into(),
        text: text.into(),
    }
}

fn interval(user: &str, from_seq: i64, to_seq: Option<i64>, read_seq: i64) -> Interval {
    Interval { channel_id: CHANNEL, user: user.into(), from_seq, to_seq, sees_from_seq: from_seq, read_seq }
}

fn row(ms_id: i64, receiver: &str, status: i16, verdict: Option<i16>) -> LedgerRow {
    LedgerRow { ms_id, receiver: receiver.into(), status, verdict }
}

fn conversation(user: &str, read_seq: i64, unread_count: i64) -> Conversation {
    Conversation { user: user.into(), channel_id: CHANNEL, unread_count, read_seq }
}

fn paged(reader: &str, ms_ids: &[i64]) -> Paged {
    Paged { channel_id: CHANNEL, reader: reader.into(), ms_ids: ms_ids.to_vec() }
}
