//! im-push-gateway: channels, messages and a push status for every receiver, beside an API gateway.
//!
//! Data flows from the top to the bottom of this list. Each area names only areas above it;
//! `docs/architecture.md` has the map.

pub mod base;

pub mod identity;

pub mod people;

pub mod sync;

pub mod accounts;

pub mod events;

pub mod files;

pub mod chat;

pub mod calls;

pub mod delivery;

pub mod archive;

pub mod records;

pub mod notification;

pub mod console;

pub mod api;

pub mod cli;

pub mod app;
