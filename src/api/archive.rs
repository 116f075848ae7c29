//! `/archive/runs`, `/archive/days` and `/audit`: archive runs, the days and where they are, and the audit log.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

use super::wire::{Id, LIMIT_MAX, Page, PageQuery, Query, check_limit, read_cursor, rfc3339};
use super::{Api, Authenticated};
use crate::archive::mover::calendar::{self, DayState, ListedDay};
use crate::archive::mover::day::Step;
use crate::archive::mover::{self, Outcome, Run};
use crate::base::audit::{self, AuditEntry};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::identity::Role;

const LIMIT_DEFAULT: i64 = 50;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/archive/runs", get(runs))
        .route("/archive/days", get(days))
        .route("/audit", get(list_audit))
}

#[derive(Serialize)]
struct RunView {
    run_id: Id,
    asked_by: String,
    #[serde(with = "rfc3339")]
    asked_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    outcome: Option<Outcome>,
    doing: Option<String>,
    messages: i64,
    ledger_rows: i64,
    days: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DaysQuery {
    from: Option<String>,
    to: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct DayView {
    day: String,
    state: DayState,
    step: Option<Step>,
    messages: Option<i64>,
    ledger_rows: Option<i64>,
    lost_documents: i64,
    lost_ledger_rows: i64,
    bytes: Option<i64>,
    #[serde(with = "rfc3339::option")]
    sealed_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    switched_at: Option<OffsetDateTime>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct AuditView {
    audit_id: Id,
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
    actor: String,
    action: String,
    reason: Option<String>,
    filter: Value,
    results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    actor: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            run_id: Id(run.run_id),
            asked_by: run.asked_by,
            asked_at: run.asked_at,
            ended_at: run.ended_at,
            outcome: run.outcome,
            doing: run.doing,
            messages: run.messages,
            ledger_rows: run.ledger_rows,
            days: run.day_list,
        }
    }
}

impl From<ListedDay> for DayView {
    fn from(day: ListedDay) -> Self {
        Self {
            day: day.day.to_string(),
            state: day.state(),
            step: day.step,
            messages: day.messages,
            ledger_rows: day.ledger_rows,
            lost_documents: day.lost_documents,
            lost_ledger_rows: day.lost_ledger_rows,
            bytes: day.bytes,
            sealed_at: day.sealed_at,
            switched_at: day.switched_at,
            reason: day.failed,
        }
    }
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            audit_id: Id(entry.audit_id),
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            reason: entry.reason,
            filter: entry.filter,
            results: entry.results,
        }
    }
}

async fn runs(
    State(api): State<Api>,
    caller: Authenticated,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<RunView>>> {
    caller.must_be(Role::Support)?;
    let limit = page.limit()?;
    let runs = mover::runs(&api.store, page.cursor()?.unwrap_or(i64::MAX), limit).await?;
    let views = runs.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(views, limit, |run: &RunView| run.run_id.0)))
}

/// A date of a parameter or a cursor.
fn date(text: &str) -> Option<Date> {
    // Refuses other forms of ISO 8601, such as 2026-W48-7.
    Date::parse(text, &Iso8601::DATE).ok().filter(|date| date.to_string() == text)
}

fn date_of(name: &'static str, given: Option<&String>) -> Result<Option<Date>> {
    let wrong = || Error::parameter(name, "must be a date such as 2026-11-29");
    given.map(|text| date(text).ok_or_else(wrong)).transpose()
}

async fn days(
    State(api): State<Api>,
    caller: Authenticated,
    Query(query): Query<DaysQuery>,
) -> Result<Reply<Page<DayView>>> {
    caller.must_be(Role::Admin)?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let (from, to) = (date_of("from", query.from.as_ref())?, date_of("to", query.to.as_ref())?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(Error::parameter("to", "must not be before `from`"));
    }
    let before = query.cursor.as_deref().map(read_cursor::<String>).transpose()?;
    let foreign = || Error::parameter("cursor", "must be the `next_cursor` of the previous page");
    let before = before.map(|day| date(&day).ok_or_else(foreign)).transpose()?;
    let days = calendar::days(&api.store, (from, to), before, limit).await?;
    let views = days.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(views, limit, |day: &DayView| day.day.clone())))
}

async fn list_audit(
    State(api): State<Api>,
    caller: Authenticated,
    Query(query): Query<AuditQuery>,
) -> Result<Reply<Page<AuditView>>> {
    caller.must_be(Role::Admin)?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let before: i64 = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or(i64::MAX);
    if let Some(actor) = &query.actor {
        check_id(actor).map_err(|reason| Error::parameter("actor", reason))?;
    }
    let entry = audit::list(&api.store, before, query.actor.as_deref(), limit).await?;
    let views = entry.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(views, limit, |entry: &AuditView| entry.audit_id.0)))
}
