//! Pages for operators: the archive, runs and edits of the directory, the schedule, the replicas.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::calls::{Calls, Operations, part};
use super::case::Form;
use super::visit::{DirectoryVisit, Operator, Visit};
use super::{LIMIT, Shown};
use crate::api::Api;
use crate::base::error::Error;
use crate::console::answers::Page;
use crate::console::frame::{Part, link};
use crate::console::upkeep::answers::{
    ArchiveRun, AskedRun, Day, Difference, DirectoryRun, Edit, Replicas, RunProblem, Schedule,
};
use crate::console::upkeep::{archive, edits, machines, runs};

/// Days on the strip.
const DAYS: &str = "120";
/// Archive runs below it.
const RUNS: &str = "20";
/// Changes that the page before an approval shows.
const PREVIEW: &str = "20";
/// Edits of one person among which an edit is looked for.
const EDITS_OF_PERSON: &str = "200";

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/console/archive", get(archive_page))
        .route("/console/runs", get(runs_page).post(start_run))
        .route("/console/run", get(run_page).post(decide_run))
        .route("/console/edits", get(edits_page))
        .route("/console/edit", get(edit_page).post(decide_edit))
        .route("/console/schedule", get(schedule_page))
        .route("/console/replicas", get(replicas_page))
}

/// The browser loads the page that shows what has changed.
fn seen_at(page: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, page.to_owned())]).into_response()
}

/// One of the words that a form or an address can have.
fn one_of<'a>(name: &'static str, given: &'a str, known: &[&str]) -> Result<&'a str, Error> {
    let unknown = || Error::parameter(name, format!("must be one of {}", known.join(", ")));
    if known.contains(&given) { Ok(given) } else { Err(unknown()) }
}

async fn archive_page(Operator(visit): Operator, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let mut params = vec![("limit", DAYS)];
    params.extend(visit.cursor());
    let days: Page<Day> = calls.get("/archive/days", &params).await?;
    let older = visit.param("runs");
    let mut params = vec![("limit", RUNS)];
    params.extend((!older.is_empty()).then_some(("cursor", older)));
    let past: Page<ArchiveRun> = calls.get("/archive/runs", &params).await?;
    let cursors = archive::Cursors { days: visit.param("cursor"), runs: older };
    let frame = visit.frame(Part::Operations, &calls.made);
    Ok(visit.html(archive::page(&frame, &days, &past, &cursors)))
}

async fn runs_page(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    if visit.param("do") == "start" {
        let mode = one_of("mode", visit.param("mode"), &["full", "incremental"])?;
        let is_dry = !visit.param("dry_run").is_empty();
        return Ok(visit.html(runs::ask_start(&visit.frame_of_directory(&[]), mode, is_dry)));
    }
    let mut params = vec![("limit", LIMIT)];
    params.extend(visit.cursor());
    let page: Page<DirectoryRun> = calls.get("/directory/runs", &params).await?;
    Ok(visit.html(runs::list(&visit.frame_of_directory(&calls.made), &page)))
}

async fn start_run(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    let calls = Calls::without_case(&operations, &visit);
    let wanted = json!({"mode": form.field("mode"), "dry_run": !form.field("dry_run").is_empty()});
    let asked: AskedRun = calls.change(Method::POST, "/directory/sync", Some(&wanted)).await?;
    Ok(seen_at(&link("run", &[("run_id", &asked.run_id)])))
}

async fn run_page(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let path = format!("/directory/runs/{}", part(visit.param("run_id")));
    let run: DirectoryRun = calls.get(&path, &[]).await?;
    let word = visit.param("do");
    if !word.is_empty() {
        let word = one_of("do", word, &["approve", "cancel"])?;
        let preview: Page<Difference> =
            calls.get(&format!("{path}/differences"), &[("limit", PREVIEW)]).await?;
        let frame = visit.frame_of_directory(&calls.made);
        return Ok(visit.html(runs::ask(&frame, &run, word, &preview)));
    }
    let mut params = vec![("limit", LIMIT)];
    params.extend(visit.cursor());
    if visit.param("view") == "problems" {
        let found: Page<RunProblem> = calls.get(&format!("{path}/problems"), &params).await?;
        let frame = visit.frame_of_directory(&calls.made);
        return Ok(visit.html(runs::one(&frame, &run, &runs::Shown::Problems(&found))));
    }
    let found: Page<Difference> = calls.get(&format!("{path}/differences"), &params).await?;
    let frame = visit.frame_of_directory(&calls.made);
    Ok(visit.html(runs::one(&frame, &run, &runs::Shown::Differences(&found))))
}

async fn decide_run(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    decide(&visit, &operations, &form, ("/directory/runs", "run_id"), &["approve", "cancel"]).await
}

/// Does one of the `words` with what the form names, and leads to the page that follows.
async fn decide(
    visit: &Visit,
    operations: &Operations,
    form: &Form,
    (folder, id): (&str, &str),
    words: &[&str],
) -> Shown {
    let word = one_of("do", form.field("do"), words)?;
    let path = format!("{folder}/{}/{word}", part(form.field(id)));
    Calls::without_case(operations, visit).change::<Value>(Method::POST, &path, None).await?;
    Ok(form.done())
}

/// The state that the address asks for. Without one: conflicts, because they need a human.
fn state_of(asked: &str) -> &str {
    match asked {
        "" => "conflict",
        "all" => "",
        other => other,
    }
}

async fn edits_page(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let state = state_of(visit.param("state"));
    let mut params = vec![("limit", LIMIT)];
    params.extend((!state.is_empty()).then_some(("state", state)));
    params.extend(visit.cursor());
    let page: Page<Edit> = calls.get("/directory/edits", &params).await?;
    Ok(visit.html(edits::list(&visit.frame_of_directory(&calls.made), &page, state)))
}

async fn edit_page(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let word = one_of("do", visit.param("do"), &["retry", "cancel"])?;
    let path = format!("/users/{}/edits", part(visit.param("user_id")));
    let page: Page<Edit> = calls.get(&path, &[("limit", EDITS_OF_PERSON)]).await?;
    let edit = page.items.into_iter().find(|edit| edit.edit_id == visit.param("edit_id"));
    let edit = edit.ok_or_else(|| Error::not_found("no such edit"))?;
    let frame = visit.frame_of_directory(&calls.made);
    Ok(visit.html(edits::ask(&frame, &edit, word, visit.param("state"))))
}

async fn decide_edit(
    DirectoryVisit(visit): DirectoryVisit,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    decide(&visit, &operations, &form, ("/directory/edits", "edit_id"), &["retry", "cancel"]).await
}

async fn schedule_page(Operator(visit): Operator, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let found: Schedule = calls.get("/schedule", &[]).await?;
    Ok(visit.html(machines::schedule(&visit.frame(Part::Operations, &calls.made), &found)))
}

async fn replicas_page(Operator(visit): Operator, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let found: Replicas = calls.get("/replicas", &[]).await?;
    Ok(visit.html(machines::replicas(&visit.frame(Part::Operations, &calls.made), &found)))
}
