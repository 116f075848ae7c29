//! The integration tests: stories against real servers, in the order of `src/lib.rs`.

#[path = "../support/mod.rs"]
mod support;

mod api;
mod app;
mod archive;
mod around;
mod base;
mod broadcast;
mod chat;
mod cost;
mod delivery;
mod documents;
mod events;
mod harness;
mod identity;
mod life;
mod names;
mod oversight;
mod people;
mod preferences;
mod properties;
mod read_reports;
mod received;
mod records;
mod replicas;
mod signing_in;
mod sync;
mod tidy;
mod torture;
mod unread_totals;
