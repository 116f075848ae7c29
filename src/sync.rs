//! The directory: users and departments, as the company's systems provide them.
//!
//! Records come through the API, or from a source that a run reads. Both are staged first. One statement then
//! computes what each record changes and applies it, in short steps that can be repeated.

mod apply;
pub mod edit;
mod record;
mod run;
pub mod scim;
mod source;
mod stage;
pub mod tree;
mod values;

use std::collections::HashSet;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::base::error::Result;
use crate::base::store::{Statements, Store, retrying};
use crate::sql;
use apply::Rows;
pub use apply::{Step, lock};
pub use record::{DepartmentRecord, Fault, USER_ATTRIBUTES, UserRecord};
pub use run::{
    Difference, Mode, Problem, Run, RunState, Runner, Sync, approve, ask, ask_once, cancel, differences,
    held, name_changed, problems, prune_runs, runs,
};
use stage::StagePosition;

/// Records in one transaction.
const STEP: usize = 1_000;

/// The source of users and departments that are known only from the API.
pub const API: &str = "api";
/// The source of users with an account of this service. No other source takes them over, and SCIM does not show them:
/// people choose their username themselves, and it must not make them the employee who has it elsewhere.
pub const ACCOUNT: &str = "account";

/// Workers to wake after a change of the directory, so that they do not wait for their next poll.
#[derive(Clone, Default)]
pub struct Followers {
    pub search_index: Arc<Notify>,
    pub headcount: Arc<Notify>,
    pub department_groups: Arc<Notify>,
}

impl Followers {
    pub fn wake(&self) {
        for follower in [&self.search_index, &self.headcount, &self.department_groups] {
            follower.notify_one();
        }
    }
}

/// What was applied, and which records were not, with reasons.
#[derive(Debug, Default)]
pub struct Applied {
    pub users: usize,
    pub departments: usize,
    /// Departments parked at the top: their parent is unknown, or lies below them.
    pub parked: Vec<String>,
    /// JSON pointer of each skipped record, with the reason.
    pub problems: Vec<(String, String)>,
}

/// Applies departments, then users, from `source`, in short repeatable steps. A bad record is reported with
/// its position in the request and skipped; the others are applied.
pub async fn change(
    store: &Store,
    source: &str,
    departments: Vec<(usize, DepartmentRecord)>,
    users: Vec<(usize, UserRecord)>,
    now: OffsetDateTime,
) -> Result<Applied> {
    let mut applied = Applied::default();
    let id = |d: &DepartmentRecord| d.department_id.clone();
    let good = validate("departments", departments, DepartmentRecord::check, id, &mut applied.problems);
    for step in good.chunks(STEP) {
        let done = retrying(|| change_departments(store, source, step, now)).await?;
        applied.departments += step.len() - done.refused.len();
        report("departments", step, &done, &mut applied.problems);
        applied.parked.extend(done.parked);
    }
    applied.parked.sort_unstable();
    let id = |u: &UserRecord| u.external_id.clone();
    let good = validate("users", users, UserRecord::check, id, &mut applied.problems);
    for step in good.chunks(STEP) {
        let done = retrying(|| change_users(store, source, step, now)).await?;
        applied.users += step.len() - done.refused.len();
        report("users", step, &done, &mut applied.problems);
    }
    Ok(applied)
}

/// The valid records, each once; the others become problems.
fn validate<R>(
    list: &str,
    records: Vec<(usize, R)>,
    check: fn(&R) -> std::result::Result<(), Fault>,
    id: fn(&R) -> String,
    problems: &mut Vec<(String, String)>,
) -> Vec<(usize, R)> {
    let mut seen = HashSet::new();
    let mut good = Vec::with_capacity(records.len());
    for (position, record) in records {
        match check(&record) {
            Err((attribute, reason)) => {
                problems.push((format!("/{list}/{position}/{attribute}"), reason.to_owned()))
            }
            Ok(()) if !seen.insert(id(&record)) => {
                problems
                    .push((format!("/{list}/{position}"), "an earlier record has the same id".to_owned()));
            }
            Ok(()) => good.push((position, record)),
        }
    }
    good
}

/// Rows of a call are numbered from 1 in each step.
fn report<R>(list: &str, step: &[(usize, R)], done: &Step, problems: &mut Vec<(String, String)>) {
    for (row, _, reason) in &done.refused {
        let position =
            usize::try_from(row - 1).ok().and_then(|at| step.get(at)).map_or(0, |(position, _)| *position);
        problems.push((format!("/{list}/{position}"), reason.clone()));
    }
}

async fn change_departments(
    store: &Store,
    source: &str,
    records: &[(usize, DepartmentRecord)],
    now: OffsetDateTime,
) -> Result<Step> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let records: Vec<&DepartmentRecord> = records.iter().map(|(_, record)| record).collect();
    let step = change_departments_in(&tx, source, &records, now).await?;
    tx.commit().await?;
    Ok(step)
}

/// The same in a transaction of the caller. The records are already checked.
pub async fn change_departments_in(
    tx: &Transaction<'_>,
    source: &str,
    records: &[&DepartmentRecord],
    now: OffsetDateTime,
) -> Result<Step> {
    let rows = call_rows(tx, records.len()).await?;
    stage::departments(tx, StagePosition { run_id: rows.run_id, after_row: 0, source }, records).await?;
    lock(tx).await?;
    let step = apply::departments(tx, rows, now).await?;
    unstage(tx, rows.run_id).await?;
    Ok(step)
}

async fn change_users(
    store: &Store,
    source: &str,
    records: &[(usize, UserRecord)],
    now: OffsetDateTime,
) -> Result<Step> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let records: Vec<&UserRecord> = records.iter().map(|(_, record)| record).collect();
    let step = change_users_in(&tx, source, &records, now).await?;
    tx.commit().await?;
    Ok(step)
}

/// The same in a transaction of the caller. The records are already checked.
pub async fn change_users_in(
    tx: &Transaction<'_>,
    source: &str,
    records: &[&UserRecord],
    now: OffsetDateTime,
) -> Result<Step> {
    let rows = call_rows(tx, records.len()).await?;
    stage::users(tx, StagePosition { run_id: rows.run_id, after_row: 0, source }, records).await?;
    lock(tx).await?;
    let step = apply::users(tx, rows, now).await?;
    unstage(tx, rows.run_id).await?;
    Ok(step)
}

/// Staging rows of one call, invisible to other transactions.
async fn call_rows(tx: &Transaction<'_>, records: usize) -> Result<Rows> {
    let run_id = tx.one(sql!("sync/call_id"), &[]).await?.get(0);
    Ok(Rows { run_id, after: 0, up_to: i64::try_from(records).unwrap_or(i64::MAX) })
}

async fn unstage(tx: &Transaction<'_>, run_id: i64) -> Result<()> {
    tx.run(sql!("sync/unstage"), &[&run_id]).await?;
    Ok(())
}
