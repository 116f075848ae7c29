//! The page that a link opens: the whole way of a developer in Chromium, and what does not open it.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, Response};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{LOOKS, browse};
use crate::app::{TestApp, text};
use crate::base::database::until;
use crate::delivery::callbacks::OPEN;
use crate::delivery::callbacks::links::{IMPATIENT, secret};
use crate::support::{Client, Receiver, Script, Service, shared};

/// What an endpoint answers, to run a script on the page.
const INJECTED: &str = "<img src=x onerror=\"window.injected=1\"><script>window.injected=1</script>";
/// One for each session, and two that the last one recovers.
const MESSAGES: usize = 6;
/// For a machine that is ten times slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint that has refused all, and the link of its developer.
struct Stage {
    app: TestApp,
    endpoint: Receiver,
    callback: Value,
}

impl Stage {
    async fn start() -> Self {
        let app = TestApp::start_with(&format!("{OPEN}{IMPATIENT}link_requests_burst = 1000\n")).await;
        app.people(&["a", "b"]).await;
        let endpoint = Receiver::start().await;
        endpoint.answer(Script::status(500, &[], INJECTED));
        let wish = json!({
            "url": endpoint.url(), "event_types": ["message.created"], "batch_events": 1, "description": "审批门户 OA",
        });
        let callback = app.client("root", &["admin"]).post("/callbacks", wish).await.expect(201);
        let direct = app.direct("a", "b").await;
        for place in 0..MESSAGES {
            app.say("a", &direct, &format!("{INJECTED} {place}")).await;
        }
        app.until("SELECT count(*) FROM t_im_push_dead", i64::try_from(MESSAGES).unwrap()).await;
        app.settled().await;
        Self { app, endpoint, callback }
    }

    async fn link(&self) -> String {
        let links = format!("/callbacks/{}/links", text(&self.callback["callback_id"]));
        secret(&self.app.client("root", &["admin"]).post(&links, json!({"hours": 2})).await.expect(201))
    }
}

/// What a developer does while the endpoint refuses everything.
fn looks(secret: &str, lang: &str) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    vec![
        json!({
            "name": "developer-open", "address": format!("developer/open#{secret}"), "stays": "developer/open",
            "wants": [word("Open the page of your endpoint", "打开您的接收端页面")],
        }),
        json!({
            "name": "developer-endpoint", "steps": [{"click": "button.primary", "loads": true}], "stays": "developer/endpoint",
            "wants": ["审批门户 OA", word("Active", "正常"), "answered 500: not 2xx"],
            "has": ["[data-state=active]", "[data-breaker=closed]", "[data-attempt]", "[aria-current=page]"],
        }),
        json!({"name": "developer-answer", "steps": [{"click": "[data-attempt] summary"}], "wants": ["<script>window.injected=1"]}),
        json!({
            "name": "developer-payload", "steps": [{"click": "[data-attempt] a[data-open]", "loads": true}],
            "wants": ["message.created", "<img src=x"],
        }),
        json!({
            "name": "developer-test-bad", "address": "developer/endpoint", "steps": [{"click": "form[action=test] button", "loads": true}],
            "has": ["[data-tested=false]"], "wants": ["500", "<script>"],
        }),
        json!({"name": "developer-catalogue", "address": "developer/catalogue", "has": ["[data-event='message.created']", "[data-event='callback.test']"], "lacks": ["user.created"]}),
        json!({"name": "developer-verify", "address": "developer/verify", "has": ["[data-language=python]", "[data-language=js]", "[data-language=java]"], "wants": ["whsec_", "webhook-signature"]}),
    ]
}

