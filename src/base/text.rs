//! What a reader sees of a text. All names, reasons and messages use one rule: a text of invisible characters
//! is empty.

use std::fmt::Write;

use icu_casemap::CaseMapper;
use icu_properties::CodePointSetData;
use icu_properties::props::{DefaultIgnorableCodePoint, WhiteSpace};
use unicode_normalization::UnicodeNormalization;

/// Whether `text` shows nothing: it is empty or has only blanks, control characters and characters that
/// Unicode does not display (U+200B, U+3164, variation selectors and more).
pub fn is_blank(text: &str) -> bool {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let blank = CodePointSetData::new::<WhiteSpace>();
    text.chars().all(|c| {
        // The empty Braille pattern and interlinear annotation marks. Unicode lists them in neither set.
        let empty = matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffb}');
        empty || c.is_control() || blank.contains(c) || ignorable.contains(c)
    })
}

/// Whether `text` has directional embeddings, overrides or isolates (U+202A to U+202E, U+2066 to U+2069).
/// With them, `invoice_<U+202E>fdp.exe` looks like a PDF. The marks that right-to-left names need (U+061C,
/// U+200E, U+200F) are allowed.
pub fn overrides_direction(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// Whether `text` can be a name, a title or a reason: one line of 1 to `most_chars` characters, visible and
/// shown in the order in which they are written.
pub fn is_label(text: &str, most_chars: usize) -> bool {
    let one_line = !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    one_line && text.chars().count() <= most_chars && !is_blank(text) && !overrides_direction(text)
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// `text` without case. Two names, addresses or logins that fold to the same text are the same. It uses full
/// Unicode case folding under canonical equivalence (The Unicode Standard, D145), independent of locale.
pub fn fold(text: &str) -> String {
    let decomposed: String = text.nfd().collect();
    CaseMapper::new().fold_string(&decomposed).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        let nothing = [
            "",
            " ",
            "\t\n",
            "\u{a0}",
            "\u{3000}",
            "\u{200b}",
            "\u{feff}",
            "\u{2060}",
            "\u{ad}",
            "\u{34f}",
            "\u{115f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{180e}",
            "\u{2800}",
            "\u{fe0f}",
            "\u{202e}",
            "\u{e0041}",
            "\u{1d173}",
            "\u{fffa}",
            "\u{85}",
            " \u{200b}\u{3000}\u{2063} ",
        ];
        for text in nothing {
            assert!(is_blank(text) && !is_label(text, 10), "{text:?}");
        }
        for text in ["a", "。", "\u{200b}张", "👩\u{200d}🚀", "\u{301}", "\u{fffd}", "0"] {
            assert!(!is_blank(text) && is_label(text, 10), "{text:?}");
        }
    }

    #[test]
    fn a_label_is_one_line_in_the_order_it_is_written() {
        for turned in ["invoice_\u{202e}fdp.exe", "a\u{202a}b", "a\u{2066}b", "a\u{2069}"] {
            assert!(overrides_direction(turned) && !is_label(turned, 50), "{turned:?}");
        }
        for text in ["שלום\u{200f}!", "a\u{200e}b", "علی\u{61c}", "می\u{200c}خواهم"] {
            assert!(!overrides_direction(text) && is_label(text, 50), "{text:?}");
        }
        for lines in ["a\nb", "a\u{2028}b", "a\u{0}", "a\u{85}b"] {
            assert!(!is_label(lines, 50), "{lines:?}");
        }
        assert!(is_label(&"长".repeat(50), 50) && !is_label(&"长".repeat(51), 50));
    }

    #[test]
    fn what_differs_by_case_alone_is_one() {
        for (one, other) in [
            ("MÜLLER@corp.example", "müller@corp.example"),
            ("MU\u{308}LLER", "müller"),
            ("Ärzte", "äRZTE"),
            ("STRASSE", "straße"),
            ("İ", "i\u{307}"),
            ("ΣΟΦΟΣ", "σοφος"),
            ("Ⅷ", "ⅷ"),
            ("ǅ", "ǆ"),
            ("I", "i"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
            assert_eq!(fold(&fold(one)), fold(one), "{one}");
        }
        for (one, other) in [("İ", "i"), ("ı", "i"), ("müller", "muller"), ("张三", "張三"), ("①", "1")]
        {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }
}
