//! tus 1.0, request by request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A request that stays open: its head says more bytes than come.
pub async fn open_patch(app: &TestApp, person: &str, id: &str, at: usize, length: usize) -> TcpStream {
    let address = app.base.strip_prefix("http://").expect("an address");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "PATCH /api/v1/files/uploads/{id} HTTP/1.1\r\nhost: {address}\r\nx-user-id: {person}\r\ntus-resumable: 1.0.0\r\n\
         content-type: application/offset+octet-stream\r\nupload-offset: {at}\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("a head is sent");
    socket
}

async fn until_stored(app: &TestApp, id: &str, bytes: usize) {
    let stored = format!("SELECT stored FROM t_im_file WHERE file_id = {id}");
    app.until(&stored, i64::try_from(bytes).unwrap()).await;
}

const LOCKED: &str = "SELECT count(*) FROM t_im_file WHERE locked_until IS NOT NULL";

#[tokio::test]
async fn an_upload_says_what_it_is_and_where_it_goes_on() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let (offer, _) = a.raw("OPTIONS", "/files/uploads", &[], &[]).await;
    for (header, value) in [
        ("tus-resumable", "1.0.0"),
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,creation-with-upload,checksum,expiration,termination"),
        ("tus-max-size", "2147483648"),
        ("tus-checksum-algorithm", "sha1,sha256,sha512"),
    ] {
        assert_eq!(offer.header(header), value);
    }
    let bytes = noise(2 * PIECE + 5, 5);
    let size = bytes.len().to_string();
    let meta = format!("{},is_confidential", metadata(&[("filename", "纸.bin"), ("filetype", "image/png")]));
    let headers = [TUS, ("upload-length", &*size), ("upload-metadata", &*meta)];
    let (made, _) = a.raw("POST", "/files/uploads", &headers, &[]).await;
    let id = made.header("location").strip_prefix("uploads/").unwrap().to_owned();
    assert!(made.header("upload-expires").ends_with(" GMT"), "{made:?}");
    let path = format!("/files/uploads/{id}");
    let (head, _) = a.raw("HEAD", &path, &[TUS], &[]).await;
    assert_eq!((head.header("upload-offset"), head.header("upload-length")), ("0", &*size));
    assert_eq!((head.header("upload-metadata"), head.header("cache-control")), (&*meta, "no-store"));
    a.get(&format!("/files/{id}/content")).await.expect_problem(404, "not-found");
    assert_eq!(a.get(&format!("/files/{id}")).await.expect(200)["state"], "uploading");
    for (method, headers) in
        [("HEAD", &[TUS][..]), ("PATCH", &[TUS, BYTES, ("upload-offset", "0")]), ("DELETE", &[TUS])]
    {
        assert_eq!(b.raw(method, &path, headers, b"x").await.0.status, 404, "{method}");
    }
    let first = send(&a, &id, 0, &bytes[..100]).await;
    assert_eq!((first.status, first.header("upload-offset")), (204, "100"));
    assert!(!first.header("upload-expires").is_empty());
    let (head, _) = a.raw("HEAD", &path, &[TUS], &[]).await;
    let nothing = send(&a, &id, 100, &[]).await;
    assert_eq!(nothing.header("upload-expires"), head.header("upload-expires"), "no byte came");
    send(&a, &id, 0, &bytes[..100]).await.expect_problem(409, "conflict");
    send(&a, &id, 101, &bytes[101..]).await.expect_problem(409, "conflict");
    send(&a, &id, 100, &noise(bytes.len(), 6)).await.expect_problem(413, "too-large");
    let last = send(&a, &id, 100, &bytes[100..]).await;
    assert_eq!((last.status, last.header("upload-offset"), last.header("upload-expires")), (204, &*size, ""));
    assert_eq!(offset(&a, &id).await, bytes.len());
    assert_eq!(send(&a, &id, bytes.len(), &[]).await.status, 204, "the last request again");
    assert!(read(&a, &id).await == bytes);
    holds(&app, 3).await;
}

