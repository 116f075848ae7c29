//! Clients and stores that others wrote: tus-js-client, and moto as a server of S3.

use std::process::Stdio;

use tokio::process::Command;

use super::*;
use crate::app;
use crate::support::{Cutter, S3, Service, shared};

const MEGABYTE: usize = 1_000_000;

/// The most memory that a process has had, in megabytes.
fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024
}

#[tokio::test]
async fn a_client_of_browsers_uploads_200_megabytes_over_a_network_that_breaks_twenty_times() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = format!("folder:{}", folder.path().join("store").display());
    let url = shared().url(&app::database().await);
    let service = Service::start(
        env!("CARGO_BIN_EXE_im-push-gateway"),
        &[("database_url", &url), ("file_store", &store)],
    )
    .await;
    let hr = Client::new(&service.api(), "hr", &["directory"]);
    hr.post("/directory/changes", json!({"users": [{"user_id": "a", "name": "A"}]})).await.expect(200);
    let bytes = noise(200 * MEGABYTE, 13);
    let file = folder.path().join("large");
    std::fs::write(&file, &bytes).unwrap();
    let before = most_memory(service.pid().unwrap());
    let cutter = Cutter::start(service.url().strip_prefix("http://").unwrap(), 9 * MEGABYTE, 20).await;
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/upload.mjs"))
        .env("TUS_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/tus"))
        .env("ENDPOINT", format!("{}/api/v1/files/uploads", cutter.url()))
        .env("USER_ID", "a")
        .env("FILE", &file)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("node runs: tests/tools ensure tus-js-client");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(cutter.cuts(), 20, "{said}");
    let told: Value = serde_json::from_str(said.lines().last().expect("a line")).unwrap();
    let id = text(&told["url"]).rsplit_once('/').unwrap().1.to_owned();
    let a = Client::new(&service.api(), "a", &[]);
    let file = a.get(&format!("/files/{id}")).await.expect(200);
    assert_eq!((&file["name"], &file["state"]), (&json!("大文件.bin"), &json!("ready")));
    assert!(read(&a, &id).await == bytes, "byte for byte");
    assert_eq!(file["sha256"], hex(&bytes));
    let after = most_memory(service.pid().unwrap());
    assert!(after - before < 100, "from {before} to {after} MB: the file was never in memory");
}

#[tokio::test]
async fn files_in_s3_are_written_read_and_removed_as_in_a_folder() {
    let s3 = S3::start().await;
    let timeout = "file_store_timeout_ms = 1000\n";
    let app = TestApp::start_with(&format!("{SMALL}{timeout}{}", s3.settings())).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise(3 * PIECE + 5, 14);
    let id = begin(&a, "a", bytes.len()).await;
    for (from, to) in [(0, 100), (100, PIECE + 1), (PIECE + 1, bytes.len())] {
        assert_eq!(send(&a, &id, from, &bytes[from..to]).await.status, 204);
    }
    assert!(read(&a, &id).await == bytes);
    let range = [("range", "bytes=65530-131080")];
    let (_, part) = a.raw("GET", &format!("/files/{id}/content"), &range, &[]).await;
    assert!(part == bytes[65_530..131_081]);
    let objects = "SELECT count(*) FROM t_im_file_object";
    app.until(objects, 4).await;
    assert_eq!(s3.keys().await.len(), 4);
    assert!(s3.keys().await.iter().all(|key| key.starts_with("im/files/")));
    // The store is away, and comes back.
    s3.pause();
    let post = async |name: &str| a.raw("POST", &format!("/files?name={name}"), &[], b"hello").await.0;
    post("b").await.expect_problem(503, "unavailable");
    s3.resume();
    let other = text(&post("c").await.expect(201)["file_id"]);
    assert!(read(&a, &id).await == bytes);
    for id in [&id, &other] {
        a.delete(&format!("/files/{id}")).await.expect(204);
    }
    app.until(objects, 0).await;
    assert_eq!(s3.keys().await, [] as [String; 0]);
    // Another database finds that the bucket is taken.
    let second = TestApp::start_with(&s3.settings()).await;
    second.people(&["a"]).await;
    second.person("a").raw("POST", "/files?name=a", &[], b"x").await.0.expect_problem(503, "unavailable");
}
