//! One endpoint: its state and what changes it, how it answers, its last attempts.

use maud::{Markup, html};

use super::answers::{Callback, Delivery, Failure, Statistics, Tested};
use super::endpoints::{chips, rate};
use super::home::oldest;
use super::{Tab, count, number, page};
use crate::console::answers::Page;
use crate::console::frame::{Frame, beginning, elapsed, link, moment};
use crate::console::texts::OperationsTexts;

/// Most characters of an answer.
const ANSWER_MAX_CHARS: usize = 1_000;

/// What the page shows.
pub struct Shown<'a> {
    pub callback: &'a Callback,
    pub statistics: &'a Statistics,
    pub attempts: &'a Page<Delivery>,
    /// The answer to the test that was just made.
    pub tested: Option<&'a Tested>,
}

pub fn show(frame: &Frame<'_>, shown: &Shown<'_>) -> String {
    let o = frame.lang.operations();
    let Shown { callback, statistics, attempts, tested } = shown;
    let here = link("endpoint", &[("callback_id", &callback.callback_id)]);
    // The result of a test is the answer to a form: loading the address again would lose it.
    let body = html! {
        div data-live[tested.is_none()] {
            h1 { (callback.name()) }
            p.facts { (chips(o, callback)) span.id { (o.state(&callback.kind)) " · " (callback.place()) } }
            (buttons(frame, callback, &here))
            @if let Some(tested) = tested { (result(o, tested, &here)) }
            @if let Some(reason) = &callback.disabled_reason { p.notice.bad { (o.disabled_because) " " (reason) } }
            (facts(o, callback, statistics))
            section aria-labelledby="rate" {
                h2 #rate { (o.rate_day) }
                (rate(o, callback, statistics))
                (stretches(o, statistics))
            }
            (failures(o, &statistics.failures))
            section aria-labelledby="attempts" {
                h2 #attempts { (o.last_attempts) }
                (table(o, &attempts.items))
                (frame.more("endpoint", &[("callback_id", &callback.callback_id)], attempts.next_cursor.as_deref()))
            }
        }
    };
    page(frame, Tab::Endpoints, callback.name(), &body)
}

fn buttons(frame: &Frame<'_>, callback: &Callback, here: &str) -> Markup {
    let o = frame.lang.operations();
    let is_active = callback.state == "active";
    let (does, name) = if is_active { ("pause", o.pause) } else { ("resume", o.resume) };
    html! {
        form.row-of method="post" action=(here) {
            (frame.secret(here))
            button.primary[!is_active] type="submit" name="do" value=(does) { (name) }
            @if callback.kind == "observer" {
                button type="submit" name="do" value="test" { (o.test) }
                a.button href=(link("endpoint-link", &[("callback_id", &callback.callback_id)])) { (o.developer_links) }
            }
            span.soft { (if is_active { o.pause_note } else { o.resume_note }) }
        }
    }
}

fn result(o: &OperationsTexts, tested: &Tested, here: &str) -> Markup {
    html! {
        section.notice.good[tested.taken].bad[!tested.taken] role="status" data-tested=(if tested.taken { "taken" } else { "refused" }) {
            p.sentence-of { (if tested.taken { o.test_taken } else { o.test_refused }) }
            p {
                @if let Some(status) = tested.http_status { strong { (status) } " " }
                @if let Some(error) = &tested.error { (error) " " }
                span.soft { (number(tested.duration_ms)) " ms" }
            }
            @if !tested.answer.is_empty() { pre tabindex="0" { code dir="auto" { (beginning(&tested.answer, ANSWER_MAX_CHARS)) } } }
            p { a href=(here) { (o.back_to_endpoint) } }
        }
    }
}

