//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod app;
mod channels;
mod contract;
mod directory;
mod harness;
mod identity;
mod large;
mod life;
mod messages;
mod properties;
mod push;
mod reading;
mod receipts;
mod tidy;
mod torture;
