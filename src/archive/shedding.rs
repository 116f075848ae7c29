//! The archive as requests use it: at most so many of them wait for it. A further one is refused at once, so that a slow
//! archive leaves room for requests that do not need it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Archive, Document, Find};
use crate::base::config::Config;
use crate::base::error::{Error, Result};

/// The share of the requests of a replica that can wait for the archive.
const SHARE: usize = 2;

/// An archive with a bound on its calls.
pub struct Shedding {
    archive: Arc<dyn Archive>,
    calls: Semaphore,
}

impl Shedding {
    pub fn new(archive: Arc<dyn Archive>, config: &Config) -> Self {
        let most = config.archive.requests_max.min(config.server.requests_max / SHARE).max(1);
        Self { archive, calls: Semaphore::new(most.min(Semaphore::MAX_PERMITS)) }
    }

    fn begin(&self) -> Result<SemaphorePermit<'_>> {
        self.calls.try_acquire().map_err(|_| {
            metrics::counter!("impg_archive_requests_shed_total").increment(1);
            Error::unavailable("too many requests wait for the archive: send the request again")
        })
    }
}

impl Archive for Shedding {
    fn identity(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let _call = self.begin()?;
            self.archive.identity().await
        })
    }

    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let _call = self.begin()?;
            self.archive.write(documents).await
        })
    }

    fn refresh(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _call = self.begin()?;
            self.archive.refresh().await
        })
    }

    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>> {
        Box::pin(async move {
            let _call = self.begin()?;
            self.archive.find(find).await
        })
    }
}
