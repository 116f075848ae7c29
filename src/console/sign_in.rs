//! The page that signs people in where they have accounts of this service.

use maud::{Markup, html};

use super::answers::Problem;
use super::frame::Frame;

/// Why a person sees the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The person came here without being sent.
    Asked,
    /// A page needs a sign-in.
    Needed,
    /// The session has ended.
    Ended,
    /// The person has signed out.
    Out,
}

impl Why {
    /// The value of the parameter `why`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Asked => "",
            Self::Needed => "needed",
            Self::Ended => "ended",
            Self::Out => "out",
        }
    }

    pub fn parse(text: &str) -> Self {
        let all = [Self::Needed, Self::Ended, Self::Out];
        all.into_iter().find(|why| why.code() == text).unwrap_or(Self::Asked)
    }
}

/// A sign-in that did not succeed.
#[derive(Debug)]
pub struct Refused {
    pub problem: Problem,
    /// When to try again.
    pub wait_s: Option<u64>,
}

/// What the page shows.
#[derive(Debug)]
pub struct Shown<'a> {
    pub why: Why,
    /// The page that follows, or nothing.
    pub next: &'a str,
    pub username: &'a str,
    pub refused: Option<&'a Refused>,
}

pub fn page(frame: &Frame<'_>, shown: &Shown<'_>) -> String {
    let t = frame.lang.sign_in();
    let is_again = !shown.username.is_empty();
    let body = html! {
        section.card.narrow {
            h1 { (t.title) }
            (notice(frame, shown))
            p.soft { (t.lead) }
            form.stack method="post" action="sign-in" {
                (frame.secret(shown.next))
                label for="username" { (t.username) }
                input #username name="username" required maxlength="64" autocomplete="username" autocapitalize="none"
                    spellcheck="false" value=(shown.username) autofocus[!is_again];
                label for="password" { (t.password) }
                input #password name="password" type="password" required autocomplete="current-password"
                    autofocus[is_again];
                button.primary type="submit" { (t.go) }
            }
        }
    };
    frame.page(t.title, &body)
}

fn notice(frame: &Frame<'_>, shown: &Shown<'_>) -> Markup {
    let t = frame.lang.sign_in();
    if let Some(refused) = shown.refused {
        return refusal(frame, refused);
    }
    let text = match shown.why {
        Why::Asked => return html! {},
        Why::Needed => t.needed,
        Why::Ended => t.ended,
        Why::Out => t.out,
    };
    html! { p.notice.open role="status" data-why=(shown.why.code()) { (text) } }
}

fn refusal(frame: &Frame<'_>, refused: &Refused) -> Markup {
    let t = frame.lang.sign_in();
    let problem = &refused.problem;
    // The detail of the first is said by its title. That of the others has what only the API knows.
    let (title, detail) = match (problem.status, problem.slug()) {
        (_, "wrong-credentials") => (t.wrong.to_owned(), ""),
        (_, "account-suspended") => (t.suspended.to_owned(), problem.detail.as_str()),
        (_, "already-online") => (t.elsewhere.to_owned(), ""),
        (429, _) => (t.often.replace("{}", &refused.wait_s.unwrap_or(1).to_string()), ""),
        (503, _) => (t.busy.to_owned(), ""),
        _ => (t.failed.to_owned(), problem.detail.as_str()),
    };
    html! {
        div.notice.bad role="alert" data-refused=(problem.slug()) {
            p { strong { (title) } }
            @if !detail.is_empty() { p { (detail) } }
        }
    }
}
