//! Compares blocks with a plain model that has one entry per receiver.

use std::collections::HashMap;

use bit_vec::BitVec;
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::{Block, Key, bit};
use crate::base::number::MsId;
use crate::delivery::status::{Status, Verdict};

const SENT: OffsetDateTime = datetime!(2026-11-29 12:00:00.000123 UTC);
const PLACES: usize = 9;

#[derive(Debug, Clone)]
enum Step {
    Receive(usize, i64),
    Read(usize, i64),
    Judge(usize, Verdict, Option<&'static str>, i64),
    /// Writes the block to the table and reads it again.
    Store,
}

/// The state of a receiver in the model.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    status: Status,
    verdict: Option<Verdict>,
    reason: Option<&'static str>,
    ms: i64,
}

fn step() -> impl Strategy<Value = Step> {
    // The same time or a later one, a day, two months; and before the message, if the clock stepped back.
    let ms = prop_oneof![Just(40i64), Just(41), Just(86_400_000), Just(5_184_000_000), Just(-5)];
    let verdict = prop_oneof![
        Just((Verdict::Received, None)),
        Just((Verdict::Offline, None)),
        Just((Verdict::Rejected, None)),
        Just((Verdict::Rejected, Some("gone"))),
        Just((Verdict::Retry, None)),
    ];
    let bit = 0..PLACES + 2;
    prop_oneof![
        3 => (bit.clone(), ms.clone()).prop_map(|(bit, ms)| Step::Receive(bit, ms)),
        2 => (bit.clone(), ms.clone()).prop_map(|(bit, ms)| Step::Read(bit, ms)),
        4 => (bit, verdict, ms).prop_map(|(bit, (verdict, reason), ms)| Step::Judge(bit, verdict, reason, ms)),
        2 => Just(Step::Store),
    ]
}

/// Applies a step to the model.
fn take(model: &mut HashMap<usize, Entry>, step: &Step) {
    let mut raise = |bit: usize, status: Status, ms: i64| {
        if let Some(entry) = model.get_mut(&bit).filter(|entry| entry.status < status) {
            *entry = Entry { status, verdict: None, reason: None, ms: ms.max(0) };
        }
    };
    match *step {
        Step::Receive(bit, ms) | Step::Judge(bit, Verdict::Received, _, ms) => {
            raise(bit, Status::Received, ms);
        }
        Step::Read(bit, ms) => raise(bit, Status::Read, ms),
        Step::Judge(_, Verdict::Retry, ..) | Step::Store => {}
        Step::Judge(bit, verdict, reason, ms) => {
            if let Some(entry) = model.get_mut(&bit).filter(|entry| entry.status == Status::Unreceived) {
                *entry = Entry { verdict: Some(verdict), reason, ms: ms.max(0), ..entry.clone() };
            }
        }
    }
}

fn apply(block: &mut Block, step: &Step) {
    let at = |ms| SENT + Duration::milliseconds(ms);
    match *step {
        Step::Receive(bit, ms) => {
            block.advance(bit, Status::Received, at(ms));
        }
        Step::Read(bit, ms) => {
            block.advance(bit, Status::Read, at(ms));
        }
        Step::Judge(bit, verdict, reason, ms) => block.set_verdict(bit, verdict, reason, at(ms)),
        Step::Store => *block = stored(block),
    }
}

/// The block as it is read from the table.
fn stored(block: &Block) -> Block {
    let mut fresh = Block::new(block.key, block.server_time, block.receivers.clone());
    (fresh.received, fresh.read) = (block.received.clone(), block.read.clone());
    (fresh.offline, fresh.rejected) = (block.offline.clone(), block.rejected.clone());
    (fresh.changed_at, fresh.times) = block.encoded_times();
    fresh.reasons = block.reasons.clone();
    fresh
}

fn block(receivers: &[bool]) -> Block {
    Block::new(Key { ms_id: MsId(1), block: 0 }, SENT, receivers.iter().copied().collect::<BitVec>())
}

proptest! {
    #[test]
    fn blocks_say_what_rows_would(
        receivers in prop::collection::vec(any::<bool>(), PLACES),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let unreceived = Entry { status: Status::Unreceived, verdict: None, reason: None, ms: 0 };
        let mut model: HashMap<usize, Entry> =
            (0..PLACES).filter(|bit| receivers[*bit]).map(|bit| (bit, unreceived.clone())).collect();
        let mut block = block(&receivers);
        for step in &steps {
            take(&mut model, step);
            apply(&mut block, step);
            for bit in 0..PLACES + 2 {
                let Some(entry) = model.get(&bit) else {
                    prop_assert!(!block.is_receiver(bit));
                    continue;
                };
                prop_assert!(block.is_receiver(bit));
                let shown = (block.status(bit), block.verdict(bit), block.reason(bit), block.time(bit));
                let expected = (entry.status, entry.verdict, entry.reason, SENT + Duration::milliseconds(entry.ms));
                prop_assert_eq!(shown, expected, "bit {} after {:?}", bit, step);
            }
        }
        let bits = [&block.received, &block.read, &block.offline, &block.rejected];
        for bit in 0..PLACES {
            let set = bits.iter().filter(|bits| bits.as_ref().is_some_and(|bits| bits[bit])).count();
            prop_assert!(set <= 1, "a bit in one string at most");
        }
    }
}

#[test]
fn one_moment_is_kept_as_one_and_several_by_place() {
    let mut block = block(&[true; 200]);
    let at = SENT + Duration::SECOND;
    (0..200).for_each(|bit| block.set_verdict(bit, Verdict::Received, None, at));
    assert_eq!(block.encoded_times(), (Some(at), None));
    let mut block = stored(&block);
    assert!(block.advance(7, Status::Read, at + Duration::SECOND));
    let (changed_at, times) = block.encoded_times();
    assert_eq!((changed_at, times.map(|times| times.len())), (None, Some(400)), "2 bytes hold 2,000 ms");
    for (later, bytes) in [(Duration::hours(1), 3), (Duration::days(40), 4), (Duration::days(400), 5)] {
        let mut block = stored(&block);
        assert!(block.advance(9, Status::Read, SENT + later));
        let stored = stored(&block);
        assert_eq!(stored.times.as_ref().map(Vec::len), Some(200 * bytes));
        assert_eq!([7, 8, 9].map(|bit| stored.time(bit)), [at + Duration::SECOND, at, SENT + later]);
    }
    assert!(!block.advance(7, Status::Received, at), "a status never falls");
}

#[test]
fn a_slot_leads_to_its_block_and_its_place() {
    assert_eq!(
        [0, 1_023, 1_024, 2_049].map(|slot| (Key::of_slot(MsId(9), slot).block, bit(slot))),
        [(0, 0), (0, 1_023), (1, 0), (2, 1)]
    );
}