/// What a developer does once the endpoint is mended.
fn mends(secret: &str, lang: &str, is_last: bool) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let mut visits = vec![
        json!({"name": "developer-again", "address": format!("developer/open#{secret}"), "stays": "developer/open"}),
        json!({"name": "developer-opened", "steps": [{"click": "button.primary", "loads": true}], "stays": "developer/endpoint"}),
        json!({
            "name": "developer-test", "steps": [{"click": "form[action=test] button", "loads": true}], "has": ["[data-tested=true]"],
            "wants": [word("Your endpoint took the test", "您的接收端已接受测试")],
        }),
        json!({"name": "developer-failed", "address": "developer/failed", "has": ["[data-dead]"], "wants": ["answered 500"]}),
        json!({
            "name": "developer-resent", "steps": [{"click": "[data-dead] button", "loads": true}], "stays": "developer/failed?done=resent",
            "wants": [word("It is in the queue again", "已重新排队")],
        }),
        json!({
            "name": "developer-count", "address": "developer/failed", "steps": [
                {"fill": ["[name=since]", "2020-01-01T00:00"]}, {"click": "form[action=recover] button", "loads": true},
            ], "has": ["[data-count]", "button[name=confirmed]"],
        }),
    ];
    if is_last {
        visits.push(json!({
            "name": "developer-recovered", "steps": [{"click": "button[name=confirmed]", "loads": true}],
            "stays": "developer/failed?done=recovered", "wants": [word("Nothing was given up", "没有放弃的推送")],
        }));
    }
    let all = json!({
        "name": "developer-count-all", "address": "developer/failed?lang=".to_owned() + lang,
        "steps": [
            {"fill": ["[name=since]", "2020-01-01T00:00"]}, {"choose": ["[name=what]", "all"]},
            {"click": "form[action=recover] button", "loads": true},
        ], "has": ["[data-count]"],
    });
    let left = json!({"name": "developer-left", "steps": [{"click": "form.leave button", "loads": true}], "stays": "developer/open"});
    let closed = json!({
        "name": "developer-closed", "address": "developer/endpoint", "status": 401,
        "wants": [word("This link does not open any more", "链接已失效")],
    });
    visits.extend([all, left, closed]);
    visits
}

async fn see(stage: &Stage, secret: &str, visits: impl Fn(&str, bool) -> Vec<Value>) {
    let session = |(place, (lang, scheme, width)): (usize, (&str, &str, u32))| {
        json!({
            "user": "", "roles": "", "lang": lang, "scheme": scheme, "width": width,
            "visits": visits(lang, place + 1 == LOOKS.len()),
        })
    };
    let sessions: Vec<Value> = LOOKS.into_iter().enumerate().map(session).collect();
    let pictures = std::env::var("PICTURES").ok();
    let plan =
        json!({"base": stage.app.base, "sessions": sessions, "pictures": pictures, "secrets": [secret]});
    assert_whole(&browse(&plan).await);
}

fn assert_whole(found: &Value) {
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
}

/// The page on which an admin makes the link, and the link that it shows.
async fn made_by_an_admin(stage: &Stage) -> String {
    let address = format!("endpoint-link?callback_id={}", text(&stage.callback["callback_id"]));
    let session = |(lang, scheme, width): (&str, &str, u32)| {
        let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
        json!({
            "user": "root", "roles": "admin", "lang": lang, "scheme": scheme, "width": width,
            "visits": [
                {"name": "endpoint-link-ask", "address": "endpoint-link", "has": ["[name=callback_id]"]},
                {"name": "endpoint-link", "address": address, "wants": ["审批门户 OA"]},
                {"name": "endpoint-link-made", "steps": [
                    {"fill": ["[name=name]", "Li Si <b>"]}, {"fill": ["[name=hours]", "3"]},
                    {"click": "button.primary", "loads": true},
                 ], "has": ["[data-address]", "[data-link-id]"], "takes": "[data-address]",
                 "wants": ["Li Si <b>", word("This link is shown once", "链接只显示一次")]},
                {"name": "endpoint-link-revoked", "address": format!("{address}&lang={lang}"), "steps": [{"click": "[data-link-id] button", "loads": true}]},
            ],
        })
    };
    let mut sessions: Vec<Value> = LOOKS.into_iter().map(session).collect();
    // The last link stays.
    sessions.last_mut().and_then(|last| last["visits"].as_array_mut()).expect("visits").pop();
    let refused = json!({
        "user": "desk", "roles": "support", "lang": "en", "scheme": "light", "width": 1280,
        "visits": [{"name": "endpoint-link-forbidden", "address": address, "status": 403, "lacks": ["审批门户"]}],
    });
    sessions.push(refused);
    let plan =
        json!({"base": stage.app.base, "sessions": sessions, "pictures": std::env::var("PICTURES").ok()});
    let found = browse(&plan).await;
    assert_whole(&found);
    let shown = text(&found["took"]["endpoint-link-made"]);
    let whole = format!("{}/console/developer/open#impl_", stage.app.base);
    assert!(shown.starts_with(&whole), "a link for others is whole: {shown}");
    shown.rsplit_once('#').expect("a secret").1.to_owned()
}

