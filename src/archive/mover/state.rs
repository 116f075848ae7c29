//! The condition of the archiver: what its last runs and its schedule say.

use time::{Duration, OffsetDateTime};

use super::Outcome;
use crate::base::config::ArchiveSettings;
use crate::base::cron::Schedule;
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// A scheduled run that has not begun this long after its time is overdue.
const OVERDUE: Duration = Duration::hours(1);
/// A day that could have moved this long ago is overdue too: something holds it.
const HELD: Duration = Duration::days(7);

/// The archiver's condition, for metrics and health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    Running,
    /// The last run failed.
    Failed,
    /// A run has not begun long after its time.
    Overdue,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
        }
    }
}

/// When runs begin, and how old a day is that moves.
pub struct Rules {
    pub(super) schedule: Schedule,
    pub(super) age: Duration,
}

impl Rules {
    /// The rules of the settings.
    pub fn of(settings: &ArchiveSettings) -> Result<Self> {
        let schedule = settings.schedule().map_err(Error::internal)?;
        Ok(Self { schedule, age: Duration::days(settings.age_days.into()) })
    }

    /// The archiver's condition, by what the database knows of its runs.
    pub async fn state(&self, store: &Store, now: OffsetDateTime) -> Result<State> {
        let known = state_row(store).await?;
        let due = known.begun_at.and_then(|begun| self.schedule.due(begun, now));
        let held = known.oldest_ended_at.is_some_and(|end| now - end > self.age + HELD);
        Ok(match (due, known.open_since, known.last_failed) {
            (Some(due), _, _) if now - due > OVERDUE => State::Overdue,
            (_, Some(_), _) => State::Running,
            (_, None, true) => State::Failed,
            (_, None, false) if held => State::Overdue,
            _ => State::Ok,
        })
    }
}

/// What the database knows of the runs.
pub(super) struct StateRow {
    pub begun_at: Option<OffsetDateTime>,
    last_failed: bool,
    pub open_since: Option<OffsetDateTime>,
    oldest_ended_at: Option<OffsetDateTime>,
}

pub(super) async fn state_row(store: &Store) -> Result<StateRow> {
    let row = store.one(sql!("archive/mover/state"), &[]).await?;
    let last = row.get::<_, Option<_>>("last_outcome").map(Outcome::from_db).transpose()?;
    Ok(StateRow {
        begun_at: row.get("begun_at"),
        last_failed: last == Some(Outcome::Failed),
        open_since: row.get("open_since"),
        oldest_ended_at: row.get("oldest_ended_at"),
    })
}
