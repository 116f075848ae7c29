//! Edits of users on their way to the directory's source; conflicts with the values of both sides.

use crate::console::operations::{self, Tab};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::super::answers::Page;
use super::super::frame::{Frame, link, moment, person};
use super::super::texts::Upkeep;
use super::answers::Edit;
use super::confirm::{self, Question};

/// The states in the order of the tabs. Empty: all.
const STATES: &[&str] = &["conflict", "refused", "failed", "waiting", "sent", "applied", "cancelled", ""];
/// In these an administrator can send an edit again, or cancel it.
const OPEN: &[&str] = &["waiting", "conflict", "refused", "failed"];

pub fn list(frame: &Frame<'_>, edits: &Page<Edit>, state: &str) -> String {
    let t = frame.lang.upkeep();
    let body = html! {
        h1 { (t.edits) }
        p.soft { (t.edits_lead) }
        nav.tabs aria-label=(t.state) {
            @for one in STATES {
                a href=(link("edits", &[("state", shown(one))])) aria-current=[(*one == state).then_some("page")] { (name(t, one)) }
            }
        }
        @if edits.items.is_empty() { p.empty { (if state == "conflict" { t.no_conflicts } else { t.no_edits }) } }
        @else { ol.rows { @for edit in &edits.items { (row(frame, edit, state)) } } }
        (frame.more("edits", &[("state", shown(state))], edits.next_cursor.as_deref()))
    };
    operations::page(frame, Tab::Edits, t.edits, &body)
}

/// The state as the address has it. Without one, the page shows conflicts.
fn shown(state: &str) -> &str {
    if state.is_empty() { "all" } else { state }
}

/// The edits of one person, as a part of the person's page.
pub fn of_person(frame: &Frame<'_>, edits: &Page<Edit>) -> Markup {
    let t = frame.lang.upkeep();
    html! {
        h2 { (t.edits) }
        @if edits.items.is_empty() { p.empty { (t.no_edits_of) } }
        @else { ol.rows { @for edit in &edits.items { (row(frame, edit, "all")) } } }
    }
}

fn name<'a>(t: &'a Upkeep, state: &'a str) -> &'a str {
    match state {
        "" => t.all_edits,
        "waiting" => t.e_waiting,
        "sent" => t.e_sent,
        "applied" => t.e_applied,
        "conflict" => t.e_conflict,
        "refused" => t.e_refused,
        "failed" => t.e_failed,
        "cancelled" => t.e_cancelled,
        other => other,
    }
}

fn state_chip(t: &Upkeep, state: &str) -> Markup {
    let class = match state {
        "applied" => "chip read",
        "waiting" | "sent" => "chip received",
        "conflict" | "refused" | "failed" => "chip bad",
        _ => "chip",
    };
    html! { span class=(class) { (name(t, state)) } }
}

fn row(frame: &Frame<'_>, edit: &Edit, state: &str) -> Markup {
    let t = frame.lang.upkeep();
    let to = |word: &str| {
        link(
            "edit",
            &[("edit_id", &edit.edit_id), ("user_id", &edit.user_id), ("do", word), ("state", shown(state))],
        )
    };
    html! {
        li.row data-row data-edit=(edit.state) {
            div.head {
                (state_chip(t, &edit.state))
                span.from { (person(&edit.user_id, "")) }
                span.soft { (t.asked_by) " " (edit.asked_by) } (moment(edit.asked_at))
                span.id.end { (edit.edit_id) }
            }
            (values(t, edit))
            @if let Some(detail) = &edit.detail { p { (detail) } }
            p.soft {
                (t.attempts) " " (edit.attempts)
                @if let Some(due) = edit.due_at { " · " (t.next_attempt) " " (moment(due)) }
                @if let Some(ended) = edit.ended_at { " · " (t.ended) " " (moment(ended)) }
            }
            @if frame.operates() && OPEN.contains(&edit.state.as_str()) {
                span.ways {
                    a.button href=(to("retry")) data-open { (t.retry) }
                    a.button href=(to("cancel")) { (t.cancel_edit) }
                }
            }
        }
    }
}

/// A row an attribute: what it was, what we want, and what the source has.
fn values(t: &Upkeep, edit: &Edit) -> Markup {
    html! {
        div.scroll.values tabindex="0" role="region" aria-label={ (t.values) " " (edit.edit_id) } {
            table {
                thead { tr {
                    th scope="col" { (t.attribute) } th scope="col" { (t.value_before) } th scope="col" { (t.value_ours) }
                    @if edit.theirs.is_some() { th scope="col" { (t.value_theirs) } }
                } }
                tbody {
                    @for (attribute, ours) in &edit.attributes {
                        tr {
                            th scope="row" { code { (attribute) } }
                            td { (value_of(t, &edit.base, attribute)) }
                            td { (value(t, ours)) }
                            @if let Some(theirs) = &edit.theirs { td { (value_of(t, theirs, attribute)) } }
                        }
                    }
                }
            }
        }
    }
}

fn value_of(t: &Upkeep, values: &Map<String, Value>, attribute: &str) -> Markup {
    values.get(attribute).map_or_else(|| html! { "–" }, |found| value(t, found))
}

fn value(t: &Upkeep, value: &Value) -> Markup {
    html! {
        @match value {
            Value::Null => { span.soft { (t.empty_value) } }
            Value::String(text) => { (text) }
            other => { code { (other.to_string()) } }
        }
    }
}

/// The question before an edit is sent again or cancelled.
pub fn ask(frame: &Frame<'_>, edit: &Edit, word: &str, state: &str) -> String {
    let t = frame.lang.upkeep();
    let is_retry = word == "retry";
    let overwrites = is_retry && edit.theirs.is_some();
    let what = html! {
        p { (person(&edit.user_id, "")) " " (state_chip(t, &edit.state)) }
        (values(t, edit))
        p { (match (is_retry, overwrites) { (true, true) => t.retry_over, (true, false) => t.retry_what, _ => t.cancel_edit_what }) }
    };
    let back = link("edits", &[("state", state)]);
    let fields = [("edit_id", edit.edit_id.as_str()), ("do", word)];
    let (title, button) =
        if is_retry { (t.retry_title, t.retry) } else { (t.cancel_edit_title, t.cancel_edit) };
    let question = Question {
        title,
        what,
        action: "edit",
        fields: &fields,
        input: None,
        button,
        is_grave: overwrites,
        next: &back,
        back: &back,
    };
    confirm::page(frame, &question)
}
