//! `/console/sign-in`: where people with accounts of this service sign in to the console. In other identity modes the gateway
//! signs them in, and these pages do not exist.
//!
//! A session is one of the API, made by the calls that every client sends. Its tokens are in cookies of the console, which no
//! script can read. The API itself never looks at a cookie. So another site that makes a browser call the API is a caller
//! without identity, and forms of the console have a token and an origin.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, LOCATION, REFERER, RETRY_AFTER, SET_COOKIE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::calls::{Refusal, read};
use super::case::{ACCESS, CASE, Form, REFRESH, TOKEN, cookie, new_token, page_of, set_cookie};
use super::visit::{Asked, Visit};
use crate::api::{Api, accounts, clock};
use crate::base::error::{Error, Kind};
use crate::console::frame::{Frame, link};
use crate::console::sign_in::{Refused, Shown, Why, page};

/// What limits attempts by address.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Marks a request, and its answer, whose caller has signed in here.
#[derive(Clone, Copy)]
pub struct OwnSession;

/// The pages, before which there is no session.
pub fn routes(api: &Api) -> Router<Api> {
    Router::new()
        .route("/console/sign-in", get(show).post(sign_in))
        .route("/console/sign-out", post(sign_out))
        .layer(from_fn_with_state(api.clone(), only_with_accounts))
}

async fn only_with_accounts(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.accounts.is_none() {
        return Refusal::not_found().into_response();
    }
    next.run(request).await
}

/// The session that a request of a page came with.
#[derive(Default)]
pub struct Session {
    is_own: bool,
    /// New tokens, if the session was refreshed.
    cookies: Vec<String>,
}

impl Session {
    /// Hands new tokens to the browser, and lets the page show a way out.
    pub fn keep(self, mut response: Response) -> Response {
        if self.is_own {
            response.extensions_mut().insert(OwnSession);
        }
        with_cookies(response, &self.cookies)
    }
}

/// Gives a request the access token of its cookies, refreshed if it has to be.
///
/// # Errors
/// The way to the sign-in, which leads back to the page. Or a problem, if it cannot be known whether there is a session.
pub async fn enter(api: &Api, request: &mut Request) -> Result<Session, Response> {
    // A command line sends a token of its own. In other modes the gateway says who is calling.
    let Some(tokens) = api.identity.account_tokens() else { return Ok(Session::default()) };
    if request.headers().contains_key(AUTHORIZATION) {
        return Ok(Session::default());
    }
    let mut session = Session { is_own: true, cookies: Vec::new() };
    let mut token = held(request.headers(), ACCESS);
    let refresh = held(request.headers(), REFRESH);
    let had = token.is_some() || refresh.is_some();
    if let Some(access) = &token {
        match tokens.caller(&api.store, access, clock()).await {
            Ok(_) => {}
            Err(e) if e.kind == Kind::Unauthenticated => token = None,
            Err(e) => return Err(e.into_response()),
        }
    }
    if let (None, Some(refresh)) = (&token, refresh) {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        match refreshed(api, (peer, request.headers()), &refresh).await {
            Ok(grant) => {
                session.cookies = grant.cookies(api, request.headers());
                token = Some(grant.access_token);
            }
            Err(Refusal::Problem(problem)) if [401, 403].contains(&problem.status) => {}
            Err(other) => return Err(other.into_response()),
        }
    }
    let Some(token) = token else { return Err(led(api, request, had)) };
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| led(api, request, had))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    request.extensions_mut().insert(OwnSession);
    Ok(session)
}

