//! SQL states that mean "try later" or "connect again". Any other state is a fault of the service.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::error::DbError;

/// How to react to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Other transactions were in the way. Repeat the same work.
    Again,
    /// The server is away or overloaded. Repeat the request later.
    Later,
    /// The server refuses this on connections of this age. Reconnect, then repeat the request.
    Reconnect,
}

/// A state or a prefix, the remedy, and the text for the caller.
type Row = (&'static str, Remedy, &'static str);

const BUSY: &str = "other requests change the same data";
const AWAY: &str = "the database is away";
const SLOW: &str = "the database took too long";
const FULL: &str = "the database is out of room, memory or connections";
const READ_ONLY: &str = "the database is read-only";
const STALE: &str = "the database connection is out of date";

/// The first match wins.
const STATES: &[Row] = &[
    ("08", Remedy::Later, AWAY),
    // read_only_sql_transaction: a standby, or a server before a switchover.
    ("25006", Remedy::Reconnect, READ_ONLY),
    // The server has closed the connection: its transaction was idle or running for too long.
    ("25P03", Remedy::Later, SLOW),
    ("25P04", Remedy::Later, SLOW),
    // invalid_sql_statement_name: the connection was reset, or now leads to another session.
    ("26000", Remedy::Reconnect, STALE),
    // duplicate_prepared_statement: other clients use the same session.
    ("42P05", Remedy::Reconnect, STALE),
    ("40", Remedy::Again, BUSY),
    ("53", Remedy::Later, FULL),
    // lock_not_available
    ("55P03", Remedy::Again, BUSY),
    // query_canceled: by a timeout or by an administrator.
    ("57014", Remedy::Later, SLOW),
    // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout
    ("57P0", Remedy::Later, AWAY),
    // system_error: the disk or the operating system of the server.
    ("58", Remedy::Later, AWAY),
];

/// "cached plan must not change result type" shares the state 0A000 with many other errors. The message
/// depends on the language of the server. The routine does not.
const CACHED_PLAN: (&str, &str) = ("0A000", "RevalidateCachedQuery");

/// The remedy and the text for the caller.
pub fn find(db: &DbError) -> Option<(Remedy, &'static str)> {
    let code = db.code().code();
    if (code, db.routine().unwrap_or_default()) == CACHED_PLAN {
        return Some((Remedy::Reconnect, STALE));
    }
    of_code(code)
}

fn of_code(code: &str) -> Option<(Remedy, &'static str)> {
    let row = STATES.iter().find(|(beginning, ..)| code.starts_with(beginning))?;
    Some((row.1, row.2))
}

/// Whether the state means that the whole server is unavailable, and not only overloaded.
pub fn is_away(db: &DbError) -> bool {
    find(db).is_some_and(|(_, told)| told == AWAY)
}

/// Shortest interval between two marks. Without it, every failed write on a read-only server would force all
/// readers to reconnect.
const MARKS_APART: Duration = Duration::from_secs(1);

static MARK: Mutex<Option<Instant>> = Mutex::new(None);

/// Marks all open connections as stale. The pool then replaces them.
pub fn mark_stale() {
    let mut mark = MARK.lock().unwrap_or_else(PoisonError::into_inner);
    if mark.is_none_or(|last| last.elapsed() >= MARKS_APART) {
        *mark = Some(Instant::now());
    }
}

/// Whether a connection opened at that time must not be used any more.
pub fn is_stale(connected: Instant) -> bool {
    MARK.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|mark| connected < mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_remedy() {
        for (codes, remedy) in [
            (&["40000", "40001", "40002", "40003", "40P01", "55P03"][..], Remedy::Again),
            (&["08000", "08001", "08003", "08004", "08006", "08007", "08P01"], Remedy::Later),
            (&["53000", "53100", "53200", "53300", "53400"], Remedy::Later),
            (&["57014", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"], Remedy::Later),
            (&["58000", "58030", "58P01", "58P02", "58P03"], Remedy::Later),
            (&["25006", "26000", "42P05"], Remedy::Reconnect),
        ] {
            for code in codes {
                assert_eq!(of_code(code).map(|(remedy, _)| remedy), Some(remedy), "{code}");
            }
        }
        for code in ["0A000", "22001", "22P05", "23505", "25001", "42501", "42P01", "54000", "55000", "XX000"]
        {
            assert_eq!(of_code(code), None, "{code} is a fault of ours, or of the request");
        }
    }

    #[test]
    fn what_was_connected_before_a_mark_is_stale() {
        let before = Instant::now();
        mark_stale();
        assert!(is_stale(before));
        assert!(!is_stale(Instant::now()));
    }
}
