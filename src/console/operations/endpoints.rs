//! All endpoints: their queues, their states, and how they answer.

use maud::{Markup, html};

use super::answers::{Callback, Statistics};
use super::home::oldest;
use super::{Tab, chart, count, number, page};
use crate::console::frame::{Frame, beginning, link, moment};
use crate::console::texts::OperationsTexts;

/// Most characters of an answer in the list.
const ANSWER_MAX_CHARS: usize = 80;

/// An endpoint and how it has answered in the last hours.
pub struct Line {
    pub callback: Callback,
    pub statistics: Statistics,
}

/// One page of endpoints. `next` is the number of endpoints before the next page.
pub fn show(frame: &Frame<'_>, rows: &[Line], next: Option<usize>) -> String {
    let o = frame.lang.operations();
    let body = html! {
        div data-live {
            h1 { (o.endpoints_title) }
            @if rows.is_empty() { div.empty { p { strong { (o.no_endpoints) } } p { (o.no_endpoints_do) } } }
            @else {
                div.scroll {
                    table {
                        thead { tr {
                            th scope="col" { (o.endpoint) } th scope="col" { (o.state_of) }
                            th.figures scope="col" { (o.waiting) } th scope="col" { (o.oldest) }
                            th.figures scope="col" { (o.dead_letters) } th scope="col" { (o.rate_hours) }
                            th scope="col" { (o.last_error) }
                        } }
                        tbody { @for row in rows { (line(o, row)) } }
                    }
                }
                @if let Some(next) = next {
                    p.more { a.button href=(link("endpoints", &[("from", &next.to_string())])) rel="next" { (o.more) } }
                }
            }
        }
    };
    page(frame, Tab::Endpoints, o.endpoints_title, &body)
}

fn line(o: &OperationsTexts, Line { callback, statistics }: &Line) -> Markup {
    let callback_id = callback.callback_id.as_str();
    html! {
        tr data-row data-key=(callback_id) {
            th.name scope="row" {
                a href=(link("endpoint", &[("callback_id", callback_id)])) data-open { (callback.name()) }
                p.id { (o.state(&callback.kind)) " · " (callback.place()) }
            }
            td { (chips(o, callback)) }
            td.figures { (count(o, callback.waiting_pairs, callback.counts_estimated)) }
            td { (oldest(o, callback.oldest_queued_at, statistics.to)) }
            td.figures {
                @if callback.dead_letters == 0 { "0" }
                @else { a href=(link("dead-letters", &[("callback_id", callback_id)])) { (count(o, callback.dead_letters, callback.counts_estimated)) } }
            }
            td { (rate(o, callback, statistics)) }
            td { (last_error(statistics)) }
        }
    }
}

/// The state and the breaker.
pub fn chips(o: &OperationsTexts, callback: &Callback) -> Markup {
    let (is_active, is_closed) = (callback.state == "active", callback.breaker == "closed");
    html! {
        span.chip.read[is_active].received[callback.state == "paused"].bad[callback.state == "disabled"] { (o.state(&callback.state)) }
        " "
        span.chip.bad[!is_closed] { (o.breaker) ": " (o.state(&callback.breaker)) }
    }
}

/// The share of attempts that succeeded, with its course.
pub fn rate(o: &OperationsTexts, callback: &Callback, statistics: &Statistics) -> Markup {
    let (attempts, failed, more) = chart::sums(&statistics.stretches);
    let percent = chart::percent(attempts, failed);
    let label = format!(
        "{}, {}: {percent}, {} {}, {} {}",
        callback.name(),
        o.rate,
        o.attempts,
        number(attempts),
        o.failed,
        number(failed)
    );
    html! {
        @if attempts == 0 { span.soft { (o.no_attempts) } }
        @else {
            span.figure-of { @if more { abbr title=(o.first_of_each) { "≈" } " " } (percent) }
            (chart::rates(&statistics.stretches, &label))
        }
    }
}

fn last_error(statistics: &Statistics) -> Markup {
    html! {
        @if let Some(failure) = statistics.failures.first() {
            @if let Some(status) = failure.http_status { strong.error { (status) } " " }
            span { (failure.error) }
            @if let Some(answer) = failure.answer.as_deref().filter(|answer| !answer.is_empty()) {
                p.answer { code dir="auto" { (beginning(answer, ANSWER_MAX_CHARS)) } }
            }
            (moment(failure.last_at))
        }
    }
}
