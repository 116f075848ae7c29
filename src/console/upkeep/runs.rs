//! Runs of the directory: what they change, what the guard has stopped, and its approval.

use crate::console::operations::{self, Tab};
use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::answers::Page;
use super::super::frame::{Frame, elapsed, link, moment};
use super::super::lang::Lang;
use super::super::texts::Upkeep;
use super::answers::{Difference, DirectoryRun, Guard, RunProblem};
use super::archive::asked_by;
use super::confirm::{self, Question};

/// Runs, the newest first.
pub fn list(frame: &Frame<'_>, runs: &Page<DirectoryRun>) -> String {
    let t = frame.lang.upkeep();
    let body = html! {
        h1 { (t.runs) }
        (start_form(t))
        div data-live {
            @for run in runs.items.iter().filter(|run| run.state == "held") { (held(frame, run)) }
            @if runs.items.is_empty() { p.empty { (t.no_runs) } } @else { (table(frame, &runs.items)) }
        }
        (frame.more("runs", &[], runs.next_cursor.as_deref()))
    };
    operations::page(frame, Tab::Runs, t.runs, &body)
}

fn start_form(t: &Upkeep) -> Markup {
    html! {
        form.sentence action="runs" {
            input type="hidden" name="do" value="start";
            label.term {
                span { (t.read) }
                select name="mode" {
                    option value="full" { (t.m_full) }
                    option value="incremental" { (t.m_incremental) }
                }
            }
            label.term.tick { input type="checkbox" name="dry_run" value="1" checked; span { (t.dry_run_only) } }
            span.actions { button.primary type="submit" { (t.start_run) } }
        }
    }
}

/// The question before a run begins.
pub fn ask_start(frame: &Frame<'_>, mode: &str, is_dry: bool) -> String {
    let t = frame.lang.upkeep();
    let what = html! {
        p { strong { (mode_name(t, mode)) } }
        p { (if is_dry { t.start_dry_what } else { t.start_what }) }
    };
    let fields = [("mode", mode), ("dry_run", if is_dry { "1" } else { "" })];
    let button = if is_dry { t.start_dry } else { t.start_run };
    let (action, input, next, back) = ("runs", None, "runs", "runs");
    let question = Question {
        title: t.start_title,
        what,
        action,
        fields: &fields,
        input,
        button,
        is_grave: false,
        next,
        back,
    };
    confirm::page(frame, &question)
}

fn table(frame: &Frame<'_>, runs: &[DirectoryRun]) -> Markup {
    let t = frame.lang.upkeep();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(t.runs) {
            table {
                thead { tr {
                    th scope="col" { (t.run) } th scope="col" { (t.state) } th scope="col" { (t.begun) } th scope="col" { (t.took) }
                    th scope="col" { (t.records) } th scope="col" { (t.changes) } th scope="col" { (t.problems) }
                } }
                tbody {
                    @for run in runs {
                        tr data-row {
                            td {
                                a href=(link("run", &[("run_id", &run.run_id)])) data-open { (mode_name(t, &run.mode)) }
                                " " span.id { (run.run_id) } " " span.soft { (asked_by(t, &run.asked_by)) }
                                @if run.dry_run { " " span.chip { (t.dry_run) } }
                            }
                            td { (state_chip(t, &run.state)) }
                            td { (moment(run.asked_at)) }
                            td { @if let Some(ended) = run.ended_at { (elapsed(ended - run.asked_at)) } }
                            td { (run.staged) }
                            td { (changes(run)) }
                            td { (run.problems) }
                        }
                    }
                }
            }
        }
    }
}

/// How many users and departments a run changes.
fn changes(run: &DirectoryRun) -> i64 {
    let all = run.counts.users.iter().chain(&run.counts.departments);
    all.filter(|(action, _)| !["same", "refused"].contains(&action.as_str())).map(|(_, count)| count).sum()
}

fn mode_name<'a>(t: &'a Upkeep, mode: &'a str) -> &'a str {
    match mode {
        "full" => t.m_full,
        "incremental" => t.m_incremental,
        "changes" => t.m_changes,
        other => other,
    }
}

