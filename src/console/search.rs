//! Support's search: a sentence of conditions, and the messages that match.

use maud::{Markup, html};

use super::answers::{Contact, Hit, Message, Page, Problem};
use super::choices::choices;
use super::frame::{Frame, link, moment, person};
use super::texts::Texts;

/// The conditions, as typed. They are the parameters of the page and of the API.
#[derive(Debug, Default, Clone)]
pub struct Conditions {
    pub q: String,
    pub sender: String,
    pub receiver: String,
    pub status: String,
    pub channel_id: String,
    pub ms_type: String,
    pub from: String,
    pub to: String,
    pub topic: String,
}

impl Conditions {
    /// The conditions among the parameters of a page.
    pub fn of(param: impl Fn(&str) -> String) -> Self {
        Self {
            q: param("q"),
            sender: param("sender"),
            receiver: param("receiver"),
            status: param("status"),
            channel_id: param("channel_id"),
            ms_type: param("type"),
            from: param("from"),
            to: param("to"),
            topic: param("topic"),
        }
    }

    /// The conditions as parameters. Empty ones do not count.
    pub fn params(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("q", &self.q),
            ("sender", &self.sender),
            ("receiver", &self.receiver),
            ("status", &self.status),
            ("channel_id", &self.channel_id),
            ("type", &self.ms_type),
            ("from", &self.from),
            ("to", &self.to),
            ("topic", &self.topic),
        ];
        all.into_iter().map(|(name, value)| (name, value.trim())).filter(|(_, v)| !v.is_empty()).collect()
    }

    /// What was typed for a person, if the condition is about one.
    pub fn typed(&self, condition: &str) -> Option<&str> {
        match condition {
            "sender" => Some(self.sender.trim()),
            "receiver" => Some(self.receiver.trim()),
            _ => None,
        }
    }

    /// The address of the search with one user in place of what was typed.
    fn with(&self, condition: &str, user_id: &str) -> String {
        let mut params = self.params();
        params.iter_mut().filter(|(name, _)| *name == condition).for_each(|(_, value)| *value = user_id);
        params.push(("go", "1"));
        link("search", &params)
    }
}

/// What the page shows below the conditions.
pub enum Found<'a> {
    /// Nothing was asked for yet.
    Nothing,
    Hits(&'a Page<Hit>),
    /// The API refused the conditions. If a name is of several users, they are here.
    Refused(&'a Problem, &'a [Contact]),
}

/// Types of messages, as the API knows them.
const TYPES: &[&str] = &[
    "text", "picture", "file", "voice", "video", "location", "markdown", "link", "card", "forward", "call",
    "mls",
];

pub fn page(frame: &Frame<'_>, conditions: &Conditions, found: &Found<'_>) -> String {
    let t = frame.texts();
    let body = html! {
        h1.quiet { (t.search_title) }
        (form(t, conditions, found))
        @match found {
            Found::Nothing => { p.empty { (t.begin) } }
            Found::Refused(problem, users) if !users.is_empty() => {
                p role="alert" { strong { (t.which_person) } }
                (choices(users, |user_id| conditions.with(&problem.pointer, user_id)))
            }
            Found::Refused(problem, _) => {
                div.notice.bad role="alert" {
                    strong { (t.p_400) }
                    p { b { (condition(t, &problem.pointer)) ":" } " " span lang="en" { (problem.detail) } }
                }
            }
            Found::Hits(page) => { (hits(frame, conditions, page)) }
        }
        (frame.curl())
    };
    frame.page(t.search_title, &body)
}

/// A condition as the form names it.
fn condition<'a>(t: &'a Texts, parameter: &'a str) -> &'a str {
    match parameter {
        "q" => t.f_words,
        "sender" => t.f_sender,
        "receiver" => t.f_receiver,
        "status" => t.f_status,
        "channel_id" => t.f_channel,
        "type" => t.f_type,
        "from" => t.f_from,
        "to" => t.f_to,
        "topic" => t.f_topic,
        other => other,
    }
}

