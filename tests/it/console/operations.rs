//! The pages of operators in Chromium: every page, a replay, a paused endpoint, pages that load themselves again; and
//! who gets them.

use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, RequestBuilder};
use serde_json::{Value, json};

use super::browse;
use super::pages::INJECTED;
use crate::app::{LONG, TestApp, text};
use crate::delivery::callbacks::OPEN;
use crate::support::{Answer, Conduct, Observer, Record};

/// A failed batch is given up once another one succeeds. The breaker stays closed.
const IMPATIENT: &str = "callback_give_up_ms = 1\ncallback_breaker_failures = 1000\n";
/// Every page of operators.
const PAGES: &[&str] = &[
    "home",
    "operations",
    "endpoints",
    "endpoint?callback_id=gateway",
    "dead-letters",
    "dead-letters?callback_id=gateway",
    "dead-letters?callback_id=gateway&view=replay",
    "runbook?name=ImPushGatewayDeadLetters",
];

/// A service with a dead letter of the gateway, an observer whose name and answers would run a script, a directory run
/// that waits for an approval, and a conflict.
struct World {
    app: TestApp,
    _observer: Observer,
    /// The channel whose batches the gateway refused.
    bad: String,
    dead_id: String,
    callback_id: String,
}

async fn world() -> World {
    let app = TestApp::with_archive(&format!("{OPEN}{IMPATIENT}")).await;
    app.people(&["ann", "bob", "cy"]).await;
    let (bad, good) = (app.direct("ann", "bob").await, app.direct("ann", "cy").await);
    let root = app.client("root", &["admin"]);
    let observer = Observer::start();
    observer.behave(|_| Conduct::Say(503, vec![("x-why", "busy".to_owned())]));
    let body = json!({"url": observer.url(), "description": INJECTED, "event_types": ["channel.*"]});
    let made = root.post("/callbacks", body).await.expect(201);
    app.group(&["ann", "bob"]).await;
    let answered =
        "SELECT (count(*) > 0)::integer::bigint FROM t_im_push_attempt WHERE callback_id <> 'gateway'";
    app.until(answered, 1).await;
    let poisoned = bad.clone();
    app.gateway.answer(move |batch| {
        if batch.channels().contains(poisoned.as_str()) {
            Answer::Body(INJECTED.to_owned())
        } else {
            Answer::All
        }
    });
    // One after the other: a batch that holds both would be given up as a whole.
    app.say("ann", &good, "fine").await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 1).await;
    app.say("ann", &bad, "poison").await;
    app.until("SELECT count(*) FROM t_im_push_dead WHERE callback_id = 'gateway'", 1).await;
    let more = "INSERT INTO t_im_directory_run (mode, asked_by, dry_run, asked_at, state) \
                VALUES ('full', 'hand', false, now(), 'held'); \
                INSERT INTO t_im_directory_edit (user_id, source, attributes, base, state, due_at, set_at, give_up_at, \
                                                 asked_by, asked_at, ended_at) \
                VALUES ('bob', 'hr', '{\"title\": \"x\"}', '{\"title\": null}', 'conflict', now(), now(), now(), 'ann', now(), now())";
    app.sql().await.batch_execute(more).await.expect("rows");
    let letters = root.get("/callbacks/gateway/dead-letters").await.expect(200);
    let dead_id = text(&letters["items"][0]["dead_id"]);
    let callback_id = text(&made["callback_id"]);
    World { app, _observer: observer, bad, dead_id, callback_id }
}

fn visits(world: &World, lang: &str) -> Vec<Value> {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let page = |name: &str, address: String, wants: &[&str]| json!({"name": name, "address": address, "wants": wants});
    let World { dead_id, callback_id, bad, .. } = world;
    let of_gateway = |rest: &str| format!("dead-letters?callback_id=gateway{rest}");
    vec![
        page(
            "home",
            "home".into(),
            &[
                word("Deliveries were given up", "有投递已被放弃"),
                word("A directory run waits for an approval", "有通讯录同步等待批准"),
                word("Edits conflict with values", "有修改与数据源的值冲突"),
                word("The last 24 hours", "最近 24 小时"),
            ],
        ),
        page(
            "operations",
            "operations".into(),
            &[word("Search index", "搜索索引"), word("This replica", "本副本")],
        ),
        page(
            "endpoints",
            "endpoints".into(),
            &["<img src=x", "answered 503: not 2xx", word("gateway", "网关")],
        ),
        page(
            "endpoint",
            "endpoint?callback_id=gateway".into(),
            &["<img src=x", word("Newest attempts", "最近的尝试")],
        ),
        page(
            "endpoint-observer",
            format!("endpoint?callback_id={callback_id}"),
            &["<img src=x", "answered 503: not 2xx", word("Send a test event", "发送测试事件")],
        ),
        page("dead-letters", "dead-letters".into(), &["gateway", word("1 dead letter", "1 封死信")]),
        page("dead-letters-of", of_gateway(""), &[word("Replay all that match", "重放所有匹配项"), bad]),
        page(
            "dead-letters-none",
            of_gateway("&reason=nothing-like-this&since=2020-01-01T00%3A00"),
            &[word("No dead letter matches", "没有匹配的死信")],
        ),
        json!({
            "name": "dead-letter", "address": of_gateway(&format!("&dead_id={dead_id}")),
            "wants": [word("Hidden until you ask", "默认隐藏")],
            "lacks": [word("First message", "第一条消息")],
        }),
        page(
            "dead-letter-items",
            of_gateway(&format!("&dead_id={dead_id}&items=1")),
            &[word("First message", "第一条消息")],
        ),
        json!({
            "name": "replay", "address": of_gateway("&view=replay"), "has": ["[data-count='1']"],
            "wants": [word("The audit records it", "记入审计日志")],
        }),
        page("runbook", "runbook?name=ImPushGatewayDeadLetters".into(), &["repair the cause"]),
        json!({
            "name": "key-open-endpoint", "address": "endpoints", "keys": ["j", "j", "k", "Enter"],
            "leads": "endpoint?callback_id=gateway",
        }),
        json!({
            "name": "no-runbook", "address": "runbook?name=None", "status": 404, "wants": [word("Not found", "未找到")],
        }),
    ]
}

