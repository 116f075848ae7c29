//! The replay of a dead letter, from the page that says why a person did not get a message.

use maud::{Markup, html};

use super::frame::{Frame, link, moment};
use super::upkeep::answers::DeadLetter;
use super::upkeep::confirm::{self, Question};

/// The message and the receiver whose page asks for a replay.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub ms_id: &'a str,
    pub user_id: &'a str,
}

/// The link on the page of why, for administrators.
pub fn button(frame: &Frame<'_>, dead_id: &str, pair: Pair<'_>) -> Markup {
    let t = frame.lang.upkeep();
    let to = link("replay-one", &[("dead_id", dead_id), ("ms_id", pair.ms_id), ("user_id", pair.user_id)]);
    html! {
        @if frame.operates() { p { a.button href=(to) data-replay { (t.replay) } } } @else { p.soft { (t.admin_replays) } }
    }
}

/// The question before a dead letter is pushed again.
pub fn ask(frame: &Frame<'_>, letter: &DeadLetter, pair: Pair<'_>) -> String {
    let t = frame.lang.upkeep();
    let what = html! {
        p.facts { span { (t.given_up) " " (moment(letter.dead_at)) } span { (letter.reason) } span.id { (letter.dead_id) } }
        p { (t.replay_what) " " b { (letter.pairs) } }
    };
    let page = link("why", &[("ms_id", pair.ms_id), ("user_id", pair.user_id)]);
    let fields = [("dead_id", letter.dead_id.as_str())];
    let question = Question {
        title: t.replay_title,
        what,
        action: "replay-one",
        fields: &fields,
        input: None,
        button: t.replay,
        is_grave: false,
        next: &page,
        back: &page,
    };
    confirm::page(frame, &question)
}
