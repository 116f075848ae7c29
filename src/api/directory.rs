//! `/directory/changes`: the people, as HR tells them.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{AtMost, Json};
use super::{Api, Now, Proven};
use crate::directory::{self, Department, User};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    active: Option<bool>,
    kind: Option<String>,
    department_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDepartment {
    department_id: String,
    name: String,
    parent_id: Option<String>,
}

#[derive(Serialize)]
struct AppliedView {
    users: Count,
    departments: Count,
    problems: Vec<Value>,
}

#[derive(Serialize)]
struct Count {
    applied: usize,
}

async fn apply(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    Json(changes): Json<Changes>,
) -> Result<Reply<AppliedView>> {
    caller.must_be(Role::Directory)?;
    let mut problems = Vec::new();
    let departments = read(changes.departments.0, "/departments", &mut problems, |d: NewDepartment| {
        Department { department_id: d.department_id, name: d.name, parent_id: d.parent_id }
    });
    let users = read(changes.users.0, "/users", &mut problems, |u: NewUser| User {
        user_id: u.user_id,
        name: u.name,
        head_icon: u.head_icon,
        active: u.active,
        kind: u.kind,
        department_id: u.department_id,
    });
    let applied = directory::apply(&api.store, departments, users, now).await?;
    problems.extend(applied.problems);
    Ok(Reply(AppliedView {
        users: Count { applied: applied.users },
        departments: Count { applied: applied.departments },
        problems: problems
            .into_iter()
            .map(|(pointer, detail)| json!({"pointer": pointer, "detail": detail}))
            .collect(),
    }))
}

/// Reads records with their positions; what is no record becomes a problem.
fn read<T: for<'de> Deserialize<'de>, R>(
    values: Vec<Value>,
    at: &str,
    problems: &mut Vec<(String, String)>,
    into: fn(T) -> R,
) -> Vec<(usize, R)> {
    let mut records = Vec::with_capacity(values.len());
    for (position, value) in values.into_iter().enumerate() {
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(record) => records.push((position, into(record))),
            Err(e) => {
                let error = Error::of_data(&format!("{at}/{position}"), &e);
                problems.push((error.pointer.unwrap_or_default(), error.detail.into_owned()));
            }
        }
    }
    records
}
