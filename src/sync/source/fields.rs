//! Turns an entry of a listing into a record, with the mapping of the settings.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Entry, EntryKind};
use crate::base::config::DirectorySettings;
use crate::base::error::{Error, Kind, Result};
use crate::sync::record::{DepartmentRecord, USER_ATTRIBUTES, UserRecord};

/// Attributes that identify a record or say that it is gone.
const IDENTITY: &[&str] = &["external_id", "user_id", "gone", "version"];
const DEPARTMENT_ATTRIBUTES: &[&str] = &["department_id", "name", "parent_id", "sort_order", "gone"];

/// The pointers of each attribute, and which attributes the source sets.
#[derive(Debug, Clone)]
pub struct Fields {
    user: BTreeMap<&'static str, Vec<String>>,
    department: BTreeMap<&'static str, Vec<String>>,
    kinds: BTreeMap<String, String>,
    /// Attributes that the source does not set.
    unset: Vec<&'static str>,
    unset_of_departments: Vec<&'static str>,
}

impl Fields {
    /// # Errors
    /// An unknown attribute, or no mapping for the external id.
    pub fn new(settings: &DirectorySettings) -> Result<Self> {
        let known: Vec<&'static str> = IDENTITY.iter().chain(USER_ATTRIBUTES).copied().collect();
        let user = places("directory.user_fields", &settings.user_fields, &known)?;
        let department =
            places("directory.department_fields", &settings.department_fields, DEPARTMENT_ATTRIBUTES)?;
        for (there, setting) in [
            (user.contains_key("external_id"), "directory.user_fields must map external_id"),
            (department.contains_key("department_id"), "directory.department_fields must map department_id"),
            (
                settings.local.iter().all(|a| USER_ATTRIBUTES.contains(&a.as_str())),
                "directory.local contains an unknown attribute",
            ),
        ] {
            if !there {
                return Err(Error::new(Kind::Internal, setting));
            }
        }
        let is_local = |attribute: &str| settings.local.iter().any(|local| local == attribute);
        let unset =
            USER_ATTRIBUTES.iter().copied().filter(|a| !user.contains_key(a) || is_local(a)).collect();
        let unset_of_departments = ["name", "parent_id", "sort_order"]
            .into_iter()
            .filter(|attribute| !department.contains_key(attribute))
            .collect();
        Ok(Self { user, department, kinds: settings.kinds.clone(), unset, unset_of_departments })
    }

    /// For a source whose listed users are active unless an attribute says otherwise. Without this, a user
    /// who comes back would stay inactive.
    pub fn listed_is_active(mut self, settings: &DirectorySettings) -> Self {
        self.unset.retain(|attribute| *attribute != "active" || settings.local.iter().any(|a| a == "active"));
        self
    }

    /// Whether an attribute of a user comes from this source.
    pub fn provides(&self, attribute: &str) -> bool {
        !self.unset.contains(&attribute)
    }

    /// The path where an attribute is written: the first place it is read from, unless that is inside a list.
    /// A list of departments is written whole.
    pub fn path(&self, attribute: &str) -> Option<Vec<String>> {
        let pointer = self.user.get(attribute)?.first()?;
        let pointer = match attribute {
            "department_ids" => pointer.strip_suffix("/*")?,
            _ => pointer,
        };
        let names: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
        let is_name = |name: &String| name != "*" && name.parse::<usize>().is_err();
        (!names.is_empty() && names.iter().all(is_name)).then_some(names)
    }

    /// The user in an entry.
    pub fn user(&self, entry: &Value) -> Entry {
        let (what, id) = (EntryKind::Users, self.user_text(entry, "external_id"));
        let external_id = match id {
            Ok(Some(id)) => id,
            Ok(None) => return Entry::bad(what, None, "external_id: is missing"),
            Err(reason) => return Entry::bad(what, None, format!("external_id: {reason}")),
        };
        match self.read_user(entry, external_id.clone()).and_then(checked_user) {
            Ok(record) => Entry::User(Box::new(record)),
            Err((attribute, reason)) => {
                Entry::bad(what, Some(&external_id), format!("{attribute}: {reason}"))
            }
        }
    }

    /// A record that the source no longer has.
    pub fn gone(what: EntryKind, id: &str) -> Entry {
        let (entry, checked) = match what {
            EntryKind::Users => {
                let user = UserRecord::gone(id);
                let checked = user.check();
                (Entry::User(Box::new(user)), checked)
            }
            EntryKind::Departments => {
                let department = DepartmentRecord::gone(id);
                let checked = department.check();
                (Entry::Department(department), checked)
            }
        };
        match checked {
            Ok(()) => entry,
            Err((attribute, reason)) => Entry::bad(what, Some(id), format!("{attribute}: {reason}")),
        }
    }

    /// The department in an entry.
    pub fn department(&self, entry: &Value) -> Entry {
        let what = EntryKind::Departments;
        let Ok(Some(id)) = text_of(self.department.get("department_id"), entry) else {
            return Entry::bad(what, None, "department_id: is missing");
        };
        match self.read_department(entry, id.clone()).and_then(|entry| entry.check().map(|()| entry)) {
            Ok(record) => Entry::Department(record),
            Err((attribute, reason)) => Entry::bad(what, Some(&id), format!("{attribute}: {reason}")),
        }
    }

    fn read_department(
        &self,
        entry: &Value,
        department_id: String,
    ) -> std::result::Result<DepartmentRecord, Reason> {
        let place = |attribute| self.department.get(attribute);
        let text =
            |attribute: &'static str| text_of(place(attribute), entry).map_err(|reason| (attribute, reason));
        if truth_of(place("gone"), entry).map_err(|reason| ("gone", reason))?.unwrap_or(false) {
            return Ok(DepartmentRecord::gone(department_id));
        }
        let sort_order = text("sort_order")?.map_or(Ok(0), |text| text.parse());
        Ok(DepartmentRecord {
            department_id,
            name: text("name")?,
            parent_id: text("parent_id")?,
            sort_order: sort_order.map_err(|_| ("sort_order", "must be a number that fits into 32 bits"))?,
            gone: false,
            unset: self.unset_of_departments.clone(),
        })
    }

