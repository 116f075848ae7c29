//! What the tests, the demo and the benches stand on: real servers, started here and stopped with us.
//!
//! `#[path = "../support/mod.rs"] mod support;` from any target. In the order one needs them:
//! a [`Cluster`] to keep data in, a [`Gateway`] to push to, an [`Observer`] to tell, a [`Receiver`] that
//! answers byte by byte, the [`Service`] itself, a [`Client`] for each person, a [`Listener`] for its
//! events and a [`Socket`] for both; a [`Disk`] that can be full; a [`Proxy`] before it with the [`SignIn`] of a company; an [`Elastic`] to be searched, with a [`Meddler`] before it; [`run_script`] for pages in Chromium. What they start lives in a
//! [`Sandbox`], so that even `kill -9` of us leaves nothing.

// Every target uses a part of this and would be told about the rest.
#![allow(dead_code, unused_imports)]

pub mod client;
pub mod collector;
pub mod cutter;
pub mod disk;
pub mod elastic;
pub mod gateway;
pub mod hr;
pub mod listener;
pub mod meddler;
pub mod name_server;
pub mod observer;
pub mod pages;
pub mod pooler;
pub mod postgres;
pub mod proxy;
pub mod receiver;
pub mod roll;
pub mod s3;
pub mod sandbox;
pub mod scim_server;
pub mod service;
pub mod sign_in;
pub mod slapd;
pub mod socket;
pub mod turn_server;

pub use client::{Client, Exchange, Reply, observe};
pub use collector::{Collector, SpanSeen};
pub use cutter::Cutter;
pub use disk::Disk;
pub use elastic::{Elastic, shared_elastic};
pub use gateway::{Answer, Batch, Gate, Gateway, Record};
pub use hr::{Hr, Mood, Patch};
pub use listener::{Listener, StreamEvent};
pub use meddler::{Meddler, Meddling};
pub use name_server::NameServer;
pub use observer::{Conduct, Event as ObservedEvent, Impostor, Log, Observer};
pub use pages::run_script;
pub use pooler::Pooler;
pub use postgres::{Cluster, shared};
pub use proxy::{Proxy, ProxyKind};
pub use receiver::{Received, Receiver, Script};
pub use roll::Roll;
pub use s3::S3;
pub use sandbox::Sandbox;
pub use scim_server::ScimServer;
pub use service::Service;
pub use sign_in::SignIn;
pub use slapd::Slapd;
pub use socket::{Closed, Socket};
pub use turn_server::TurnServer;
