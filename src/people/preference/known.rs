//! The settings that mark pushes, in memory. A refresh reads what has changed since the last one, so a push costs one
//! short lookup, however large its groups are and however many users have settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use postgres_types::Json;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;

use super::quiet::{Quiet, Window, is_quiet, quiet_until};
use crate::base::error::Result;
use crate::base::store::Statements;
use crate::sql;

/// Most settings that one statement reads.
const STEP: i64 = 5_000;

/// The settings of users that mark pushes. Users without such settings are not in it.
#[derive(Debug, Default)]
pub struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    revision: i64,
    users: HashMap<String, Arc<Timing>>,
}

/// When pushes to a user may be heard.
#[derive(Debug, PartialEq, Eq)]
pub struct Timing {
    quiet: Vec<Window>,
    /// The shortest time between two audible pushes.
    pub every: Duration,
}

impl Timing {
    /// The times of these settings. A window that cannot be read any more, such as one of a time zone that the library
    /// no longer has, does not count.
    pub fn new(quiet: &[Quiet], every_s: u32) -> Self {
        let quiet = quiet.iter().filter_map(|quiet| quiet.window().ok()).collect();
        Self { quiet, every: Duration::seconds(every_s.into()) }
    }

    pub fn is_quiet(&self, now: OffsetDateTime) -> bool {
        is_quiet(&self.quiet, now)
    }

    /// When it is no longer quiet, if it is quiet now.
    pub fn quiet_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        quiet_until(&self.quiet, now)
    }

    fn has_effect(&self) -> bool {
        !self.quiet.is_empty() || self.every.is_positive()
    }
}

impl Known {
    /// Reads the settings that have changed.
    pub async fn refresh(&self, client: &impl Statements) -> Result<()> {
        loop {
            let since = self.state().revision;
            let rows = client.all(sql!("people/preference/changed"), &[&since, &STEP]).await?;
            let head = rows.first().map_or(0, |row| row.get("head"));
            if head < since {
                // The database was restored: what is known may never have been.
                *self.state() = State::default();
                continue;
            }
            self.apply(&rows);
            if (rows.len() as i64) < STEP {
                return Ok(());
            }
        }
    }

    /// Applies rows in the order of their revisions. Rows that a concurrent refresh has applied are left out.
    fn apply(&self, rows: &[Row]) {
        let mut state = self.state();
        for row in rows {
            let Some(revision) =
                row.get::<_, Option<i64>>("revision").filter(|revision| *revision > state.revision)
            else {
                continue;
            };
            state.revision = revision;
            let Json(quiet) = row.get::<_, Json<Vec<Quiet>>>("quiet");
            let timing = Timing::new(&quiet, row.get::<_, i32>("every_s").unsigned_abs());
            let user_id: String = row.get("user_id");
            if timing.has_effect() {
                state.users.insert(user_id, Arc::new(timing));
            } else {
                state.users.remove(&user_id);
            }
        }
    }

    /// The settings of those of these users who have some, with their positions.
    pub fn of<'a>(&self, user_ids: impl Iterator<Item = &'a str>) -> Vec<(u32, Arc<Timing>)> {
        let state = self.state();
        if state.users.is_empty() {
            return Vec::new();
        }
        let found =
            (0..).zip(user_ids).filter_map(|(at, user_id)| Some((at, state.users.get(user_id)?.clone())));
        found.collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
