pub mod bad_records;
pub mod directory;
pub mod directory_runs;
pub mod edits;
pub mod ldap;
pub mod scim;
pub mod scim_source;
pub mod whole_listings;
