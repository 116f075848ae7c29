//! Finds and shows users: by name, as a card, and only to viewers who may see them.
//!
//! An external user sees the users of shared channels and granted departments. All other users see everybody, except
//! robots of groups in which they are not.

use std::collections::HashSet;

use deadpool_postgres::Object;
use postgres_types::Json;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::search_index;
use super::status::UserStatus;
use super::users::{UserKind, kind_of_caller};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::store::{Statements, Store};
use crate::sql;

/// Up to this many users are searched one by one; more are searched by the index of words.
const FEW: i64 = 3_000;
/// Words read in one statement, and in one search. A page ends there, full or not.
const LOOK_STEP: i64 = 2_000;
const LOOK_MAX: i64 = 10_000;
/// Most users in the answer to an ambiguous name.
const CALLED_MAX: i64 = 10;

/// The conditions of a search.
#[derive(Debug, Clone, Copy)]
pub struct ContactSearch<'a> {
    /// A prefix of a search word. None: all users.
    pub typed: Option<&'a str>,
    /// Only users of this department or below it.
    pub department_id: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub limit: i64,
}

/// The end of a page: the word and the user id.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContactCursor(pub String, pub String);

/// A user in the results.
#[derive(Debug)]
pub struct Contact {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub kind: String,
    pub title: Option<String>,
    /// The main department's id and name.
    pub department: Option<(String, String)>,
    pub status: Option<UserStatus>,
}

/// A user that a search text may mean.
#[derive(Debug, Clone)]
pub struct NamedUser {
    pub user_id: String,
    pub name: String,
    pub active: bool,
}

/// A department of a user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Workplace {
    pub department_id: String,
    pub name: String,
    pub main: bool,
}

/// All that is shown of a user. Of a leaver, only the name and that they have left.
#[derive(Debug)]
pub struct Card {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub kind: String,
    pub active: bool,
    pub title: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub employee_number: Option<String>,
    pub login_name: Option<String>,
    /// The main one first.
    pub departments: Vec<Workplace>,
    /// The manager's id and name.
    pub manager: Option<(String, String)>,
    pub status: Option<UserStatus>,
}

/// A range of words with a prefix, and the position after which a page starts.
struct WordRange<'a> {
    from: Option<&'a str>,
    below: &'a str,
    after: ContactCursor,
}

/// A caller who looks at users. Machines that see every user are none: the default.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    user_id: Option<String>,
    is_external: bool,
}

impl Viewer {
    /// The id of a viewer who is a user.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The id of an external user, who sees only some users.
    pub fn external(&self) -> Option<&str> {
        self.user_id.as_deref().filter(|_| self.is_external)
    }
}

/// The viewer for a caller who is a user. Refuses a caller who is unknown or has left.
pub async fn viewer(store: &Store, user_id: &str) -> Result<Viewer> {
    let kind = kind_of_caller(store, user_id).await?;
    Ok(Viewer { user_id: Some(user_id.to_owned()), is_external: kind == UserKind::External })
}

/// One page of results, and where it ends if there may be more. A page can be short if only few of many users
/// match.
pub async fn find(
    store: &Store,
    viewer: &Viewer,
    search: ContactSearch<'_>,
    after: ContactCursor,
) -> Result<(Vec<Contact>, Option<ContactCursor>)> {
    let from =
        match search.typed {
            None => None,
            Some(typed) => Some(search_index::beginning(typed).ok_or_else(|| {
                Error::parameter("q", "must contain a letter, a digit or a Chinese character")
            })?),
        };
    let below = from.as_ref().map(|from| format!("{from}{}", char::MAX)).unwrap_or_default();
    // A cursor of another search must not leave this range.
    let start = ContactCursor(from.clone().unwrap_or_default(), String::new());
    let range = WordRange { from: from.as_deref(), below: &below, after: after.max(start) };
    let client = store.client().await?;
    if let (Some(viewer), Some(department_id)) = (viewer.external(), search.department_id) {
        // A viewer who sees a department sees all its users.
        if !client
            .one(sql!("people/contacts/is_granted"), &[&viewer, &department_id])
            .await?
            .get::<_, bool>(0)
        {
            return Ok((Vec::new(), None));
        }
    }
    match few(&client, viewer.external(), search.department_id).await? {
        Some(people) => find_among(&client, &people, viewer, search, range).await,
        None => find_by_words(&client, viewer, search, range).await,
    }
}

/// The users that an id or a name prefix may mean, leavers too. One if it is an id or a full name, otherwise
/// all with this prefix, up to [`CALLED_MAX`].
pub async fn by_name(store: &Store, viewer: &Viewer, typed: &str) -> Result<Vec<NamedUser>> {
    let from = search_index::beginning(typed);
    let below = from.as_ref().map(|from| format!("{from}{}", char::MAX));
    let external = viewer.external();
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&typed, &from, &below, &external, &LOOK_STEP, &CALLED_MAX, &viewer.user_id];
    let rows = store.all(sql!("people/contacts/by_name"), &parameters).await?;
    let called = |row: &Row| NamedUser {
        user_id: row.get("user_id"),
        name: row.get("name"),
        active: row.get("active"),
    };
    if let Some(row) = rows.first().filter(|row| row.get("is_id")) {
        return Ok(vec![called(row)]);
    }
    let is_whole = |one: &NamedUser| search_index::beginning(&one.name) == from;
    let (whole, others): (Vec<_>, Vec<_>) = rows.iter().map(called).partition(is_whole);
    Ok(if whole.len() == 1 { whole } else { [whole, others].concat() })
}

