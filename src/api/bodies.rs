//! Limits the memory that the bodies of all running requests use together. A client can send a body before it
//! is authenticated, because a signature covers the body. A limit per body is therefore not enough.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;

/// The bytes that are still free.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Counts the bytes of the body as they arrive. They stay counted until the answer begins, because the
    /// parsed body lives as long.
    pub async fn charge(self, request: Request, next: Next) -> Response {
        let charge = Arc::new(Charge { left: self.0, taken: AtomicUsize::default() });
        let charged = charge.clone();
        let response = next.run(request.map(|body| Body::new(Charged { body, charge: charged }))).await;
        drop(charge);
        response
    }
}

/// The bytes that one request uses. They are freed when the request and its body are both dropped.
struct Charge {
    left: Arc<Semaphore>,
    taken: AtomicUsize,
}

impl Charge {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = u32::try_from(bytes).map_err(|_| NoRoom)?;
        self.left.try_acquire_many(bytes).map_err(|_| NoRoom)?.forget();
        self.taken.fetch_add(bytes as usize, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.left.add_permits(*self.taken.get_mut());
    }
}

/// A body whose bytes are counted.
struct Charged {
    body: Body,
    charge: Arc<Charge>,
}

impl HttpBody for Charged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        Poll::Ready(match self.charge.take(bytes) {
            Ok(()) => frame,
            Err(none) => Some(Err(axum::Error::new(none))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// No memory is left for request bodies.
#[derive(Debug)]
pub struct NoRoom;

impl NoRoom {
    /// Whether `error` has this error among its sources.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory is free for request bodies; send the request again")
    }
}

impl std::error::Error for NoRoom {}
