//! The pages below `/console/developer`: what a link opens. Its caller is the link, and not a user. The gateway lets these
//! paths through without a sign-in.
//!
//! The secret of a link stands behind `#`, which browsers send to no server. The script of the page moves it into a form,
//! and a person sends the form: a scanner that opens links in emails neither learns the secret nor uses it up. Then a
//! cookie holds it, for these pages alone.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::calls::{self, Calls, Operations, Refusal, problem_of};
use super::case::{LINK, LINK_TOKEN, LinkForm, cookie, new_token, set_cookie};
use super::examples::EXAMPLES;
use super::visit::{Asked, Visit};
use super::{asset, moved};
use crate::api::rates::{self, Rates};
use crate::api::{Api, Now, links};
use crate::base::error::{Error, Kind};
use crate::console::answers::{Page, Problem};
use crate::console::developer::answers::{DeadLetter, Delivery, Endpoint, Payload, Replayed, Tested};
use crate::console::developer::failed::{Done, Wish};
use crate::console::developer::{Shell, Tab, endpoint, failed, guide};
use crate::console::{SCRIPT, STYLE};
use crate::identity::Caller;
use crate::identity::link::{self, Link};

/// Entries of a list on a page.
const LIMIT: &str = "25";
/// From when on a form offers to recover, unless the developer says otherwise.
const SINCE: Duration = Duration::DAY;

type Shown = Result<Response, Refusal>;

/// The pages. `operations` are the calls that they are made from.
pub fn routes(api: &Api, operations: Router, rates: &Rates) -> Router<Api> {
    let operations = operations.layer(from_fn(links::confined));
    let pages = Router::new()
        .route("/console/developer/endpoint", get(endpoint_page))
        .route("/console/developer/test", post(test))
        .route("/console/developer/payload", get(payload_page))
        .route("/console/developer/failed", get(failed_page))
        .route("/console/developer/resend", post(resend))
        .route("/console/developer/recover", post(recover))
        .route("/console/developer/catalogue", get(catalogue_page))
        .route("/console/developer/verify", get(verify_page))
        .route("/console/developer/leave", post(leave))
        .layer(Extension(Operations(operations)))
        .layer(from_fn_with_state(rates.clone(), rates::limit))
        .layer(from_fn_with_state(api.clone(), enter));
    Router::new()
        .route("/console/developer", get(async || moved("developer/open")))
        .route("/console/developer/", get(async || moved("open")))
        .route("/console/developer/console.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/console/developer/console.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .merge(pages.route("/console/developer/open", get(open_page).post(open)).layer(from_fn(dress)))
}

/// Finds the link of the cookie.
async fn enter(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let found = match cookie(request.headers(), LINK) {
        Some(secret) => link::find(&api.store, secret).await,
        None => Err(Error::new(Kind::Unauthenticated, "open the link again")),
    };
    match found {
        Ok(caller) => {
            let until = caller.until;
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(Until(until));
            response
        }
        Err(e) => e.into_response(),
    }
}

/// Until when the link holds that a request came with.
#[derive(Clone, Copy)]
struct Until(Option<OffsetDateTime>);

/// Shows a problem as a page.
async fn dress(request: Request, next: Next) -> Response {
    let asked = Visit::outside(request.headers(), request.uri());
    let token = cookie(request.headers(), LINK_TOKEN).unwrap_or_default().to_owned();
    let response = next.run(request).await;
    let media_type = response.headers().get(CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != "application/problem+json") {
        return response;
    }
    let ends_at = response.extensions().get::<Until>().and_then(|until| until.0);
    let (mut parts, body) = response.into_parts();
    let found: Problem = problem_of(parts.status, body).await;
    // A page that was sent by a form has no address of its own.
    let here = if ends_at.is_some() { "endpoint" } else { "open" };
    let shell = Shell { lang: asked.lang, tab: Tab::Outside, here, token: &token, ends_at };
    let html = shell.problem_page(&found);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(html))
}

/// A request of a browser, with or without a link.
struct Guest {
    asked: Asked,
    token: String,
    /// Cookies that the answer sets.
    cookies: Vec<String>,
}

impl FromRequestParts<Api> for Guest {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let asked = Visit::outside(&parts.headers, &parts.uri);
        let mut cookies = Vec::new();
        let token = match cookie(&parts.headers, LINK_TOKEN).filter(|token| !token.is_empty()) {
            Some(token) => token.to_owned(),
            None => {
                let token = new_token().map_err(IntoResponse::into_response)?;
                cookies.push(set_cookie(&api.config, &parts.headers, LINK_TOKEN, &token));
                token
            }
        };
        cookies.extend(asked.language_cookie(api, &parts.headers));
        Ok(Self { asked, token, cookies })
    }
}

