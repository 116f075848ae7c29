//! Numbers with a kind: a channel's id cannot be passed where a message's id belongs.
//!
//! A number is a `bigint` in the database and a decimal string in JSON, because JavaScript loses 64-bit integers.

use std::fmt;
use std::result::Result as StdResult;

use postgres_types::{FromSql, ToSql};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// Reads a decimal string: only digits, without a leading zero, above zero.
pub fn parse(text: &str) -> Option<i64> {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if is_decimal { text.parse().ok() } else { None }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSql, FromSql)]
        #[postgres(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Above every id of this kind.
            pub const MAX: Self = Self(i64::MAX);

            /// Reads a decimal string. See [`parse`].
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, ser: S) -> StdResult<S::Ok, S::Error> {
                ser.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(de: D) -> StdResult<Self, D::Error> {
                let text = String::deserialize(de)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom("must be an id: a decimal string"))
            }
        }
    };
}

number!(
    /// The id of a channel.
    ChannelId
);
number!(
    /// The id of a message. It grows with the time of the message.
    MsId
);
impl MsId {
    /// The smallest id of a time.
    pub fn first_of(moment: OffsetDateTime) -> Self {
        let ms = moment.unix_timestamp_nanos() / 1_000_000;
        Self(i64::try_from(ms.clamp(0, i128::from(i64::MAX >> 22))).unwrap_or(0) << 22)
    }

    /// The id after this one, or this one if it is the greatest.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The id before this one, or this one if it is the least.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

number!(
    /// The id of a call.
    CallId
);
number!(
    /// The id of an uploaded file.
    FileId
);
number!(
    /// Any other id on the wire: of a run, an edit, an event, a dead letter.
    Id
);

/// For `#[serde(with = "number::plain")]`: the number itself, as documents of the archive and cursors hold it.
pub mod plain {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the number.
    pub fn serialize<T: Into<i64> + Copy, S: Serializer>(number: &T, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_i64((*number).into())
    }

    /// Reads the number.
    pub fn deserialize<'de, T: From<i64>, D: Deserializer<'de>>(de: D) -> Result<T, D::Error> {
        i64::deserialize(de).map(T::from)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChannelId, parse};

    #[test]
    fn a_number_is_a_decimal_string_in_json() {
        let json = serde_json::to_string(&ChannelId(9_007_199_254_740_993)).unwrap();
        assert_eq!(json, "\"9007199254740993\"");
        assert_eq!(serde_json::from_str::<ChannelId>(&json).unwrap(), ChannelId(9_007_199_254_740_993));
        for wrong in ["7", "\"07\"", "\"-7\"", "\"\"", "\"0\"", "\"7 \"", "\"9223372036854775808\""] {
            assert!(serde_json::from_str::<ChannelId>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_plain_digits_are_an_id() {
        assert_eq!(parse("12"), Some(12));
        for wrong in ["", "0", "012", "+1", "-1", "1.0", "١", "99999999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
