//! A run. It stages everything from a source, compares it with the directory, and applies it in short
//! repeatable steps. It is held if too many users would leave. The source's token is stored last.
//!
//! Runs are on one replica at a time. Progress is in the database, except for the listing: an interrupted
//! listing starts again.

mod pulling;
mod repository;

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::apply::{self, Rows};
use super::source::{self, Failure, Request, Source};
use crate::base::config::{Config, DirectorySettings};
use crate::base::cron::Schedule;
use crate::base::error::{Error, Result};
use crate::base::lease::Lease;
use crate::base::store::{REPEATABLE, Statements, Store, retrying};
use crate::base::trace::Span;
use crate::base::worker::{Tick, Work};
use crate::sql;
use pulling::{Pulling, Tools};
use repository::{Counts, Decision, Open};
pub use repository::{
    Difference, Guard, Mode, Problem, Run, RunState, Sync, approve, ask, ask_once, cancel, differences, held,
    name_changed, name_changed_in, problems, prune_runs, runs,
};

/// Staged rows that one transaction applies, or one statement compares.
const STEP: i64 = 1_000;
const COMPARE_STEP: i64 = 5_000;
/// Rows that one statement of the sweep before a run deletes.
const SWEEP_STEP: i64 = 10_000;

/// Makes the runs of a replica. It works on one replica at a time.
pub struct Runner {
    store: Store,
    source: Arc<dyn Source>,
    settings: DirectorySettings,
    lease: Lease,
    schedule: Option<Schedule>,
    full_schedule: Option<Schedule>,
    pulling: Mutex<Option<Pulling>>,
    trouble: Mutex<Trouble>,
}

/// A step of a run that keeps failing.
#[derive(Default)]
struct Trouble {
    /// Run, state and applied rows. With other values it is another step, which has not failed yet.
    step: Option<(i64, RunState, i64)>,
    failures: u32,
    waits_until: Option<OffsetDateTime>,
}

