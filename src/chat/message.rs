//! Messages: their content is parsed and checked, and sends are committed in groups.

mod batch;
mod call;
mod commit;
mod content;
mod extras;
mod forward;
mod held;
mod mention;
mod outgoing;
mod send;
mod thread;
mod urgency;

pub use batch::{
    Batch, Batches, Bounds, Lanes, SendOutcome, is_missing_partition, refused, sent_before, silenced,
};
pub use call::{CALL, CallRecord};
pub use content::{
    Card, CardChange, Content, Mls, StoredFile, TEXT_MAX_CHARS, check_client_id, cut, safe_integer,
};
pub use forward::{FORWARD, Forward, Original};
pub use held::{HeldFile, NO_FILE};
pub use mention::{MENTIONS_MAX, Mentions};
pub use outgoing::{Outgoing, Sent, inner_client_id};
pub use send::Sender;
pub use thread::{Quoted, REF_RULE, Reply, TOPIC_RULE, Thread, is_ref, is_topic};
pub use urgency::{NewStep, StepKind, Urgency};
