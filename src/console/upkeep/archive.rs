//! The archive: the days as a strip, those that need a human, and the runs.

use crate::console::operations::{self, Tab};
use maud::{Markup, html};

use super::super::answers::Page;
use super::super::frame::{Frame, elapsed, link, moment};
use super::super::texts::Upkeep;
use super::answers::{ArchiveRun, Day};

/// The states of a day, in the order of the legend.
const STATES: &[&str] = &["hot", "sealed", "cold", "failed", "lost"];
/// Units of the strip: the width of a day with its gap, and the height.
const STEP: usize = 12;
const HEIGHT: usize = 40;

pub fn page(frame: &Frame<'_>, days: &Page<Day>, runs: &Page<ArchiveRun>, cursors: &Cursors<'_>) -> String {
    let t = frame.lang.upkeep();
    let body = html! {
        h1 { (t.archive) }
        div data-live {
            @if days.items.is_empty() { p.empty { (t.no_days) } }
            @else {
                (strip(t, &days.items))
                (legend(t, &days.items))
                @for day in days.items.iter().filter(|day| needs_human(day)) { (trouble(t, day)) }
                (table(t, &days.items))
            }
            (frame.more("archive", &[("runs", cursors.runs)], days.next_cursor.as_deref()))
            h2 { (t.archive_runs) }
            @if runs.items.is_empty() { p.empty { (t.no_archive_runs) } } @else { (runs_table(t, &runs.items)) }
            @if let Some(runs) = &runs.next_cursor {
                p.more { a.button href=(link("archive", &[("cursor", cursors.days), ("runs", runs)])) rel="next" { (t.older_runs) } }
            }
        }
    };
    operations::page(frame, Tab::Archive, t.archive, &body)
}

/// Where the two lists of the page are.
pub struct Cursors<'a> {
    pub days: &'a str,
    pub runs: &'a str,
}

fn needs_human(day: &Day) -> bool {
    ["failed", "lost"].contains(&day.state.as_str())
}

fn name<'a>(t: &'a Upkeep, state: &'a str) -> &'a str {
    match state {
        "hot" => t.d_hot,
        "sealed" => t.d_sealed,
        "cold" => t.d_cold,
        "failed" => t.d_failed,
        "lost" => t.d_lost,
        other => other,
    }
}

fn count(days: &[Day], state: &str) -> usize {
    days.iter().filter(|day| day.state == state).count()
}

/// A bar a day, the oldest first. A lost day is half as high: colour alone does not tell it from a failed one.
fn strip(t: &Upkeep, days: &[Day]) -> Markup {
    let parts = STATES.iter().map(|state| format!("{} {}", name(t, state), count(days, state)));
    let label = format!("{}: {}", t.days, parts.collect::<Vec<_>>().join(", "));
    html! {
        svg.strip viewBox={ "0 0 " (days.len() * STEP) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (at, day) in days.iter().rev().enumerate() {
                @let top = if day.state == "lost" { HEIGHT / 2 } else { 0 };
                rect class=(day.state) x=(at * STEP) y=(top) width=(STEP - 2) height=(HEIGHT - top) {
                    title { (day.day) " " (name(t, &day.state)) }
                }
            }
        }
        p.ends { @if let Some(first) = days.last() { span { (first.day) } } @if let Some(last) = days.first() { span { (last.day) } } }
    }
}

fn legend(t: &Upkeep, days: &[Day]) -> Markup {
    html! {
        ul.legend {
            @for state in STATES {
                li { span class={ "dot " (state) } aria-hidden="true" {} (name(t, state)) " " b { (count(days, state)) } }
            }
        }
    }
}

/// What has happened to a day, and what to do.
fn trouble(t: &Upkeep, day: &Day) -> Markup {
    let (what, advice, runbook) = match day.state.as_str() {
        "failed" => (t.day_failed, t.day_failed_do, "ImPushGatewayArchiveFailed"),
        _ => (t.day_lost, t.day_lost_do, "ImPushGatewayArchiveIncomplete"),
    };
    html! {
        section.notice.bad data-day=(day.state) {
            p.sentence-of { (day.day) ": " (what) }
            @if let Some(reason) = day.reason.as_deref().filter(|reason| !reason.is_empty()) { p { (reason) } }
            @if day.state == "lost" {
                p { (t.lost_documents) " " b { (day.lost_documents) } ", " (t.lost_rows) " " b { (day.lost_ledger_rows) } }
            }
            p { strong { (t.to_do) } " " (advice) }
            p { a href=(link("runbook", &[("name", runbook)])) { (t.runbook) } }
        }
    }
}

