//! The sign-in of the console where people have accounts here: its cookies, its ways, and what it never tells.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, RequestBuilder};
use serde_json::{Value, json};

use super::{LOOKS, browse};
use crate::accounts::{PASSWORD, administrator, open, open_with, register, sign_in, stranger, with};
use crate::app::{TestApp, database, text};
use crate::support::{Client, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");

/// A browser that follows no redirect and runs no script.
struct Browser {
    http: Http,
    base: String,
    cookies: BTreeMap<String, String>,
    /// What every request says beside its cookies.
    headers: Vec<(&'static str, &'static str)>,
    /// All that answers have shown: addresses and pages.
    shown: String,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |to| to.to_str().expect("text"))
    }

    /// The whole line that sets a cookie.
    fn sets(&self, name: &str) -> String {
        let lines = self.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().expect("text"));
        let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
        found.next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    fn new(base: &str) -> Self {
        let http = Http::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self {
            http,
            base: format!("{base}/console/"),
            cookies: BTreeMap::new(),
            headers: vec![("sec-fetch-site", "same-origin")],
            shown: String::new(),
        }
    }

    async fn send(&mut self, mut request: RequestBuilder) -> Answer {
        let kept: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header("cookie", kept.join("; "));
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for line in headers.get_all(SET_COOKIE) {
            let pair = line.to_str().expect("text").split(';').next().expect("a pair").to_owned();
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let html = response.text().await.expect("a page");
        let answer = Answer { status, headers, html };
        self.shown += &format!("{}\n{}\n", answer.location(), answer.html);
        answer
    }

    async fn get(&mut self, page: &str) -> Answer {
        let request = self.http.get(format!("{}{page}", self.base));
        self.send(request).await
    }

    async fn post(&mut self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.cookies.get("impg-form").cloned().unwrap_or_default();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", &token).extend_pairs(fields);
        let request = self.http.post(format!("{}{page}", self.base)).body(form.finish());
        self.send(request).await
    }

    async fn sign_in(&mut self, username: &str, password: &str, next: &str) -> Answer {
        self.post("sign-in", &[("username", username), ("password", password), ("next", next)]).await
    }
}

/// A person with the role `support`.
async fn supporter(app: &TestApp, username: &str) -> (Client, String) {
    let root = administrator(app).await;
    let user_id = register(app, username).await;
    root.put(&format!("/accounts/{user_id}/roles"), json!({"roles": ["support"]})).await.expect(200);
    (root, user_id)
}

#[tokio::test]
async fn a_person_with_an_account_signs_in_and_comes_to_the_page_asked_for() {
    let app = open().await;
    let (_root, user_id) = supporter(&app, "lisi").await;
    let mut browser = Browser::new(&app.base);
    assert_eq!(browser.get("../console").await.location(), "console/");
    assert_eq!(browser.get("").await.location(), "sign-in");
    let led = browser.get("why?ms_id=7&user_id=%E6%9D%8E").await;
    assert_eq!(led.status, 303);
    assert_eq!(led.location(), "sign-in?next=why%3Fms_id%3D7%26user_id%3D%25E6%259D%258E&why=needed");
    let page = browser.get(led.location()).await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("data-why=\"needed\"") && page.html.contains("type=\"password\""));
    assert!(page.html.split('"').all(|part| !part.starts_with('/')), "every address is relative");

    let wrong = browser.sign_in("lisi", "a wrong guess", "why?ms_id=7").await;
    assert_eq!((wrong.status, wrong.sets("impg-access")), (401, String::new()));
    assert!(
        wrong.html.contains("data-refused=\"wrong-credentials\"") && wrong.html.contains("value=\"lisi\"")
    );
    assert!(!wrong.html.contains("a wrong guess"));
    let signed = browser.sign_in("lisi", PASSWORD, "why?ms_id=7&user_id=%E6%9D%8E").await;
    assert_eq!((signed.status, signed.location()), (303, "why?ms_id=7&user_id=%E6%9D%8E"));
    for name in ["impg-access", "impg-refresh"] {
        let line = signed.sets(name);
        assert!(line.ends_with("; HttpOnly; SameSite=Lax"), "no domain, no path, no end: {line}");
    }
    let page = browser.get("why").await;
    assert!(page.html.contains(&user_id) && page.html.contains("action=\"sign-out\""), "{}", page.html);
    assert_eq!(browser.get("").await.location(), "search");
    // The session is one of the API. The name of the device is that of the browser.
    let me = with(&app, &sign_in(&app, "lisi").await);
    let listed = me.get("/users/me/sessions").await.expect(200);
    assert_eq!(listed["items"].as_array().expect("sessions").len(), 2);

    // A page for others says what is missing, and has a way out.
    let page = browser.get("home").await;
    assert_eq!(page.status, 403);
    assert!(page.html.contains("Ask an administrator to give your account the role admin"), "{}", page.html);
    assert!(page.html.contains("action=\"sign-out\"") && !page.html.contains("API gateway"));
    let old = browser.cookies.clone();
    let out = browser.post("sign-out", &[]).await;
    assert_eq!((out.status, out.location()), (303, "sign-in?why=out"));
    for name in ["impg-access", "impg-refresh", "impg-case"] {
        assert!(out.sets(name).starts_with(&format!("{name}=;")) && out.sets(name).contains("Max-Age=0"));
    }
    // What the browser had counts no more.
    browser.cookies = old;
    assert_eq!(browser.get("why").await.location(), "sign-in?next=why&why=ended");
    assert_eq!(browser.cookies["impg-access"], "");
}

