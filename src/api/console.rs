//! `/console`: pages for support staff and operators. Each page is made from calls of the API, as the caller could send them. So the
//! same roles, reasons and audit count.

mod calls;
mod case;
mod developer;
mod endpoint_link;
mod examples;
mod operations;
mod remedies;
mod sign_in;
mod upkeep;
mod visit;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::origin::is_foreign;
use super::rates::{self, Rates};
use super::{Api, proven};
use crate::console::answers::{
    Around, Attendance, Card, Channel, Contact, Department, Diagnosis, Hit, Page, Problem, Receipts,
};
use crate::console::frame::{Frame, Part, first_page, link};
use crate::console::search::{Conditions, Found};
use crate::console::upkeep::answers::Edit;
use crate::console::{SCRIPT, STYLE, channel, message, people, problem, search, why};
use crate::identity::{Caller, Role};
use calls::{Calls, Operations, Refusal, problem_of};
use visit::Visit;

/// The pages load nothing from other sites, no other site can frame them, and no script or style is inside them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Messages, people or channels on a page.
const LIMIT: &str = "50";
/// Edits on the page of a person.
const EDITS: &str = "10";
/// Messages on each side of a hit.
const AROUND: &str = "20";

type Shown = Result<Response, Refusal>;

/// All pages. `operations` are the calls that they are made from.
pub fn routes(api: &Api, operations: Router, rates: &Rates) -> Router<Api> {
    let developers = developer::routes(api, operations.clone(), rates);
    let pages = Router::new()
        .route("/console/search", get(search_page))
        .route("/console/channel", get(channel_page))
        .route("/console/message", get(message_page))
        .route("/console/why", get(why_page))
        .route("/console/people", get(people_page))
        .route("/console/person", get(person_page))
        .route("/console/export", get(export))
        .route("/console/case", post(case::change))
        .merge(operations::routes())
        .merge(upkeep::routes())
        .merge(remedies::routes())
        .route("/console/endpoint-link", get(endpoint_link::show).post(endpoint_link::change))
        .layer(Extension(Operations(operations)))
        .layer(from_fn_with_state(rates.clone(), rates::limit))
        .layer(from_fn_with_state(api.clone(), prove))
        .layer(from_fn(dress));
    Router::new()
        // Relative addresses: the console works below any path of the gateway.
        .route("/console", get(front))
        .route("/console/", get(front))
        .route("/console/console.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/console/console.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .merge(pages)
        .merge(sign_in::routes(api).layer(from_fn(dress)))
        .merge(developers)
        .layer(from_fn(guard))
}

/// Each caller begins with the first page of the own roles.
async fn front(State(api): State<Api>, request: Request) -> Response {
    let is_folder = request.uri().path().ends_with('/');
    // The cookies of a session are for the folder.
    if api.accounts.is_some() && !is_folder {
        return moved("console/");
    }
    let mut request = request;
    let session = match sign_in::enter(&api, &mut request).await {
        Ok(session) => session,
        Err(led) => return led,
    };
    let caller =
        proven(&api, request).await.ok().and_then(|request| request.extensions().get::<Caller>().cloned());
    let page = first_page(caller.map(|caller| caller.roles).unwrap_or_default());
    session.keep(moved(&if is_folder { page.to_owned() } else { format!("console/{page}") }))
}

fn moved(to: &str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.to_owned())]).into_response()
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// The headers that keep a page to itself.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A form sends its origin with this policy, and no other site learns an address.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages show what only this caller may see.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Authenticates the caller, and tells the pages of problems who it is.
async fn prove(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let session = match sign_in::enter(&api, &mut request).await {
        Ok(session) => session,
        Err(led) => return led,
    };
    match proven(&api, request).await {
        Ok(request) => {
            let caller = request.extensions().get::<Caller>().cloned();
            let mut response = next.run(request).await;
            if let Some(caller) = caller {
                response.extensions_mut().insert(caller);
            }
            session.keep(response)
        }
        Err(e) => session.keep(e.into_response()),
    }
}

