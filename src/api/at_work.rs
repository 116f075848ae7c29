//! Limits how many requests a replica works on at the same time. A request beyond the limit is refused at once: a
//! queue would make all of them slow, and their clients would repeat them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bodies::{Refused, watched};
use crate::base::error::Error;

const TOO_MANY: Refused = Refused("the replica works on too many requests; send the request again");

/// The requests that the replica can still take.
#[derive(Clone)]
pub struct AtWork(Arc<Semaphore>);

impl AtWork {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, Refused> {
        self.0.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("impg_requests_shed_total").increment(1);
            TOO_MANY
        })
    }
}

/// Refuses the request while there are too many, before its body is read. A request is at work from the end of its body
/// until its answer begins: a client that sends no body takes no place.
pub async fn shed(State(at_work): State<AtWork>, request: Request, next: Next) -> Response {
    let permit = match at_work.begin() {
        Ok(permit) => permit,
        Err(Refused(detail)) => return Error::unavailable(detail).into_response(),
    };
    if request.body().is_end_stream() {
        let response = next.run(request).await;
        drop(permit);
        return response;
    }
    drop(permit);
    let work = Arc::new(Mutex::new(None));
    let begun = work.clone();
    let begin = move |part: Option<usize>| {
        let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        if part.is_none() && begun.is_none() {
            *begun = Some(at_work.begin()?);
        }
        Ok(())
    };
    let response = next.run(request.map(|body| watched(body, begin))).await;
    drop(work);
    response
}
