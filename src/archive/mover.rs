//! Moves days into the archive: seal, write, verify, switch, drop. Each step is short and recorded in the
//! database, so that it continues after a crash.

pub mod calendar;
pub mod day;
mod pages;
mod state;

use std::sync::Arc;
use std::time::{Duration as Pause, Instant};

use time::{Date, Duration, OffsetDateTime};

use crate::archive::index::Bound;
use crate::base::config::Config;
use crate::base::error::Result;
use crate::base::lease::Lease;
use crate::base::named::named;
use crate::base::number::MsId;
use crate::base::store::{Attached, Statements, Store, own_seal};
use crate::base::trace::Span;
use crate::base::worker::{Tick, Work};
use crate::sql;
use day::{Day, Step};
use state::state_row;

pub use state::{Rules, State};

/// How often a day that still settles is checked again before it is sealed anyway.
const SETTLING_LOOKS: u32 = 20;
const SETTLING_PAUSE: Pause = Pause::from_millis(100);
/// Pages of notifications whose statuses one statement keeps.
const PAGES_STEP: i32 = 100;

/// The archiver of a replica. It runs on one replica at a time.
pub struct Archiver {
    store: Store,
    archive: Arc<Bound>,
    lease: Lease,
    rules: Rules,
    drop_grace: Duration,
    rows_per_second: u64,
}

/// A day that a run would move.
#[derive(Debug)]
pub struct Candidate {
    pub day: Date,
    pub from_ms_id: MsId,
    pub below_ms_id: MsId,
    pub messages: i64,
    pub ledger_rows: i64,
    /// Pushes still queued, and steps of escalations: they hold the day.
    pub pushes: i64,
}

named! {
    /// How a run ended.
    pub enum Outcome ("outcome of an archive run") {
        Done = "done",
        /// A day differs in the archive. The next run writes it again.
        Failed = "failed",
    }
}

/// A run as it is shown.
#[derive(Debug)]
pub struct Run {
    pub run_id: i64,
    pub asked_by: String,
    pub asked_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub outcome: Option<Outcome>,
    pub doing: Option<String>,
    pub days: i32,
    pub messages: i64,
    pub ledger_rows: i64,
    /// `[{day, step, messages, ledger_rows}, …]`, oldest first.
    pub day_list: serde_json::Value,
}

impl Archiver {
    pub fn new(store: Store, archive: Arc<Bound>, config: &Config) -> Result<Self> {
        let lease = Lease::new(store.clone(), "archiver", config.workers.lease);
        Ok(Self {
            lease,
            store,
            archive,
            rules: Rules::of(&config.archive)?,
            drop_grace: config.archive.drop_grace.try_into().unwrap_or(Duration::MAX),
            rows_per_second: config.archive.rows_per_second,
        })
    }

    /// The last start is recorded in the database. A new database begins at the next scheduled time.
    async fn begin_if_due(&self, now: OffsetDateTime) -> Result<()> {
        let known = state_row(&self.store).await?;
        let Some(begun) = known.begun_at else {
            return self.begun(now).await;
        };
        if self.rules.schedule.due(begun, now).is_some() {
            // Asked for before the start is recorded: after a crash in between it is asked again, and the run
            // is already open. A run that is still open at the next time is stuck: the schedule stays due and
            // becomes overdue.
            if ask(&self.store, "schedule", now).await?.is_some() || known.open_since.is_none() {
                self.begun(now).await?;
            }
        }
        Ok(())
    }

    async fn begun(&self, now: OffsetDateTime) -> Result<()> {
        self.store.run(sql!("archive/mover/begun"), &[&"archiver", &now]).await?;
        Ok(())
    }

    async fn open_run(&self) -> Result<Option<i64>> {
        Ok(self.store.opt(sql!("archive/mover/open_run"), &[]).await?.map(|row| row.get(0)))
    }

