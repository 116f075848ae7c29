//! The people of the company: who exists, who may find whom, who is online.

pub mod contacts;
pub mod departments;
pub mod headcount;
pub mod preference;
pub mod presence;
pub mod search_index;
pub mod users;
