//! After a restore, the database and the archive can be of different times. This compares them, and makes the horizon true.
//!
//! Below the horizon only the archive has the messages: each day is added up as the move verifies it. From the horizon on,
//! PostgreSQL decides: what the archive lacks or has otherwise is indexed again, and documents of messages that PostgreSQL
//! does not know are set aside. Each step can be repeated. One commit at the end moves the horizon.

mod days;
mod gap;
mod hot;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use time::Date;

use crate::archive::index::{self, Bound};
use crate::archive::mover::stop;
use crate::archive::{Archive, Find};
use crate::base::error::{Error, Kind, Result};
use crate::base::lease::Lease;
use crate::base::number::MsId;
use crate::base::store::{Statements, Store, own_seal};
use crate::sql;

pub use days::{DayFound, DayState};
pub use gap::{Gap, Needs, gap, refuse_gap, refuse_lost};
pub use hot::{HotFound, Listed, Listing};

/// All that writes into the archive. None of it runs meanwhile.
const WRITERS: [&str; 3] = ["archiver", "index", "outbox"];
/// Recalls that are looked up between two extensions of the leases.
const RECALLS_STEP: i32 = 50;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether it is repaired, as far as it can be.
    pub applied: bool,
    /// The days that have moved or are moving, oldest first.
    pub days: Vec<DayFound>,
    pub hot: HotFound,
    /// Recalls of cold messages that the archive has lost. They are written again.
    pub recalls: usize,
}

impl Report {
    /// Whether there is something to repair.
    pub fn differs(&self) -> bool {
        self.days.iter().any(DayFound::differs) || self.hot.differs() || self.recalls > 0
    }

    /// Whether the archive has lost something of cold days that PostgreSQL does not have.
    pub fn has_lost(&self) -> bool {
        self.of_state(DayState::Lost).next().is_some()
    }

    fn of_state(&self, state: DayState) -> impl Iterator<Item = &DayFound> {
        self.days.iter().filter(move |found| found.state == state)
    }
}

/// Compares the archive with the database. With `applies`, repairs what can be repaired; otherwise changes nothing.
///
/// # Errors
/// A conflict while a replica runs, or while another run of this holds the leases.
pub async fn reconcile(store: &Store, archive: Arc<Bound>, lease: Duration, applies: bool) -> Result<Report> {
    let leases = WRITERS.map(|name| Lease::new(store.clone(), name, lease)).into();
    let reconciler = Reconciler { store: store.clone(), archive, leases, epochs: OnceLock::new(), applies };
    let report = reconciler.run().await;
    for lease in &reconciler.leases {
        lease.give_back(store.now().await?).await?;
    }
    report
}

struct Reconciler {
    store: Store,
    archive: Arc<Bound>,
    leases: Vec<Lease>,
    /// Of the leases when the run began. Another one means that a replica held one of them meanwhile.
    epochs: OnceLock<Vec<i64>>,
    applies: bool,
}

impl Reconciler {
    async fn run(&self) -> Result<Report> {
        self.extend().await?;
        if index::state(&self.store).await?.is_none() {
            return Err(Error::new(
                Kind::Conflict,
                "the database has no archive yet: there is nothing to compare",
            ));
        }
        self.archive.check().await?;
        self.archive.refresh().await?;
        let mut days = self.compare_days().await?;
        let horizon = self.store.horizon().await?.cold;
        let from = hot_from(&days).unwrap_or(horizon);
        let hot = self.compare_hot(from).await?;
        days.iter_mut().for_each(|day| day.note_sealed(&hot.written, &hot.unwritten));
        let recalls = self.lost_recalls().await?;
        let report = Report { applied: self.applies, days, hot, recalls: recalls.len() };
        if self.applies && report.differs() {
            self.archive.refresh().await?;
            stop("before-reconciled").await;
            self.commit(&report, &recalls).await?;
        }
        Ok(report)
    }

    /// Takes or extends the leases. Returns their epochs.
    async fn extend(&self) -> Result<Vec<i64>> {
        let now = self.store.now().await?;
        let mut epochs = Vec::new();
        for lease in &self.leases {
            let busy =
                "a replica writes into the archive: stop all replicas. After a kill, wait for `lease_ms`";
            epochs.push(lease.take(now).await?.ok_or_else(|| Error::new(Kind::Conflict, busy))?);
        }
        if *self.epochs.get_or_init(|| epochs.clone()) != epochs {
            let lost =
                "a replica has written into the archive meanwhile: stop all replicas, and run this again";
            return Err(Error::new(Kind::Conflict, lost));
        }
        Ok(epochs)
    }

    /// Recalls of cold messages that the database takes for written, and whose documents do not have them.
    async fn lost_recalls(&self) -> Result<Vec<MsId>> {
        let (mut lost, mut above) = (Vec::new(), MsId(0));
        loop {
            self.extend().await?;
            let rows = self.store.all(sql!("archive/reconcile/recalls"), &[&above, &RECALLS_STEP]).await?;
            let Some(last) = rows.last() else {
                return Ok(lost);
            };
            above = last.get("ms_id");
            for row in &rows {
                let ms_id: MsId = row.get("ms_id");
                let find = Find { limit: 1, ledger: false, ..Find::message(ms_id) };
                let found = self.archive.find(&find).await?;
                lost.extend(found.iter().filter(|found| found.recalled.is_none()).map(|found| found.ms_id));
            }
        }
    }

    /// One small commit: the horizon, the days and the versions are true again.
    async fn commit(&self, report: &Report, recalls: &[MsId]) -> Result<()> {
        let epochs = self.extend().await?;
        let days = |state| -> Vec<Date> { report.of_state(state).map(DayFound::date).collect() };
        let again = [days(DayState::HotAgain), days(DayState::WrittenAgain)].concat();
        let all: Vec<Date> = report.days.iter().map(DayFound::date).collect();
        let (documents, ledger_rows): (Vec<i64>, Vec<i64>) = report.days.iter().map(DayFound::lost).unzip();
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        own_seal(&tx).await?;
        for (lease, epoch) in self.leases.iter().zip(epochs) {
            lease.hold(&tx, epoch).await?;
        }
        if report.hot.needs_higher_versions() || !again.is_empty() {
            tx.run(sql!("archive/reconcile/raise_versions"), &[&report.hot.highest_version]).await?;
        }
        tx.run(sql!("archive/reconcile/recalls_again"), &[&recalls]).await?;
        if let Some(from) = hot_from(&report.days) {
            tx.run(sql!("archive/reconcile/hot_again"), &[&from]).await?;
        }
        tx.run(sql!("archive/reconcile/write_again"), &[&again]).await?;
        tx.run(sql!("archive/reconcile/lost"), &[&all, &documents, &ledger_rows]).await?;
        Ok(tx.commit().await?)
    }
}

/// The first id of the days that become hot again.
fn hot_from(days: &[DayFound]) -> Option<MsId> {
    days.iter().filter(|found| found.state == DayState::HotAgain).map(DayFound::first_ms_id).min()
}
