//! Messages: their content is parsed and checked, and sends are committed in groups.

mod content;
mod mention;
mod outgoing;
mod send;
mod urgency;

pub use content::{Content, check_client_id, safe_integer};
pub use mention::Mentions;
pub use outgoing::{Outgoing, Sent};
pub use send::{Lanes, Sender};
pub use urgency::{NewStep, StepKind, Urgency};
