//! The people of the company: which users and departments exist, which of them a user may find, and presence.

pub mod contacts;
pub mod departments;
pub mod headcount;
pub mod key_package;
pub mod preference;
pub mod presence;
pub mod relation;
pub mod search_index;
pub mod status;
pub mod users;
