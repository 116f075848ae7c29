//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod alerts;
mod api;
mod app;
mod archive;
mod base;
mod calls;
mod chat;
mod console;
mod cost;
mod delivery;
mod documents;
mod events;
mod faults;
mod files;
mod gateways;
mod harness;
mod identity;
mod life;
mod notification;
mod package;
mod people;
mod plans;
mod properties;
mod records;
mod replicas;
mod sync;
mod tidy;
mod torture;
