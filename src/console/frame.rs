//! What every page has: the head, the bar, the case, the times and the links.

use maud::{DOCTYPE, Markup, html};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::form_urlencoded::Serializer;

use super::lang::Lang;
use super::texts::Texts;
use crate::identity::{Role, Roles};

/// The parts of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Search,
    Delivery,
    People,
    /// What a caller with the role `directory` sees of the operations, who is no administrator.
    Directory,
    Operations,
    /// A page that belongs to none of them.
    None,
}

impl Part {
    /// Whether the caller of a page sees the part.
    fn is_for(self, frame: &Frame<'_>) -> bool {
        match self {
            Self::Search | Self::Delivery | Self::People => frame.roles.has(Role::Support),
            Self::Directory => frame.roles.has(Role::Directory) && !frame.operates(),
            Self::Operations => frame.operates(),
            Self::None => false,
        }
    }

    /// Whether its pages can load themselves again.
    fn is_live(self) -> bool {
        matches!(self, Self::Directory | Self::Operations)
    }
}

/// Who looks at which page, and why.
#[derive(Debug)]
pub struct Frame<'a> {
    pub lang: Lang,
    pub part: Part,
    /// `None`: the caller is not known.
    pub caller: Option<&'a str>,
    /// The roles of the caller. They decide which pages the bar names.
    pub roles: Roles,
    /// Whether the caller has signed in to the console itself, and so can sign out.
    pub signs_out: bool,
    /// The reason of the case. `None`: there is none yet.
    pub reason: Option<&'a str>,
    /// The page and its parameters, relative to the console, without the language.
    pub here: &'a str,
    /// What a form sends back, so that other sites cannot send it.
    pub token: &'a str,
    /// The calls of the API that the page was made from: paths with their parameters.
    pub calls: &'a [String],
}

impl Frame<'_> {
    pub const fn texts(&self) -> &'static Texts {
        self.lang.texts()
    }

    /// Whether the caller may see the pages of operators.
    pub fn operates(&self) -> bool {
        self.roles.has(Role::Admin)
    }

    /// Whether the caller has a role for any page.
    pub fn sees_pages(&self) -> bool {
        self.roles.has(Role::Support) || self.roles.has(Role::Directory)
    }

    /// The whole page.
    pub fn page(&self, title: &str, body: &Markup) -> String {
        let t = self.texts();
        let body = html! {
            (self.bar())
            main #main tabindex="-1" { (body) }
            footer {
                span.utc data-zone=(t.times_of) { (t.times_utc) }
                @if self.reason.is_some() { span { (t.audited) } }
            }
            (self.keys())
        };
        document(self.lang, (title, t.console), &body)
    }

    fn bar(&self) -> Markup {
        let t = self.texts();
        let parts = [
            (Part::Search, "search", t.search),
            (Part::Delivery, "why", t.delivery),
            (Part::People, "people", t.people),
            (Part::Directory, "runs", self.lang.upkeep().directory),
            (Part::Operations, "home", t.operations),
        ];
        html! {
            header.bar {
                a.brand href=(first_page(self.roles)) { span.mark aria-hidden="true" {} (t.console) }
                @if self.caller.is_some() {
                    nav aria-label=(t.console) {
                        @for (part, page, name) in parts.into_iter().filter(|(part, ..)| part.is_for(self)) {
                            a href=(page) aria-current=[(part == self.part).then_some("page")] { (name) }
                        }
                    }
                }
                div.side {
                    @if self.part.is_live() { (self.live()) }
                    @if let Some(reason) = self.reason { (self.case(reason)) }
                    @if let Some(caller) = self.caller {
                        span.who title=(t.signed_in) { (caller) }
                    }
                    @if self.signs_out { (self.leave()) }
                    a.lang href=(self.in_other_language()) lang=(self.lang.other().tag())
                        hreflang=(self.lang.other().tag()) { (t.language) }
                    button.keys type="button" data-help hidden aria-label=(t.help) title=(t.help) { "?" }
                }
            }
        }
    }

    fn leave(&self) -> Markup {
        html! {
            form.leave method="post" action="sign-out" {
                (self.secret(""))
                button.small type="submit" { (self.lang.sign_in().leave) }
            }
        }
    }

    /// How a page that loads itself again does so. The script shows it on such a page.
    fn live(&self) -> Markup {
        let o = self.lang.operations();
        html! {
            div.live hidden data-live-bar data-on=(o.live) data-paused=(o.live_paused) data-failed=(o.live_failed)
                data-waits=(o.live_waits) data-pause=(o.live_pause) data-resume=(o.live_resume) {
                span.state role="status" {}
                button.small type="button" { (o.live_pause) }
            }
        }
    }

    fn case(&self, reason: &str) -> Markup {
        let t = self.texts();
        html! {
            form.case method="post" action="case" {
                (self.secret("search"))
                span.label { (t.case) }
                span.reason title=(reason) { (reason) }
                button type="submit" name="end" value="1" title=(t.case_end) aria-label=(t.case_end) { "×" }
            }
        }
    }

    /// The hidden fields of a form that changes something. `next` is the page that follows.
    pub fn secret(&self, next: &str) -> Markup {
        html! {
            input type="hidden" name="token" value=(self.token);
            input type="hidden" name="next" value=(next);
        }
    }

    /// The page that asks for the reason of the case.
    pub fn ask_reason(&self) -> String {
        let t = self.texts();
        let body = html! {
            section.card.narrow {
                h1 { (t.case_title) }
                p { (t.case_why) }
                form.stack method="post" action="case" {
                    (self.secret(self.here))
                    label for="reason" { (t.case_label) }
                    input #reason name="reason" required maxlength="500" autocomplete="off" autofocus;
                    button.primary type="submit" { (t.case_begin) }
                }
                p.soft { (t.case_length) }
            }
        };
        self.page(t.case_title, &body)
    }

    fn in_other_language(&self) -> String {
        let glue = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{glue}lang={}", self.here, self.lang.other().code())
    }

    fn keys(&self) -> Markup {
        let t = self.texts();
        html! {
            dialog #keys aria-label=(t.help) {
                h2 { (t.help) }
                dl {
                    dt { kbd { "/" } } dd { (t.help_search) }
                    dt { kbd { "j" } " " kbd { "k" } } dd { (t.help_move) }
                    dt { kbd { "Enter" } } dd { (t.help_open) }
                    @if self.part.is_live() { dt { kbd { "p" } } dd { (self.lang.operations().help_pause) } }
                    dt { kbd { "Esc" } } dd { (t.help_close) }
                }
                form method="dialog" { button { (t.help_close) } }
            }
        }
    }

    /// The calls of this page for a command line.
    pub fn curl(&self) -> Markup {
        let t = self.texts();
        let note = if self.part.is_live() { self.lang.operations().curl_note } else { t.curl_note };
        let line = |call: &String| format!("curl -H \"Authorization: Bearer $TOKEN\" \"$API{call}\"");
        let lines: Vec<String> = self.calls.iter().map(line).collect();
        html! {
            @if !lines.is_empty() {
                details.curl {
                    summary { (t.curl) }
                    p.soft { (note) }
                    pre tabindex="0" { code { (lines.join("\n")) } }
                    button type="button" data-copy hidden { (t.copy) }
                }
            }
        }
    }

    /// The link to the next page of a list.
    pub fn more(&self, page: &str, params: &[(&str, &str)], cursor: Option<&str>) -> Markup {
        let with = |cursor: &str| {
            let mut params = params.to_vec();
            params.push(("cursor", cursor));
            link(page, &params)
        };
        html! {
            @if let Some(cursor) = cursor {
                p.more { a.button href=(with(cursor)) rel="next" { (self.texts().more) } }
            }
        }
    }
}

