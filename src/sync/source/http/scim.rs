//! A SCIM 2.0 server as a source: the mapping of its records, and the members of its Groups.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::base::config::{DirectorySettings, Paging};
use crate::base::ids::check_id;
use crate::sync::values::Values;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Attributes with several values; only the primary one is used.
const PLURAL: &[&str] = &["emails", "phoneNumbers", "photos", "groups"];

/// The mapping of SCIM 2.0 (RFC 7643, 7644), overridden by the settings.
pub(super) fn lay_out(settings: &mut DirectorySettings) {
    let base = settings.users_url.trim_end_matches('/').trim_end_matches("/Users").to_owned();
    settings.users_url = format!("{base}/Users");
    settings.user_url = format!("{base}/Users/{{id}}");
    settings.departments_url = format!("{base}/Groups");
    settings.department_url = format!("{base}/Groups/{{id}}");
    settings.paging = Paging::Index;
    settings.index_parameter = "startIndex".to_owned();
    settings.page_size_parameter = "count".to_owned();
    settings.items = "/Resources".to_owned();
    settings.total = "/totalResults".to_owned();
    settings.token_parameter = String::new();
    let user = [
        ("external_id", "/id"),
        ("name", "/displayName|/name/formatted|/userName"),
        ("active", "/active"),
        ("gone", ""),
        ("login_name", "/userName"),
        ("employee_number", &format!("/{ENTERPRISE}/employeeNumber")),
        ("title", "/title"),
        ("email", "/emails/0/value"),
        ("phone", "/phoneNumbers/0/value"),
        ("manager", &format!("/{ENTERPRISE}/manager/value")),
        ("department_ids", "/groups/*/value"),
        ("version", "/meta/version"),
    ];
    settings.user_fields.extend(user.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let department = [
        ("department_id", "/id"),
        ("name", "/displayName"),
        ("parent_id", ""),
        ("sort_order", ""),
        ("gone", ""),
    ];
    settings.department_fields.extend(department.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

/// The members of each Group in a listing. Many servers leave groups out of their Users.
pub(super) struct Memberships {
    groups: HashMap<String, Vec<String>>,
    /// Whether all Groups are known.
    pub are_whole: bool,
}

impl Default for Memberships {
    fn default() -> Self {
        Self { groups: HashMap::new(), are_whole: true }
    }
}

impl Memberships {
    /// Records the members of a Group. A Group that cannot be stored does not affect its members.
    pub fn note(&mut self, entry: &Value) -> bool {
        let group = entry["id"].as_str().filter(|id| check_id(id).is_ok());
        for member in entry["members"].as_array().into_iter().flatten() {
            let is_user = member["type"].as_str().is_none_or(|kind| kind == "User");
            if let (true, Some(group), Some(user)) = (is_user, group, member["value"].as_str()) {
                self.groups.entry(user.to_owned()).or_default().push(group.to_owned());
            }
        }
        true
    }

    /// Adds the known Groups to a User. Returns whether all of the user's Groups are known.
    pub fn complete(&self, entry: &mut Value) -> bool {
        if read_alone(entry) {
            return true;
        }
        if let Some(groups) = entry["id"].as_str().and_then(|id| self.groups.get(id)) {
            entry["groups"] = groups.iter().map(|group| json!({"value": group})).collect();
        }
        self.are_whole
    }
}

/// Puts the primary value first and sorts the rest: the values are a set, which a server may return in any
/// order (RFC 7643, 2.4). Returns whether the User has groups.
pub(super) fn read_alone(entry: &mut Value) -> bool {
    for attribute in PLURAL {
        if let Some(values) = entry.get_mut(*attribute).and_then(Value::as_array_mut) {
            // False sorts before true.
            values.sort_by_cached_key(|value| (value["primary"] != true, value["value"].to_string()));
        }
    }
    entry.get("groups").is_some_and(Value::is_array)
}

/// Attributes that a PATCH of a User can change. Membership is changed in the Groups.
pub(super) fn takes(attribute: &str) -> bool {
    path(attribute).is_some()
}

fn path(attribute: &str) -> Option<String> {
    Some(match attribute {
        "name" => "displayName".to_owned(),
        "active" | "title" => attribute.to_owned(),
        "login_name" => "userName".to_owned(),
        "email" => "emails".to_owned(),
        "phone" => "phoneNumbers".to_owned(),
        "employee_number" => format!("{ENTERPRISE}:employeeNumber"),
        "manager" => format!("{ENTERPRISE}:manager"),
        _ => return None,
    })
}

/// The PatchOp (RFC 7644, 3.5.2) that changes a user whose values are `present` now.
pub(super) fn patch(present: &Values, changes: &Values) -> Value {
    let operation = |(attribute, value): (&'static str, &Value)| {
        let path = path(attribute)?;
        let there = present.get(attribute).filter(|there| !there.is_null());
        Some(match (attribute, there) {
            ("email" | "phone", Some(there)) => {
                // Changes only the value we know. JSON and the filter quote a text the same way.
                let ours = format!("{path}[value eq {there}]");
                match value {
                    Value::Null => json!({"op": "remove", "path": ours}),
                    value => json!({"op": "replace", "path": format!("{ours}.value"), "value": value}),
                }
            }
            (_, None) if value.is_null() => return None,
            ("email" | "phone", None) => {
                json!({"op": "add", "path": path, "value": [{"value": value, "type": "work", "primary": true}]})
            }
            _ if value.is_null() => json!({"op": "remove", "path": path}),
            ("manager", _) => json!({"op": "replace", "path": path, "value": {"value": value}}),
            _ => json!({"op": "replace", "path": path, "value": value}),
        })
    };
    let operations: Vec<Value> = changes.iter().filter_map(operation).collect();
    json!({"schemas": [PATCH_OP], "Operations": operations})
}