#[tokio::test]
async fn a_person_without_the_role_is_told_what_is_missing() {
    let app = open().await;
    register(&app, "wangwu").await;
    let mut browser = Browser::new(&app.base);
    browser.get("sign-in").await;
    assert_eq!(browser.sign_in("wangwu", PASSWORD, "").await.location(), "./");
    assert_eq!(browser.get("").await.location(), "search");
    let page = browser.get("search").await;
    assert_eq!(page.status, 403);
    assert!(
        page.html.contains("Ask an administrator to give your account the role support"),
        "{}",
        page.html
    );
    assert!(browser.post("sign-out", &[]).await.location().starts_with("sign-in"));
}

#[tokio::test]
async fn after_a_sign_in_only_a_page_of_the_console_follows() {
    let app = open().await;
    register(&app, "lisi").await;
    for strange in [
        "//evil.example",
        "https://evil.example/search",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/api/v1/users/me",
        "../api/v1/users/me",
        "search\r\nlocation: https://evil.example",
        "search/../../evil",
        "sign-out",
        "export?format=csv",
    ] {
        let mut browser = Browser::new(&app.base);
        let query: String = url::form_urlencoded::byte_serialize(strange.as_bytes()).collect();
        let page = browser.get(&format!("sign-in?next={query}&why=needed")).await;
        assert!(page.html.contains("name=\"next\" value=\"\""), "{strange}: {}", page.html);
        let signed = browser.sign_in("lisi", PASSWORD, strange).await;
        assert_eq!((signed.status, signed.location()), (303, "./"), "{strange}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_in_or_out() {
    let app = open().await;
    supporter(&app, "lisi").await;
    let mut browser = Browser::new(&app.base);
    // A form without the token of this browser.
    assert_eq!(browser.sign_in("lisi", PASSWORD, "").await.status, 403);
    browser.get("sign-in").await;
    browser.headers = vec![("sec-fetch-site", "cross-site")];
    let refused = browser.sign_in("lisi", PASSWORD, "").await;
    assert_eq!((refused.status, refused.sets("impg-access")), (403, String::new()));
    browser.headers = vec![("origin", "https://evil.example")];
    assert_eq!(browser.sign_in("lisi", PASSWORD, "").await.status, 403);
    assert_eq!(app.count("SELECT count(*) FROM t_im_session s JOIN t_im_account a USING (user_id) WHERE a.username = 'lisi'", &[]).await, 0);
    browser.headers = vec![("sec-fetch-site", "same-origin"), ("x-forwarded-proto", "https")];
    let signed = browser.sign_in("lisi", PASSWORD, "").await;
    assert!(signed.sets("impg-refresh").ends_with("; Secure"), "{}", signed.sets("impg-refresh"));
    browser.headers = vec![("sec-fetch-site", "cross-site")];
    assert_eq!(browser.post("sign-out", &[]).await.status, 403);
    assert_eq!(browser.post("case", &[("reason", "x")]).await.status, 403);
    assert_eq!(
        browser.get("search").await.status,
        200,
        "still signed in; a link of another site opens a page"
    );
}

#[tokio::test]
async fn the_api_takes_no_cookie_and_a_cookie_holds_nothing_but_a_session() {
    let app = open().await;
    let (root, _) = supporter(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let (access, refresh) = (text(&grant["access_token"]), text(&grant["refresh_token"]));
    let all = format!("impg-access={access}; impg-refresh={refresh}");
    let by_cookie = stranger(&app).with_header("cookie", &all);
    by_cookie.get("/users/me").await.expect_problem(401, "unauthenticated");
    by_cookie.get("/support/channels?q=x&reason=y").await.expect_problem(401, "unauthenticated");
    by_cookie
        .post("/users/refresh", json!({"refresh_token": ""}))
        .await
        .expect_problem(401, "unauthenticated");
    // The token of an application is no session of a person.
    let wanted = json!({"name": "desk", "user_id": "desk", "roles": ["support"]});
    let made = root.post("/tokens", wanted).await.expect(201);
    let mut browser = Browser::new(&app.base);
    browser.cookies.insert("impg-access".to_owned(), text(&made["secret"]));
    assert_eq!(browser.get("search").await.location(), "sign-in?next=search&why=ended");
    // A command line sends a token, and is not led to a form.
    browser.cookies.clear();
    let request = browser.http.get(format!("{}search", browser.base)).bearer_auth(&access);
    let page = browser.send(request).await;
    assert!(page.status == 200 && !page.html.contains("action=\"sign-out\""));
    let request = browser.http.get(format!("{}search", browser.base)).bearer_auth("no.such.token");
    assert_eq!(browser.send(request).await.status, 401);
}

#[tokio::test]
async fn a_session_goes_on_when_its_access_token_expires_and_ends_with_its_page_kept() {
    let app = open_with("account_refresh_grace_ms = 60000").await;
    let (root, user_id) = supporter(&app, "lisi").await;
    let mut browser = Browser::new(&app.base);
    browser.get("sign-in").await;
    browser.sign_in("lisi", PASSWORD, "").await;
    let before = browser.cookies.clone();
    // As if the access token had expired: the browser has the other alone.
    browser.cookies.remove("impg-access");
    let page = browser.get("people?q=a").await;
    assert_eq!((page.status, page.sets("impg-access").is_empty()), (200, false));
    assert_ne!(browser.cookies["impg-refresh"], before["impg-refresh"]);
    // Tabs that do so at the same time stay signed in, all of them.
    let mut tabs = Vec::new();
    for _ in 0..4 {
        let mut tab = Browser::new(&app.base);
        tab.cookies = browser.cookies.clone();
        tab.cookies.remove("impg-access");
        tabs.push(async move { tab.get("search").await.status });
    }
    assert_eq!(futures_util::future::join_all(tabs).await, [200; 4]);
    browser.cookies.remove("impg-access");
    assert_eq!(browser.get("search").await.status, 200);

    // A form of a page leads back to its page.
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "垃圾信息 <b>"});
    root.put(&format!("/accounts/{user_id}/suspension"), until).await.expect(200);
    let address = format!("{}people?q=a", browser.base);
    let request =
        browser.http.post(format!("{}case", browser.base)).header("referer", address).body("reason=x");
    let led = browser.send(request).await;
    assert_eq!((led.status, led.location()), (303, "sign-in?next=people%3Fq%3Da&why=ended"));
    let page = browser.get(led.location()).await;
    assert!(page.html.contains("data-why=\"ended\""), "{}", page.html);
    let refused = browser.sign_in("lisi", PASSWORD, "people?q=a").await;
    assert_eq!(refused.status, 403);
    assert!(refused.html.contains("垃圾信息 &lt;b&gt;") && refused.html.contains("value=\"people?q=a\""));
}

#[tokio::test]
async fn too_many_attempts_are_told_when_to_come_again() {
    let app = open_with("account_attempts = 2\naccount_attempt_every_ms = 3600000").await;
    register(&app, "lisi").await;
    let mut browser = Browser::new(&app.base);
    browser.get("sign-in?lang=zh").await;
    for _ in 0..2 {
        assert_eq!(browser.sign_in("lisi", "a wrong guess", "").await.status, 401);
    }
    let refused = browser.sign_in("lisi", "a wrong guess", "").await;
    assert_eq!(refused.status, 429);
    assert!(refused.html.contains("尝试次数过多"), "{}", refused.html);
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait > 60 && refused.html.contains(&wait.to_string()), "{wait}");
}

