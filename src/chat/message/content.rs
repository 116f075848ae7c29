//! The content of a message: one type each for text, picture and file, with limits.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::base::error::{Error, Result};
use crate::base::strict;
use crate::base::text::{is_blank, is_label};

pub const TEXT_MAX_CHARS: usize = 20_000;
/// Characters of a text in the conversation list.
const PREVIEW_CHARS: usize = 120;
const URL_MAX_CHARS: usize = 2_048;
const NAME_MAX_CHARS: usize = 255;
const MEDIA_TYPE_MAX_CHARS: usize = 127;
const PIXELS_MAX: u64 = 100_000;
/// The largest integer that JavaScript represents exactly.
const SIZE_MAX_BYTES: u64 = (1 << 53) - 1;
const CLIENT_ID_MAX_CHARS: usize = 128;
/// The fields of all content types.
const FIELDS: [&str; 7] = ["text", "url", "width", "height", "size", "name", "media_type"];
const LABEL: &str = "must be one line of 1 to 255 characters, at least one of them visible, without control \
     characters and without directional marks (U+202A to U+202E, U+2066 to U+2069)";

/// A message's content. A message has one text, one picture or one file. A text names emoji as `[:emoji_id:]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(Text),
    Picture(Picture),
    File(File),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    url: String,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    width: Option<u64>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    url: String,
    name: String,
    #[serde(deserialize_with = "safe_integer")]
    size: u64,
    media_type: String,
}

impl Content {
    /// Parses and checks `content` by its `ms_type`. `at` is the pointer of the item that holds both; errors
    /// point below it.
    pub fn parse(ms_type: &str, mut content: Value, at: &str) -> Result<Self> {
        // Clients with one class for all types send unused fields as null.
        if let Value::Object(fields) = &mut content {
            fields.retain(|name, value| !(value.is_null() && FIELDS.contains(&name.as_str())));
        }
        let below = format!("{at}/content");
        let parsed = match ms_type {
            "text" => Self::Text(strict::read_value(content, &below)?),
            "picture" => Self::Picture(strict::read_value(content, &below)?),
            "file" => Self::File(strict::read_value(content, &below)?),
            _ => {
                return Err(Error::field(format!("{at}/type"), "must be text, picture or file"));
            }
        };
        parsed.check().map_err(|(field, reason)| Error::field(format!("{at}/content/{field}"), reason))?;
        Ok(parsed)
    }

    pub fn ms_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Picture(_) => "picture",
            Self::File(_) => "file",
        }
    }

    /// The form in which content is stored, pushed and read.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(Text { text }) => json!({ "text": text }),
            Self::Picture(picture) => json!(picture),
            Self::File(file) => json!(file),
        }
    }

    /// The content as the conversation list shows it: a long text is cut.
    pub fn preview(&self) -> Value {
        match self {
            Self::Text(Text { text }) => {
                json!({ "text": text.chars().take(PREVIEW_CHARS).collect::<String>() })
            }
            other => other.to_json(),
        }
    }

    fn check(&self) -> std::result::Result<(), (&'static str, &'static str)> {
        match self {
            Self::Text(Text { text }) => {
                let chars = text.chars().count();
                if chars > TEXT_MAX_CHARS || is_blank(text) {
                    return Err(("text", "must have 1 to 20,000 characters, at least one of them visible"));
                }
                no_nul("text", text)
            }
            Self::Picture(p) => {
                check_url(&p.url)?;
                if [p.width, p.height].into_iter().flatten().any(|px| px == 0 || px > PIXELS_MAX) {
                    return Err(("width", "width and height must be 1 to 100,000 pixels"));
                }
                check_size(p.size.unwrap_or(0))?;
                p.name.as_deref().map_or(Ok(()), check_name)
            }
            Self::File(f) => {
                check_url(&f.url)?;
                check_name(&f.name)?;
                check_size(f.size)?;
                check_media_type(&f.media_type)
            }
        }
    }
}

/// Reads a whole number from 0 to 2^53 - 1. 7 and 7.0 are the same number in JSON (RFC 8259, section 6).
pub fn safe_integer<'de, D: Deserializer<'de>>(de: D) -> std::result::Result<u64, D::Error> {
    let refuse = || serde::de::Error::custom("must be a whole number from 0 to 2^53 - 1");
    let number = serde_json::Number::deserialize(de).map_err(|_: D::Error| refuse())?;
    let whole = |f: &f64| f.fract() == 0.0 && (0.0..=SIZE_MAX_BYTES as f64).contains(f);
    let read = number.as_u64().or_else(|| number.as_f64().filter(whole).map(|f| f as u64));
    read.filter(|n| *n <= SIZE_MAX_BYTES).ok_or_else(refuse)
}

fn optional_safe_integer<'de, D: Deserializer<'de>>(de: D) -> std::result::Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "safe_integer")] u64);
    Ok(Option::<Whole>::deserialize(de)?.map(|Whole(n)| n))
}

type Checked = std::result::Result<(), (&'static str, &'static str)>;

fn no_nul(field: &'static str, text: &str) -> Checked {
    if text.contains('\0') { Err((field, "must not contain U+0000")) } else { Ok(()) }
}

/// Accepts an http(s) URL, or a path or key of the portal that stores the file. Refuses other schemes, because
/// a browser may run them (`javascript:`).
fn check_url(url: &str) -> Checked {
    let head = url.split(['/', '?', '#']).next().unwrap_or_default();
    let shaped = url.starts_with("http://") || url.starts_with("https://") || !head.contains(':');
    let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    if shaped && clean && (1..=URL_MAX_CHARS).contains(&url.chars().count()) {
        Ok(())
    } else {
        Err((
            "url",
            "must be an http or https URL or a path, of 1 to 2,048 characters, without blanks or control characters",
        ))
    }
}

fn check_name(name: &str) -> Checked {
    if is_label(name, NAME_MAX_CHARS) { Ok(()) } else { Err(("name", LABEL)) }
}

fn check_size(size: u64) -> Checked {
    if size > SIZE_MAX_BYTES { Err(("size", "must be below 2^53 bytes")) } else { Ok(()) }
}

fn check_media_type(media_type: &str) -> Checked {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let shaped = media_type.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if shaped && media_type.len() <= MEDIA_TYPE_MAX_CHARS {
        Ok(())
    } else {
        Err(("media_type", "must be type/subtype (RFC 6838) of at most 127 characters"))
    }
}

/// Checks a client id: 1 to 128 characters without control characters.
pub fn check_client_id(client_id: &str, at: &str) -> Result<()> {
    let chars = client_id.chars().count();
    if chars == 0 || chars > CLIENT_ID_MAX_CHARS || client_id.chars().any(char::is_control) {
        return Err(Error::field(
            format!("{at}/client_id"),
            "must have 1 to 128 characters, none of them a control character",
        ));
    }
    Ok(())
}
