//! `/directory`: changes sent by the HR service, and synchronization runs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::wire::{
    AtMost, Id, Json, MaybeJson, Page, PageQuery, PathId, Query, check_client_id_if_any, rfc3339,
};
use super::{Api, Authenticated, Now};
use crate::base::config::SourceKind;
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::strict;
use crate::identity::Role;
use crate::people::search_index;
use crate::sync::{self, DepartmentRecord, Difference, Mode, Problem, Run, RunState, Sync, UserRecord};

/// Most records of each kind in one call.
const RECORDS_MAX: usize = 10_000;
/// Users of one call who are in the contacts search when the call is answered. The others follow soon.
const FOUND_AT_ONCE: usize = 500;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/directory/changes", post(apply))
        .route("/directory/sync", post(sync))
        .route("/directory/runs", get(list_runs))
        .route("/directory/runs/{run_id}", get(show_run))
        .route("/directory/runs/{run_id}/differences", get(list_differences))
        .route("/directory/runs/{run_id}/problems", get(list_problems))
        .route("/directory/runs/{run_id}/approve", post(approve))
        .route("/directory/runs/{run_id}/cancel", post(cancel))
}

/// Each record is parsed separately. An invalid record is reported and skipped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    users: AtMost<RECORDS_MAX, Box<RawValue>>,
    #[serde(default)]
    departments: AtMost<RECORDS_MAX, Box<RawValue>>,
    /// External ids of users that changed at the source. A run reads them again from the source.
    #[serde(default)]
    user_ids: AtMost<RECORDS_MAX, String>,
    #[serde(default)]
    department_ids: AtMost<RECORDS_MAX, String>,
}

/// An absent field or `null` leaves the value unchanged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    active: Option<bool>,
    kind: Option<String>,
    login_name: Option<String>,
    employee_number: Option<String>,
    title: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    manager: Option<String>,
    department_id: Option<String>,
    department_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDepartment {
    department_id: String,
    name: String,
    parent_id: Option<String>,
    sort_order: Option<i32>,
}

#[derive(Serialize)]
struct AppliedView {
    users: Count,
    departments: Count,
    parked: Vec<String>,
    named: usize,
    problems: Vec<Value>,
}

#[derive(Serialize)]
struct Count {
    applied: usize,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wanted {
    client_id: Option<String>,
    mode: Option<WantedMode>,
    dry_run: Option<bool>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum WantedMode {
    Full,
    Incremental,
}

#[derive(Serialize)]
struct RequestedRun {
    run_id: Id,
}

#[derive(Serialize)]
struct RunView {
    run_id: Id,
    mode: Mode,
    asked_by: String,
    dry_run: bool,
    state: RunState,
    detail: Option<String>,
    approved_by: Option<String>,
    #[serde(with = "rfc3339")]
    asked_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    staged: i64,
    counts: Value,
    guard: Option<GuardView>,
    problems: i64,
}

#[derive(Serialize)]
struct GuardView {
    kind: String,
    leaving: i64,
    known: i64,
}

#[derive(Serialize)]
struct DifferenceView {
    #[serde(skip)]
    row_no: i64,
    kind: String,
    id: String,
    name: Option<String>,
    action: String,
}

#[derive(Serialize)]
struct ProblemView {
    problem_id: Id,
    kind: String,
    external_id: Option<String>,
    detail: String,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            run_id: Id(run.run_id),
            mode: run.mode,
            asked_by: run.asked_by,
            dry_run: run.dry_run,
            state: run.state,
            detail: run.detail,
            approved_by: run.approved_by,
            asked_at: run.asked_at,
            ended_at: run.ended_at,
            staged: run.staged,
            counts: run.counts,
            guard: run.guard.map(|g| GuardView { kind: g.kind, leaving: g.leaving, known: g.known }),
            problems: run.problems,
        }
    }
}

