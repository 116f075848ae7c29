//! Strict JSON parsing. An object must be an object, and errors use the words of the contract.

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, de};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;
use std::fmt;

use crate::base::error::{Error, Kind, Result};

/// Parses all of `bytes`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Strict { from: &mut reader }).map_err(|e| {
        if e.inner().is_data() { of_field("", e.path(), e.inner()) } else { malformed(e.inner()) }
    })?;
    reader.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

/// Parses a part that is already a JSON value. Error pointers begin with `at`, the pointer of the part.
pub fn read_value<T: DeserializeOwned>(value: Value, at: &str) -> Result<T> {
    serde_path_to_error::deserialize(Strict { from: value }).map_err(|e| of_field(at, e.path(), e.inner()))
}

/// Parses a part that was kept as text. An error in it concerns only this part.
pub fn read_part<T: DeserializeOwned>(text: &RawValue, at: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text.get());
    serde_path_to_error::deserialize(Strict { from: &mut reader }).map_err(|e| {
        if e.inner().is_data() {
            of_field(at, e.path(), e.inner())
        } else {
            Error::field(at, "contains half of a surrogate pair, or a number that is too large")
        }
    })
}

/// How deep lists and objects lie in each other: 0 for other values, 1 for a list or an object that holds none.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// A syntax error, without the words of the parser.
pub fn malformed(e: &serde_json::Error) -> Error {
    let detail = match (e.classify(), e.line(), e.column()) {
        (Category::Eof, 1, 0) => "the body is empty".into(),
        (Category::Eof, ..) => "the JSON is incomplete".into(),
        (_, line, column) => format!("invalid JSON at line {line}, column {column}"),
    };
    Error::new(Kind::MalformedBody, detail)
}

/// Turns a message of serde into the words of the contract.
pub fn reason(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    let is = |beginning: &str| text.starts_with(beginning);
    if ["invalid type", "invalid value", "invalid length", "unknown variant"].into_iter().any(is) {
        let expected = text.split_once(", expected ").map_or("something else", |(_, expected)| expected);
        return match expected {
            "a sequence" => "must be a list".into(),
            "a JSON number" => "must be a number".into(),
            _ => format!("must be {expected}"),
        };
    }
    text.to_owned()
}

fn of_field(at: &str, path: &serde_path_to_error::Path, e: &serde_json::Error) -> Error {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    let below: String = path
        .iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect();
    let reason = reason(&e.to_string());
    match reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(name) => Error::field(format!("{at}{below}/{}", escaped(name)), "is missing"),
        None => Error::field(format!("{at}{below}"), reason),
    }
}

/// The expected type. It is checked here once for all types: a list never replaces another type.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Object,
    List,
    Text,
    Whole,
    Number,
    Flag,
    Anything,
}

/// Parses like `from`, but refuses a list for an object and an object for a string.
struct Strict<D> {
    from: D,
}

/// Passes a value of the `expected` type to `to`. Nested values use [`Strict`].
struct Taker<V> {
    to: V,
    expected: Expected,
}

/// The contents of a list or an object.
struct Parts<A>(A);

struct Seed<S>(S);

macro_rules! reads {
    ($($method:ident: $expected:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, to: V) -> std::result::Result<V::Value, D::Error> {
            self.from.$method(Taker { to, expected: Expected::$expected })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    reads! {
        deserialize_any: Anything, deserialize_option: Anything, deserialize_unit: Anything,
        deserialize_ignored_any: Anything, deserialize_identifier: Anything, deserialize_bytes: Anything,
        deserialize_byte_buf: Anything, deserialize_bool: Flag, deserialize_i8: Whole, deserialize_i16: Whole,
        deserialize_i32: Whole, deserialize_i64: Whole, deserialize_u8: Whole, deserialize_u16: Whole,
        deserialize_u32: Whole, deserialize_u64: Whole, deserialize_f32: Number, deserialize_f64: Number,
        deserialize_char: Text, deserialize_str: Text, deserialize_string: Text, deserialize_seq: List,
        deserialize_map: Object,
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        self.from.deserialize_struct(name, fields, Taker { to, expected: Expected::Object })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        self.from.deserialize_unit_struct(name, Taker { to, expected: Expected::Anything })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        self.from.deserialize_newtype_struct(name, Taker { to, expected: Expected::Anything })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        self.from.deserialize_tuple(len, Taker { to, expected: Expected::List })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        self.from.deserialize_tuple_struct(name, len, Taker { to, expected: Expected::List })
    }

    /// An enum of strings.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        to: V,
    ) -> std::result::Result<V::Value, D::Error> {
        let word = String::deserialize(self)?;
        to.visit_enum(StringDeserializer::new(word))
    }
}

macro_rules! takes {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method<E: de::Error>(self, value: $type) -> std::result::Result<V::Value, E> {
            self.to.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Taker<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self.expected {
            Expected::Object => "an object",
            Expected::Text => "a string",
            Expected::Whole => "a whole number",
            Expected::Number => "a number",
            Expected::Flag => "true or false",
            Expected::List | Expected::Anything => return self.to.expecting(f),
        })
    }

    takes! {
        visit_bool: bool, visit_str: &str, visit_borrowed_str: &'de str,
        visit_string: String, visit_bytes: &[u8],
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> std::result::Result<V::Value, E> {
        let bounds = self.bounds();
        self.to.visit_i64(value).map_err(bounds)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> std::result::Result<V::Value, E> {
        let bounds = self.bounds();
        self.to.visit_u64(value).map_err(bounds)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> std::result::Result<V::Value, E> {
        if self.expected == Expected::Whole {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        self.to.visit_f64(value)
    }

    fn visit_none<E: de::Error>(self) -> std::result::Result<V::Value, E> {
        self.to.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> std::result::Result<V::Value, E> {
        self.to.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> std::result::Result<V::Value, D::Error> {
        self.to.visit_some(Strict { from })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> std::result::Result<V::Value, D::Error> {
        self.to.visit_newtype_struct(Strict { from })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> std::result::Result<V::Value, A::Error> {
        if self.expected == Expected::Object {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        self.to.visit_seq(Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, parts: A) -> std::result::Result<V::Value, A::Error> {
        self.to.visit_map(Parts(parts))
    }
}

impl<'de, V: Visitor<'de>> Taker<V> {
    /// The error for a number outside its type.
    fn bounds<E: de::Error>(&self) -> impl Fn(E) -> E + use<E, V> {
        let whole = self.expected == Expected::Whole;
        move |e| if whole { E::custom("must be a whole number within its bounds") } else { e }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<S::Value, D::Error> {
        self.0.deserialize(Strict { from })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> std::result::Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Seed(seed))
    }
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> std::result::Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> std::result::Result<S::Value, A::Error> {
        self.0.next_value_seed(Seed(seed))
    }
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}
