//! SCIM 2.0 (RFC 7643, 7644): an identity provider pushes users and departments.
//!
//! A resource is a JSON object. One table of attributes describes it ([`schema`]). The service stores what a
//! client sends. Known attributes also go through the directory as source `scim`, and answers show them from
//! there. This module does not depend on HTTP.

mod change;
pub mod discovery;
mod error;
mod filter;
mod group;
mod patch;
mod path;
mod read;
pub mod schema;
mod shown;
#[cfg(test)]
mod tests;
mod user;

use time::OffsetDateTime;

use crate::base::config::{ScimGroups, ScimUserId};
use crate::base::store::Store;

pub use change::Change;
pub use error::{Error, Refusal, Result};
pub use patch::Patch;
pub use read::{Listing, PAGE_MAX, Query};
pub use schema::ResourceType;
pub use shown::Shown;

/// The source of users and departments that SCIM clients create.
pub const SOURCE: &str = "scim";

/// The context of a SCIM request.
#[derive(Clone, Copy)]
pub struct Scim<'a> {
    pub store: &'a Store,
    pub user_id: ScimUserId,
    pub groups: ScimGroups,
    /// The URL of `/scim/v2` as the client sees it.
    pub base: &'a str,
    pub now: OffsetDateTime,
}

impl Scim<'_> {
    /// The kind of Groups, as SQL names it.
    fn groups(&self) -> &'static str {
        match self.groups {
            ScimGroups::Departments => "departments",
            ScimGroups::Groups => "groups",
        }
    }
}
