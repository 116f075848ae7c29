//! Where people come from: whatever lists a company's people and departments, and tells what has changed.

mod fields;
mod http;

use futures_util::future::BoxFuture;

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

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    User(UserRecord),
    Department(DepartmentRecord),
    /// An entry that is no record: whose, if that can be read, and why.
    Bad {
        kind: &'static str,
        external_id: Option<String>,
        detail: String,
    },
}

/// Why a source did not tell. `Failed` says it without quoting what was asked or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The token is too old: everybody has to be asked for.
    Expired,
    Failed(String),
}

/// A source of people. None of them ever holds more than a page.
pub trait Source: Send + Sync {
    /// What its people are called after: `(source, external_id)` is a person.
    fn name(&self) -> &'static str;

    /// Whether it lists departments too; else they are not its to say.
    fn has_departments(&self) -> bool;

    /// Whether it can tell what has changed since a token.
    fn has_tokens(&self) -> bool;

    /// Whether it can be asked for one person or department.
    fn reads_one(&self) -> bool;

    /// Begins to ask. Departments come before people.
    fn pull(&self, want: Want) -> Box<dyn Pull>;
}

/// A listing under way, page by page.
pub trait Pull: Send {
    /// The next page; none at the end. After a failure the listing is worth nothing.
    fn page(&mut self) -> BoxFuture<'_, Result<Option<Vec<Told>>, Failure>>;

    /// The token to go on from, once the listing is at its end.
    fn token(&self) -> Option<String>;
}

/// The source of the settings, or none.
pub fn open(settings: &Directory) -> Outcome<Option<Box<dyn Source>>> {
    Ok(match settings.source {
        SourceKind::None => None,
        SourceKind::Http | SourceKind::Scim => Some(Box::new(http::Http::new(settings)?)),
    })
}