    async fn record(
        &self,
        run_id: i64,
        doing: &str,
        outcome: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<()> {
        self.store.run(sql!("archive/mover/tell"), &[&run_id, &doing, &outcome, &now]).await?;
        Ok(())
    }

    /// A step as a span, unless it only waits.
    async fn traced_step(&self, run_id: i64, epoch: i64, now: OffsetDateTime) -> Result<Progress> {
        let mut span = Span::of_work("archive step");
        span.number("impg.run.id", run_id);
        let step = async {
            self.archive.check().await?;
            self.step(run_id, epoch, now).await
        };
        let step = span.scope(step).await;
        match &step {
            Err(error) => span.fail(format_args!("{:?}", error.kind)),
            Ok(Progress::Waiting(_)) => span.discard(),
            Ok(Progress::Working(_) | Progress::Ended(..)) => {}
        }
        step
    }

    /// One step of the oldest day that is not switched; otherwise a new day; otherwise a drop.
    async fn step(&self, run_id: i64, epoch: i64, now: OffsetDateTime) -> Result<Progress> {
        let days = day::days(&self.store, false).await?;
        if let Some(day) = days.iter().find(|day| day.step != Step::Switched) {
            return match day.step {
                Step::Sealed => self.write(day, epoch).await,
                Step::Written => self.verify(day, epoch).await,
                _ => self.switch(day, epoch, now).await,
            };
        }
        if let Some(next) = candidates(&self.store, now - self.rules.age, 1).await?.pop() {
            if next.pushes == 0 {
                return self.seal(run_id, epoch, &next).await;
            }
            if days.is_empty() {
                let why = format!("{} is held: {} pushes or reminders are waiting", next.day, next.pushes);
                tracing::warn!(day = %next.day, pushes = next.pushes, "a day cannot move yet: pushes or reminders are waiting");
                return Ok(Progress::Ended(Outcome::Done, why));
            }
        }
        match days.first() {
            Some(day) => self.drop(day, now).await,
            None => Ok(Progress::Ended(Outcome::Done, "no days are left to move".to_owned())),
        }
    }

    /// From here on no transaction writes statuses of the day; later ones wait in the outbox. The background
    /// pass finishes first: a row is cheaper than a document.
    async fn seal(&self, run_id: i64, epoch: i64, next: &Candidate) -> Result<Progress> {
        for _ in 0..SETTLING_LOOKS {
            if !self.is_settling(next.below_ms_id).await? {
                break;
            }
            tokio::time::sleep(SETTLING_PAUSE).await;
        }
        stop("before-seal").await;
        let now = self.store.now().await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        own_seal(&tx).await?;
        self.lease.hold(&tx, epoch).await?;
        let holds = tx.one(sql!("archive/mover/holds"), &[&next.below_ms_id]).await?;
        if holds.get::<_, i64>("pushes") > 0 {
            return Ok(Progress::Working(format!("{} has new pushes", next.day)));
        }
        tx.run(sql!("archive/mover/seal"), &[&next.day, &run_id, &next.from_ms_id, &next.below_ms_id, &now])
            .await?;
        tx.commit().await?;
        self.reached(next.day, "sealed");
        stop("sealed").await;
        Ok(Progress::Working(format!("{} is sealed", next.day)))
    }

    async fn is_settling(&self, below: MsId) -> Result<bool> {
        Ok(self.store.one(sql!("archive/mover/settling"), &[&below]).await?.get(0))
    }

    /// Keeps the statuses of the day's notifications in their pages, some pages a statement. Sealed statuses do not change,
    /// so a repeat writes the same.
    async fn keep_statuses(&self, day: &Day) -> Result<()> {
        let keep = sql!("archive/mover/keep_statuses");
        loop {
            let began = Instant::now();
            self.lease.take(self.store.now().await?).await?;
            let row = self.store.one(keep, &[&day.from_ms_id, &day.below_ms_id, &PAGES_STEP]).await?;
            if row.get::<_, i64>("pages") == 0 {
                return Ok(());
            }
            self.store.throttle().rest("archive", began).await;
        }
    }

    /// One small commit: everything below is cold.
    async fn switch(&self, day: &Day, epoch: i64, now: OffsetDateTime) -> Result<Progress> {
        self.keep_statuses(day).await?;
        stop("before-switch").await;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        own_seal(&tx).await?;
        self.lease.hold(&tx, epoch).await?;
        tx.run(sql!("archive/mover/switch"), &[&day.day, &day.below_ms_id, &now]).await?;
        tx.commit().await?;
        metrics::counter!("impg_archive_messages_moved_total").increment(day.messages.unsigned_abs());
        metrics::counter!("impg_archive_ledger_rows_moved_total")
            .increment(day.sum.ledger_rows.unsigned_abs());
        self.reached(day.day, "switched");
        stop("switched").await;
        Ok(Progress::Working(format!("{} is cold", day.day)))
    }

    /// After a grace longer than any request, no request reads by the old horizon.
    async fn drop(&self, day: &Day, now: OffsetDateTime) -> Result<Progress> {
        let since = day.switched_at.unwrap_or(now);
        // A switch time in the future is from before the clock went back.
        if since <= now && now < since + self.drop_grace {
            return Ok(Progress::Waiting(format!("{} is dropped after a grace", day.day)));
        }
        let client = self.store.client().await?;
        let partitions = client.all(sql!("archive/mover/partitions"), &[&day.day]).await?;
        drop(client);
        stop("before-drop").await;
        for row in partitions {
            let state = match (row.get("attached"), row.get("pending")) {
                (true, false) => Attached::Whole,
                (true, true) => Attached::Half,
                _ => Attached::No,
            };
            self.store.drop_partition(row.get("parent"), row.get("partition"), state).await?;
            stop("dropped-one").await;
        }
        self.store.run(sql!("archive/mover/dropped"), &[&day.day, &now]).await?;
        self.reached(day.day, "dropped");
        Ok(Progress::Working(format!("{} is dropped", day.day)))
    }

    fn reached(&self, day: Date, step: &'static str) {
        tracing::info!(%day, step, "archive move");
        metrics::counter!("impg_archive_steps_total", "step" => step).increment(1);
    }

    /// The archiver's condition.
    pub async fn state(&self, store: &Store, now: OffsetDateTime) -> Result<State> {
        self.rules.state(store, now).await
    }
}

impl Work for Archiver {
    /// Begins a due run, and takes the open run one step further.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let Some(epoch) = self.lease.take(now).await? else {
            return Ok(Tick::Idle);
        };
        self.begin_if_due(now).await?;
        let Some(run_id) = self.open_run().await? else {
            return Ok(Tick::Idle);
        };
        let step = self.traced_step(run_id, epoch, now).await;
        match &step {
            // The log gets the cause; the shown run does not.
            Err(e) => self.record(run_id, &format!("waits: {}", e.detail()), None, now).await?,
            Ok(Progress::Working(doing)) => self.record(run_id, doing, None, now).await?,
            Ok(Progress::Waiting(doing)) => {
                self.record(run_id, doing, None, now).await?;
                return Ok(Tick::Idle);
            }
            Ok(Progress::Ended(outcome, why)) => {
                let outcome = outcome.as_str();
                tracing::info!(run_id, outcome, why, "archive run ended");
                metrics::counter!("impg_archive_runs_total", "outcome" => outcome).increment(1);
                self.record(run_id, why, Some(outcome), now).await?;
            }
        }
        step.map(|_| Tick::More)
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}

