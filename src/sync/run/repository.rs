//! The table of runs: requests, progress, changes and problems.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::base::audit::{self, Action, Entry};
use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::base::store::{Statements, Store};
use crate::sql;

/// Most characters shown of a source's text.
const SHOWN_MAX_CHARS: usize = 255;

named! {
    /// What a run reads.
    pub enum Mode ("mode of a directory run") {
        Full = "full",
        /// What has changed since the last run.
        Incremental = "incremental",
        /// The users and departments that were named.
        Changes = "changes",
    }
}

named! {
    /// How far a run has come.
    pub enum RunState ("state of a directory run") {
        Asked = "asked",
        Staged = "staged",
        /// It waits for an approval.
        Held = "held",
        Applying = "applying",
        Done = "done",
        /// A dry run that has ended.
        Shown = "shown",
        Failed = "failed",
        /// A later run was decided first.
        Superseded = "superseded",
    }
}

/// A run to ask for.
#[derive(Debug, Clone, Copy)]
pub struct Sync<'a> {
    pub mode: Mode,
    /// `schedule`, `hand` or `change`.
    pub asked_by: &'a str,
    pub dry_run: bool,
}

/// An open run.
#[derive(Debug)]
pub(super) struct Open {
    pub run_id: i64,
    pub mode: Mode,
    pub dry_run: bool,
    pub state: RunState,
    pub staged: i64,
    pub applied: i64,
}

/// A run as it is shown.
#[derive(Debug)]
pub struct Run {
    pub run_id: i64,
    pub mode: Mode,
    pub asked_by: String,
    pub dry_run: bool,
    pub asked_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub state: RunState,
    pub detail: Option<String>,
    pub approved_by: Option<String>,
    pub staged: i64,
    pub counts: serde_json::Value,
    /// What the guard has stopped, or would have stopped in a dry run.
    pub guard: Option<Guard>,
    pub problems: i64,
}

/// A record that was not applied.
#[derive(Debug)]
pub struct Problem {
    pub problem_id: i64,
    pub kind: String,
    pub external_id: Option<String>,
    pub detail: String,
}

/// A change that a run would make to a user or department.
#[derive(Debug)]
pub struct Difference {
    pub row_no: i64,
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
    pub action: String,
}

/// Kind, external id and reason of a record that is not applied.
pub(super) type Noted = (&'static str, Option<String>, String);

/// What the guard says of a run: so many of the users or departments that are known would leave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guard {
    /// `user` or `department`.
    pub kind: String,
    pub leaving: i64,
    pub known: i64,
}

impl Guard {
    pub(super) fn detail(&self) -> String {
        let what = if self.kind == "user" { "people" } else { "departments" };
        format!("{} of {} {what} would leave", self.leaving, self.known)
    }
}

/// Number of records by action.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    users: BTreeMap<String, i64>,
    departments: BTreeMap<String, i64>,
    /// It is stored with the counts that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        for (sum, part) in [(&mut self.users, other.users), (&mut self.departments, other.departments)] {
            for (action, n) in part {
                *sum.entry(action).or_default() += n;
            }
        }
    }

    pub fn of(&self, kind: &str, action: &str) -> i64 {
        let counts = if kind == "users" { &self.users } else { &self.departments };
        counts.get(action).copied().unwrap_or(0)
    }
}

/// The stored progress of a source.
pub(super) struct Known {
    pub token: Option<String>,
    pub full_at: Option<OffsetDateTime>,
    pub begun_at: Option<OffsetDateTime>,
    pub full_begun_at: Option<OffsetDateTime>,
}

/// Asks for a run. A waiting run of the same kind is reused. Returns its id.
pub async fn ask(store: &Store, sync: Sync<'_>, now: OffsetDateTime) -> Result<i64> {
    let Sync { mode, asked_by, dry_run } = sync;
    Ok(store.one(sql!("sync/run/ask"), &[&mode.as_str(), &asked_by, &dry_run, &now]).await?.get(0))
}

/// The same with a client id: a repeat finds the same run.
pub async fn ask_once(
    store: &Store,
    sync: Sync<'_>,
    (caller, client_id): (&str, &str),
    now: OffsetDateTime,
) -> Result<i64> {
    let claim = Claim { caller, call: "directory run", client_id };
    let digest = claim::digest(&(sync.mode, sync.dry_run))?;
    let mut client = store.client().await?;
    if let Some(kept) = claim.kept(&client).await? {
        return kept.of(&digest);
    }
    let tx = client.transaction().await?;
    let Sync { mode, asked_by, dry_run } = sync;
    let run_id = tx.one(sql!("sync/run/ask"), &[&mode.as_str(), &asked_by, &dry_run, &now]).await?.get(0);
    if claim.keep(&tx, &digest, (run_id, now)).await? {
        tx.commit().await?;
        return Ok(run_id);
    }
    tx.rollback().await?;
    let kept = claim.kept(&client).await?;
    kept.ok_or_else(claim::forgotten)?.of(&digest)
}