fn form(t: &Texts, c: &Conditions, found: &Found<'_>) -> Markup {
    let wrong = match found {
        Found::Refused(problem, _) => problem.pointer.as_str(),
        _ => "",
    };
    let text = |name: &'static str, label: &str, value: &str, hint: &str| {
        html! {
            label.term {
                span { (label) }
                input name=(name) value=(value) placeholder=(hint) autocomplete="off"
                    aria-invalid=[(wrong == name).then_some("true")];
            }
        }
    };
    let date = |name: &'static str, label: &str, value: &str| {
        html! {
            label.term.date {
                span { (label) }
                input type="date" name=(name) value=(value) aria-invalid=[(wrong == name).then_some("true")];
            }
        }
    };
    let statuses =
        [("", t.status_any), ("unreceived", t.s_unreceived), ("received", t.s_received), ("read", t.s_read)];
    html! {
        form.sentence action="search" role="search" {
            input type="hidden" name="go" value="1";
            label.term.words {
                span { (t.f_words) }
                input #q type="search" name="q" value=(c.q) placeholder=(t.any_words) autocomplete="off" data-search
                    aria-invalid=[(wrong == "q").then_some("true")];
            }
            (text("sender", t.f_sender, &c.sender, t.anyone))
            (text("receiver", t.f_receiver, &c.receiver, t.anyone))
            label.term {
                span { (t.f_status) }
                select name="status" aria-invalid=[(wrong == "status").then_some("true")] {
                    @for (value, name) in statuses {
                        option value=(value) selected[value == c.status] { (name) }
                    }
                }
            }
            (text("channel_id", t.f_channel, &c.channel_id, t.any))
            label.term {
                span { (t.f_type) }
                select name="type" {
                    option value="" { (t.any) }
                    @for one in TYPES { option value=(one) selected[*one == c.ms_type] { (type_name(t, one)) } }
                }
            }
            (date("from", t.f_from, &c.from))
            (date("to", t.f_to, &c.to))
            (text("topic", t.f_topic, &c.topic, t.any))
            span.actions {
                button.primary type="submit" { (t.go) }
                a.button href="search" { (t.clear) }
            }
        }
    }
}

fn hits(frame: &Frame<'_>, conditions: &Conditions, page: &Page<Hit>) -> Markup {
    let t = frame.texts();
    let params = conditions.params();
    let export = |format: &'static str| {
        let mut params = params.clone();
        params.push(("format", format));
        link("export", &params)
    };
    let mut further = params.clone();
    further.push(("go", "1"));
    html! {
        @if page.items.is_empty() && page.next_cursor.is_none() {
            div.empty { p { strong { (t.no_hits) } } p { (t.no_hits_do) } }
        } @else {
            div.tools {
                a.button href=(export("csv")) download { (t.export_csv) }
                a.button href=(export("ndjson")) download { (t.export_ndjson) }
            }
            ol.rows {
                @for hit in &page.items { (row(t, hit, &conditions.receiver)) }
            }
            @if page.items.is_empty() { p.soft { (t.short_page) } }
            (frame.more("search", &further, page.next_cursor.as_deref()))
        }
    }
}

fn row(t: &Texts, hit: &Hit, receiver: &str) -> Markup {
    let m = &hit.message;
    let around = link("channel", &[("channel_id", &m.channel_id), ("around", &m.ms_id)]) + "#hit";
    html! {
        li.row data-row {
            div.head {
                (moment(m.server_time))
                span.from { (person(&m.sender, &m.sender_name)) }
                @if m.ms_type != "text" { span.chip { (type_name(t, &m.ms_type)) } }
                @if let Some(status) = &hit.status { (status_chip(t, status, None)) }
            }
            p.words dir="auto" {
                @if m.recalled.is_some() { (recalled(t, m)) }
                @else if hit.highlight.is_empty() { (m.brief()) }
                @else {
                    @for piece in &hit.highlight {
                        @if piece.hit { mark { (piece.text) } } @else { (piece.text) }
                    }
                }
                (whole_text(t, m))
            }
            p.links {
                a href=(around) data-open { (t.around) }
                a href=(link("message", &[("ms_id", &m.ms_id)])) { (t.receivers) }
                a href=(link("why", &[("ms_id", &m.ms_id), ("user_id", receiver)])) { (t.why_link) }
                span.id { (t.channel) " " (m.channel_id) " · " (t.message) " " (m.ms_id) }
            }
        }
    }
}

/// The type of a message in words.
pub fn type_name<'a>(t: &'a Texts, ms_type: &'a str) -> &'a str {
    match ms_type {
        "text" => t.t_text,
        "picture" => t.t_picture,
        "file" => t.t_file,
        "voice" => t.t_voice,
        "video" => t.t_video,
        "location" => t.t_location,
        "markdown" => t.t_markdown,
        "link" => t.t_link,
        "card" => t.t_card,
        "forward" => t.t_forward,
        "call" => t.t_call,
        "mls" => t.t_mls,
        other => other,
    }
}

/// The way to the rest of a long text.
pub fn whole_text(t: &Texts, message: &Message) -> Markup {
    html! {
        @if message.recalled.is_none() && message.is_long() {
            " " a href=(link("message", &[("ms_id", &message.ms_id)])) { (t.whole_text) }
        }
    }
}

/// In place of a recalled message.
pub fn recalled(t: &Texts, message: &Message) -> Markup {
    html! {
        @if let Some(recalled) = &message.recalled {
            span.soft { (t.recalled_by) " " (person(&recalled.by, "")) ", " (moment(recalled.at)) }
        }
    }
}

/// A status in words, with a colour and a form of its own.
pub fn status_chip(t: &Texts, status: &str, verdict: Option<&str>) -> Markup {
    let (class, name) = match (status, verdict) {
        ("read", _) => ("chip read", t.s_read),
        ("received", _) => ("chip received", t.s_received),
        (_, Some("offline")) => ("chip unreceived", t.s_offline),
        (_, Some("rejected")) => ("chip bad", t.s_rejected),
        _ => ("chip unreceived", t.s_unreceived),
    };
    html! { span class=(class) { (name) } }
}
