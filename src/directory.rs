//! Who can be talked to: people and departments as the company's directory tells them.

use std::collections::{HashMap, HashSet, VecDeque};

use deadpool_postgres::Transaction;
use time::OffsetDateTime;

use crate::error::{Error, Kind, Result};
use crate::presence;
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
                applied
                    .problems
                    .push((format!("/users/{position}"), "the same user_id came before".to_owned()));
            }
            Ok(()) => good.push((position, user)),
        }
    }
    for step in good.chunks(STEP) {
        let misplaced = retrying(|| upsert_users(store, step, now)).await?;
        applied.users += step.len() - misplaced.len();
        for position in misplaced {
            let pointer = format!("/users/{}/department_id", step[position].0);
            applied.problems.push((pointer, "there is no such department".to_owned()));
        }
    }
    Ok(applied)
}

async fn upsert_users(store: &Store, users: &[(usize, User)], now: OffsetDateTime) -> Result<Vec<usize>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx).await?;
    let statement = tx.prepare_cached(sql!("directory/upsert_users")).await?;
    let text = |of: fn(&User) -> Option<&str>| users.iter().map(|(_, u)| of(u)).collect::<Vec<_>>();
    let rows = tx
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
    let user_ids: Vec<&str> = users.iter().map(|(_, user)| user.user_id.as_str()).collect();
    presence::drop_leavers(&tx, &user_ids, now).await?;
    tx.commit().await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0) as usize).collect())
}

/// Changes of the directory come one after another: what is not told is read, then written back.
async fn lock(tx: &Transaction<'_>) -> Result<()> {
    let statement = tx.prepare_cached(sql!("directory/lock")).await?;
    tx.query(&statement, &[]).await?;
    Ok(())
}

/// Judges the departments that are told, then writes the good ones in one transaction.
async fn apply_departments(
    store: &Store,
    told: Vec<(usize, Department)>,
    applied: &mut Applied,
) -> Result<()> {
    let mut good = Vec::with_capacity(told.len());
    for (position, department) in told {
        match check_department(&department) {
            Ok(()) => good.push((position, department)),
            Err(reason) => applied.problems.push((format!("/departments/{position}"), reason)),
        }
    }
    if good.is_empty() {
        return Ok(());
    }
    let orphans = retrying(|| upsert_departments(store, &good)).await?;
    applied.departments = good.len() - orphans.len();
    let reason = "its parent is unknown, or lies below it";
    let problem = |position| (format!("/departments/{position}/parent_id"), reason.to_owned());
    applied.problems.extend(orphans.into_iter().map(problem));
    Ok(())
}

/// Parents come before children whatever order they are told in. Returns the positions of
/// departments whose parent is unknown, or that would lie below themselves; they are skipped.
async fn upsert_departments(store: &Store, told: &[(usize, Department)]) -> Result<Vec<usize>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx).await?;
    let statement = tx.prepare_cached(sql!("directory/departments")).await?;
    let mut parents: HashMap<String, Option<String>> =
        tx.query(&statement, &[]).await?.into_iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut ready = VecDeque::new();
    for (index, (_, department)) in told.iter().enumerate() {
        match &department.parent_id {
            Some(parent) if !parents.contains_key(parent) => children.entry(parent).or_default().push(index),
            _ => ready.push_back(index),
        }
    }
    let (mut placed, mut skipped) = (HashSet::new(), Vec::new());
    let statement = tx.prepare_cached(sql!("directory/upsert_department")).await?;
    while let Some(index) = ready.pop_front() {
        placed.insert(index);
        let (position, Department { department_id, name, parent_id }) = &told[index];
        if lies_below(parent_id.as_deref(), department_id, &parents) {
            skipped.push(*position);
            continue;
        }
        parents.insert(department_id.clone(), parent_id.clone());
        tx.execute(&statement, &[department_id, name, parent_id]).await?;
        ready.extend(children.remove(department_id.as_str()).unwrap_or_default());
    }
    tx.commit().await?;
    skipped.extend(
        told.iter().enumerate().filter(|(i, _)| !placed.contains(i)).map(|(_, (position, _))| *position),
    );
    skipped.sort_unstable();
    Ok(skipped)
}

/// Whether `start` is `ancestor` or lies below it. A tree is never deeper than it has members.
fn lies_below(start: Option<&str>, ancestor: &str, parents: &HashMap<String, Option<String>>) -> bool {
    let up = |at: &&str| parents.get(*at).and_then(Option::as_deref);
    std::iter::successors(start, up).take(parents.len() + 1).any(|department| department == ancestor)
}

/// A user id names a person in headers and lists: no control characters, commas or outer blanks,
/// and not the greatest character, which closes open ranges of ids.
pub fn check_user_id(id: &str) -> std::result::Result<(), &'static str> {
    let clean = !id.chars().any(|c| c.is_control() || c == ',' || c == char::MAX) && id.trim() == id;
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
    if let Some(department_id) = &user.department_id {
        check_user_id(department_id)?;
    }
    match user.kind.as_deref() {
        None | Some("internal" | "external" | "application") => Ok(()),
        Some(_) => Err("kind is internal, external or application".to_owned()),
    }
}

fn check_department(department: &Department) -> std::result::Result<(), String> {
    check_user_id(&department.department_id)?;
    if let Some(parent_id) = &department.parent_id {
        check_user_id(parent_id)?;
    }
    check_name(&department.name)
}

fn check_name(name: &str) -> std::result::Result<(), String> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err("a name has 1 to 255 characters, none of them a control character".to_owned());
    }
    Ok(())
}

/// What people are called, by id; of whom the directory does not know, nothing.
pub async fn names(store: &Store, user_ids: &[&str]) -> Result<HashMap<String, String>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("directory/names")).await?;
    let rows = client.query(&statement, &[&user_ids]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("name"))).collect())
}