/// Records which users and departments changed at the source, for the next run.
pub async fn name_changed(store: &Store, users: &[String], departments: &[String]) -> Result<()> {
    name_changed_in(store, users, departments).await
}

/// The same on this connection or in this transaction.
pub async fn name_changed_in(
    client: &impl Statements,
    users: &[impl AsRef<str>],
    departments: &[String],
) -> Result<()> {
    let users: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
    client.run(sql!("sync/run/name_changed"), &[&users, &departments]).await?;
    Ok(())
}

pub(super) async fn named(store: &Store) -> Result<i64> {
    Ok(store.one(sql!("sync/run/changed"), &[]).await?.get(0))
}

pub(super) async fn open_run(store: &Store) -> Result<Option<Open>> {
    let row = store.opt(sql!("sync/run/open_run"), &[]).await?;
    let open = |row: tokio_postgres::Row| {
        Ok(Open {
            run_id: row.get("run_id"),
            mode: Mode::from_db(row.get("mode"))?,
            dry_run: row.get("dry_run"),
            state: RunState::from_db(row.get("state"))?,
            staged: row.get("staged"),
            applied: row.get("applied"),
        })
    };
    row.map(open).transpose()
}

pub(super) async fn known(store: &Store, source: &str) -> Result<Known> {
    let row = store.one(sql!("sync/run/source"), &[&source]).await?;
    Ok(Known {
        token: row.get("token"),
        full_at: row.get("full_at"),
        begun_at: row.get("begun_at"),
        full_begun_at: row.get("full_begun_at"),
    })
}

/// Counts the users and departments of a source here.
pub(super) async fn known_here(store: &Store, source: &str) -> Result<(i64, i64)> {
    let row = store.one(sql!("sync/run/known"), &[&source]).await?;
    Ok((row.get("users"), row.get("departments")))
}

pub(super) async fn begun(store: &Store, name: &str, now: OffsetDateTime) -> Result<()> {
    store.run(sql!("sync/run/begun"), &[&name, &now]).await?;
    Ok(())
}

/// Counts the changes of a step of staged records, and deletes those that change nothing.
pub(super) async fn compare(store: &Store, run_id: i64, after: i64, up_to: i64) -> Result<Counts> {
    let row = store.one(sql!("sync/run/compare"), &[&run_id, &after, &up_to]).await?;
    let (Json(users), Json(departments)) = (row.get("users"), row.get("departments"));
    Ok(Counts { users, departments, guard: None })
}

pub(super) async fn is_staged(store: &Store, run_id: i64) -> Result<bool> {
    Ok(store.one(sql!("sync/run/is_staged"), &[&run_id]).await?.get(0))
}

/// A crash of the server emptied the staging: the source is read again.
pub(super) async fn again(store: &Store, run_id: i64) -> Result<()> {
    tracing::warn!(run_id, "the staging is lost: the directory's source is read again");
    store.run(sql!("sync/run/again"), &[&run_id]).await?;
    Ok(())
}

/// What becomes of a staged run, and why.
pub(super) struct Decision<'a> {
    pub state: RunState,
    pub detail: Option<&'a str>,
    pub counts: &'a Counts,
}

pub(super) async fn decide(
    tx: &Transaction<'_>,
    run_id: i64,
    decision: Decision<'_>,
    now: OffsetDateTime,
) -> Result<()> {
    let Decision { state, detail, counts } = decision;
    tx.run(sql!("sync/run/decide"), &[&run_id, &state.as_str(), &Json(counts), &detail, &now]).await?;
    Ok(())
}

/// A source's text as it can be stored and shown, with any content. It equals no valid id.
fn shown(text: &str) -> String {
    let fit = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(fit).take(SHOWN_MAX_CHARS).collect()
}

pub(super) async fn note_problems(tx: &Transaction<'_>, run_id: i64, problems: &[Noted]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = problems.iter().map(|(kind, _, _)| *kind).collect();
    let ids: Vec<Option<String>> = problems.iter().map(|(_, id, _)| id.as_deref().map(shown)).collect();
    let details: Vec<String> = problems.iter().map(|(_, _, detail)| shown(detail)).collect();
    tx.run(sql!("sync/run/note_problems"), &[&run_id, &kinds, &ids, &details]).await?;
    Ok(())
}

