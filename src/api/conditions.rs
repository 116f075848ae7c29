//! Conditions and ranges of a download (RFC 9110, sections 13 and 14), with strong entity tags.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What to answer to a download.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Whole,
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    /// No byte of the range exists.
    OutOfRange,
}

/// Decides by the headers of a request for content with this tag and size.
pub fn decide(headers: &HeaderMap, is_get: bool, tag: &str, size: u64) -> Answer {
    if headers.contains_key(IF_MATCH) && !lists(headers, IF_MATCH, tag, false) {
        return Answer::PreconditionFailed;
    }
    if lists(headers, IF_NONE_MATCH, tag, true) {
        return Answer::NotModified;
    }
    // An If-Range with a date never matches: downloads have no date.
    let is_same = headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    match text(headers, RANGE) {
        Some(range) if is_get && is_same => part(range, size),
        _ => Answer::Whole,
    }
}

/// Whether a header lists the tag, or `*`. A weak comparison ignores `W/`.
fn lists(headers: &HeaderMap, name: HeaderName, tag: &str, is_weak: bool) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|listed| {
        let listed = if is_weak { listed.strip_prefix("W/").unwrap_or(listed) } else { listed };
        listed == "*" || listed == tag
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// One range of bytes. Other units, several ranges and ranges of another form are ignored, as the RFC allows.
fn part(range: &str, size: u64) -> Answer {
    let Some((from, to)) = range.trim().strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Answer::Whole;
    };
    let number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit are a number beyond every file.
        is_digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (from, below) = match (number(from), number(to), to.is_empty(), from.is_empty()) {
        (Some(from), Some(to), ..) if from <= to => (from, to.saturating_add(1).min(size)),
        (Some(from), None, true, _) => (from, size),
        (None, Some(last), _, true) => (size.saturating_sub(last), size),
        _ => return Answer::Whole,
    };
    if from >= below { Answer::OutOfRange } else { Answer::Part(from..below) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn of(headers: &[(HeaderName, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        decide(&headers, true, TAG, 10)
    }

    #[test]
    fn a_range_is_cut_at_the_end() {
        for (range, answer) in [
            ("bytes=0-0", Answer::Part(0..1)),
            ("bytes=2-5", Answer::Part(2..6)),
            ("bytes=2-", Answer::Part(2..10)),
            ("bytes=-3", Answer::Part(7..10)),
            ("bytes=-30", Answer::Part(0..10)),
            ("bytes=9-99999999999999999999999", Answer::Part(9..10)),
            ("bytes=10-", Answer::OutOfRange),
            ("bytes=10-12", Answer::OutOfRange),
            ("bytes=-0", Answer::OutOfRange),
            ("bytes=5-2", Answer::Whole),
            ("bytes=0-1,3-4", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("bytes=+1-2", Answer::Whole),
            ("items=0-1", Answer::Whole),
            ("", Answer::Whole),
        ] {
            assert_eq!(of(&[(RANGE, range)]), answer, "{range}");
        }
        let headers = [(RANGE, "bytes=0-0".parse().unwrap())].into_iter().collect();
        assert_eq!(decide(&headers, false, TAG, 10), Answer::Whole, "a HEAD has no ranges");
        assert_eq!(decide(&headers, true, TAG, 0), Answer::OutOfRange, "an empty file has no range");
    }

    #[test]
    fn conditions_come_before_ranges() {
        for (headers, answer) in [
            (&[(IF_NONE_MATCH, TAG)][..], Answer::NotModified),
            (&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")], Answer::NotModified),
            (&[(IF_NONE_MATCH, "*")], Answer::NotModified),
            (&[(IF_NONE_MATCH, "\"x\"")], Answer::Whole),
            (&[(IF_MATCH, TAG)], Answer::Whole),
            (&[(IF_MATCH, "W/\"abc\"")], Answer::PreconditionFailed),
            (&[(IF_MATCH, "\"x\"")], Answer::PreconditionFailed),
            (&[(IF_RANGE, TAG), (RANGE, "bytes=0-0")], Answer::Part(0..1)),
            (&[(IF_RANGE, "\"x\""), (RANGE, "bytes=0-0")], Answer::Whole),
            (&[(IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT"), (RANGE, "bytes=0-0")], Answer::Whole),
        ] {
            assert_eq!(of(headers), answer, "{headers:?}");
        }
    }
}
