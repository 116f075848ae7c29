//! `/directory/changes`: the people, as HR tells them.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{AtMost, Json};
use super::{Api, Now, Proven};
use crate::directory::{self, DepartmentRecord, UserRecord};
use crate::error::{Error, Result};
use crate::identity::Role;

/// Most records of each kind in one call.
const RECORDS_MAX: usize = 10_000;

pub fn routes() -> Router<Api> {
    Router::new().route("/directory/changes", post(apply))
}

/// Records are read one by one, so that a bad one is reported and skipped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    users: AtMost<RECORDS_MAX, Value>,
    #[serde(default)]
    departments: AtMost<RECORDS_MAX, Value>,
}

/// What is left out, or null, stays as it is.
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
    problems: Vec<Value>,
}

#[derive(Serialize)]
struct Count {
    applied: usize,
}

impl From<NewUser> for UserRecord {
    fn from(told: NewUser) -> Self {
        let departments = told.department_ids.or_else(|| told.department_id.map(|id| vec![id]));
        let untold = [
            ("head_icon", told.head_icon.is_none()),
            ("active", told.active.is_none()),
            ("kind", told.kind.is_none()),
            ("login_name", told.login_name.is_none()),
            ("employee_number", told.employee_number.is_none()),
            ("title", told.title.is_none()),
            ("email", told.email.is_none()),
            ("phone", told.phone.is_none()),
            ("manager", told.manager.is_none()),
            ("department_ids", departments.is_none()),
        ];
        Self {
            name: Some(told.name),
            head_icon: told.head_icon,
            active: told.active.unwrap_or(true),
            kind: told.kind.unwrap_or_else(|| "internal".to_owned()),
            login_name: told.login_name,
            employee_number: told.employee_number,
            title: told.title,
            email: told.email,
            phone: told.phone,
            manager: told.manager,
            department_ids: departments.unwrap_or_default(),
            untold: untold.iter().filter(|(_, untold)| *untold).map(|(attribute, _)| *attribute).collect(),
            ..Self::of(told.user_id.clone(), told.user_id)
        }
    }
}

impl From<NewDepartment> for DepartmentRecord {
    fn from(told: NewDepartment) -> Self {
        Self {
            department_id: told.department_id,
            name: Some(told.name),
            parent_id: told.parent_id,
            sort_order: told.sort_order.unwrap_or_default(),
            gone: false,
            untold: if told.sort_order.is_none() { vec!["sort_order"] } else { Vec::new() },
        }
    }
}

async fn apply(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    Json(changes): Json<Changes>,
) -> Result<Reply<AppliedView>> {
    caller.must_be(Role::Directory)?;
    let mut problems = Vec::new();
    let departments = read::<NewDepartment, _>(changes.departments.0, "/departments", &mut problems);
    let users = read::<NewUser, _>(changes.users.0, "/users", &mut problems);
    let applied = directory::change(&api.store, directory::API, departments, users, now).await?;
    problems.extend(applied.problems);
    Ok(Reply(AppliedView {
        users: Count { applied: applied.users },
        departments: Count { applied: applied.departments },
        parked: applied.parked,
        problems: problems
            .into_iter()
            .map(|(pointer, detail)| json!({"pointer": pointer, "detail": detail}))
            .collect(),
    }))
}

/// Reads records with their positions; what is no record becomes a problem.
fn read<T: for<'de> Deserialize<'de> + Into<R>, R>(
    values: Vec<Value>,
    at: &str,
    problems: &mut Vec<(String, String)>,
) -> Vec<(usize, R)> {
    let mut records = Vec::with_capacity(values.len());
    for (position, value) in values.into_iter().enumerate() {
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(record) => records.push((position, record.into())),
            Err(e) => {
                let error = Error::of_data(&format!("{at}/{position}"), &e);
                problems.push((error.pointer.unwrap_or_default(), error.detail.into_owned()));
            }
        }
    }
    records
}
