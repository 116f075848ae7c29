//! The pages that a link opens, for the developer of one endpoint: nothing of the console is around them.

pub mod answers;
pub mod endpoint;
pub mod failed;
pub mod guide;

use maud::{Markup, html};
use time::OffsetDateTime;

use super::answers::Problem;
use super::frame::{document, moment};
use super::lang::Lang;
use super::problem::FOREIGN_FORM;
use super::texts::{DeveloperTexts, Texts};

/// The pages, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Endpoint,
    Failed,
    Catalogue,
    Verify,
    /// A page outside: the link is not opened yet, or does not open.
    Outside,
}

/// What every page has.
#[derive(Debug)]
pub struct Shell<'a> {
    pub lang: Lang,
    pub tab: Tab,
    /// The page and its parameters, without the language.
    pub here: &'a str,
    /// What a form sends back, so that other sites cannot send it.
    pub token: &'a str,
    /// When the link ends. `None`: it is not opened.
    pub ends_at: Option<OffsetDateTime>,
}

impl Shell<'_> {
    pub const fn texts(&self) -> &'static DeveloperTexts {
        self.lang.developer()
    }

    /// Texts of the whole console.
    pub const fn common(&self) -> &'static Texts {
        self.lang.texts()
    }

    /// The hidden field of a form.
    pub fn secret(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }

    /// The whole page. Every address is relative, so that it works below any path of the gateway.
    pub fn page(&self, title: &str, body: &Markup) -> String {
        let common = self.common();
        let body = html! {
            (self.bar())
            main #main tabindex="-1" { (body) }
            footer { span.utc data-zone=(common.times_of) { (common.times_utc) } }
        };
        document(self.lang, (title, self.texts().title), &body)
    }

    fn bar(&self) -> Markup {
        let t = self.texts();
        let tabs = [
            (Tab::Endpoint, "endpoint", t.t_endpoint),
            (Tab::Failed, "failed", t.t_failed),
            (Tab::Catalogue, "catalogue", t.t_catalogue),
            (Tab::Verify, "verify", t.t_verify),
        ];
        let glue = if self.here.contains('?') { '&' } else { '?' };
        let other = self.lang.other();
        html! {
            header.bar {
                span.brand { span.mark aria-hidden="true" {} (t.title) }
                @if self.ends_at.is_some() {
                    nav aria-label=(t.nav) {
                        @for (tab, page, name) in tabs {
                            a href=(page) aria-current=[(tab == self.tab).then_some("page")] { (name) }
                        }
                    }
                }
                div.side {
                    @if let Some(ends_at) = self.ends_at { span { (t.ends) " " (moment(ends_at)) } }
                    a.lang href=(format!("{}{glue}lang={}", self.here, other.code())) lang=(other.tag())
                        hreflang=(other.tag()) { (self.common().language) }
                    @if self.ends_at.is_some() {
                        form.leave method="post" action="leave" {
                            (self.secret())
                            button.small type="submit" { (t.leave) }
                        }
                    }
                }
            }
        }
    }

    /// The page that takes the secret of a link. The script moves it from the address into the form; a person sends it.
    pub fn open_page(&self) -> String {
        let t = self.texts();
        let body = html! {
            section.card.narrow {
                h1 { (t.open_title) }
                p { (t.open_lead) }
                form.stack method="post" action="open" {
                    (self.secret())
                    label for="key" { (t.open_key) }
                    input #key name="key" type="password" required autocomplete="off" maxlength="128" data-key;
                    button.primary type="submit" { (t.open_go) }
                }
                p.soft { (t.open_note) }
            }
        };
        self.page(t.open_title, &body)
    }

    /// What went wrong, and what to do.
    pub fn problem_page(&self, problem: &Problem) -> String {
        let (title, advice) = words(self.texts(), problem);
        let body = html! {
            section.card.narrow role="alert" {
                p.status-of { (problem.status) }
                h1 { (title) }
                p { (advice) }
                @if !problem.detail.is_empty() {
                    p.soft { @if !problem.pointer.is_empty() { code { (problem.pointer) } " " } (problem.detail) }
                }
                @if !problem.request_id.is_empty() { p.id { (self.common().request_id) " " (problem.request_id) } }
                @if self.ends_at.is_some() { p { a.button href="endpoint" { (self.texts().back) } } }
            }
        };
        self.page(title, &body)
    }
}

fn words(t: &DeveloperTexts, problem: &Problem) -> (&'static str, &'static str) {
    match (problem.status, problem.slug()) {
        (_, FOREIGN_FORM) => (t.p_form, t.p_form_do),
        (401, _) => (t.p_401, t.p_401_do),
        (403, _) => (t.p_403, t.p_403_do),
        (404, _) => (t.p_404, t.p_404_do),
        (409, _) => (t.p_409, t.p_409_do),
        (429, _) => (t.p_429, t.p_429_do),
        (503, _) => (t.p_503, t.p_503_do),
        (400..=499, _) => (t.p_400, t.p_400_do),
        _ => (t.p_500, t.p_500_do),
    }
}
