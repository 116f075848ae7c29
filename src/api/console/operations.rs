//! Pages for operators: home, overview, endpoints, dead letters. They ask for no case, because they show no messages.

use axum::http::header::LOCATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use super::calls::{Calls, Operations, Refusal, part};
use super::case::Form;
use super::visit::{Operator, Visit};
use super::{LIMIT, Shown};
use crate::api::Api;
use crate::console::answers::Page;
use crate::console::frame::{Part, link};
use crate::console::operations::answers::{
    Callback, Callbacks, DeadLetter, DeadLetterDetail, Delivery, Overview, Replayed, Statistics, Tested,
};
use crate::console::operations::dead_letters::{After, Filter, Preview};
use crate::console::operations::{self, dead_letters, endpoint, endpoints};

/// Endpoints on a page: each takes a call for its statistics.
const ENDPOINTS: usize = 15;
/// Attempts on the page of an endpoint.
const ATTEMPTS: &str = "20";
/// Hours of the list's rates. Those of one endpoint are of a day.
const HOURS: &str = "6";

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/console/home", get(home))
        .route("/console/operations", get(overview))
        .route("/console/endpoints", get(list))
        .route("/console/endpoint", get(show).post(change))
        .route("/console/dead-letters", get(letters).post(replay))
        .route("/console/runbook", get(runbook))
}

async fn home(Operator(visit): Operator, Extension(calls): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&calls, &visit);
    let found: Overview = calls.get("/operations/overview", &[]).await?;
    let frame = visit.frame(Part::Operations, &calls.made);
    Ok(visit.html(operations::home::show(&frame, &found)))
}

async fn overview(Operator(visit): Operator, Extension(calls): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&calls, &visit);
    let found: Overview = calls.get("/operations/overview", &[]).await?;
    let frame = visit.frame(Part::Operations, &calls.made);
    Ok(visit.html(operations::overview::show(&frame, &found)))
}

async fn runbook(Operator(visit): Operator) -> Shown {
    let frame = visit.frame(Part::Operations, &[]);
    let page = operations::runbook::show(&frame, visit.param("name")).ok_or_else(Refusal::not_found)?;
    Ok(visit.html(page))
}

async fn list(Operator(visit): Operator, Extension(calls): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&calls, &visit);
    let from: usize = visit.param("from").parse().unwrap_or_default();
    let all: Callbacks = calls.get("/callbacks", &[]).await?;
    let next = from.saturating_add(ENDPOINTS);
    let next = Some(next).filter(|next| *next < all.items.len());
    let mut rows = Vec::new();
    for callback in all.items.into_iter().skip(from).take(ENDPOINTS) {
        let path = format!("/callbacks/{}/statistics", part(&callback.callback_id));
        let statistics: Statistics = calls.get(&path, &[("hours", HOURS)]).await?;
        rows.push(endpoints::Line { callback, statistics });
    }
    let frame = visit.frame(Part::Operations, &calls.made);
    Ok(visit.html(endpoints::show(&frame, &rows, next)))
}

async fn show(Operator(visit): Operator, Extension(calls): Extension<Operations>) -> Shown {
    one_endpoint(&visit, &calls, None).await
}

/// The page of an endpoint, with the answer to a test, if one was made.
async fn one_endpoint(visit: &Visit, calls: &Operations, tested: Option<&Tested>) -> Shown {
    let mut calls = Calls::without_case(calls, visit);
    let path = format!("/callbacks/{}", part(visit.param("callback_id")));
    let callback: Callback = calls.get(&path, &[]).await?;
    let statistics: Statistics = calls.get(&format!("{path}/statistics"), &[]).await?;
    let mut params = vec![("limit", ATTEMPTS)];
    params.extend(visit.cursor());
    let attempts: Page<Delivery> = calls.get(&format!("{path}/deliveries"), &params).await?;
    let shown = endpoint::Shown { callback: &callback, statistics: &statistics, attempts: &attempts, tested };
    let frame = visit.frame(Part::Operations, &calls.made);
    Ok(visit.html(endpoint::show(&frame, &shown)))
}

/// Pauses or resumes an endpoint, or tests it.
async fn change(
    Operator(visit): Operator,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    let calls = Calls::without_case(&operations, &visit);
    let path = format!("/callbacks/{}", part(visit.param("callback_id")));
    let state = match form.field("do") {
        "test" => {
            let tested: Tested = calls.change(Method::POST, &format!("{path}/test"), None).await?;
            return one_endpoint(&visit, &operations, Some(&tested)).await;
        }
        "pause" => "paused",
        "resume" => "active",
        _ => return Err(Refusal::not_found()),
    };
    let _: Value = calls.change(Method::PATCH, &path, Some(&json!({"state": state}))).await?;
    Ok(form.done())
}

