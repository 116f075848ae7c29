//! The OpenTelemetry collector: a process of its own that takes spans, and passes them on to us as JSON.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::receiver::Receiver;
use super::sandbox::{POLL, Sandbox, free_port};

/// From tests/tools; see `tests/collector`.
const BINARY: &str = "otelcol";
const LOG: &str = "otelcol.log";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(60);

/// The collector. Dropped, or its owner dead: killed.
pub struct Collector {
    port: u16,
    child: Child,
    sandbox: Sandbox,
    passed: Receiver,
}

/// A span as the collector has read it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSeen(pub Value);

impl Collector {
    /// Returns when it listens.
    pub async fn start() -> Self {
        let (sandbox, port, passed) = (Sandbox::new("otelcol", ""), free_port(), Receiver::start().await);
        // It answers after it has passed the spans on.
        let settings = format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: 127.0.0.1:{port}\n\
             exporters:\n  otlp_http:\n    traces_endpoint: {}\n    encoding: json\n    compression: none\n    \
             sending_queue: {{enabled: false}}\n    retry_on_failure: {{enabled: false}}\n\
             service:\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [otlp_http]}}\n",
            passed.url()
        );
        fs::write(sandbox.path().join("settings.yaml"), settings).expect("settings");
        let mut command = Command::new(BINARY);
        let child = sandbox.enter(command.args(["--config", "settings.yaml"]), LOG).spawn();
        let child = child.unwrap_or_else(|e| panic!("{BINARY}: {e}; tests/tools ensure otelcol"));
        let started = Self { port, child, sandbox, passed };
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "no answer after {START:?}:\n{}",
                started.sandbox.tail(LOG, 40)
            );
            tokio::time::sleep(POLL).await;
        }
        started
    }

    /// `traces_url` of a service.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// All that it has taken, as text.
    pub fn text(&self) -> String {
        let bodies = self.passed.received().into_iter().map(|request| request.body);
        bodies.map(|body| String::from_utf8(body).expect("text") + "\n").collect()
    }

    /// The spans that it has taken, in the order in which they ended.
    pub fn spans(&self) -> Vec<SpanSeen> {
        let bodies = self.text();
        let requests = bodies.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        requests
            .flat_map(|request| list(&request, "resourceSpans"))
            .flat_map(|of_resource| list(&of_resource, "scopeSpans"))
            .flat_map(|of_scope| list(&of_scope, "spans"))
            .map(SpanSeen)
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SpanSeen {
    /// A field of OTLP, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.field("name")
    }

    /// `<trace>-<span>`, as in `traceparent`.
    pub fn ids(&self) -> String {
        format!("{}-{}", self.field("traceId"), self.field("spanId"))
    }

    /// An attribute, as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        let attributes = self.0["attributes"].as_array()?;
        let value = &attributes.iter().find(|attribute| attribute["key"] == key)?["value"];
        let text = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
        text.map(str::to_owned)
    }

    /// The spans of other traces that it names.
    pub fn links(&self) -> Vec<String> {
        let links = self.0["links"].as_array().cloned().unwrap_or_default();
        links.into_iter().map(|link| SpanSeen(link).ids()).collect()
    }
}
