//! The page "try it": people of the demo company side by side in one browser. The API gateway of the demo serves it. The
//! service has nothing of it, so it cannot be turned on there.
//!
//! An API gateway proves who is calling. This one believes the path, so it listens on this machine alone, and answers
//! only pages of its own.
//!
//! | path | passes to the service, as |
//! | --- | --- |
//! | `/as/{user_id}/api/v1/…` | this user |
//! | `/gateway/api/v1/…` | the gateway itself: presence and receipts |
//! | `/desk/console/…`, `/ops/console/…` | a support person, an operator |
//! | `PUT /connections/{user_id}` `true`, `false` | nothing: whether the gateway has a connection of the user |

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, put};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::Client;

/// As many people more are in the large group.
const CROWD: usize = 2_000;
/// Users of one call.
const CHANGES: usize = 500;
/// The largest body that is passed on: more than the largest file of one request.
const BODY_MAX_BYTES: usize = 20 << 20;
/// Where the paths of the service begin.
const API: &str = "/api/v1/";
const CONSOLE: &str = "/console";
const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-user-roles");
/// Headers of a request that hold for its connection, or that only the gateway sets.
const NOT_PASSED: [HeaderName; 6] =
    [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH, AUTHORIZATION, USER, ROLES];
/// The page loads nothing from other sites, no other site can frame it, and no script or style is inside it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Path, media type and content.
type Asset = (&'static str, &'static str, &'static str);

const ASSETS: &[Asset] = &[
    ("/", "text/html; charset=utf-8", include_str!("tryit/page.html")),
    ("/tryit.css", "text/css; charset=utf-8", include_str!("tryit/tryit.css")),
    ("/api.js", SCRIPT, include_str!("tryit/api.js")),
    ("/calls.js", SCRIPT, include_str!("tryit/calls.js")),
    ("/composer.js", SCRIPT, include_str!("tryit/composer.js")),
    ("/conversations.js", SCRIPT, include_str!("tryit/conversations.js")),
    ("/dom.js", SCRIPT, include_str!("tryit/dom.js")),
    ("/main.js", SCRIPT, include_str!("tryit/main.js")),
    ("/media.js", SCRIPT, include_str!("tryit/media.js")),
    ("/message.js", SCRIPT, include_str!("tryit/message.js")),
    ("/pane.js", SCRIPT, include_str!("tryit/pane.js")),
    ("/phone.js", SCRIPT, include_str!("tryit/phone.js")),
    ("/receipts.js", SCRIPT, include_str!("tryit/receipts.js")),
    ("/samples.js", SCRIPT, include_str!("tryit/samples.js")),
    ("/texts.js", SCRIPT, include_str!("tryit/texts.js")),
    ("/mark.svg", PICTURE, include_str!("tryit/mark.svg")),
    ("/emoji/heart.svg", PICTURE, include_str!("tryit/emoji/heart.svg")),
    ("/emoji/ok.svg", PICTURE, include_str!("tryit/emoji/ok.svg")),
    ("/emoji/party.svg", PICTURE, include_str!("tryit/emoji/party.svg")),
    ("/emoji/smile.svg", PICTURE, include_str!("tryit/emoji/smile.svg")),
];

const EMOJIS: [&str; 4] = ["heart", "ok", "party", "smile"];

/// See [`Site::open`].
type Disconnected = dyn Fn(BTreeSet<String>) -> BoxFuture<'static, ()> + Send + Sync;

/// The people that the page can show: user id and name.
pub type People = Vec<(String, String)>;

/// The page, served until this is dropped.
pub struct Site {
    /// `http://127.0.0.1:port`
    pub url: String,
    task: JoinHandle<()>,
}

impl Site {
    /// Prepares what the page shows at `service`, an address without a path, and serves the page. `disconnected` tells
    /// the gateway which people have no connection. Its future ends when the gateway knows.
    pub async fn open(
        service: &str,
        people: &People,
        disconnected: impl Fn(BTreeSet<String>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        let settings = prepare(service, people).await;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build()
            .expect("an HTTP client");
        let gate = Gate {
            service: service.to_owned(),
            http,
            settings,
            away: Arc::default(),
            turn: Arc::default(),
            disconnected: Arc::new(disconnected),
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let serving = axum::serve(listener, routes(gate));
        Self { url, task: tokio::spawn(async move { serving.await.expect("it serves") }) }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Adds the crowd, the groups and the emojis. Returns what the page has to know.
async fn prepare(service: &str, people: &People) -> Value {
    let api = Client::anonymous(&format!("{service}/api/v1"));
    let (hr, ops) = (api.person("hr").with_roles(&["directory"]), api.person("ops").with_roles(&["admin"]));
    let crowd: Vec<String> = (1..=CROWD).map(|n| format!("crowd.{n:04}")).collect();
    for part in crowd.chunks(CHANGES) {
        let user = |id: &String| json!({"user_id": id, "name": format!("同事 {}", &id["crowd.".len()..])});
        let users: Vec<Value> = part.iter().map(user).collect();
        let changed = hr.post("/directory/changes", json!({"users": users})).await.expect(200);
        assert_eq!(changed["users"]["applied"], part.len(), "{changed}");
    }
    for emoji in EMOJIS {
        let address = json!({"address": format!("/emoji/{emoji}.svg")});
        ops.put(&format!("/emojis/{emoji}"), address).await.expect(200);
    }
    let ids: Vec<&str> = people.iter().map(|(user_id, _)| user_id.as_str()).collect();
    let (first, second) = (api.person(ids[0]), api.person(ids[1]));
    let everyone: Vec<&str> = ids[1..].iter().copied().chain(crowd.iter().map(String::as_str)).collect();
    let city = json!({"name": "星桥城 Star City", "members": everyone});
    let city = first.post("/groups", city).await.expect(201);
    let project = json!({"name": "项目组 Apollo", "members": ids[1..]});
    first.post("/groups", project).await.expect(201);
    let direct = first.post("/channels", json!({"type": "direct", "members": [ids[1]]})).await;
    assert!(direct.status == 201 || direct.status == 200, "{direct:?}");
    let channel_id = direct.body["channel_id"].as_str().expect("an id").to_owned();
    let hello = "你在左边写，我在右边看。Write on the left, I read on the right. [:smile:]";
    let hello = json!({"type": "text", "content": {"text": hello}});
    second.post(&format!("/channels/{channel_id}/messages"), hello).await.expect(201);
    let people = people.iter().map(|(user_id, name)| json!({"user_id": user_id, "name": name}));
    json!({
        "service": service,
        "people": people.collect::<Vec<_>>(),
        "direct": channel_id,
        "crowd": {"channel_id": city["channel_id"], "members": city["member_count"]},
    })
}

/// The gateway before the service.
#[derive(Clone)]
struct Gate {
    service: String,
    http: reqwest::Client,
    settings: Value,
    /// People of the page without a connection.
    away: Arc<Mutex<BTreeSet<String>>>,
    /// Changes of `away` reach the gateway one after another.
    turn: Arc<tokio::sync::Mutex<()>>,
    disconnected: Arc<Disconnected>,
}

fn routes(gate: Gate) -> Router {
    Router::new()
        .route("/settings.json", get(async |State(gate): State<Gate>| Json(gate.settings)))
        .route("/connections/{user_id}", put(connect))
        .route("/as/{user_id}/api/v1/{*rest}", any(as_person))
        .route("/gateway/api/v1/{*rest}", any(as_gateway))
        .route("/desk/console", any(as_support))
        .route("/desk/console/", any(as_support))
        .route("/desk/console/{*rest}", any(as_support))
        .route("/ops/console", any(as_operator))
        .route("/ops/console/", any(as_operator))
        .route("/ops/console/{*rest}", any(as_operator))
        .fallback(asset)
        .layer(from_fn(guard))
        .with_state(gate)
}

/// Refuses requests of other sites, and those that reach this machine under the name of another one.
async fn guard(request: Request, next: Next) -> Response {
    if is_foreign(request.uri().path(), request.headers()) {
        return (StatusCode::FORBIDDEN, "The demo answers only its own page on this machine.\n")
            .into_response();
    }
    next.run(request).await
}

fn is_foreign(path: &str, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").and_then(|host| host.split(':').next()).unwrap_or_default();
    let is_asset = ASSETS.iter().any(|(name, ..)| *name == path);
    let is_cross = text("sec-fetch-site").is_some_and(|site| site == "cross-site");
    !["127.0.0.1", "localhost"].contains(&host) || is_cross && !is_asset
}

async fn asset(request: Request) -> Response {
    let path = request.uri().path();
    let Some((_, kind, content)) = ASSETS.iter().find(|(name, ..)| *name == path) else {
        return (StatusCode::NOT_FOUND, "Not found\n").into_response();
    };
    let headers = [
        (CONTENT_TYPE, *kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, *content).into_response()
}

async fn connect(
    State(gate): State<Gate>,
    Path(user_id): Path<String>,
    Json(is_connected): Json<bool>,
) -> StatusCode {
    let _turn = gate.turn.lock().await;
    let away = {
        let mut away = gate.away.lock().expect("no panic while held");
        if is_connected {
            away.remove(&user_id)
        } else {
            away.insert(user_id)
        };
        away.clone()
    };
    (gate.disconnected)(away).await;
    StatusCode::NO_CONTENT
}

async fn as_person(
    State(gate): State<Gate>,
    Path((user_id, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    gate.pass((&user_id, ""), API, request).await
}

async fn as_gateway(State(gate): State<Gate>, request: Request) -> Response {
    gate.pass(("gateway", "gateway"), API, request).await
}

async fn as_support(State(gate): State<Gate>, request: Request) -> Response {
    gate.pass(("desk", "support"), CONSOLE, request).await
}

async fn as_operator(State(gate): State<Gate>, request: Request) -> Response {
    gate.pass(("ops", "admin"), CONSOLE, request).await
}

impl Gate {
    /// Passes a request to the service with the identity of its path. `begin`: where the path of the service begins.
    async fn pass(&self, caller: (&str, &str), begin: &str, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let whole = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let (Some(at), Some(identity)) = (whole.find(begin), identity(caller)) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large for the demo\n").into_response();
        };
        let mut headers = parts.headers;
        for name in NOT_PASSED {
            headers.remove(name);
        }
        if let Some(host) = headers.remove(HOST) {
            headers.insert("x-forwarded-host", host);
        }
        headers.extend(identity);
        let mut sent =
            self.http.request(parts.method, format!("{}{}", self.service, &whole[at..])).headers(headers);
        if !body.is_empty() {
            sent = sent.body(body);
        }
        match sent.send().await {
            Ok(response) => answer(response),
            Err(_) => (StatusCode::BAD_GATEWAY, "The service does not answer\n").into_response(),
        }
    }
}

fn identity((user_id, role): (&str, &str)) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(USER, HeaderValue::from_bytes(user_id.as_bytes()).ok()?);
    if !role.is_empty() {
        headers.insert(ROLES, HeaderValue::from_bytes(role.as_bytes()).ok()?);
    }
    Some(headers)
}

/// The answer of the service, also one that never ends.
fn answer(response: reqwest::Response) -> Response {
    let (status, mut headers) = (response.status(), response.headers().clone());
    for name in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let pieces = unfold(response, |mut response: reqwest::Response| async move {
        let piece = response.chunk().await.transpose()?;
        Some((piece, response))
    });
    let mut answer = Response::new(Body::from_stream(pieces));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
