//! Filters (RFC 7644 §3.4.2.2): parsed once, then applied to resources.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{Error, Result};
use super::schema::{Attribute, AttributePath, Kind, ResourceType, named};
use crate::base::text;

/// Longest filter in bytes, and deepest nesting of parentheses.
const FILTER_MAX_BYTES: usize = 4_096;
const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
    Pr,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Test(Test),
    /// One value of a multi-valued attribute matches the whole inner filter.
    Within(AttributePath, Box<Filter>),
    /// A test of an attribute that this resource type does not have.
    Never,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    pub place: AttributePath,
    pub op: Op,
    pub value: Value,
}

/// The names that a filter can use.
#[derive(Debug, Clone, Copy)]
enum Scope {
    /// If true, an unknown attribute is an error. Otherwise it has no value.
    Resource(&'static ResourceType, bool),
    Parts(&'static Attribute),
}

/// An equality of a filter that an index can look up, so that not every user is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Id,
    UserName,
    ExternalId,
    Email,
    DisplayName,
    Member,
}

impl Filter {
    /// # Errors
    /// `invalidFilter`, also for an attribute that the type does not have.
    pub fn parse(text: &str, kind: &'static ResourceType) -> Result<Self> {
        Parser::new(text)?.whole(Scope::Resource(kind, true))
    }

    /// The same for a search through several types. An attribute that a type does not have has no value.
    pub fn parse_lenient(text: &str, kind: &'static ResourceType) -> Result<Self> {
        Parser::new(text)?.whole(Scope::Resource(kind, false))
    }

    /// Parses the filter in brackets after a multi-valued attribute.
    pub fn parse_parts(text: &str, attribute: &'static Attribute) -> Result<Self> {
        Parser::new(text)?.whole(Scope::Parts(attribute))
    }

    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|f| f.matches(resource)),
            Self::Or(any) => any.iter().any(|f| f.matches(resource)),
            Self::Not(inner) => !inner.matches(resource),
            Self::Test(test) => test.holds(&test.place.values(resource)),
            Self::Within(place, inner) => {
                place.values(resource).iter().any(|value| value.as_object().is_some_and(|v| inner.matches(v)))
            }
            Self::Never => false,
        }
    }

    /// An equality that every match must fulfil and that an index can look up.
    pub fn anchor(&self) -> Option<(Anchor, &str)> {
        match self {
            Self::And(all) => all.iter().find_map(Self::anchor),
            Self::Test(test) => test.anchor(test.place.attribute, test.place.part),
            Self::Within(place, inner) => inner.anchor_within(place.attribute),
            _ => None,
        }
    }

    fn anchor_within(&self, attribute: &'static Attribute) -> Option<(Anchor, &str)> {
        match self {
            Self::And(all) => all.iter().find_map(|f| f.anchor_within(attribute)),
            Self::Test(test) => test.anchor(attribute, Some(test.place.attribute)),
            _ => None,
        }
    }

    /// Whether the filter uses an attribute of this name.
    pub fn asks_for(&self, name: &str) -> bool {
        match self {
            Self::And(inner) | Self::Or(inner) => inner.iter().any(|f| f.asks_for(name)),
            Self::Not(inner) => inner.asks_for(name),
            Self::Test(test) => test.place.attribute.name == name,
            Self::Within(place, _) => place.attribute.name == name,
            Self::Never => false,
        }
    }

    /// The equalities of a filter that consists only of equalities joined by `and`: the value that matches
    /// it.
    pub fn demands(&self) -> Option<Map<String, Value>> {
        let mut demands = Map::new();
        let tests: Vec<&Self> = if let Self::And(all) = self { all.iter().collect() } else { vec![self] };
        for test in tests {
            let Self::Test(Test { place, op: Op::Eq, value }) = test else { return None };
            demands.insert(place.attribute.name.to_owned(), value.clone());
        }
        Some(demands)
    }
}

impl Test {
    fn anchor(&self, attribute: &Attribute, part: Option<&Attribute>) -> Option<(Anchor, &str)> {
        let by_value = part.is_none_or(|part| part.name == "value");
        let anchor = match attribute.name {
            "id" => Anchor::Id,
            "userName" => Anchor::UserName,
            "externalId" => Anchor::ExternalId,
            "emails" if by_value => Anchor::Email,
            "members" if by_value => Anchor::Member,
            "displayName" => Anchor::DisplayName,
            _ => return None,
        };
        (self.op == Op::Eq).then(|| self.value.as_str().map(|value| (anchor, value))).flatten()
    }

