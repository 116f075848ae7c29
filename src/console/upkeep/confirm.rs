//! The page before a change: what happens, and the way back.

use maud::{Markup, html};

use super::super::frame::Frame;

/// A change that has to be confirmed.
pub struct Question<'a> {
    pub title: &'a str,
    /// What happens.
    pub what: Markup,
    /// The page that takes the form.
    pub action: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
    /// What the caller fills in, if anything.
    pub input: Option<Markup>,
    pub button: &'a str,
    /// Whether the change takes something away.
    pub is_grave: bool,
    /// The page that follows, and the page of the way back.
    pub next: &'a str,
    pub back: &'a str,
}

/// The question as a page. It works without the script.
pub fn page(frame: &Frame<'_>, question: &Question<'_>) -> String {
    let t = frame.lang.upkeep();
    let body = html! {
        section.card.confirm {
            h1 { (question.title) }
            (question.what)
            form.stack method="post" action=(question.action) {
                (frame.secret(question.next))
                @for (name, value) in question.fields { input type="hidden" name=(name) value=(value); }
                @if let Some(input) = &question.input { (input) }
                span.ways {
                    button type="submit" class=(if question.is_grave { "danger" } else { "primary" }) { (question.button) }
                    a.button href=(question.back) { (t.no) }
                }
            }
        }
        (frame.curl())
    };
    frame.page(question.title, &body)
}
