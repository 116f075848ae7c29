//! Limits how many requests a replica works on at the same time. A request beyond the limit is refused at once: a
//! queue would make all of them slow, and their clients would repeat them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::Error;

/// The requests that the replica can still take.
#[derive(Clone)]
pub struct AtWork(Arc<Semaphore>);

impl AtWork {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }
}

/// Refuses the request while there are too many, before its body is read. A request is at work from the end of its body
/// until its answer begins. A body that comes slowly is no work, so clients cannot take all places by sending none.
pub async fn shed(State(AtWork(free)): State<AtWork>, request: Request, next: Next) -> Response {
    let Ok(permit) = free.clone().try_acquire_owned() else {
        metrics::counter!("impg_requests_shed_total").increment(1);
        return Error::unavailable("the replica works on too many requests; send the request again")
            .into_response();
    };
    let is_whole = request.body().is_end_stream();
    let work = Arc::new(Mutex::new(is_whole.then_some(permit)));
    let arriving = |body| Body::new(Arriving { body, free, work: work.clone() });
    let response = next.run(if is_whole { request } else { request.map(arriving) }).await;
    drop(work);
    response
}

/// A body at whose end the work begins.
struct Arriving {
    body: Body,
    free: Arc<Semaphore>,
    work: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            if work.is_none() {
                // A request that has been let in is not refused any more.
                *work = self.free.clone().try_acquire_owned().ok();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
