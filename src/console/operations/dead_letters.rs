//! Dead letters: by endpoint, one with its attempts, and the replay from its preview to what came of it.

use maud::{Markup, html};

use super::answers::{Callback, DeadLetter, DeadLetterDetail, Delivery, Replayed};
use super::endpoint::table;
use super::endpoints::chips;
use super::{Tab, count, number, page};
use crate::console::answers::Page;
use crate::console::frame::{Frame, link, moment};
use crate::console::texts::OperationsTexts;

/// The conditions of the list, as they stand in the address.
#[derive(Debug, Default)]
pub struct Filter {
    pub callback_id: String,
    pub reason: String,
    /// Times in UTC, with or without seconds.
    pub since: String,
    pub until: String,
}

impl Filter {
    pub fn of(param: impl Fn(&str) -> String) -> Self {
        let word = |name: &str| param(name).trim().to_owned();
        Self {
            callback_id: word("callback_id"),
            reason: word("reason"),
            since: word("since"),
            until: word("until"),
        }
    }

    /// The conditions as the API takes them.
    pub fn params(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("reason", self.reason.clone()),
            ("since", instant(&self.since)),
            ("until", instant(&self.until)),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The address of a page with these conditions and more.
    pub fn link(&self, more: &[(&str, &str)]) -> String {
        let mut params: Vec<(&str, &str)> = vec![
            ("callback_id", &self.callback_id),
            ("reason", &self.reason),
            ("since", &self.since),
            ("until", &self.until),
        ];
        params.extend(more);
        link("dead-letters", &params)
    }

    fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.since.is_empty() && self.until.is_empty()
    }
}

/// The time of a field: a day, or a day and a time, in UTC. Anything else stays as it is, and the API says what is wrong.
fn instant(text: &str) -> String {
    match (text.len(), text.as_bytes().get(10)) {
        (10, _) => format!("{text}T00:00:00Z"),
        (16, Some(b'T')) => format!("{text}:00Z"),
        (19, Some(b'T')) => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

/// All endpoints with their dead letters: the choice of one.
pub fn choose(frame: &Frame<'_>, callbacks: &[Callback]) -> String {
    let o = frame.lang.operations();
    let with: Vec<&Callback> = callbacks.iter().filter(|callback| callback.dead_letters > 0).collect();
    let body = html! {
        div data-live {
            h1 { (o.dead_letters) }
            p.soft { (o.dead_lead) }
            @if with.is_empty() { p.notice.good { (o.no_dead) } }
            @else {
                ul.rows {
                    @for callback in with {
                        @let letters = link("dead-letters", &[("callback_id", &callback.callback_id)]);
                        li.row data-row data-key=(callback.callback_id) {
                            div.head {
                                a href=(letters) data-open { strong { (callback.name()) } }
                                span { (count(o, callback.dead_letters, callback.counts_estimated)) " " (o.dead_letters_of(callback.dead_letters)) }
                                (chips(o, callback))
                            }
                        }
                    }
                }
            }
        }
    };
    page(frame, Tab::DeadLetters, o.dead_letters, &body)
}

/// What a replay has put into the queue, and the attempts since then.
pub struct After<'a> {
    pub replayed: i64,
    pub pairs: i64,
    pub attempts: &'a [Delivery],
}

/// The dead letters of an endpoint.
pub struct Shown<'a> {
    pub callback: &'a Callback,
    pub filter: &'a Filter,
    pub letters: &'a Page<DeadLetter>,
    pub after: Option<After<'a>>,
}

pub fn list(frame: &Frame<'_>, shown: &Shown<'_>) -> String {
    let o = frame.lang.operations();
    let Shown { callback, filter, letters, after } = shown;
    let body = html! {
        div data-live {
            h1 { (o.dead_letters) ": " a href=(link("endpoint", &[("callback_id", &callback.callback_id)])) { (callback.name()) } }
            p.facts {
                (chips(o, callback))
                span { (count(o, callback.dead_letters, callback.counts_estimated)) " " (o.dead_letters_of(callback.dead_letters)) }
                a href="dead-letters" { (o.all_endpoints) }
            }
            @if let Some(after) = after { (outcome(o, callback, after)) }
            (conditions(o, filter))
            @if letters.items.is_empty() {
                div.empty { p { strong { (if filter.is_empty() { o.no_dead } else { o.no_dead_match }) } }
                    p { (if filter.is_empty() { o.no_dead_here } else { o.no_dead_do }) } }
            } @else {
                p.tools { a.button.primary href=(filter.link(&[("view", "replay")])) { (o.replay_matching) } }
                (rows(o, filter, &letters.items))
                @if let Some(cursor) = &letters.next_cursor {
                    p.more { a.button href=(filter.link(&[("cursor", cursor)])) rel="next" { (o.more) } }
                }
            }
        }
    };
    page(frame, Tab::DeadLetters, o.dead_letters, &body)
}

