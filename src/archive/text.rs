//! How text is searched, the same in every archive: cut, folded and compared here alone.
//!
//! A text is cut into units: a Chinese, Japanese or Korean character is one by itself, elsewhere a
//! run of letters or of digits. Unit i stands at position 2i, so that words of one character are
//! found; between two characters that touch stands their pair, so that longer words are found
//! without reading every occurrence of "的".

mod fold;
#[cfg(test)]
mod tests;

use std::ops::Range;

use fold::fold;
pub use fold::is_cjk;

/// Longer runs of letters or digits are cut: nobody searches for a whole one, and indexes bound terms.
pub const UNIT_CHARS_MAX: usize = 64;
/// Most characters of the text that a highlight shows.
pub const SNIPPET_CHARS_MAX: usize = 160;
/// How many of these stand before the first hit.
const SNIPPET_LEAD_CHARS: usize = 40;

/// Holds the place between two units that make no pair. Never a term: indexes leave it out, and its
/// position with nothing at it.
pub const FILLER: &str = "_";

/// Terms at their distances from the first one: they must occur so. One word is a phrase of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase(pub Vec<(u32, String)>);

/// A stretch of a text, and whether it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub hit: bool,
}

/// A text as it is compared: forms, case, accents and traditional characters are one.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold(text, |c, _| folded.push(c));
    folded
}

/// What both archives index of a text: its terms in the order of their positions, with a blank
/// between them and [`FILLER`] where there is none.
pub fn index_form(text: &str) -> String {
    let terms = terms(&units(text));
    let all: Vec<&str> = terms.iter().map(|term| term.as_deref().unwrap_or(FILLER)).collect();
    all.join(" ")
}

/// What a person typed, as phrases that all must occur: every word, and everything in quotation
/// marks, is one. None if there is nothing in it to search for.
pub fn parse_query(query: &str) -> Vec<Phrase> {
    let mut texts = Vec::new();
    let mut rest = query;
    while let Some((before, quoted, after)) = quotation(rest) {
        texts.extend(before.split_whitespace());
        texts.push(quoted);
        rest = after;
    }
    texts.extend(rest.split_whitespace());
    let mut phrases: Vec<Phrase> = Vec::new();
    for phrase in texts.into_iter().filter_map(Phrase::of) {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    phrases
}

impl Phrase {
    /// The terms of a text that must occur in this order with nothing else between them. A pair says
    /// where both its characters are, so these are left out. None if the text has no units.
    pub fn of(text: &str) -> Option<Self> {
        let terms = terms(&units(text));
        let is_pair = |at: Option<usize>| at.and_then(|at| terms.get(at)?.as_ref()).is_some();
        let needed = |at: usize| at % 2 == 1 || !is_pair(at.checked_sub(1)) && !is_pair(Some(at + 1));
        let mut first = None;
        let mut phrase = Vec::new();
        for (at, term) in terms.iter().enumerate().filter(|(at, _)| needed(*at)) {
            if let Some(term) = term {
                let first = *first.get_or_insert(at);
                phrase.push(((at - first) as u32, term.clone()));
            }
        }
        (!phrase.is_empty()).then_some(Self(phrase))
    }

    /// The phrase in the form of [`index_form`], so that the same cutting at blanks gives its terms
    /// the same distances.
    pub fn to_query_text(&self) -> String {
        let mut text = String::new();
        let mut next = 0;
        for (offset, term) in &self.0 {
            for _ in next..*offset {
                text.push_str(FILLER);
                text.push(' ');
            }
            text.push_str(term);
            text.push(' ');
            next = offset + 1;
        }
        text.pop();
        text
    }

    /// The positions at which it begins.
    fn occurrences<'a>(&'a self, terms: &'a [Option<String>]) -> impl Iterator<Item = usize> + 'a {
        let is_at = |at: usize, term: &String| terms.get(at).is_some_and(|t| t.as_ref() == Some(term));
        (0..terms.len())
            .filter(move |at| self.0.iter().all(|(offset, term)| is_at(at + *offset as usize, term)))
    }

    /// How far its last term is from its first.
    fn length(&self) -> usize {
        self.0.last().map_or(0, |(offset, _)| *offset as usize)
    }
}

/// Whether every phrase occurs in the text: what an archive would have found, of a text that is in none.
pub fn matches(phrases: &[Phrase], text: &str) -> bool {
    let terms = terms(&units(text));
    phrases.iter().all(|phrase| phrase.occurrences(&terms).next().is_some())
}

/// The text around the first hit, at most [`SNIPPET_CHARS_MAX`] characters of it, cut into what was
/// looked for and what was not; "…" where it goes on. The beginning if nothing was hit.
pub fn highlight(phrases: &[Phrase], text: &str) -> Vec<Piece> {
    let hits = hits(phrases, text);
    let shown = window(text, hits.first().map_or(0, |hit| hit.start));
    let mut pieces = Vec::new();
    let mut add = |text: &str, hit: bool| {
        if !text.is_empty() {
            pieces.push(Piece { text: text.to_owned(), hit });
        }
    };
    add(if shown.start > 0 { "…" } else { "" }, false);
    let mut at = shown.start;
    for hit in hits.iter().filter(|hit| hit.end > shown.start && hit.start < shown.end) {
        let (start, end) = (hit.start.max(at), hit.end.min(shown.end));
        add(&text[at..start], false);
        add(&text[start..end], true);
        at = end;
    }
    add(&text[at..shown.end], false);
    add(if shown.end < text.len() { "…" } else { "" }, false);
    pieces
}

/// The bytes of the text that the phrases cover, in order, none touching the next.
fn hits(phrases: &[Phrase], text: &str) -> Vec<Range<usize>> {
    let units = units(text);
    let terms = terms(&units);
    let mut hits = Vec::new();
    for phrase in phrases {
        for at in phrase.occurrences(&terms) {
            // A pair stands between its characters: down to the first, up to the second.
            let last = (at + phrase.length()).div_ceil(2);
            hits.push(units[at / 2].source.start..units[last].source.end);
        }
    }
    hits.sort_by_key(|hit| (hit.start, hit.end));
    hits.dedup_by(|next, hit| {
        let touches = next.start <= hit.end;
        if touches {
            hit.end = hit.end.max(next.end);
        }
        touches
    });
    hits
}

/// The bytes of the text to show, so that the character at `hit` is among them.
fn window(text: &str, hit: usize) -> Range<usize> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let chars = starts.len() - 1;
    if chars <= SNIPPET_CHARS_MAX {
        return 0..text.len();
    }
    let before = starts.partition_point(|at| *at < hit);
    let first = before.saturating_sub(SNIPPET_LEAD_CHARS).min(chars - SNIPPET_CHARS_MAX);
    starts[first]..starts[first + SNIPPET_CHARS_MAX]
}

