//! The CSV of an export (RFC 4180). A spreadsheet reads each field as text.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use unicode_normalization::UnicodeNormalization;

use crate::base::extra::{self, ALL, MENTIONS_ALL};
use crate::base::text::is_blank;
use crate::delivery::status::Status;
use crate::records::search::Hit;

/// Longest text that a spreadsheet accepts inside a formula.
const NUMBER_MAX_CHARS: usize = 255;
/// The byte order mark makes spreadsheets read the file as UTF-8.
pub const HEAD: &str = "\u{feff}ms_id,channel_id,seq,server_time,sender,sender_name,type,content,recalled_by,recalled_at,status,mentions\r\n";

/// One CSV line (RFC 4180).
pub fn line(hit: &Hit) -> String {
    let m = &hit.message;
    let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    let text = m
        .content
        .get("text")
        .and_then(Value::as_str)
        .filter(|_| m.content.as_object().is_some_and(|c| c.len() == 1));
    let content = text.map_or_else(|| m.content.to_string(), str::to_owned);
    let mentions: Vec<&str> =
        extra::mentioned(&m.extra).map(|user| if user == ALL { MENTIONS_ALL } else { user }).collect();
    let (recalled_by, recalled_at) =
        m.recalled.as_ref().map_or_else(Default::default, |r| (r.by.clone(), time(r.at)));
    let fields = [
        field(&m.ms_id.to_string()),
        field(&m.channel_id.to_string()),
        // Not quoted, so that a spreadsheet sorts it as a number.
        m.seq.to_string(),
        field(&time(m.server_time)),
        field(&m.sender),
        field(&m.sender_name),
        field(&m.ms_type),
        field(if m.recalled.is_some() { "" } else { &content }),
        field(&recalled_by),
        field(&recalled_at),
        field(hit.status.map(Status::as_str).unwrap_or_default()),
        // Ids have no commas.
        field(&mentions.join(",")),
    ];
    fields.join(",") + "\r\n"
}

/// A quoted field that a spreadsheet reads as text. Leading zeros stay, and nothing runs as a formula.
fn field(text: &str) -> String {
    let quoted = text.replace('"', "\"\"");
    if is_number_like(text) {
        return format!("\"=\"\"{quoted}\"\"\"");
    }
    format!("\"{}{quoted}\"", if is_formula_like(text) { "'" } else { "" })
}

/// Whether a spreadsheet would read the text as a number, a date or a time and reformat it.
fn is_number_like(text: &str) -> bool {
    let part_of_number = |c: char| c.is_ascii_digit() || ".,:/- eE%".contains(c);
    text.len() <= NUMBER_MAX_CHARS
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(part_of_number)
}

/// Whether the text begins like a formula after invisible characters, in any character width.
fn is_formula_like(text: &str) -> bool {
    let shown = text.trim_start_matches(|c: char| is_blank(c.encode_utf8(&mut [0; 4])));
    let begins = |c: char| c.nfkd().any(|c| "=+-@\u{2212}".contains(c));
    text.starts_with(['\t', '\r', '\n']) || shown.starts_with(begins)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stays_one_field_and_is_no_formula() {
        assert_eq!(field("a,b \"c\"\nd"), "\"a,b \"\"c\"\"\nd\"");
        assert_eq!(field("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        for formula in [
            "+1",
            "-1",
            "@SUM(1)",
            " =1",
            "\t=1",
            "\r=1",
            "\n=1",
            "\u{a0}=1",
            "\u{3000}＝1",
            "\u{200b}=1",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "﹦1",
            "−1",
            "\tx",
            "\u{feff}=1",
            "=1+cmd|' /C calc'!A0",
        ] {
            assert_eq!(field(formula), format!("\"'{formula}\""));
        }
        for text in ["a=1", "李四", "", "收到 +1", "'=1", "(1)"] {
            assert_eq!(field(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn digits_stay_as_they_are() {
        for digits in ["7488500809728000017", "00123", "1E5", "3-4", "12:30", "2026-11-29", "4,500", "95%"] {
            assert_eq!(field(digits), format!("\"=\"\"{digits}\"\"\""));
        }
        for text in ["2026-07-30T08:00:00Z", "12 Uhr", "5㎏"] {
            assert_eq!(field(text), format!("\"{text}\""));
        }
        assert_eq!(field(&"1".repeat(300)), format!("\"{}\"", "1".repeat(300)));
    }
}
