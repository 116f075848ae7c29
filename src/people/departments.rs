//! The department tree by level; the users of a department, and its grants.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// Up to this many departments are asked for their users one by one.
const FEW: i64 = 200;

/// A department as it is shown. See [`super::contacts`] for `viewer`.
#[derive(Debug)]
pub struct Department {
    pub department_id: String,
    pub name: String,
    pub parent_id: Option<String>,
    pub sort_order: i32,
    pub people_count: i32,
    pub has_children: bool,
}

/// The end of a page of a level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DepartmentCursor {
    pub sort_order: i32,
    pub name: String,
    pub department_id: String,
}

/// A user of a department.
#[derive(Debug)]
pub struct DepartmentUser {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub kind: String,
    pub title: Option<String>,
    /// Whether the user's main department is this one or below it.
    pub main: bool,
}

/// Which users of a department: with departments below or not, after which user, how many.
#[derive(Debug, Clone, Copy)]
pub struct DepartmentUsers<'a> {
    pub below: bool,
    pub after: &'a str,
    pub limit: i64,
}

/// A user a department is granted to.
#[derive(Debug)]
pub struct Grant {
    pub user_id: String,
    pub name: String,
    pub granted_by: String,
    pub granted_at: OffsetDateTime,
}

impl Default for DepartmentCursor {
    /// Before the first.
    fn default() -> Self {
        Self { sort_order: i32::MIN, name: String::new(), department_id: String::new() }
    }
}

/// The departments below one, or at the top. A viewer's top are the highest granted ones.
pub async fn level(
    store: &Store,
    viewer: Option<&str>,
    parent_id: Option<&str>,
    after: &DepartmentCursor,
    limit: i64,
) -> Result<Vec<Department>> {
    let DepartmentCursor { sort_order, name, department_id } = after;
    if let Some(parent_id) = parent_id {
        get(store, viewer, parent_id).await?;
    }
    let client = store.client().await?;
    let rows = match (parent_id, viewer) {
        (None, Some(viewer)) => {
            client
                .all(
                    sql!("people/departments/granted_level"),
                    &[&viewer, sort_order, name, department_id, &limit],
                )
                .await?
        }
        _ => {
            let above = parent_id.unwrap_or_default();
            client
                .all(sql!("people/departments/level"), &[&above, sort_order, name, department_id, &limit])
                .await?
        }
    };
    Ok(rows.iter().map(department).collect())
}

/// A department with the ids and names of its ancestors, from the top down. Not found if the viewer does not
/// see it.
pub async fn get(
    store: &Store,
    viewer: Option<&str>,
    department_id: &str,
) -> Result<(Department, Vec<(String, String)>)> {
    let row = store.opt(sql!("people/departments/department"), &[&department_id, &viewer]).await?;
    let row = row.ok_or_else(no_department)?;
    let (ids, names): (Vec<String>, Vec<String>) = (row.get("path_ids"), row.get("path_names"));
    Ok((department(&row), ids.into_iter().zip(names).collect()))
}

fn department(row: &Row) -> Department {
    Department {
        department_id: row.get("department_id"),
        name: row.get("name"),
        parent_id: row.get("parent_id"),
        sort_order: row.get("sort_order"),
        people_count: row.get("people_count"),
        has_children: row.get("has_children"),
    }
}

/// One page of a department's active users, by id.
pub async fn users(
    store: &Store,
    viewer: Option<&str>,
    department_id: &str,
    DepartmentUsers { below, after, limit }: DepartmentUsers<'_>,
) -> Result<Vec<DepartmentUser>> {
    get(store, viewer, department_id).await?;
    let rows = store
        .all(sql!("people/departments/department_users"), &[&department_id, &below, &after, &limit, &FEW])
        .await?;
    let worker = |row: &Row| DepartmentUser {
        user_id: row.get("user_id"),
        name: row.get("name"),
        head_icon: row.get("head_icon"),
        kind: row.get("kind"),
        title: row.get("title"),
        main: row.get("main"),
    };
    Ok(rows.iter().map(worker).collect())
}

/// Lets a user see a department and all below it. A repeat changes nothing.
pub async fn grant(
    store: &Store,
    department_id: &str,
    user_id: &str,
    granted_by: &str,
    now: OffsetDateTime,
) -> Result<()> {
    let row =
        store.one(sql!("people/departments/grant"), &[&department_id, &user_id, &granted_by, &now]).await?;
    match (row.get("has_department"), row.get("has_user")) {
        (true, true) => Ok(()),
        (false, _) => Err(no_department()),
        (true, false) => Err(Error::not_found("no such user")),
    }
}

pub async fn revoke(store: &Store, department_id: &str, user_id: &str) -> Result<()> {
    match store.run(sql!("people/departments/revoke"), &[&department_id, &user_id]).await? {
        0 => Err(Error::not_found("the department is not granted to this user")),
        _ => Ok(()),
    }
}

/// One page of the users a department is granted to, by id.
pub async fn grants(store: &Store, department_id: &str, after: &str, limit: i64) -> Result<Vec<Grant>> {
    get(store, None, department_id).await?;
    let rows = store.all(sql!("people/departments/grants"), &[&department_id, &after, &limit]).await?;
    let grant = |row: &Row| Grant {
        user_id: row.get("user_id"),
        name: row.get("name"),
        granted_by: row.get("granted_by"),
        granted_at: row.get("granted_at"),
    };
    Ok(rows.iter().map(grant).collect())
}

pub fn no_department() -> Error {
    Error::not_found("no such department")
}
