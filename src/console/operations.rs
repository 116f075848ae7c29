//! The pages of operators: their navigation, and what they share.

pub mod answers;
mod chart;
pub mod dead_letters;
pub mod endpoint;
pub mod endpoints;
pub mod home;
pub mod overview;
pub mod runbook;

use maud::{Markup, html};
use time::OffsetDateTime;

use super::frame::{Frame, elapsed};
use super::texts::OperationsTexts;

/// The pages of operators, as their navigation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Home,
    Overview,
    Endpoints,
    DeadLetters,
    Archive,
    Runs,
    Edits,
    Schedule,
    Replicas,
    /// A page that is in none of them.
    None,
}

impl Tab {
    /// Whether the caller of a page sees it.
    fn is_for(self, frame: &Frame<'_>) -> bool {
        frame.operates() || matches!(self, Self::Runs | Self::Edits)
    }
}

const fn tabs(o: &OperationsTexts) -> [(Tab, &'static str, &'static str); 9] {
    [
        (Tab::Home, "home", o.home),
        (Tab::Overview, "operations", o.overview),
        (Tab::Endpoints, "endpoints", o.endpoints),
        (Tab::DeadLetters, "dead-letters", o.dead_letters),
        (Tab::Archive, "archive", o.archive),
        (Tab::Runs, "runs", o.runs),
        (Tab::Edits, "edits", o.edits),
        (Tab::Schedule, "schedule", o.schedule),
        (Tab::Replicas, "replicas", o.replicas),
    ]
}

/// A page of operators. An element with `data-live` in its body makes the page load itself again while it is shown.
pub fn page(frame: &Frame<'_>, tab: Tab, title: &str, body: &Markup) -> String {
    let o = frame.lang.operations();
    let body = html! {
        nav.tabs.sub aria-label=(o.pages) {
            @for (of, page, name) in tabs(o).into_iter().filter(|(of, ..)| of.is_for(frame)) {
                a href=(page) aria-current=[(of == tab).then_some("page")] { (name) }
            }
        }
        (body)
        (frame.curl())
    };
    frame.page(title, &body)
}

/// A number with its digits in groups of three. It stays exact, however large it is.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("-{grouped}") } else { grouped }
}

/// A count, marked if it is an estimate.
fn count(o: &OperationsTexts, value: i64, estimated: bool) -> Markup {
    html! {
        @if estimated && value > 0 { abbr title=(o.estimate) { "≈" } " " }
        (number(value))
    }
}

/// How long ago a time was.
fn age(at: OffsetDateTime, now: OffsetDateTime) -> Markup {
    html! { (elapsed(now - at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_two_to_the_53_stays_exact() {
        for (value, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
            (9_007_199_254_740_993, "9,007,199,254,740,993"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(number(value), shown);
        }
    }
}
