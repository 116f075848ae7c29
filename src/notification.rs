//! Notifications: one message of an application to each of many receivers, in its direct channel with them.
//!
//! A call stores the notification and its receivers. A worker sends it in steps, and recalls it in steps.

pub mod notice;
pub mod progress;
pub mod step;
