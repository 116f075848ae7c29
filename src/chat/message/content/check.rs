//! The limits of contents and of client ids.

use super::{Content, File, Link, Location, Picture, Text, Video, Voice};
use crate::base::error::{Error, Result};
use crate::base::number::FileId;
use crate::base::text::{is_blank, is_label};

/// The longest text of a message.
pub const TEXT_MAX_CHARS: usize = 20_000;
/// Characters of the text below a link's title.
const SUMMARY_MAX_CHARS: usize = 1_000;
const URL_MAX_CHARS: usize = 2_048;
const NAME_MAX_CHARS: usize = 255;
const MEDIA_TYPE_MAX_CHARS: usize = 127;
const PIXELS_MAX: u64 = 100_000;
/// A day.
const DURATION_MAX_MS: u64 = 86_400_000;
/// The largest integer that JavaScript represents exactly.
pub const SIZE_MAX_BYTES: u64 = (1 << 53) - 1;
const CLIENT_ID_MAX_CHARS: usize = 128;
const LABEL: &str = "must be one line of 1 to 255 characters, at least one of them visible, without control \
     characters and without directional marks (U+202A to U+202E, U+2066 to U+2069)";
const ADDRESS: &str =
    "must be an http or https URL or a path, of 1 to 2,048 characters, without blanks or control characters";
const MISSING: &str = "is missing";
const DURATION: &str = "must be 1 to 86,400,000 milliseconds";

/// The wrong field and what it must be, if one is wrong.
pub(super) type Checked = std::result::Result<(), (&'static str, &'static str)>;

impl Content {
    pub(super) fn check(&self) -> Checked {
        match self {
            Self::Text(Text { text }) | Self::Markdown(Text { text }) => {
                let chars = text.chars().count();
                if chars > TEXT_MAX_CHARS || is_blank(text) {
                    return Err(("text", "must have 1 to 20,000 characters, at least one of them visible"));
                }
                no_nul("text", text)
            }
            Self::Picture(p) => p.check(),
            Self::File(f) => f.check(),
            Self::Voice(v) => v.check(),
            Self::Video(v) => v.check(),
            Self::Location(l) => l.check(),
            Self::Link(l) => l.check(),
            Self::Card(c) => c.check(),
            Self::Mls(m) => m.check(),
        }
    }
}

impl Picture {
    fn check(&self) -> Checked {
        check_source(self.url.as_deref(), self.file_id)?;
        check_pixels(self.width, self.height)?;
        check_size(self.size.unwrap_or(0))?;
        self.name.as_deref().map_or(Ok(()), |name| check_label("name", name))
    }
}

impl File {
    fn check(&self) -> Checked {
        check_source(self.url.as_deref(), self.file_id)?;
        if self.url.is_some() {
            let given = [
                ("name", self.name.is_some()),
                ("size", self.size.is_some()),
                ("media_type", self.media_type.is_some()),
            ];
            if let Some((missing, _)) = given.into_iter().find(|(_, given)| !given) {
                return Err((missing, MISSING));
            }
        }
        self.name.as_deref().map_or(Ok(()), |name| check_label("name", name))?;
        check_size(self.size.unwrap_or(0))?;
        self.media_type.as_deref().map_or(Ok(()), check_media_type)
    }
}

impl Voice {
    fn check(&self) -> Checked {
        check_source(self.url.as_deref(), self.file_id)?;
        check_duration(Some(self.duration_ms))?;
        check_size(self.size.unwrap_or(0))?;
        match self.media_type.as_deref() {
            None if self.url.is_some() => Err(("media_type", MISSING)),
            media_type => media_type.map_or(Ok(()), check_media_type),
        }
    }
}

impl Video {
    fn check(&self) -> Checked {
        check_source(self.url.as_deref(), self.file_id)?;
        self.name.as_deref().map_or(Ok(()), |name| check_label("name", name))?;
        self.media_type.as_deref().map_or(Ok(()), check_media_type)?;
        check_duration(self.duration_ms)?;
        check_pixels(self.width, self.height)?;
        check_size(self.size.unwrap_or(0))?;
        self.poster.as_deref().map_or(Ok(()), |poster| check_address("poster", poster))
    }
}

impl Location {
    fn check(&self) -> Checked {
        if !(-90.0..=90.0).contains(&self.latitude) {
            return Err(("latitude", "must be -90 to 90 degrees"));
        }
        if !(-180.0..=180.0).contains(&self.longitude) {
            return Err(("longitude", "must be -180 to 180 degrees"));
        }
        self.name.as_deref().map_or(Ok(()), |name| check_label("name", name))?;
        self.address.as_deref().map_or(Ok(()), |address| check_label("address", address))
    }
}

impl Link {
    fn check(&self) -> Checked {
        check_address("url", &self.url)?;
        check_label("title", &self.title)?;
        if let Some(text) = &self.text {
            if text.chars().count() > SUMMARY_MAX_CHARS || is_blank(text) {
                return Err(("text", "must have 1 to 1,000 characters, at least one of them visible"));
            }
            no_nul("text", text)?;
        }
        self.picture.as_deref().map_or(Ok(()), |picture| check_address("picture", picture))
    }
}

pub(super) fn no_nul(field: &'static str, text: &str) -> Checked {
    if text.contains('\0') { Err((field, "must not contain U+0000")) } else { Ok(()) }
}

/// Accepts an http(s) URL, or a path or key of the portal that stores the file. Refuses other schemes, because
/// a browser may run them (`javascript:`).
pub(super) fn check_address(field: &'static str, url: &str) -> Checked {
    let head = url.split(['/', '?', '#']).next().unwrap_or_default();
    let shaped = url.starts_with("http://") || url.starts_with("https://") || !head.contains(':');
    let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    let fits = shaped && clean && (1..=URL_MAX_CHARS).contains(&url.chars().count());
    if fits { Ok(()) } else { Err((field, ADDRESS)) }
}

/// A file lies at an address of the portal, or in the service.
fn check_source(url: Option<&str>, file_id: Option<FileId>) -> Checked {
    match (url, file_id) {
        (Some(url), None) => check_address("url", url),
        (None, Some(_)) => Ok(()),
        (Some(_), Some(_)) => Err(("file_id", "cannot be combined with `url`")),
        (None, None) => Err(("url", "is missing: give `url` or `file_id`")),
    }
}

pub(super) fn check_label(field: &'static str, text: &str) -> Checked {
    if is_label(text, NAME_MAX_CHARS) { Ok(()) } else { Err((field, LABEL)) }
}

fn check_size(size: u64) -> Checked {
    if size > SIZE_MAX_BYTES { Err(("size", "must be below 2^53 bytes")) } else { Ok(()) }
}

fn check_pixels(width: Option<u64>, height: Option<u64>) -> Checked {
    let wrong = [width, height].into_iter().flatten().any(|px| px == 0 || px > PIXELS_MAX);
    if wrong { Err(("width", "width and height must be 1 to 100,000 pixels")) } else { Ok(()) }
}

fn check_duration(duration_ms: Option<u64>) -> Checked {
    let fits = duration_ms.is_none_or(|ms| (1..=DURATION_MAX_MS).contains(&ms));
    if fits { Ok(()) } else { Err(("duration_ms", DURATION)) }
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
