//! Channels, their members and robots, and the messages sent in them.

pub mod channel;
pub mod emoji;
pub mod message;
pub mod robot;
