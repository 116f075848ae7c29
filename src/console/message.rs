//! A message: who has received and read it, and who has not.

use maud::{Markup, html};

use super::answers::{Counts, Message, Receipt, Receipts};
use super::frame::{Frame, link, moment, person};
use super::search::{recalled, status_chip, type_name};
use super::texts::Texts;

pub fn page(frame: &Frame<'_>, message: Option<&Message>, receipts: &Receipts, asked: &Asked<'_>) -> String {
    let t = frame.texts();
    let body = html! {
        h1 { (t.receivers_title) }
        (nudged(frame, asked.nudged.0, asked.nudged.1))
        @if let Some(message) = message { (quote(t, message)) (nudge_button(frame, message)) }
        (bar(t, receipts.counts))
        (tabs(t, receipts.counts, asked))
        (table(frame, receipts, asked))
        (frame.curl())
    };
    frame.page(t.receivers_title, &body)
}

/// What the page was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub ms_id: &'a str,
    /// Empty: all.
    pub status: &'a str,
    /// What a nudge has just done: receivers who get an urgent push, and those who do not. Empty: there was none.
    pub nudged: (&'a str, &'a str),
}

/// The message itself.
pub fn quote(t: &Texts, message: &Message) -> Markup {
    let around = link("channel", &[("channel_id", &message.channel_id), ("around", &message.ms_id)]) + "#hit";
    html! {
        blockquote {
            div.head {
                (moment(message.server_time))
                span.from { (person(&message.sender, &message.sender_name)) }
                @if message.ms_type != "text" { span.chip { (type_name(t, &message.ms_type)) } }
                a.end href=(around) { (t.around) }
            }
            p.words dir="auto" {
                @if message.recalled.is_some() { (recalled(t, message)) } @else { (message.words()) }
            }
            p.links { span.id { (t.channel) " " (message.channel_id) " · #" (message.seq) " · " (t.message) " " (message.ms_id) } }
        }
    }
}

/// The button on the page of a message. Only its sender sees it, because only the sender may nudge.
pub fn nudge_button(frame: &Frame<'_>, message: &Message) -> Markup {
    let t = frame.lang.upkeep();
    html! {
        @if frame.caller == Some(message.sender.as_str()) && message.recalled.is_none() {
            p { a.button href=(link("nudge", &[("ms_id", &message.ms_id)])) data-nudge { (t.nudge) } }
        }
    }
}

/// What a nudge has done, by the parameters of the page.
pub fn nudged(frame: &Frame<'_>, urged: &str, over: &str) -> Markup {
    let t = frame.lang.upkeep();
    let (urged, over) = (urged.parse::<u64>().ok(), over.parse::<u64>().unwrap_or_default());
    html! {
        @if let Some(urged) = urged {
            section.notice.good role="status" {
                p { (t.nudged) " " b { (urged) } }
                @if over > 0 { p { (t.nudged_over) " " b { (over) } } }
            }
        }
    }
}

/// The counts as one bar. Its parts are tenths of a percent wide.
fn bar(t: &Texts, counts: Counts) -> Markup {
    let Counts { unreceived, received, read } = counts;
    let all = (unreceived + received + read).max(1);
    let share = |count: i64| count * 1_000 / all;
    let (of_read, of_received) = (share(read), share(received));
    let rest = if unreceived == 0 { 0 } else { 1_000 - of_read - of_received };
    let label = format!("{} {read}, {} {received}, {} {unreceived}", t.s_read, t.s_received, t.s_unreceived);
    html! {
        svg.counts viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.none x="0" y="0" width="1000" height="14" {}
            rect.read x="0" y="0" width=(of_read) height="14" {}
            rect.received x=(of_read) y="0" width=(of_received) height="14" {}
            rect.unreceived x=(1_000 - rest) y="0" width=(rest) height="14" {}
        }
    }
}

fn tabs(t: &Texts, counts: Counts, asked: &Asked<'_>) -> Markup {
    let Counts { unreceived, received, read } = counts;
    let tabs = [
        ("", t.all, unreceived + received + read),
        ("read", t.s_read, read),
        ("received", t.s_received, received),
        ("unreceived", t.s_unreceived, unreceived),
    ];
    html! {
        nav.tabs aria-label=(t.status) {
            @for (status, name, count) in tabs {
                a href=(link("message", &[("ms_id", asked.ms_id), ("status", status)]))
                    aria-current=[(status == asked.status).then_some("page")] {
                    @if !status.is_empty() { span class={ "dot " (status) } aria-hidden="true" {} } (name) " " b { (count) }
                }
            }
        }
    }
}

fn table(frame: &Frame<'_>, receipts: &Receipts, asked: &Asked<'_>) -> Markup {
    let t = frame.texts();
    html! {
        @if receipts.items.is_empty() { p.empty { (t.no_receivers) } }
        @else {
            div.scroll {
                table {
                    thead { tr {
                        // The time comes last: a narrow window cuts off the last column, and the way on must stay.
                        th scope="col" { (t.person) } th scope="col" { (t.status) } td {} th scope="col" { (t.since) }
                    } }
                    tbody { @for one in &receipts.items { (line(t, one, asked.ms_id)) } }
                }
            }
            (frame.more("message", &[("ms_id", asked.ms_id), ("status", asked.status)], receipts.next_cursor.as_deref()))
        }
    }
}

fn line(t: &Texts, one: &Receipt, ms_id: &str) -> Markup {
    html! {
        tr data-row {
            td { (person(&one.receiver, &one.name)) }
            td {
                (status_chip(t, &one.status, one.verdict.as_deref()))
                @if let Some(reason) = &one.verdict_reason { " " span.soft { (reason) } }
            }
            td { a href=(link("why", &[("ms_id", ms_id), ("user_id", &one.receiver)])) data-open { (t.line) } }
            td { (moment(one.last_modified_time)) }
        }
    }
}