#[tokio::test]
async fn a_developer_tests_and_resends_by_the_link_that_an_admin_has_made() {
    let stage = Stage::start().await;
    let secret = made_by_an_admin(&stage).await;
    see(&stage, &secret, |lang, _| looks(&secret, lang)).await;
    stage.endpoint.answer(Script::status(204, &[], ""));
    let refused = stage.endpoint.received().len();
    see(&stage, &secret, |lang, is_last| mends(&secret, lang, is_last)).await;
    stage.app.settled().await;
    assert_eq!(stage.app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
    // The endpoint has each event that was given up, signed.
    let webhook = Webhook::new(&text(&stage.callback["secret"])).expect("a secret");
    let mut taken = Vec::new();
    for one in stage.endpoint.received().split_off(refused) {
        let headers: HeaderMap = one
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.parse::<reqwest::header::HeaderName>().ok()?, value.parse().ok()?))
            })
            .collect();
        webhook.verify(&one.body, &headers).expect("a signature");
        let body: Value = serde_json::from_slice(&one.body).expect("JSON");
        taken
            .extend(body["events"].as_array().expect("events").iter().map(|event| event["event_id"].clone()));
    }
    let logged = "SELECT event_id::text FROM t_im_event WHERE type = 'message.created'";
    for row in stage.app.sql().await.query(logged, &[]).await.unwrap() {
        let id = row.get::<_, String>(0);
        assert!(taken.contains(&json!(id)), "{id} was not sent again: {taken:?}");
    }
    for (used, times) in [("opened", 1), ("payload", 4), ("replay", 4)] {
        let kept =
            "SELECT count(*) FROM t_im_audit WHERE action = 'endpoint-link-used' AND filter ->> 'use' = $1";
        assert!(stage.app.count(kept, &[&used]).await >= times, "{used}");
    }
}

/// A browser without a script: it keeps cookies by their path, and follows nothing.
struct Browser {
    http: Http,
    base: String,
    cookies: String,
}

impl Browser {
    fn new(base: &str) -> Self {
        let http =
            Http::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build().expect("a client");
        Self { http, base: format!("{base}/console/developer"), cookies: String::new() }
    }

    async fn get(&self, page: &str) -> Response {
        let request = self.http.get(format!("{}/{page}", self.base)).header("cookie", &self.cookies);
        request.send().await.expect("an answer")
    }

    async fn post(&self, page: &str, fields: &[(&str, &str)], from: &str) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}/{page}", self.base)).header("cookie", &self.cookies);
        request.header("sec-fetch-site", from).body(body).send().await.expect("an answer")
    }

    fn keep(&mut self, response: &Response) {
        for set in response.headers().get_all(SET_COOKIE) {
            let pair = set.to_str().expect("a cookie").split(';').next().unwrap_or_default();
            self.cookies = format!("{}; {pair}", self.cookies).trim_start_matches("; ").to_owned();
        }
    }

    /// The token of its forms.
    fn token(&self) -> String {
        let all = self.cookies.split("; ").filter_map(|pair| pair.strip_prefix("impg-link-form="));
        all.last().unwrap_or_default().to_owned()
    }

    async fn open(&mut self, secret: &str) -> Response {
        let page = self.get("open").await;
        self.keep(&page);
        let opened = self.post("open", &[("token", &self.token()), ("key", secret)], "same-origin").await;
        self.keep(&opened);
        opened
    }
}

