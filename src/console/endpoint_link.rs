//! The page of an administrator that makes and revokes links for the developer of one callback.

use maud::{Markup, html};
use time::OffsetDateTime;

use super::developer::answers::{Endpoint, Link, Links, MadeLink};
use super::frame::{Frame, moment};

/// Hours that a link holds, unless the administrator says otherwise.
const HOURS: &str = "24";

/// What the page shows of one callback.
#[derive(Debug)]
pub struct Shown<'a> {
    pub endpoint: &'a Endpoint,
    pub links: &'a Links,
    /// A link that was made just now. Its secret is shown here, and nowhere again.
    pub made: Option<&'a MadeLink>,
    /// Names the form: sent twice, it makes one link.
    pub client_id: &'a str,
    pub now: OffsetDateTime,
}

/// The page before a callback is named.
pub fn ask(frame: &Frame<'_>) -> String {
    let t = frame.lang.developer();
    let body = html! {
        h1 { (t.a_title) }
        p.soft { (t.a_lead) }
        form.sentence action="endpoint-link" {
            label.term.id-of {
                span { (t.a_which) }
                input name="callback_id" required autocomplete="off" data-search;
            }
            div.actions { button.primary type="submit" { (t.a_pick) } }
        }
    };
    frame.page(t.a_title, &body)
}

pub fn page(frame: &Frame<'_>, shown: &Shown<'_>) -> String {
    let t = frame.lang.developer();
    let Shown { endpoint, links, made, client_id, now } = *shown;
    let body = html! {
        h1 { (t.a_title) }
        div.facts { strong { (endpoint.name()) } code { (endpoint.callback_id) } }
        p.soft { (t.a_lead) }
        @if let Some(made) = made { (secret(frame, made)) }
        form.sentence method="post" action="endpoint-link" {
            (frame.secret(frame.here))
            input type="hidden" name="callback_id" value=(endpoint.callback_id);
            input type="hidden" name="client_id" value=(client_id);
            label.term { span { (t.a_name) } input name="name" required maxlength="128" autocomplete="off"; }
            label.term {
                span { (t.a_hours) }
                input name="hours" type="number" min="1" max="720" value=(HOURS) required;
            }
            div.actions { button.primary type="submit" { (t.a_make) } }
        }
        h2 { (t.a_list) }
        @if links.items.is_empty() { p.empty { (t.a_none) } }
        @else { ol.rows { @for one in &links.items { (row(frame, one, &endpoint.callback_id, now)) } } }
    };
    frame.page(t.a_title, &body)
}

fn secret(frame: &Frame<'_>, made: &MadeLink) -> Markup {
    let t = frame.lang.developer();
    html! {
        @match &made.url {
            Some(url) => {
                section.notice.good role="status" {
                    p.sentence-of { (t.a_made) }
                    p { code data-address { (url) } }
                    button type="button" data-copy hidden { (t.copy) }
                }
            }
            None => { p.notice.open role="status" { (t.a_repeat) } }
        }
    }
}

fn row(frame: &Frame<'_>, one: &Link, callback_id: &str, now: OffsetDateTime) -> Markup {
    let t = frame.lang.developer();
    html! {
        li.row.wide data-row data-link-id=(one.link_id) {
            div {
                div.head {
                    strong { (one.name) }
                    @if one.expires_at <= now { span.chip { (t.a_ended) } }
                    span { (t.a_until) " " (moment(one.expires_at)) }
                }
                p.soft {
                    (t.a_by) " " (one.created_by) " · " (t.a_opened) " "
                    @match one.opened_at { Some(at) => { (moment(at)) } None => { (t.a_never) } }
                }
            }
            form method="post" action="endpoint-link" {
                (frame.secret(frame.here))
                input type="hidden" name="callback_id" value=(callback_id);
                input type="hidden" name="revoke" value=(one.link_id);
                button.small type="submit" aria-label=(format!("{} {}", t.a_revoke, one.name)) { (t.a_revoke) }
            }
        }
    }
}
