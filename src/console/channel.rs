//! A channel of other users: the messages around a hit, and who is and was in it.

use maud::{Markup, html};

use super::answers::{Around, Attendance, Channel, Message, Page};
use super::frame::{Frame, link, moment, person};
use super::search::{recalled, type_name, whole_text};
use super::texts::Texts;

/// What the page shows of the channel.
pub enum Shown<'a> {
    Messages(&'a Around),
    Members(&'a Page<Attendance>),
}

pub fn page(frame: &Frame<'_>, channel: &Channel, shown: &Shown<'_>) -> String {
    let t = frame.texts();
    let of = |view: &str| link("channel", &[("channel_id", &channel.channel_id), ("view", view)]);
    let is_members = matches!(shown, Shown::Members(_));
    let body = html! {
        h1 { (title(t, channel)) }
        (facts(t, channel))
        nav.tabs aria-label=(t.channel) {
            a href=(of("")) aria-current=[(!is_members).then_some("page")] { (t.messages) }
            a href=(of("members")) aria-current=[is_members.then_some("page")] { (t.members) }
        }
        @match shown {
            Shown::Messages(around) => { (messages(frame, channel, around)) }
            Shown::Members(page) => { (members(frame, channel, page)) }
        }
        (frame.curl())
    };
    frame.page(t.channel, &body)
}

/// What a channel is called.
pub fn title(t: &Texts, channel: &Channel) -> Markup {
    html! {
        @if !channel.pair.is_empty() {
            @for (at, one) in channel.pair.iter().enumerate() { @if at > 0 { " – " } (one.name) }
        }
        @else if let Some(name) = &channel.name { (name) }
        @else { (t.unnamed) }
    }
}

fn facts(t: &Texts, channel: &Channel) -> Markup {
    html! {
        p.facts {
            span { @if channel.channel_type == "direct" { (t.direct) } @else { (t.group) } " " span.id { (channel.channel_id) } }
            span { (channel.member_count) " " (t.members) }
            span { (channel.last_seq) " " (t.messages) }
            @if let Some(at) = channel.last_server_time { span { (moment(at)) } }
            @if channel.channel_type != "direct" {
                @match &channel.owner {
                    Some(owner) => {
                        span { (t.owner) " " (person(&owner.user_id, &owner.name)) @if !owner.active { " " span.chip.bad { (t.owner_left) } } }
                    }
                    None => { span.chip.bad { (t.no_owner) } }
                }
            }
            @if let Some(at) = channel.dissolved_at { span.chip.bad { (t.dissolved) " " (moment(at)) } }
        }
    }
}

fn messages(frame: &Frame<'_>, channel: &Channel, around: &Around) -> Markup {
    let t = frame.texts();
    let at = |cursor: &str| link("channel", &[("channel_id", &channel.channel_id), ("cursor", cursor)]);
    let hit = around.position.and_then(|position| around.items.get(position)).map(|hit| hit.ms_id.as_str());
    html! {
        @if around.items.is_empty() { p.empty { (t.no_messages) } } @else {
            div.tools {
                @for (format, name) in [("csv", t.export_csv), ("ndjson", t.export_ndjson)] {
                    a.button href=(link("export", &[("channel_id", &channel.channel_id), ("format", format)])) download { (name) }
                }
            }
        }
        @if let Some(cursor) = &around.older_cursor {
            p.more { a.button href=(at(cursor)) rel="prev" { (t.older) } }
        }
        ol.talk {
            // The API gives the newest first; people read the other way.
            @for message in around.items.iter().rev() {
                (bubble(t, message, hit == Some(message.ms_id.as_str())))
            }
        }
        @if let Some(cursor) = &around.newer_cursor {
            p.more { a.button href=(at(cursor)) rel="next" { (t.newer) } }
        }
    }
}

fn bubble(t: &Texts, message: &Message, is_hit: bool) -> Markup {
    html! {
        li.row.hit[is_hit] id=[is_hit.then_some("hit")] data-row {
            div.head {
                (moment(message.server_time))
                span.from { (person(&message.sender, &message.sender_name)) }
                @if message.ms_type != "text" { span.chip { (type_name(t, &message.ms_type)) } }
                span.id { "#" (message.seq) }
                a.end href=(link("message", &[("ms_id", &message.ms_id)])) data-open { (t.receivers) }
            }
            p.words dir="auto" {
                @if message.recalled.is_some() { (recalled(t, message)) } @else { (message.brief()) (whole_text(t, message)) }
            }
        }
    }
}

fn members(frame: &Frame<'_>, channel: &Channel, page: &Page<Attendance>) -> Markup {
    let t = frame.texts();
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { (t.person) } th scope="col" { (t.was_member) } th scope="col" { (t.since) } } }
                tbody {
                    @for one in &page.items {
                        tr data-row {
                            td { (person(&one.user_id, &one.name)) @if !one.active { " " span.chip { (t.inactive) } } }
                            td { @for i in &one.intervals { div { "#" (i.from_seq) " – " @match i.to_seq { Some(to) => { "#" (to) } None => { (t.now) } } } } }
                            td { @for i in &one.intervals { div { (moment(i.joined_at)) } } }
                        }
                    }
                }
            }
        }
        (frame.more("channel", &[("channel_id", &channel.channel_id), ("view", "members")], page.next_cursor.as_deref()))
    }
}
