//! The endpoint: its state, a test, what was sent to it, and the payload of one POST.

use maud::{Markup, html};
use time::Duration;

use super::Shell;
use super::answers::{Delivery, Endpoint, Payload, Tested};
use crate::console::answers::Page;
use crate::console::frame::{elapsed, link, moment};
use crate::console::texts::DeveloperTexts;

/// The page of the endpoint. `tested`: how it answered just now.
pub fn page(
    shell: &Shell<'_>,
    endpoint: &Endpoint,
    deliveries: &Page<Delivery>,
    tested: Option<&Tested>,
) -> String {
    let t = shell.texts();
    let body = html! {
        h1 { (endpoint.name()) }
        (state(t, endpoint))
        @if let Some(tested) = tested { (test_result(t, tested)) }
        form.tools method="post" action="test" {
            (shell.secret())
            span.soft { (t.test_lead) }
            button type="submit" { (t.test) }
        }
        h2 #sent { (t.deliveries) }
        p.soft { (t.d_lead) }
        (list(t, deliveries))
        @if let Some(cursor) = &deliveries.next_cursor {
            p.more { a.button href=(link("endpoint", &[("cursor", cursor)])) rel="next" { (shell.common().more) } }
        }
    };
    shell.page(endpoint.name(), &body)
}

fn state(t: &DeveloperTexts, endpoint: &Endpoint) -> Markup {
    let (tone, state) = match endpoint.state.as_str() {
        // Batches are sent, and refused or not answered.
        "active" if endpoint.failing_since.is_some() => ("open", t.active),
        "active" => ("good", t.active),
        "paused" => ("open", t.paused),
        _ => ("bad", t.disabled),
    };
    let breaker = match endpoint.breaker.as_str() {
        "closed" => t.b_closed,
        "half-open" => t.b_half,
        _ => t.b_open,
    };
    html! {
        section.notice.(tone) data-state=(endpoint.state) {
            p.sentence-of { (state) }
            @if let Some(reason) = &endpoint.disabled_reason { p { (reason) } }
            @if let Some(since) = endpoint.failing_since { p { (t.failing) " " (moment(since)) } }
        }
        dl.facts-of {
            div { dt { (t.address) } dd { code { (endpoint.url) } } }
            div { dt { (t.breaker) } dd data-breaker=(endpoint.breaker) { (breaker) } }
            div { dt { (t.types) } dd { @for one in &endpoint.event_types { code { (one) } " " } } }
            div {
                dt { (t.channels) }
                dd {
                    @match &endpoint.channel_ids {
                        Some(ids) => { @for id in ids { code { (id) } " " } }
                        None => { (t.no_filter) }
                    }
                }
            }
            div {
                dt { (t.waiting) }
                dd {
                    (endpoint.waiting_pairs)
                    @if let Some(since) = endpoint.oldest_queued_at { " · " (t.oldest) " " (moment(since)) }
                }
            }
            div { dt { (t.given_up) } dd { a href="failed" { (endpoint.dead_letters) } } }
        }
    }
}

fn test_result(t: &DeveloperTexts, tested: &Tested) -> Markup {
    let (tone, sentence) = if tested.taken { ("good", t.tested_good) } else { ("bad", t.tested_bad) };
    let took = Duration::milliseconds(i64::try_from(tested.duration_ms).unwrap_or(i64::MAX));
    html! {
        section.notice.(tone) role="status" data-tested=(tested.taken.to_string()) {
            p.sentence-of { (sentence) }
            p {
                (t.status) " " (status(t, tested.http_status)) " · " (t.duration) " " (elapsed(took)) " · "
                (t.size) " " (tested.request_bytes) " B"
            }
            @if let Some(error) = &tested.error { p { (error) } }
            @if !tested.answer.is_empty() {
                p.soft { (t.answer) }
                pre tabindex="0" { (tested.answer) }
            }
        }
    }
}

fn status(t: &DeveloperTexts, http_status: Option<u16>) -> String {
    http_status.map_or_else(|| t.no_answer.to_owned(), |status| status.to_string())
}

fn list(t: &DeveloperTexts, deliveries: &Page<Delivery>) -> Markup {
    html! {
        @if deliveries.items.is_empty() { p.empty { (t.d_none) } }
        @else {
            ol.rows {
                @for one in &deliveries.items {
                    li.row data-row data-attempt=(one.attempt_id) {
                        div.head {
                            (moment(one.attempted_at))
                            @match &one.error {
                                Some(error) => { span.chip.bad { (error) } }
                                None => { span.chip.read { (status(t, one.http_status)) " " (t.taken) } }
                            }
                            span { (elapsed(Duration::milliseconds(one.duration_ms))) }
                            span { (t.events) " " (one.pairs) }
                            a.end href=(link("payload", &[("attempt_id", &one.attempt_id)])) data-open { (t.show_payload) }
                        }
                        @if let Some(answer) = one.answer.as_deref().filter(|answer| !answer.is_empty()) {
                            details {
                                summary { (t.answer) }
                                pre tabindex="0" { (answer) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The payload of one POST. `None`: it is not kept.
pub fn payload(shell: &Shell<'_>, payload: Option<&Payload>) -> String {
    let t = shell.texts();
    let body = html! {
        h1 { (t.payload) }
        @match payload {
            Some(payload) => {
                p.soft { (t.payload_lead) }
                p { (t.batch) " " code { (payload.batch_id) } }
                @if payload.missing > 0 { p.notice.open { (payload.missing) " " (t.missing) } }
                @for event in &payload.events { pre tabindex="0" { code { (pretty(event)) } } }
            }
            None => { p.empty { (t.payload_gone) } }
        }
        p { a.button href="endpoint" { (t.back) } }
    };
    shell.page(t.payload, &body)
}

pub fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
