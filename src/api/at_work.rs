//! Limits how many requests a replica works on at the same time. A request beyond the limit is refused at once: a
//! queue would make all of them slow, and their clients would repeat them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::base::error::Error;

/// The requests that the replica can still take.
#[derive(Clone)]
pub struct AtWork(Arc<Semaphore>);

impl AtWork {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }
}

/// Refuses the request while there are too many, before its body is read. A request is at work until its answer begins.
pub async fn shed(State(at_work): State<AtWork>, request: Request, next: Next) -> Response {
    match at_work.0.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            metrics::counter!("impg_requests_shed_total").increment(1);
            Error::unavailable("the replica works on too many requests; send the request again")
                .into_response()
        }
    }
}
