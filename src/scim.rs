//! SCIM 2.0 (RFC 7643, 7644): a company's identity provider pushes its people and departments to us.
//!
//! A resource is a JSON object, held to one table of what there is to say ([`schema`]). What a client tells is
//! kept as it was told; what of it means something here goes through the directory's one way in, as source
//! `scim`, and shows again from there. Nothing in here knows HTTP.

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

use crate::config::{ScimGroups, ScimUserId};
use crate::store::Store;

pub use change::Change;
pub use error::{Error, Refusal, Result};
pub use patch::Patch;
pub use read::{Listing, PAGE_MAX, Query};
pub use schema::ResourceType;
pub use shown::Shown;

/// Whose the people and departments are of whom SCIM clients tell.
pub const SOURCE: &str = "scim";

/// What a request of SCIM is answered by.
#[derive(Clone, Copy)]
pub struct Scim<'a> {
    pub store: &'a Store,
    pub user_id: ScimUserId,
    pub groups: ScimGroups,
    /// Where `/scim/v2` is, as the client sees it.
    pub base: &'a str,
    pub now: OffsetDateTime,
}

impl Scim<'_> {
    /// What Groups are, as SQL names it.
    fn groups(&self) -> &'static str {
        match self.groups {
            ScimGroups::Departments => "departments",
            ScimGroups::Groups => "groups",
        }
    }
}