fn session(user: &str, roles: &str, look: (&str, &str, u32), visits: Vec<Value>) -> Value {
    let (lang, scheme, width) = look;
    json!({"user": user, "roles": roles, "lang": lang, "scheme": scheme, "width": width, "visits": visits})
}

async fn assert_browses(app: &TestApp, sessions: Vec<Value>) -> Value {
    let pictures = std::env::var("PICTURES").ok();
    let found = browse(&json!({"base": app.base, "sessions": sessions, "pictures": pictures})).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
    found
}

#[tokio::test]
async fn every_page_of_operators_is_whole_in_both_languages_light_and_dark_wide_and_narrow() {
    let world = world().await;
    let mut sessions = Vec::new();
    for look in super::LOOKS {
        sessions.push(session("root", "admin", look, visits(&world, look.0)));
        let words = if look.0 == "zh" { "您需要 admin 角色" } else { "You need the role admin" };
        let refused = json!({"name": "operators-only", "address": "home", "status": 403, "wants": [words]});
        sessions.push(session("desk", "support", look, vec![refused]));
    }
    let found = assert_browses(&world.app, sessions).await;
    assert_eq!(found["seen"]["home"], super::LOOKS.len(), "{found}");
}

#[tokio::test]
async fn a_replay_goes_from_its_preview_to_the_push() {
    let world = world().await;
    let app = &world.app;
    app.gateway.answer(|_| Answer::All);
    let steps = json!([
        {"click": ".tools a.primary"},
        {"sees": "[data-count='1']"},
        {"fill": ["#per_second", "50"]},
        {"click": "form.stack button.primary"},
        {"sees": "[data-replayed='1']"},
    ]);
    let list =
        json!({"name": "replayed", "address": "dead-letters?callback_id=gateway&reason=ans", "steps": steps});
    let again = json!({"name": "replayed-twice", "address": "dead-letters?callback_id=gateway&view=replay", "lacks": ["undefined"]});
    assert_browses(app, vec![session("root", "admin", ("en", "light", 1280), vec![list, again])]).await;
    let got = |record: &Record| {
        let held = record.arrivals.iter().filter(|one| one.batch.channels().contains(world.bad.as_str()));
        held.count() >= 2
    };
    app.gateway.wait_for(got, LONG).await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 2).await;
    let audit = app.client("root", &["admin"]).get("/audit?actor=root&limit=1").await.expect(200);
    let entry = &audit["items"][0];
    assert_eq!((&entry["action"], &entry["results"]), (&json!("callback-replayed"), &json!(1)), "{audit}");
    assert_eq!(
        (&entry["filter"]["reason"], &entry["filter"]["per_second"]),
        (&json!("ans"), &json!(50)),
        "{audit}"
    );
}