    fn holds(&self, values: &[&Value]) -> bool {
        let leaf = self.place.leaf();
        let one = |value: &&Value| {
            let value = if value.is_object() { &value["value"] } else { *value };
            compare(leaf, self.op, value, &self.value)
        };
        match self.op {
            Op::Pr => values.iter().any(|value| is_present(value)),
            Op::Ne if self.value.is_null() => values.iter().any(|value| is_present(value)),
            Op::Eq if self.value.is_null() => !values.iter().any(|value| is_present(value)),
            Op::Ne => !values
                .iter()
                .any(|v| compare(leaf, Op::Eq, if v.is_object() { &v["value"] } else { v }, &self.value)),
            _ => values.iter().any(one),
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(parts) => !parts.is_empty(),
        _ => true,
    }
}

fn compare(leaf: &Attribute, op: Op, value: &Value, operand: &Value) -> bool {
    match (value, operand) {
        (Value::Bool(value), Value::Bool(operand)) => op == Op::Eq && value == operand,
        (Value::String(value), Value::String(operand)) => {
            if leaf.kind == Kind::Time {
                return ordered(op, instant(value).partial_cmp(&instant(operand)));
            }
            let exact = leaf.case_exact || leaf.value_part().is_some_and(|part| part.case_exact);
            let fold = |text: &str| if exact { text.to_owned() } else { text::fold(text) };
            let (value, operand) = (fold(value), fold(operand));
            match op {
                Op::Co => value.contains(&operand),
                Op::Sw => value.starts_with(&operand),
                Op::Ew => value.ends_with(&operand),
                _ => ordered(op, Some(value.cmp(&operand))),
            }
        }
        _ => false,
    }
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn ordered(op: Op, ordering: Option<Ordering>) -> bool {
    ordering.is_some_and(|ordering| match op {
        Op::Eq => ordering.is_eq(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        _ => false,
    })
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self> {
        if text.len() > FILTER_MAX_BYTES {
            return Err(Error::invalid_filter(format!("a filter can have at most {FILTER_MAX_BYTES} bytes")));
        }
        Ok(Self { text, at: 0, depth: 0 })
    }

    fn whole(mut self, scope: Scope) -> Result<Filter> {
        let filter = self.or(scope)?;
        self.blanks();
        if self.rest().is_empty() { Ok(filter) } else { Err(self.wrong("and, or, or the end")) }
    }

    fn wrong(&self, wanted: &str) -> Error {
        Error::invalid_filter(format!("at byte {} of the filter: expected {wanted}", self.at))
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    fn take(&mut self, mark: char) -> bool {
        self.blanks();
        let there = self.rest().starts_with(mark);
        self.at += if there { mark.len_utf8() } else { 0 };
        there
    }

    /// Reads this keyword, if it comes next.
    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let (start, rest) = self.rest().split_at_checked(word.len()).unwrap_or(("", ""));
        let there = start.eq_ignore_ascii_case(word) && rest.starts_with([' ', '(']);
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn or(&mut self, scope: Scope) -> Result<Filter> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::invalid_filter(format!("parentheses can be nested at most {DEPTH_MAX} deep")));
        }
        let mut any = vec![self.and(scope)?];
        while self.keyword("or") {
            any.push(self.and(scope)?);
        }
        self.depth -= 1;
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Or(any) })
    }

    fn and(&mut self, scope: Scope) -> Result<Filter> {
        let mut all = vec![self.term(scope)?];
        while self.keyword("and") {
            all.push(self.term(scope)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn term(&mut self, scope: Scope) -> Result<Filter> {
        let negated = self.keyword("not");
        if self.take('(') {
            let inner = self.or(scope)?;
            if !self.take(')') {
                return Err(self.wrong("a closing parenthesis"));
            }
            return Ok(if negated { Filter::Not(Box::new(inner)) } else { inner });
        }
        if negated {
            return Err(self.wrong("a parenthesis after not"));
        }
        let path = self.attribute_path(scope)?;
        if self.rest().starts_with('[') {
            return self.within(path);
        }
        self.test(path)
    }

    /// `emails[type eq "work"]`, and Entra's `emails[type eq "work"].value eq "x"`.
    fn within(&mut self, path: Option<AttributePath>) -> Result<Filter> {
        self.at += 1;
        let Some(path) = path.filter(|p| p.part.is_none() && p.attribute.kind == Kind::Complex) else {
            return Err(self.wrong("a complex attribute before the bracket"));
        };
        let scope = Scope::Parts(path.attribute);
        let mut inner = self.or(scope)?;
        if !self.take(']') {
            return Err(self.wrong("a closing bracket"));
        }
        if self.rest().starts_with('.') {
            self.at += 1;
            let part = self.attribute_path(scope)?;
            inner = Filter::And(vec![inner, self.test(part)?]);
        }
        Ok(Filter::Within(path, Box::new(inner)))
    }

    fn attribute_path(&mut self, scope: Scope) -> Result<Option<AttributePath>> {
        self.blanks();
        let named_by = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$' | ':' | '.');
        let length = self.rest().find(|c| !named_by(c)).unwrap_or(self.rest().len());
        let name = &self.rest()[..length];
        if name.is_empty() {
            return Err(self.wrong("an attribute"));
        }
        self.at += length;
        let path = match scope {
            Scope::Resource(kind, _) => kind.resolve(name),
            Scope::Parts(of) => named(of.parts, name).map(|attribute| AttributePath {
                extension: None,
                attribute,
                part: None,
            }),
        };
        match scope {
            Scope::Resource(_, false) => Ok(path),
            _ if path.is_none() => Err(Error::invalid_filter(format!("unknown attribute {name}"))),
            _ => Ok(path),
        }
    }

    fn test(&mut self, place: Option<AttributePath>) -> Result<Filter> {
        let op = self.op()?;
        let value = if op == Op::Pr { Value::Null } else { self.value()? };
        let Some(place) = place else { return Ok(Filter::Never) };
        check_operands(&place, op, value).map(|value| Filter::Test(Test { place, op, value }))
    }

    fn op(&mut self) -> Result<Op> {
        self.blanks();
        let length = self.rest().find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest().len());
        let op = match self.rest()[..length].to_ascii_lowercase().as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "co" => Op::Co,
            "sw" => Op::Sw,
            "ew" => Op::Ew,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "pr" => Op::Pr,
            _ => return Err(self.wrong("an operator: eq, ne, co, sw, ew, gt, ge, lt, le or pr")),
        };
        self.at += length;
        Ok(op)
    }

    fn value(&mut self) -> Result<Value> {
        self.blanks();
        let length =
            if self.rest().starts_with('"') { self.quoted() } else { self.rest().find([' ', ')', ']']) };
        let found = &self.rest()[..length.unwrap_or(self.rest().len())];
        let lower = found.to_ascii_lowercase();
        let word = if found.starts_with('"') { found } else { lower.as_str() };
        let value = serde_json::from_str(word).ok().filter(|v: &Value| !v.is_array() && !v.is_object());
        let value =
            value.ok_or_else(|| self.wrong("a string in double quotes, a number, true, false or null"))?;
        self.at += found.len();
        Ok(value)
    }

    /// The length of the next quoted string, including the quotes.
    fn quoted(&self) -> Option<usize> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '"' if !escaped => return Some(at + 1),
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        None
    }
}

