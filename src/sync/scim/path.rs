//! Paths of a PATCH (RFC 7644 §3.5.2).

use super::error::{Error, Result};
use super::filter::Filter;
use super::schema::{Attribute, ResourceType, Schema, named};

/// A schema, an attribute, some values of it, or a sub-attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub extension: Option<&'static Schema>,
    /// `None`: all attributes of the schema.
    pub attribute: Option<&'static Attribute>,
    pub filter: Option<Filter>,
    pub part: Option<&'static Attribute>,
}

impl Target {
    /// # Errors
    /// `invalidPath`, or `invalidFilter` for a filter in brackets.
    pub fn parse(text: &str, kind: &'static ResourceType) -> Result<Self> {
        let unknown = || Error::invalid_path("the path names an unknown attribute");
        let text = text.trim();
        if let Some((Some(schema), "")) = kind.split(text) {
            let extension = (schema.urn != kind.schema.urn).then_some(schema);
            return Ok(Self { extension, attribute: None, filter: None, part: None });
        }
        let Some((whole, rest)) = text.split_once('[') else {
            let place = kind.resolve(text).ok_or_else(unknown)?;
            let (extension, attribute) = (place.extension, Some(place.attribute));
            return Ok(Self { extension, attribute, filter: None, part: place.part });
        };
        let place = kind.resolve(whole).filter(|place| place.part.is_none() && place.attribute.many);
        let place = place.ok_or_else(unknown)?;
        let (filter, part) = rest.rsplit_once(']').ok_or_else(unknown)?;
        let filter = Filter::parse_parts(filter, place.attribute)?;
        let part = match part.strip_prefix('.') {
            Some(part) => Some(named(place.attribute.parts, part).ok_or_else(unknown)?),
            None if part.is_empty() => None,
            None => return Err(unknown()),
        };
        Ok(Self { extension: place.extension, attribute: Some(place.attribute), filter: Some(filter), part })
    }

    /// Whether the client may not change it.
    pub fn is_read_only(&self) -> bool {
        self.attribute.is_some_and(Attribute::is_read_only) || self.part.is_some_and(Attribute::is_read_only)
    }
}
