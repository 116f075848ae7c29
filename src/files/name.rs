//! The name of a file: cleaned of folders, and refused if it disguises what it is.

use crate::base::error::{Error, Result};
use crate::base::text::is_label;

const MOST_CHARS: usize = 255;

/// The name without folders. `C:\fakepath\a.pdf` and `../a.pdf` become `a.pdf`.
///
/// # Errors
/// Names that are empty, too long, of several lines, invisible or turned around. `at` is the parameter.
pub fn clean(name: &str, at: &'static str) -> Result<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if is_label(last, MOST_CHARS) && ![".", ".."].contains(&last) {
        return Ok(last.to_owned());
    }
    Err(Error::parameter(
        at,
        "the name of the file must be one line of 1 to 255 characters, at least one of them visible, without control \
         characters and without directional marks (U+202A to U+202E, U+2066 to U+2069)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_and_disguises_are_refused() {
        for (name, kept) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\fakepath\\合同.docx", "合同.docx"),
            (" a b.txt ", "a b.txt"),
            ("...", "..."),
            (".profile", ".profile"),
        ] {
            assert_eq!(clean(name, "name").unwrap(), kept, "{name}");
        }
        let long = "长".repeat(256);
        for name in [
            "",
            "..",
            ".",
            "a/",
            "a/..",
            "\\",
            "invoice_\u{202e}fdp.exe",
            "a\nb",
            "a\0b",
            "\u{200b}",
            "\u{85}",
            &long,
        ] {
            assert!(clean(name, "name").is_err(), "{name:?}");
        }
    }
}
