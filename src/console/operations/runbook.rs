//! A section of the runbooks, as the repository has it.

use maud::{Markup, html};

use super::{Tab, page};
use crate::console::frame::{Frame, marked};

const RUNBOOKS: &str = include_str!("../../../docs/runbooks.md");

/// The section of an alert, without its heading.
pub fn section(name: &str) -> Option<&'static str> {
    let mut sections = RUNBOOKS.split("\n## ").skip(1);
    let found = sections.find_map(|section| section.strip_prefix(name)?.strip_prefix('\n'));
    found.map(str::trim)
}

/// The page of a section. `None`: there is no such section.
pub fn show(frame: &Frame<'_>, name: &str) -> Option<String> {
    let o = frame.lang.operations();
    let section = section(name)?;
    let body = html! {
        h1 { (o.runbook) ": " (name) }
        p.soft { (o.runbook_lead) }
        div.runbook lang="en" { @for (is_code, text) in blocks(section) { (block(is_code, &text)) } }
    };
    Some(page(frame, Tab::None, o.runbook, &body))
}

/// Paragraphs, points and code, in their order.
fn blocks(section: &str) -> Vec<(bool, String)> {
    let mut blocks: Vec<(bool, String)> = Vec::new();
    let (mut is_code, mut begins) = (false, true);
    for line in section.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            begins = true;
        } else if !is_code && line.trim().is_empty() {
            begins = true;
        } else if begins || !is_code && line.starts_with("- ") {
            blocks.push((is_code, line.to_owned()));
            begins = false;
        } else if let Some((_, text)) = blocks.last_mut() {
            text.push(if is_code { '\n' } else { ' ' });
            text.push_str(if is_code { line } else { line.trim_start() });
        }
    }
    blocks
}

fn block(is_code: bool, text: &str) -> Markup {
    html! {
        @if is_code { pre tabindex="0" { code { (text) } } }
        @else if let Some(point) = text.strip_prefix("- ") { p.point { (marked(point)) } }
        @else { p { (marked(text)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_its_points_and_its_code() {
        let blocks = blocks(section("ImPushGatewayDeadLetters").expect("a section"));
        assert!(blocks.iter().any(|(is_code, text)| !is_code && text.starts_with("- Do: repair the cause")));
        assert!(blocks.iter().any(|(is_code, text)| *is_code && text.starts_with("SELECT callback_id")));
        assert_eq!(section("Nothing"), None);
        assert_eq!(section("ImPushGateway"), None, "a name is whole");
    }
}
