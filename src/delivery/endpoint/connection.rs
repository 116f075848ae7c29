//! Connections to endpoints. They are kept for a shorter time than endpoints keep them. A POST survives the
//! end of a kept connection.

use std::cell::Cell;
use std::io;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tower::util::MapRequestLayer;

use crate::base::config::CallbackSettings;

/// Idle connections kept to one endpoint.
const IDLE_MAX: usize = 16;

tokio::task_local! {
    /// Whether the request of this task opens a connection; otherwise it uses a kept one.
    static CONNECTS: Cell<bool>;
}

/// Follows no redirects and uses no proxy. Each endpoint sets its own timeout. It is HTTP/1.1: the repeats below
/// count connections.
pub(super) fn client(settings: &CallbackSettings) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.timeout)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(settings.idle)
        .connector_layer(MapRequestLayer::new(connecting))
        .no_proxy()
        .user_agent(concat!("im-push-gateway/", env!("CARGO_PKG_VERSION")))
}

fn connecting<T>(to: T) -> T {
    // Outside of `send` there is no value to set.
    let _ = CONNECTS.try_with(|connects| connects.set(true));
    to
}

/// Sends a request, and repeats it at once while a kept connection ends before it answers: the receiver
/// closed it, or its process is gone. Each try uses up a kept connection, so the last one opens a new one.
/// Only for requests that may be repeated.
pub(super) async fn send(request: impl Fn() -> RequestBuilder) -> reqwest::Result<Response> {
    for _ in 0..IDLE_MAX {
        let once = async {
            let sent = request().send().await;
            (sent, CONNECTS.with(Cell::get))
        };
        match CONNECTS.scope(Cell::new(false), once).await {
            (Err(error), false) if ended(&error) => {
                metrics::counter!("impg_callback_stale_connections_total").increment(1);
            }
            (sent, _) => return sent,
        }
    }
    request().send().await
}

/// Whether the connection ended before an answer.
fn ended(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    !error.is_timeout()
        && causes.any(|cause| {
            let of_hyper = |e: &hyper::Error| e.is_incomplete_message() || e.is_canceled() || e.is_closed();
            cause.downcast_ref::<hyper::Error>().is_some_and(of_hyper) || cause.is::<io::Error>()
        })
}