#[tokio::test]
async fn only_a_form_of_the_page_counts_and_its_cookies_are_for_these_pages() {
    let stage = Stage::start().await;
    let secret = stage.link().await;
    let mut browser = Browser::new(&stage.app.base);
    let opened = browser.open(&secret).await;
    assert_eq!((opened.status().as_u16(), opened.headers()[LOCATION].to_str().unwrap()), (303, "endpoint"));
    let set = opened.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    // Without a path it holds below the folder of the page alone: not for the console, and not for the API.
    assert!(
        set.contains("HttpOnly; SameSite=Strict") && !set.contains("Path") && !set.contains("Max-Age"),
        "{set}"
    );
    let page = browser.get("endpoint").await;
    assert_eq!(
        (page.status().as_u16(), &page.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(!html.contains(&secret), "a page never has the secret");
    assert_eq!(html.split('"').find(|part| part.starts_with('/')), None, "each address is relative");

    let token = browser.token();
    let dead = stage.app.count("SELECT count(*) FROM t_im_push_dead", &[]).await;
    for (page, field) in [
        ("test", ("x", "")),
        ("resend", ("dead_id", "1")),
        ("recover", ("confirmed", "1")),
        ("leave", ("x", "")),
        ("open", ("key", "")),
    ] {
        for (token, from) in [
            ("", "same-origin"),
            ("guessed", "same-origin"),
            (token.as_str(), "cross-site"),
            (token.as_str(), "same-site"),
        ] {
            let refused = browser.post(page, &[("token", token), field], from).await;
            assert_eq!(
                (refused.status().as_u16(), refused.headers().get(SET_COOKIE)),
                (403, None),
                "{page} {from}"
            );
            assert!(refused.text().await.unwrap().contains("This form is not from this page"), "{page}");
        }
    }
    // An admin's form, with the cookie of the console, is none of a developer.
    let admins = Browser {
        cookies: format!("impg-form={token}; impg-link={secret}"),
        ..Browser::new(&stage.app.base)
    };
    assert_eq!(admins.post("test", &[("token", &token)], "same-origin").await.status(), 403);
    assert_eq!(stage.app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, dead);
    // The link does not open the console.
    let console =
        browser.http.get(format!("{}/console/search", stage.app.base)).header("cookie", &browser.cookies);
    assert_eq!(console.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_page_ends_with_its_link_and_shows_nothing_of_other_endpoints() {
    let stage = Stage::start().await;
    let other = json!({"url": stage.endpoint.url(), "event_types": ["message.created"], "batch_events": 1});
    let other = stage.app.client("root", &["admin"]).post("/callbacks", other).await.expect(201);
    let channel = stage.app.direct("a", "b").await;
    stage.app.say("a", &channel, "for both").await;
    let letters = "SELECT count(*) FROM t_im_push_dead WHERE callback_id = $1";
    let other_id = text(&other["callback_id"]);
    stage.app.until_with(letters, &[&other_id], 1).await;
    stage.app.settled().await;
    let sql = stage.app.sql().await;
    let of_other = async |column: &str, table: &str| -> String {
        let newest = format!("SELECT max({column})::text FROM {table} WHERE callback_id = $1");
        sql.query_one(&newest, &[&other_id]).await.unwrap().get(0)
    };
    let (attempt, dead) =
        (of_other("attempt_id", "t_im_push_attempt").await, of_other("dead_id", "t_im_push_dead").await);
    let secret = stage.link().await;
    let mut browser = Browser::new(&stage.app.base);
    browser.open(&secret).await;
    let html = browser.get(&format!("payload?attempt_id={attempt}")).await.text().await.unwrap();
    assert!(!html.contains("for both") && html.contains("did not keep them"), "{html}");
    let token = browser.token();
    let resent = browser.post("resend", &[("token", &token), ("dead_id", &dead)], "same-origin").await;
    assert_eq!(resent.headers()[LOCATION].to_str().unwrap(), "failed?done=none");
    assert_eq!(stage.app.count(letters, &[&other_id]).await, 1);
    for html in [browser.get("endpoint").await, browser.get("failed").await, browser.get("catalogue").await] {
        let html = html.text().await.unwrap();
        assert!(!html.contains(&other_id), "{html}");
    }
    // A part of an address leads to no other path of the API.
    for strange in ["..%2F..%2Fgateway%2Fdeliveries", "1%2F..%2F..", "%00"] {
        let page = browser.get(&format!("payload?attempt_id={strange}")).await;
        assert!([200, 400, 404].contains(&page.status().as_u16()), "{strange}: {}", page.status());
    }

    let end = "UPDATE t_im_endpoint_link SET created_at = now() - interval '2 hours', expires_at = now()";
    sql.batch_execute(end).await.unwrap();
    for page in ["endpoint", "failed", "payload?attempt_id=1", "catalogue", "verify"] {
        let ended = browser.get(page).await;
        assert_eq!(ended.status(), 401, "{page}");
        assert!(ended.text().await.unwrap().contains("This link does not open any more"), "{page}");
    }
    assert_eq!(browser.post("test", &[("token", &token)], "same-origin").await.status(), 401);
    let again = Browser::new(&stage.app.base).open(&secret).await;
    assert_eq!(again.status(), 401);
    assert!(again.text().await.unwrap().contains("Ask the administrator"));
}

#[tokio::test]
async fn the_cookies_of_a_link_are_for_tls_alone_where_its_address_is() {
    let app = TestApp::start_with(&format!("{OPEN}console_url = \"https://im.example/console\"\n")).await;
    let admin = app.client("root", &["admin"]);
    let wish = json!({"url": "http://127.0.0.1:9/", "event_types": ["message.*"]});
    let made = admin.post("/callbacks", wish).await.expect(201);
    let links = format!("/callbacks/{}/links", text(&made["callback_id"]));
    let secret = secret(&admin.post(&links, json!({"hours": 1})).await.expect(201));
    let mut browser = Browser::new(&app.base);
    let page = browser.get("open").await;
    let opened = browser.open(&secret).await;
    for set in [&page, &opened].map(|response| response.headers()[SET_COOKIE].to_str().unwrap()) {
        assert!(set.starts_with("impg-link") && set.ends_with("; Secure"), "{set}");
    }
}

#[tokio::test]
async fn opening_a_link_again_and_again_writes_nothing_and_has_the_rate_of_the_link() {
    let app =
        TestApp::start_with(&format!("{OPEN}link_requests_per_second = 1\nlink_requests_burst = 3\n")).await;
    let admin = app.client("root", &["admin"]);
    let wish = json!({"url": "http://127.0.0.1:9/", "event_types": ["message.*"]});
    let links = format!(
        "/callbacks/{}/links",
        text(&admin.post("/callbacks", wish).await.expect(201)["callback_id"])
    );
    let made = secret(&admin.post(&links, json!({"hours": 1})).await.expect(201));
    let mut browser = Browser::new(&app.base);
    assert_eq!(browser.open(&made).await.status(), 303);
    assert_eq!(browser.open(&made).await.status(), 303);
    let noted =
        "SELECT count(*) FROM t_im_audit WHERE action = 'endpoint-link-used' AND filter ->> 'use' = 'opened'";
    assert_eq!(app.count(noted, &[]).await, 1);
    let token = browser.token();
    let fields = [("token", token.as_str()), ("key", made.as_str())];
    let refused = until(|| browser.post("open", &fields, "same-origin"), |page| page.status() == 429).await;
    assert_eq!(refused.headers().get(SET_COOKIE), None);
    // Later it is an opening of its own.
    let past = "UPDATE t_im_endpoint_link SET opened_at = opened_at - interval '2 minutes'";
    app.sql().await.batch_execute(past).await.unwrap();
    until(|| browser.post("open", &fields, "same-origin"), |page| page.status() == 303).await;
    assert_eq!(app.count(noted, &[]).await, 2);
}

#[tokio::test]
async fn the_secret_of_a_link_is_in_no_line_of_the_log() {
    let database = crate::app::database().await;
    let url = shared().url(&database);
    let settings = [
        ("log", "info,im_push_gateway=trace"),
        ("database_url", url.as_str()),
        ("callback_url", "none"),
        ("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
        ("callback_allow", "127.0.0.0/8"),
    ];
    let mut service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let root = Client::new(&service.api(), "root", &["admin"]);
    let wish = json!({"url": "http://127.0.0.1:9/", "event_types": ["message.*"]});
    let callback_id = text(&root.post("/callbacks", wish).await.expect(201)["callback_id"]);
    let made = root.post(&format!("/callbacks/{callback_id}/links"), json!({"hours": 1})).await.expect(201);
    let secret = secret(&made);
    let mut browser = Browser::new(&service.url());
    assert_eq!(browser.open(&secret).await.status(), 303);
    let token = browser.token();
    for page in ["endpoint", "failed", "catalogue", "verify"] {
        assert_eq!(browser.get(page).await.status(), 200, "{page}");
    }
    assert_eq!(browser.post("test", &[("token", &token)], "same-origin").await.status(), 200);
    // Also where it is wrong, and where a client puts it into an address.
    browser.post("open", &[("token", &token), ("key", &format!("{secret}x"))], "same-origin").await;
    browser.get(&format!("open?key={secret}")).await;
    let api = Client::anonymous(&service.api()).with_header("authorization", &format!("Bearer {secret}"));
    api.get(&format!("/callbacks/{callback_id}")).await.expect(200);
    api.get("/users/me").await.expect_problem(403, "forbidden");
    service.stop().await;
    let log = service.log();
    assert!(log.contains("/console/developer/endpoint"), "requests are in this log");
    assert!(!log.contains(&secret[5..]), "the secret is in the log");
}