#[tokio::test]
async fn requests_that_break_the_protocol_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let id = begin(&a, "a", 10).await;
    let path = format!("/files/uploads/{id}");
    let (old, _) = a.raw("HEAD", &path, &[("tus-resumable", "0.2.2")], &[]).await;
    assert_eq!((old.status, old.header("tus-version"), old.header("tus-resumable")), (412, "1.0.0", "1.0.0"));
    a.raw("PATCH", &path, &[BYTES, ("upload-offset", "0")], b"x")
        .await
        .0
        .expect_problem(412, "precondition-failed");
    let json = ("content-type", "application/json");
    a.raw("PATCH", &path, &[TUS, json, ("upload-offset", "0")], b"{}").await.0.expect(415);
    for at in ["", "-1", "1.5", "+1", "99999999999999999999"] {
        a.raw("PATCH", &path, &[TUS, BYTES, ("upload-offset", at)], b"x").await.0.expect(400);
    }
    a.raw("PATCH", &path, &[TUS, BYTES], b"x").await.0.expect_problem(400, "invalid-parameter");
    for (wrong, value) in [("upload-length", "-1"), ("upload-length", "many"), ("upload-defer-length", "1")] {
        let headers = [TUS, (wrong, value), ("upload-metadata", "filename YQ==")];
        a.raw("POST", "/files/uploads", &headers, &[]).await.0.expect_problem(400, "invalid-parameter");
    }
    for meta in ["", "filename", "filename ***", "filename /////w==", "name YQ==,name Yg==", "filename Lg=="]
    {
        let headers = [TUS, ("upload-length", "1"), ("upload-metadata", meta)];
        let problem = a.raw("POST", "/files/uploads", &headers, &[]).await.0.expect(400);
        assert_eq!(problem["pointer"], "upload-metadata", "{meta}");
    }
    a.raw("POST", &path, &[TUS], &[]).await.0.expect_problem(405, "method-not-allowed");
    a.raw("GET", &path, &[TUS], &[]).await.0.expect(405);
    assert_eq!(offset(&a, &id).await, 0);
    assert_eq!(app.count("SELECT count(*) FROM t_im_file", &[]).await, 1);
    assert_eq!(lying(&app.files).len(), 0);
}

#[tokio::test]
async fn a_wrong_checksum_discards_the_request_and_no_more() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise(3 * PIECE, 7);
    let id = begin(&a, "a", bytes.len()).await;
    assert_eq!(send(&a, &id, 0, &bytes[..70_000]).await.status, 204);
    let path = format!("/files/uploads/{id}");
    let sum = |bytes: &[u8]| format!("sha256 {}", BASE64_STANDARD.encode(Sha256::digest(bytes)));
    let patch = async |sum: &str| {
        let headers = [TUS, BYTES, ("upload-offset", "70000"), ("upload-checksum", sum)];
        a.raw("PATCH", &path, &headers, &bytes[70_000..]).await.0
    };
    patch(&sum(b"another")).await.expect_problem(460, "checksum-mismatch");
    assert_eq!(offset(&a, &id).await, 70_000);
    for unknown in ["crc32 AAAA", "sha256 AAAA", "sha256"] {
        patch(unknown).await.expect_problem(400, "invalid-parameter");
    }
    assert_eq!(patch(&sum(&bytes[70_000..])).await.status, 204);
    assert!(read(&a, &id).await == bytes);
    holds(&app, 3).await;
    // The whole file by its own sum.
    let meta = metadata(&[("filename", "a"), ("sha256", &hex(b"another"))]);
    let headers = [TUS, ("upload-length", "5"), ("upload-metadata", &*meta)];
    let (made, _) = a.raw("POST", "/files/uploads", &headers, &[]).await;
    let id = made.header("location").strip_prefix("uploads/").unwrap().to_owned();
    send(&a, &id, 0, b"hello").await.expect_problem(460, "checksum-mismatch");
    a.get(&format!("/files/{id}")).await.expect(404);
    holds(&app, 3).await;
}

#[tokio::test]
async fn a_creation_can_bring_bytes_and_an_empty_file_needs_none() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let headers = [TUS, BYTES, ("upload-length", "5"), ("upload-metadata", "filename YQ==")];
    let (made, _) = a.raw("POST", "/files/uploads", &headers, b"hel").await;
    assert_eq!((made.status, made.header("upload-offset")), (201, "3"));
    let id = made.header("location").strip_prefix("uploads/").unwrap().to_owned();
    assert_eq!(send(&a, &id, 3, b"lo").await.status, 204);
    assert_eq!(read(&a, &id).await, b"hello");
    // A repeat says where the client goes on, too.
    let meta = metadata(&[("filename", "a"), ("client_id", "c1")]);
    let headers = [TUS, BYTES, ("upload-length", "5"), ("upload-metadata", &*meta)];
    for _ in 0..2 {
        let (made, _) = a.raw("POST", "/files/uploads", &headers, b"hel").await;
        assert_eq!((made.status, made.header("upload-offset")), (201, "3"));
    }
    let empty = begin(&a, "empty", 0).await;
    let file = a.get(&format!("/files/{empty}")).await.expect(200);
    assert_eq!((&file["state"], &file["sha256"]), (&json!("ready"), &json!(hex(b""))));
    assert_eq!(read(&a, &empty).await, b"");
}

#[tokio::test]
async fn with_an_address_in_the_settings_the_location_is_whole() {
    let app = TestApp::start_with("file_url = \"https://im.example.com/im/api/v1/files\"\n").await;
    app.people(&["a"]).await;
    let headers = [TUS, ("upload-length", "5"), ("upload-metadata", "filename YQ==")];
    let (made, _) = app.person("a").raw("POST", "/files/uploads", &headers, &[]).await;
    assert!(
        made.header("location").starts_with("https://im.example.com/im/api/v1/files/uploads/"),
        "{made:?}"
    );
}

