//! The page that shows the contract.

use std::collections::BTreeSet;

use im_push_gateway::base::error::Kind;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::process::Command;

use super::CONTRACT;
use crate::app::TestApp;
use crate::support::Client;

#[tokio::test]
async fn the_docs_page_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let outside = Client::anonymous(&app.base);
    let page = outside.get("/docs").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for path in ["/docs", "/docs.js", "/docs-terms.js", "/docs.css"] {
        let body = outside.get(path).await.expect(200);
        let text = body.as_str().expect("text");
        assert!(
            !text.contains("src=\"http") && !text.contains("@import") && !text.contains("//cdn"),
            "{path}"
        );
    }
    for path in ["/openapi.json", "/openapi-scim.json", "/openapi-push-callback.json"] {
        assert_eq!(outside.get(path).await.expect(200)["openapi"], "3.1.0");
    }
}

#[tokio::test]
async fn the_root_leads_to_the_page() {
    let app = TestApp::start().await;
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.get(format!("{}/", app.base)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()[LOCATION]), (307, &"/docs".parse().unwrap()));
}

/// Node runs the page against a service; `tests/docs/check.mjs` says what it looks for.
#[tokio::test]
async fn the_page_shows_each_operation_and_finds_words_in_both_languages() {
    let app = TestApp::start().await;
    let page = Command::new("node")
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/check.mjs"), &app.base])
        .kill_on_drop(true)
        .output()
        .await
        .expect("node runs: tests/tools ensure clients");
    assert!(page.status.success(), "{}", String::from_utf8_lossy(&page.stderr));
}

/// The page shows an operation under its tag.
#[test]
fn every_operation_has_one_tag_of_the_list() {
    let named = |tag: &Value| tag["name"].as_str().expect("a name").to_owned();
    let tags: Vec<String> = CONTRACT.document["tags"].as_array().expect("tags").iter().map(named).collect();
    let known: BTreeSet<&String> = tags.iter().collect();
    assert_eq!(known.len(), tags.len(), "a tag is in the list twice: {tags:?}");
    for operation in &CONTRACT.operations {
        let own = CONTRACT.document.pointer(&operation.responses.replace("/responses", "/tags"));
        let own: Vec<String> = serde_json::from_value(own.expect("tags").clone()).unwrap();
        assert!(
            own.len() == 1 && known.contains(&own[0]),
            "{} {}: {own:?}",
            operation.method,
            operation.path
        );
    }
}

#[test]
fn the_table_of_problem_types_is_that_of_the_service() {
    let problem = &CONTRACT.document["components"]["schemas"]["Problem"];
    let mut listed: Vec<Value> = problem["x-problems"].as_array().expect("problem types").clone();
    for one in &mut listed {
        let remedy = one.as_object_mut().expect("a problem type").remove("remedy");
        assert!(remedy.is_some_and(|remedy| !remedy.as_str().unwrap_or_default().is_empty()), "{one}");
    }
    let mut known: Vec<Value> = Kind::ALL
        .map(Kind::row)
        .map(|(status, slug, title)| json!({"type": slug, "status": status, "title": title}))
        .to_vec();
    for list in [&mut listed, &mut known] {
        list.sort_by_key(|one| one["type"].to_string());
    }
    assert_eq!(listed, known);
}
