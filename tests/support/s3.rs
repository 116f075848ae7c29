//! An S3 server from outside: moto, which `tests/tools ensure moto` gets. It keeps objects in memory.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::Sandbox;
use super::sandbox::{POLL, free_port, signal};

const BUCKET: &str = "company";
const START: Duration = Duration::from_secs(60);

pub struct S3 {
    port: u16,
    server: Child,
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl S3 {
    /// Starts a server with an empty bucket.
    pub async fn start() -> Self {
        let (sandbox, port) = (Sandbox::new("s3", ""), free_port());
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/bin/moto_server");
        let mut command = Command::new(&binary);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = sandbox.enter(&mut command, "log").spawn();
        let server = server.unwrap_or_else(|e| panic!("{}: {e}; tests/tools ensure moto", binary.display()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let s3 = Self { port, server, sandbox, http };
        let deadline = Instant::now() + START;
        while s3.http.put(s3.bucket()).send().await.is_err() {
            assert!(Instant::now() < deadline, "moto does not start:\n{}", s3.sandbox.tail("log", 50));
            tokio::time::sleep(POLL).await;
        }
        s3
    }

    /// The settings (TOML) of a service that keeps its files here.
    pub fn settings(&self) -> String {
        format!(
            "file_store = \"s3://{BUCKET}/im/files\"\nfile_s3_endpoint = \"http://127.0.0.1:{}\"\n\
             file_s3_access_key = \"test\"\nfile_s3_secret_key = \"test\"\n",
            self.port
        )
    }

    fn bucket(&self) -> String {
        format!("http://127.0.0.1:{}/{BUCKET}", self.port)
    }

    /// The keys in the bucket, but the store's mark.
    pub async fn keys(&self) -> Vec<String> {
        let listing =
            self.http.get(format!("{}?list-type=2", self.bucket())).send().await.expect("a listing");
        let listing = listing.text().await.expect("a text");
        let keys =
            listing.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()));
        keys.filter(|key| !key.ends_with("/store-id")).collect()
    }

    /// Stops answering, and answers again.
    pub fn pause(&self) {
        signal("STOP", &[self.server.id()]);
    }

    pub fn resume(&self) {
        signal("CONT", &[self.server.id()]);
    }
}
