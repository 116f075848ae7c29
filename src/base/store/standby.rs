//! Reads on a standby: which may go there, and when.
//!
//! **The rule.** Before a read, the primary says how far its write-ahead log goes. The standby answers only once it has
//! replayed the log up to there. So an answer of the standby has every change that was visible on the primary when the
//! read began: a caller sees its own writes, on whichever replica they were made, and what it was told by events.
//! Nothing has to be remembered about callers. (Raft calls this a read index; TiDB reads from followers so.) An answer is
//! never older than that. It can be a moment newer: a standby may show a commit while the primary still waits to
//! acknowledge it.
//!
//! **Which standby.** A position means something only in one log. Each second the standby is looked at: it must be in
//! recovery and have the mark of `t_im_database` that the primary has, which is written anew after each promotion and
//! restore. What was found holds for one start of both servers; a connection to any other is not used.
//!
//! **One server for one answer.** All statements of an answer run on that standby, whose state only moves forward, as that
//! of the primary does. An answer that fails there is made again from its beginning on the primary, never put together.

use std::future::Future;
use std::result::Result as StdResult;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::fresh::{Fresh, Limits, Origin, Positions, Verified};
use super::server::STANDBY;
use super::{Statements, Store};
use crate::base::config::Config;
use crate::base::error::{Error, Result, Unreachable};
use crate::base::worker::{Tick, Worker};
use crate::sql;

/// Interval between two looks at the standby.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A standby that does not answer for so long is away.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause while a look waits for the standby.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether reads go to the standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    /// It was not looked at yet.
    Unknown,
    Fit,
    /// It is further behind than `database_read_max_lag_ms`.
    Behind,
    /// It is away, was promoted, or follows another primary. The sentence is for operators.
    Unfit(String),
}

/// What a look has found.
enum Found {
    /// A standby of the primary. `lag`: how long it took to have what the primary had, unless that is too long.
    Follower {
        verified: Verified,
        lag: Option<Duration>,
    },
    Unfit(String),
    /// The primary does not answer. Reads ask it too, so nothing has to change.
    Undecided,
}

/// What is known of the standby.
struct Current {
    fitness: Fitness,
    verified: Option<Verified>,
    /// When it last had all that the primary had.
    caught_up: Option<Instant>,
    lag: Option<Duration>,
    /// Ends the answers under way on a standby that has become unfit.
    ended: CancellationToken,
}

/// The standby of `database_read_url`.
pub struct Standby {
    store: Store,
    positions: Arc<Positions>,
    limits: Limits,
    current: Mutex<Current>,
    /// No pooler in between shares sessions. It is tried once.
    keeps_sessions: AtomicBool,
    wake: Arc<Notify>,
}

impl Standby {
    /// The standby of the settings. It is not connected to, and does not have to be there.
    pub fn open(config: &Config, primary: &Store) -> Result<Option<Arc<Self>>> {
        if config.database.read_url.expose().is_empty() {
            return Ok(None);
        }
        let lag = config.database.read_max_lag;
        Ok(Some(Arc::new(Self {
            store: Store::for_standby(config)?,
            positions: Arc::new(Positions::of(primary.clone())),
            limits: Limits { lag, answer: lag.max(ANSWER) },
            current: Mutex::new(Current {
                fitness: Fitness::Unknown,
                verified: None,
                caught_up: None,
                lag: None,
                ended: CancellationToken::new(),
            }),
            keeps_sessions: AtomicBool::default(),
            wake: Arc::default(),
        })))
    }

    /// Looks at the standby each second.
    pub fn worker(self: &Arc<Self>) -> Worker {
        let standby = self.clone();
        let look = move || {
            let standby = standby.clone();
            async move {
                standby.look().await;
                Ok(Tick::Idle)
            }
        };
        Worker::of("standby", LOOK_EVERY, look).woken_by(&self.wake)
    }

    /// A store of the standby alone, for what is asked of the server itself.
    pub fn store_of(config: &Config) -> Result<Store> {
        Store::for_standby(config)
    }

    /// Does a read on the standby, if that has all that the primary has now. Otherwise, or if it fails there, on the
    /// primary. The work must only read, because it can be done twice.
    pub async fn read<T, F>(&self, work: impl Fn(Store) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let result = match self.begin().await {
            Err(why) => why,
            Ok((store, ended)) => {
                let done =
                    tokio::select! { done = work(store) => Some(done), () = ended.cancelled() => None };
                match done {
                    Some(Err(e)) if e.is_not_fresh() => "behind",
                    Some(Err(e)) if e.is_of_database() => {
                        tracing::debug!(error = %e, "a read failed on the standby; the primary repeats it");
                        "failed"
                    }
                    None => "failed",
                    Some(done) => {
                        count("standby");
                        return done;
                    }
                }
            }
        };
        count(result);
        work(self.positions.primary.clone()).await
    }

