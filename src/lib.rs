//! im-push-gateway: channels, messages and a push status for every receiver, beside an API gateway.
//!
//! A message passes these stages: request → identity → message → ledger → push → receipt → archive → search.
//! `docs/architecture.md` has the map of the modules.

pub mod api;
pub mod app;
pub mod archive;
pub mod archive_command;
pub mod archiver;
pub mod audit;
pub mod callback;
pub mod channel;
pub mod claim;
pub mod config;
pub mod conversation;
pub mod cron;
pub mod delivery;
pub mod directory;
pub mod directory_command;
pub mod emoji;
pub mod error;
pub mod event;
pub mod files;
pub mod history;
pub mod identity;
pub mod ids;
pub mod index;

pub mod lease;
pub mod ledger;
pub mod maintenance;
pub mod message;
pub mod outbox;
pub mod preference;
pub mod presence;
pub mod push;
pub mod recall;
pub mod receipt;
mod renewed;
pub mod schedule;
pub mod scim;
pub mod search;
pub mod store;
pub mod stream;
pub mod strict;
pub mod telemetry;
pub mod text;
pub mod throttle;
mod tls;
pub mod token_command;
