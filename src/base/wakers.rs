//! Wakes the workers of this replica when work arrives for an endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Wakers for the workers of each endpoint's queue, and one for the dispatcher, which starts those workers.
#[derive(Default)]
pub struct Wakers {
    /// The gateway's workers. It exists before any queue is opened, because sends notify it.
    pub gateway: Arc<Notify>,
    /// The dispatcher: it reads the endpoints again, opens their queues and checks what waits.
    pub dispatch: Arc<Notify>,
    queues: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Wakers {
    /// Replaces the endpoints that have a queue.
    pub fn replace(&self, queues: HashMap<String, Arc<Notify>>) {
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner) = queues;
    }

    /// Wakes the workers of an endpoint, or the dispatcher if the endpoint has no queue yet.
    pub fn notify(&self, callback_id: &str) {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get(callback_id).unwrap_or(&self.dispatch).notify_one();
    }
}