/// What is searched as a whole.
struct Unit {
    term: String,
    /// The bytes of the text it was folded from.
    source: Range<usize>,
    cjk: bool,
    /// Nothing is between it and the unit before.
    touches: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gap,
    Cjk,
    Letter,
    Digit,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            c if is_cjk(c) => Self::Cjk,
            c if c.is_numeric() => Self::Digit,
            c if c.is_alphabetic() => Self::Letter,
            _ => Self::Gap,
        }
    }
}

fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut before = Kind::Gap;
    let mut chars = 0;
    fold(text, |c, source| {
        let kind = Kind::of(c);
        let goes_on = kind == before && kind != Kind::Cjk && chars < UNIT_CHARS_MAX;
        match units.last_mut() {
            _ if kind == Kind::Gap => {}
            Some(unit) if goes_on => {
                unit.term.push(c);
                unit.source.end = source.end;
                chars += 1;
            }
            _ => {
                let (cjk, touches) = (kind == Kind::Cjk, before != Kind::Gap);
                units.push(Unit { term: c.into(), source: source.clone(), cjk, touches });
                chars = 1;
            }
        }
        before = kind;
    });
    units
}

/// The term at every position: the units at the even ones, their pairs between them.
fn terms(units: &[Unit]) -> Vec<Option<String>> {
    let mut terms = Vec::with_capacity(units.len() * 2);
    for (i, unit) in units.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).map(|i| &units[i]) {
            let paired = before.cjk && unit.cjk && unit.touches;
            terms.push(paired.then(|| format!("{}{}", before.term, unit.term)));
        }
        terms.push(Some(unit.term.clone()));
    }
    terms
}

/// What stands before, in and after the first pair of quotation marks.
fn quotation(text: &str) -> Option<(&str, &str, &str)> {
    text.char_indices().find_map(|(at, open)| {
        let inside = at + open.len_utf8();
        let closing = closing(open)?;
        let length = text[inside..].find(closing)?;
        let mark = text[inside + length..].chars().next()?;
        let after = inside + length + mark.len_utf8();
        Some((&text[..at], &text[inside..inside + length], &text[after..]))
    })
}

/// The marks that may close what a mark opens. Input methods mix the double ones, so any ends any.
fn closing(open: char) -> Option<&'static [char]> {
    match open {
        '"' | '＂' | '“' | '”' | '„' | '〝' | '〞' => Some(&['"', '＂', '“', '”', '„', '〝', '〞']),
        '「' | '｢' => Some(&['」', '｣']),
        '『' => Some(&['』']),
        _ => None,
    }
}
