//! Home: what needs a person, and the last hours in numbers.

use maud::{Markup, html};
use time::OffsetDateTime;

use super::answers::{Archive, Attention, Hour, Numbers, Overview, Traffic};
use super::{Tab, age, chart, count, number, page};
use crate::console::frame::{Frame, link, moment};
use crate::console::lang::Lang;
use crate::console::texts::OperationsTexts;

pub fn show(frame: &Frame<'_>, found: &Overview) -> String {
    let o = frame.lang.operations();
    let body = html! {
        div data-live {
            h1 { (o.home) }
            (attention(frame, &found.attention))
            @match &found.numbers {
                Some(numbers) => {
                    (stages(o, &numbers.traffic))
                    (facts(o, numbers, found.as_of))
                }
                None => { p.empty { (o.no_database) } }
            }
            p.soft { (o.as_of) " " (moment(found.as_of)) }
        }
    };
    page(frame, Tab::Home, o.home, &body)
}

/// What needs a person, with the page where it is fixed and the runbook.
fn attention(frame: &Frame<'_>, found: &[Attention]) -> Markup {
    let o = frame.lang.operations();
    html! {
        section aria-labelledby="attention" {
            h2 #attention { (o.attention) }
            div aria-live="polite" {
                @if found.is_empty() { p.notice.good { (o.nothing_to_do) } }
                @else { p { strong { (number(found.len() as i64)) } " " (if found.len() == 1 { o.thing_to_do } else { o.things_to_do }) } }
            }
            @if !found.is_empty() {
                ul.rows { @for one in found { (item(frame, one)) } }
            }
        }
    }
}

fn item(frame: &Frame<'_>, one: &Attention) -> Markup {
    let o = frame.lang.operations();
    let is_critical = one.level == "critical";
    let key = format!("{} {}", one.kind, one.callback_id.as_deref().unwrap_or_default());
    html! {
        li.row data-row data-key=(key) data-kind=(one.kind) {
            div.head {
                span class=(if is_critical { "chip bad" } else { "chip received" }) {
                    (if is_critical { o.critical } else { o.warning })
                }
                strong { @match sentence(frame.lang, &one.kind) { Some(sentence) => (sentence), None => code { (one.kind) } } }
                @if let Some(callback_id) = &one.callback_id { span.id { (callback_id) } }
                @if let Some(count) = one.count { span { (number(count)) " " (unit(o, &one.kind, count)) } }
                @if let Some(since) = one.since { span.soft { (o.since) " " (moment(since)) } }
            }
            p.links {
                a href=(place(one)) data-open { (o.fix) }
                @if let Some(runbook) = &one.runbook { a href=(link("runbook", &[("name", runbook)])) { (o.runbook) } }
            }
        }
    }
}

/// What is wrong, in words. `None`: a kind of a newer release.
pub fn sentence(lang: Lang, kind: &str) -> Option<&'static str> {
    let o = lang.operations();
    Some(match kind {
        "not_ready" => o.a_not_ready,
        "endpoint_failing" => o.a_endpoint_failing,
        "endpoint_paused" => o.a_endpoint_paused,
        "queue_old" => o.a_queue_old,
        "gateway_differs" => o.a_gateway_differs,
        "archive_lost" => o.a_archive_lost,
        "archive_failed" => o.a_archive_failed,
        "archive_away" => o.a_archive_away,
        "archive_overdue" => o.a_archive_overdue,
        "search_behind" => o.a_search_behind,
        "directory_failed" => o.a_directory_failed,
        "run_held" => o.a_run_held,
        "endpoint_disabled" => o.a_endpoint_disabled,
        "dead_letters" => o.a_dead_letters,
        "edit_conflicts" => o.a_edit_conflicts,
        _ => return None,
    })
}

fn unit(o: &OperationsTexts, kind: &str, count: i64) -> &'static str {
    match kind {
        "dead_letters" => o.dead_letters_of(count),
        "edit_conflicts" if count == 1 => o.u_conflict,
        "edit_conflicts" => o.u_conflicts,
        "archive_lost" if count == 1 => o.u_day,
        "archive_lost" => o.u_days,
        "search_behind" => "s",
        _ => o.u_waiting,
    }
}

