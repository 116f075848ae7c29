//! How the gateway feels: what it answers to a batch, by chance, or held back for the killer.

use std::sync::Mutex;
use std::time::Duration;

use super::dice::Dice;
use super::history::{self, Verdict, Verdicts};
use crate::support::gateway::{Answer, Batch, Gate};

struct Mood {
    dice: Dice,
    calm: bool,
    /// The next batch of this replica is held back behind this gate.
    wanted: Option<(usize, Gate)>,
    /// The batch that is held back.
    held: Option<String>,
}

pub struct Moods(Mutex<Mood>);

impl Moods {
    pub fn new(dice: Dice) -> Self {
        let (wanted, held) = (None, None);
        Self(Mutex::new(Mood { dice, calm: false, wanted, held }))
    }

    /// From now on everybody gets everything.
    pub fn calm(&self) {
        self.0.lock().expect("no panic while held").calm = true;
    }

    /// Holds back the answer to the next batch of a replica.
    pub fn hold(&self, replica: usize, gate: &Gate) {
        let mut mood = self.0.lock().expect("no panic while held");
        (mood.wanted, mood.held) = (Some((replica, gate.clone())), None);
    }

    /// The batch that is held back, once there is one.
    pub fn held(&self) -> Option<String> {
        self.0.lock().expect("no panic while held").held.clone()
    }

    /// Holds nothing back any more.
    pub fn release(&self) {
        let mut mood = self.0.lock().expect("no panic while held");
        (mood.wanted, mood.held) = (None, None);
    }

    pub fn answer(&self, batch: &Batch) -> Answer {
        let mut mood = self.0.lock().expect("no panic while held");
        let wanted = mood.wanted.take_if(|(replica, _)| batch.path.ends_with(&format!("/{replica}")));
        if let Some((_, gate)) = wanted {
            mood.held = Some(batch.webhook_id.clone());
            return Answer::All.behind(&gate);
        }
        if mood.calm {
            return Answer::All;
        }
        answer(&mut mood.dice, batch)
    }
}

fn answer(dice: &mut Dice, batch: &Batch) -> Answer {
    match dice.below(100) {
        0..50 => Answer::All,
        50..64 => {
            let [_, offline, retry, _] = deal(dice, batch);
            Answer::AllExcept { offline, retry }
        }
        64..80 => {
            let [mut received, offline, retry, rejected] = deal(dice, batch);
            received.push("nobody".to_owned());
            let rejected = rejected.into_iter().map(|who| (who, "gone".to_owned())).collect();
            Answer::Lists { received, offline, retry, rejected }
        }
        80..84 => Answer::status(500),
        84..86 => Answer::retry_after(503, 0),
        86..89 => Answer::garbage(),
        89..90 => Answer::Body("{\"received\": \"most\"}".to_owned()),
        90..91 => Answer::Redirect("http://127.0.0.1:9/".to_owned()),
        91..94 => Answer::Close,
        94..95 => Answer::Hang,
        _ => Answer::All.after(Duration::from_millis(dice.below(150) as u64)),
    }
}

/// Receivers by what is said of them: received, offline, retry, rejected; some are not named.
fn deal(dice: &mut Dice, batch: &Batch) -> [Vec<String>; 4] {
    let mut dealt: [Vec<String>; 4] = Default::default();
    for receiver in batch.receivers() {
        let kind = match dice.below(100) {
            0..76 => 0,
            76..84 => 1,
            84..92 => 2,
            92..95 => 3,
            _ => continue,
        };
        dealt[kind].push(receiver.to_owned());
    }
    dealt
}

/// What an answer says, as the contract has it.
pub fn said(answer: &Answer) -> Option<Verdicts> {
    let mut named = std::collections::HashMap::new();
    let mut name = |all: &[String], verdict| named.extend(all.iter().map(|who| (who.clone(), verdict)));
    let rest = match answer {
        Answer::All => Verdict::Received,
        Answer::AllExcept { offline, retry } => {
            name(offline, Verdict::Offline);
            name(retry, Verdict::Retry);
            Verdict::Received
        }
        Answer::Lists { received, offline, retry, rejected } => {
            name(received, Verdict::Received);
            name(offline, Verdict::Offline);
            name(retry, Verdict::Retry);
            named.extend(rejected.iter().map(|(who, _)| (who.clone(), Verdict::Rejected)));
            Verdict::Retry
        }
        Answer::After(_, then) | Answer::Behind(_, then) => return said(then),
        Answer::Status(..) | Answer::Body(_) | Answer::Redirect(_) | Answer::Hang | Answer::Close => {
            return None;
        }
    };
    Some(history::Verdicts { named, rest })
}
