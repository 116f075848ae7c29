//! An event of each type, made from the contract.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::api::contract;
use crate::console::developer::guide::Example;

/// Schemas in one another. The contract has no more, and none without end.
const DEPTH_MAX: usize = 12;

/// By the name of the type.
pub static EXAMPLES: LazyLock<BTreeMap<String, Example>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&contract::API_JSON).unwrap_or_default();
    let choices = document.pointer("/components/schemas/Event/oneOf").and_then(Value::as_array);
    let named = choices.into_iter().flatten().filter_map(|choice| {
        let schema = document.pointer(choice["$ref"].as_str()?.strip_prefix('#')?)?;
        let name = schema.pointer("/properties/type/const")?.as_str()?.to_owned();
        let description = schema["description"].as_str().unwrap_or_default().trim().to_owned();
        Some((name, Example { description, event: example(&document, schema, DEPTH_MAX) }))
    });
    named.collect()
});

/// An example of a schema: its own, or one made of the examples of its parts.
fn example(document: &Value, schema: &Value, depth: usize) -> Value {
    let Some(below) = depth.checked_sub(1) else { return Value::Null };
    let own = schema.get("const").or_else(|| schema.get("example"));
    if let Some(own) = own.or_else(|| schema.get("examples")?.get(0)) {
        return own.clone();
    }
    let pointed = schema["$ref"].as_str().and_then(|to| document.pointer(to.strip_prefix('#')?));
    if let Some(pointed) = pointed {
        return example(document, pointed, below);
    }
    if let Some(first) = ["oneOf", "anyOf"].iter().find_map(|of| schema.get(of)?.get(0)) {
        return example(document, first, below);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match kind(schema) {
        "object" => object(document, schema, below),
        "array" => json!([example(document, &schema["items"], below)]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        "string" => json!("…"),
        _ => Value::Null,
    }
}

/// The first type of a schema.
fn kind(schema: &Value) -> &str {
    let named = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    named.unwrap_or(if schema.get("properties").is_some() { "object" } else { "" })
}

/// Fields that are required, because the others depend on what has happened.
fn object(document: &Value, schema: &Value, depth: usize) -> Value {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| required.contains(&name.as_str()));
    let made: Map<String, Value> =
        fields.map(|(name, field)| (name.clone(), example(document, field, depth))).collect();
    Value::Object(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::endpoint::EVENT_TYPES;

    #[test]
    fn every_type_of_event_has_an_example() {
        for name in EVENT_TYPES.iter().copied().chain(["callback.test"]) {
            let example = EXAMPLES.get(name).unwrap_or_else(|| panic!("{name}"));
            let event = &example.event;
            assert_eq!(event["type"], name);
            assert!(event["data"].as_object().is_some_and(|data| !data.is_empty()), "{event:#}");
            assert!(!example.description.is_empty(), "{name}");
            assert!(event["event_id"].is_string(), "{event:#}");
        }
    }
}