impl Runner {
    /// None if the settings have no source.
    pub fn open(store: Store, config: &Config) -> Result<Option<Self>> {
        let Some(source) = source::open(&config.directory, config.workers.connection_life)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            lease: Lease::new(store.clone(), "directory", config.workers.lease),
            store,
            source: source.into(),
            schedule: config.directory.schedule().map_err(Error::internal)?,
            full_schedule: config.directory.full_schedule().map_err(Error::internal)?,
            settings: config.directory.clone(),
            pulling: Mutex::default(),
            trouble: Mutex::default(),
        }))
    }

    /// Makes a failed step wait longer each time. The run fails after too many failures, or at once if the
    /// database refuses the data.
    async fn trouble(
        &self,
        run: &Open,
        trouble: &mut Trouble,
        error: &Error,
        now: OffsetDateTime,
    ) -> Result<()> {
        tracing::warn!(run_id = run.run_id, %error, "a step of a directory run failed");
        metrics::counter!("impg_worker_failures_total", "worker" => "directory").increment(1);
        trouble.failures += 1;
        if error.is_of_data() || trouble.failures >= self.settings.run_attempts {
            let why = match error.database() {
                Some(db) => format!("the database refuses the data with SQLSTATE {}", db.code().code()),
                None => error.detail().to_owned(),
            };
            let why = format!("given up after attempt {}: {why}", trouble.failures);
            return self.fail(run.run_id, &why).await;
        }
        let doubled = 2_u32.saturating_pow(trouble.failures - 1);
        let pause = self.settings.run_retry_base.saturating_mul(doubled).min(self.settings.run_retry_max);
        trouble.waits_until = Some(now + pause);
        Ok(())
    }

    /// `incremental` if this source gives tokens and there is one, otherwise `full`.
    fn mode(&self, token: Option<&String>) -> Mode {
        if self.source.has_tokens() && token.is_some() { Mode::Incremental } else { Mode::Full }
    }

    async fn begin_if_due(&self, now: OffsetDateTime) -> Result<()> {
        let known = repository::known(&self.store, self.source.name()).await?;
        let due = |schedule: &Option<Schedule>, begun: Option<OffsetDateTime>| match (schedule, begun) {
            (Some(schedule), Some(begun)) => schedule.due(begun, now).is_some(),
            // A new service makes one full run.
            (Some(_), None) => true,
            (None, _) => false,
        };
        let first = known.full_at.is_none() && known.full_begun_at.is_none();
        if due(&self.full_schedule, known.full_begun_at) || first && due(&self.schedule, known.begun_at) {
            ask(&self.store, Sync { mode: Mode::Full, asked_by: "schedule", dry_run: false }, now).await?;
            repository::begun(&self.store, "directory-full", now).await?;
            repository::begun(&self.store, "directory", now).await?;
        } else if due(&self.schedule, known.begun_at) {
            let mode = self.mode(known.token.as_ref());
            ask(&self.store, Sync { mode, asked_by: "schedule", dry_run: false }, now).await?;
            repository::begun(&self.store, "directory", now).await?;
        } else if repository::open_run(&self.store).await?.is_none() {
            let named = repository::named(&self.store).await?;
            if named > 0 {
                let one_by_one = self.source.reads_one() && named <= self.settings.alone_max.into();
                let mode = if one_by_one { Mode::Changes } else { self.mode(known.token.as_ref()) };
                ask(&self.store, Sync { mode, asked_by: "change", dry_run: false }, now).await?;
            }
        }
        Ok(())
    }

    /// Reads the next page of a run's listing. Begins the listing if none is under way.
    async fn listen(&self, run: &Open, epoch: i64) -> Result<()> {
        let mut pulling = self.pulling.lock().await;
        if !pulling.as_ref().is_some_and(|l| l.is_of(run.run_id, epoch)) {
            *pulling = None;
            self.sweep(run.run_id).await?;
            let Some(want) = self.begin_listening(run, epoch).await? else {
                return repository::ask_for_everybody(&self.store, run.run_id, "there was no token").await;
            };
            *pulling = Some(Pulling::new(run, epoch, self.source.pull(want)));
        }
        let Some(current) = pulling.as_mut() else { return Ok(()) };
        match current.page().await {
            Ok(Some(page)) => {
                let staged = current.stage(self.tools(), page).await;
                if staged.is_err() {
                    *pulling = None;
                }
                staged
            }
            Ok(None) => {
                let ended = pulling.take().ok_or_else(|| Error::internal("no listing is under way"))?;
                ended.end(self.tools()).await
            }
            Err(Failure::Expired) => {
                *pulling = None;
                repository::ask_for_everybody(&self.store, run.run_id, "the token has expired").await
            }
            Err(Failure::Failed(why)) => {
                *pulling = None;
                self.fail(run.run_id, &why).await
            }
        }
    }

    fn tools(&self) -> Tools<'_> {
        let alone_max = usize::try_from(self.settings.alone_max).unwrap_or(usize::MAX);
        Tools { store: &self.store, lease: &self.lease, source: &*self.source, alone_max }
    }

    /// What to ask for; none if a run needs a token and there is none.
    async fn begin_listening(&self, run: &Open, epoch: i64) -> Result<Option<Request>> {
        let known = repository::known(&self.store, self.source.name()).await?;
        let mut want = match (run.mode, known.token) {
            (Mode::Incremental, Some(token)) => Request::Since(token),
            (Mode::Incremental, None) => return Ok(None),
            (Mode::Full | Mode::Changes, _) => Request::Everything,
        };
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        tx.run(sql!("sync/run/restage"), &[&run.run_id]).await?;
        if !run.dry_run {
            let row = tx.one(sql!("sync/run/take_changed"), &[&run.run_id]).await?;
            if run.mode == Mode::Changes {
                want = Request::These { users: row.get("users"), departments: row.get("departments") };
            }
        }
        tx.commit().await?;
        Ok(Some(want))
    }

    /// Deletes the staging that earlier runs no longer need.
    async fn sweep(&self, run_id: i64) -> Result<()> {
        loop {
            let rows: i64 = self.store.one(sql!("sync/run/sweep"), &[&run_id, &SWEEP_STEP]).await?.get(0);
            if rows < SWEEP_STEP {
                return Ok(());
            }
        }
    }

    async fn fail(&self, run_id: i64, why: &str) -> Result<()> {
        tracing::warn!(run_id, why, "directory run failed");
        metrics::counter!("impg_directory_runs_total", "outcome" => "failed").increment(1);
        repository::fail(&self.store, run_id, why, self.store.now().await?).await
    }

    /// Counts what the run would change. Then applies it, shows it, or holds it.
    async fn decide(&self, run: &Open, epoch: i64, now: OffsetDateTime) -> Result<()> {
        let mut counts = Counts::default();
        let mut after = 0;
        while let Some(up_to) = self.next_rows(run.run_id, after, COMPARE_STEP).await? {
            self.lease.take(self.store.now().await?).await?;
            let began = Instant::now();
            counts.add(repository::compare(&self.store, run.run_id, after, up_to).await?);
            self.store.throttle().rest("directory", began).await;
            after = up_to;
        }
        if !repository::is_staged(&self.store, run.run_id).await? {
            return repository::again(&self.store, run.run_id).await;
        }
        counts.guard = self.guard(&counts, run).await?;
        let held = counts.guard.as_ref().map(Guard::detail);
        let state = match held {
            _ if run.dry_run => RunState::Shown,
            Some(_) => RunState::Held,
            None => RunState::Applying,
        };
        if let Some(why) = &held {
            tracing::warn!(run_id = run.run_id, why, "directory run is held");
        }
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        let decision = Decision { state, detail: held.as_deref(), counts: &counts };
        repository::decide(&tx, run.run_id, decision, now).await?;
        if !run.dry_run {
            tx.run(sql!("sync/run/supersede"), &[&run.run_id, &now]).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Why a run must be approved, if it must: a list may have been emptied by mistake.
    async fn guard(&self, counts: &Counts, run: &Open) -> Result<Option<Guard>> {
        let (users, departments) = repository::known_here(&self.store, self.source.name()).await?;
        let leaving = counts.of("users", "deactivated");
        let removed = counts.of("departments", "removed");
        for (kind, going, there) in [("user", leaving, users), ("department", removed, departments)] {
            let share = going as f64 / there.max(1) as f64;
            let all = run.mode == Mode::Full && going > 0 && going >= there;
            if all
                || going > i64::from(self.settings.guard_count)
                || going > 1 && share > self.settings.guard_share
            {
                return Ok(Some(Guard { kind: kind.to_owned(), leaving: going, known: there }));
            }
        }
        Ok(None)
    }

    /// The next step of an open run.
    async fn step(&self, run: &Open, epoch: i64, now: OffsetDateTime) -> Result<()> {
        match run.state {
            RunState::Asked => self.listen(run, epoch).await,
            RunState::Staged => self.decide(run, epoch, now).await,
            RunState::Applying => self.apply(run, epoch, now).await,
            ended => Err(Error::internal(format!("the open run is {}", ended.as_str()))),
        }
    }

    async fn next_rows(&self, run_id: i64, after: i64, most: i64) -> Result<Option<i64>> {
        Ok(self.store.one(sql!("sync/run/next_rows"), &[&run_id, &after, &most]).await?.get("up_to"))
    }

    /// Applies a step of the run, or ends it.
    async fn apply(&self, run: &Open, epoch: i64, now: OffsetDateTime) -> Result<()> {
        if !repository::is_staged(&self.store, run.run_id).await? {
            return repository::again(&self.store, run.run_id).await;
        }
        let Some(up_to) = self.next_rows(run.run_id, run.applied, STEP).await? else {
            return self.finish(run, epoch, now).await;
        };
        let rows = Rows { run_id: run.run_id, after: run.applied, up_to };
        retrying(|| self.apply_step(rows, epoch, now)).await
    }

    async fn apply_step(&self, rows: Rows, epoch: i64, now: OffsetDateTime) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        // The end of the run is not repeatable: its commit waits until this one is on the disk too.
        tx.batch_execute(REPEATABLE).await?;
        self.lease.hold(&tx, epoch).await?;
        apply::lock(&tx).await?;
        tx.run(sql!("sync/run/drop_overtaken"), &[&rows.run_id, &rows.after, &rows.up_to]).await?;
        let departments = apply::departments(&tx, rows, now).await?;
        let users = apply::users(&tx, rows, now).await?;
        let refused =
            |kind| move |(_, id, why): &(i64, String, String)| (kind, Some(id.clone()), why.clone());
        let problems: Vec<_> = departments
            .refused
            .iter()
            .map(refused("department"))
            .chain(users.refused.iter().map(refused("user")))
            .collect();
        repository::note_problems(&tx, rows.run_id, &problems).await?;
        tx.run(sql!("sync/run/progress"), &[&rows.run_id, &rows.up_to]).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn finish(&self, run: &Open, epoch: i64, now: OffsetDateTime) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        tx.run(sql!("sync/run/finish"), &[&run.run_id, &self.source.name(), &now]).await?;
        tx.commit().await?;
        tracing::info!(
            run_id = run.run_id,
            mode = run.mode.as_str(),
            staged = run.staged,
            "directory run is done"
        );
        metrics::counter!("impg_directory_runs_total", "outcome" => "done").increment(1);
        Ok(())
    }
}

