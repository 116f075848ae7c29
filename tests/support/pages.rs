//! The scripts that use pages with Chromium.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs a script of `tests/console` with a plan, and returns what it prints at its end.
pub async fn run_script(script: &str, plan: &Value) -> Value {
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
