//! The API contract: the files of `openapi/im-push-gateway`, joined into one document.

use std::sync::LazyLock;

use serde_norway::Value;

/// How far files share mappings: `components`, a kind of components or a path, and their entries. An entry
/// itself, such as a schema or an operation, is in one file.
const SHARED_DEPTH: usize = 2;

macro_rules! parts {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../openapi/im-push-gateway/", $name, ".yaml")))),*]
    };
}

/// The files by name, in the order of the document.
pub const PARTS: &[(&str, &str)] = parts![
    "info",
    "common",
    "messages",
    "cards",
    "calls",
    "channels",
    "robots",
    "receipts",
    "conversations",
    "search",
    "support",
    "events",
    "notifications",
    "preferences",
    "contacts",
    "relations",
    "key-packages",
    "presence",
    "files",
    "favourites",
    "emojis",
    "webhooks",
    "callbacks",
    "operations",
    "tokens",
    "accounts",
    "directory",
    "archive",
    "service",
];

const SCIM: &str = include_str!("../../openapi/scim.yaml");
const PUSH_CALLBACK: &str = include_str!("../../openapi/push-callback.yaml");

/// The contract as JSON. Keys keep the order of the files, because the page shows fields in this order.
pub static API_JSON: LazyLock<String> = LazyLock::new(|| to_json(&api()));
/// The SCIM contract as JSON.
pub static SCIM_JSON: LazyLock<String> = LazyLock::new(|| to_json(&scim()));
/// The contract of the gateway's endpoint as JSON.
pub static PUSH_JSON: LazyLock<String> = LazyLock::new(|| to_json(&read("push-callback", PUSH_CALLBACK)));

/// The joined document. Names that appear twice panic; the tests read it.
pub fn api() -> Value {
    let mut document = Value::Mapping(serde_norway::Mapping::new());
    for (name, text) in PARTS {
        join(&mut document, read(name, text), SHARED_DEPTH, name);
    }
    document
}

/// The SCIM contract. It is one file.
pub fn scim() -> Value {
    read("scim", SCIM)
}

fn read(name: &str, text: &str) -> Value {
    serde_norway::from_str(text).unwrap_or_else(|e| panic!("{name}.yaml: {e}"))
}

fn join(into: &mut Value, part: Value, depth: usize, name: &str) {
    let (Value::Mapping(into), Value::Mapping(part)) = (into, part) else {
        panic!("{name}.yaml: only mappings can be in several files");
    };
    for (key, value) in part {
        match into.get_mut(&key) {
            None => {
                into.insert(key, value);
            }
            Some(there) if depth > 0 => join(there, value, depth - 1, name),
            Some(_) => panic!("{name}.yaml: another file has {key:?}, too"),
        }
    }
}

fn to_json(document: &Value) -> String {
    serde_json::to_string(document).expect("the contract could be JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: &[&str]) -> Value {
        let mut document = Value::Mapping(serde_norway::Mapping::new());
        for part in parts {
            join(&mut document, read("part", part), SHARED_DEPTH, "part");
        }
        document
    }

    #[test]
    fn files_share_paths_and_kinds_of_components() {
        let document = joined(&[
            "paths: { /a: { get: { tags: [one] } } }\ncomponents: { schemas: { A: {} } }",
            "paths: { /a: { put: { tags: [two] } } }\ncomponents: { schemas: { B: {} } }",
        ]);
        let text = to_json(&document);
        let expected = r#"{"paths":{"/a":{"get":{"tags":["one"]},"put":{"tags":["two"]}}},"components":{"schemas":{"A":{},"B":{}}}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    #[should_panic(expected = "another file has")]
    fn a_schema_is_in_one_file() {
        let part = "components: { schemas: { A: { type: string } } }";
        joined(&[part, part]);
    }

    #[test]
    fn every_file_is_a_part() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/im-push-gateway");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|file| file.expect("a file").path().file_stem().expect("a name").display().to_string())
            .collect();
        files.sort();
        let mut parts: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        parts.sort_unstable();
        assert_eq!(files, parts);
    }
}
