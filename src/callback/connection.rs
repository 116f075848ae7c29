//! Connections to endpoints: kept for less time than receivers keep them, and one that has ended under a
//! POST fails nothing.

use std::cell::Cell;
use std::io;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tower::util::MapRequestLayer;

use crate::config::Config;

/// Idle connections kept to one endpoint.
const IDLE_MAX: usize = 16;

tokio::task_local! {
    /// Whether the request of this task has begun to connect; else it was given a connection that was there.
    static CONNECTS: Cell<bool>;
}

/// Refuses redirects and asks no proxy. How long a POST may take, its endpoint says.
pub(super) fn client(config: &Config) -> ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.callback_timeout)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(config.callback_idle)
        .connector_layer(MapRequestLayer::new(connecting))
        .no_proxy()
        .user_agent(concat!("im-push-gateway/", env!("CARGO_PKG_VERSION")))
}

fn connecting<T>(to: T) -> T {
    // Outside of `send` it does not matter to anybody.
    let _ = CONNECTS.try_with(|connects| connects.set(true));
    to
}

/// Sends a request, again at once while a connection that was kept ends before it answers: the receiver had
/// closed it, or its process has gone. Each try uses up a kept connection, and the last one is a new one.
/// Only for what may be sent twice.
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

/// Whether the connection ended before anything was answered.
fn ended(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    !error.is_timeout()
        && causes.any(|cause| {
            let of_hyper = |e: &hyper::Error| e.is_incomplete_message() || e.is_canceled() || e.is_closed();
            cause.downcast_ref::<hyper::Error>().is_some_and(of_hyper) || cause.is::<io::Error>()
        })
}