/// Checks that the attribute supports the operator and that the value has its type.
fn check_operands(place: &AttributePath, op: Op, value: Value) -> Result<Value> {
    let leaf = place.leaf();
    let kind =
        if leaf.kind == Kind::Complex { leaf.value_part().map(|part| part.kind) } else { Some(leaf.kind) };
    let wrong = |why: &str| Err(Error::invalid_filter(format!("{} {why}", leaf.name)));
    let is_equality = matches!(op, Op::Eq | Op::Ne);
    match (kind, &value) {
        _ if op == Op::Pr => Ok(value),
        (_, Value::Null) if is_equality => Ok(value),
        (None, _) => wrong("has sub-attributes: name one of them"),
        (Some(Kind::Flag), _) if !is_equality => wrong("supports only eq, ne and pr"),
        (Some(Kind::Flag), Value::Bool(_)) => Ok(value),
        (Some(Kind::Flag), Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(true.into()),
        (Some(Kind::Flag), Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(false.into()),
        (Some(Kind::Flag), _) => wrong("must be true or false"),
        (Some(Kind::Time), Value::String(text)) if instant(text).is_some() => Ok(value),
        (Some(Kind::Time), _) => wrong("must be an RFC 3339 time"),
        (Some(_), Value::String(_)) => Ok(value),
        (Some(_), _) => wrong("must be a string in double quotes"),
    }
}