/// The page where it is fixed.
fn place(one: &Attention) -> String {
    let callback_id = one.callback_id.as_deref().unwrap_or("gateway");
    let run_id = one.run_id.as_deref().unwrap_or_default();
    match one.kind.as_str() {
        "endpoint_failing" | "endpoint_paused" | "endpoint_disabled" | "queue_old" | "gateway_differs" => {
            link("endpoint", &[("callback_id", callback_id)])
        }
        "dead_letters" => link("dead-letters", &[("callback_id", callback_id)]),
        "directory_failed" | "run_held" => link("run", &[("run_id", run_id)]),
        "edit_conflicts" => link("edits", &[("state", "conflict")]),
        kind if kind.starts_with("archive_") => "archive".to_owned(),
        _ => "operations".to_owned(),
    }
}

/// One small chart for each stage, and all of them as a table.
fn stages(o: &OperationsTexts, traffic: &Traffic) -> Markup {
    let values = |of: fn(&Hour) -> i64| traffic.hours.iter().map(of).collect::<Vec<i64>>();
    let stages: [(&str, Vec<i64>); 5] = [
        (o.sends, values(|hour| hour.messages)),
        (o.receivers, values(|hour| hour.receivers)),
        (o.pushed, values(|hour| hour.pushed)),
        (o.received, values(|hour| hour.received)),
        (o.read, values(|hour| hour.read)),
    ];
    html! {
        section aria-labelledby="hours" {
            h2 #hours { (o.last_hours) }
            @if traffic.estimated { p.soft { (o.sampled) } }
            div.stages {
                @for (name, values) in &stages {
                    @let sum: i64 = values.iter().sum();
                    @let most = values.iter().copied().max().unwrap_or_default();
                    div.stage {
                        span.soft { (name) }
                        span.figure { (count(o, sum, traffic.estimated)) }
                        (chart::bars(values, &format!("{name}: {}, {} {}", number(sum), o.busiest_hour, number(most))))
                    }
                }
            }
            details {
                summary { (o.as_table) }
                div.scroll tabindex="0" { (table(o, traffic)) }
            }
        }
    }
}

fn table(o: &OperationsTexts, traffic: &Traffic) -> Markup {
    html! {
        table {
            caption.soft { (o.last_hours) }
            thead { tr {
                th scope="col" { (o.hour_from) }
                @for name in [o.sends, o.receivers, o.pushed, o.received, o.read] { th.figures scope="col" { (name) } }
            } }
            tbody {
                @for hour in traffic.hours.iter().rev() {
                    tr {
                        th scope="row" { (moment(hour.from)) }
                        @for value in [hour.messages, hour.receivers, hour.pushed, hour.received, hour.read] {
                            td.figures { (number(value)) }
                        }
                    }
                }
            }
        }
    }
}

/// What there is now.
fn facts(o: &OperationsTexts, numbers: &Numbers, now: OffsetDateTime) -> Markup {
    let Numbers { push, archive, directory, files, .. } = numbers;
    html! {
        section aria-labelledby="now" {
            h2 #now { (o.now) }
            dl.facts-of {
                div { dt { (o.waiting) } dd { a href="endpoints" { (count(o, push.waiting_pairs, push.estimated)) } } }
                div { dt { (o.oldest) } dd { (oldest(o, push.oldest_queued_at, now)) } }
                div { dt { (o.dead_letters) } dd { a href="dead-letters" { (count(o, push.dead_letters, push.estimated)) } } }
                div { dt { (o.cold_before) } dd { a href="archive" { (cold(o, archive, now)) } } }
                div { dt { (o.last_directory_run) } dd {
                    @match &directory.last_run {
                        Some(run) => {
                            a href=(link("run", &[("run_id", &run.run_id)])) { (o.state(&run.state)) }
                            " " (moment(run.ended_at.unwrap_or(run.asked_at)))
                        }
                        None => (o.never),
                    }
                } }
                div { dt { (o.files) } dd {
                    (count(o, files.stored, files.estimated)) ", " (o.new_files) " " (number(files.recent))
                } }
            }
        }
    }
}

/// The age of the oldest entry of a queue.
pub fn oldest(o: &OperationsTexts, at: Option<OffsetDateTime>, now: OffsetDateTime) -> Markup {
    html! { @match at { Some(at) => { (age(at, now)) }, None => (o.nothing_waits) } }
}

/// How old messages are that only the archive has.
pub fn cold(o: &OperationsTexts, archive: &Archive, now: OffsetDateTime) -> Markup {
    html! { @match archive.cold_before { Some(at) => { (age(at, now)) }, None => (o.nothing_archived) } }
}
