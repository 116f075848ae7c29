//! The service as it is run: the real binary, a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::sandbox::{POLL, Sandbox, free_port, signal};

/// Starting takes at most this long, migrations and all.
const START: Duration = Duration::from_secs(60);
/// Stopping in order takes at most this long; more than the default `shutdown_grace_ms`.
const STOP: Duration = Duration::from_secs(30);
const LOG: &str = "service.log";
const LOG_TAIL: usize = 40;

/// One replica. Dropped, or its owner dead: killed.
pub struct Service {
    binary: PathBuf,
    settings: Vec<(String, String)>,
    /// What else is in its environment.
    environment: Vec<(String, String)>,
    metrics_port: u16,
    /// Taken from the log at the first start, and kept over restarts.
    listen: String,
    child: Option<Child>,
    sandbox: Sandbox,
}

impl Service {
    /// `binary serve` with these settings, by their keys in `config.default.toml`. Returns when
    /// it says it is ready; if it does not, that is a panic with its log.
    pub async fn start(binary: impl AsRef<Path>, settings: &[(&str, &str)]) -> Self {
        Self::try_start(binary, settings)
            .await
            .unwrap_or_else(|log| panic!("the service does not start:\n{log}"))
    }

    /// The same for settings that it should refuse: the error is its log.
    pub async fn try_start(binary: impl AsRef<Path>, settings: &[(&str, &str)]) -> Result<Self, String> {
        let (port, metrics_port) = (free_port(), free_port());
        let mut service = Self {
            binary: binary.as_ref().to_owned(),
            settings: Vec::new(),
            environment: Vec::new(),
            metrics_port,
            listen: format!("127.0.0.1:{port}"),
            child: None,
            sandbox: Sandbox::new("service", ""),
        };
        service.set("metrics_listen", &format!("127.0.0.1:{metrics_port}"));
        service.set("trusted_peers", "127.0.0.1");
        service.set("identity_roles_header", "x-user-roles");
        for (key, value) in settings {
            service.set(key, value);
        }
        service.launch().await?;
        Ok(service)
    }

    /// The binary beside a program of ours in `examples/` or `benches/`: `target/<profile>/`.
    pub fn binary_beside_us() -> PathBuf {
        let us = std::env::current_exe().expect("our own path");
        let binary =
            us.ancestors().skip(1).map(|folder| folder.join("im-push-gateway")).find(|p| p.is_file());
        binary.unwrap_or_else(|| panic!("no im-push-gateway above {}: cargo build first", us.display()))
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Sets or clears a variable of its environment for the next start.
    pub fn set_environment(&mut self, key: &str, value: Option<&str>) {
        self.environment.retain(|(other, _)| other != key);
        self.environment.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    }

    /// Starts again on the same address, after killing what still runs.
    pub async fn restart(&mut self) {
        self.kill9();
        if let Err(log) = self.launch().await {
            panic!("the service does not start again:\n{log}");
        }
    }

    /// SIGKILL. Returns when the process is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a service that runs");
        signal("TERM", &[child.id()]);
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = child.try_wait().expect("our child") {
                return status;
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                panic!("the service runs {STOP:?} after SIGTERM:\n{}", self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// `http://address:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// What a [`Client`] of the interface takes as its base.
    pub fn api(&self) -> String {
        format!("http://{}/api/v1", self.listen)
    }

    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.metrics_port)
    }

    /// All it has written so far, restarts included.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.sandbox.path().join(LOG)).unwrap_or_default()).into_owned()
    }

    pub fn log_tail(&self) -> String {
        self.sandbox.tail(LOG, LOG_TAIL)
    }

    async fn launch(&mut self) -> Result<(), String> {
        let written = self.log().len();
        let mut command = Command::new(&self.binary);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("IMPG_") {
                command.env_remove(key);
            }
        }
        command.arg("serve").env("IMPG_LOG_FORMAT", "json").env("IMPG_LISTEN", &self.listen);
        for (key, value) in &self.settings {
            command.env(format!("IMPG_{}", key.to_uppercase()), value);
        }
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        let child = self.sandbox.enter(&mut command, LOG).spawn();
        self.child = Some(child.map_err(|e| format!("{}: {e}", self.binary.display()))?);
        let deadline = Instant::now() + START;
        self.listen = loop {
            if let Some(listen) = self.log()[written..].lines().find_map(listening) {
                break listen;
            }
            self.pause(deadline).await?;
        };
        let anybody = Client::anonymous(&self.url());
        loop {
            // Over TLS, only the metrics can be asked without a certificate of its authority.
            let ready = match self.settings.iter().any(|(key, _)| key == "tls_certificate_file") {
                true => reqwest::get(self.metrics_url()).await.is_ok(),
                false => {
                    let reply = anybody.try_call(reqwest::Method::GET, "/readyz", None).await;
                    reply.is_ok_and(|reply| reply.status == 200)
                }
            };
            if ready {
                return Ok(());
            }
            self.pause(deadline).await?;
        }
    }

    /// One turn of waiting for a start: fails with the log when there is nothing to wait for.
    async fn pause(&mut self, deadline: Instant) -> Result<(), String> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("our child"));
        if let Some(status) = ended {
            return Err(format!("{}\n{status}", self.log_tail()));
        }
        if Instant::now() >= deadline {
            return Err(format!("{}\nnot ready after {START:?}", self.log_tail()));
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// The address in a log line that announces it; fields may stand beside the message or below it.
fn listening(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields["message"] != "listening" {
        return None;
    }
    fields["listen"].as_str().map(str::to_owned)
}