impl From<NewUser> for UserRecord {
    fn from(new: NewUser) -> Self {
        let departments = new.department_ids.or_else(|| new.department_id.map(|id| vec![id]));
        let unset = [
            ("head_icon", new.head_icon.is_none()),
            ("active", new.active.is_none()),
            ("kind", new.kind.is_none()),
            ("login_name", new.login_name.is_none()),
            ("employee_number", new.employee_number.is_none()),
            ("title", new.title.is_none()),
            ("email", new.email.is_none()),
            ("phone", new.phone.is_none()),
            ("manager", new.manager.is_none()),
            ("department_ids", departments.is_none()),
        ];
        Self {
            name: Some(new.name),
            head_icon: new.head_icon,
            active: new.active.unwrap_or(true),
            kind: new.kind.unwrap_or_else(|| "internal".to_owned()),
            login_name: new.login_name,
            employee_number: new.employee_number,
            title: new.title,
            email: new.email,
            phone: new.phone,
            manager: new.manager,
            department_ids: departments.unwrap_or_default(),
            unset: unset.iter().filter(|(_, unset)| *unset).map(|(attribute, _)| *attribute).collect(),
            ..Self::of(new.user_id.clone(), new.user_id)
        }
    }
}

impl From<NewDepartment> for DepartmentRecord {
    fn from(new: NewDepartment) -> Self {
        Self {
            department_id: new.department_id,
            name: Some(new.name),
            parent_id: new.parent_id,
            sort_order: new.sort_order.unwrap_or_default(),
            gone: false,
            unset: if new.sort_order.is_none() { vec!["sort_order"] } else { Vec::new() },
        }
    }
}

async fn apply(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Json(changes): Json<Changes>,
) -> Result<Reply<AppliedView>> {
    caller.must_be(Role::Directory)?;
    let mut problems = Vec::new();
    let departments = read::<NewDepartment, _>(changes.departments.0, "/departments", &mut problems);
    let users: Vec<(usize, UserRecord)> = read::<NewUser, _>(changes.users.0, "/users", &mut problems);
    let is_kept = |user: &&(usize, UserRecord)| user.1.check().is_ok();
    let indexed = users.iter().filter(is_kept).take(FOUND_AT_ONCE).map(|(_, user)| user.user_id.clone());
    let indexed: Vec<String> = indexed.collect();
    let named = name(&api, &changes.user_ids.0, &changes.department_ids.0).await?;
    let applied = sync::change(&api.store, sync::API, departments, users, now).await?;
    search_index::catch_up(&api.store, &indexed).await?;
    api.followers.wake();
    problems.extend(applied.problems);
    Ok(Reply(AppliedView {
        users: Count { applied: applied.users },
        departments: Count { applied: applied.departments },
        parked: applied.parked,
        named,
        problems: problems
            .into_iter()
            .map(|(pointer, detail)| json!({"pointer": pointer, "detail": detail}))
            .collect(),
    }))
}

/// Asks the source for these users and departments again. Returns their number.
async fn name(api: &Api, users: &[String], departments: &[String]) -> Result<usize> {
    if users.is_empty() && departments.is_empty() {
        return Ok(0);
    }
    must_have_source(api)?;
    for (at, ids) in [("/user_ids", users), ("/department_ids", departments)] {
        for (position, id) in ids.iter().enumerate() {
            check_id(id).map_err(|reason| Error::field(format!("{at}/{position}"), reason))?;
        }
    }
    sync::name_changed(&api.store, users, departments).await?;
    api.directory.notify_one();
    Ok(users.len() + departments.len())
}

fn must_have_source(api: &Api) -> Result<()> {
    match api.config.directory.source {
        SourceKind::None => {
            Err(Error::new(Kind::Conflict, "no directory source is configured; set `source` in [directory]"))
        }
        _ => Ok(()),
    }
}

async fn sync(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    MaybeJson(wanted): MaybeJson<Wanted>,
) -> Result<(StatusCode, Reply<RequestedRun>)> {
    caller.must_be(Role::Directory)?;
    must_have_source(&api)?;
    let mode = match wanted.mode {
        Some(WantedMode::Incremental) => Mode::Incremental,
        Some(WantedMode::Full) | None => Mode::Full,
    };
    let sync = Sync { mode, asked_by: "hand", dry_run: wanted.dry_run.unwrap_or(false) };
    check_client_id_if_any(wanted.client_id.as_deref())?;
    let run_id = match wanted.client_id.as_deref() {
        Some(id) => sync::ask_once(&api.store, sync, (&caller.0.user_id, id), now).await?,
        None => sync::ask(&api.store, sync, now).await?,
    };
    api.directory.notify_one();
    Ok((StatusCode::ACCEPTED, Reply(RequestedRun { run_id: Id(run_id) })))
}

