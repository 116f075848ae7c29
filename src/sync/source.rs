//! Where users come from: lists a company's users and departments, and what has changed.

mod body;
mod fields;
mod http;
mod ldap;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::record::{DepartmentRecord, UserRecord};
use super::values::Values;
use crate::base::config::{DirectorySettings, SourceKind};
use crate::base::error::Result as OpenResult;

/// The records that a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All users and departments.
    Everything,
    /// Changes since this token.
    Since(String),
    /// These users and departments, by external id.
    These { users: Vec<String>, departments: Vec<String> },
}

/// The kind of records in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Departments,
    Users,
}

impl EntryKind {
    /// The name in the database.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Departments => "department",
            Self::Users => "user",
        }
    }
}

/// The token of each listing: the two can differ.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Tokens {
    departments: Option<String>,
    users: Option<String>,
}

impl Tokens {
    fn of(&mut self, what: EntryKind) -> &mut Option<String> {
        match what {
            EntryKind::Departments => &mut self.departments,
            EntryKind::Users => &mut self.users,
        }
    }
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    User(Box<UserRecord>),
    Department(DepartmentRecord),
    /// An entry that is not a valid record, with its id if readable, and the reason.
    Bad {
        what: EntryKind,
        external_id: Option<String>,
        detail: String,
    },
}

impl Entry {
    fn bad(what: EntryKind, external_id: Option<&str>, detail: impl Into<String>) -> Self {
        Self::Bad { what, external_id: external_id.map(str::to_owned), detail: detail.into() }
    }

    pub fn what(&self) -> EntryKind {
        match self {
            Self::User(_) => EntryKind::Users,
            Self::Department(_) => EntryKind::Departments,
            Self::Bad { what, .. } => *what,
        }
    }

    /// The external id, if it is readable.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(&user.external_id),
            Self::Department(department) => Some(&department.department_id),
            Self::Bad { external_id, .. } => external_id.as_deref(),
        }
    }
}

/// A page of a listing, or records read one by one.
#[derive(Debug, Default)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Set on the last page of a listing.
    pub ended: Option<ListingEnd>,
}

/// The end of a listing.
#[derive(Debug)]
pub struct ListingEnd {
    pub what: EntryKind,
    /// The total number of entries, if the source gives it.
    pub total: Option<u64>,
    /// In a listing of changes: external ids of the records that still exist without change. A record that is
    /// neither listed nor in here is missing. None if the source lists deleted records itself.
    pub unchanged: Option<Vec<String>>,
}

/// Why a source did not answer. `Failed` quotes neither the request nor the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The token is too old: a full listing is needed.
    Expired,
    Failed(String),
}

/// A source of users. It never holds more than a page of records. A SCIM source also holds the members of
/// Groups, and an LDAP source the ids that the server reports as present.
pub trait Source: Send + Sync {
    /// The name of the source: `(source, external_id)` identifies a user.
    fn name(&self) -> &'static str;

    /// Whether it lists departments. If not, it does not change them.
    fn has_departments(&self) -> bool;

    /// Whether it can list changes since a token.
    fn has_tokens(&self) -> bool;

    /// Whether it can read one user or department.
    fn reads_one(&self) -> bool;

    /// Whether an attribute of a user comes from this source.
    fn provides(&self, attribute: &str) -> bool;

    /// Begins a listing. Departments come before users.
    fn pull(&self, want: Request) -> Box<dyn Pull>;

    /// The writer, if users can be written to this source.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}

/// Writes users to a source. Every write has a precondition.
pub trait Writer: Send + Sync {
    /// Whether edits of an attribute can be sent.
    fn takes(&self, attribute: &str) -> bool;

    /// The source's current record of a user, with its version.
    fn read<'a>(&'a self, external_id: &'a str) -> BoxFuture<'a, Seen>;

    /// Changes a user whose values are `present` in the given version of the source's. In another version,
    /// nothing is changed.
    fn write<'a>(
        &'a self,
        external_id: &'a str,
        present: (&'a str, &'a Values),
        changes: &'a Values,
    ) -> BoxFuture<'a, Written>;
}

/// The result of reading one user.
#[derive(Debug)]
pub enum Seen {
    There(Box<UserRecord>),
    Gone,
    Later(Later),
}

/// The result of writing an edit.
#[derive(Debug)]
pub enum Written {
    Done,
    /// The source has another version by now.
    Stale,
    Gone,
    Refused(u16),
    Later(Later),
}

/// Why there is no usable answer, and the source's `Retry-After`.
#[derive(Debug)]
pub struct Later {
    pub reason: String,
    pub retry_after: Option<Duration>,
}

impl Later {
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None }
    }
}

/// A listing under way, page by page.
pub trait Pull: Send {
    /// The next page; none at the end. A listing is unusable after a failure.
    fn page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>>;

    /// Passes the missing records of the listing that has just ended; they are read one by one next. None:
    /// the listing was incomplete, so absence means nothing.
    fn missing(&mut self, what: EntryKind, ids: Option<Vec<String>>);

    /// The token for the next run, at the end of the listing.
    fn token(&self) -> Option<String>;
}

/// The source of the settings, or none.
pub fn open(settings: &DirectorySettings, connection_life: Duration) -> OpenResult<Option<Box<dyn Source>>> {
    Ok(match settings.source {
        SourceKind::None => None,
        SourceKind::Ldap => Some(Box::new(ldap::Ldap::new(settings)?)),
        SourceKind::Http | SourceKind::Scim => Some(Box::new(http::Http::new(settings, connection_life)?)),
    })
}