impl Work for Runner {
    /// Begins a due run, and takes the open run one step further.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let Some(epoch) = self.lease.take(now).await? else {
            return Ok(Tick::Idle);
        };
        self.begin_if_due(now).await?;
        let Some(run) = repository::open_run(&self.store).await? else {
            return Ok(Tick::Idle);
        };
        let step = Some((run.run_id, run.state, run.applied));
        let mut trouble = self.trouble.lock().await;
        if trouble.step != step {
            *trouble = Trouble { step, ..Trouble::default() };
        }
        // Pages that succeed in between do not shorten the pause, because the whole listing is repeated. A
        // clock that was set back does not lengthen it.
        let longest = self.settings.run_retry_max;
        if trouble.waits_until.is_some_and(|until| now < until && until <= now + longest) {
            return Ok(Tick::Idle);
        }
        let began = Instant::now();
        let mut span = Span::of_work("directory step");
        span.number("impg.run.id", run.run_id);
        span.text("impg.run.state", run.state.as_str());
        let done = span.scope(self.step(&run, epoch, now)).await;
        if let Err(e) = done {
            span.fail(format_args!("{:?}", e.kind));
            self.trouble(&run, &mut trouble, &e, now).await?;
        }
        drop(span);
        self.store.throttle().rest("directory", began).await;
        Ok(Tick::More)
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}