#[tokio::test]
async fn where_a_gateway_signs_people_in_there_is_no_sign_in() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(&app.base);
    assert_eq!(browser.get("sign-in").await.status, 404);
    for page in ["sign-in", "sign-out"] {
        assert_eq!(browser.post(page, &[("username", "a"), ("password", "b")]).await.status, 404);
    }
    assert_eq!(browser.get("search").await.status, 401);
}

#[tokio::test]
async fn no_token_and_no_password_is_in_a_page_an_address_or_the_log() {
    let name = database().await;
    let url = shared().url(&name);
    let settings = [
        ("database_url", url.as_str()),
        ("callback_url", "none"),
        ("callback_hold_days", "0"),
        ("identity_mode", "accounts"),
        ("account_register", "open"),
        ("log", "trace"),
    ];
    let service = Service::start(BINARY, &settings).await;
    let anybody = Client::anonymous(&service.api());
    let new = json!({"username": "lisi", "password": PASSWORD, "name": "Li"});
    anybody.post("/users/register", new).await.expect(201);
    let mut browser = Browser::new(&service.url());
    browser.get("search").await;
    browser.get("sign-in").await;
    let mut secrets = vec![PASSWORD.to_owned(), "a wrong guess".to_owned()];
    browser.sign_in("lisi", "a wrong guess", "search").await;
    for _ in 0..2 {
        assert_eq!(browser.sign_in("lisi", PASSWORD, "search").await.status, 303);
        secrets.extend(["impg-access", "impg-refresh"].map(|name| browser.cookies[name].clone()));
    }
    browser.get("search").await;
    browser.cookies.remove("impg-access");
    browser.get("search").await;
    secrets.extend(["impg-access", "impg-refresh"].map(|name| browser.cookies[name].clone()));
    browser.post("sign-out", &[]).await;
    let log = service.log();
    assert!(log.contains("/console/sign-in"), "the log has its requests: {}", service.log_tail());
    for secret in secrets {
        assert!(secret.len() > 8 && !browser.shown.contains(&secret) && !log.contains(&secret), "{secret}");
    }
}