#[tokio::test]
async fn an_upload_goes_on_after_cuts_at_any_byte() {
    let app = TestApp::start_with(&format!("{SMALL}file_flush_ms = 20\n")).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise(5 * PIECE + 1_234, 8);
    let id = begin(&a, "a", bytes.len()).await;
    let mut at = 0;
    for cut in [1, 63, 64, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 7, 4 * PIECE] {
        let mut socket = open_patch(&app, "a", &id, at, bytes.len() - at).await;
        socket.write_all(&bytes[at..cut]).await.unwrap();
        until_stored(&app, &id, cut).await;
        drop(socket);
        app.until(LOCKED, 0).await;
        at = offset(&a, &id).await;
        assert_eq!(at, cut, "all that came is stored");
    }
    assert_eq!(send(&a, &id, at, &bytes[at..]).await.status, 204);
    assert!(read(&a, &id).await == bytes);
    assert_eq!(a.get(&format!("/files/{id}")).await.expect(200)["sha256"], hex(&bytes));
    holds(&app, 6).await;
}

#[tokio::test]
async fn of_two_requests_at_once_one_wins_and_a_client_that_comes_back_takes_over() {
    let app = TestApp::start_with(&format!("{SMALL}file_flush_ms = 20\n")).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise(2 * PIECE, 9);
    let id = begin(&a, "a", bytes.len()).await;
    let mut first = open_patch(&app, "a", &id, 0, bytes.len()).await;
    first.write_all(&bytes[..1_000]).await.unwrap();
    until_stored(&app, &id, 1_000).await;
    send(&a, &id, 1_000, &bytes[1_000..]).await.expect_problem(423, "upload-locked");
    // The client has come back by another way, and the first request hangs.
    assert_eq!(offset(&a, &id).await, 1_000);
    assert_eq!(send(&a, &id, 1_000, &bytes[1_000..]).await.status, 204);
    first.write_all(&noise(1_000, 10)).await.unwrap();
    let mut answer = Vec::new();
    first.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 423"), "it writes nothing more");
    assert!(read(&a, &id).await == bytes);
    holds(&app, 2).await;
}

#[tokio::test]
async fn a_request_that_falls_silent_ends_and_uploads_are_bounded() {
    let app = TestApp::start_with("file_idle_ms = 1000\nfile_uploads_max = 1\n").await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let (one, other) = (begin(&a, "a", 10).await, begin(&a, "b", 10).await);
    let mut silent = open_patch(&app, "a", &one, 0, 10).await;
    silent.write_all(b"hel").await.unwrap();
    app.until(LOCKED, 1).await;
    let busy = send(&a, &other, 0, b"0123456789").await;
    assert_eq!(busy.header("retry-after"), "1");
    busy.expect_problem(503, "unavailable");
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 503"));
    assert_eq!(offset(&a, &one).await, 3);
    assert_eq!(send(&a, &other, 0, b"0123456789").await.status, 204);
}

#[tokio::test]
async fn a_user_takes_only_a_part_of_the_running_uploads() {
    let app = TestApp::start_with("file_uploads_max = 4\nfile_uploads_per_user = 1\n").await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let (one, two, of_b) = (begin(&a, "a", 10).await, begin(&a, "b", 10).await, begin(&b, "c", 10).await);
    let mut slow = open_patch(&app, "a", &one, 0, 10).await;
    slow.write_all(b"hel").await.unwrap();
    app.until(LOCKED, 1).await;
    let busy = send(&a, &two, 0, b"0123456789").await;
    assert_eq!(busy.header("retry-after"), "1");
    busy.expect_problem(503, "unavailable");
    assert_eq!(send(&b, &of_b, 0, b"0123456789").await.status, 204);
    slow.write_all(b"lo12345").await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    assert_eq!(send(&a, &two, 0, b"0123456789").await.status, 204);
}

/// A piece of a request with a checksum does not write the rows of all pieces before it.
#[tokio::test]
async fn a_request_with_a_checksum_holds_its_pieces_without_writing_them_again() {
    const PIECES: usize = 12;
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = noise((PIECES + 1) * PIECE, 20);
    let id = begin(&a, "a", bytes.len()).await;
    let address = app.base.strip_prefix("http://").expect("an address");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let sum = BASE64_STANDARD.encode(Sha256::digest(&bytes));
    let head = format!(
        "PATCH /api/v1/files/uploads/{id} HTTP/1.1\r\nhost: {address}\r\nx-user-id: a\r\ntus-resumable: 1.0.0\r\n\
         content-type: application/offset+octet-stream\r\nupload-offset: 0\r\nupload-checksum: sha256 {sum}\r\n\
         content-length: {}\r\n\r\n",
        bytes.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&bytes[..PIECES * PIECE]).await.unwrap();
    let objects = i64::try_from(PIECES).unwrap() + 1;
    app.until("SELECT count(*) FROM t_im_file_object", objects).await;
    let writers = "SELECT count(DISTINCT xmin::text) FROM t_im_file_object";
    assert_eq!(app.count(writers, &[]).await, objects, "each row is written by its own transaction");
    socket.write_all(&bytes[PIECES * PIECE..]).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    assert!(read(&a, &id).await == bytes);
}
