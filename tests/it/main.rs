//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod harness;
