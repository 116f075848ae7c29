//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod app;
mod archive;
mod bad_records;
mod callbacks;
mod channels;
mod clock;
mod contacts;
mod contract;
mod cost;
mod crowding;
mod database;
mod department_groups;
mod directory;
mod directory_runs;
mod edits;
mod events;
mod harness;
mod identity;
mod large;
mod ldap;
mod life;
mod logs;
mod messages;
mod moving;
mod observers;
mod pooler;
mod presence;
mod properties;
mod push;
mod queries;
mod reading;
mod recalls;
mod receipts;
mod replicas;
mod restored;
mod scim;
mod scim_source;
mod search;
mod strangers;
mod tidy;
mod torture;
mod visibility;
