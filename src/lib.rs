//! im-push-gateway: channels, messages and a push status for every receiver, beside an API gateway.
//!
//! Modules in the order data flows: request → identity → message → ledger → push → receipt → reading.

pub mod api;
pub mod app;
pub mod callback;
pub mod channel;
pub mod config;
pub mod conversation;
pub mod delivery;
pub mod directory;
pub mod emoji;
pub mod error;
pub mod fanout;
pub mod history;
pub mod identity;
pub mod maintenance;
pub mod message;
pub mod push;
pub mod receipt;
pub mod schedule;
pub mod store;
pub mod telemetry;
pub mod token_command;
