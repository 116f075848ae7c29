//! Splits a JSON body into entries before they are parsed: a broken entry does not affect the others.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{text_at, unescaped};

/// Replaces invalid characters. No attribute of a record may contain U+0000.
const NO_CHARACTER: &str = "\\u0000";

/// The text of a body. Half surrogate pairs, bytes that are not UTF-8 and raw control characters in strings
/// become U+0000. So only records with them in an attribute are refused.
pub fn mended(body: &[u8]) -> String {
    let mut decoded = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        decoded.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            decoded.push_str(NO_CHARACTER);
        }
    }
    let (mut text, mut rest, mut in_string) = (String::with_capacity(decoded.len()), &*decoded, false);
    while let Some(next) = rest.chars().next() {
        let (length, is_character) = match next {
            '\\' => escape(rest),
            _ => (next.len_utf8(), !(in_string && next < ' ')),
        };
        in_string ^= next == '"';
        text.push_str(if is_character { &rest[..length] } else { NO_CHARACTER });
        rest = &rest[length..];
    }
    text
}

/// The length of the escape at the beginning of a text, and whether it is a valid character.
fn escape(text: &str) -> (usize, bool) {
    match (unit(text), text.get(6..).and_then(unit)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
        (Some(unit), _) => (6, !(0xd800..=0xdfff).contains(&unit)),
        (None, _) => (1 + text.chars().nth(1).map_or(0, char::len_utf8), true),
    }
}

/// The UTF-16 code unit of an escape at the beginning of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The value at a pointer (RFC 6901); nothing else is parsed.
fn at<'a>(whole: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    pointer.split('/').skip(1).map(unescaped).try_fold(whole, |value, name| {
        if value.get().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            return list.get(name.parse::<usize>().ok()?).copied();
        }
        let object: HashMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
        object.get(&name).copied()
    })
}

/// The entries of a page, unparsed.
pub fn entries<'a>(page: &'a RawValue, pointer: &str) -> Option<Vec<&'a RawValue>> {
    serde_json::from_str(at(page, pointer)?.get()).ok()
}

/// The text at a pointer of a page.
pub fn text(page: &RawValue, pointer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(at(page, pointer).filter(|_| !pointer.is_empty())?.get()).ok()?;
    text_at(&value, "")
}
