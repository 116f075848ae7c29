//! The content of a message: one type each for text, picture, file and others, with limits.

mod card;
mod check;
mod mls;
mod preview;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::base::error::{Error, Result};
use crate::base::number::FileId;
use crate::base::strict;

/// The fields of all content types.
const FIELDS: [&str; 26] = [
    "text",
    "url",
    "file_id",
    "width",
    "height",
    "size",
    "name",
    "media_type",
    "duration_ms",
    "poster",
    "latitude",
    "longitude",
    "address",
    "title",
    "picture",
    "fields",
    "buttons",
    "version",
    "messages",
    "call_id",
    "media",
    "outcome",
    "user_ids",
    "mls",
    "kind",
    "epoch",
];

/// A message's content: one of these. A text names emoji as `[:emoji_id:]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(Text),
    Picture(Picture),
    File(File),
    Voice(Voice),
    Video(Video),
    Location(Location),
    Markdown(Text),
    Link(Link),
    Card(Card),
    Mls(Mls),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
    #[serde(deserialize_with = "safe_integer")]
    duration_ms: u64,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    width: Option<u64>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    #[serde(default, deserialize_with = "optional_safe_integer", skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The address of a still picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    poster: Option<String>,
}

/// A place on the earth, in degrees of WGS 84.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    latitude: f64,
    longitude: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    url: String,
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The address of a small picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
}

/// What is known of an uploaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub name: String,
    pub size: u64,
    pub media_type: String,
    /// Width and height of a picture.
    pub pixels: Option<(u64, u64)>,
}

impl Content {
    /// The types that a caller can send.
    pub const TYPES: [&str; 10] =
        ["text", "picture", "file", "voice", "video", "location", "markdown", "link", "card", Mls::TYPE];
    /// What a wrong type must be.
    pub const TYPE_RULE: &str =
        "must be text, picture, file, voice, video, location, markdown, link, card or mls";

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
            "voice" => Self::Voice(strict::read_value(content, &below)?),
            "video" => Self::Video(strict::read_value(content, &below)?),
            "location" => Self::Location(strict::read_value(content, &below)?),
            "markdown" => Self::Markdown(strict::read_value(content, &below)?),
            "link" => Self::Link(strict::read_value(content, &below)?),
            "card" => Self::Card(strict::read_value(content, &below)?),
            Mls::TYPE => Self::Mls(strict::read_value(content, &below)?),
            _ => return Err(Error::field(format!("{at}/type"), Self::TYPE_RULE)),
        };
        parsed.check().map_err(|(field, reason)| Error::field(format!("{at}/content/{field}"), reason))?;
        Ok(parsed)
    }

    pub fn ms_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Picture(_) => "picture",
            Self::File(_) => "file",
            Self::Voice(_) => "voice",
            Self::Video(_) => "video",
            Self::Location(_) => "location",
            Self::Markdown(_) => "markdown",
            Self::Link(_) => "link",
            Self::Card(_) => "card",
            Self::Mls(_) => Mls::TYPE,
        }
    }

    /// The uploaded file that it holds.
    pub fn file_id(&self) -> Option<FileId> {
        match self {
            Self::Picture(picture) => picture.file_id,
            Self::File(file) => file.file_id,
            Self::Voice(voice) => voice.file_id,
            Self::Video(video) => video.file_id,
            _ => None,
        }
    }

    /// The content with what is known of its file. What the sender said of that does not count.
    ///
    /// # Errors
    /// What the file must be.
    pub fn with_file(mut self, stored: StoredFile) -> std::result::Result<Self, &'static str> {
        let StoredFile { name, size, media_type, pixels } = stored;
        let is = |kinds: &[&str]| kinds.iter().any(|kind| media_type.starts_with(kind));
        let (width, height) = pixels.unzip();
        match &mut self {
            Self::Picture(_) if !is(&["image/"]) => return Err("must be a picture"),
            // Browsers record sound as a video without pictures.
            Self::Voice(_) if !is(&["audio/", "video/", "application/ogg"]) => return Err("must be a sound"),
            Self::Video(_) if !is(&["video/", "application/ogg"]) => return Err("must be a video"),
            Self::Picture(picture) => {
                (picture.name, picture.size, picture.width, picture.height) =
                    (Some(name), Some(size), width, height);
            }
            Self::File(file) => {
                (file.name, file.size, file.media_type) = (Some(name), Some(size), Some(media_type));
            }
            Self::Voice(voice) => (voice.size, voice.media_type) = (Some(size), Some(media_type)),
            Self::Video(video) => {
                (video.name, video.size, video.media_type) = (Some(name), Some(size), Some(media_type));
            }
            _ => {}
        }
        Ok(self)
    }

    /// The form in which content is stored, pushed and read.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) | Self::Markdown(text) => json!(text),
            Self::Picture(picture) => json!(picture),
            Self::File(file) => json!(file),
            Self::Voice(voice) => json!(voice),
            Self::Video(video) => json!(video),
            Self::Location(location) => json!(location),
            Self::Link(link) => json!(link),
            Self::Card(card) => json!(card),
            Self::Mls(mls) => json!(mls),
        }
    }
}

/// Reads a whole number from 0 to 2^53 - 1. 7 and 7.0 are the same number in JSON (RFC 8259, section 6).
pub fn safe_integer<'de, D: Deserializer<'de>>(de: D) -> std::result::Result<u64, D::Error> {
    let refuse = || serde::de::Error::custom("must be a whole number from 0 to 2^53 - 1");
    let number = serde_json::Number::deserialize(de).map_err(|_: D::Error| refuse())?;
    let whole = |f: &f64| f.fract() == 0.0 && (0.0..=check::SIZE_MAX_BYTES as f64).contains(f);
    let read = number.as_u64().or_else(|| number.as_f64().filter(whole).map(|f| f as u64));
    read.filter(|n| *n <= check::SIZE_MAX_BYTES).ok_or_else(refuse)
}

fn optional_safe_integer<'de, D: Deserializer<'de>>(de: D) -> std::result::Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "safe_integer")] u64);
    Ok(Option::<Whole>::deserialize(de)?.map(|Whole(n)| n))
}

pub use card::{Card, CardChange};
pub use check::{TEXT_MAX_CHARS, check_client_id};
pub use mls::Mls;
pub use preview::{cut, duration};
