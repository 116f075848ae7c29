//! The attributes of Users and Groups (RFC 7643), in one table. Parsing, filters, paths and discovery all use
//! it.

use serde_json::{Map, Value};

use super::error::{Error, Result};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Most values of one attribute. Members of a Group are exempt.
pub const VALUES_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Flag,
    Reference,
    Binary,
    Time,
    Complex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    ReadWrite,
    ReadOnly,
    Immutable,
}

/// An attribute, or a sub-attribute of a complex one.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    pub parts: &'static [Attribute],
    pub many: bool,
    pub required: bool,
    pub case_exact: bool,
    pub mutability: Mutability,
    pub unique: bool,
    pub canonical: &'static [&'static str],
    pub refers_to: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    pub urn: &'static str,
    pub name: &'static str,
    pub about: &'static str,
    pub attributes: &'static [Attribute],
}

#[derive(Debug, PartialEq, Eq)]
pub struct ResourceType {
    pub name: &'static str,
    pub endpoint: &'static str,
    pub about: &'static str,
    pub schema: &'static Schema,
    pub extensions: &'static [&'static Schema],
}

/// A position in a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributePath {
    pub extension: Option<&'static Schema>,
    pub attribute: &'static Attribute,
    pub part: Option<&'static Attribute>,
}

const fn of(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute {
        name,
        about,
        kind,
        parts: &[],
        many: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        unique: false,
        canonical: &[],
        refers_to: &[],
    }
}

const fn text(name: &'static str, about: &'static str) -> Attribute {
    of(name, Kind::Text, about)
}

const fn complex(name: &'static str, parts: &'static [Attribute], about: &'static str) -> Attribute {
    Attribute { parts, ..of(name, Kind::Complex, about) }
}

const fn many(name: &'static str, parts: &'static [Attribute], about: &'static str) -> Attribute {
    Attribute { many: true, ..complex(name, parts, about) }
}

const fn link(name: &'static str, refers_to: &'static [&'static str], about: &'static str) -> Attribute {
    Attribute { refers_to, case_exact: true, ..of(name, Kind::Reference, about) }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const fn immutable(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::Immutable, ..attribute }
}

const fn exact(attribute: Attribute) -> Attribute {
    Attribute { case_exact: true, ..attribute }
}

const fn label(canonical: &'static [&'static str]) -> Attribute {
    Attribute { canonical, ..text("type", "The type of the value.") }
}

const DISPLAY: Attribute = text("display", "The text to display.");
const PRIMARY: Attribute = of("primary", Kind::Flag, "Whether this is the preferred value. At most one is.");
const VALUE: Attribute = text("value", "The value itself.");
const PLAIN: &[Attribute] = &[VALUE, DISPLAY, label(&[]), PRIMARY];

/// The attributes of every resource.
pub const COMMON: &[Attribute] = &[
    exact(text("externalId", "The client's id of the resource.")),
    exact(read_only(text("id", "The id of the resource at this service. It never changes."))),
    Attribute { many: true, ..exact(read_only(link("schemas", &["uri"], "The schemas of the resource."))) },
    read_only(complex(
        "meta",
        &[
            exact(read_only(text("resourceType", "User or Group."))),
            read_only(of("created", Kind::Time, "When it was created.")),
            read_only(of("lastModified", Kind::Time, "When it last changed.")),
            read_only(link("location", &["uri"], "Its URL.")),
            exact(read_only(text("version", "Its version, as an ETag."))),
        ],
        "Data that the service keeps about the resource.",
    )),
];

const NAME: &[Attribute] = &[
    text("formatted", "The full name for display."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "The middle names."),
    text("honorificPrefix", "A title before the name."),
    text("honorificSuffix", "A title after the name."),
];

const ADDRESS: &[Attribute] = &[
    text("formatted", "The full address for display."),
    text("streetAddress", "Street, number, floor."),
    text("locality", "The city."),
    text("region", "The province or state."),
    text("postalCode", "The postal code."),
    text("country", "The country, by ISO 3166-1."),
    label(&["work", "home", "other"]),
    PRIMARY,
];

