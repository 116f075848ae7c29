//! A source's record of one user or department, and its checks.

use crate::base::ids::{check_id, check_login_name};
use crate::people::users::UserKind;

/// Longest names and links, in characters.
const NAME_MAX_CHARS: usize = 255;
const LINK_MAX_CHARS: usize = 2_048;
/// Most departments of one user.
pub const DEPARTMENTS_MAX: usize = 100;

/// Attributes of a user that a record may leave unset.
pub const USER_ATTRIBUTES: &[&str] = &[
    "name",
    "head_icon",
    "active",
    "kind",
    "login_name",
    "employee_number",
    "title",
    "email",
    "phone",
    "manager",
    "department_ids",
];

/// The editable ones of them.
pub const EDITABLE: &[&str] = &[
    "name",
    "head_icon",
    "active",
    "login_name",
    "employee_number",
    "title",
    "email",
    "phone",
    "manager",
    "department_ids",
];

/// A record of a user. Attributes in `unset` stay as they are, or take their default in a new user. Other
/// attributes that are `None` are cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The source's id for this user. It is never reused for another user.
    pub external_id: String,
    /// The `user_id` if the user is new.
    pub user_id: String,
    pub name: Option<String>,
    pub head_icon: Option<String>,
    pub active: bool,
    /// `internal`, `external` or `application`.
    pub kind: String,
    pub login_name: Option<String>,
    pub employee_number: Option<String>,
    pub title: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// The manager's external id.
    pub manager: Option<String>,
    /// Departments, the main one first.
    pub department_ids: Vec<String>,
    /// The source's version of this record, for preconditions of writes.
    pub source_version: Option<String>,
    /// The source no longer has this user.
    pub gone: bool,
    pub unset: Vec<&'static str>,
}

/// A record of a department; `unset` as in a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DepartmentRecord {
    pub department_id: String,
    pub name: Option<String>,
    pub parent_id: Option<String>,
    /// Position among its siblings, lowest first.
    pub sort_order: i32,
    pub gone: bool,
    pub unset: Vec<&'static str>,
}

/// Why a record is refused: the attribute, and what is wrong with it.
pub type Fault = (&'static str, &'static str);

impl UserRecord {
    /// A record with only the ids set.
    pub fn of(external_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self {
            external_id: external_id.into(),
            user_id: user_id.into(),
            name: None,
            head_icon: None,
            active: true,
            kind: "internal".to_owned(),
            login_name: None,
            employee_number: None,
            title: None,
            email: None,
            phone: None,
            manager: None,
            department_ids: Vec::new(),
            source_version: None,
            gone: false,
            unset: Vec::new(),
        }
    }

    /// A user that the source no longer has. All attributes stay.
    pub fn gone(external_id: impl Into<String>) -> Self {
        let external_id = external_id.into();
        let unset = USER_ATTRIBUTES.iter().copied().filter(|a| *a != "active").collect();
        Self { active: false, gone: true, unset, ..Self::of(external_id.clone(), external_id) }
    }

    /// # Errors
    /// The first invalid attribute, and what is wrong with it.
    pub fn check(&self) -> Result<(), Fault> {
        check_id(&self.user_id).map_err(|reason| ("user_id", reason))?;
        check_id(&self.external_id).map_err(|reason| ("external_id", reason))?;
        if let Some(name) = &self.name {
            check_name(name).map_err(|reason| ("name", reason))?;
        }
        if self.head_icon.as_ref().is_some_and(|icon| !is_short(icon, LINK_MAX_CHARS)) {
            return Err(("head_icon", "must have at most 2,048 characters and no U+0000"));
        }
        if let Some(login_name) = &self.login_name {
            check_login_name(login_name).map_err(|reason| ("login_name", reason))?;
        }
        for (attribute, value) in [
            ("employee_number", &self.employee_number),
            ("title", &self.title),
            ("email", &self.email),
            ("phone", &self.phone),
        ] {
            if value.as_ref().is_some_and(|value| check_name(value).is_err()) {
                return Err((attribute, "must have 1 to 255 characters and no control characters"));
            }
        }
        if self.source_version.as_ref().is_some_and(|version| !is_short(version, LINK_MAX_CHARS)) {
            return Err(("version", "must have at most 2,048 characters and no U+0000"));
        }
        if let Some(manager) = &self.manager {
            check_id(manager).map_err(|reason| ("manager", reason))?;
        }
        if self.department_ids.len() > DEPARTMENTS_MAX {
            return Err(("department_ids", "must have at most 100 entries"));
        }
        for department_id in &self.department_ids {
            check_id(department_id).map_err(|reason| ("department_ids", reason))?;
        }
        match UserKind::parse(&self.kind) {
            Some(_) => Ok(()),
            None => Err(("kind", "must be internal, external or application")),
        }
    }
}

impl DepartmentRecord {
    /// A department that the source no longer has.
    pub fn gone(department_id: impl Into<String>) -> Self {
        let unset = vec!["name", "parent_id", "sort_order"];
        Self { department_id: department_id.into(), gone: true, unset, ..Self::default() }
    }

    /// # Errors
    /// The first invalid attribute, and what is wrong with it.
    pub fn check(&self) -> Result<(), Fault> {
        check_id(&self.department_id).map_err(|reason| ("department_id", reason))?;
        if let Some(parent_id) = &self.parent_id {
            check_id(parent_id).map_err(|reason| ("parent_id", reason))?;
        }
        match &self.name {
            Some(name) => check_name(name).map_err(|reason| ("name", reason)),
            None => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err("a name must have 1 to 255 characters and no control characters");
    }
    Ok(())
}

fn is_short(text: &str, most_chars: usize) -> bool {
    text.chars().count() <= most_chars && !text.contains('\0')
}
