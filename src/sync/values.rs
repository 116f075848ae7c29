//! Attributes of a user and their values in edits.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::error::{Error, Result};
use crate::sync::record::{EDITABLE, USER_ATTRIBUTES, UserRecord};

/// Attributes with their values; null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Values(BTreeMap<&'static str, Value>);

/// The name of an editable attribute.
pub(in crate::sync) fn named(attribute: &str) -> Option<&'static str> {
    EDITABLE.iter().find(|editable| **editable == attribute).copied()
}

impl Values {
    /// Reads a caller's request.
    ///
    /// # Errors
    /// `InvalidField` for an unknown attribute, an invalid value, or an empty request.
    pub fn asked(body: Map<String, Value>) -> Result<Self> {
        let mut values = Self::default();
        for (attribute, value) in body {
            let pointer = || format!("/{}", attribute.replace('~', "~0").replace('/', "~1"));
            let attribute =
                named(&attribute).ok_or_else(|| Error::field(pointer(), "is not an editable attribute"))?;
            check(attribute, &value).map_err(|reason| Error::field(pointer(), reason))?;
            values.put(attribute, value);
        }
        if values.is_empty() {
            return Err(Error::field("", "must contain at least one attribute"));
        }
        values.record("anyone")?;
        Ok(values)
    }

    /// All editable attributes of a record.
    pub fn of(record: &UserRecord) -> Self {
        let value = |attribute: &&'static str| {
            let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
            let value = match *attribute {
                "name" => text(&record.name),
                "head_icon" => text(&record.head_icon),
                "active" => record.active.into(),
                "login_name" => text(&record.login_name),
                "employee_number" => text(&record.employee_number),
                "title" => text(&record.title),
                "email" => text(&record.email),
                "phone" => text(&record.phone),
                "manager" => text(&record.manager),
                _ => record.department_ids.clone().into(),
            };
            (*attribute, value)
        };
        Self(EDITABLE.iter().map(value).collect())
    }

    /// Reads stored values.
    pub(in crate::sync) fn kept(values: Map<String, Value>) -> Self {
        Self(values.into_iter().filter_map(|(name, value)| Some((named(&name)?, value))).collect())
    }

    /// A record that sets these attributes of a user and no others.
    ///
    /// # Errors
    /// `InvalidField` for a value that cannot be stored.
    pub(in crate::sync) fn record(&self, user_id: &str) -> Result<UserRecord> {
        let text = |attribute| self.text(attribute).map(str::to_owned);
        let record = UserRecord {
            name: text("name"),
            head_icon: text("head_icon"),
            active: self.0.get("active").is_none_or(|active| *active == true),
            login_name: text("login_name"),
            employee_number: text("employee_number"),
            title: text("title"),
            email: text("email"),
            phone: text("phone"),
            manager: text("manager"),
            department_ids: self.list("department_ids"),
            unset: USER_ATTRIBUTES.iter().copied().filter(|a| !self.0.contains_key(a)).collect(),
            ..UserRecord::of(user_id, user_id)
        };
        match record.check() {
            Ok(()) => Ok(record),
            Err((attribute, reason)) => Err(Error::field(format!("/{attribute}"), reason)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(attribute, value)| (*attribute, value))
    }

    pub fn get(&self, attribute: &str) -> Option<&Value> {
        self.0.get(attribute)
    }

    pub(in crate::sync) fn put(&mut self, attribute: &'static str, value: Value) {
        self.0.insert(attribute, value);
    }

    pub(in crate::sync) fn text(&self, attribute: &str) -> Option<&str> {
        self.0.get(attribute)?.as_str()
    }

    pub(in crate::sync) fn list(&self, attribute: &str) -> Vec<String> {
        let list = self.0.get(attribute).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Splits into attributes that match, and the others.
    pub(in crate::sync) fn partition(self, is: impl Fn(&str) -> bool) -> (Self, Self) {
        let (yes, no) = self.0.into_iter().partition(|(attribute, _)| is(attribute));
        (Self(yes), Self(no))
    }

    pub(in crate::sync) fn without(&self, others: &Self) -> Self {
        let rest = self.0.iter().filter(|(attribute, _)| !others.0.contains_key(*attribute));
        Self(rest.map(|(attribute, value)| (*attribute, value.clone())).collect())
    }

    /// The values of these attributes in another set.
    pub(in crate::sync) fn among(&self, others: &Self) -> Self {
        let value = |attribute: &'static str| Some((attribute, others.0.get(attribute)?.clone()));
        Self(self.names().filter_map(value).collect())
    }

    /// Removes the values that are the same in another set.
    pub(in crate::sync) fn drop_same(&mut self, others: &Self) {
        self.0.retain(|attribute, value| !others.0.get(attribute).is_some_and(|other| is_same(value, other)));
    }

    /// Whether another set has all of these values.
    pub(in crate::sync) fn are_in(&self, others: &Self) -> bool {
        self.iter()
            .all(|(attribute, value)| others.0.get(attribute).is_some_and(|other| is_same(value, other)))
    }
}

/// The first department is the main one; the order of the others does not matter.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_array(), other.as_array()) {
        (Some(one), Some(other)) => {
            let set = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let (ones, others): (HashSet<String>, HashSet<String>) = (set(one), set(other));
            one.first() == other.first() && ones == others
        }
        _ => one == other,
    }
}

/// Checks what the type of a record does not check.
fn check(attribute: &str, value: &Value) -> std::result::Result<(), &'static str> {
    match (attribute, value) {
        ("active", Value::Bool(_)) => Ok(()),
        ("active", _) => Err("must be true or false"),
        ("department_ids", Value::Array(list)) => {
            let mut seen = HashSet::new();
            if list.iter().all(|id| id.as_str().is_some_and(|id| seen.insert(id))) {
                Ok(())
            } else {
                Err("must be a list of ids without duplicates")
            }
        }
        ("department_ids", _) => Err("must be a list of ids"),
        ("name", Value::Null) => Err("cannot be cleared"),
        (_, Value::Null) => Ok(()),
        // Sources, and this service, trim blanks at the ends: a value with blanks would never match.
        (_, Value::String(text)) if text.is_empty() || text.trim() != text => {
            Err("must be a text without blanks at its ends, or null")
        }
        (_, Value::String(_)) => Ok(()),
        _ => Err("must be a text or null"),
    }
}
