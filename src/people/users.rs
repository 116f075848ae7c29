//! The users of the directory, by id and by login name.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::base::store::{Statements, Store};
use crate::base::text;
use crate::sql;

named! {
    /// What a user is.
    pub enum UserKind ("kind of user") {
        Internal = "internal",
        /// Sees only users and channels of own groups.
        External = "external",
        /// A program that sends messages.
        Application = "application",
    }
}

named! {
    /// Why a user is not active.
    pub enum Absence ("absence of a user") {
        /// The directory's source still has the user.
        Suspended = "suspended",
        /// The source no longer has the user.
        Left = "left",
    }
}

/// A user who is not active.
#[derive(Debug)]
pub struct Absent {
    pub user_id: String,
    pub name: String,
    pub kind: UserKind,
    pub state: Absence,
    /// Since when the source no longer has the user.
    pub left_at: Option<OffsetDateTime>,
}

/// What the directory says of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub kind: UserKind,
    pub active: bool,
}

impl Standing {
    /// Whether it is an application that has not left.
    pub fn is_active_application(self) -> bool {
        self.active && self.kind == UserKind::Application
    }
}

/// What the directory says of a user. `None`: it does not know the user.
pub async fn standing(store: &Store, user_id: &str) -> Result<Option<Standing>> {
    let row = store.opt(sql!("people/users/standing"), &[&user_id]).await?;
    let standing =
        |row: Row| Ok(Standing { kind: UserKind::from_db(row.get("kind"))?, active: row.get("active") });
    row.map(standing).transpose()
}

/// What kind of user a caller is. Refuses a caller who is unknown or has left.
pub async fn kind_of_caller(store: &Store, user_id: &str) -> Result<UserKind> {
    let standing = standing(store, user_id).await?.filter(|standing| standing.active);
    Ok(standing.ok_or_else(Error::unknown_caller)?.kind)
}

/// Refuses a caller who is unknown or has left.
pub async fn check_active(store: &Store, user_id: &str) -> Result<()> {
    kind_of_caller(store, user_id).await.map(drop)
}

/// Refuses a caller who is no application.
pub async fn check_application(store: &Store, user_id: &str) -> Result<()> {
    match kind_of_caller(store, user_id).await? {
        UserKind::Application => Ok(()),
        UserKind::Internal | UserKind::External => {
            Err(Error::new(Kind::Forbidden, "only an application may do this: call with its token"))
        }
    }
}

/// The user with a login name: among active users, the only one who has it.
pub async fn of_login_name(store: &Store, login_name: &str) -> Result<Option<String>> {
    let rows = store.all(sql!("people/users/of_login_name"), &[&text::fold(login_name)]).await?;
    Ok(if let [row] = &rows[..] { Some(row.get(0)) } else { None })
}

/// One page of the users who are not active, by user id, after `after`; on request only of one state. No robots.
pub async fn absent(store: &Store, state: Option<Absence>, after: &str, limit: i64) -> Result<Vec<Absent>> {
    let has_left = state.map(|state| state == Absence::Left);
    let rows = store.all(sql!("people/users/absent"), &[&after, &has_left, &limit]).await?;
    let absent = |row: &Row| {
        let left_at: Option<OffsetDateTime> = row.get("deleted_at");
        Ok(Absent {
            user_id: row.get("user_id"),
            name: row.get("name"),
            kind: UserKind::from_db(row.get("kind"))?,
            state: if left_at.is_some() { Absence::Left } else { Absence::Suspended },
            left_at,
        })
    };
    rows.iter().map(absent).collect()
}

/// An error for an unknown user at a position of the list `at`.
pub fn unknown_user(at: &str, position: i64) -> Error {
    Error::field(format!("{at}/{position}"), "is not an active user of the directory")
}

/// Names by user id. Unknown users are missing from the result.
pub async fn names(store: &Store, user_ids: &[&str]) -> Result<HashMap<String, String>> {
    let rows = store.all(sql!("people/users/names"), &[&user_ids]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("name"))).collect())
}
