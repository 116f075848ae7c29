//! What went wrong, and what to do.

use maud::html;

use super::answers::Problem;
use super::frame::{Frame, first_page};

pub fn page(frame: &Frame<'_>, problem: &Problem) -> String {
    let t = frame.texts();
    let (title, advice) = words(frame, problem);
    let back = first_page(frame.roles);
    let name = match back {
        "home" => frame.lang.operations().back,
        "runs" => frame.lang.upkeep().back,
        _ => t.back,
    };
    let body = html! {
        section.card.narrow role="alert" {
            p.status-of { (problem.status) }
            h1 { (title) }
            p { (advice) }
            @if !problem.detail.is_empty() {
                p.soft { @if !problem.pointer.is_empty() { code { (problem.pointer) } " " } (problem.detail) }
            }
            @if !problem.request_id.is_empty() { p.id { (t.request_id) " " (problem.request_id) } }
            @if frame.sees_pages() { p { a.button href=(back) { (name) } } }
        }
    };
    frame.page(title, &body)
}

/// The slug of the problem of a form that did not come from the console.
pub const FOREIGN_FORM: &str = "foreign-form";
/// The slug of the problem of a caller who is no operator, on a page for operators.
pub const OPERATORS_ONLY: &str = "operators-only";

fn words(frame: &Frame<'_>, problem: &Problem) -> (&'static str, &'static str) {
    let (t, o, u) = (frame.texts(), frame.lang.operations(), frame.lang.upkeep());
    let s = frame.lang.sign_in();
    match (problem.status, problem.slug()) {
        (_, FOREIGN_FORM) => (t.p_form, t.p_form_do),
        (_, OPERATORS_ONLY) if frame.signs_out => (o.p_operators, s.admin_do),
        (_, OPERATORS_ONLY) => (o.p_operators, o.p_operators_do),
        (401, _) => (t.p_401, t.p_401_do),
        (403, _) if frame.signs_out && problem.detail.contains("role support") => (t.p_403, s.support_do),
        (403, _) if problem.detail.contains("role support") => (t.p_403, t.p_403_do),
        (403, _) => (u.not_allowed, u.not_allowed_do),
        (404, _) => (t.p_404, t.p_404_do),
        (409, _) => (t.p_409, t.p_409_do),
        (429, _) => (t.p_429, t.p_429_do),
        (503, _) => (t.p_503, t.p_503_do),
        (400..=499, _) => (t.p_400, t.p_400_do),
        _ => (t.p_500, t.p_500_do),
    }
}
