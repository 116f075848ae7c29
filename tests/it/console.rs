//! The console: pages in Chromium, and what other sites and other callers cannot do. And the page of the demo.

mod developer;
mod forms;
mod operations;
mod pages;
mod sign_in;
mod trial;
mod tryit;
mod upkeep;

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How pages are looked at: language, colours and width.
const LOOKS: [(&str, &str, u32); 4] =
    [("zh", "light", 1280), ("zh", "dark", 390), ("en", "dark", 1280), ("en", "light", 390)];

/// Has Chromium look at pages of the console, as `tests/console/browse.mjs` says.
async fn browse(plan: &Value) -> Value {
    run("browse", plan).await
}

/// Runs a script of `tests/console` with a plan, and returns what it has found.
pub async fn run(script: &str, plan: &Value) -> Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut child = Command::new("node")
        .arg(format!("{root}/tests/console/{script}.mjs"))
        .env("CONSOLE_HOME", format!("{root}/.cache/console"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs: tests/tools ensure chromium");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(plan.to_string().as_bytes()).await.expect("the plan is read");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    serde_json::from_str(said.lines().last().expect("a line")).expect("JSON")
}
