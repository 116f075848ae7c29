//! Group commit of receipts: calls that arrive while a transaction runs share the next one, with its locks and its
//! commit. There is no timer.

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::{Receipt, ReceiptOutcome, accept, accept_step};
use crate::base::error::{Error, Result};
use crate::base::store::{Store, retrying};

/// The most waiting calls. Further calls get 503.
const QUEUE: usize = 8_192;
/// The most receipts of several calls in one transaction.
const BATCH: usize = 1_000;

struct Call {
    receipts: Vec<Receipt>,
    at: OffsetDateTime,
    reply: oneshot::Sender<Result<Vec<ReceiptOutcome>>>,
}

/// The entry for receipts. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(mpsc::Sender<Call>);

impl Inbox {
    /// Opens an inbox. Its worker is a task for `spawn`. It ends when every `Inbox` is dropped and the queue is empty.
    pub fn open(store: Store, spawn: impl Fn(BoxFuture<'static, ()>)) -> Self {
        let (entry, queue) = mpsc::channel(QUEUE);
        spawn(Box::pin(run(store, queue)));
        Self(entry)
    }

    /// Accepts receipts. Returns one outcome for each, in order, after the commit.
    pub async fn accept(&self, receipts: Vec<Receipt>, at: OffsetDateTime) -> Result<Vec<ReceiptOutcome>> {
        let (reply, answer) = oneshot::channel();
        self.0
            .try_send(Call { receipts, at, reply })
            .map_err(|_| Error::unavailable("too many receipts are waiting: repeat them later"))?;
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
        commit(&store, calls).await;
    }
}

/// Commits calls together and answers them. If that fails, each call gets its own transaction, so that a bad call
/// does not fail the others.
async fn commit(store: &Store, calls: Vec<Call>) {
    if calls.len() > 1 {
        let all: Vec<Receipt> = calls.iter().flat_map(|call| call.receipts.iter().cloned()).collect();
        let at = calls.iter().map(|call| call.at).max().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        match retrying(|| accept_step(store, &all, at)).await {
            Ok(outcomes) => {
                super::count(&outcomes);
                let mut outcomes = outcomes.into_iter();
                for call in calls {
                    let own = outcomes.by_ref().take(call.receipts.len()).collect();
                    // The caller may have gone. The commit stands.
                    let _ = call.reply.send(Ok(own));
                }
                return;
            }
            Err(e) => {
                tracing::warn!(error = %e, calls = calls.len(), "receipts were not committed together")
            }
        }
    }
    for call in calls {
        let _ = call.reply.send(accept(store, &call.receipts, call.at).await);
    }
}