fn facts(o: &OperationsTexts, callback: &Callback, statistics: &Statistics) -> Markup {
    let dead = link("dead-letters", &[("callback_id", &callback.callback_id)]);
    html! {
        dl.facts-of {
            div { dt { (o.waiting) } dd { (count(o, callback.waiting_pairs, callback.counts_estimated)) } }
            div { dt { (o.entries) } dd { (count(o, callback.waiting_rows, callback.counts_estimated)) } }
            div { dt { (o.oldest) } dd { (oldest(o, callback.oldest_queued_at, statistics.to)) } }
            div { dt { (o.in_flight) } dd { (number(callback.batches_in_flight)) } }
            div { dt { (o.dead_letters) } dd { a href=(dead) { (count(o, callback.dead_letters, callback.counts_estimated)) } } }
            @if let Some(since) = callback.failing_since { div { dt { (o.failing_since) } dd { (moment(since)) } } }
            @if let Some(at) = callback.updated_at { div { dt { (o.changed_at) } dd { (moment(at)) } } }
            div { dt { (o.callback_id) } dd.id { (callback.callback_id) } }
            @if let Some(owner) = &callback.owner { div { dt { (o.owner) } dd { (owner) } } }
            @if !callback.event_types.is_empty() { div { dt { (o.event_types) } dd { (callback.event_types.join(", ")) } } }
            div { dt { (o.limits) } dd { (number(callback.timeout_ms)) " ms, " (o.concurrency) " " (number(callback.concurrency)) } }
            @if callback.from_settings { div { dt { (o.source) } dd { (o.from_settings) } } }
        }
    }
}

/// The course of the rate as a table.
fn stretches(o: &OperationsTexts, statistics: &Statistics) -> Markup {
    html! {
        details {
            summary { (o.as_table) }
            div.scroll tabindex="0" {
                table {
                    caption.soft { (o.rate_day) }
                    thead { tr {
                        th scope="col" { (o.hour_from) } th.figures scope="col" { (o.attempts) }
                        th.figures scope="col" { (o.failed) } th.figures scope="col" { (o.sent_pairs) }
                        th.figures scope="col" { (o.received) } th.figures scope="col" { (o.slowest) }
                    } }
                    tbody {
                        @for stretch in statistics.stretches.iter().rev() {
                            tr {
                                th scope="row" { (moment(stretch.from)) }
                                td.figures { @if stretch.truncated { "≥ " } (number(stretch.attempts)) }
                                td.figures { (number(stretch.failed)) }
                                td.figures { (number(stretch.pairs)) }
                                td.figures { (number(stretch.received)) }
                                td.figures { (number(stretch.slowest_ms)) " ms" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn failures(o: &OperationsTexts, failures: &[Failure]) -> Markup {
    html! {
        section aria-labelledby="errors" {
            h2 #errors { (o.last_errors) }
            @if failures.is_empty() { p.empty { (o.no_errors) } }
            @else {
                ul.rows {
                    @for failure in failures {
                        li.row data-row data-key=(failure.error) {
                            div.head {
                                @if let Some(status) = failure.http_status { strong.error { (status) } }
                                strong { (failure.error) }
                                span { (number(failure.attempts)) " × " }
                                span.soft { (o.last_time) " " (moment(failure.last_at)) }
                            }
                            @if let Some(answer) = failure.answer.as_deref().filter(|answer| !answer.is_empty()) {
                                p.answer { code dir="auto" { (beginning(answer, ANSWER_MAX_CHARS)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Attempts, newest first.
pub fn table(o: &OperationsTexts, attempts: &[Delivery]) -> Markup {
    html! {
        @if attempts.is_empty() { p.empty { (o.no_attempts) } }
        @else {
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { (o.at) } th scope="col" { (o.answer) } th.figures scope="col" { (o.took) }
                        th.figures scope="col" { (o.sent_pairs) } th.figures scope="col" { (o.received) }
                        th.figures scope="col" { (o.offline) } th.figures scope="col" { (o.rejected) }
                        th.figures scope="col" { (o.retried) }
                    } }
                    tbody { @for one in attempts { (attempt(o, one)) } }
                }
            }
        }
    }
}

fn attempt(o: &OperationsTexts, one: &Delivery) -> Markup {
    let Delivery { attempt, .. } = one;
    html! {
        tr data-key=(one.attempt_id) {
            td { (moment(attempt.attempted_at)) p.id { (attempt.batch_id) } }
            td {
                @match attempt.http_status {
                    Some(status) => { strong.error[attempt.error.is_some()] { (status) } }
                    None => { span.soft { (o.no_answer) } }
                }
                @if let Some(error) = &attempt.error { " " span.error { (error) } }
                @if let Some(answer) = attempt.answer.as_deref().filter(|answer| !answer.is_empty()) {
                    details { summary { (o.answer) } p.answer { code dir="auto" { (beginning(answer, ANSWER_MAX_CHARS)) } } }
                }
            }
            td.figures { (elapsed(time::Duration::milliseconds(attempt.duration_ms))) }
            @for value in [attempt.pairs, attempt.received, one.offline, one.rejected, one.retried] {
                td.figures { (number(value)) }
            }
        }
    }
}