impl Guest {
    fn shell(&self, tab: Tab, ends_at: Option<OffsetDateTime>) -> Shell<'_> {
        Shell { lang: self.asked.lang, tab, here: &self.asked.here, token: &self.token, ends_at }
    }

    /// A page, with the cookies that the browser lacks.
    fn html(&self, html: String) -> Response {
        let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
        let cookies = self.cookies.iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok());
        cookies.for_each(|cookie| {
            response.headers_mut().append(SET_COOKIE, cookie);
        });
        response
    }
}

/// A request with a link that holds.
struct Session {
    guest: Guest,
    caller: Caller,
    link: Link,
}

impl FromRequestParts<Api> for Session {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let found = caller.and_then(|caller| caller.link.clone().map(|link| (caller, link)));
        let (caller, link) =
            found.ok_or_else(|| Error::new(Kind::Unauthenticated, "open the link again").into_response())?;
        Ok(Self { guest: Guest::from_request_parts(parts, api).await?, caller, link })
    }
}

impl Session {
    fn shell(&self, tab: Tab) -> Shell<'_> {
        self.guest.shell(tab, self.caller.until)
    }

    /// The page of a form: a link to another language leads to a page that has an address.
    fn shell_at<'a>(&'a self, tab: Tab, here: &'a str) -> Shell<'a> {
        Shell { here, ..self.shell(tab) }
    }

    /// The path of the callback, or of something of it.
    fn path(&self, rest: &str) -> String {
        format!("/callbacks/{}{rest}", calls::part(&self.link.callback_id))
    }

    fn page_params(&self) -> Vec<(&str, &str)> {
        let cursor = self.guest.asked.param("cursor");
        let mut params = vec![("limit", LIMIT)];
        params.extend((!cursor.is_empty()).then_some(("cursor", cursor)));
        params
    }
}

async fn open_page(guest: Guest) -> Response {
    guest.html(guest.shell(Tab::Outside, None).open_page())
}

/// Takes the secret of a link, and keeps it in a cookie of these pages.
async fn open(State(api): State<Api>, Now(now): Now, headers: HeaderMap, LinkForm(form): LinkForm) -> Shown {
    let key = form.field("key").trim();
    // A whole link is pasted as easily as its end.
    let key = key.rsplit('#').next().unwrap_or_default();
    let caller = link::find(&api.store, key).await?;
    api.rates().take(&caller)?;
    link::note_opened(&api.store, &caller, now).await?;
    let cookie = set_cookie(&api.config, &headers, LINK, key);
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "endpoint".to_owned())]).into_response())
}

/// Forgets the secret in this browser.
async fn leave(State(api): State<Api>, _: Session, headers: HeaderMap, _: LinkForm) -> Shown {
    let cookie = set_cookie(&api.config, &headers, LINK, "");
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "open".to_owned())]).into_response())
}

async fn endpoint_page(session: Session, Extension(operations): Extension<Operations>) -> Shown {
    show_endpoint(&session, &operations, None).await
}

async fn show_endpoint(session: &Session, operations: &Operations, tested: Option<&Tested>) -> Shown {
    let mut calls = Calls::by(operations, &session.caller);
    let shown: Endpoint = calls.get(&session.path(""), &[]).await?;
    let sent: Page<Delivery> = calls.get(&session.path("/deliveries"), &session.page_params()).await?;
    let shell = match tested {
        Some(_) => session.shell_at(Tab::Endpoint, "endpoint"),
        None => session.shell(Tab::Endpoint),
    };
    Ok(session.guest.html(endpoint::page(&shell, &shown, &sent, tested)))
}

async fn test(session: Session, Extension(operations): Extension<Operations>, _: LinkForm) -> Shown {
    let calls = Calls::by(&operations, &session.caller);
    let tested: Tested = calls.change(Method::POST, &session.path("/test"), None).await?;
    show_endpoint(&session, &operations, Some(&tested)).await
}

