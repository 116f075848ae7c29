//! The question before a nudge.

use maud::html;

use super::answers::{Counts, Message};
use super::frame::{Frame, link};
use super::message::quote;
use super::upkeep::confirm::{self, Question};

/// Who gets the message once more.
pub fn ask(frame: &Frame<'_>, message: &Message, counts: Counts) -> String {
    let t = frame.lang.upkeep();
    let what = html! {
        (quote(frame.texts(), message))
        p { (t.nudge_what) " " b { (counts.unreceived + counts.received) } }
    };
    let page = link("message", &[("ms_id", &message.ms_id)]);
    let fields = [("ms_id", message.ms_id.as_str())];
    let question = Question {
        title: t.nudge_title,
        what,
        action: "nudge",
        fields: &fields,
        input: None,
        button: t.nudge,
        is_grave: false,
        next: &page,
        back: &page,
    };
    confirm::page(frame, &question)
}