/// The page that a caller with these roles begins with.
pub fn first_page(roles: Roles) -> &'static str {
    match () {
        () if roles.has(Role::Admin) => "home",
        () if roles.has(Role::Directory) && !roles.has(Role::Support) => "runs",
        () => "search",
    }
}

/// The document around a page: its title, and the name of the site.
pub fn document(lang: Lang, (title, site): (&str, &str), body: &Markup) -> String {
    let t = lang.texts();
    html! {
        (DOCTYPE)
        html lang=(lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · " (site) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="console.css";
                script src="console.js" defer {}
            }
            body data-copied=(t.copied) {
                a.skip href="#main" { (t.skip) }
                (body)
            }
        }
    }
    .into_string()
}

/// The address of a page of the console. Every address is relative, so that the console works below any path.
pub fn link(page: &str, params: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    let given = params.iter().filter(|(_, value)| !value.is_empty());
    given.for_each(|(name, value)| {
        query.append_pair(name, value);
    });
    let query = query.finish();
    if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
}

/// The beginning of a text, for a page that shows many.
pub fn beginning(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A moment. Without the script it is UTC; with it, of the reader's zone.
pub fn moment(at: OffsetDateTime) -> Markup {
    let exact = at.format(&Rfc3339).unwrap_or_default();
    let (date, time) = (at.date(), at.time());
    let shown = format!("{date} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    html! { time datetime=(exact) title=(exact) { (shown) } }
}

/// Text of a document with its `code`.
pub fn marked(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// How long something took, in two units at most. They are the same in both languages.
pub fn elapsed(took: Duration) -> String {
    let ms = took.whole_milliseconds().max(0);
    let (s, m, h, d) = (ms / 1_000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match () {
        () if s < 1 => format!("{ms} ms"),
        () if m < 1 => format!("{}.{} s", s, ms % 1_000 / 100),
        () if h < 1 => format!("{m} min {} s", s % 60),
        () if d < 1 => format!("{h} h {} min", m % 60),
        () => format!("{d} d {} h", h % 24),
    }
}

/// A name with its id, which links to the person.
pub fn person(user_id: &str, name: &str) -> Markup {
    html! {
        a.person href=(link("person", &[("user_id", user_id)])) {
            @if name.is_empty() { (user_id) } @else { (name) }
        }
        @if !name.is_empty() && name != user_id { " " span.id { (user_id) } }
    }
}

/// The kind of a user in words.
pub fn kind_name<'a>(t: &'a Texts, kind: &'a str) -> &'a str {
    match kind {
        "external" => t.k_external,
        "application" => t.k_application,
        "robot" => t.k_robot,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_only_what_is_given() {
        assert_eq!(link("search", &[("q", ""), ("sender", "")]), "search");
        assert_eq!(
            link("search", &[("q", "报告 & <b>"), ("type", "")]),
            "search?q=%E6%8A%A5%E5%91%8A+%26+%3Cb%3E"
        );
    }

    #[test]
    fn a_time_has_two_units_at_most() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
            (-5, "0 ms"),
        ] {
            assert_eq!(elapsed(Duration::milliseconds(ms)), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(beginning("网关没有应答", 2), "网关…");
        assert_eq!(beginning("网关", 2), "网关");
    }

    #[test]
    fn a_name_is_shown_as_text() {
        let shown = person("x\"><script>", "<script>alert(1)</script>").into_string();
        assert!(!shown.contains("<script>"), "{shown}");
    }
}
