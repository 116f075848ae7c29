//! Who gets a page, and which forms count.

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};

use crate::app::TestApp;
use crate::support::shared;

fn http() -> Client {
    Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client")
}

fn as_user(request: RequestBuilder, user: &str, roles: &str) -> RequestBuilder {
    request.header("x-user-id", user).header("x-user-roles", roles)
}

/// The value of a cookie that an answer sets.
fn cookie(headers: &HeaderMap, name: &str) -> String {
    let all = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all.filter_map(|value| value.strip_prefix(&format!("{name}=")));
    found.next().unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
}

async fn page(app: &TestApp, path: &str, (user, roles): (&str, &str)) -> (u16, HeaderMap, String) {
    let request = as_user(http().get(format!("{}{path}", app.base)), user, roles);
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.text().await.expect("a page"))
}

#[tokio::test]
async fn a_caller_without_the_role_sees_what_is_needed_and_nothing_else() {
    let app = TestApp::start().await;
    app.people(&["ann"]).await;
    for path in [
        "search?q=a",
        "channel?channel_id=1",
        "message?ms_id=1",
        "why?ms_id=1&user_id=ann",
        "people?q=a",
        "person?user_id=ann",
        "export?format=csv",
    ] {
        let (status, headers, html) = page(&app, &format!("/console/{path}"), ("ann", "")).await;
        assert_eq!((status, &headers["content-type"]), (403, &"text/html; charset=utf-8".parse().unwrap()));
        assert!(html.contains("You need the role support"), "{html}");
        assert!(!html.contains("<input"), "no form: {html}");
    }
    let stranger = http().get(format!("{}/console/search?lang=zh", app.base)).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    assert!(stranger.text().await.unwrap().contains("请先登录"));
    assert_eq!(app.count("SELECT count(*) FROM t_im_audit", &[]).await, 0);
}