/// Shows a problem as a page.
async fn dress(request: Request, next: Next) -> Response {
    let visit = Visit::outside(request.headers(), request.uri());
    let token = case::cookie(request.headers(), case::TOKEN).unwrap_or_default().to_owned();
    let response = next.run(request).await;
    let media_type = response.headers().get(header::CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != "application/problem+json") {
        return response;
    }
    let caller = response.extensions().get::<Caller>().cloned();
    let signs_out = response.extensions().get::<sign_in::OwnSession>().is_some();
    let (mut parts, body) = response.into_parts();
    let found: Problem = problem_of(parts.status, body).await;
    let frame = Frame { signs_out, token: &token, ..visit.frame_of(caller.as_ref()) };
    let html = problem::page(&frame, &found);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(html))
}

async fn search_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let conditions = Conditions::of(|name| visit.param(name).to_owned());
    let mut params = conditions.params();
    if params.is_empty() && visit.param("go").is_empty() {
        let html = search::page(&visit.frame(Part::Search, &[]), &conditions, &Found::Nothing);
        return Ok(visit.html(html));
    }
    params.push(("limit", LIMIT));
    params.extend(visit.cursor());
    let found = calls.look::<Page<Hit>>("/support/messages", &params).await;
    let html = match found {
        Ok(page) => search::page(&visit.frame(Part::Search, &calls.made), &conditions, &Found::Hits(&page)),
        // The page with the conditions shows which of them is wrong.
        Err(Refusal::Problem(problem)) if problem.status == 400 => {
            let users = match conditions.typed(&problem.pointer) {
                Some(typed) => named(&mut calls, typed).await?.items,
                None => Vec::new(),
            };
            let frame = visit.frame(Part::Search, &calls.made);
            search::page(&frame, &conditions, &Found::Refused(&problem, &users))
        }
        Err(other) => return Err(other),
    };
    Ok(visit.html(html))
}

/// The users whose names begin as typed.
async fn named(calls: &mut Calls<'_>, typed: &str) -> Result<Page<Contact>, Refusal> {
    calls.get("/users", &[("q", typed), ("limit", LIMIT)]).await
}

async fn channel_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let path = format!("/support/channels/{}", calls::part(visit.param("channel_id")));
    let channel: Channel = calls.look(&path, &[]).await?;
    if visit.param("view") == "members" {
        let mut params = vec![("limit", LIMIT)];
        params.extend(visit.cursor());
        let members: Page<Attendance> = calls.look(&format!("{path}/members"), &params).await?;
        let frame = visit.frame(Part::Search, &calls.made);
        return Ok(visit.html(channel::page(&frame, &channel, &channel::Shown::Members(&members))));
    }
    let around = visit.param("around");
    let mut params = if around.is_empty() { vec![("limit", LIMIT)] } else { vec![("limit", AROUND)] };
    params.extend((!around.is_empty()).then_some(("around", around)));
    params.extend(visit.cursor());
    let around: Around = calls.look(&format!("{path}/messages"), &params).await?;
    let frame = visit.frame(Part::Search, &calls.made);
    Ok(visit.html(channel::page(&frame, &channel, &channel::Shown::Messages(&around))))
}

async fn message_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let asked = message::Asked {
        ms_id: visit.param("ms_id"),
        status: visit.param("status"),
        nudged: (visit.param("nudged"), visit.param("over")),
    };
    let mut params = vec![("limit", LIMIT)];
    params.extend((!asked.status.is_empty()).then_some(("status", asked.status)));
    params.extend(visit.cursor());
    let path = format!("/messages/{}/receipts", calls::part(asked.ms_id));
    let receipts: Receipts = calls.look(&path, &params).await?;
    let path = format!("/support/channels/{}/messages", receipts.channel_id);
    let around: Around = calls.look(&path, &[("around", asked.ms_id), ("limit", "1")]).await?;
    let shown = around.position.and_then(|at| around.items.get(at));
    let frame = visit.frame(Part::Delivery, &calls.made);
    Ok(visit.html(message::page(&frame, shown, &receipts, &asked)))
}

async fn why_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let (ms_id, user_id) = (visit.param("ms_id").trim(), visit.param("user_id").trim());
    if ms_id.is_empty() || user_id.is_empty() {
        return Ok(visit.html(why::ask(&visit.frame(Part::Delivery, &[]), (ms_id, user_id), None)));
    }
    let path = format!("/support/messages/{}/receivers/{}", calls::part(ms_id), calls::part(user_id));
    let found: Diagnosis = match calls.look(&path, &[]).await {
        Err(Refusal::Problem(missing)) if missing.status == 404 => {
            return why_by_name(&visit, calls, (ms_id, user_id), missing).await;
        }
        other => other?,
    };
    Ok(visit.html(why::page(&visit.frame(Part::Delivery, &calls.made), &found)))
}