fn state_chip(t: &Upkeep, state: &str) -> Markup {
    let (class, name) = match state {
        "asked" => ("chip received", t.r_asked),
        "staged" => ("chip received", t.r_staged),
        "held" => ("chip bad", t.r_held),
        "applying" => ("chip received", t.r_applying),
        "done" => ("chip read", t.r_done),
        "shown" => ("chip read", t.r_shown),
        "failed" => ("chip bad", t.r_failed),
        "superseded" => ("chip", t.r_superseded),
        other => ("chip", other),
    };
    html! { span class=(class) { (name) } }
}

fn guard_sentence(lang: Lang, run: &DirectoryRun) -> String {
    // A run of an earlier release has the sentence alone.
    let Some(Guard { kind, leaving, known }) = &run.guard else {
        return run.detail.clone().unwrap_or_default();
    };
    match (lang, kind.as_str()) {
        (Lang::En, "user") => format!("{leaving} of {known} people would leave."),
        (Lang::En, _) => format!("{leaving} of {known} departments would be removed."),
        (Lang::Zh, "user") => format!("{known} 人中将有 {leaving} 人离职。"),
        (Lang::Zh, _) => format!("{known} 个部门中将有 {leaving} 个被移除。"),
    }
}

/// What the guard has stopped, with the two ways on.
fn held(frame: &Frame<'_>, run: &DirectoryRun) -> Markup {
    let t = frame.lang.upkeep();
    let to = |word: &str| link("run", &[("run_id", &run.run_id), ("do", word)]);
    html! {
        section.notice.open data-held=(run.run_id) {
            p.sentence-of { (guard_sentence(frame.lang, run)) }
            p { (t.held_why) }
            p { strong { (t.to_do) } " " (t.held_do) }
            span.ways {
                a.button href=(link("run", &[("run_id", &run.run_id)])) { (t.see_changes) }
                @if frame.operates() {
                    a.button.primary href=(to("approve")) { (t.approve) }
                    a.button href=(to("cancel")) { (t.cancel_run) }
                } @else { span.soft { (t.admin_decides) } }
            }
        }
    }
}

