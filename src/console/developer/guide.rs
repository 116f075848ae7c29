//! What an endpoint gets, and how it verifies that the service has sent it.

use std::collections::BTreeMap;

use maud::html;
use serde_json::Value;

use super::Shell;
use super::endpoint::pretty;
use crate::console::frame::marked;
use crate::console::lang::Lang;

/// The guides for portals, whose samples the tests run.
const GUIDE: &str = include_str!("../../../docs/portals.md");
const GUIDE_ZH: &str = include_str!("../../../docs/zh/portals.md");
/// Where the samples stand in each.
const HEADING: &str = "\n### Verify a callback\n";
const HEADING_ZH: &str = "\n### 验签\n";
/// Languages of the samples: how the guide marks them, and their names.
const LANGUAGES: [(&str, &str); 3] = [("python", "Python"), ("js", "JavaScript"), ("java", "Java")];

/// An event of the contract.
#[derive(Debug)]
pub struct Example {
    pub description: String,
    pub event: Value,
}

/// The events that these choices of an endpoint take, by their type, and the test.
pub fn catalogue(shell: &Shell<'_>, choices: &[String], known: &BTreeMap<String, Example>) -> String {
    let t = shell.texts();
    let takes = |name: &str| {
        let family = format!("{}.*", name.split('.').next().unwrap_or_default());
        name == "callback.test" || choices.iter().any(|choice| choice == name || *choice == family)
    };
    let body = html! {
        h1 { (t.c_title) }
        p.soft { (t.c_lead) }
        @for (name, example) in known.iter().filter(|(name, _)| takes(name)) {
            section.card.below data-event=(name) {
                h2 { code { (name) } }
                // The contract is in English.
                p lang="en" { (marked(&example.description)) }
                pre tabindex="0" { code { (pretty(&example.event)) } }
            }
        }
    };
    shell.page(t.c_title, &body)
}

/// How to verify a signature, in three languages.
pub fn verify(shell: &Shell<'_>) -> String {
    let t = shell.texts();
    let body = html! {
        h1 { (t.v_title) }
        p { (t.v_lead) }
        @for (mark, name) in LANGUAGES {
            section data-language=(mark) {
                h2 { (name) }
                pre tabindex="0" { code { (sample(shell.lang, mark)) } }
                button type="button" data-copy hidden { (t.copy) }
            }
        }
    };
    shell.page(t.v_title, &body)
}

/// The first sample of a language below the heading of the guide.
fn sample(lang: Lang, mark: &str) -> &'static str {
    let (guide, heading) = match lang {
        Lang::En => (GUIDE, HEADING),
        Lang::Zh => (GUIDE_ZH, HEADING_ZH),
    };
    let below = guide.split_once(heading).map_or("", |(_, below)| below);
    let from = below.split_once(&format!("\n```{mark}\n")).map_or("", |(_, from)| from);
    from.split_once("\n```").map_or("", |(sample, _)| sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_have_a_sample_in_each_language() {
        for lang in [Lang::En, Lang::Zh] {
            for (mark, wanted) in
                [("python", "Webhook(secret)"), ("js", "new Webhook"), ("java", "HmacSHA256")]
            {
                assert!(sample(lang, mark).contains(wanted), "{lang:?} {mark}");
            }
        }
    }
}
