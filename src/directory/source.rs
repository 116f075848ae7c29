//! Where people come from: whatever lists a company's people and departments, and tells what has changed.

mod body;
mod fields;
mod http;
mod ldap;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::edit::Values;
use super::record::{DepartmentRecord, UserRecord};
use crate::config::{Directory, SourceKind};
use crate::error::Result as Outcome;

/// What a run wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Everybody and every department.
    Everything,
    /// What has changed since this token was given.
    Since(String),
    /// These people and departments, by external id.
    These { users: Vec<String>, departments: Vec<String> },
}

/// What a listing is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    Departments,
    Users,
}

impl What {
    /// As the database names it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Departments => "department",
            Self::Users => "user",
        }
    }
}

/// The token of each listing: they need not be alike.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Tokens {
    departments: Option<String>,
    users: Option<String>,
}

impl Tokens {
    fn of(&mut self, what: What) -> &mut Option<String> {
        match what {
            What::Departments => &mut self.departments,
            What::Users => &mut self.users,
        }
    }
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    User(Box<UserRecord>),
    Department(DepartmentRecord),
    /// An entry that is no record: whose, if that can be read, and why.
    Bad {
        what: What,
        external_id: Option<String>,
        detail: String,
    },
}

impl Told {
    fn bad(what: What, external_id: Option<&str>, detail: impl Into<String>) -> Self {
        Self::Bad { what, external_id: external_id.map(str::to_owned), detail: detail.into() }
    }

    pub fn what(&self) -> What {
        match self {
            Self::User(_) => What::Users,
            Self::Department(_) => What::Departments,
            Self::Bad { what, .. } => *what,
        }
    }

    /// Whose entry it is, if that can be read.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(&user.external_id),
            Self::Department(department) => Some(&department.department_id),
            Self::Bad { external_id, .. } => external_id.as_deref(),
        }
    }
}

/// A page of a listing, or records that were asked for alone.
#[derive(Debug, Default)]
pub struct Page {
    pub told: Vec<Told>,
    /// Whether a listing is at its end with it.
    pub ended: Option<Ended>,
}

/// The end of a listing.
#[derive(Debug)]
pub struct Ended {
    pub what: What,
    /// How many entries there are, if the source says so.
    pub total: Option<u64>,
    /// Of a listing of what has changed: who is still there as they were, by external id. Whoever was neither told of
    /// nor is one of them is missing. None where the source tells by itself who is no more.
    pub unchanged: Option<Vec<String>>,
}

/// Why a source did not tell. `Failed` says it without quoting what was asked or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The token is too old: everybody has to be asked for.
    Expired,
    Failed(String),
}

/// A source of people. None of them ever holds more than a page, and who is in which Group of a SCIM server, or
/// who is still there on an LDAP server.
pub trait Source: Send + Sync {
    /// What its people are called after: `(source, external_id)` is a person.
    fn name(&self) -> &'static str;

    /// Whether it lists departments too; else they are not its to say.
    fn has_departments(&self) -> bool;

    /// Whether it can tell what has changed since a token.
    fn has_tokens(&self) -> bool;

    /// Whether it can be asked for one person or department.
    fn reads_one(&self) -> bool;

    /// Whether an attribute of a person is the source's to say.
    fn tells(&self, attribute: &str) -> bool;

    /// Begins to ask. Departments come before people.
    fn pull(&self, want: Want) -> Box<dyn Pull>;

    /// How people are written there, if they can be.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}

/// Writes people at a source. Nothing is sent without a precondition.
pub trait Writer: Send + Sync {
    /// Whether an edit of an attribute can be sent.
    fn takes(&self, attribute: &str) -> bool;

    /// Somebody as the source has them now, and by which version.
    fn read<'a>(&'a self, external_id: &'a str) -> BoxFuture<'a, Heard>;

    /// Has somebody changed who is `present` in this version of the source's: else nothing happens.
    fn write<'a>(
        &'a self,
        external_id: &'a str,
        present: (&'a str, &'a Values),
        changes: &'a Values,
    ) -> BoxFuture<'a, Written>;
}

/// What a source says of one person.
#[derive(Debug)]
pub enum Heard {
    There(Box<UserRecord>),
    Gone,
    Later(Later),
}

/// What a source makes of an edit.
#[derive(Debug)]
pub enum Written {
    Done,
    /// There is another version of them by now.
    Stale,
    Gone,
    Refused(u16),
    Later(Later),
}

/// Why there is no answer that counts, and how long to leave the source alone, if it says so.
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
    /// The next page; none at the end. After a failure the listing is worth nothing.
    fn page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>>;

    /// Who is missing from a listing that has just ended: they are asked for alone before anything else. None: it
    /// was not whole, and who was not listed may be there.
    fn missing(&mut self, what: What, ids: Option<Vec<String>>);

    /// The token to go on from, once the listing is at its end.
    fn token(&self) -> Option<String>;
}

/// The source of the settings, or none.
pub fn open(settings: &Directory, connection_life: Duration) -> Outcome<Option<Box<dyn Source>>> {
    Ok(match settings.source {
        SourceKind::None => None,
        SourceKind::Ldap => Some(Box::new(ldap::Ldap::new(settings)?)),
        SourceKind::Http | SourceKind::Scim => Some(Box::new(http::Http::new(settings, connection_life)?)),
    })
}
