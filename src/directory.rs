//! Who can be talked to: people and departments as the company's directory tells them.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use crate::error::{Error, Kind, Result};
use crate::sql;
use crate::store::{Store, retrying};

/// Records of one transaction.
const STEP: usize = 1_000;
const ID_MAX_CHARS: usize = 128;
const NAME_MAX_CHARS: usize = 255;
const ICON_MAX_CHARS: usize = 2_048;

/// A person or application; what is `None` stays as it is, or takes its default when new.
#[derive(Debug, Clone)]
pub struct User {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub active: Option<bool>,
    pub kind: Option<String>,
    pub department_id: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Department {
    pub department_id: String,
    pub name: String,
    pub parent_id: Option<String>,
}

/// What was applied, and which records were not, and why.
#[derive(Debug, Default)]
pub struct Applied {
    pub users: usize,
    pub departments: usize,
    /// JSON pointer of each record that was skipped, with the reason.
    pub problems: Vec<(String, String)>,
}

/// Refuses a caller whom the directory does not know, or who has left.
pub async fn check_active(store: &Store, user_id: &str) -> Result<()> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("directory/is_active")).await?;
    if client.query_one(&statement, &[&user_id]).await?.get(0) {
        Ok(())
    } else {
        Err(Error::new(Kind::UnknownUser, ""))
    }
}

/// Applies departments, then users, in short repeatable steps, each record with its position
/// in the request. A bad one is reported and skipped; it never aborts the rest.
pub async fn apply(
    store: &Store,
    departments: Vec<(usize, Department)>,
    users: Vec<(usize, User)>,
    now: OffsetDateTime,
) -> Result<Applied> {
    let mut applied = Applied::default();
    apply_departments(store, departments, &mut applied).await?;
    let mut seen = HashSet::new();
    let mut good = Vec::with_capacity(users.len());
    for (position, user) in users {
        match check_user(&user) {
            Err(reason) => applied.problems.push((format!("/users/{position}"), reason)),
            Ok(()) if !seen.insert(user.user_id.clone()) => {
                applied.problems.push((
                    format!("/users/{position}"),
                    "the same user_id came before".to_owned(),
                ));
            }
            Ok(()) => good.push((position, user)),
        }
    }
    for step in good.chunks(STEP) {
        let misplaced = retrying(|| upsert_users(store, step, now)).await?;
        applied.users += step.len() - misplaced.len();
        for position in misplaced {
            let pointer = format!("/users/{}/department_id", step[position].0);
            applied
                .problems
                .push((pointer, "there is no such department".to_owned()));
        }
    }
    Ok(applied)
}

async fn upsert_users(store: &Store, users: &[(usize, User)], now: OffsetDateTime) -> Result<Vec<usize>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("directory/upsert_users")).await?;
    let text = |of: fn(&User) -> Option<&str>| users.iter().map(|(_, u)| of(u)).collect::<Vec<_>>();
    let rows = client
        .query(
            &statement,
            &[
                &text(|u| Some(&u.user_id)),
                &text(|u| Some(&u.name)),
                &text(|u| u.head_icon.as_deref()),
                &users.iter().map(|(_, u)| u.active).collect::<Vec<_>>(),
                &text(|u| u.kind.as_deref()),
                &text(|u| u.department_id.as_deref()),
                &now,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0) as usize).collect())
}

/// Parents come before children whatever order they are told in; a department whose parent
/// is unknown, or that would lie below itself, is skipped.
async fn apply_departments(
    store: &Store,
    told: Vec<(usize, Department)>,
    applied: &mut Applied,
) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let statement = tx.prepare_cached(sql!("directory/departments")).await?;
    let mut parents: HashMap<String, Option<String>> = tx
        .query(&statement, &[])
        .await?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let mut waiting = Vec::with_capacity(told.len());
    for (position, department) in told {
        match check_department(&department) {
            Ok(()) => waiting.push((position, department)),
            Err(reason) => applied
                .problems
                .push((format!("/departments/{position}"), reason)),
        }
    }
    let mut ordered = Vec::with_capacity(waiting.len());
    loop {
        let before = waiting.len();
        waiting.retain(|(_, department)| {
            let Department {
                department_id,
                parent_id,
                ..
            } = department;
            let parent_known = parent_id.as_ref().is_none_or(|p| parents.contains_key(p));
            if !parent_known || lies_below(parent_id.as_deref(), department_id, &parents) {
                return true;
            }
            parents.insert(department_id.clone(), parent_id.clone());
            ordered.push(department.clone());
            false
        });
        if waiting.len() == before {
            break;
        }
    }
    for (position, _) in waiting {
        let reason = "its parent is unknown, or lies below it".to_owned();
        applied
            .problems
            .push((format!("/departments/{position}/parent_id"), reason));
    }
    applied.departments = ordered.len();
    let statement = tx.prepare_cached(sql!("directory/upsert_department")).await?;
    for department in &ordered {
        let Department {
            department_id,
            name,
            parent_id,
        } = department;
        tx.execute(&statement, &[department_id, name, parent_id]).await?;
    }
    Ok(tx.commit().await?)
}

/// Whether `start` is `ancestor` or lies below it.
fn lies_below(start: Option<&str>, ancestor: &str, parents: &HashMap<String, Option<String>>) -> bool {
    let mut at = start;
    while let Some(department) = at {
        if department == ancestor {
            return true;
        }
        at = parents.get(department).and_then(Option::as_deref);
    }
    false
}

/// A user id names a person in headers and lists: no control characters, commas or outer blanks.
pub fn check_user_id(id: &str) -> std::result::Result<(), &'static str> {
    let clean = !id.chars().any(|c| c.is_control() || c == ',') && id.trim() == id;
    if id.is_empty() || id.chars().count() > ID_MAX_CHARS || !clean {
        return Err("an id has 1 to 128 characters, no control character, no comma, no blank at its ends");
    }
    Ok(())
}

fn check_user(user: &User) -> std::result::Result<(), String> {
    check_user_id(&user.user_id)?;
    check_name(&user.name)?;
    if user
        .head_icon
        .as_ref()
        .is_some_and(|icon| icon.chars().count() > ICON_MAX_CHARS || icon.contains('\0'))
    {
        return Err("head_icon has at most 2,048 characters, none of them U+0000".to_owned());
    }
    match user.kind.as_deref() {
        None | Some("internal" | "external" | "application") => Ok(()),
        Some(_) => Err("kind is internal, external or application".to_owned()),
    }
}

fn check_department(department: &Department) -> std::result::Result<(), String> {
    check_user_id(&department.department_id)?;
    check_name(&department.name)
}

fn check_name(name: &str) -> std::result::Result<(), String> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err("a name has 1 to 255 characters, none of them a control character".to_owned());
    }
    Ok(())
}
