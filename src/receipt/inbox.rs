//! Group commit of receipts: calls that arrive while a transaction runs share the next one, and so its locks and its
//! commit. No timer waits.

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::{Outcome, Receipt, accept, accept_step};
use crate::error::{Error, Result};
use crate::store::{Store, retrying};

/// Calls that wait before further ones are told 503.
const QUEUE: usize = 8_192;
/// Receipts that one transaction takes of several calls.
const BATCH: usize = 1_000;

struct Call {
    receipts: Vec<Receipt>,
    at: OffsetDateTime,
    reply: oneshot::Sender<Result<Vec<Outcome>>>,
}

/// Where receipts go in. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(mpsc::Sender<Call>);

impl Inbox {
    /// Opens it; its worker is a task for `spawn`, and ends when every `Inbox` is gone and the queue is empty.
    pub fn open(store: Store, spawn: impl Fn(BoxFuture<'static, ()>)) -> Self {
        let (entry, queue) = mpsc::channel(QUEUE);
        spawn(Box::pin(run(store, queue)));
        Self(entry)
    }

    /// Takes receipts; one outcome for each, in order, once they are committed.
    pub async fn accept(&self, receipts: Vec<Receipt>, at: OffsetDateTime) -> Result<Vec<Outcome>> {
        let (reply, answer) = oneshot::channel();
        self.0
            .try_send(Call { receipts, at, reply })
            .map_err(|_| Error::unavailable("too many receipts are waiting"))?;
        answer.await.map_err(|_| Error::unavailable("the service is stopping"))?
    }
}

async fn run(store: Store, mut queue: mpsc::Receiver<Call>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(call) => Some(call),
            None => queue.recv().await,
        }) else {
            return;
        };
        let mut size = first.receipts.len();
        let mut calls = vec![first];
        while let Ok(call) = queue.try_recv() {
            if size + call.receipts.len() > BATCH {
                next = Some(call);
                break;
            }
            size += call.receipts.len();
            calls.push(call);
        }
        settle(&store, calls).await;
    }
}

/// Commits calls together and answers them. Where that fails, each is tried by itself: none fails for another's sake.
async fn settle(store: &Store, calls: Vec<Call>) {
    if calls.len() > 1 {
        let all: Vec<Receipt> = calls.iter().flat_map(|call| call.receipts.iter().cloned()).collect();
        let at = calls.iter().map(|call| call.at).max().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        match retrying(|| accept_step(store, &all, at)).await {
            Ok(outcomes) => {
                super::count(&outcomes);
                let mut outcomes = outcomes.into_iter();
                for call in calls {
                    let own = outcomes.by_ref().take(call.receipts.len()).collect();
                    // A caller who went away does not undo the commit.
                    let _ = call.reply.send(Ok(own));
                }
                return;
            }
            Err(e) => tracing::warn!(error = %e, calls = calls.len(), "receipts not committed together"),
        }
    }
    for call in calls {
        let _ = call.reply.send(accept(store, &call.receipts, call.at).await);
    }
}