/// The same page for a person given by name. `missing` is what the API says if the name is an id.
async fn why_by_name(
    visit: &Visit,
    mut calls: Calls<'_>,
    (ms_id, typed): (&str, &str),
    missing: Problem,
) -> Shown {
    let card = calls.get::<Card>(&format!("/users/{}", calls::part(typed)), &[]).await;
    if card.is_ok() {
        return Err(Refusal::Problem(missing));
    }
    let found = named(&mut calls, typed).await?;
    let same: Vec<&Contact> = found.items.iter().filter(|one| one.name == typed).collect();
    let only = if let [one] = same[..] { Some(one) } else { found.items.first() };
    if let Some(one) = only.filter(|_| same.len() == 1 || found.items.len() == 1) {
        let page = link("why", &[("ms_id", ms_id), ("user_id", &one.user_id)]);
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response());
    }
    Ok(visit.html(why::ask(&visit.frame(Part::Delivery, &calls.made), (ms_id, typed), Some(&found))))
}

async fn people_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let typed = visit.param("q").trim();
    if typed.is_empty() {
        return departments(&visit, calls).await;
    }
    let mut params = vec![("q", typed), ("limit", LIMIT)];
    params.extend(visit.cursor());
    let found: Page<Contact> = calls.get("/users", &params).await?;
    let frame = visit.frame(Part::People, &calls.made);
    Ok(visit.html(people::list(&frame, typed, &people::Shown::Found(&found))))
}

/// One level of the tree of departments.
async fn departments(visit: &Visit, mut calls: Calls<'_>) -> Shown {
    let department_id = visit.param("department_id");
    let (mut department, mut users) = (None::<Department>, None::<Page<Contact>>);
    let mut params = vec![("limit", "200")];
    if !department_id.is_empty() {
        let path = format!("/departments/{}", calls::part(department_id));
        department = Some(calls.get(&path, &[]).await?);
        let mut of_users = vec![("limit", LIMIT)];
        of_users.extend(visit.cursor());
        users = Some(calls.get(&format!("{path}/users"), &of_users).await?);
        params.push(("parent_id", department_id));
    }
    let below: Page<Department> = calls.get("/departments", &params).await?;
    let tree = people::Tree { department: department.as_ref(), below: &below, users: users.as_ref() };
    let frame = visit.frame(Part::People, &calls.made);
    Ok(visit.html(people::list(&frame, "", &people::Shown::Tree(tree))))
}

async fn person_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let user_id = visit.param("user_id");
    let card: Card = calls.get(&format!("/users/{}", calls::part(user_id)), &[]).await?;
    let mut params = vec![("member", card.user_id.as_str()), ("limit", LIMIT)];
    params.extend(visit.cursor());
    let channels: Page<Channel> = calls.look("/support/channels", &params).await?;
    let edits = edits_of(&visit, &mut calls, &card.user_id).await?;
    let frame = visit.frame(Part::People, &calls.made);
    Ok(visit.html(people::one(&frame, &card, &channels, edits.as_ref())))
}

/// The last edits of a person, for callers who may see them.
async fn edits_of(
    visit: &Visit,
    calls: &mut Calls<'_>,
    user_id: &str,
) -> Result<Option<Page<Edit>>, Refusal> {
    if !visit.caller.roles.has(Role::Directory) {
        return Ok(None);
    }
    let path = format!("/users/{}/edits", calls::part(user_id));
    Ok(Some(calls.get(&path, &[("limit", EDITS)]).await?))
}

/// The export of the API, unchanged. A page of another site cannot begin one.
async fn export(visit: Visit, headers: HeaderMap, Extension(operations): Extension<Operations>) -> Shown {
    let Some(calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    if is_foreign(&headers) {
        return Err(Refusal::foreign());
    }
    let conditions = Conditions::of(|name| visit.param(name).to_owned());
    let mut params = conditions.params();
    params.push(("format", visit.param("format")));
    calls.stream("/support/messages/export", &params).await
}