    fn read_user(&self, entry: &Value, external_id: String) -> std::result::Result<UserRecord, Reason> {
        let text =
            |attribute: &'static str| self.user_text(entry, attribute).map_err(|reason| (attribute, reason));
        let truth = |attribute: &'static str| {
            truth_of(self.user.get(attribute), entry).map_err(|reason| (attribute, reason))
        };
        if truth("gone")?.unwrap_or(false) {
            return Ok(UserRecord::gone(external_id));
        }
        let user_id = text("user_id")?.unwrap_or_else(|| external_id.clone());
        let kind = match text("kind")? {
            None => "internal".to_owned(),
            Some(kind) => self.kinds.get(&kind).cloned().unwrap_or(kind),
        };
        Ok(UserRecord {
            name: text("name")?,
            head_icon: text("head_icon")?,
            active: truth("active")?.unwrap_or(true),
            kind,
            login_name: text("login_name")?,
            employee_number: text("employee_number")?,
            title: text("title")?,
            email: text("email")?,
            phone: text("phone")?,
            manager: text("manager")?,
            department_ids: list_of(self.user.get("department_ids"), entry)
                .map_err(|reason| ("department_ids", reason))?,
            source_version: text("version")?,
            gone: false,
            unset: self.unset.clone(),
            ..UserRecord::of(external_id, user_id)
        })
    }

    fn user_text(&self, entry: &Value, attribute: &str) -> std::result::Result<Option<String>, &'static str> {
        text_of(self.user.get(attribute), entry)
    }
}

type Reason = (&'static str, &'static str);

fn checked_user(record: UserRecord) -> std::result::Result<UserRecord, Reason> {
    if record.name.is_none() && !record.unset.contains(&"name") {
        return Err(("name", "is missing"));
    }
    record.check().map(|()| record)
}

/// Adds default mappings for attributes that the settings do not map.
pub fn lay_under(given: &mut BTreeMap<String, String>, places: &[(&str, &str)]) {
    for (attribute, pointers) in places {
        given.entry((*attribute).to_owned()).or_insert_with(|| (*pointers).to_owned());
    }
}

fn places(
    setting: &str,
    given: &BTreeMap<String, String>,
    known: &[&'static str],
) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let mut places = BTreeMap::new();
    for (attribute, pointers) in given.iter().filter(|(_, pointers)| !pointers.is_empty()) {
        let Some(attribute) = known.iter().find(|known| *known == attribute) else {
            return Err(Error::new(Kind::Internal, format!("{setting}: unknown attribute {attribute}")));
        };
        let pointers: Vec<String> = pointers.split('|').map(|p| p.trim().to_owned()).collect();
        if let Some(bad) = pointers.iter().find(|p| !p.starts_with('/')) {
            return Err(Error::new(Kind::Internal, format!("{setting}: {bad} is not a JSON pointer")));
        }
        places.insert(*attribute, pointers);
    }
    Ok(places)
}

pub fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// The values at a pointer; `*` matches every element.
fn all_at<'a>(entry: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut at = vec![entry];
    for segment in pointer.split('/').skip(1) {
        let name = unescaped(segment);
        at = at
            .into_iter()
            .flat_map(|value| match (value, name.as_str()) {
                (Value::Array(list), "*") => list.iter().collect::<Vec<_>>(),
                (Value::Array(list), name) => {
                    name.parse().ok().and_then(|i: usize| list.get(i)).into_iter().collect()
                }
                (Value::Object(map), name) => map.get(name).into_iter().collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    at.into_iter().filter(|value| !value.is_null()).collect()
}

/// The values at the first pointer that has any.
fn values<'a>(places: Option<&Vec<String>>, entry: &'a Value) -> Vec<&'a Value> {
    let mut found = places.into_iter().flatten().map(|pointer| all_at(entry, pointer));
    found.find(|values| !values.is_empty()).unwrap_or_default()
}

fn text_of(places: Option<&Vec<String>>, entry: &Value) -> std::result::Result<Option<String>, &'static str> {
    let text = values(places, entry).first().map(|value| as_text(value)).transpose()?;
    // Some services write an empty text for "no value".
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn list_of(places: Option<&Vec<String>>, entry: &Value) -> std::result::Result<Vec<String>, &'static str> {
    let mut list: Vec<String> = Vec::new();
    for value in values(places, entry) {
        let text = as_text(value)?;
        if !text.is_empty() && !list.contains(&text) {
            list.push(text);
        }
    }
    Ok(list)
}

fn as_text(value: &Value) -> std::result::Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err("must be text or a number"),
    }
}

fn truth_of(places: Option<&Vec<String>>, entry: &Value) -> std::result::Result<Option<bool>, &'static str> {
    let Some(value) = values(places, entry).first().copied() else {
        return Ok(None);
    };
    let text = as_text(value)?.to_lowercase();
    match text.as_str() {
        "true" | "1" | "yes" | "active" | "enabled" => Ok(Some(true)),
        "false" | "0" | "no" | "inactive" | "disabled" => Ok(Some(false)),
        _ => Err("must be true or false, or yes or no"),
    }
}

/// The text at one pointer.
pub fn text_at(entry: &Value, pointer: &str) -> Option<String> {
    all_at(entry, pointer).first().and_then(|value| as_text(value).ok()).filter(|text| !text.is_empty())
}