#[tokio::test]
async fn a_page_shows_a_change_by_itself_and_holds_it_while_it_is_paused() {
    let world = world().await;
    let patch = |state: &str| json!(["PATCH", "/callbacks/gateway", {"state": state}]);
    let (paused, active) = ("button[value=resume]", "button[value=pause]");
    let steps = json!([
        {"sees": ".live[data-state=on]"}, {"sees": active}, {"mark": true},
        {"click": "main details summary"}, {"focus": "main details summary"},
        {"call": patch("paused")}, {"run": 6_000}, {"sees": paused},
        {"same": true, "focused": "main details summary", "sees": "main details[open]"},
        // It holds what it shows.
        {"click": ".live button"}, {"sees": ".live[data-state=paused]"},
        {"call": patch("active")}, {"quiet": 60_000}, {"sees": paused, "lacks": active},
        {"click": ".live button"}, {"sees": active}, {"sees": ".live[data-state=on]"},
        // It says that it cannot load, and goes on by itself.
        {"offline": true}, {"run": 6_000}, {"sees": ".live[data-state=failed]"},
        {"call": patch("paused")}, {"offline": false}, {"run": 30_000}, {"sees": paused}, {"sees": ".live[data-state=on]"},
        {"same": true},
        // The button of the page resumes the endpoint.
        {"click": paused}, {"sees": active},
    ]);
    let live = json!({
        "name": "live", "address": "endpoint?callback_id=gateway", "clock": true, "steps": steps,
        "tolerates": "Failed to load resource",
    });
    let typing = json!({
        "name": "live-form", "address": "dead-letters?callback_id=gateway", "clock": true,
        "steps": [{"focus": "input[name=reason]"}, {"quiet": 6_000}, {"sees": ".live[data-state=waits]"}],
    });
    let test = json!({
        "name": "tested", "address": format!("endpoint?callback_id={}", world.callback_id),
        "steps": [{"click": "button[value=test]"}, {"sees": "[data-tested=refused]"}],
    });
    let looks = ("en", "light", 1280);
    assert_browses(&world.app, vec![session("root", "admin", looks, vec![live, typing, test])]).await;
    let gateway = world.app.client("root", &["admin"]).get("/callbacks/gateway").await.expect(200);
    assert_eq!(gateway["state"], "active");
}

fn http() -> Http {
    Http::builder().no_proxy().redirect(Policy::none()).build().expect("a client")
}

fn as_user(request: RequestBuilder, (user, roles): (&str, &str)) -> RequestBuilder {
    request.header("x-user-id", user).header("x-user-roles", roles)
}

async fn page(app: &TestApp, address: &str, who: (&str, &str)) -> (u16, HeaderMap, String) {
    let request = as_user(http().get(format!("{}/console{address}", app.base)), who);
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.text().await.expect("a page"))
}

#[tokio::test]
async fn only_the_role_admin_sees_the_pages_of_operators() {
    let app = TestApp::start().await;
    let (desk, root) = (("desk", "support"), ("root", "admin"));
    for address in PAGES {
        let (status, _, html) = page(&app, &format!("/{address}"), desk).await;
        assert_eq!(status, 403, "{address}");
        assert!(html.contains("You need the role admin") && !html.contains("<table"), "{address}: {html}");
        let (status, _, html) = page(&app, &format!("/{address}"), root).await;
        assert_eq!(status, 200, "{address}: {html}");
        // Every address is relative, so a gateway can put the console below any path.
        assert_eq!(html.split('"').find(|part| part.starts_with('/')), None, "{address}: {html}");
    }
    app.client("desk", &["support"]).get("/operations/overview").await.expect_problem(403, "forbidden");
    let (_, _, html) = page(&app, "/search", desk).await;
    assert!(!html.contains("href=\"home\""), "no way to a page that is not shown: {html}");
    for (address, who, to) in [
        ("", root, "console/home"),
        ("/", root, "home"),
        ("", desk, "console/search"),
        ("/", desk, "search"),
        ("/", ("", ""), "search"),
    ] {
        let (status, headers, _) = page(&app, address, who).await;
        assert_eq!((status, headers["location"].to_str().unwrap()), (307, to), "{address} {who:?}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_changes_no_endpoint() {
    let app = TestApp::start().await;
    let root = ("root", "admin");
    let (_, headers, _) = page(&app, "/endpoint?callback_id=gateway", root).await;
    let cookie = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let token = cookie.split_once('=').unwrap().1;
    let post = async |address: &str, who: (&str, &str), (token, site): (&str, &str)| {
        let request = as_user(http().post(format!("{}/console/{address}", app.base)), who);
        let body = format!("token={token}&do=pause&next=endpoint%3Fcallback_id%3Dgateway");
        let request = request.header("cookie", &cookie).header("sec-fetch-site", site).body(body);
        request.send().await.expect("an answer")
    };
    let state = async || {
        let gateway = app.client("root", &["admin"]).get("/callbacks/gateway").await.expect(200);
        text(&gateway["state"])
    };
    let endpoint = "endpoint?callback_id=gateway";
    for (address, who, form) in [
        (endpoint, root, (token, "cross-site")),
        (endpoint, root, ("guessed", "same-origin")),
        (endpoint, ("desk", "support"), (token, "same-origin")),
        ("dead-letters?callback_id=gateway", root, (token, "cross-site")),
        ("dead-letters?callback_id=gateway", root, ("", "same-origin")),
    ] {
        assert_eq!(post(address, who, form).await.status(), 403, "{address} {who:?} {form:?}");
    }
    assert_eq!(state().await, "active");
    let done = post(endpoint, root, (token, "same-origin")).await;
    assert_eq!((done.status().as_u16(), done.headers()["location"].to_str().unwrap()), (303, endpoint));
    assert_eq!(state().await, "paused");
}
