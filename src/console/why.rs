//! Why a person got a message, or did not: the finding, what to do, and a line of what happened.

use maud::{Markup, html};
use time::{Duration, OffsetDateTime};

use super::answers::{Attempt, Contact, Diagnosis, Interval, Page};
use super::channel;
use super::choices::choices;
use super::findings::{Tone, advice, sentence, tone};
use super::frame::{Frame, elapsed, link, moment, person};
use super::message::quote;
use super::replay::{self, Pair};
use super::search::status_chip;
use super::texts::Texts;
use crate::records::diagnosis::Finding;

/// The page before anything is asked, and the one that asks which person is meant: `found` has the users of that name.
pub fn ask(frame: &Frame<'_>, (ms_id, user_id): (&str, &str), found: Option<&Page<Contact>>) -> String {
    let t = frame.texts();
    let body = html! {
        h1 { (t.ask_why) }
        p.soft { (t.delivery_lead) }
        (form(t, ms_id, user_id))
        @match found {
            Some(page) if page.items.is_empty() => {
                div.empty role="status" { p { strong { (t.no_people) } } p { (t.no_people_do) } }
            }
            Some(page) => {
                p role="status" { strong { (t.which_person) } }
                (choices(&page.items, |user_id| link("why", &[("ms_id", ms_id), ("user_id", user_id)])))
            }
            None => {}
        }
    };
    frame.page(t.ask_why, &body)
}

fn form(t: &Texts, ms_id: &str, user_id: &str) -> Markup {
    html! {
        form.sentence action="why" {
            label.term.id-of {
                span { (t.ask_message) }
                input name="ms_id" value=(ms_id) required inputmode="numeric" autocomplete="off" data-search[ms_id.is_empty()];
            }
            label.term {
                span { (t.ask_person) }
                input name="user_id" value=(user_id) required autocomplete="off" data-search[!ms_id.is_empty()];
            }
            span.actions { button.primary type="submit" { (t.ask) } }
        }
    }
}

pub fn page(frame: &Frame<'_>, found: &Diagnosis) -> String {
    let t = frame.texts();
    // A finding of a newer release has no sentence here. Its facts are shown all the same.
    let finding = Finding::parse(&found.finding);
    let name = if found.user.name.is_empty() { &found.user.user_id } else { &found.user.name };
    let body = html! {
        h1.quiet { (t.ask_why) }
        @match finding {
            Some(finding) => {
                section class=(class(tone(finding))) data-finding=(found.finding) {
                    p.sentence-of { (sentence(frame.lang, finding, name)) }
                    p { strong { (t.to_do) } " " (advice(frame.lang, finding)) }
                }
            }
            None => { section.notice { p.sentence-of { code { (found.finding) } } } }
        }
        (quote(t, &found.message))
        p.facts {
            span { (person(&found.user.user_id, name)) }
            @if !found.user.active { span.chip { (t.inactive) } }
            @if let Some(status) = &found.status { (status_chip(t, status, found.verdict.as_deref())) }
            span { (t.channel) " " a href=(link("channel", &[("channel_id", &found.channel.channel_id)])) { (channel::title(t, &found.channel)) } }
            a href=(link("message", &[("ms_id", &found.message.ms_id)])) { (t.receivers_title) }
            button.small type="button" data-link hidden { (t.copy_link) }
        }
        h2 { (t.line) }
        (line(t, found))
        @if let Some(dead) = found.dead_letter.as_ref().filter(|_| finding == Some(Finding::DeadLetter)) {
            (replay::button(frame, &dead.dead_id, Pair { ms_id: &found.message.ms_id, user_id: &found.user.user_id }))
        }
        (form(t, &found.message.ms_id, &found.user.user_id))
        (frame.curl())
    };
    frame.page(t.ask_why, &body)
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "notice good",
        Tone::Open => "notice open",
        Tone::Bad => "notice bad",
        Tone::Neutral => "notice",
    }
}

/// One point of the line.
struct Point<'a> {
    /// `None`: it lasts, or has no time.
    at: Option<OffsetDateTime>,
    class: &'static str,
    what: &'a str,
    more: Markup,
}

