//! What the bodies of all requests under way may hold of memory together. A stranger can send a body
//! before anything is proven (a signature covers it), so what one body may have bounds nothing.

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

/// The bytes that are left.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Answers with the body charged as it comes, until the answer begins: what was read out of it lives
    /// as long.
    pub async fn charge(self, request: Request, next: Next) -> Response {
        let charge = Arc::new(Charge { left: self.0, taken: AtomicUsize::default() });
        let charged = charge.clone();
        let response = next.run(request.map(|body| Body::new(Charged { body, charge: charged }))).await;
        drop(charge);
        response
    }
}

/// What one request has taken. It is given back when neither the request nor its body is there any more.
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

/// A body that is charged.
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

/// The bodies under way have all there is.
#[derive(Debug)]
pub struct NoRoom;

impl NoRoom {
    /// Whether it is what `error` comes from.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bodies of other requests take all the memory there is for bodies")
    }
}

impl std::error::Error for NoRoom {}
