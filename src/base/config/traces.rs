//! Settings of the traces that go to a collector.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::values::{Secret, broken, list, millis, no_time, no_url, web_url};

/// Most spans that wait. One takes about a kilobyte.
const QUEUE_MAX: usize = 100_000;

/// Settings of the traces that go to a collector.
#[derive(Debug, Clone, Deserialize)]
pub struct TraceSettings {
    #[serde(rename = "traces_url")]
    pub url: String,
    #[serde(rename = "traces_headers", deserialize_with = "list")]
    pub headers: Vec<Secret>,
    #[serde(rename = "traces_service_name")]
    pub service_name: String,
    #[serde(rename = "traces_share")]
    pub share: f64,
    #[serde(rename = "traces_queue")]
    pub queue: usize,
    #[serde(rename = "traces_batch")]
    pub batch: usize,
    #[serde(rename = "traces_wait_ms", deserialize_with = "millis")]
    pub wait: Duration,
    #[serde(rename = "traces_timeout_ms", deserialize_with = "millis")]
    pub timeout: Duration,
}

impl TraceSettings {
    /// The address of the collector, if traces go to one.
    pub fn collector(&self) -> Option<Url> {
        web_url(&self.url)
    }

    /// The headers of a request to the collector.
    ///
    /// # Errors
    /// The setting that is wrong, without its value.
    pub fn headers(&self) -> Result<HeaderMap, &'static str> {
        let header = |given: &Secret| {
            let (name, value) = given.expose().split_once(':')?;
            let name = HeaderName::try_from(name.trim()).ok()?;
            let mut value = HeaderValue::try_from(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        };
        let headers: Option<HeaderMap> = self.headers.iter().map(header).collect();
        headers.ok_or("`traces_headers` must be headers such as \"authorization: Bearer …\"")
    }

    pub(super) fn check(&self) -> Vec<String> {
        let has_password =
            self.collector().is_some_and(|url| !url.username().is_empty() || url.password().is_some());
        let rules = broken(&[
            (
                no_url(&self.url),
                "`traces_url` must be empty, or the whole address such as `http://127.0.0.1:4318/v1/traces`",
            ),
            (has_password, "`traces_url` must have no user and password: set `traces_headers`"),
            (self.service_name.is_empty(), "`traces_service_name` must not be empty"),
            (!(0.0..=1.0).contains(&self.share), "`traces_share` must be 0 to 1"),
            (!(1..=QUEUE_MAX).contains(&self.queue), "`traces_queue` must be 1 to 100000"),
            (
                !(1..=self.queue).contains(&self.batch),
                "`traces_batch` must be at least 1, and at most `traces_queue`",
            ),
            (no_time(self.wait), "`traces_wait_ms` must be 1 ms to a day"),
            (no_time(self.timeout), "`traces_timeout_ms` must be 1 ms to a day"),
        ]);
        [rules, self.headers().err().map(str::to_owned).into_iter().collect()].concat()
    }
}