    /// A store for one answer, and what ends it early. An error is why the standby is not used.
    async fn begin(&self) -> StdResult<(Store, CancellationToken), &'static str> {
        let (verified, ended) = {
            let current = self.current();
            match (&current.fitness, &current.verified) {
                (Fitness::Fit, Some(verified)) => (verified.clone(), current.ended.clone()),
                (Fitness::Behind, _) => return Err("behind"),
                _ => return Err("away"),
            }
        };
        let begun = Fresh::begin(self.positions.clone(), verified, self.limits, self.wake.clone()).await;
        Ok((self.store.fresh(begun.map_err(|_| "behind")?), ended))
    }

    /// Looks at the standby, and decides whether reads go to it. Also how far it is behind, if that is known.
    pub async fn look(&self) -> (Fitness, Option<Duration>) {
        let found = self.examine().await.unwrap_or_else(Found::Unfit);
        self.turn(found);
        let current = self.current();
        (current.fitness.clone(), current.lag)
    }

    fn turn(&self, found: Found) {
        let (fitness, verified, lag) = match found {
            Found::Undecided => return,
            Found::Unfit(why) => (Fitness::Unfit(why), None, None),
            Found::Follower { verified, lag: Some(lag) } => (Fitness::Fit, Some(verified), Some(lag)),
            Found::Follower { verified, lag: None } => (Fitness::Behind, Some(verified), None),
        };
        let mut current = self.current();
        if fitness == Fitness::Fit {
            current.caught_up = Some(Instant::now());
        }
        let since = current.caught_up.map_or(self.limits.lag, |caught_up| caught_up.elapsed());
        current.lag = lag.or((fitness == Fitness::Behind).then(|| since.max(self.limits.lag)));
        if verified != current.verified {
            std::mem::replace(&mut current.ended, CancellationToken::new()).cancel();
        }
        current.verified = verified;
        metrics::gauge!("impg_standby_used").set(if fitness == Fitness::Fit { 1.0 } else { 0.0 });
        if let Some(lag) = current.lag {
            metrics::gauge!("impg_standby_lag_seconds").set(lag.as_secs_f64());
        }
        if fitness != current.fitness {
            self.tell(&fitness);
            current.fitness = fitness;
        }
    }

    /// Logs a change.
    fn tell(&self, fitness: &Fitness) {
        let server = self.place();
        match fitness {
            Fitness::Unknown => {}
            Fitness::Fit => tracing::info!(server, "reads go to the standby"),
            Fitness::Behind => {
                let most_ms = self.limits.lag.as_millis() as u64;
                tracing::warn!(server, most_ms, "the standby is behind: reads go to the primary");
            }
            Fitness::Unfit(why) => {
                tracing::warn!(server, why, "the standby is not used: reads go to the primary")
            }
        }
    }

    /// What the standby is now. An error is why no read may use it.
    async fn examine(&self) -> StdResult<Found, String> {
        let place = self.place();
        if !self.keeps_sessions.load(Ordering::Relaxed) {
            self.bounded(self.store.check_sessions()).await?;
            self.keeps_sessions.store(true, Ordering::Relaxed);
        }
        let there = self.bounded(self.store.one(sql!("base/store/follower"), &[])).await?;
        if !there.get::<_, bool>("follows") {
            return Err(format!(
                "{place} is no standby: it was promoted, or is a primary. Name a standby in {STANDBY}"
            ));
        }
        let Ok(here) = self.positions.primary.one(sql!("base/store/origin"), &[]).await else {
            return Ok(Found::Undecided);
        };
        let (Some(timeline), Some(flushed)) = (here.get("timeline"), here.get::<_, Option<i64>>("flushed"))
        else {
            return Ok(Found::Undecided);
        };
        let asked = Instant::now();
        let mark = |row: &tokio_postgres::Row| {
            (row.get::<_, String>("place"), row.get::<_, Option<OffsetDateTime>>("restored_at"))
        };
        if here.get::<_, Option<bool>>("is_settled") != Some(true) || mark(&here) != mark(&there) {
            return Err(format!(
                "{place} is not a standby of the database in database_url, or has not followed its last failover or \
                 restore yet. If that stays so, make it anew from the primary, or correct {STANDBY}"
            ));
        }
        let origin = Origin { timeline, started: here.get("started") };
        let verified = Verified { origin, server: there.get("started") };
        Ok(Found::Follower { lag: self.measure(flushed, asked).await?, verified })
    }

    /// How long after `asked` the standby has replayed what was on the disk of the primary then. `None`: longer than the
    /// limit.
    async fn measure(&self, flushed: i64, asked: Instant) -> StdResult<Option<Duration>, String> {
        loop {
            let row = self.bounded(self.store.one(sql!("base/store/replayed"), &[&flushed])).await?;
            let lag = asked.elapsed();
            if row.get("has_replayed") {
                return Ok(Some(lag));
            }
            if lag > self.limits.lag {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What the standby answers in time. An error is a sentence for operators.
    async fn bounded<T>(&self, asking: impl Future<Output = Result<T>>) -> StdResult<T, String> {
        match timeout(self.limits.answer, asking).await {
            Ok(answer) => answer.map_err(|e| self.told(&e)),
            Err(_) => {
                Err(format!("{} does not answer within {} s", self.place(), self.limits.answer.as_secs()))
            }
        }
    }

    fn told(&self, e: &Error) -> String {
        if let Some(Unreachable(why)) = e.unreachable() {
            return why.clone();
        }
        match e.database().map(tokio_postgres::error::DbError::code) {
            Some(code) if *code == SqlState::UNDEFINED_TABLE => {
                format!("{} has no tables of this service: correct {STANDBY}", self.place())
            }
            _ => e.to_string(),
        }
    }

    fn place(&self) -> &str {
        self.store.server.place()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a read that may go to the standby, by where it was answered or why not there.
fn count(result: &'static str) {
    metrics::counter!("impg_standby_reads_total", "result" => result).increment(1);
}