pub const USER_SCHEMA: Schema = Schema {
    urn: USER,
    name: "User",
    about: "A user or an application of the directory",
    attributes: &[
        Attribute {
            required: true,
            unique: true,
            ..text("userName", "The login name. It is unique, ignoring case.")
        },
        complex("name", NAME, "The parts of the name."),
        text("displayName", "The name in lists and channels."),
        text("nickName", "A casual name."),
        link("profileUrl", &["external"], "A web page about the user."),
        text("title", "The job title, such as Vice President."),
        text(
            "userType",
            "External, Guest, Contractor, Vendor or Partner: an external user. Application, Service or Bot: an application. Otherwise: an internal user.",
        ),
        text("preferredLanguage", "The preferred language."),
        text("locale", "The format of numbers and dates."),
        text("timezone", "The time zone, by its IANA name."),
        of(
            "active",
            Kind::Flag,
            "Whether the user is active. The history keeps the name of an inactive user.",
        ),
        many("emails", &[VALUE, DISPLAY, label(&["work", "home", "other"]), PRIMARY], "E-mail addresses."),
        many(
            "phoneNumbers",
            &[VALUE, DISPLAY, label(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY],
            "Telephone numbers.",
        ),
        many("ims", PLAIN, "Addresses at other instant messengers."),
        many(
            "photos",
            &[
                link("value", &["external"], "The URL of the picture."),
                DISPLAY,
                label(&["photo", "thumbnail"]),
                PRIMARY,
            ],
            "Pictures of the user.",
        ),
        many("addresses", ADDRESS, "Postal addresses."),
        read_only(many(
            "groups",
            &[
                exact(read_only(text("value", "The id of the Group."))),
                read_only(link("$ref", &["Group"], "The URL of the Group.")),
                read_only(text("display", "Its name.")),
            ],
            "The Groups of the user. Change them through the Groups.",
        )),
        many("entitlements", PLAIN, "Entitlements in other systems."),
        many("roles", PLAIN, "Roles in other systems. They have no effect here."),
        many(
            "x509Certificates",
            &[exact(of("value", Kind::Binary, "DER in base64.")), DISPLAY, label(&[]), PRIMARY],
            "Certificates.",
        ),
    ],
};

pub const ENTERPRISE_SCHEMA: Schema = Schema {
    urn: ENTERPRISE,
    name: "EnterpriseUser",
    about: "Company data of a User",
    attributes: &[
        text("employeeNumber", "The employee number."),
        text("costCenter", "The cost center."),
        text("organization", "The organization."),
        text("division", "The division."),
        text("department", "The name of the department, as text. Groups define the departments of a user."),
        complex(
            "manager",
            &[
                exact(text("value", "The id of the User who is the manager.")),
                link("$ref", &["User"], "The URL of that User."),
            ],
            "The manager. The User can be created later.",
        ),
    ],
};

pub const GROUP_SCHEMA: Schema = Schema {
    urn: GROUP,
    name: "Group",
    about: "A department of the company or a group of users, by the setting scim_groups",
    attributes: &[
        Attribute { required: true, ..text("displayName", "Its name.") },
        many(
            "members",
            &[
                exact(immutable(text("value", "The id of a User."))),
                immutable(link("$ref", &["User"], "The URL of that User.")),
                immutable(Attribute { canonical: &["User"], ..text("type", "The type of the member.") }),
            ],
            "The Users in the Group.",
        ),
    ],
};

pub static USERS: ResourceType = ResourceType {
    name: "User",
    endpoint: "/Users",
    about: "Users and applications",
    schema: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_SCHEMA],
};

pub static GROUPS: ResourceType = ResourceType {
    name: "Group",
    endpoint: "/Groups",
    about: "Departments, or groups",
    schema: &GROUP_SCHEMA,
    extensions: &[],
};

/// All resource types.
pub static TYPES: [&ResourceType; 2] = [&USERS, &GROUPS];

/// Finds an attribute by name, ignoring case.
pub fn named(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name))
}

impl Attribute {
    /// The sub-attribute `value`.
    pub fn value_part(&self) -> Option<&'static Attribute> {
        named(self.parts, "value")
    }

    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }
}

impl ResourceType {
    /// Splits the schema URN off a path. Returns `None` for an unknown schema.
    pub fn split<'t>(&self, path: &'t str) -> Option<(Option<&'static Schema>, &'t str)> {
        if !path.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            return Some((None, path));
        }
        [self.schema].iter().chain(self.extensions).find_map(|schema| {
            let (start, rest) = path.split_at_checked(schema.urn.len())?;
            let whole = start.eq_ignore_ascii_case(schema.urn);
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix(':')? };
            whole.then_some((Some(*schema), rest))
        })
    }

    /// Finds `attribute` or `attribute.part`, with or without a schema URN.
    pub fn resolve(&self, path: &str) -> Option<AttributePath> {
        let (schema, rest) = self.split(path)?;
        let extension = schema.filter(|schema| schema.urn != self.schema.urn);
        let (name, part) = rest.split_once('.').map_or((rest, None), |(name, part)| (name, Some(part)));
        let attributes = extension.unwrap_or(self.schema).attributes;
        let common = || extension.is_none().then(|| named(COMMON, name)).flatten();
        let attribute = named(attributes, name).or_else(common)?;
        let part = match part {
            Some(part) => Some(named(attribute.parts, part)?),
            None => None,
        };
        Some(AttributePath { extension, attribute, part })
    }

    /// Parses a resource from a client: names in the case of the schema, values of the right type. Read-only
    /// and unknown attributes are dropped.
    pub fn admit(&self, body: &Value) -> Result<Map<String, Value>> {
        let body = body.as_object().ok_or_else(|| Error::invalid_syntax("a resource must be an object"))?;
        self.check_schemas(body)?;
        let mut admitted = Map::new();
        for (key, value) in body {
            let (schema, rest) = self.split(key).unwrap_or((None, ""));
            match schema {
                Some(schema) if schema.urn != self.schema.urn && rest.is_empty() => {
                    let given = admit_parts(schema.attributes, value)?;
                    admitted.extend(given.map(|given| (schema.urn.to_owned(), given)));
                }
                None => {
                    let own = named(self.schema.attributes, rest).or_else(|| named(COMMON, rest));
                    if let Some(attribute) = own.filter(|a| !a.is_read_only()) {
                        let given = admit(attribute, value)?;
                        admitted.extend(given.map(|given| (attribute.name.to_owned(), given)));
                    }
                }
                Some(_) => {}
            }
        }
        self.check_required(&admitted)?;
        Ok(admitted)
    }

    fn check_schemas(&self, body: &Map<String, Value>) -> Result<()> {
        let schemas =
            body.iter().find(|(key, _)| key.eq_ignore_ascii_case("schemas")).map(|(_, value)| value);
        let urns = schemas.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        if urns.into_iter().any(|urn| urn.eq_ignore_ascii_case(self.schema.urn)) {
            return Ok(());
        }
        Err(Error::invalid_syntax(format!("schemas must contain {}", self.schema.urn)))
    }

    /// Refuses a resource without a required attribute.
    pub fn check_required(&self, resource: &Map<String, Value>) -> Result<()> {
        match self.schema.attributes.iter().find(|a| a.required && !resource.contains_key(a.name)) {
            Some(missing) => Err(Error::invalid_value(format!("{} is missing", missing.name))),
            None => Ok(()),
        }
    }
}

