//! Calls in channels: who is called, who is in a call, what these users hand each other, and the message that a call leaves.
//!
//! The service carries signals only. Sound and pictures go from user to user, through a TURN server of the operator where
//! they must, or through a LiveKit server if there is one.

mod begin;
mod call;
mod change;
mod media;
mod overdue;
mod relay;

pub use begin::NewCall;
pub use call::{Call, Calls, Kept, prune};
pub use media::{IceServer, IceServers, Room};
pub use relay::Shared;