fn held(headers: &HeaderMap, name: &str) -> Option<String> {
    cookie(headers, name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The tokens of a session, as the API answers them.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    refresh_token: String,
}

impl Grant {
    fn cookies(&self, api: &Api, headers: &HeaderMap) -> Vec<String> {
        [(ACCESS, &self.access_token), (REFRESH, &self.refresh_token)]
            .map(|(name, token)| set_cookie(&api.config, headers, name, token))
            .into()
    }
}

async fn refreshed(
    api: &Api,
    (peer, headers): (Option<SocketAddr>, &HeaderMap),
    refresh_token: &str,
) -> Result<Grant, Refusal> {
    let peer = peer.ok_or_else(|| Error::internal("the peer's address is missing"))?;
    let body = json!({"refresh_token": refresh_token});
    read(call(api, (peer, headers), "/users/refresh", &body).await?).await
}

/// Sends a call of the API that proves who it is by its body.
async fn call(
    api: &Api,
    (peer, headers): (SocketAddr, &HeaderMap),
    path: &str,
    body: &Value,
) -> Result<Response, Error> {
    let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
    for name in [FORWARDED_FOR, USER_AGENT] {
        for value in headers.get_all(&name) {
            request = request.header(&name, value);
        }
    }
    let mut request = request.body(Body::from(body.to_string())).map_err(Error::internal)?;
    request.extensions_mut().insert(ConnectInfo(peer));
    match accounts::open_routes().with_state(api.clone()).oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The way to the sign-in, and from there back to the page.
fn led(api: &Api, request: &Request, had_session: bool) -> Response {
    let asked = asked_page(request);
    let next = page_of(&asked).unwrap_or_default();
    let why = match (had_session, next.is_empty()) {
        (true, _) => Why::Ended,
        (false, false) => Why::Needed,
        (false, true) => Why::Asked,
    };
    let cookies = if had_session { forgotten(api, request.headers()) } else { Vec::new() };
    with_cookies(see(link("sign-in", &[("next", next), ("why", why.code())])), &cookies)
}

/// The page that a request is for, or the one that its form is on.
fn asked_page(request: &Request) -> String {
    let headers = request.headers();
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return Visit::outside(headers, request.uri()).here;
    }
    let form = headers.get(REFERER).and_then(|referer| referer.to_str().ok()?.parse::<Uri>().ok());
    form.map(|uri| Visit::outside(headers, &uri).here).unwrap_or_default()
}

fn forgotten(api: &Api, headers: &HeaderMap) -> Vec<String> {
    [ACCESS, REFRESH].map(|name| set_cookie(&api.config, headers, name, "")).into()
}

fn see(to: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

fn with_cookies(mut response: Response, cookies: &[String]) -> Response {
    for mut cookie in cookies.iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok()) {
        cookie.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// What the form sends back: that of this browser, or a new one.
fn form_token(api: &Api, headers: &HeaderMap) -> Result<(String, Vec<String>), Error> {
    match held(headers, TOKEN) {
        Some(token) => Ok((token, Vec::new())),
        None => {
            let token = new_token()?;
            let set = set_cookie(&api.config, headers, TOKEN, &token);
            Ok((token, vec![set]))
        }
    }
}

async fn show(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let asked = Visit::outside(&headers, &uri);
    let (token, mut cookies) = form_token(&api, &headers)?;
    cookies.extend(asked.language_cookie(&api, &headers));
    let next = page_of(asked.param("next")).unwrap_or_default();
    let shown = Shown { why: Why::parse(asked.param("why")), next, username: "", refused: None };
    let frame = Frame { token: &token, ..asked.frame_of(None) };
    Ok(html(StatusCode::OK, page(&frame, &shown), &cookies))
}

fn html(status: StatusCode, html: String, cookies: &[String]) -> Response {
    with_cookies((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(), cookies)
}

async fn sign_in(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refusal> {
    let username = form.field("username");
    let body = json!({"username": username, "password": form.field("password")});
    let answer = call(&api, (peer, &headers), "/users/login", &body).await?;
    let wait = answer.headers().get(RETRY_AFTER).cloned();
    let next = page_of(form.field("next"));
    let problem = match read::<Grant>(answer).await {
        Ok(grant) => {
            // The session before it, if there is one, has no cookie any more.
            // It ends by itself if it cannot be ended now: the new session must reach the browser.
            let _ = end(&api, (peer, &headers)).await;
            // Without a page, the way of every visitor: the home page, or the search.
            let to = next.unwrap_or("./").to_owned();
            return Ok(with_cookies(see(to), &grant.cookies(&api, &headers)));
        }
        Err(Refusal::Problem(problem)) => problem,
        Err(other) => return Err(other),
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let wait_s = wait.as_ref().and_then(|wait| wait.to_str().ok()?.parse().ok());
    let refused = Refused { problem, wait_s };
    let next = next.unwrap_or_default();
    let shown = Shown { why: Why::Asked, next, username, refused: Some(&refused) };
    // A link to the other language leads to a page that has an address.
    let here = link("sign-in", &[("next", next)]);
    let asked: Asked = Visit::outside(&headers, &Uri::from_static("/console/sign-in"));
    let frame = Frame { token: form.field("token"), here: &here, ..asked.frame_of(None) };
    let mut response = html(status, page(&frame, &shown), &[]);
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, wait);
    }
    Ok(response)
}

/// Ends the session of this browser, if it has one.
async fn end(api: &Api, (peer, headers): (SocketAddr, &HeaderMap)) -> Result<(), Refusal> {
    let Some(refresh_token) = held(headers, REFRESH) else { return Ok(()) };
    let body = json!({"refresh_token": refresh_token});
    match read::<Value>(call(api, (peer, headers), "/users/logout", &body).await?).await {
        // One that has ended already, or is none of ours.
        Err(Refusal::Problem(problem)) if problem.status < 500 && problem.status != 429 => Ok(()),
        other => other.map(drop),
    }
}

/// Ends the session and the case of this browser. If the session cannot be ended now, the cookies stay: the person sees that
/// it did not work, and presses the button again.
async fn sign_out(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    _: Form,
) -> Result<Response, Refusal> {
    end(&api, (peer, &headers)).await?;
    let mut cookies = forgotten(&api, &headers);
    cookies.push(set_cookie(&api.config, &headers, CASE, ""));
    Ok(with_cookies(see(link("sign-in", &[("why", Why::Out.code())])), &cookies))
}
