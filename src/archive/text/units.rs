//! A text cut into what is searched as a whole, and the terms of every place in it.

use std::ops::Range;
use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::fold::{fold, is_cjk};

/// Longer runs of letters or digits are cut: a search names no whole one, and indexes bound terms.
pub const UNIT_CHARS_MAX: usize = 64;
/// Shorter words have one form.
const STEM_CHARS_MIN: usize = 3;
/// Before a stem, so that it is not taken for the word that is spelt so.
const STEM_MARK: char = '~';
/// Groups of digits that are one number however it is written: so many groups, digits in all, and
/// characters between two of them.
const NUMBER_GROUPS_MAX: usize = 6;
const NUMBER_DIGITS: Range<usize> = 7..21;
const NUMBER_GAP_CHARS_MAX: usize = 2;
/// C++ and C# are names: signs right after a word belong to it, up to so many; # only after up to two letters.
const SIGNS_MAX: usize = 2;
/// Different symbols of one place that are found.
const SYMBOLS_MAX: usize = 16;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::new(Algorithm::English));

/// What stands at a place: a term, and the bytes of the text that it stands for.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub text: String,
    pub source: Range<usize>,
}

/// What is searched as a whole.
#[derive(Debug)]
pub(super) struct Unit {
    pub term: String,
    /// The bytes of the text it was folded from.
    pub source: Range<usize>,
    pub kind: Kind,
    /// Nothing that parts them is between it and the unit before.
    pub touches: bool,
    /// Digits that may go on the number before.
    goes_on: bool,
    /// What stands right after it, of + and #.
    signs: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cjk,
    Letter,
    Digit,
}

/// A text in units, and the symbols before each unit and after the last.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub units: Vec<Unit>,
    pub symbols: Vec<(usize, Term)>,
}

impl Unit {
    /// The form that all forms of an English word share.
    pub fn stem(&self) -> Option<String> {
        let is_word = self.kind == Kind::Letter
            && self.term.len() >= STEM_CHARS_MIN
            && self.term.bytes().all(|b| b.is_ascii_lowercase());
        is_word.then(|| format!("{STEM_MARK}{}", ENGLISH.stem(&self.term)))
    }

    /// The word with the signs that belong to it.
    pub fn signed(&self) -> Option<String> {
        (!self.signs.is_empty()).then(|| format!("{}{}", self.term, self.signs))
    }

    fn takes(&self, sign: char) -> bool {
        let chars = self.term.chars().count();
        self.kind == Kind::Letter
            && self.signs.len() < SIGNS_MAX
            && (sign == '+' || sign == '#' && chars <= 2)
    }
}

/// What parts a text.
enum Found {
    Unit(Kind),
    /// Found, and no part of a word: an emoji, an arrow, a currency.
    Symbol,
    /// Passed over between two Chinese characters, as symbols are.
    Dot,
    Gap,
}

impl Found {
    fn of(c: char) -> Self {
        match c {
            c if is_cjk(c) => Self::Unit(Kind::Cjk),
            c if c.is_numeric() => Self::Unit(Kind::Digit),
            c if c.is_alphabetic() => Self::Unit(Kind::Letter),
            '·' | '•' | '‧' | '・' => Self::Dot,
            // It parts the terms of a place in the form that archives index.
            super::BESIDE => Self::Gap,
            c if GeneralCategoryGroup::Symbol.contains(category(c)) => Self::Symbol,
            _ => Self::Gap,
        }
    }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Cuts a text, character by character.
#[derive(Default)]
struct Cutter {
    cut: Cut,
    /// The last unit may still grow, take a sign, touch the next.
    open: bool,
    signing: bool,
    touching: bool,
    chars: usize,
    /// What came after the last unit.
    gap: String,
}

impl Cutter {
    fn take(&mut self, c: char, source: &Range<usize>) {
        let found = Found::of(c);
        if let Found::Unit(kind) = found {
            return self.unit(kind, c, source);
        }
        if let Some(unit) = self.cut.units.last_mut().filter(|unit| self.signing && unit.takes(c)) {
            unit.signs.push(c);
            unit.source.end = source.end;
        } else {
            self.signing = false;
        }
        self.open = false;
        self.gap.push(c);
        match found {
            Found::Symbol => {
                let term = Term { text: c.into(), source: source.clone() };
                self.cut.symbols.push((self.cut.units.len(), term));
                self.touching &= !c.is_ascii();
            }
            Found::Dot => {}
            Found::Gap | Found::Unit(_) => self.touching = false,
        }
    }

