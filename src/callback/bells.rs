//! Who is woken on this replica when something has come for an endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// One bell for the workers of each endpoint's line, and one for whoever opens lines.
#[derive(Default)]
pub struct Bells {
    /// The gateway's workers. It is there before any line is opened, as whoever sends rings it.
    pub gateway: Arc<Notify>,
    /// Whoever reads the endpoints again, opens their lines and looks what waits for each.
    pub dispatch: Arc<Notify>,
    lines: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Bells {
    /// From now on these are the endpoints with a line.
    pub fn hang(&self, lines: HashMap<String, Arc<Notify>>) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    /// Something has come for this endpoint. Who opens lines need not look first, unless it has none yet.
    pub fn ring(&self, callback_id: &str) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(callback_id).unwrap_or(&self.dispatch).notify_one();
    }
}
