//! Files: uploaded at once or in parts, cut anywhere, read again; and what is refused leaves nothing.

mod full;
mod killed;
mod messages;
mod outside;
mod pictures;
mod protocol;
mod swept;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::{LOOK, TestApp, text};
use crate::support::{Client, Reply};

/// Small pieces, so that a small file has many.
pub const SMALL: &str = "file_piece_bytes = 65536\n";
pub const PIECE: usize = 65_536;
pub const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
pub const BYTES: (&str, &str) = ("content-type", "application/offset+octet-stream");

/// Bytes that no compression and no zeros can hide behind.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 11).to_le_bytes()[..6]);
    }
    bytes.truncate(length);
    bytes
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key} {}", BASE64_STANDARD.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Stores a file in one request.
pub async fn put(person: &Client, name: &str, bytes: &[u8]) -> Value {
    person.raw("POST", &format!("/files?name={name}"), &[], bytes).await.0.expect(201)
}

/// Begins an upload and returns its id.
pub async fn begin(person: &Client, name: &str, size: usize) -> String {
    let (size, metadata) = (size.to_string(), metadata(&[("filename", name)]));
    let headers = [TUS, ("upload-length", &*size), ("upload-metadata", &*metadata)];
    let (reply, _) = person.raw("POST", "/files/uploads", &headers, &[]).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.header("location").strip_prefix("uploads/").expect("a relative reference").to_owned()
}

/// Sends bytes from an offset on.
pub async fn send(person: &Client, id: &str, offset: usize, bytes: &[u8]) -> Reply {
    let offset = offset.to_string();
    person
        .raw("PATCH", &format!("/files/uploads/{id}"), &[TUS, BYTES, ("upload-offset", &*offset)], bytes)
        .await
        .0
}

/// Where an upload goes on.
pub async fn offset(person: &Client, id: &str) -> usize {
    let (reply, _) = person.raw("HEAD", &format!("/files/uploads/{id}"), &[TUS], &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("upload-offset").parse().expect("an offset")
}

pub async fn read(person: &Client, id: &str) -> Vec<u8> {
    let (reply, bytes) = person.raw("GET", &format!("/files/{id}/content"), &[], &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    bytes
}

/// Everything that lies in a file store, but its mark.
pub fn lying(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.ends_with("store-id") => {}
                path => drop(found.insert(path)),
            }
        }
    }
    found
}

/// Waits until the store holds this many objects, each part of a file.
pub async fn holds(app: &TestApp, objects: usize) {
    app.until("SELECT count(*) FROM t_im_file_object WHERE drop_after IS NOT NULL", 0).await;
    app.until("SELECT count(*) FROM t_im_file_object", i64::try_from(objects).unwrap()).await;
    while lying(&app.files).len() != objects {
        tokio::time::sleep(LOOK).await;
    }
}

/// The setting that links need.
pub const KEY: &str = "file_link_keys = [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]\n";

/// Every operation on files, with success. Needs [`KEY`].
pub async fn exercise(app: &TestApp) {
    let a = app.person("a");
    let id = text(&put(&a, "hello.txt", b"hello").await["file_id"]);
    a.get(&format!("/files/{id}")).await.expect(200);
    assert_eq!(read(&a, &id).await, b"hello");
    a.get("/users/me/files").await.expect(200);
    let link = a.get(&format!("/files/{id}/link")).await.expect(200);
    assert_eq!(Client::anonymous(&app.base).raw("GET", &text(&link["url"]), &[], &[]).await.1, b"hello");
    a.delete(&format!("/files/{id}")).await.expect(204);
    for path in ["/files/uploads", "/files/uploads/1"] {
        assert_eq!(a.raw("OPTIONS", path, &[], &[]).await.0.status, 204);
    }
    let id = begin(&a, "hello.txt", 5).await;
    assert_eq!(offset(&a, &id).await, 0);
    assert_eq!(send(&a, &id, 0, b"hel").await.status, 204);
    let path = format!("/files/uploads/{id}");
    let patch = [TUS, BYTES, ("upload-offset", "3"), ("x-http-method-override", "PATCH")];
    assert_eq!(a.raw("POST", &path, &patch, b"lo").await.0.status, 204);
    assert_eq!(a.raw("DELETE", &path, &[TUS], &[]).await.0.status, 204);
}