/// The users to search among, if they are few; none otherwise.
async fn few(
    client: &Object,
    viewer: Option<&str>,
    department_id: Option<&str>,
) -> Result<Option<Vec<String>>> {
    let rows = match (department_id, viewer) {
        (Some(department_id), _) => {
            client.all(sql!("people/contacts/working_in"), &[&department_id, &(FEW + 1)]).await?
        }
        (None, Some(viewer)) => client.all(sql!("people/contacts/seen_by"), &[&viewer, &(FEW + 1)]).await?,
        (None, None) => return Ok(None),
    };
    let are_few = rows.len() as i64 <= FEW;
    Ok(are_few.then(|| rows.iter().map(|row| row.get("user_id")).collect()))
}

async fn find_among(
    client: &Object,
    people: &[String],
    viewer: &Viewer,
    search: ContactSearch<'_>,
    WordRange { from, below, after }: WordRange<'_>,
) -> Result<(Vec<Contact>, Option<ContactCursor>)> {
    let ContactSearch { kind, limit, .. } = search;
    let rows = client
        .all(
            sql!("people/contacts/find_among"),
            &[&people, &from, &below, &after.0, &after.1, &limit, &kind, &viewer.external(), &viewer.user_id],
        )
        .await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(cursor_of);
    Ok((rows.iter().map(contact).collect(), next))
}

async fn find_by_words(
    client: &Object,
    viewer: &Viewer,
    search: ContactSearch<'_>,
    WordRange { from, below, mut after }: WordRange<'_>,
) -> Result<(Vec<Contact>, Option<ContactCursor>)> {
    let statement = client.prepare_cached(sql!("people/contacts/find")).await?;
    let ContactSearch { kind, limit, department_id, .. } = search;
    let (mut found, mut looked) = (Vec::new(), 0);
    // Usually nearly all users match. If not, later steps read more.
    let mut step = limit + limit / 4 + 1;
    while looked < LOOK_MAX {
        let rows = client
            .query(
                &statement,
                &[
                    &from,
                    &below,
                    &after.0,
                    &after.1,
                    &step,
                    &kind,
                    &department_id,
                    &viewer.external(),
                    &viewer.user_id,
                ],
            )
            .await?;
        for row in &rows {
            after = cursor_of(row);
            if row.get::<_, Option<&str>>("name").is_some() {
                found.push(contact(row));
                if found.len() as i64 == limit {
                    return Ok((found, Some(after)));
                }
            }
        }
        if (rows.len() as i64) < step {
            return Ok((found, None));
        }
        looked += step;
        step = (step * 4).min(LOOK_STEP);
    }
    Ok((found, Some(after)))
}

fn cursor_of(row: &Row) -> ContactCursor {
    ContactCursor(row.get("word"), row.get("user_id"))
}

fn contact(row: &Row) -> Contact {
    Contact {
        user_id: row.get("user_id"),
        name: row.get("name"),
        head_icon: row.get("head_icon"),
        kind: row.get("kind"),
        title: row.get("title"),
        department: pair(row, "department_id", "department_name"),
        status: UserStatus::of_row(row),
    }
}

/// An id and its name.
fn pair(row: &Row, id: &str, name: &str) -> Option<(String, String)> {
    row.get::<_, Option<String>>(id).zip(row.get(name))
}

/// A user's card. Not found if the viewer does not see the user.
pub async fn card(store: &Store, viewer: &Viewer, user_id: &str) -> Result<Card> {
    let row =
        store.opt(sql!("people/contacts/card"), &[&user_id, &viewer.external(), &viewer.user_id]).await?;
    let row = row.ok_or_else(|| Error::not_found("no such user"))?;
    let active: bool = row.get("active");
    let shown = |attribute: &str| row.get::<_, Option<String>>(attribute).filter(|_| active);
    let Json(departments) = row.get("departments");
    Ok(Card {
        user_id: row.get("user_id"),
        name: row.get("name"),
        head_icon: shown("head_icon"),
        kind: row.get("kind"),
        active,
        title: shown("title"),
        email: shown("email"),
        phone: shown("phone"),
        employee_number: shown("employee_number"),
        login_name: shown("login_name"),
        departments: if active { departments } else { Vec::new() },
        manager: pair(&row, "manager_id", "manager_name").filter(|_| active),
        status: UserStatus::of_row(&row),
    })
}

/// Refuses users that the viewer does not see, with the same error as for unknown users.
pub async fn check_seen(store: &Store, viewer: Option<&str>, users: &[String], at: &str) -> Result<()> {
    let Some(viewer) = viewer else { return Ok(()) };
    for (position, user) in users.iter().enumerate() {
        check_id(user).map_err(|reason| Error::field(format!("{at}/{position}"), reason))?;
    }
    match store.opt(sql!("people/contacts/unseen"), &[&viewer, &users]).await? {
        None => Ok(()),
        Some(row) => Err(super::users::unknown_user(at, row.get("position"))),
    }
}

/// Which of these users the viewer sees.
pub async fn seen(store: &Store, viewer: Option<&str>, user_ids: &[&str]) -> Result<HashSet<String>> {
    let Some(viewer) = viewer else {
        return Ok(user_ids.iter().map(|id| (*id).to_owned()).collect());
    };
    let rows = store.all(sql!("people/contacts/seen"), &[&viewer, &user_ids]).await?;
    Ok(rows.iter().map(|row| row.get("user_id")).collect())
}