pub(super) async fn ask_for_everybody(store: &Store, run_id: i64, why: &str) -> Result<()> {
    tracing::info!(run_id, why, "directory run becomes a full run");
    store.run(sql!("sync/run/everybody"), &[&run_id, &why]).await?;
    Ok(())
}

pub(super) async fn fail(store: &Store, run_id: i64, why: &str, now: OffsetDateTime) -> Result<()> {
    store.run(sql!("sync/run/fail"), &[&run_id, &why, &now]).await?;
    Ok(())
}

/// One page of runs below `before`, newest first.
pub async fn runs(store: &Store, before: i64, limit: i64) -> Result<Vec<Run>> {
    let rows = store.all(sql!("sync/run/runs"), &[&before, &limit]).await?;
    let run = |row: &tokio_postgres::Row| {
        let mut counts: serde_json::Value = row.get("counts");
        let guard = counts.as_object_mut().and_then(|counts| counts.remove("guard"));
        Ok(Run {
            run_id: row.get("run_id"),
            mode: Mode::from_db(row.get("mode"))?,
            asked_by: row.get("asked_by"),
            dry_run: row.get("dry_run"),
            asked_at: row.get("asked_at"),
            ended_at: row.get("ended_at"),
            state: RunState::from_db(row.get("state"))?,
            detail: row.get("detail"),
            approved_by: row.get("approved_by"),
            staged: row.get("staged"),
            counts,
            guard: guard.map(serde_json::from_value).transpose().map_err(Error::internal)?,
            problems: row.get("problems"),
        })
    };
    rows.iter().map(run).collect()
}

/// The run that waits for an approval, and when it was asked for.
pub async fn held(store: &Store) -> Result<Option<(i64, OffsetDateTime)>> {
    let row = store.opt(sql!("sync/run/held"), &[]).await?;
    Ok(row.map(|row| (row.get("run_id"), row.get("asked_at"))))
}

/// Approves a held run.
///
/// # Errors
/// `Kind::Conflict` if it is not held.
pub async fn approve(store: &Store, run_id: i64, admin: &str, now: OffsetDateTime) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    if tx.run(sql!("sync/run/approve"), &[&run_id, &admin]).await? == 0 {
        return Err(Error::new(Kind::Conflict, "the run does not wait for approval"));
    }
    note_decision(&tx, Action::RunApproved, run_id, (admin, now)).await?;
    Ok(tx.commit().await?)
}

async fn note_decision(
    tx: &Transaction<'_>,
    action: Action,
    run_id: i64,
    by: (&str, OffsetDateTime),
) -> Result<()> {
    audit::append_with(tx, Entry::change(action, json!({"run_id": run_id.to_string()}), by)).await
}

/// Cancels a run that has not applied anything yet.
///
/// # Errors
/// `Kind::Conflict` if it is being applied, or has ended.
pub async fn cancel(store: &Store, run_id: i64, admin: &str, now: OffsetDateTime) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    if tx.run(sql!("sync/run/cancel"), &[&run_id, &admin, &now]).await? == 0 {
        return Err(Error::new(Kind::Conflict, "the run is being applied, or has ended"));
    }
    note_decision(&tx, Action::RunCancelled, run_id, (admin, now)).await?;
    Ok(tx.commit().await?)
}

/// One page of a run's problems after `after`, oldest first.
pub async fn problems(store: &Store, run_id: i64, after: i64, limit: i64) -> Result<Vec<Problem>> {
    let rows = store.all(sql!("sync/run/problems"), &[&run_id, &after, &limit]).await?;
    let problem = |row: &tokio_postgres::Row| Problem {
        problem_id: row.get("problem_id"),
        kind: row.get("kind"),
        external_id: row.get("external_id"),
        detail: row.get("detail"),
    };
    Ok(rows.iter().map(problem).collect())
}

/// One page of changes that a run would make and has not made, after row `after`. The staging is kept until
/// the next run begins.
pub async fn differences(store: &Store, run_id: i64, after: i64, limit: i64) -> Result<Vec<Difference>> {
    let rows = store.all(sql!("sync/run/differences"), &[&run_id, &after, &limit]).await?;
    let difference = |row: &tokio_postgres::Row| Difference {
        row_no: row.get("row_no"),
        kind: row.get("kind"),
        id: row.get("id"),
        name: row.get("name"),
        action: row.get("action"),
    };
    Ok(rows.iter().map(difference).collect())
}

/// Deletes runs that ended long ago.
pub async fn prune_runs(store: &Store, before: OffsetDateTime) -> Result<()> {
    store.run(sql!("sync/run/prune_runs"), &[&before]).await?;
    Ok(())
}
