//! PATCH (RFC 7644 §3.5.2), including the habits of Entra and Okta: capitalized operations, an object of
//! paths without `path`, strings for booleans and complex attributes, and lists of members to remove.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::filter::{Filter, Op as Compare, Test};
use super::path::Target;
use super::schema::{self, Attribute, ResourceType, Schema, admit, admit_one};

const MESSAGE: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Most operations of one PATCH.
const OPERATIONS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

#[derive(Debug)]
struct Operation {
    op: Op,
    path: Option<String>,
    value: Option<Value>,
}

/// The operations of a PATCH, in order.
#[derive(Debug)]
pub struct Patch(Vec<Operation>);

/// Changes of the members of a Group. A Group can have too many members to load them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Whether all previous members are removed, unless they are added again.
    pub anew: bool,
    pub add: BTreeSet<String>,
    pub remove: BTreeSet<String>,
}

impl Members {
    pub fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Self { anew: true, add: ids.into_iter().collect(), remove: BTreeSet::new() }
    }

    fn put(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.remove.remove(&id);
            self.add.insert(id);
        }
    }

    fn take(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.add.remove(&id);
            self.remove.insert(id);
        }
    }
}

fn field<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl Patch {
    /// # Errors
    /// `invalidSyntax` for an invalid PATCH.
    pub fn read(body: &Value) -> Result<Self> {
        let given = body.as_object().ok_or_else(|| Error::invalid_syntax("a PATCH must be an object"))?;
        let schemas = field(given, "schemas").and_then(Value::as_array);
        if !schemas.is_some_and(|urns| urns.iter().any(|urn| urn == MESSAGE)) {
            return Err(Error::invalid_syntax(format!("schemas must contain {MESSAGE}")));
        }
        let operations = field(given, "Operations").and_then(Value::as_array);
        let operations = operations.ok_or_else(|| Error::invalid_syntax("Operations must be a list"))?;
        if operations.is_empty() || operations.len() > OPERATIONS_MAX {
            let detail = format!("a PATCH must have 1 to {OPERATIONS_MAX} operations");
            return Err(Error::invalid_syntax(detail));
        }
        operations.iter().map(Operation::read).collect::<Result<_>>().map(Self)
    }

    /// Applies the operations to a resource. Changes of members go into `members`.
    pub fn apply(
        &self,
        kind: &'static ResourceType,
        resource: &mut Map<String, Value>,
        members: &mut Members,
    ) -> Result<()> {
        let mut patching = Patching { kind, resource, members };
        for operation in &self.0 {
            patching.operate(operation)?;
        }
        kind.check_required(patching.resource)
    }
}

impl Operation {
    fn read(given: &Value) -> Result<Self> {
        let given =
            given.as_object().ok_or_else(|| Error::invalid_syntax("an operation must be an object"))?;
        let op = field(given, "op").and_then(Value::as_str).unwrap_or_default();
        let op = match op.to_ascii_lowercase().as_str() {
            "add" => Op::Add,
            "replace" => Op::Replace,
            "remove" => Op::Remove,
            _ => return Err(Error::invalid_syntax("op must be add, replace or remove")),
        };
        let path = match field(given, "path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) if path.trim().is_empty() => None,
            Some(Value::String(path)) => Some(path.clone()),
            Some(_) => return Err(Error::invalid_path("a path must be a string")),
        };
        let value = field(given, "value").cloned();
        match (op, &path, &value) {
            (Op::Remove, None, _) => Err(Error::no_target("a remove operation needs a path")),
            (Op::Add | Op::Replace, _, None) => Err(Error::invalid_value("the operation needs a value")),
            _ => Ok(Self { op, path, value }),
        }
    }
}

struct Patching<'w> {
    kind: &'static ResourceType,
    resource: &'w mut Map<String, Value>,
    members: &'w mut Members,
}

