//! im-push-gateway: channels, messages and a push status for every receiver, beside an API gateway.

pub mod config;
pub mod error;
pub mod identity;
pub mod schedule;
pub mod store;
