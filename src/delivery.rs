//! From a stored message to a status for each receiver: the ledger, the endpoints and the push.

pub mod endpoint;
pub mod escalation;
pub mod gate;
pub mod ledger;
pub mod push;
pub mod reminder;
pub mod status;