async fn letters(Operator(visit): Operator, Extension(calls): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&calls, &visit);
    let filter = Filter::of(|name| visit.param(name).to_owned());
    if filter.callback_id.is_empty() {
        let all: Callbacks = calls.get("/callbacks", &[]).await?;
        let frame = visit.frame(Part::Operations, &calls.made);
        return Ok(visit.html(dead_letters::choose(&frame, &all.items)));
    }
    let path = format!("/callbacks/{}", part(&filter.callback_id));
    let callback: Callback = calls.get(&path, &[]).await?;
    match (visit.param("view"), visit.param("dead_id")) {
        ("replay", _) => preview(&visit, calls, (&callback, &filter)).await,
        (_, "") => letters_of(&visit, calls, (&callback, &filter)).await,
        (_, dead_id) => {
            let path = format!("{path}/dead-letters/{}", part(dead_id));
            let found: DeadLetterDetail = calls.get(&path, &[]).await?;
            let with_items = visit.param("items") == "1";
            let frame = visit.frame(Part::Operations, &calls.made);
            Ok(visit.html(dead_letters::one(&frame, &callback, &found, with_items)))
        }
    }
}

async fn letters_of(visit: &Visit, mut calls: Calls<'_>, (callback, filter): (&Callback, &Filter)) -> Shown {
    let path = format!("/callbacks/{}", part(&filter.callback_id));
    let conditions = filter.params();
    let mut params: Vec<(&str, &str)> =
        conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
    params.push(("limit", LIMIT));
    params.extend(visit.cursor());
    let letters: Page<DeadLetter> = calls.get(&format!("{path}/dead-letters"), &params).await?;
    let count = |name: &str| visit.param(name).parse::<i64>().ok();
    let mut attempts: Vec<Delivery> = Vec::new();
    if let Some(after) = count("after") {
        let newest: Page<Delivery> = calls.get(&format!("{path}/deliveries"), &[("limit", ATTEMPTS)]).await?;
        let is_later = |one: &Delivery| one.attempt_id.parse::<i64>().is_ok_and(|id| id > after);
        attempts = newest.items.into_iter().filter(is_later).collect();
    }
    let after = count("replayed").map(|replayed| After {
        replayed,
        pairs: count("pairs").unwrap_or_default(),
        attempts: &attempts,
    });
    let frame = visit.frame(Part::Operations, &calls.made);
    let shown = dead_letters::Shown { callback, filter, letters: &letters, after };
    Ok(visit.html(dead_letters::list(&frame, &shown)))
}

/// Counts what a replay would do. The newest dead letter is kept, so that the replay takes no later ones.
async fn preview(visit: &Visit, mut calls: Calls<'_>, (callback, filter): (&Callback, &Filter)) -> Shown {
    let path = format!("/callbacks/{}", part(&filter.callback_id));
    let dead_id = visit.param("dead_id");
    let mut newest = dead_id.to_owned();
    if dead_id.is_empty() {
        let conditions = filter.params();
        let mut params: Vec<(&str, &str)> =
            conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
        params.push(("limit", "1"));
        let first: Page<DeadLetter> = calls.get(&format!("{path}/dead-letters"), &params).await?;
        newest = first.items.into_iter().next().map(|letter| letter.dead_id).unwrap_or_default();
    }
    let mut counted = Replayed { replayed: 0, pairs: 0 };
    if !newest.is_empty() {
        let mut body = asked(filter, (dead_id, &newest));
        body.insert("dry_run".into(), true.into());
        counted = calls.change(Method::POST, &format!("{path}/replay"), Some(&body.into())).await?;
    }
    let frame = visit.frame(Part::Operations, &calls.made);
    let preview = Preview { callback, filter, dead_id, newest: &newest, counted: &counted };
    Ok(visit.html(dead_letters::confirm(&frame, &preview)))
}

/// The body of a replay: one dead letter, or those that match, up to the newest that was seen.
fn asked(filter: &Filter, (dead_id, newest): (&str, &str)) -> Map<String, Value> {
    let mut body = Map::new();
    if dead_id.is_empty() {
        let conditions = filter.params().into_iter();
        body.extend(conditions.map(|(name, value)| (name.to_owned(), Value::from(value))));
        body.insert("to_dead_id".into(), newest.into());
    } else {
        body.insert("dead_ids".into(), json!([dead_id]));
    }
    body
}

async fn replay(
    Operator(visit): Operator,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let callback_id = visit.param("callback_id");
    let filter =
        Filter::of(|name| if name == "callback_id" { callback_id } else { form.field(name) }.to_owned());
    let path = format!("/callbacks/{}", part(callback_id));
    let before: Page<Delivery> = calls.get(&format!("{path}/deliveries"), &[("limit", "1")]).await?;
    let after = before.items.first().map_or("0", |newest| newest.attempt_id.as_str());
    let mut body = asked(&filter, (form.field("dead_id"), form.field("newest")));
    if !form.field("per_second").is_empty() {
        // What is no number is shown as the API says it.
        let typed = form.field("per_second");
        body.insert("per_second".into(), typed.parse::<i64>().map_or_else(|_| typed.into(), Value::from));
    }
    let done: Replayed = calls.change(Method::POST, &format!("{path}/replay"), Some(&body.into())).await?;
    let (replayed, pairs) = (done.replayed.to_string(), done.pairs.to_string());
    let next: [(&str, &str); 4] =
        [("callback_id", callback_id), ("replayed", &replayed), ("pairs", &pairs), ("after", after)];
    Ok(see_other(&link("dead-letters", &next)))
}

fn see_other(page: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, page.to_owned())]).into_response()
}
