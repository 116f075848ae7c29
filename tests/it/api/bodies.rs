//! Bodies of requests: an object is one, and what is wrong with a body is said in the contract's words.

use http::header::{CONTENT_TYPE, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::contract;
use crate::app::{TestApp, text};

/// Words of Rust and of parsers, which no caller knows.
const INSIDE: &[&str] = &[
    "struct ",
    "u64",
    "i64",
    "u32",
    "i32",
    "EOF",
    "a sequence",
    "a map",
    "invalid type",
    "tuple",
    "variant",
    "line 1 column",
];

/// An answer to a body as it is, whatever it is.
async fn sent(app: &TestApp, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    let method: Method = method.parse().unwrap();
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .request(method, format!("{}{path}", app.base))
        .header(
            "x-user-id",
            if path.contains("/notifications") && !path.contains("/me/") { "oa" } else { "root" },
        )
        .header("x-user-roles", "admin,gateway,directory,support");
    if let Some(body) = body {
        request =
            request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_owned());
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

/// A service with a person who has every role, and an application.
async fn with_callers() -> TestApp {
    let app = TestApp::start().await;
    app.people(&["root"]).await;
    let users = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    app
}

fn says_nothing_of_the_inside(what: &str, problem: &Value) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(!INSIDE.iter().any(|word| detail.contains(word)), "{what}: {detail}");
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_in_the_contracts_words_whatever_the_operation() {
    let app = with_callers().await;
    let operations = contract::with_bodies();
    assert!(operations.len() > 20, "{operations:?}");
    for (method, path, schema, _) in &operations {
        let wanted = if schema["type"] == "array" { "must be a list" } else { "must be an object" };
        for wrong in
            ["\"text\"", "7", "true", if wanted.ends_with("list") { "{}" } else { "[\"a\", [\"b\"], {}]" }]
        {
            let what = format!("{method} {path} {wrong}");
            let (status, problem) = sent(&app, method, path, Some(wrong)).await;
            assert_eq!((status, &problem["pointer"]), (422, &json!("")), "{what}: {problem}");
            assert!(text(&problem["detail"]).starts_with(wanted), "{what}: {problem}");
            says_nothing_of_the_inside(&what, &problem);
        }
        for broken in ["{", "[1,", "{\"a\": \"\\ud83d\"}", "{} {}", "nul", "{\"a\" 1}"] {
            let (status, problem) = sent(&app, method, path, Some(broken)).await;
            assert!([400, 422].contains(&status), "{method} {path} {broken}: {problem}");
            says_nothing_of_the_inside(broken, &problem);
        }
    }
}

#[tokio::test]
async fn a_body_that_may_be_left_out_may_be_empty_or_null() {
    let app = with_callers().await;
    let mut tried = 0;
    for (method, path, _, required) in contract::with_bodies() {
        let without = sent(&app, method, &path, None).await;
        for nothing in ["", " ", "null"] {
            let (status, answer) = sent(&app, method, &path, Some(nothing)).await;
            let what = format!("{method} {path} {nothing:?}: {answer}");
            if required {
                assert!([400, 422].contains(&status), "{what}");
                says_nothing_of_the_inside(&what, &answer);
            } else {
                assert_eq!((status, &answer["type"]), (without.0, &without.1["type"]), "{what}");
                assert!(![400, 415, 422].contains(&status), "{what}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 7 * 3);
}

/// A call, its body, where that is wrong, and what is said of it.
type Wrong<'a> = (&'a str, &'a str, Value, &'a str, &'a str);

fn wrong_inside<'a>(messages: &'a str, read: &'a str) -> Vec<Wrong<'a>> {
    vec![
        ("POST", messages, json!({"type": "text", "content": ["hello"]}), "/content", "must be an object"),
        (
            "POST",
            messages,
            json!({"type": "file", "content": {"url": "/f", "name": "f", "media_type": "a/b"}}),
            "/content/size",
            "is missing",
        ),
        ("POST", messages, json!({"content": {"text": "x"}}), "/type", "is missing"),
        ("POST", messages, json!({"type": 7, "content": {}}), "/type", "must be a string"),
        (
            "POST",
            messages,
            json!({"type": "file", "content": {"url": "/f", "name": "f", "media_type": "a/b", "size": "7"}}),
            "/content/size",
            "must be a whole number from 0 to 2^53 - 1",
        ),
        ("POST", read, json!({"seq": -1}), "/seq", "must be a whole number from 0 to 2^53 - 1"),
        ("PUT", "/api/v1/presence", json!({"users": [["b", "online"]]}), "/users/0", "must be an object"),
        (
            "PUT",
            "/api/v1/presence",
            json!({"users": {"b": "online"}}),
            "/users",
            "must be a list of at most 10000 items",
        ),
        ("PUT", "/api/v1/presence", json!({"users": [], "more": "yes"}), "/more", "must be true or false"),
        ("POST", "/api/v1/receipts", json!([["1", "b", "read"]]), "/0", "must be an object"),
        ("POST", "/api/v1/directory/sync", json!({"mode": {"full": null}}), "/mode", "must be a string"),
        (
            "POST",
            "/api/v1/directory/sync",
            json!({"mode": "all"}),
            "/mode",
            "must be `full` or `incremental`",
        ),
        (
            "POST",
            "/api/v1/callbacks",
            json!({"url": "http://x/", "timeout_ms": 1e12}),
            "/timeout_ms",
            "must be a whole number",
        ),
        (
            "POST",
            "/api/v1/callbacks",
            json!({"url": "http://x/", "timeout_ms": 99_999_999_999_i64}),
            "/timeout_ms",
            "must be a whole number within its bounds",
        ),
    ]
}

#[tokio::test]
async fn what_is_inside_a_body_is_read_as_strictly() {
    let app = TestApp::start().await;
    app.people(&["root", "b"]).await;
    let direct = app.direct("root", "b").await;
    let messages = format!("/api/v1/channels/{direct}/messages");
    for (method, path, body, pointer, detail) in
        wrong_inside(&messages, &format!("/api/v1/channels/{direct}/read"))
    {
        let (status, problem) = sent(&app, method, path, Some(&body.to_string())).await;
        let told = (status, problem["pointer"].as_str().unwrap(), problem["detail"].as_str().unwrap());
        assert_eq!(told, (422, pointer, detail), "{method} {path} {body}");
    }
    let changes = json!({"users": [["b", "B"]], "departments": [{"department_id": 7}]}).to_string();
    let (status, told) = sent(&app, "POST", "/api/v1/directory/changes", Some(&changes)).await;
    assert_eq!((status, told["problems"].as_array().unwrap().len()), (200, 2));
    let bulk = json!([["1", "text", {"text": "x"}]]).to_string();
    let (_, told) = sent(&app, "POST", "/api/v1/messages", Some(&bulk)).await;
    assert_eq!(told["results"][0]["problem"]["detail"], "must be an object", "{told}");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let app = TestApp::start().await;
    app.people(&["root"]).await;
    for (query, pointer, detail) in [
        ("limit=many", "limit", "must be a whole number within its bounds"),
        ("limit=", "limit", "must be a whole number within its bounds"),
        ("limit=99999999999999999999", "limit", "must be a whole number within its bounds"),
        ("limit=1&limit=2", "limit", "is given twice"),
        ("page=2", "page", "is not a parameter of this operation; it takes `limit` or `cursor`"),
    ] {
        let (status, problem) = sent(&app, "GET", &format!("/api/v1/directory/runs?{query}"), None).await;
        assert_eq!((status, &problem["pointer"], &problem["detail"]), (400, &json!(pointer), &json!(detail)));
    }
    let (_, problem) = sent(&app, "GET", "/api/v1/presence", None).await;
    assert_eq!((&problem["pointer"], &problem["detail"]), (&json!("user_ids"), &json!("is missing")));
}