/// What a person does in Chromium, from a page to a sign-in and out again.
fn visits(lang: &str) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    vec![
        json!({
            "name": "sign-in", "address": "people?q=li", "stays": "sign-in?next=people%3Fq%3Dli&why=needed",
            "has": ["[data-why=needed]"], "steps": [{"sees": "#username:focus"}],
            "wants": [word("Sign in to the console", "登录控制台"), word("needs a sign-in", "需要登录")],
        }),
        json!({
            "name": "sign-in-wrong", "status": 401, "stays": "sign-in",
            "steps": [
                {"fill": ["#username", "lisi"]}, {"fill": ["#password", "a wrong guess"]},
                {"click": "button.primary", "loads": true}, {"sees": "#password:focus"},
            ],
            "wants": [word("The username or the password is wrong", "用户名或密码错误")],
        }),
        json!({
            "name": "sign-in-done", "stays": "people?q=li",
            "steps": [
                {"fill": ["#username", "lisi"]}, {"fill": ["#password", PASSWORD]},
                {"click": "button.primary", "loads": true},
            ],
            "wants": [word("Why do you look?", "为什么要查看？"), word("Sign out", "退出登录")],
        }),
        json!({
            "name": "sign-in-role", "address": "home", "status": 403, "has": ["form.leave button"],
            "wants": [word("Ask an administrator to give your account the role admin", "授予您的账号 admin 角色")],
        }),
        json!({
            "name": "sign-out", "steps": [{"click": "form.leave button", "loads": true}], "stays": "sign-in?why=out",
            "wants": [word("You have signed out", "您已退出登录")],
        }),
    ]
}

#[tokio::test]
async fn the_sign_in_is_whole_in_both_languages_light_and_dark_wide_and_narrow() {
    let app = open_with("account_attempts = 100").await;
    supporter(&app, "lisi").await;
    let session = |(lang, scheme, width): (&str, &str, u32)| json!({"lang": lang, "scheme": scheme, "width": width, "visits": visits(lang)});
    let sessions: Vec<Value> = LOOKS.into_iter().map(session).collect();
    let plan = json!({
        "base": app.base, "sessions": sessions, "pictures": std::env::var("PICTURES").ok(),
        "secrets": [PASSWORD, PASSWORD.replace(' ', "+"), PASSWORD.replace(' ', "%20"), "eyJ", "imrt_"],
    });
    let found = browse(&plan).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
    assert_eq!(found["seen"]["sign-out"], LOOKS.len(), "{found}");
}