impl Patching<'_> {
    fn operate(&mut self, operation: &Operation) -> Result<()> {
        let Some(path) = &operation.path else {
            return self.spread(operation.op, operation.value.as_ref());
        };
        let target = Target::parse(path, self.kind)?;
        if target.is_read_only() {
            return Err(Error::mutability("the path names a read-only attribute"));
        }
        self.aim(operation.op, &target, operation.value.as_ref())
    }

    /// Without `path`, each key of the object is a path. Unknown and read-only attributes are ignored, as in
    /// a whole resource.
    fn spread(&mut self, op: Op, value: Option<&Value>) -> Result<()> {
        let given = value.and_then(Value::as_object);
        let given =
            given.ok_or_else(|| Error::invalid_value("without a path the value must be an object"))?;
        for (path, value) in given {
            if let Some(target) = Target::parse(path, self.kind).ok().filter(|target| !target.is_read_only())
            {
                self.aim(op, &target, Some(value))?;
            }
        }
        Ok(())
    }

    fn aim(&mut self, op: Op, target: &Target, value: Option<&Value>) -> Result<()> {
        let Some(attribute) = target.attribute else {
            return self.whole_schema(op, target.extension, value);
        };
        if attribute.name == "members" {
            return self.change_members(op, target, attribute, value);
        }
        if op == Op::Remove && attribute.required {
            return Err(Error::mutability(format!("{} cannot be removed", attribute.name)));
        }
        let Some(extension) = target.extension else {
            return change(self.resource, op, target, attribute, value);
        };
        let mut container = match self.resource.remove(extension.urn) {
            Some(Value::Object(container)) => container,
            _ => Map::new(),
        };
        let changed = change(&mut container, op, target, attribute, value);
        if !container.is_empty() {
            self.resource.insert(extension.urn.to_owned(), container.into());
        }
        changed
    }

    fn whole_schema(
        &mut self,
        op: Op,
        extension: Option<&'static Schema>,
        value: Option<&Value>,
    ) -> Result<()> {
        let Some(extension) = extension else {
            return match op {
                Op::Remove => Err(Error::mutability("the schema of the resource cannot be removed")),
                _ => self.spread(op, value),
            };
        };
        if op == Op::Remove {
            self.resource.remove(extension.urn);
            return Ok(());
        }
        let given = value.and_then(Value::as_object);
        let given = given.ok_or_else(|| Error::invalid_value("an extension must be an object"))?;
        for (name, value) in given {
            let known = schema::named(extension.attributes, name).filter(|a| !a.is_read_only());
            if let Some(attribute) = known {
                let (extension, attribute) = (Some(extension), Some(attribute));
                self.aim(op, &Target { extension, attribute, filter: None, part: None }, Some(value))?;
            }
        }
        Ok(())
    }

    fn change_members(
        &mut self,
        op: Op,
        target: &Target,
        attribute: &'static Attribute,
        value: Option<&Value>,
    ) -> Result<()> {
        if target.part.is_some() {
            return Err(Error::mutability("a member can be added or removed, not changed"));
        }
        if let Some(filter) = &target.filter {
            let ids = named_by(filter)
                .ok_or_else(|| Error::invalid_filter("a filter of members must use value eq"))?;
            match op {
                Op::Remove => self.members.take(ids),
                Op::Add => self.members.put(ids),
                Op::Replace => {
                    return Err(Error::mutability("a member can be added or removed, not changed"));
                }
            }
            return Ok(());
        }
        let ids = match value {
            Some(value) => {
                admit(attribute, value)?.map_or_else(|| Ok(Vec::new()), |list| member_ids(&list))?
            }
            None => Vec::new(),
        };
        match op {
            Op::Add => self.members.put(ids),
            Op::Remove if value.is_some_and(|value| !value.is_null()) => self.members.take(ids),
            Op::Replace | Op::Remove => *self.members = Members::of(ids),
        }
        Ok(())
    }
}

/// The ids of parsed members.
pub fn member_ids(members: &Value) -> Result<Vec<String>> {
    let nested = |member: &Value| {
        let (kind, link) = (&member["type"], &member["$ref"]);
        kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("group"))
            || link.as_str().is_some_and(|link| link.contains("/Groups/"))
    };
    let id = |member: &Value| {
        if nested(member) {
            return Err(Error::invalid_value("the members of a Group must be Users, not Groups"));
        }
        let link = member["$ref"].as_str().and_then(|link| link.rsplit('/').next());
        let id = member["value"].as_str().or(link).map(str::to_owned);
        id.ok_or_else(|| Error::invalid_value("a member needs a value: the id of a User"))
    };
    members.as_array().into_iter().flatten().map(id).collect()
}

/// The ids that a member filter names, if the filter does nothing else.
fn named_by(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Or(any) => any
            .iter()
            .map(named_by)
            .collect::<Option<Vec<_>>>()
            .map(|ids| ids.into_iter().flatten().collect()),
        Filter::Test(Test { place, op: Compare::Eq, value }) if place.attribute.name == "value" => {
            value.as_str().map(|id| vec![id.to_owned()])
        }
        _ => None,
    }
}

/// Changes one attribute of a resource or of an extension.
fn change(
    container: &mut Map<String, Value>,
    op: Op,
    target: &Target,
    attribute: &'static Attribute,
    value: Option<&Value>,
) -> Result<()> {
    let name = attribute.name;
    if attribute.many && (target.filter.is_some() || target.part.is_some()) {
        let mut list = take_list(container, name);
        let changed = change_some(&mut list, op, target, attribute, value);
        put_list(container, name, list)?;
        return changed;
    }
    if attribute.many && op != Op::Replace {
        let given = value.map(|value| admit(attribute, value)).transpose()?.flatten();
        let given = given.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut list = take_list(container, name);
        match op {
            Op::Remove if value.is_none_or(Value::is_null) => list.clear(),
            Op::Remove => list.retain(|kept| !given.iter().any(|gone| is_same(kept, gone))),
            _ => {
                for new in given.iter().filter(|new| !list.contains(new)).cloned().collect::<Vec<_>>() {
                    push(&mut list, new);
                }
            }
        }
        return put_list(container, name, list);
    }
    let parts = container.remove(name);
    let new = match (target.part, value) {
        (Some(part), _) => {
            let mut parts = parts.and_then(|parts| parts.as_object().cloned()).unwrap_or_default();
            let new =
                if op == Op::Remove { None } else { value.map(|v| admit(part, v)).transpose()?.flatten() };
            set(&mut parts, part.name, new);
            Some(Value::Object(parts)).filter(|parts| parts.as_object().is_some_and(|p| !p.is_empty()))
        }
        (None, Some(Value::Object(given))) if op != Op::Remove && !attribute.many => {
            merged(parts, attribute, given)?
        }
        (None, Some(value)) if op != Op::Remove => admit(attribute, value)?,
        _ => None,
    };
    if new.is_none() && attribute.required {
        return Err(Error::invalid_value(format!("{name} cannot be empty")));
    }
    set(container, name, new);
    Ok(())
}