fn line(t: &Texts, found: &Diagnosis) -> Markup {
    let points = points(t, found);
    let start = found.message.server_time;
    html! {
        ol.line {
            @for point in &points {
                li class=(point.class) {
                    div.when {
                        @if let Some(at) = point.at {
                            (moment(at))
                            @if at > start { span.soft { "+" (elapsed(at - start)) } }
                        }
                    }
                    div.what { strong { (point.what) } (point.more) }
                }
            }
        }
        @if found.waiting.is_none() && attempts(found).len() > 1 { p.soft { (t.span_note) } }
    }
}

fn points<'a>(t: &'a Texts, found: &Diagnosis) -> Vec<Point<'a>> {
    let sent = found.message.server_time;
    let mut points = vec![
        Point {
            at: Some(sent),
            class: "good",
            what: t.e_accepted,
            more: html! { p.soft { (t.e_accepted_note) } },
        },
        membership(t, found),
    ];
    points.extend(attempts(found).iter().map(|one| post(t, one)));
    if let Some(dead) = &found.dead_letter {
        let more = html! { p { (dead.reason) " " span.id { (dead.dead_id) } } };
        points.push(Point { at: Some(dead.dead_at), class: "bad", what: t.e_dead, more });
    }
    if let Some(waiting) = &found.waiting {
        let more = html! {
            @if let Some(due) = waiting.due_at { p { (t.e_next) " " (moment(due)) } }
        };
        points.push(Point { at: Some(waiting.queued_at), class: "open", what: t.e_waiting, more });
    }
    points.extend(outcome(t, found));
    if found.archived {
        let more = html! { p.soft { (t.e_archived_note) } };
        points.push(Point { at: None, class: "", what: t.e_archived, more });
    }
    points
}

/// The POSTs that could bring the message to this user: none to a user who is no receiver.
fn attempts(found: &Diagnosis) -> &[Attempt] {
    if found.status.is_some() { &found.attempts } else { &[] }
}

fn membership<'a>(t: &'a Texts, found: &Diagnosis) -> Point<'a> {
    let is_receiver = found.status.is_some();
    let span = |i: &Interval| {
        html! {
            div {
                (t.was_member) " #" (i.from_seq) " – " @match i.to_seq { Some(to) => { "#" (to) } None => { (t.now) } }
                ", " (t.joined) " " (moment(i.joined_at))
            }
        }
    };
    let more = html! {
        div.soft {
            div { (t.message) " #" (found.message.seq) }
            @for i in &found.intervals { (span(i)) }
        }
    };
    let (class, what) = if is_receiver { ("good", t.e_member) } else { ("", t.e_no_member) };
    Point { at: None, class, what, more }
}

fn post<'a>(t: &'a Texts, one: &Attempt) -> Point<'a> {
    let class = if one.error.is_none() { "good" } else { "bad" };
    let more = html! {
        p {
            @match one.http_status { Some(status) => { code { (status) } } None => { code { (t.no_answer) } } }
            " " (elapsed(Duration::milliseconds(one.duration_ms)))
            " " span.soft { (t.e_batch) " " (one.received) "/" (one.pairs) }
            @if let Some(error) = &one.error { " " span.error { (error) } }
        }
        @if let Some(answer) = one.answer.as_deref().filter(|answer| !answer.is_empty()) {
            details { summary { (t.answer) } pre tabindex="0" { code { (answer) } } }
        }
        p.id { (one.batch_id) }
    };
    Point { at: Some(one.attempted_at), class, what: t.e_post, more }
}

/// What became of it.
fn outcome<'a>(t: &'a Texts, found: &Diagnosis) -> Option<Point<'a>> {
    let at = found.last_modified_time;
    let (class, what) = match (found.status.as_deref()?, found.verdict.as_deref()) {
        ("read", _) => ("good", t.e_read),
        ("received", _) => ("good", t.e_received),
        (_, Some("offline")) => ("open", t.e_offline),
        (_, Some("rejected")) => ("bad", t.e_rejected),
        _ => return None,
    };
    let more = html! { @if let Some(reason) = &found.verdict_reason { p { (reason) } } };
    Some(Point { at, class, what, more })
}
