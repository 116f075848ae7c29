//! Compressed answers: which there are, and what a client reads of them. The client is curl.

use std::process::Command;

use crate::app::TestApp;
use crate::files;

/// The head of an answer in small letters, and its body as curl has decoded it.
fn ask(url: &str, codings: Option<&str>, more: &[&str]) -> (String, Vec<u8>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--compressed", "--max-time", "30"]).args(more);
    let codings =
        codings.map_or("accept-encoding:".to_owned(), |codings| format!("accept-encoding: {codings}"));
    let output =
        curl.args(["--header", &codings, "--header", "x-user-id: a", url]).output().expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let end = output.stdout.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    let (head, body) = output.stdout.split_at(end);
    (String::from_utf8_lossy(head).to_lowercase(), body.to_vec())
}

/// The value of a header, or nothing.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| *found == name).map(|(_, value)| value).next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_of_text_are_compressed_as_the_client_accepts() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    for n in 0..10 {
        app.say("a", &channel, &format!("message {n}: {}", "全部都可以压缩 ".repeat(20))).await;
    }
    let history = format!("/api/v1/channels/{channel}/messages");
    for path in ["/openapi.json", "/docs.js", "/docs.css", &history] {
        let url = format!("{}{path}", app.base);
        let (head, plain) = ask(&url, None, &[]);
        assert_eq!(
            (header(&head, "content-encoding"), header(&head, "vary")),
            ("", "accept-encoding"),
            "{path}"
        );
        assert_eq!(header(&head, "content-length"), plain.len().to_string(), "{path}");
        for (accepted, coding) in
            [("gzip", "gzip"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("br", "")]
        {
            let (head, body) = ask(&url, Some(accepted), &[]);
            assert_eq!(header(&head, "content-encoding"), coding, "{path} {accepted}");
            assert_eq!(header(&head, "vary"), "accept-encoding", "{path} {accepted}");
            assert!(body == plain, "{path} {accepted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_answers_streams_and_files_are_not_compressed() {
    let app = TestApp::start_with("stream_life_ms = 20").await;
    app.people(&["a"]).await;
    let bytes = format!("[{}0]", "1234567890, ".repeat(1_000)).into_bytes();
    let file = files::put(&app.person("a"), "numbers.json", &bytes).await;
    let content = format!("/api/v1/files/{}/content", file["file_id"].as_str().expect("an id"));
    for path in ["/healthz", "/api/v1/users/me", "/api/v1/nothing", "/api/v1/events", &content] {
        let (head, body) = ask(&format!("{}{path}", app.base), Some("gzip, zstd"), &[]);
        assert_eq!(header(&head, "content-encoding"), "", "{path}: {head}");
        match path {
            _ if path == content => {
                assert!(body == bytes && header(&head, "etag").starts_with('"'), "{head}");
                let tag = header(&head, "etag").to_owned();
                let again = format!("if-none-match: {tag}");
                let (head, _) = ask(&format!("{}{path}", app.base), Some("gzip"), &["--header", &again]);
                assert!(head.starts_with("http/1.1 304"), "{head}");
                let (head, part) = ask(&format!("{}{path}", app.base), Some("gzip"), &["--range", "1-4"]);
                assert!(head.starts_with("http/1.1 206") && part == b"1234", "{head}");
            }
            "/api/v1/events" => assert!(header(&head, "cache-control").contains("no-transform"), "{head}"),
            _ => {}
        }
    }

    let app = TestApp::start_with("compress_min_bytes = 0").await;
    let (head, _) = ask(&format!("{}/openapi.json", app.base), Some("gzip"), &[]);
    assert_eq!((header(&head, "content-encoding"), header(&head, "vary")), ("", ""));
}

/// The layer knows only after the call that it cannot answer so, and would say 406 about what is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_refuses_plain_answers_is_not_told_that_nothing_was_done() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let create = ["--json", "{\"name\": \"a group\"}"];
    for refused in ["identity;q=0", "*;q=0", "gzip;q=0, *;q=0.0"] {
        let (head, body) = ask(&format!("{}/api/v1/groups", app.base), Some(refused), &create);
        assert!(head.starts_with("http/1.1 201"), "{refused}: {head}");
        assert!(String::from_utf8_lossy(&body).contains("channel_id"), "{refused}");
    }
}
