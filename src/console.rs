//! The pages of the console: HTML of what the API answers, in two languages. They know no HTTP and no database.

pub mod answers;
pub mod channel;
mod choices;
pub mod developer;
pub mod endpoint_link;
mod findings;
pub mod frame;
pub mod lang;
pub mod message;
pub mod nudge;
pub mod operations;
pub mod people;
pub mod problem;
pub mod replay;
pub mod search;
pub mod sign_in;
mod texts;
pub mod upkeep;
pub mod why;

/// The style of every page.
pub const STYLE: &str = include_str!("console/console.css");
/// The only script: times of the reader's zone, keys, copying, and pages that load themselves again.
pub const SCRIPT: &str = include_str!("console/console.js");
