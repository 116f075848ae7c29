//! Cuts a text into units, and gives the terms of every position.

use std::ops::Range;
use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::fold::{fold, is_cjk};

/// Longer runs of letters or digits are cut: users do not search for them whole, and indexes limit the length
/// of terms.
pub const UNIT_CHARS_MAX: usize = 64;
/// Shorter words are not stemmed.
const STEM_CHARS_MIN: usize = 3;
/// Marks a stem, so that it differs from a word with the same spelling.
const STEM_MARK: char = '~';
/// Digit groups that form one number in any notation: most groups, most digits, and most characters between
/// two groups.
const NUMBER_GROUPS_MAX: usize = 6;
const NUMBER_DIGITS: Range<usize> = 7..21;
const NUMBER_GAP_CHARS_MAX: usize = 2;
/// Signs right after a word belong to it (C++, C#): most signs, and most letters before #.
const SIGNS_MAX: usize = 2;
/// Most different symbols indexed at one position.
const SYMBOLS_MAX: usize = 16;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::new(Algorithm::English));

/// A term at a position, and the source bytes it stands for.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub text: String,
    pub source: Range<usize>,
}

/// The smallest searchable piece of a text.
#[derive(Debug)]
pub(super) struct Unit {
    pub term: String,
    /// The bytes of the text it was folded from.
    pub source: Range<usize>,
    pub kind: Kind,
    /// Nothing separates it from the unit before.
    pub touches: bool,
    /// Digits that may continue the number before.
    goes_on: bool,
    /// The + and # signs right after it.
    signs: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cjk,
    Letter,
    Digit,
}

/// A text in units, with the symbols before each unit and after the last.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub units: Vec<Unit>,
    pub symbols: Vec<(usize, Term)>,
}

impl Unit {
    /// The stem that all forms of an English word share.
    pub fn stem(&self) -> Option<String> {
        let is_word = self.kind == Kind::Letter
            && self.term.len() >= STEM_CHARS_MIN
            && self.term.bytes().all(|b| b.is_ascii_lowercase());
        is_word.then(|| format!("{STEM_MARK}{}", ENGLISH.stem(&self.term)))
    }

    /// The word with its signs.
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

/// How a character separates units.
enum Found {
    Unit(Kind),
    /// Searchable but not part of a word: an emoji, an arrow, a currency.
    Symbol,
    /// Ignored between two Chinese characters, as symbols are.
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
            // It separates the terms of a position in the index form.
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
    /// The last unit can still grow, take a sign, or touch the next.
    open: bool,
    signing: bool,
    touching: bool,
    chars: usize,
    /// The characters after the last unit.
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

/// Whether a number can be written with this between two groups of digits.
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
    /// The numbers of several groups that begin at a unit, with their group counts, shortest first.
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

    /// Whether the unit forms a pair with the one before.
    pub fn is_pair(&self, unit: usize) -> bool {
        let cjk = |at: usize| self.units.get(at).is_some_and(|unit| unit.kind == Kind::Cjk);
        unit > 0 && cjk(unit) && cjk(unit - 1) && self.units[unit].touches
    }

    pub fn pair(&self, unit: usize) -> Term {
        let (before, unit) = (&self.units[unit - 1], &self.units[unit]);
        let text = format!("{}{}", before.term, unit.term);
        Term { text, source: before.source.start..unit.source.end }
    }

    /// The terms at every position. Unit i is at 2i + 1; between two units are their pair and the symbols
    /// there. A search finds a position by any of its terms.
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
