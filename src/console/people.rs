//! People: found by name, and one person with what belongs to them.

use maud::{Markup, html};

use super::answers::{Card, Channel, Contact, Department, Page};
use super::channel::title;
use super::frame::{Frame, kind_name, link, moment, person};
use super::texts::Texts;
use super::upkeep::answers::Edit;
use super::upkeep::edits::of_person;

/// What the page of people shows.
pub enum Shown<'a> {
    Found(&'a Page<Contact>),
    Tree(Tree<'a>),
}

/// One level of the tree of departments.
pub struct Tree<'a> {
    /// `None`: the top.
    pub department: Option<&'a Department>,
    pub below: &'a Page<Department>,
    /// The users who work in the department itself.
    pub users: Option<&'a Page<Contact>>,
}

/// The search with what it found, or the tree.
pub fn list(frame: &Frame<'_>, typed: &str, shown: &Shown<'_>) -> String {
    let t = frame.texts();
    let body = html! {
        h1.quiet { (t.people_title) }
        form.sentence action="people" role="search" {
            label.term.words {
                span { (t.people_box) }
                input type="search" name="q" value=(typed) required autocomplete="off" data-search;
            }
            span.actions { button.primary type="submit" { (t.go) } }
        }
        p.links {
            a href="groups" { (frame.lang.upkeep().groups) }
            a href="absent" { (frame.lang.upkeep().absent) }
        }
        @match shown {
            Shown::Found(page) if page.items.is_empty() => {
                div.empty { p { strong { (t.no_people) } } p { (t.no_people_do) } }
            }
            Shown::Found(page) => {
                (contacts(t, page))
                (frame.more("people", &[("q", typed)], page.next_cursor.as_deref()))
            }
            Shown::Tree(tree) => { (level(frame, tree)) }
        }
        (frame.curl())
    };
    frame.page(t.people_title, &body)
}

fn level(frame: &Frame<'_>, tree: &Tree<'_>) -> Markup {
    let t = frame.texts();
    let at = |department_id: &str| link("people", &[("department_id", department_id)]);
    html! {
        @if let Some(department) = tree.department {
            nav.path aria-label=(t.departments) {
                a href="people" { (t.departments) }
                @for above in &department.path { " / " a href=(at(&above.department_id)) { (above.name) } }
            }
            h2 { (department.name) " " span.id { (department.department_id) } }
        } @else { h2 { (t.departments) } }
        @if tree.below.items.is_empty() && tree.users.is_none_or(|users| users.items.is_empty()) {
            p.empty { (t.no_departments) }
        }
        @if !tree.below.items.is_empty() {
            ul.rows {
                @for one in &tree.below.items {
                    li.row.wide data-row {
                        a href=(at(&one.department_id)) data-open { (one.name) }
                        span.soft { (one.people_count) " " (t.users) }
                    }
                }
            }
        }
        @if let Some(users) = tree.users.filter(|users| !users.items.is_empty()) {
            div.below { (contacts(t, users)) }
            @if let Some(department) = tree.department {
                (frame.more("people", &[("department_id", &department.department_id)], users.next_cursor.as_deref()))
            }
        }
    }
}

fn contacts(t: &Texts, page: &Page<Contact>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { (t.person) } th scope="col" { (t.title) } td {} } }
                tbody {
                    @for one in &page.items {
                        tr data-row {
                            td { (person(&one.user_id, &one.name)) @if one.kind != "internal" { " " span.chip { (kind_name(t, &one.kind)) } } }
                            td {
                                @if let Some(title) = &one.title { (title) }
                                @if let Some(department) = &one.department { " " span.soft { (department.name) } }
                            }
                            td.end { a href=(link("person", &[("user_id", &one.user_id)])) data-open { (t.their_channels) } }
                        }
                    }
                }
            }
        }
    }
}

/// One person: the card, the channels in which the person is or was, and the edits, if the caller may see them.
pub fn one(frame: &Frame<'_>, card: &Card, channels: &Page<Channel>, edits: Option<&Page<Edit>>) -> String {
    let t = frame.texts();
    let body = html! {
        h1 { (card.name) }
        p.facts {
            span.id { (card.user_id) }
            @if card.active { span.chip { (t.active) } } @else { span.chip.bad { (t.inactive) } }
            @if card.kind != "internal" { span.chip { (kind_name(t, &card.kind)) } }
            @if let Some(presence) = &card.presence {
                span.chip.read[presence.status == "online"] { @if presence.status == "online" { (t.online) } @else { (t.offline) } }
                @if let Some(since) = presence.since { span.soft { (moment(since)) } }
            }
            a href=(link("search", &[("sender", &card.user_id), ("go", "1")])) { (t.their_sent) }
            a href=(link("search", &[("receiver", &card.user_id), ("go", "1")])) { (t.their_received) }
        }
        (details(t, card))
        h2 { (t.their_channels) }
        @if channels.items.is_empty() { p.empty { (t.no_channels) } }
        @else { (list_of(t, channels)) }
        (frame.more("person", &[("user_id", &card.user_id)], channels.next_cursor.as_deref()))
        @if let Some(edits) = edits { (of_person(frame, edits)) }
        (frame.curl())
    };
    frame.page(&card.name, &body)
}

fn details(t: &Texts, card: &Card) -> Markup {
    let facts = [
        (t.title, &card.title),
        (t.email, &card.email),
        (t.phone, &card.phone),
        (t.number, &card.employee_number),
        (t.login_name, &card.login_name),
    ];
    html! {
        dl.facts-of {
            @for (name, value) in facts {
                @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
            }
            @if let Some(manager) = &card.manager {
                div { dt { (t.manager) } dd { (person(&manager.user_id, &manager.name)) } }
            }
        }
    }
}

fn list_of(t: &Texts, channels: &Page<Channel>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { (t.channel) } th scope="col" { (t.members) } th scope="col" { (t.messages) } th scope="col" { (t.last_message) } } }
                tbody {
                    @for one in &channels.items {
                        tr data-row {
                            td {
                                a href=(link("channel", &[("channel_id", &one.channel_id)])) data-open { (title(t, one)) }
                                " " span.id { (one.channel_id) }
                                @if one.is_member == Some(false) { " " span.chip { (t.was_in) } }
                                @if one.dissolved_at.is_some() { " " span.chip.bad { (t.dissolved) } }
                            }
                            td { (one.member_count) }
                            td { (one.last_seq) }
                            td { @if let Some(at) = one.last_server_time { (moment(at)) } }
                        }
                    }
                }
            }
        }
    }
}