/// A point where a test can stop the move and kill it. Does nothing in builds without tests.
pub(super) async fn stop(place: &'static str) {
    tracing::debug!(place, "archive move");
    if stops(place) {
        std::future::pending().await
    }
}

fn stops(place: &str) -> bool {
    fail::fail_point!(place, |_| true);
    let _ = place;
    false
}

/// The result of a step.
enum Progress {
    Working(String),
    Waiting(String),
    Ended(Outcome, String),
}

/// Asks for a run. None: one is open already.
pub async fn ask(store: &Store, asked_by: &str, now: OffsetDateTime) -> Result<Option<i64>> {
    Ok(store.opt(sql!("archive/mover/ask"), &[&asked_by, &now]).await?.map(|row| row.get(0)))
}

/// Days that are wholly older than a time, oldest first, at most `limit`, with what holds them.
pub async fn candidates(store: &Store, older_than: OffsetDateTime, limit: usize) -> Result<Vec<Candidate>> {
    let client = store.client().await?;
    let movable = client.prepare_cached(sql!("archive/mover/movable")).await?;
    let mut candidates = Vec::new();
    for row in client.query(&movable, &[&older_than]).await?.into_iter().take(limit) {
        let (from_ms_id, below_ms_id): (MsId, MsId) = (row.get("from_ms_id"), row.get("below_ms_id"));
        let held = client.one(sql!("archive/mover/holds"), &[&below_ms_id]).await?;
        candidates.push(Candidate {
            day: row.get("day"),
            from_ms_id,
            below_ms_id,
            messages: 0,
            ledger_rows: 0,
            pushes: held.get("pushes"),
        });
    }
    Ok(candidates)
}

/// The same with the size of each day, which takes longer.
pub async fn sized_candidates(store: &Store, older_than: OffsetDateTime) -> Result<Vec<Candidate>> {
    let mut found = candidates(store, older_than, usize::MAX).await?;
    for candidate in &mut found {
        let (messages, ledger_rows) = pages::size(store, candidate.from_ms_id, candidate.below_ms_id).await?;
        (candidate.messages, candidate.ledger_rows) = (messages, ledger_rows);
    }
    Ok(found)
}

/// The number of days of which the archive has lost records.
pub async fn lost_days(store: &Store) -> Result<i64> {
    Ok(store.one(sql!("archive/mover/lost"), &[]).await?.get("days"))
}

/// One page of runs below `before`, newest first.
pub async fn runs(store: &Store, before: i64, limit: i64) -> Result<Vec<Run>> {
    let rows = store.all(sql!("archive/mover/runs"), &[&before, &limit]).await?;
    let run = |row: &tokio_postgres::Row| {
        Ok(Run {
            run_id: row.get("run_id"),
            asked_by: row.get("asked_by"),
            asked_at: row.get("asked_at"),
            ended_at: row.get("ended_at"),
            outcome: row.get::<_, Option<_>>("outcome").map(Outcome::from_db).transpose()?,
            doing: row.get("doing"),
            days: row.get("days"),
            messages: row.get("messages"),
            ledger_rows: row.get("ledger_rows"),
            day_list: row.get("day_list"),
        })
    };
    rows.iter().map(run).collect()
}