async fn payload_page(session: Session, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::by(&operations, &session.caller);
    let attempt = calls::part(session.guest.asked.param("attempt_id"));
    let path = session.path(&format!("/deliveries/{attempt}/payload"));
    let found = match calls.get::<Payload>(&path, &[]).await {
        Ok(found) => Some(found),
        // The log forgets before the attempts do.
        Err(Refusal::Problem(problem)) if problem.status == 404 => None,
        Err(other) => return Err(other),
    };
    Ok(session.guest.html(endpoint::payload(&session.shell(Tab::Endpoint), found.as_ref())))
}

async fn failed_page(session: Session, Now(now): Now, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::by(&operations, &session.caller);
    let letters: Page<DeadLetter> = calls.get(&session.path("/dead-letters"), &session.page_params()).await?;
    let done = match session.guest.asked.param("done") {
        "resent" => Done::Resent,
        "none" => Done::NotThere,
        "recovered" => Done::Recovered,
        _ => Done::Nothing,
    };
    let since = (now - SINCE).format(&Rfc3339).unwrap_or_default();
    let since = since.get(..MINUTES).unwrap_or_default();
    let wish = Wish { since, what: "dead", after: "" };
    let shell = session.shell_at(
        Tab::Failed,
        if done == Done::Nothing { session.guest.asked.here.as_str() } else { "failed" },
    );
    Ok(session.guest.html(failed::page(&shell, &letters, (done, &wish))))
}

/// Characters of a date and a time without seconds, as browsers give it: `2026-07-30T08:00`.
const MINUTES: usize = 16;

/// Sends one dead letter again.
async fn resend(
    session: Session,
    Extension(operations): Extension<Operations>,
    LinkForm(form): LinkForm,
) -> Shown {
    let calls = Calls::by(&operations, &session.caller);
    let which = json!({"dead_ids": [form.field("dead_id")]});
    let put: Replayed = calls.change(Method::POST, &session.path("/replay"), Some(&which)).await?;
    Ok(led(if put.replayed == 0 { "failed?done=none" } else { "failed?done=resent" }))
}

/// Counts what a replay would send, then sends it when the developer confirms.
async fn recover(
    session: Session,
    Extension(operations): Extension<Operations>,
    LinkForm(form): LinkForm,
) -> Shown {
    let wish = Wish { since: form.field("since"), what: form.field("what"), after: form.field("after") };
    let is_confirmed = !form.field("confirmed").is_empty();
    let calls = Calls::by(&operations, &session.caller);
    let which = replay_of(&wish, !is_confirmed);
    let found: Replayed = calls.change(Method::POST, &session.path("/replay"), Some(&which)).await?;
    let shell = session.shell_at(Tab::Failed, "failed");
    match (is_confirmed, &found.next_event_id) {
        (true, None) => Ok(led("failed?done=recovered")),
        (true, Some(after)) => {
            let rest = Wish { after, ..wish };
            Ok(session.guest.html(failed::confirm(&shell, &rest, &found, true)))
        }
        (false, _) => Ok(session.guest.html(failed::confirm(&shell, &wish, &found, false))),
    }
}

/// The body of a replay. A browser gives a time without seconds or a zone.
fn replay_of(wish: &Wish<'_>, dry_run: bool) -> Value {
    let seconds = if wish.since.len() == MINUTES { ":00" } else { "" };
    let since = format!("{}{seconds}Z", wish.since);
    let mut which = match wish.what {
        "all" => json!({"events_since": since}),
        _ => json!({"since": since}),
    };
    which["dry_run"] = json!(dry_run);
    if !wish.after.is_empty() {
        which["after_event_id"] = json!(wish.after);
    }
    which
}

async fn catalogue_page(session: Session, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::by(&operations, &session.caller);
    let shown: Endpoint = calls.get(&session.path(""), &[]).await?;
    let html = guide::catalogue(&session.shell(Tab::Catalogue), &shown.event_types, &EXAMPLES);
    Ok(session.guest.html(html))
}

async fn verify_page(session: Session) -> Response {
    session.guest.html(guide::verify(&session.shell(Tab::Verify)))
}

/// The answer to a form whose change is made.
fn led(to: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_of_dead_letters_or_of_the_log() {
        let wish = Wish { since: "2026-07-30T08:00", what: "dead", after: "" };
        assert_eq!(replay_of(&wish, true), json!({"since": "2026-07-30T08:00:00Z", "dry_run": true}));
        let wish = Wish { since: "2026-07-30T08:00:05", what: "all", after: "7" };
        let all = json!({"events_since": "2026-07-30T08:00:05Z", "dry_run": false, "after_event_id": "7"});
        assert_eq!(replay_of(&wish, false), all);
    }
}
