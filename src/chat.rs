//! Channels, their members, and the messages sent in them.

pub mod channel;
pub mod emoji;
pub mod message;