fn outcome(o: &OperationsTexts, callback: &Callback, after: &After<'_>) -> Markup {
    html! {
        section.notice.good data-replayed=(after.replayed) {
            p.sentence-of { (o.replayed) }
            p { (number(after.replayed)) " " (o.dead_letters_of(after.replayed)) ", " (number(after.pairs)) " " (o.pairs_of(after.pairs)) }
            p aria-live="polite" {
                (o.waiting) ": " (count(o, callback.waiting_pairs, callback.counts_estimated))
                @if callback.state != "active" { " · " strong { (o.still_paused) } }
            }
            h2 { (o.since_replay) }
            (table(o, after.attempts))
        }
    }
}

fn conditions(o: &OperationsTexts, filter: &Filter) -> Markup {
    html! {
        form.sentence action="dead-letters" {
            input type="hidden" name="callback_id" value=(filter.callback_id);
            label.term.words {
                span { (o.reason_begins) }
                input name="reason" value=(filter.reason) maxlength="500" autocomplete="off" data-search;
            }
            label.term.date { span { (o.dead_since) } input type="datetime-local" step="1" name="since" value=(filter.since); }
            label.term.date { span { (o.dead_until) } input type="datetime-local" step="1" name="until" value=(filter.until); }
            span.actions {
                @if !filter.is_empty() { a.button href=(link("dead-letters", &[("callback_id", &filter.callback_id)])) { (o.clear) } }
                button.primary type="submit" { (o.show) }
            }
        }
    }
}

fn rows(o: &OperationsTexts, filter: &Filter, letters: &[DeadLetter]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { (o.dead_id) } th scope="col" { (o.dead_at) } th scope="col" { (o.holds) }
                    th.figures scope="col" { (o.sent_pairs) } th scope="col" { (o.reason) } td {}
                } }
                tbody {
                    @for letter in letters {
                        @let same = Filter { callback_id: filter.callback_id.clone(), reason: letter.reason.clone(), ..Filter::default() };
                        tr data-row data-key=(letter.dead_id) {
                            td.id { (letter.dead_id) }
                            td { (moment(letter.dead_at)) }
                            td { (holds(o, letter)) }
                            td.figures { (number(letter.pairs)) }
                            td.reason { a href=(same.link(&[])) title=(o.same_reason) { (letter.reason) } }
                            td.end { a href=(of_letter(filter, &letter.dead_id, &[])) data-open { (o.open) } }
                        }
                    }
                }
            }
        }
    }
}

fn of_letter(filter: &Filter, dead_id: &str, more: &[(&str, &str)]) -> String {
    let mut params = vec![("callback_id", filter.callback_id.as_str()), ("dead_id", dead_id)];
    params.extend(more);
    link("dead-letters", &params)
}

/// What it holds, without the items.
fn holds(o: &OperationsTexts, letter: &DeadLetter) -> Markup {
    html! {
        @match (&letter.event_ids, &letter.channel_id) {
            (Some(events), _) => { (number(events.len() as i64)) " " (o.events) }
            (None, Some(channel_id)) => { (o.messages_of) " " span.id { (channel_id) } }
            (None, None) => { (o.messages) }
        }
    }
}

/// One dead letter with its attempts. What it holds is shown when it is asked for.
pub fn one(frame: &Frame<'_>, callback: &Callback, found: &DeadLetterDetail, with_items: bool) -> String {
    let o = frame.lang.operations();
    let letter = &found.letter;
    let filter = Filter { callback_id: callback.callback_id.clone(), ..Filter::default() };
    let body = html! {
        div {
            h1 { (o.dead_letter) " " (letter.dead_id) }
            p.facts {
                a href=(filter.link(&[])) { (callback.name()) }
                (chips(o, callback))
            }
            dl.facts-of {
                div { dt { (o.dead_at) } dd { (moment(letter.dead_at)) } }
                div { dt { (o.reason) } dd { (letter.reason) } }
                div { dt { (o.holds) } dd { (holds(o, letter)) } }
                div { dt { (o.sent_pairs) } dd { (number(letter.pairs)) } }
            }
            p.tools {
                a.button.primary href=(of_letter(&filter, &letter.dead_id, &[("view", "replay")])) { (o.replay_this) }
            }
            section aria-labelledby="items" {
                h2 #items { (o.items) }
                @if with_items { (items(o, found)) }
                @else {
                    p { a.button href=(of_letter(&filter, &letter.dead_id, &[("items", "1")])) { (o.show_items) } }
                    p.soft { (o.items_note) }
                }
            }
            section aria-labelledby="attempts" {
                h2 #attempts { (o.its_attempts) }
                p.soft { (o.its_attempts_note) }
                (table(o, &found.attempts))
            }
        }
    };
    page(frame, Tab::DeadLetters, o.dead_letter, &body)
}

