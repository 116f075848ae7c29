//! How text is searched, the same in every archive: cut, folded and compared here alone.
//!
//! A text is cut into units: a Chinese, Japanese or Korean character is one by itself, elsewhere a
//! run of letters or of digits. Each unit has a place, so that words of one character are found; at the
//! place between two characters that touch stands their pair, so that longer words are found without
//! reading every occurrence of "的". A place may have several terms: a word, the stem of its forms, the
//! word with its signs (C++), the number that its digits begin.

mod fold;
#[cfg(test)]
mod tests;
mod units;

use std::ops::Range;

use fold::fold;
pub use fold::is_cjk;
use units::{Cut, Term, Unit, cut};

/// Rises with every change of what is indexed: an archive of another number has to be made anew.
pub const ANALYSIS: u32 = 2;
/// Why an archive of another number is not used.
pub const ANOTHER_ANALYSIS: &str = "the archive was indexed by another version of this service, and its searches would miss messages. \
     Choose an empty folder or another archive_index, then: im-push-gateway archive adopt";
/// Most characters of the text that a highlight shows.
pub const SNIPPET_CHARS_MAX: usize = 160;
/// How many of these stand before the first hit.
const SNIPPET_LEAD_CHARS: usize = 40;

/// Holds a place without a term: indexes leave it out, and its position with nothing at it. Never a term.
pub const FILLER: &str = "_";
/// Between the terms of one place. In none of them.
pub const BESIDE: char = '|';

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

/// What both archives index of a text: the terms of its places in order, with a blank between two places,
/// [`BESIDE`] between two terms of one, and [`FILLER`] where there is none.
pub fn index_form(text: &str) -> String {
    let place = |terms: &Vec<Term>| {
        let terms: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
        terms.join(BESIDE.encode_utf8(&mut [0; 4]))
    };
    let all: Vec<String> = cut(text).places().iter().map(place).collect();
    // What stands at the ends with nothing at it moves no term from another.
    let first = all.iter().position(|place| !place.is_empty()).unwrap_or(all.len());
    let last = all.iter().rposition(|place| !place.is_empty()).map_or(first, |last| last + 1);
    let fill = |place: &String| if place.is_empty() { FILLER.to_owned() } else { place.clone() };
    all[first..last].iter().map(fill).collect::<Vec<_>>().join(" ")
}

/// What a person typed, as phrases that all must occur: every word is one, and so is everything in quotation
/// marks, which must occur as it is spelt. Symbols count where a word has nothing else. None if there is
/// nothing in it to search for.
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

/// Whether all forms of an English word are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Exact,
    AnyForm,
}

impl Phrase {
    /// A text as phrases: one of its units, or one for each symbol where there are no units.
    fn all(text: &str, spelling: Spelling) -> Vec<Self> {
        let cut = cut(text);
        match Self::of(&cut, spelling) {
            Some(phrase) => vec![phrase],
            None => cut.symbols.into_iter().map(|(_, symbol)| Self(vec![(0, symbol.text)])).collect(),
        }
    }

    /// The terms that must occur in this order with nothing else between them. A pair says where both its
    /// characters are, and a number where its digits are, so these are left out. None if there are no units.
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

    /// Where it occurs, as the bytes of the text that these places are of.
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

/// The term by which a unit is looked for.
fn sought(unit: &Unit, spelling: Spelling) -> String {
    let stem = || unit.stem().filter(|_| spelling == Spelling::AnyForm);
    unit.signed().or_else(stem).unwrap_or_else(|| unit.term.clone())
}

/// Whether every phrase occurs in the text: what an archive would have found, of a text that is in none.
pub fn matches(phrases: &[Phrase], text: &str) -> bool {
    let places = cut(text).places();
    phrases.iter().all(|phrase| phrase.occurrences(&places).next().is_some())
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