/// What the page of a run shows below its facts.
pub enum Shown<'a> {
    Differences(&'a Page<Difference>),
    Problems(&'a Page<RunProblem>),
}

pub fn one(frame: &Frame<'_>, run: &DirectoryRun, shown: &Shown<'_>) -> String {
    let t = frame.lang.upkeep();
    let of = |view: &str| link("run", &[("run_id", &run.run_id), ("view", view)]);
    let is_problems = matches!(shown, Shown::Problems(_));
    let body = html! {
        p { a href="runs" { (t.runs) } }
        h1 { (mode_name(t, &run.mode)) " " span.id { (t.run) " " (run.run_id) } }
        (facts(t, run))
        @if run.state == "held" { (held(frame, run)) }
        @else if let Some(detail) = &run.detail { section.notice { p { (detail) } } }
        @if frame.operates() && ["asked", "staged"].contains(&run.state.as_str()) {
            p { a.button href=(link("run", &[("run_id", &run.run_id), ("do", "cancel")])) { (t.cancel_run) } }
        }
        (counts(t, run))
        nav.tabs aria-label=(t.run) {
            a href=(of("")) aria-current=[(!is_problems).then_some("page")] { (t.differences) }
            a href=(of("problems")) aria-current=[is_problems.then_some("page")] { (t.problems) " " b { (run.problems) } }
        }
        @match shown {
            Shown::Differences(page) => {
                (differences(t, &page.items))
                (frame.more("run", &[("run_id", &run.run_id)], page.next_cursor.as_deref()))
            }
            Shown::Problems(page) => {
                (problems(t, &page.items))
                (frame.more("run", &[("run_id", &run.run_id), ("view", "problems")], page.next_cursor.as_deref()))
            }
        }
    };
    operations::page(frame, Tab::Runs, t.run, &body)
}

fn facts(t: &Upkeep, run: &DirectoryRun) -> Markup {
    html! {
        p.facts {
            (state_chip(t, &run.state))
            @if run.dry_run { span.chip { (t.dry_run) } }
            span { (t.begun) " " (moment(run.asked_at)) " " span.soft { (asked_by(t, &run.asked_by)) } }
            @if let Some(ended) = run.ended_at { span { (t.took) " " (elapsed(ended - run.asked_at)) } }
            span { (t.records) " " (run.staged) }
            @if let Some(by) = &run.approved_by { span { (t.approved_by) " " b { (by) } } }
        }
    }
}

fn action_name<'a>(t: &'a Upkeep, action: &'a str) -> &'a str {
    match action {
        "created" => t.a_created,
        "updated" => t.a_updated,
        "deactivated" => t.a_deactivated,
        "removed" => t.a_removed,
        "refused" => t.a_refused,
        "same" => t.a_same,
        other => other,
    }
}

fn counts(t: &Upkeep, run: &DirectoryRun) -> Markup {
    let line = |name: &str, counts: &BTreeMap<String, i64>| {
        html! {
            @if !counts.is_empty() {
                div { dt { (name) } dd { @for (action, count) in counts { span.chip { (action_name(t, action)) " " (count) } " " } } }
            }
        }
    };
    html! { dl.facts-of { (line(t.users, &run.counts.users)) (line(t.departments, &run.counts.departments)) } }
}

fn differences(t: &Upkeep, items: &[Difference]) -> Markup {
    html! {
        @if items.is_empty() { p.empty { (t.no_differences) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.differences) {
                table {
                    thead { tr { th scope="col" { (t.what_happens) } th scope="col" { (t.record) } th scope="col" { (t.kind) } } }
                    tbody {
                        @for one in items {
                            tr data-row {
                                td {
                                    @if ["deactivated", "removed"].contains(&one.action.as_str()) { span.chip.bad { (action_name(t, &one.action)) } }
                                    @else { span.chip { (action_name(t, &one.action)) } }
                                }
                                td { @if let Some(name) = &one.name { (name) " " } span.id { (one.id) } }
                                td { (kind_name(t, &one.kind)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn kind_name<'a>(t: &'a Upkeep, kind: &'a str) -> &'a str {
    match kind {
        "user" => t.k_user,
        "department" => t.k_department,
        other => other,
    }
}

fn problems(t: &Upkeep, items: &[RunProblem]) -> Markup {
    html! {
        @if items.is_empty() { p.empty { (t.no_problems) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.problems) {
                table {
                    thead { tr { th scope="col" { (t.record) } th scope="col" { (t.kind) } th scope="col" { (t.what_is_wrong) } } }
                    tbody {
                        @for one in items {
                            tr data-row {
                                td { @if let Some(id) = &one.external_id { span.id { (id) } } }
                                td { (kind_name(t, &one.kind)) }
                                td { (one.detail) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The question before a run is approved or cancelled, with a preview of what it changes.
pub fn ask(frame: &Frame<'_>, run: &DirectoryRun, word: &str, preview: &Page<Difference>) -> String {
    let t = frame.lang.upkeep();
    let is_approval = word == "approve";
    let what = html! {
        @if run.state == "held" { p.sentence-of { (guard_sentence(frame.lang, run)) } }
        p { (if is_approval { t.approve_what } else { t.cancel_run_what }) }
        (counts(t, run))
        @if is_approval {
            h2 { (t.preview) }
            (differences(t, &preview.items))
            @if preview.next_cursor.is_some() { p { a href=(link("run", &[("run_id", &run.run_id)])) { (t.see_changes) } } }
        }
    };
    let page = link("run", &[("run_id", &run.run_id)]);
    let (title, button) =
        if is_approval { (t.approve_title, t.approve) } else { (t.cancel_run_title, t.cancel_run) };
    let fields = [("run_id", run.run_id.as_str()), ("do", word)];
    let (action, input) = ("run", None);
    let question = Question {
        title,
        what,
        action,
        fields: &fields,
        input,
        button,
        is_grave: is_approval,
        next: &page,
        back: &page,
    };
    confirm::page(frame, &question)
}