async fn list_runs(
    State(api): State<Api>,
    caller: Authenticated,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<RunView>>> {
    caller.must_be(Role::Directory)?;
    let limit = page.limit()?;
    let runs = sync::runs(&api.store, page.cursor()?.unwrap_or(i64::MAX), limit).await?;
    let views = runs.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(views, limit, |run: &RunView| run.run_id.0)))
}

async fn show_run(
    State(api): State<Api>,
    caller: Authenticated,
    PathId(run_id): PathId<i64>,
) -> Result<Reply<RunView>> {
    caller.must_be(Role::Directory)?;
    Ok(Reply(find_run(&api, run_id).await?.into()))
}

async fn find_run(api: &Api, run_id: i64) -> Result<Run> {
    let newest = sync::runs(&api.store, run_id.saturating_add(1), 1).await?.pop();
    newest.filter(|run| run.run_id == run_id).ok_or_else(|| Error::not_found("no such run"))
}

async fn list_differences(
    State(api): State<Api>,
    caller: Authenticated,
    PathId(run_id): PathId<i64>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<DifferenceView>>> {
    caller.must_be(Role::Directory)?;
    find_run(&api, run_id).await?;
    let limit = page.limit()?;
    let found = sync::differences(&api.store, run_id, page.cursor()?.unwrap_or(0), limit).await?;
    let view = |d: Difference| DifferenceView {
        row_no: d.row_no,
        kind: d.kind,
        id: d.id,
        name: d.name,
        action: d.action,
    };
    Ok(Reply(Page::new(found.into_iter().map(view).collect(), limit, |d: &DifferenceView| d.row_no)))
}

async fn list_problems(
    State(api): State<Api>,
    caller: Authenticated,
    PathId(run_id): PathId<i64>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<ProblemView>>> {
    caller.must_be(Role::Directory)?;
    find_run(&api, run_id).await?;
    let limit = page.limit()?;
    let found = sync::problems(&api.store, run_id, page.cursor()?.unwrap_or(0), limit).await?;
    let view = |p: Problem| ProblemView {
        problem_id: Id(p.problem_id),
        kind: p.kind,
        external_id: p.external_id,
        detail: p.detail,
    };
    Ok(Reply(Page::new(found.into_iter().map(view).collect(), limit, |p: &ProblemView| p.problem_id.0)))
}

async fn approve(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(run_id): PathId<i64>,
) -> Result<Reply<RunView>> {
    caller.must_be(Role::Admin)?;
    find_run(&api, run_id).await?;
    sync::approve(&api.store, run_id, &caller.0.user_id, now).await?;
    api.directory.notify_one();
    Ok(Reply(find_run(&api, run_id).await?.into()))
}

async fn cancel(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(run_id): PathId<i64>,
) -> Result<Reply<RunView>> {
    caller.must_be(Role::Admin)?;
    find_run(&api, run_id).await?;
    sync::cancel(&api.store, run_id, &caller.0.user_id, now).await?;
    Ok(Reply(find_run(&api, run_id).await?.into()))
}

/// Parses records with their positions. An invalid record becomes a problem of the answer.
fn read<T: DeserializeOwned + Into<R>, R>(
    records: Vec<Box<RawValue>>,
    at: &str,
    problems: &mut Vec<(String, String)>,
) -> Vec<(usize, R)> {
    let mut read = Vec::with_capacity(records.len());
    for (position, record) in records.into_iter().enumerate() {
        match strict::read_part::<T>(&record, &format!("{at}/{position}")) {
            Ok(record) => read.push((position, record.into())),
            Err(e) => problems.push((e.pointer.unwrap_or_default(), e.detail.into_owned())),
        }
    }
    read
}
