//! Text search, the same in every archive: texts are cut, folded and compared only here.
//!
//! A text is cut into units: one Chinese, Japanese or Korean character, or a run of letters or digits. Each
//! unit has a position, so that words of one character are found. The position between two adjacent
//! characters holds their pair, so that longer words are found without reading every occurrence of "的". A
//! position can have several terms: a word, its stem, the word with its signs (C++), the number that its
//! digits begin.

mod fold;
#[cfg(test)]
mod tests;
mod units;

use std::ops::Range;

use fold::fold;
pub use fold::is_cjk;
use units::{Cut, Term, Unit, cut};

/// Incremented with every change of what is indexed. An archive with another number must be indexed again.
pub const ANALYSIS: u32 = 3;
/// Why an archive with another number is refused.
pub const ANOTHER_ANALYSIS: &str = "the archive was indexed by another version of this service, and its searches would miss messages. \
     Choose an empty folder or another archive_index, then: im-push-gateway archive adopt";
/// Most characters in a highlight.
pub const SNIPPET_CHARS_MAX: usize = 160;
/// Characters shown before the first hit.
const SNIPPET_LEAD_CHARS: usize = 40;

/// Stands for a position without a term. Indexes drop it and keep the empty position. Never a term.
pub const FILLER: &str = "_";
/// Separates the terms of one position. No term contains it.
pub const BESIDE: char = '|';

/// Terms at distances from the first one. One word is a phrase of one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase(pub Vec<(u32, String)>);

/// A piece of a text, and whether it is a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub hit: bool,
}

/// A text as it is compared: width, case, accents and traditional characters do not matter.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold(text, |c, _| folded.push(c));
    folded
}

/// The indexed form of a text: the terms of its positions in order. A blank separates positions, [`BESIDE`]
/// separates the terms of one, and [`FILLER`] is an empty one.
pub fn index_form(text: &str) -> String {
    let place = |terms: &Vec<Term>| {
        let terms: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
        terms.join(BESIDE.encode_utf8(&mut [0; 4]))
    };
    let all: Vec<String> = cut(text).places().iter().map(place).collect();
    // Empty positions at both ends change no distance between terms.
    let first = all.iter().position(|place| !place.is_empty()).unwrap_or(all.len());
    let last = all.iter().rposition(|place| !place.is_empty()).map_or(first, |last| last + 1);
    let fill = |place: &String| if place.is_empty() { FILLER.to_owned() } else { place.clone() };
    all[first..last].iter().map(fill).collect::<Vec<_>>().join(" ")
}

/// A search text as phrases that all must occur. Each word is one; a text in quotation marks is one that must
/// occur as spelt. Symbols count if a word has nothing else. None if there is nothing to search for.
pub fn parse_query(query: &str) -> Vec<Phrase> {
    let mut all = Vec::new();
    let mut rest = query;
    while let Some((before, quoted, after)) = quotation(rest) {
        all.extend(before.split_whitespace().flat_map(|word| Phrase::all(word, Spelling::AnyForm)));
        all.extend(Phrase::all(quoted, Spelling::Exact));
        rest = after;
    }
    all.extend(rest.split_whitespace().flat_map(|word| Phrase::all(word, Spelling::AnyForm)));
    let mut phrases: Vec<Phrase> = Vec::new();
    for phrase in all {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    phrases
}

/// Whether all forms of an English word match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Exact,
    AnyForm,
}

impl Phrase {
    /// A text as phrases: one of its units, or one for each symbol if there are no units.
    fn all(text: &str, spelling: Spelling) -> Vec<Self> {
        let cut = cut(text);
        match Self::of(&cut, spelling) {
            Some(phrase) => vec![phrase],
            None => cut.symbols.into_iter().map(|(_, symbol)| Self(vec![(0, symbol.text)])).collect(),
        }
    }

    /// The terms that must occur in this order without others in between. Pairs already imply their
    /// characters, and numbers their digits, so these are left out. None if there are no units.
    fn of(cut: &Cut, spelling: Spelling) -> Option<Self> {
        let mut terms = Vec::new();
        let mut at = 0;
        while let Some(unit) = cut.units.get(at) {
            if cut.is_pair(at) {
                terms.push((2 * at, cut.pair(at).text));
            }
            if let Some((groups, number)) = cut.numbers(at).last() {
                terms.push((2 * at + 1, number));
                at += groups;
                continue;
            }
            if !cut.is_pair(at) && !cut.is_pair(at + 1) {
                terms.push((2 * at + 1, sought(unit, spelling)));
            }
            at += 1;
        }
        let first = terms.first()?.0;
        Some(Self(terms.into_iter().map(|(at, term)| ((at - first) as u32, term)).collect()))
    }

    /// The phrase in the form of [`index_form`], so that an analyzer that splits at blanks gives the terms
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

    /// Where the phrase occurs, as byte ranges of the text.
    fn occurrences<'a>(&'a self, places: &'a [Vec<Term>]) -> impl Iterator<Item = Range<usize>> + 'a {
        (0..places.len()).filter_map(move |first| {
            let mut covered: Option<Range<usize>> = None;
            for (offset, wanted) in &self.0 {
                let here = places.get(first + *offset as usize)?;
                let source = &here.iter().find(|term| term.text == *wanted)?.source;
                let before = covered.get_or_insert(source.clone());
                *before = before.start.min(source.start)..before.end.max(source.end);
            }
            covered
        })
    }
}

/// The term to search a unit by.
fn sought(unit: &Unit, spelling: Spelling) -> String {
    let stem = || unit.stem().filter(|_| spelling == Spelling::AnyForm);
    unit.signed().or_else(stem).unwrap_or_else(|| unit.term.clone())
}

/// Whether every phrase occurs in a text, as an archive would decide it. For texts that are in no archive.
pub fn matches(phrases: &[Phrase], text: &str) -> bool {
    let places = cut(text).places();
    phrases.iter().all(|phrase| phrase.occurrences(&places).next().is_some())
}

/// The text around the first hit, at most [`SNIPPET_CHARS_MAX`] characters, cut into hits and the rest; "…"
/// where the text goes on. The beginning if there is no hit.
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

/// The byte ranges that the phrases cover, in order, merged if they touch.
fn hits(phrases: &[Phrase], text: &str) -> Vec<Range<usize>> {
    let places = cut(text).places();
    let mut hits: Vec<Range<usize>> = phrases.iter().flat_map(|phrase| phrase.occurrences(&places)).collect();
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

/// The byte range to show, with the character at `hit` in it.
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

/// The text before, in and after the first pair of quotation marks.
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

/// The marks that may close an opening mark. Input methods mix the double ones, so any of them closes any.
fn closing(open: char) -> Option<&'static [char]> {
    match open {
        '"' | '＂' | '“' | '”' | '„' | '〝' | '〞' => Some(&['"', '＂', '“', '”', '„', '〝', '〞']),
        '「' | '｢' => Some(&['」', '｣']),
        '『' => Some(&['』']),
        _ => None,
    }
}
