//! `/presence`: who is online. The gateway reports it, and users ask for it.

use axum::extract::State;
use axum::routing::put;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::statuses::UserStatusView;
use super::wire::{AtMost, Json, Query, rfc3339};
use super::{Api, Authenticated, Viewer};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::identity::Role;
use crate::people::contacts;
use crate::people::presence::{OnlineStatus, Report, ReportOutcome, Snapshot, Status};

/// Most users in one report.
const REPORT_MAX: usize = 10_000;
/// Most users in one query, and most characters of the list. The list is part of the URL.
const USERS_MAX: usize = 100;
const USERS_MAX_CHARS: usize = 4_096;

pub fn routes() -> Router<Api> {
    Router::new().route("/presence", put(report).get(of_people))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReport {
    gateway: Option<String>,
    users: AtMost<REPORT_MAX, NewStatus>,
    snapshot: Option<bool>,
    snapshot_id: Option<String>,
    more: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    user_id: String,
    status: String,
}

#[derive(Serialize)]
struct OutcomeView {
    online: usize,
    offline: usize,
    changed: usize,
    unknown: Vec<String>,
    unknown_count: usize,
    snapshot_wanted: bool,
}

impl From<ReportOutcome> for OutcomeView {
    fn from(o: ReportOutcome) -> Self {
        Self {
            online: o.online,
            offline: o.offline,
            changed: o.changed,
            unknown: o.unknown,
            unknown_count: o.unknown_count,
            snapshot_wanted: o.snapshot_wanted,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersQuery {
    user_ids: String,
}

#[derive(Serialize)]
struct Statuses {
    items: Vec<StatusView>,
}

#[derive(Serialize)]
struct StatusView {
    user_id: String,
    status: OnlineStatus,
    #[serde(with = "rfc3339::option")]
    since: Option<OffsetDateTime>,
    user_status: Option<UserStatusView>,
}

impl From<Status> for StatusView {
    fn from(s: Status) -> Self {
        Self { user_id: s.user_id, status: s.status, since: s.since, user_status: s.says.map(Into::into) }
    }
}

async fn report(
    State(api): State<Api>,
    caller: Authenticated,
    Json(new): Json<NewReport>,
) -> Result<Reply<OutcomeView>> {
    caller.must_be(Role::Gateway)?;
    let report = parse(new, caller.0.user_id)?;
    // The clock of the database, which also decides when an instance is silent.
    let now = api.store.now().await?;
    Ok(Reply(api.presence.report(&report, now).await?.into()))
}

fn parse(new: NewReport, caller: String) -> Result<Report> {
    let gateway = new.gateway.unwrap_or(caller);
    check_id(&gateway).map_err(|reason| Error::field("/gateway", reason))?;
    if let Some(id) = &new.snapshot_id {
        check_id(id).map_err(|reason| Error::field("/snapshot_id", reason))?;
    }
    let more = new.more.unwrap_or_default();
    let snapshot = match (new.snapshot.unwrap_or_default(), new.snapshot_id) {
        (false, Some(_)) => return Err(Error::field("/snapshot_id", "requires `snapshot`")),
        (false, None) if more => return Err(Error::field("/more", "requires `snapshot`")),
        (true, None) if more => {
            return Err(Error::field("/snapshot_id", "is required when `more` is true"));
        }
        (false, None) => None,
        (true, id) => Some(Snapshot { id, more }),
    };
    // If a user appears twice, the last entry wins.
    let people = new.users.0.into_iter().enumerate().map(person).collect::<Result<_>>()?;
    Ok(Report { gateway, people, snapshot })
}

fn person((index, given): (usize, NewStatus)) -> Result<(String, bool)> {
    check_id(&given.user_id).map_err(|reason| Error::field(format!("/users/{index}/user_id"), reason))?;
    match OnlineStatus::parse(&given.status) {
        Some(status) => Ok((given.user_id, status == OnlineStatus::Online)),
        None => Err(Error::field(format!("/users/{index}/status"), "must be online or offline")),
    }
}

async fn of_people(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Query(query): Query<UsersQuery>,
) -> Result<Reply<Statuses>> {
    let user_ids: Vec<&str> = query.user_ids.split(',').collect();
    if user_ids.len() > USERS_MAX || query.user_ids.chars().count() > USERS_MAX_CHARS {
        let detail = format!("must name at most {USERS_MAX} users in {USERS_MAX_CHARS} characters");
        return Err(Error::parameter("user_ids", detail));
    }
    for user_id in &user_ids {
        check_id(user_id).map_err(|reason| Error::parameter("user_ids", reason))?;
    }
    let seen = contacts::seen(&api.store, viewer.external(), &user_ids).await?;
    let now = api.store.now().await?;
    let statuses = api.presence.of_people(&user_ids, now).await?;
    let items = statuses.into_iter().filter(|s| seen.contains(&s.user_id)).map(Into::into).collect();
    Ok(Reply(Statuses { items }))
}
