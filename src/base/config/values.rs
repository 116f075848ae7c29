//! Values of settings: secrets, times, lists, and what the rules about them share.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};
use url::Url;

pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Longest duration of any time setting.
pub(super) const TIME_MAX: Duration = DAY;
/// Longest duration of the few settings that outlive a day.
pub(super) const MONTH: Duration = Duration::from_secs(30 * 86_400);
pub(super) const DAYS_MAX: u32 = 3_650;
/// Bytes of a key that encrypts or signs.
const KEY_BYTES: usize = 32;

/// A value that is never shown in logs or errors.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// Accepts any scalar, because a variable of digits is read as a number. No error quotes the value.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Text(String),
            Whole(u64),
            Signed(i64),
            Flag(bool),
        }
        match Scalar::deserialize(de) {
            Ok(Scalar::Text(text)) => Ok(Self(text)),
            Ok(Scalar::Whole(n)) => Ok(Self(n.to_string())),
            Ok(Scalar::Signed(n)) => Ok(Self(n.to_string())),
            Ok(Scalar::Flag(flag)) => Ok(Self(flag.to_string())),
            Err(_) => Err(serde::de::Error::custom("must be text; put it in quotes")),
        }
    }
}

impl Secret {
    /// The value itself. Call this only where the value is used.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The bytes of a key, if it is the base64 of 32 bytes.
    pub fn key(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(&self.0).ok().filter(|key| key.len() == KEY_BYTES)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "[redacted]" })
    }
}

/// The reasons of the broken rules.
pub(super) fn broken(rules: &[(bool, &str)]) -> Vec<String> {
    rules.iter().filter(|(broken, _)| *broken).map(|(_, reason)| (*reason).to_owned()).collect()
}

/// Whether a time is zero, or longer than a time setting may be.
pub(super) fn no_time(time: Duration) -> bool {
    time.is_zero() || time > TIME_MAX
}

/// The URL, if it is one of a web server.
pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a text is neither empty nor the URL of a web server.
pub(super) fn no_url(text: &str) -> bool {
    !text.is_empty() && web_url(text).is_none()
}

/// A time in milliseconds.
pub(super) fn millis<'de, D: Deserializer<'de>>(de: D) -> Result<Duration, D::Error> {
    u64::deserialize(de).map(Duration::from_millis)
}

/// An address, or empty.
pub(super) fn optional<'de, D: Deserializer<'de>>(de: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(de)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A list, or one string with commas, as an environment variable has it.
pub(super) fn list<'de, D: Deserializer<'de>, T: From<String> + Deserialize<'de>>(
    de: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Many(Vec<T>),
        One(String),
    }
    Ok(match Either::deserialize(de)? {
        Either::Many(values) => values,
        Either::One(text) => {
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| T::from(s.to_owned())).collect()
        }
    })
}
