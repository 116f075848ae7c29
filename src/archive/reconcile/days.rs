//! The days that have moved or are moving: what the archive has of them.

use std::collections::HashSet;

use serde::Serialize;
use time::Date;

use super::Reconciler;
use crate::archive::mover::day::{self, Day, Step, Sum};
use crate::base::error::Result;
use crate::base::lease::Lease;
use crate::base::named::named;
use crate::base::number::MsId;
use crate::base::store::Statements;
use crate::sql;

named! {
    /// What the archive has of a day.
    pub enum DayState ("state of a reconciled day") {
        /// All documents, as they were moved.
        Whole = "whole",
        /// All documents, and some of them have changed since: by late receipts, reads and recalls.
        Changed = "changed",
        /// Documents or ledger rows are lost, and PostgreSQL has dropped the day.
        Lost = "lost",
        /// Some are lost, and PostgreSQL still has the day: it becomes hot again, and moves again.
        HotAgain = "hot_again",
        /// It is moving, and what was written is there.
        Moving = "moving",
        /// It is moving, and is written again from its begin.
        WrittenAgain = "written_again",
    }
}

/// A day, with what was moved and what the archive has.
#[derive(Debug, Serialize)]
pub struct DayFound {
    pub day: String,
    pub state: DayState,
    pub documents: i64,
    pub ledger_rows: i64,
    pub found_documents: i64,
    pub found_ledger_rows: i64,
    /// Messages of a sealed day that a search does not find before they are written.
    pub unwritten: i64,
    #[serde(skip)]
    of: Day,
}

impl DayFound {
    fn new(of: Day, found: Sum, is_kept: bool) -> Self {
        Self {
            day: of.day.to_string(),
            state: state(&of, found, is_kept),
            documents: of.sum.documents,
            ledger_rows: of.sum.ledger_rows,
            found_documents: found.documents,
            found_ledger_rows: found.ledger_rows,
            unwritten: 0,
            of,
        }
    }

    /// Whether there is something to repair or to record.
    pub fn differs(&self) -> bool {
        matches!(self.state, DayState::HotAgain | DayState::WrittenAgain)
            || self.lost() != (self.of.lost_documents, self.of.lost_ledger_rows)
    }

    /// How many documents and ledger rows readers miss: for good, unless a newer copy of the archive is restored, or
    /// until they are written.
    pub(super) fn lost(&self) -> (i64, i64) {
        let lost = |moved: i64, found: i64| (moved - found).max(0);
        match self.state {
            DayState::Whole | DayState::Changed => (0, 0),
            DayState::Lost => {
                (lost(self.documents, self.found_documents), lost(self.ledger_rows, self.found_ledger_rows))
            }
            DayState::HotAgain | DayState::Moving | DayState::WrittenAgain => (self.unwritten, 0),
        }
    }

    /// Notes what the archive has of the messages of a sealed day.
    pub(super) fn note_sealed(&mut self, written: &[MsId], unwritten: &[MsId]) {
        let below = self.of.below_ms_id;
        let count =
            |ms_ids: &[MsId], from: MsId| ms_ids.iter().filter(|id| **id >= from && **id < below).count();
        self.unwritten = count(unwritten, self.of.from_ms_id) as i64;
        // Written in a time that this database does not know: the move could not replace it.
        if self.state == DayState::Moving && count(written, self.of.written_ms_id.next()) > 0 {
            self.state = DayState::WrittenAgain;
        }
    }

    pub(super) fn date(&self) -> Date {
        self.of.day
    }

    pub(super) fn first_ms_id(&self) -> MsId {
        self.of.from_ms_id
    }
}

fn state(day: &Day, found: Sum, is_kept: bool) -> DayState {
    let is_cold = matches!(day.step, Step::Switched | Step::Dropped);
    let has_all = found.documents >= day.sum.documents && found.ledger_rows >= day.sum.ledger_rows;
    match (is_cold, found == day.sum, has_all) {
        (true, true, _) => DayState::Whole,
        (true, false, true) => DayState::Changed,
        (true, false, false) if is_kept => DayState::HotAgain,
        (true, false, false) => DayState::Lost,
        (false, true, _) => DayState::Moving,
        (false, false, _) => DayState::WrittenAgain,
    }
}

impl Reconciler {
    /// Adds up each day in the archive, as the move verifies it.
    pub(super) async fn compare_days(&self) -> Result<Vec<DayFound>> {
        let kept = self.store.all(sql!("archive/reconcile/kept"), &[]).await?;
        let kept: HashSet<Date> = kept.iter().map(|row| row.get("day")).collect();
        let leases: Vec<&Lease> = self.leases.iter().collect();
        let mut found = Vec::new();
        for day in day::days(&self.store, true).await? {
            self.extend().await?;
            // Of a day that is being written, the archive has the documents up to here.
            let end = if day.step == Step::Sealed { day.written_ms_id.next() } else { day.below_ms_id };
            let sum = day::add_up(&self.store, &self.archive, &leases, (day.from_ms_id, end)).await?;
            let is_kept = kept.contains(&day.day);
            found.push(DayFound::new(day, sum, is_kept));
        }
        Ok(found)
    }
}
