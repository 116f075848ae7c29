//! Maps a SCIM User to a user of the directory, and back.

use std::collections::BTreeMap;

use postgres_types::Json;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::error::{Error, Result};
use super::read::{located, meta};
use super::schema::{ENTERPRISE, USER};
use crate::base::store::Statements;
use crate::base::text::fold;
use crate::sql;
use crate::sync::UserRecord;

/// The attributes of a user that the rest of the service uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub name: String,
    pub active: bool,
    pub kind: String,
    pub login_name: Option<String>,
    employee_number: Option<String>,
    title: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    head_icon: Option<String>,
    manager: Option<String>,
}

/// A user as stored in the database.
#[derive(Debug)]
pub struct ScimUser {
    pub user_id: String,
    pub columns: Columns,
    /// What a client sent last; `None` if no client sent anything.
    given: Option<Map<String, Value>>,
    pub version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    groups: Vec<Value>,
}

/// Loads the users that SCIM shows, in the given order.
pub async fn load(client: &impl Statements, ids: &[&str], groups: &str) -> Result<Vec<ScimUser>> {
    let rows = client.all(sql!("sync/scim/users"), &[&ids, &groups]).await?;
    Ok(rows.iter().map(ScimUser::of).collect())
}

impl ScimUser {
    fn of(row: &Row) -> Self {
        let given: Option<Json<Map<String, Value>>> = row.get("scim");
        let Json(groups) = row.get("groups");
        Self {
            user_id: row.get("user_id"),
            columns: Columns {
                name: row.get("name"),
                active: row.get("active"),
                kind: row.get("kind"),
                login_name: row.get("login_name"),
                employee_number: row.get("employee_number"),
                title: row.get("title"),
                email: row.get("email"),
                phone: row.get("phone"),
                head_icon: row.get("head_icon"),
                manager: row.get("manager"),
            },
            given: given.map(|Json(given)| given),
            version: row.get("version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
            groups,
        }
    }

    /// The stored document, if `document` equals it except for the order of lists.
    pub fn told_as(&self, document: &Map<String, Value>) -> Option<Map<String, Value>> {
        self.given.clone().filter(|given| sets(given) == sets(document))
    }

    /// What a client may change: the stored document, with newer values of the columns.
    pub fn document(&self) -> Map<String, Value> {
        let mut document =
            self.given.clone().unwrap_or_else(|| Map::from_iter([("active".into(), true.into())]));
        self.columns.overlay(&mut document);
        document.entry("userName").or_insert_with(|| self.user_id.clone().into());
        document
    }

    /// The whole resource.
    pub fn resource(&self, base: &str) -> Map<String, Value> {
        let mut resource = self.document();
        let mut schemas = vec![USER];
        if let Some(extension) = resource.get_mut(ENTERPRISE) {
            schemas.push(ENTERPRISE);
            if let Some(manager) = extension["manager"]["value"].as_str() {
                extension["manager"]["$ref"] = located(base, "/Users", manager).into();
            }
        }
        let linked = |group: &Value| {
            let id = group["value"].as_str().unwrap_or_default();
            json!({"value": id, "$ref": located(base, "/Groups", id), "display": group["display"]})
        };
        if !self.groups.is_empty() {
            resource.insert("groups".into(), self.groups.iter().map(linked).collect());
        }
        resource.insert("schemas".into(), json!(schemas));
        resource.insert("id".into(), self.user_id.clone().into());
        let times = (self.created_at, self.updated_at);
        resource.insert(
            "meta".into(),
            meta("User", &located(base, "/Users", &self.user_id), times, self.version),
        );
        resource
    }
}

/// The index of the value that goes into a column. It is the primary value, or else the first type of
/// `types`, or else any. Among equals the smallest wins, because a client may send values in any order.
fn chosen(document: &Map<String, Value>, attribute: &str, types: &[&str]) -> Option<usize> {
    let list = document.get(attribute)?.as_array()?;
    let smallest = |fits: &dyn Fn(&Value) -> bool| {
        let fitting = list.iter().enumerate().filter(|(_, v)| v["value"].is_string() && fits(v));
        fitting.min_by_key(|(_, v)| v["value"].as_str()).map(|(at, _)| at)
    };
    let typed = |kind: &&str| smallest(&|v| v["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind)));
    let primary = smallest(&|v| v["primary"] == true);
    primary.or_else(|| types.iter().find_map(typed)).or_else(|| smallest(&|_| true))
}

/// A document for comparison. Lists are sets (RFC 7643, 2.4), so they are sorted.
fn sets(document: &Map<String, Value>) -> BTreeMap<&String, String> {
    fn set(value: &Value) -> String {
        match value {
            Value::Array(list) => {
                let mut list: Vec<String> = list.iter().map(set).collect();
                list.sort_unstable();
                list.join(",")
            }
            Value::Object(parts) => format!("{:?}", sets(parts)),
            value => value.to_string(),
        }
    }
    document.iter().map(|(name, value)| (name, set(value))).collect()
}

/// All e-mail addresses of a document, folded.
pub fn emails(document: &Map<String, Value>) -> Vec<String> {
    let list = document.get("emails").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|email| email["value"].as_str()).map(fold).collect()
}

const EMAIL: (&str, &[&str]) = ("emails", &["work"]);
const PHONE: (&str, &[&str]) = ("phoneNumbers", &["work", "mobile"]);
const PHOTO: (&str, &[&str]) = ("photos", &["photo"]);

impl Columns {
    /// Reads the columns from a document.
    pub fn of(document: &Map<String, Value>) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let slot = |(attribute, types): (&str, &[&str])| {
            chosen(document, attribute, types).and_then(|at| text(Some(&document[attribute][at]["value"])))
        };
        let extension = document.get(ENTERPRISE);
        Self {
            name: name_of(document),
            active: document.get("active").and_then(Value::as_bool).unwrap_or(true),
            kind: kind_of(document.get("userType").and_then(Value::as_str)).to_owned(),
            login_name: text(document.get("userName")),
            employee_number: text(extension.and_then(|e| e.get("employeeNumber"))),
            title: text(document.get("title")),
            email: slot(EMAIL),
            phone: slot(PHONE),
            head_icon: slot(PHOTO),
            manager: text(extension.and_then(|e| e.get("manager")).and_then(|m| m.get("value"))),
        }
    }

    /// Writes the columns into a document where they differ.
    fn overlay(&self, document: &mut Map<String, Value>) {
        let said = Self::of(document);
        if said.login_name != self.login_name {
            put(document, "userName", self.login_name.as_deref());
        }
        if said.name != self.name {
            put(document, "displayName", Some(&self.name));
        }
        if said.active != self.active {
            document.insert("active".into(), self.active.into());
        }
        if said.kind != self.kind {
            put(
                document,
                "userType",
                Some(&self.kind).filter(|kind| *kind != "internal").map(String::as_str),
            );
        }
        if said.title != self.title {
            put(document, "title", self.title.as_deref());
        }
        for (slot, was, is) in [
            (EMAIL, said.email, &self.email),
            (PHONE, said.phone, &self.phone),
            (PHOTO, said.head_icon, &self.head_icon),
        ] {
            if was != *is {
                put_slot(document, slot, is.as_deref());
            }
        }
        if (&said.employee_number, &said.manager) != (&self.employee_number, &self.manager) {
            let mut extension =
                document.get(ENTERPRISE).and_then(Value::as_object).cloned().unwrap_or_default();
            put(&mut extension, "employeeNumber", self.employee_number.as_deref());
            match &self.manager {
                Some(manager) => _ = extension.insert("manager".into(), json!({"value": manager})),
                None => _ = extension.remove("manager"),
            }
            document.remove(ENTERPRISE);
            if !extension.is_empty() {
                document.insert(ENTERPRISE.into(), extension.into());
            }
        }
    }

    /// The record for the directory. Groups define the departments.
    ///
    /// # Errors
    /// `invalidValue` for a value that a column cannot store.
    pub fn record(self, user_id: &str, works_in: Option<Vec<String>>) -> Result<UserRecord> {
        let record = UserRecord {
            name: Some(self.name),
            head_icon: self.head_icon,
            active: self.active,
            kind: self.kind,
            login_name: self.login_name,
            employee_number: self.employee_number,
            title: self.title,
            email: self.email,
            phone: self.phone,
            manager: self.manager,
            unset: if works_in.is_none() { vec!["department_ids"] } else { Vec::new() },
            department_ids: works_in.unwrap_or_default(),
            ..UserRecord::of(user_id, user_id)
        };
        record.check().map_err(|(column, why)| {
            let attribute = match column {
                "login_name" => "userName",
                "name" => "displayName",
                "email" => "emails",
                "phone" => "phoneNumbers",
                "head_icon" => "photos",
                "employee_number" => "employeeNumber",
                "department_ids" => "groups",
                other => other,
            };
            Error::invalid_value(format!("{attribute}: {why}"))
        })?;
        Ok(record)
    }
}

/// The display name, or else the name built from its parts, or else the login name.
fn name_of(document: &Map<String, Value>) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let part = |part: &str| text(document.get("name").and_then(|name| name.get(part)));
    let whole = text(document.get("displayName")).or_else(|| part("formatted"));
    let made = || match (part("givenName"), part("familyName")) {
        (Some(given), Some(family)) if !family.is_ascii() && family.chars().all(is_han) => {
            Some(family + &given)
        }
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (given, family) => given.or(family),
    };
    whole.or_else(made).or_else(|| text(document.get("userName"))).unwrap_or_default()
}

/// Chinese names put the family name first, without a space.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
}

fn kind_of(user_type: Option<&str>) -> &'static str {
    match user_type.unwrap_or_default().to_ascii_lowercase().as_str() {
        "external" | "guest" | "contractor" | "vendor" | "partner" => "external",
        "application" | "service" | "bot" => "application",
        _ => "internal",
    }
}

fn put(document: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    match value {
        Some(value) => document.insert(name.to_owned(), value.into()),
        None => document.remove(name),
    };
}

fn put_slot(document: &mut Map<String, Value>, (attribute, types): (&str, &[&str]), value: Option<&str>) {
    let at = chosen(document, attribute, types);
    let Some(list) = document.entry(attribute).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()
    else {
        return;
    };
    match (at, value) {
        (Some(at), Some(value)) => list[at]["value"] = value.into(),
        // The column is empty, so no value may show.
        (_, None) => list.clear(),
        (None, Some(value)) => list.push(json!({"value": value, "type": types[0], "primary": true})),
    }
    if list.is_empty() {
        document.remove(attribute);
    }
}
