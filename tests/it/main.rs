//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod app;
mod channels;
mod contract;
mod directory;
mod harness;
mod identity;
mod messages;
mod properties;
mod push;
mod reading;
mod receipts;
mod torture;