#[tokio::test]
async fn a_file_in_one_request_is_read_again_by_its_uploader_alone() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let bytes = noise(3 * PIECE + 17, 1);
    let file = put(&a, "%E5%90%88%E5%90%8C%20final.bin", &bytes).await;
    assert_eq!(file["name"], "合同 final.bin");
    assert_eq!((&file["size"], &file["state"]), (&json!(bytes.len()), &json!("ready")));
    assert_eq!(
        (&file["sha256"], &file["media_type"]),
        (&json!(hex(&bytes)), &json!("application/octet-stream"))
    );
    let id = text(&file["file_id"]);
    let path = format!("/files/{id}/content");
    let (reply, got) = a.raw("GET", &path, &[], &[]).await;
    assert!(got == bytes, "byte for byte");
    for (header, value) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private, no-cache"),
        ("accept-ranges", "bytes"),
        ("etag", &format!("\"{}\"", hex(&bytes))),
        (
            "content-disposition",
            "attachment; filename=\"__ final.bin\"; filename*=UTF-8''%E5%90%88%E5%90%8C%20final.bin",
        ),
    ] {
        assert_eq!(reply.header(header), value, "{header}");
    }
    let (head, none) = a.raw("HEAD", &path, &[], &[]).await;
    assert_eq!((head.status, none.len(), head.header("content-length")), (200, 0, &*bytes.len().to_string()));
    for (of, method) in
        [(&path[..], "GET"), (&format!("/files/{id}"), "GET"), (&format!("/files/{id}"), "DELETE")]
    {
        b.raw(method, of, &[], &[]).await.0.expect_problem(404, "not-found");
    }
    app.client("root", &["admin"]).raw("GET", &path, &[], &[]).await.0.expect(403);
    a.delete(&format!("/files/{id}")).await.expect(204);
    a.get(&path).await.expect(404);
    holds(&app, 0).await;
}

#[tokio::test]
async fn every_range_is_that_part_of_the_file() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise(2 * PIECE + 1_000, 2);
    let file = put(&a, "ranges", &bytes).await;
    let path = format!("/files/{}/content", text(&file["file_id"]));
    let size = bytes.len();
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=65530-65545", 65_530..65_546),
        ("bytes=1-131073", 1..131_074),
        ("bytes=131000-", 131_000..size),
        ("bytes=-2000", size - 2_000..size),
        ("bytes=0-999999999", 0..size),
    ] {
        let (reply, got) = a.raw("GET", &path, &[("range", range)], &[]).await;
        assert_eq!(reply.status, 206, "{range}");
        let told = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(reply.header("content-range"), told);
        assert!(got == bytes[part], "{range}");
    }
    let (reply, _) = a.raw("GET", &path, &[("range", "bytes=999999-")], &[]).await;
    assert_eq!(reply.header("content-range"), format!("bytes */{size}"));
    reply.expect_problem(416, "range-not-satisfiable");
    let tag = format!("\"{}\"", hex(&bytes));
    assert_eq!(a.raw("GET", &path, &[("if-none-match", &tag)], &[]).await.0.status, 304);
    a.raw("GET", &path, &[("if-match", "\"x\"")], &[]).await.0.expect_problem(412, "precondition-failed");
    let changed = a.raw("GET", &path, &[("if-range", "\"x\""), ("range", "bytes=0-0")], &[]).await;
    assert_eq!((changed.0.status, changed.1.len()), (200, size));
}

