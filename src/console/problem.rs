//! What went wrong, and what to do.

use maud::html;

use super::answers::Problem;
use super::frame::Frame;
use super::texts::Texts;

pub fn page(frame: &Frame<'_>, problem: &Problem) -> String {
    let t = frame.texts();
    let (title, advice) = words(t, problem);
    let body = html! {
        section.card.narrow role="alert" {
            p.status-of { (problem.status) }
            h1 { (title) }
            p { (advice) }
            @if !problem.detail.is_empty() {
                p.soft { @if !problem.pointer.is_empty() { code { (problem.pointer) } " " } (problem.detail) }
            }
            @if !problem.request_id.is_empty() { p.id { (t.request_id) " " (problem.request_id) } }
            @if frame.caller.is_some() { p { a.button href="search" { (t.back) } } }
        }
    };
    frame.page(title, &body)
}

/// The slug of the problem of a form that did not come from the console.
pub const FOREIGN_FORM: &str = "foreign-form";

fn words(t: &Texts, problem: &Problem) -> (&'static str, &'static str) {
    match (problem.status, problem.slug()) {
        (_, FOREIGN_FORM) => (t.p_form, t.p_form_do),
        (401, _) => (t.p_401, t.p_401_do),
        (403, _) => (t.p_403, t.p_403_do),
        (404, _) => (t.p_404, t.p_404_do),
        (429, _) => (t.p_429, t.p_429_do),
        (503, _) => (t.p_503, t.p_503_do),
        (400..=499, _) => (t.p_400, t.p_400_do),
        _ => (t.p_500, t.p_500_do),
    }
}