#[tokio::test]
async fn a_page_has_its_headers_and_works_below_a_path() {
    let app = TestApp::start().await;
    let (status, headers, html) = page(&app, "/console/search", ("desk", "support")).await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(
        (&headers["cache-control"], &headers["referrer-policy"]),
        (&"no-store".parse().unwrap(), &"same-origin".parse().unwrap())
    );
    // Every address is relative to the folder, so a gateway can put it below any path.
    let absolute = html.split('"').find(|part| part.starts_with('/'));
    assert_eq!(absolute, None, "{html}");
    for (path, to) in [("/console", "console/search"), ("/console/", "search")] {
        let (status, headers, _) = page(&app, path, ("desk", "support")).await;
        assert_eq!((status, headers[LOCATION].to_str().unwrap()), (307, to));
    }
    for file in ["console.css", "console.js"] {
        let (status, headers, _) = page(&app, &format!("/console/{file}"), ("", "")).await;
        assert_eq!((status, &headers["x-content-type-options"]), (200, &"nosniff".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_shown_says_what_to_do() {
    let app = TestApp::start_with("user_requests_per_second = 1\nuser_requests_burst = 6").await;
    let shows = async |path: &str, (user, roles): (&str, &str), wanted: u16, words: [&str; 2]| {
        for (lang, words) in ["en", "zh"].into_iter().zip(words) {
            let path = format!("/console/{path}{}lang={lang}", if path.contains('?') { '&' } else { '?' });
            let (status, _, html) = page(&app, &path, (user, roles)).await;
            assert_eq!(status, wanted, "{path}: {html}");
            assert!(html.contains(words), "{path}: {html}");
        }
    };
    for _ in 0..6 {
        page(&app, "/console/search", ("desk", "support")).await;
    }
    shows("search", ("desk", "support"), 429, ["Wait a few seconds", "请等待几秒"]).await;
    // A table that is gone is a fault of the service.
    app.sql().await.batch_execute("ALTER TABLE t_im_directory_run RENAME TO gone").await.expect("renamed");
    shows("runs", ("hr", "directory"), 500, ["the request id below", "下面的请求编号"]).await;
    let sql = shared().connect("postgres").await;
    let name = &app.database;
    let shut = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    let end =
        format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'");
    for statement in [shut, end] {
        sql.batch_execute(&statement).await.expect("the database is away");
    }
    shows("edits", ("hr", "directory"), 503, ["Try again in a minute", "一分钟后重试"]).await;
    let home = ["The database does not answer", "数据库没有应答"];
    shows("home", ("root", "admin"), 200, home).await;
}

struct Form<'a> {
    token: &'a str,
    cookie: &'a str,
    origin: &'a [(&'a str, &'a str)],
}

async fn send(app: &TestApp, user: &str, form: Form<'_>) -> Response {
    let request = as_user(http().post(format!("{}/console/case", app.base)), user, "support");
    let body = format!("token={}&next=why%3Fms_id%3D7&reason=%E5%B7%A5%E5%8D%95+7", form.token);
    let mut request = request.header("cookie", form.cookie).body(body);
    for (name, value) in form.origin {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_case_begins_only_with_a_form_of_the_console_and_counts_for_its_user() {
    let app = TestApp::start().await;
    let (_, headers, html) = page(&app, "/console/search", ("desk", "support")).await;
    let token = cookie(&headers, "impg-form");
    assert!(html.contains(&token) && html.contains("Why do you look?"), "{html}");
    let known = format!("impg-form={token}");
    let ours = [("sec-fetch-site", "same-origin")];
    for form in [
        Form { token: "", cookie: "", origin: &ours },
        Form { token: "", cookie: "impg-form=", origin: &ours },
        Form { token: &token, cookie: "", origin: &ours },
        Form { token: "guessed", cookie: &known, origin: &ours },
        Form { token: &token, cookie: &known, origin: &[("sec-fetch-site", "cross-site")] },
        Form { token: &token, cookie: &known, origin: &[("origin", "http://evil.example")] },
    ] {
        let refused = send(&app, "desk", form).await;
        assert_eq!((refused.status().as_u16(), refused.headers().get(SET_COOKIE)), (403, None));
    }
    let begun = send(&app, "desk", Form { token: &token, cookie: &known, origin: &ours }).await;
    assert_eq!(begun.status(), 303);
    assert_eq!(begun.headers()[LOCATION], "why?ms_id=7");
    let case = cookie(begun.headers(), "impg-case");
    let ask = async |user: &str| {
        let request = as_user(http().get(format!("{}/console/search", app.base)), user, "support");
        let request = request.header("cookie", format!("{known}; impg-case={case}"));
        request.send().await.unwrap().text().await.unwrap()
    };
    let html = ask("desk").await;
    assert!(html.contains("工单 7") && html.contains("name=\"q\""), "{html}");
    let html = ask("other").await;
    assert!(!html.contains("工单 7") && html.contains("Why do you look?"), "another user gives their own");
}

#[tokio::test]
async fn an_export_of_the_console_is_that_of_the_api_and_no_other_site_begins_one() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let direct = app.direct("ann", "bob").await;
    app.say("ann", &direct, "=1+1 季度报告").await;
    app.indexed().await;
    let (_, headers, _) = page(&app, "/console/search", ("desk", "support")).await;
    let token = cookie(&headers, "impg-form");
    let known = format!("impg-form={token}");
    let origin = [("sec-fetch-site", "same-origin")];
    let begun = send(&app, "desk", Form { token: &token, cookie: &known, origin: &origin }).await;
    let case = format!("impg-case={}", cookie(begun.headers(), "impg-case"));
    let get = async |from: &str| {
        let address = format!("{}/console/export?q=%E6%8A%A5%E5%91%8A&format=csv", app.base);
        let request = as_user(http().get(address), "desk", "support");
        request.header("cookie", &case).header("sec-fetch-site", from).send().await.unwrap()
    };
    assert_eq!(get("cross-site").await.status(), 403);
    let file = get("same-origin").await;
    assert_eq!(file.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(file.headers()["content-disposition"], "attachment; filename=\"messages.csv\"");
    let file = file.text().await.unwrap();
    assert!(file.starts_with('\u{feff}') && file.contains("\"'=1+1 季度报告\""), "{file}");
    let kept = "SELECT count(*) FROM t_im_audit WHERE action LIKE 'export%' AND reason = '工单 7'";
    app.until(kept, 2).await;
}
