//! The attributes that an answer contains (RFC 7644 §3.9).

use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::schema::{AttributePath, ResourceType};

/// Longest list of attributes, in bytes.
const LIST_MAX_BYTES: usize = 8_192;
/// Part of every answer.
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// The names in `attributes` or `excludedAttributes`. Without both, all attributes are returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    only: Option<Vec<String>>,
    without: Vec<String>,
}

fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl Shown {
    /// # Errors
    /// `invalidValue` if both are given.
    pub fn of(only: Option<&str>, without: Option<&str>) -> Result<Self> {
        if only.is_some() && without.is_some() {
            return Err(Error::invalid_value("attributes and excludedAttributes cannot be combined"));
        }
        if only.or(without).is_some_and(|list| list.len() > LIST_MAX_BYTES) {
            return Err(Error::invalid_value(format!(
                "a list of attributes can have at most {LIST_MAX_BYTES} bytes"
            )));
        }
        Ok(Self { only: only.map(split), without: without.map(split).unwrap_or_default() })
    }

    /// Whether the answer contains an attribute.
    pub fn shows(&self, kind: &'static ResourceType, attribute: &str) -> bool {
        let names = |name: &String| kind.resolve(name).is_some_and(|place| place.attribute.name == attribute);
        let whole = |name: &String| names(name) && !name.rsplit(':').next().unwrap_or(name).contains('.');
        self.only.as_ref().is_none_or(|only| only.iter().any(names)) && !self.without.iter().any(whole)
    }

    /// The resource with the attributes of the answer.
    pub fn project(
        &self,
        kind: &'static ResourceType,
        mut resource: Map<String, Value>,
    ) -> Map<String, Value> {
        for name in &self.without {
            match kind.split(name) {
                Some((Some(schema), "")) if schema.urn != kind.schema.urn => _ = resource.remove(schema.urn),
                _ => kind.resolve(name).into_iter().for_each(|place| leave_out(&mut resource, &place)),
            }
        }
        let Some(only) = &self.only else { return resource };
        let mut shown = Map::new();
        for name in ALWAYS {
            shown.extend(resource.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        for name in only {
            match kind.split(name) {
                Some((Some(schema), "")) => {
                    shown.extend(resource.get(schema.urn).map(|all| (schema.urn.to_owned(), all.clone())));
                }
                _ => kind.resolve(name).into_iter().for_each(|place| put_in(&mut shown, &resource, &place)),
            }
        }
        shown
    }
}

fn leave_out(resource: &mut Map<String, Value>, place: &AttributePath) {
    let name = place.attribute.name;
    let container = match place.extension {
        Some(schema) => resource.get_mut(schema.urn).and_then(Value::as_object_mut),
        None => Some(resource),
    };
    let Some(container) = container.filter(|_| !ALWAYS.contains(&name)) else { return };
    let Some(part) = place.part else {
        container.remove(name);
        return;
    };
    match container.get_mut(name) {
        Some(Value::Array(list)) => {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(|value| _ = value.remove(part.name));
        }
        Some(Value::Object(parts)) => _ = parts.remove(part.name),
        _ => {}
    }
}

fn put_in(shown: &mut Map<String, Value>, resource: &Map<String, Value>, place: &AttributePath) {
    let name = place.attribute.name;
    let from = match place.extension {
        Some(schema) => resource.get(schema.urn).and_then(Value::as_object),
        None => Some(resource),
    };
    let Some(whole) = from.and_then(|from| from.get(name)) else { return };
    let container = match place.extension {
        Some(schema) => {
            let entry = shown.entry(schema.urn).or_insert_with(|| Map::new().into());
            match entry.as_object_mut() {
                Some(container) => container,
                None => return,
            }
        }
        None => shown,
    };
    let Some(part) = place.part else {
        container.insert(name.to_owned(), whole.clone());
        return;
    };
    let shown = container.entry(name).or_insert_with(|| {
        if whole.is_array() {
            vec![Value::Null; whole.as_array().map_or(0, Vec::len)].into()
        } else {
            Value::Null
        }
    });
    match (whole, shown) {
        (Value::Array(from), Value::Array(to)) => {
            from.iter().zip(to).for_each(|(from, to)| add_part(from, to, part.name));
        }
        (from, to) => add_part(from, to, part.name),
    }
}

fn add_part(from: &Value, to: &mut Value, part: &str) {
    if to.is_null() {
        *to = Map::new().into();
    }
    if let (Some(value), Some(to)) = (from.get(part), to.as_object_mut()) {
        to.insert(part.to_owned(), value.clone());
    }
}