fn items(o: &OperationsTexts, found: &DeadLetterDetail) -> Markup {
    let letter = &found.letter;
    let message =
        |ms_id: &str| html! { a href=(link("message", &[("ms_id", ms_id)])) { span.id { (ms_id) } } };
    html! {
        dl.facts-of {
            @if let Some(ms_id) = &letter.from_ms_id { div { dt { (o.first_message) } dd { (message(ms_id)) } } }
            @if let Some(ms_id) = &letter.to_ms_id { div { dt { (o.last_message) } dd { (message(ms_id)) } } }
            @if let (Some(from), Some(to)) = (found.from_seq, found.to_seq) { div { dt { (o.seqs) } dd { (from) " – " (to) } } }
            @if letter.event_ids.is_none() {
                div { dt { (o.receivers) } dd {
                    @match &found.receivers { Some(receivers) => { (receivers.join(", ")) }, None => (o.all_receivers) }
                } }
            }
            @if let Some(events) = &letter.event_ids {
                div { dt { (o.events) } dd.id { (events.join(", ")) } }
                div { dt { (o.event_types) } dd { (found.event_types.join(", ")) } }
            }
        }
    }
}

/// What a replay would do, before it is done.
pub struct Preview<'a> {
    pub callback: &'a Callback,
    pub filter: &'a Filter,
    /// Only this one.
    pub dead_id: &'a str,
    /// The newest one that matches: later ones are not replayed.
    pub newest: &'a str,
    pub counted: &'a Replayed,
}

pub fn confirm(frame: &Frame<'_>, preview: &Preview<'_>) -> String {
    let o = frame.lang.operations();
    let Preview { callback, filter, dead_id, newest, counted } = preview;
    let back = if dead_id.is_empty() { filter.link(&[]) } else { of_letter(filter, dead_id, &[]) };
    let fields: [(&str, &str); 5] = [
        ("reason", filter.reason.as_str()),
        ("since", &filter.since),
        ("until", &filter.until),
        ("dead_id", dead_id),
        ("newest", newest),
    ];
    let body = html! {
        section.card.narrow {
            h1 { (o.replay_title) }
            p { (o.endpoint) ": " strong { (callback.name()) } " " (chips(o, callback)) }
            @if counted.replayed == 0 {
                p { strong { (o.nothing_to_replay) } }
                p.soft { (o.nothing_to_replay_do) }
                p { a.button href=(back) { (o.cancel) } }
            } @else {
                p.sentence-of data-count=(counted.replayed) {
                    (number(counted.replayed)) " " (o.dead_letters_of(counted.replayed)) ", " (number(counted.pairs)) " " (o.pairs_of(counted.pairs))
                }
                @for (name, value) in [(o.reason_begins, &filter.reason), (o.dead_since, &filter.since), (o.dead_until, &filter.until)] {
                    @if !value.is_empty() { p { (name) ": " code { (value) } } }
                }
                p { (o.replay_note) }
                @if callback.state != "active" { p.notice.open { (o.still_paused) } }
                form.stack method="post" action=(link("dead-letters", &[("callback_id", &filter.callback_id)])) {
                    (frame.secret("dead-letters"))
                    @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                    label for="per_second" { (o.per_second) }
                    input #per_second type="number" name="per_second" min="1" max="100000" inputmode="numeric";
                    div.row-of {
                        button.primary type="submit" { (o.replay) " " (number(counted.replayed)) }
                        a.button href=(back) { (o.cancel) }
                    }
                }
                p.soft { (o.replay_audited) }
            }
        }
    };
    page(frame, Tab::DeadLetters, o.replay_title, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_field_is_utc() {
        for (typed, sent) in [
            ("2026-11-30", "2026-11-30T00:00:00Z"),
            ("2026-11-30T08:15", "2026-11-30T08:15:00Z"),
            ("2026-11-30T08:15:30", "2026-11-30T08:15:30Z"),
            ("2026-11-30T08:15:30Z", "2026-11-30T08:15:30Z"),
            ("昨天", "昨天"),
            ("", ""),
        ] {
            assert_eq!(instant(typed), sent);
        }
    }

    #[test]
    fn the_address_has_every_condition() {
        let filter = Filter { callback_id: "gateway".into(), reason: "a & b".into(), ..Filter::default() };
        assert_eq!(
            filter.link(&[("view", "replay")]),
            "dead-letters?callback_id=gateway&reason=a+%26+b&view=replay"
        );
    }
}
