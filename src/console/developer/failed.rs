//! What was given up: send one again, or all since a time after a look at how many they are.

use maud::{Markup, html};

use super::Shell;
use super::answers::{DeadLetter, Replayed};
use crate::console::answers::Page;
use crate::console::frame::{link, moment};

/// What a form has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Nothing,
    Resent,
    /// It was not there any more.
    NotThere,
    Recovered,
}

/// What a developer wants to have again.
#[derive(Debug)]
pub struct Wish<'a> {
    /// As the browser gives a date and a time.
    pub since: &'a str,
    /// `dead` or `all`.
    pub what: &'a str,
    /// Only events after this one.
    pub after: &'a str,
}

pub fn page(shell: &Shell<'_>, letters: &Page<DeadLetter>, (done, wish): (Done, &Wish<'_>)) -> String {
    let t = shell.texts();
    let said = match done {
        Done::Nothing => None,
        Done::Resent => Some(("good", t.resent)),
        Done::NotThere => Some(("open", t.resent_none)),
        Done::Recovered => Some(("good", t.r_done)),
    };
    let body = html! {
        h1 { (t.f_title) }
        @if let Some((tone, text)) = said { p.notice.(tone) role="status" { (text) } }
        p.soft { (t.f_lead) }
        (list(shell, letters))
        @if let Some(cursor) = &letters.next_cursor {
            p.more { a.button href=(link("failed", &[("cursor", cursor)])) rel="next" { (shell.common().more) } }
        }
        h2 { (t.r_title) }
        p.soft { (t.r_lead) }
        form.sentence method="post" action="recover" {
            (shell.secret())
            label.term.date {
                span { (t.r_since) }
                input name="since" type="datetime-local" value=(wish.since) required;
            }
            label.term {
                span { (t.r_what) }
                select name="what" {
                    option value="dead" selected[wish.what != "all"] { (t.r_dead) }
                    option value="all" selected[wish.what == "all"] { (t.r_all) }
                }
            }
            div.actions { button type="submit" { (t.r_preview) } }
        }
    };
    shell.page(t.f_title, &body)
}

fn list(shell: &Shell<'_>, letters: &Page<DeadLetter>) -> Markup {
    let t = shell.texts();
    html! {
        @if letters.items.is_empty() { p.empty { (t.f_none) } }
        @else {
            ol.rows {
                @for one in &letters.items {
                    li.row.wide data-row data-dead=(one.dead_id) {
                        div {
                            div.head { (moment(one.dead_at)) span { (t.events) " " (one.pairs) } }
                            p { (t.reason) " " (one.reason) }
                            @if let Some(ids) = &one.event_ids {
                                p.soft { "event_id " (ids.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", "))
                                    @if ids.len() > 5 { " …" } }
                            }
                        }
                        form method="post" action="resend" {
                            (shell.secret())
                            input type="hidden" name="dead_id" value=(one.dead_id);
                            button.small type="submit" aria-label=(format!("{} {}", t.resend, one.dead_id)) { (t.resend) }
                        }
                    }
                }
            }
        }
    }
}

/// How many would be sent again. `is_done`: they are in the queue, and there are more.
pub fn confirm(shell: &Shell<'_>, wish: &Wish<'_>, found: &Replayed, is_done: bool) -> String {
    let t = shell.texts();
    let more = if found.next_event_id.is_some() { t.r_at_least } else { "" };
    let button = if is_done { t.r_go_on } else { t.r_confirm };
    let body = html! {
        h1 { (t.r_title) }
        @if found.replayed == 0 { p.empty { (t.r_nothing) } }
        @else {
            section.notice.open role="status" data-count=(found.replayed) {
                p.sentence-of {
                    @if wish.what == "all" { (found.replayed) " " (more) " " (t.r_found_all) }
                    @else { (found.replayed) " " (t.r_found_dead) " " (found.pairs) }
                }
                p { (t.r_since) " " (wish.since) }
                @if is_done { p { (t.r_done) " " (t.r_more) } }
            }
            form.stack method="post" action="recover" {
                (shell.secret())
                input type="hidden" name="since" value=(wish.since);
                input type="hidden" name="what" value=(wish.what);
                input type="hidden" name="after" value=(wish.after);
                button.primary type="submit" name="confirmed" value="1" { (button) }
            }
        }
        p { a.button href="failed" { (t.back) } }
    };
    shell.page(t.r_title, &body)
}