fn table(t: &Upkeep, days: &[Day]) -> Markup {
    let number = |number: Option<i64>| number.map_or_else(|| "–".to_owned(), |number| number.to_string());
    html! {
        details.days {
            summary { (t.each_day) }
            div.scroll tabindex="0" role="region" aria-label=(t.each_day) {
                table {
                    thead { tr {
                        th scope="col" { (t.day) } th scope="col" { (t.state) } th scope="col" { (t.messages) }
                        th scope="col" { (t.ledger_rows) } th scope="col" { (t.bytes) }
                    } }
                    tbody {
                        @for day in days {
                            tr data-row {
                                td { (day.day) }
                                td {
                                    (name(t, &day.state))
                                    @if let Some(step) = &day.step { " " span.soft { (step_name(t, step)) } }
                                }
                                td { (number(day.messages)) }
                                td { (number(day.ledger_rows)) }
                                td { @match day.bytes { Some(bytes) => { (size(bytes)) } None => { "–" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A size in the unit in which it has few digits.
fn size(bytes: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let at = (0..units.len() - 1).find(|at| bytes < 10_000 * 1_000_i64.pow(*at as u32));
    let at = at.unwrap_or(units.len() - 1);
    format!("{} {}", bytes / 1_000_i64.pow(at as u32), units[at])
}

fn runs_table(t: &Upkeep, runs: &[ArchiveRun]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(t.archive_runs) {
            table {
                thead { tr {
                    th scope="col" { (t.run) } th scope="col" { (t.begun) } th scope="col" { (t.took) } th scope="col" { (t.state) }
                    th scope="col" { (t.days) } th scope="col" { (t.messages) } th scope="col" { (t.ledger_rows) }
                } }
                tbody { @for run in runs { (run_line(t, run)) } }
            }
        }
    }
}

fn run_line(t: &Upkeep, run: &ArchiveRun) -> Markup {
    html! {
        tr data-row {
            td { span.id { (run.run_id) } " " span.soft { (asked_by(t, &run.asked_by)) } }
            td { (moment(run.asked_at)) }
            td { @if let Some(ended) = run.ended_at { (elapsed(ended - run.asked_at)) } }
            td {
                @match run.outcome.as_deref() {
                    Some("done") => { span.chip.read { (t.r_done) } }
                    Some(_) => { span.chip.bad { (t.r_failed) } }
                    None => { span.chip.received { (t.r_running) } }
                }
                // What is wrong, or under way, in the words of the service.
                @if let Some(doing) = run.doing.as_ref().filter(|_| run.outcome.as_deref() != Some("done")) {
                    div.soft { (doing) }
                }
            }
            td { @for day in &run.days { div { (day.day) " " span.soft { (step_name(t, &day.step)) } } } }
            td { (run.messages) }
            td { (run.ledger_rows) }
        }
    }
}

/// How far a day has come, in words.
fn step_name<'a>(t: &'a Upkeep, step: &'a str) -> &'a str {
    match step {
        "sealed" => t.step_sealed,
        "written" => t.step_written,
        "verified" => t.step_verified,
        "switched" => t.step_switched,
        "dropped" => t.step_dropped,
        other => other,
    }
}

/// What asked for a run.
pub fn asked_by<'a>(t: &'a Upkeep, by: &'a str) -> &'a str {
    match by {
        "schedule" => t.by_schedule,
        "hand" => t.by_hand,
        "change" => t.by_change,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_has_few_digits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (9_999, "9999 B"),
            (10_000, "10 kB"),
            (8_300_000, "8300 kB"),
            (12_000_000_000, "12 GB"),
            (i64::MAX, "9223372 TB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
