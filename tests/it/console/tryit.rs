//! The page of the demo on which visitors try the service: two people side by side in Chromium.

#[path = "../../../examples/demo/tryit.rs"]
mod page;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::page::{People, Site};
use crate::app::{TestApp, text};
use crate::support::{Answer, run_script};

/// The name of one of the people: it would run a script if it were not shown as text.
const INJECTED: &str = "<img src=x onerror=\"window.injected=1\">";

async fn site(app: &TestApp) -> Site {
    let people: People =
        [("wang", "王晓雯"), ("li", "李思远"), ("mallory", INJECTED), ("anna", "Anna Berger")]
            .map(|(user_id, name)| (user_id.to_owned(), name.to_owned()))
            .to_vec();
    let users = people.iter().map(|(user_id, name)| json!({"user_id": user_id, "name": name}));
    let users = json!({"users": users.collect::<Vec<_>>()});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let away = Arc::new(Mutex::new(BTreeSet::<String>::new()));
    let known = away.clone();
    app.gateway.answer(move |batch| {
        let away = known.lock().expect("no panic while held");
        let mut gone = batch.receivers();
        gone.retain(|receiver| away.contains(*receiver));
        Answer::all_except(&gone.into_iter().collect::<Vec<_>>(), &[])
    });
    let disconnected = move |list: BTreeSet<String>| -> BoxFuture<'static, ()> {
        *away.lock().expect("no panic while held") = list;
        Box::pin(std::future::ready(()))
    };
    Site::open(&app.base, &people, disconnected).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_side_by_side_see_each_other_live_and_every_call_can_be_repeated() {
    let app = TestApp::start().await;
    let site = site(&app).await;
    let session = |(lang, scheme, width)| json!({"lang": lang, "scheme": scheme, "width": width});
    let sessions: Vec<Value> = super::LOOKS.into_iter().map(session).collect();
    let pictures = std::env::var("PICTURES").ok();
    let plan = json!({"base": site.url, "sessions": sessions, "pictures": pictures});
    let found = run_script("tryit", &plan).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
    for step in ["live", "read", "types", "card", "call", "offline", "crowd", "samples", "console"] {
        assert!(found["seen"][step].as_u64().is_some_and(|times| times > 0), "{step}: {found}");
    }
    // Each sample was a repeat of the send that the page had made.
    let said = "SELECT count(*) FROM t_im_message WHERE content->>'text' = $1";
    let of_samples = text(&found["sample_text"]);
    assert_eq!(app.count(said, &[&of_samples]).await, 1, "{of_samples}");
}

#[tokio::test]
async fn the_gateway_of_the_demo_gives_each_path_one_identity_and_answers_no_other_site() {
    let app = TestApp::start().await;
    let site = site(&app).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = http.get(format!("{}{path}", site.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        (response.status(), response.text().await.expect("a text"))
    };
    // What a browser says of its identity and its roles does not count.
    let claims = [("x-user-id", "root"), ("x-user-roles", "admin"), ("authorization", "Bearer impg_x")];
    let (status, body) = get("/as/li/api/v1/users/me", &claims).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("李思远"), "{body}");
    assert_eq!(get("/as/li/api/v1/callbacks", &claims).await.0, StatusCode::FORBIDDEN);
    assert_eq!(get("/ops/console/search", &[]).await.0, StatusCode::OK);
    for path in [
        "/as/li/console/search",
        "/desk/api/v1/callbacks",
        "/gateway/console/search",
        "/metrics",
        "/nothing.js",
    ] {
        assert_eq!(get(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        get("/as/li/api/v1/users/me", &[("sec-fetch-site", "cross-site")]).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(get("/as/li/api/v1/users/me", &[("host", "evil.example")]).await.0, StatusCode::FORBIDDEN);
    // The service itself has no such page.
    let own = http.get(format!("{}/main.js", app.base)).send().await.expect("an answer");
    assert_eq!(own.status(), StatusCode::NOT_FOUND);
}
