//! Limits the memory that the bodies of all running requests use together. A client can send a body before it
//! is authenticated, because a signature covers the body. A limit per body is therefore not enough.

use std::error::Error;
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

const NO_MEMORY: Refused = Refused("no memory is free for request bodies; send the request again");

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
        let count = move |part: Option<usize>| charged.take(part.unwrap_or_default());
        let response = next.run(request.map(|body| watched(body, count))).await;
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
    fn take(&self, bytes: usize) -> Result<(), Refused> {
        let bytes = u32::try_from(bytes).map_err(|_| NO_MEMORY)?;
        self.left.try_acquire_many(bytes).map_err(|_| NO_MEMORY)?.forget();
        self.taken.fetch_add(bytes as usize, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.left.add_permits(*self.taken.get_mut());
    }
}

/// A body that `watch` is told of as it arrives: the bytes of each part, and `None` at its end. What it refuses fails the
/// body.
pub fn watched<W>(body: Body, watch: W) -> Body
where
    W: FnMut(Option<usize>) -> Result<(), Refused> + Send + Unpin + 'static,
{
    Body::new(Watched { body, watch })
}

struct Watched<W> {
    body: Body,
    watch: W,
}

impl<W: FnMut(Option<usize>) -> Result<(), Refused> + Unpin> HttpBody for Watched<W> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        let part = frame.as_ref().map(|frame| frame.data_ref().map_or(0, Bytes::len));
        (self.watch)(part).map_err(axum::Error::new)?;
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a replica takes no more of a body: it is too busy. It names what to do.
#[derive(Debug, Clone, Copy)]
pub struct Refused(pub &'static str);

impl Refused {
    /// The refusal among the sources of `error`.
    pub fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut causes = std::iter::successors(Some(error), |error| (*error).source());
        causes.find_map(|error| error.downcast_ref().copied())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Refused {}
