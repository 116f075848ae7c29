//! The ground: settings, errors, the database, workers, text. It knows nothing of what the service does.

pub mod analyzer;
pub mod audit;
pub mod bearer;
pub mod certificate;
pub mod claim;
pub mod config;
pub mod cron;
pub mod error;
pub mod extra;
pub mod ids;
pub mod lease;
pub(crate) mod named;
pub mod number;
pub(crate) mod renewed;
pub mod replica;
pub mod store;
pub mod strict;
pub mod telemetry;
pub mod text;
pub mod throttle;
pub(crate) mod tls;
pub mod trace;
pub mod wakers;
pub mod worker;