#[tokio::test]
async fn names_are_cleaned_or_refused_and_types_are_found() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let a = app.person("a");
    for (name, kept) in [("..%2F..%2Fetc%2Fpasswd", "passwd"), ("C:%5Cfakepath%5Ca.pdf", "a.pdf")] {
        assert_eq!(put(&a, name, b"x").await["name"], kept);
    }
    for name in ["", "..", "a%2F", "invoice_%E2%80%AEfdp.exe", "a%0Ab", "%E2%80%8B", &"x".repeat(256)] {
        let path = format!("/files?name={name}");
        let problem = a.raw("POST", &path, &[], b"x").await.0.expect_problem(400, "invalid-parameter");
        assert_eq!(problem["pointer"], "name", "{name}");
    }
    // What the uploader calls it does not count.
    for (name, claimed, bytes, found) in [
        ("cat.png", "image/png", &b"<!DOCTYPE html><script>alert(1)</script>"[..], "text/html"),
        ("cat.png", "image/png", b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
        ("cat.svg", "image/png", b"<svg onload=\"alert(1)\"/>", "image/svg+xml"),
        ("notes", "image/png", "你好".as_bytes(), "text/plain"),
    ] {
        let path = format!("/files?name={name}");
        let file = a.raw("POST", &path, &[("content-type", claimed)], bytes).await.0.expect(201);
        assert_eq!(file["media_type"], found);
        let content = format!("/files/{}/content", text(&file["file_id"]));
        let (reply, _) = a.raw("GET", &content, &[], &[]).await;
        assert!(reply.header("content-disposition").starts_with("attachment;"), "{found} is not shown");
        assert_eq!(reply.header("content-type"), found);
    }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let limits = "file_max_bytes = 200000\nfile_post_max_bytes = 100000\nfile_quota_bytes = 300000\nfile_quota_files = 3\n";
    let app = TestApp::start_with(&format!("{SMALL}{limits}")).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let post =
        async |query: &str, bytes: &[u8]| a.raw("POST", &format!("/files?{query}"), &[], bytes).await.0;
    post("name=a", &noise(100_001, 1)).await.expect_problem(413, "too-large");
    post("name=a&sha256=00", b"x").await.expect_problem(400, "invalid-parameter");
    let wrong = hex(b"another");
    post(&format!("name=a&sha256={wrong}"), &noise(90_000, 3)).await.expect_problem(460, "checksum-mismatch");
    post("name=a&kind=x", b"x").await.expect_problem(400, "invalid-parameter");
    let form = [("content-type", "multipart/form-data; boundary=x")];
    a.raw("POST", "/files?name=a", &form, b"--x--").await.0.expect_problem(415, "unsupported-media-type");
    a.raw("POST", "/files?name=a", &[("content-encoding", "gzip")], b"x").await.0.expect(415);
    holds(&app, 0).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_file", &[]).await, 0);
    begin(&a, "one", 200_000).await;
    let size = [TUS, ("upload-length", "200001"), ("upload-metadata", "filename YQ==")];
    a.raw("POST", "/files/uploads", &size, &[]).await.0.expect_problem(413, "too-large");
    let size = [TUS, ("upload-length", "100001"), ("upload-metadata", "filename YQ==")];
    a.raw("POST", "/files/uploads", &size, &[]).await.0.expect_problem(413, "quota-exceeded");
    put(&a, "two", b"2").await;
    put(&a, "three", b"3").await;
    post("name=four", b"4").await.expect_problem(413, "quota-exceeded");
    let usage = a.get("/users/me/files").await.expect(200)["usage"].clone();
    let expected = json!({"files": 3, "bytes": 200_002, "quota_files": 3, "quota_bytes": 300_000});
    assert_eq!(usage, expected);
}

#[tokio::test]
async fn a_repeat_with_the_same_client_id_stores_one_file() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let bytes = noise(PIECE, 4);
    let post =
        async |who: &Client, bytes: &[u8]| who.raw("POST", "/files?name=a&client_id=c1", &[], bytes).await.0;
    let first = post(&a, &bytes).await.expect(201);
    assert_eq!(post(&a, &bytes).await.expect(200), first);
    post(&a, b"another").await.expect_problem(409, "client-id-reused");
    assert_ne!(post(&b, &bytes).await.expect(201)["file_id"], first["file_id"]);
    // A call that failed stored nothing. Its repeat begins anew.
    let failed = format!("/files?name=a&client_id=c3&sha256={}", hex(b"another"));
    a.raw("POST", &failed, &[], &bytes).await.0.expect_problem(460, "checksum-mismatch");
    let third = a.raw("POST", "/files?name=a&client_id=c3", &[], &bytes).await.0.expect(201);
    assert_eq!(a.raw("POST", "/files?name=a&client_id=c3", &[], &bytes).await.0.expect(200), third);
    let meta = metadata(&[("filename", "a"), ("client_id", "c2")]);
    let headers = [TUS, ("upload-length", "9"), ("upload-metadata", &*meta)];
    let made = [
        a.raw("POST", "/files/uploads", &headers, &[]).await.0,
        a.raw("POST", "/files/uploads", &headers, &[]).await.0,
    ];
    assert_eq!(made[0].status, 201);
    assert_eq!(made[0].header("location"), made[1].header("location"));
    holds(&app, 3).await;
}

#[tokio::test]
async fn a_user_pages_through_the_own_files() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let a = app.person("a");
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(text(&put(&a, &format!("f{n}"), b"x").await["file_id"]));
    }
    put(&app.person("b"), "other", b"x").await;
    let listed: Vec<String> =
        app.all(&a, "/users/me/files?limit=2").await.iter().map(|file| text(&file["file_id"])).collect();
    ids.reverse();
    assert_eq!(listed, ids);
}