/// Merges an object into a complex attribute. Absent sub-attributes stay.
fn merged(
    old: Option<Value>,
    attribute: &'static Attribute,
    given: &Map<String, Value>,
) -> Result<Option<Value>> {
    if attribute.parts.is_empty() {
        return Err(Error::invalid_value(format!("{} cannot be an object", attribute.name)));
    }
    let mut parts = old.and_then(|old| old.as_object().cloned()).unwrap_or_default();
    for (key, value) in given {
        if let Some(part) = schema::named(attribute.parts, key).filter(|part| !part.is_read_only()) {
            let new = admit(part, value)?;
            set(&mut parts, part.name, new);
        }
    }
    Ok(if parts.is_empty() { None } else { Some(parts.into()) })
}

/// Changes some values of a multi-valued attribute, or a sub-attribute of them.
fn change_some(
    list: &mut Vec<Value>,
    op: Op,
    target: &Target,
    attribute: &'static Attribute,
    value: Option<&Value>,
) -> Result<()> {
    let meets = |value: &Value| match (&target.filter, value.as_object()) {
        (Some(filter), Some(parts)) => filter.matches(parts),
        (filter, _) => filter.is_none(),
    };
    if op == Op::Remove {
        let part = target.part.map(|part| part.name);
        let emptied = |value: &mut Value| {
            let Some(part) = part else { return true };
            let Some(parts) = value.as_object_mut() else { return false };
            parts.remove(part);
            // A value without its `value`, such as an address type without an address, is removed.
            part == "value" || parts.is_empty()
        };
        list.retain_mut(|value| !(meets(value) && emptied(value)));
        return Ok(());
    }
    let at: Vec<usize> = (0..list.len()).filter(|at| meets(&list[*at])).collect();
    let demands = target.filter.as_ref().map_or_else(|| Some(Map::new()), Filter::demands);
    if at.is_empty() && (demands.is_none() || op == Op::Replace) {
        return Err(Error::no_target("no value matches the filter in the path"));
    }
    let mut given = value.cloned().unwrap_or_default();
    if let Some(part) = target.part {
        given = admit(part, &given)?.map_or(Value::Null, |value| serde_json::json!({part.name: value}));
    } else {
        given = admit_one(attribute, &given)?.unwrap_or_default();
    }
    let Some(given) = given.as_object().cloned() else {
        // A null value removes the attribute.
        return change_some(list, Op::Remove, target, attribute, None);
    };
    if at.is_empty() {
        let mut new = demands.unwrap_or_default();
        new.extend(given);
        push(list, new.into());
        return Ok(());
    }
    for at in &at {
        let mut new = match (op, target.part, list[*at].as_object()) {
            (Op::Replace, None, _) => demands.clone().unwrap_or_default(),
            (_, _, Some(old)) => old.clone(),
            _ => Map::new(),
        };
        new.extend(given.clone());
        list[*at] = new.into();
    }
    one_primary(list, *at.last().unwrap_or(&0));
    Ok(())
}

fn push(list: &mut Vec<Value>, new: Value) {
    let at = list.len();
    list.push(new);
    one_primary(list, at);
}

/// Keeps at most one primary value: the one set last.
fn one_primary(list: &mut [Value], chosen: usize) {
    if list[chosen]["primary"] != true {
        return;
    }
    for (_, other) in list.iter_mut().enumerate().filter(|(at, _)| *at != chosen) {
        if other["primary"] == true {
            other["primary"] = false.into();
        }
    }
}

/// A value to remove can be given by its `value` alone.
fn is_same(kept: &Value, gone: &Value) -> bool {
    match (kept.get("value"), gone.get("value")) {
        (Some(kept), Some(gone)) => kept == gone,
        _ => kept == gone,
    }
}

fn set(container: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => container.insert(name.to_owned(), value),
        None => container.remove(name),
    };
}

fn take_list(container: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match container.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn put_list(container: &mut Map<String, Value>, name: &str, list: Vec<Value>) -> Result<()> {
    if list.len() > schema::VALUES_MAX {
        return Err(Error::invalid_value(format!("{name} can have at most {} values", schema::VALUES_MAX)));
    }
    if !list.is_empty() {
        container.insert(name.to_owned(), list.into());
    }
    Ok(())
}
