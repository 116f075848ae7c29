//! The archive: what every archive must do, asked of each; and what only a server can do wrong.

pub mod alarms;
mod conformance;
mod documents;
mod elasticsearch;
mod embedded;
pub mod moving;
pub mod queries;