/// Parses the value of an attribute. Null, an empty list and an empty string give `None`.
pub fn admit(attribute: &Attribute, value: &Value) -> Result<Option<Value>> {
    if !attribute.many {
        return admit_one(attribute, value);
    }
    let single = std::slice::from_ref(value);
    let list = value.as_array().map_or(single, Vec::as_slice);
    if list.len() > VALUES_MAX && attribute.name != "members" {
        return Err(Error::invalid_value(format!("{} can have at most {VALUES_MAX} values", attribute.name)));
    }
    let mut admitted = Vec::with_capacity(list.len());
    for value in list {
        admitted.extend(admit_one(attribute, value)?);
    }
    if admitted.iter().filter(|value| value["primary"] == true).count() > 1 {
        return Err(Error::invalid_value(format!("at most one value of {} can be primary", attribute.name)));
    }
    Ok(if admitted.is_empty() { None } else { Some(Value::Array(admitted)) })
}

/// Parses one value of an attribute.
pub fn admit_one(attribute: &Attribute, value: &Value) -> Result<Option<Value>> {
    let wrong = |what: &str| Err(Error::invalid_value(format!("{} must be {what}", attribute.name)));
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Kind::Flag, Value::Bool(_)) => Ok(Some(value.clone())),
        // Some clients send booleans as strings.
        (Kind::Flag, Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(Some(true.into())),
        (Kind::Flag, Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(Some(false.into())),
        (Kind::Flag, _) => wrong("true or false"),
        (Kind::Complex, Value::Object(_)) => admit_parts(attribute.parts, value),
        // Some clients send only the `value` of a complex attribute.
        (Kind::Complex, Value::String(_)) if attribute.value_part().is_some() => {
            admit_parts(attribute.parts, &serde_json::json!({"value": value}))
        }
        (Kind::Complex, _) => wrong("an object"),
        (_, Value::String(given)) if given.is_empty() => Ok(None),
        (_, Value::String(given)) if given.contains('\0') => wrong("a string without U+0000"),
        (_, Value::String(_)) => Ok(Some(value.clone())),
        _ => wrong("a string"),
    }
}

fn admit_parts(parts: &'static [Attribute], value: &Value) -> Result<Option<Value>> {
    let given = value.as_object().ok_or_else(|| Error::invalid_value("the value must be an object"))?;
    let mut admitted = Map::new();
    for (key, value) in given {
        if let Some(part) = named(parts, key).filter(|part| !part.is_read_only()) {
            admitted.extend(admit(part, value)?.map(|value| (part.name.to_owned(), value)));
        }
    }
    Ok(if admitted.is_empty() { None } else { Some(Value::Object(admitted)) })
}

impl AttributePath {
    /// The sub-attribute, or the attribute if there is none.
    pub fn leaf(&self) -> &'static Attribute {
        self.part.unwrap_or(self.attribute)
    }

    /// All values at this position of a resource.
    pub fn values<'v>(&self, resource: &'v Map<String, Value>) -> Vec<&'v Value> {
        let container = match self.extension {
            Some(schema) => resource.get(schema.urn).and_then(Value::as_object),
            None => Some(resource),
        };
        let whole = container.and_then(|container| container.get(self.attribute.name));
        let single = whole.map(std::slice::from_ref).unwrap_or_default();
        let list = whole.and_then(Value::as_array).map_or(single, Vec::as_slice);
        match self.part {
            Some(part) => list.iter().filter_map(|value| value.get(part.name)).collect(),
            None => list.iter().collect(),
        }
    }
}
