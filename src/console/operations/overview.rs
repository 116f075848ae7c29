//! The overview: each part of the service, how it is, and where to look.

use maud::{Markup, html};

use super::answers::{Numbers, Overview, Readiness};
use super::home::{cold, oldest};
use super::{Tab, count, number, page};
use crate::console::frame::{Frame, link, moment};
use crate::console::texts::OperationsTexts;

pub fn show(frame: &Frame<'_>, found: &Overview) -> String {
    let o = frame.lang.operations();
    let body = html! {
        div data-live {
            h1 { (o.overview_title) }
            div.scroll {
                table {
                    thead { tr {
                        th scope="col" { (o.part) } th scope="col" { (o.state_of) } th scope="col" { (o.details) } td {}
                    } }
                    tbody {
                        (service(o, &found.readiness))
                        @if let Some(numbers) = &found.numbers { (parts(o, found, numbers)) }
                    }
                }
            }
            @if found.numbers.is_none() { p.empty { (o.no_database) } }
            p.soft { (o.as_of) " " (moment(found.as_of)) }
        }
    };
    page(frame, Tab::Overview, o.overview_title, &body)
}

/// One part of the service.
struct Row<'a> {
    part: &'a str,
    /// A state of the API, and whether it is good.
    state: (&'a str, bool),
    details: Markup,
    page: Option<String>,
}

fn row(o: &OperationsTexts, row: &Row<'_>) -> Markup {
    let (state, is_good) = row.state;
    html! {
        tr data-row data-key=(row.part) {
            th scope="row" { (row.part) }
            td { span class=(if is_good { "chip read" } else { "chip bad" }) { (o.state(state)) } }
            td { (row.details) }
            td.end { @if let Some(page) = &row.page { a href=(page) data-open { (o.open) } } }
        }
    }
}

fn service(o: &OperationsTexts, readiness: &Readiness) -> Markup {
    let details = html! {
        (o.database) ": " (o.state(&readiness.database)) ", " (o.partitions) ": " (o.state(&readiness.partitions))
    };
    let state = (readiness.status.as_str(), readiness.status == "ready");
    let runbook = (!state.1).then(|| link("runbook", &[("name", "ImPushGatewayUnready")]));
    row(o, &Row { part: o.service, state, details, page: runbook })
}

fn parts(o: &OperationsTexts, found: &Overview, numbers: &Numbers) -> Markup {
    html! {
        @for one in &of_push(o, found, numbers) { (row(o, one)) }
        @for one in &of_data(o, found, numbers) { (row(o, one)) }
    }
}

/// The state of a part that has none of its own.
const fn all(is_good: bool) -> (&'static str, bool) {
    (if is_good { "ok" } else { "attention" }, is_good)
}

fn is_well(state: &str) -> bool {
    ["ok", "none", "running", "off"].contains(&state)
}

/// What goes out.
fn of_push<'a>(o: &'a OperationsTexts, found: &'a Overview, numbers: &Numbers) -> [Row<'a>; 3] {
    let push = &numbers.push;
    let queue = html! {
        (o.waiting) ": " (count(o, push.waiting_pairs, push.estimated)) ", "
        (o.oldest) ": " (oldest(o, push.oldest_queued_at, found.as_of))
    };
    let states = [
        (o.s_active, push.active),
        (o.s_paused, push.paused),
        (o.s_disabled, push.disabled),
        (o.failing, push.failing),
    ];
    let endpoints = html! { @for (name, value) in states { span.pair { (name) ": " (number(value)) } } };
    let gateway = found.readiness.callback.as_str();
    [
        Row {
            part: o.gateway,
            state: (gateway, is_well(gateway)),
            details: queue,
            page: Some(link("endpoint", &[("callback_id", "gateway")])),
        },
        Row {
            part: o.endpoints,
            state: all(push.failing + push.paused + push.disabled == 0),
            details: endpoints,
            page: Some("endpoints".to_owned()),
        },
        Row {
            part: o.dead_letters,
            state: all(push.dead_letters == 0),
            details: count(o, push.dead_letters, push.estimated),
            page: Some("dead-letters".to_owned()),
        },
    ]
}

/// What is kept.
fn of_data<'a>(o: &'a OperationsTexts, found: &'a Overview, numbers: &'a Numbers) -> [Row<'a>; 5] {
    let Numbers { archive, directory, files, .. } = numbers;
    let lag = found.readiness.index_lag_seconds.unwrap_or_default();
    let index = html! { (o.index_lag) ": " (format!("{lag:.1} s")) };
    let moved = html! {
        (o.cold_before) ": " (cold(o, archive, found.as_of))
        @if let Some(run) = &archive.last_run {
            ", " (o.last_run) ": " (o.state(run.outcome.as_deref().unwrap_or("running"))) " "
            (moment(run.ended_at.unwrap_or(run.asked_at)))
        }
        @if archive.lost_days > 0 { ", " (o.lost_days) ": " (number(archive.lost_days)) }
    };
    let (run_state, run) = match &directory.last_run {
        Some(run) => {
            (run.state.as_str(), html! { (o.last_run) ": " (moment(run.ended_at.unwrap_or(run.asked_at))) })
        }
        None => ("none", html! { (o.never) }),
    };
    let conflicts = html! { (o.conflicts) ": " (number(directory.edit_conflicts)) };
    let stored =
        html! { (count(o, files.stored, files.estimated)) ", " (o.new_files) " " (number(files.recent)) };
    let of_archive = found.readiness.archive.as_str();
    let runs = (run_state, !["failed", "held"].contains(&run_state));
    let to = |page: &str| Some(page.to_owned());
    [
        Row { part: o.index, state: all(lag <= 60.0), details: index, page: None },
        Row {
            part: o.archive,
            state: (of_archive, is_well(of_archive)),
            details: moved,
            page: to("archive"),
        },
        Row { part: o.runs, state: runs, details: run, page: to("runs") },
        Row {
            part: o.edits,
            state: all(directory.edit_conflicts == 0),
            details: conflicts,
            page: to("edits"),
        },
        Row { part: o.files, state: all(true), details: stored, page: None },
    ]
}