    fn unit(&mut self, kind: Kind, c: char, source: &Range<usize>) {
        let grows = self.open && kind != Kind::Cjk && self.chars < UNIT_CHARS_MAX;
        match self.cut.units.last_mut() {
            Some(unit) if grows && unit.kind == kind => {
                unit.term.push(c);
                unit.source.end = source.end;
                self.chars += 1;
            }
            before => {
                let goes_on = kind == Kind::Digit
                    && before.is_some_and(|before| before.kind == Kind::Digit)
                    && is_within_number(&self.gap);
                let (term, touches) = (c.into(), self.touching);
                let source = source.clone();
                self.cut.units.push(Unit { term, source, kind, touches, goes_on, signs: String::new() });
                self.chars = 1;
            }
        }
        (self.open, self.signing, self.touching) = (true, true, true);
        self.gap.clear();
    }
}

/// Whether a number may be written with this between two groups of its digits.
fn is_within_number(gap: &str) -> bool {
    let parts = |c: char| matches!(c, '-' | ' ' | ',' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    (1..=NUMBER_GAP_CHARS_MAX).contains(&gap.chars().count()) && gap.chars().all(parts)
}

pub(super) fn cut(text: &str) -> Cut {
    let mut cutter = Cutter::default();
    fold(text, |c, source| cutter.take(c, source));
    cutter.cut
}

impl Cut {
    /// The numbers of several groups that begin at a unit: with how many groups, shortest first.
    pub fn numbers(&self, first: usize) -> impl Iterator<Item = (usize, String)> {
        let groups = self.units[first..].iter().enumerate();
        let mut digits = String::new();
        groups
            .take_while(move |(at, unit)| unit.kind == Kind::Digit && (*at == 0 || unit.goes_on))
            .take(NUMBER_GROUPS_MAX)
            .map(move |(at, unit)| {
                digits.push_str(&unit.term);
                (at + 1, digits.clone())
            })
            .take_while(|(_, digits)| digits.len() < NUMBER_DIGITS.end)
            .filter(|(groups, digits)| *groups > 1 && digits.len() >= NUMBER_DIGITS.start)
    }

    /// Whether the unit and the one before it are a pair.
    pub fn is_pair(&self, unit: usize) -> bool {
        let cjk = |at: usize| self.units.get(at).is_some_and(|unit| unit.kind == Kind::Cjk);
        unit > 0 && cjk(unit) && cjk(unit - 1) && self.units[unit].touches
    }

    pub fn pair(&self, unit: usize) -> Term {
        let (before, unit) = (&self.units[unit - 1], &self.units[unit]);
        let text = format!("{}{}", before.term, unit.term);
        Term { text, source: before.source.start..unit.source.end }
    }

    /// The terms at every place: unit i stands at 2i + 1, between two units stand their pair and the symbols
    /// there. Several terms of one place are what it is found by.
    pub fn places(&self) -> Vec<Vec<Term>> {
        let mut places = vec![Vec::new(); self.units.len() * 2 + 1];
        for (i, unit) in self.units.iter().enumerate() {
            if self.is_pair(i) {
                places[2 * i].push(self.pair(i));
            }
            let here = &mut places[2 * i + 1];
            let forms = [Some(unit.term.clone()), unit.stem(), unit.signed()];
            here.extend(forms.into_iter().flatten().map(|text| Term { text, source: unit.source.clone() }));
            here.extend(self.numbers(i).map(|(groups, text)| {
                let end = self.units[i + groups - 1].source.end;
                Term { text, source: unit.source.start..end }
            }));
        }
        for (unit, symbol) in &self.symbols {
            let here = &mut places[2 * unit];
            if here.len() < SYMBOLS_MAX && here.iter().all(|term| term.text != symbol.text) {
                here.push(symbol.clone());
            }
        }
        places
    }
}
