//! Messages: their content is parsed and checked, and sends are committed in groups.

mod batch;
mod content;
mod mention;
mod outgoing;
mod send;
mod urgency;

pub use batch::{Batch, Batches, Bounds, Lanes, SendOutcome, is_missing_partition};
pub use content::{Card, CardChange, Content, check_client_id, safe_integer};
pub use mention::Mentions;
pub use outgoing::{Outgoing, Sent, inner_client_id};
pub use send::Sender;
pub use urgency::{NewStep, StepKind, Urgency};
