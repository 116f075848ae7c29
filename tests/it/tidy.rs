//! Taste as a test: the layers hold, every SQL file is one statement that is used and prepares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::app;

/// Modules from the bottom up; a module may name only those before it.
const LAYERS: &[&[&str]] = &[
    &["error", "strict", "cron", "text", "tls", "ids", "config", "renewed", "throttle"],
    &["store", "claim", "delivery", "schedule", "telemetry"],
    &[
        "identity",
        "directory",
        "presence",
        "emoji",
        "callback",
        "archive",
        "lease",
        "audit",
        "event",
        "files",
        "ledger",
        "preference",
    ],
    &["channel", "message", "push", "index", "recall", "receipt", "conversation", "history", "scim"],
    &["outbox", "archiver", "search", "stream"],
    &["maintenance", "api", "token_command", "archive_command", "directory_command"],
    &["app"],
];

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn name(path: &Path, folder: &str) -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    path.strip_prefix(base).unwrap().with_extension("").to_str().unwrap().to_owned()
}

#[test]
fn modules_name_only_what_lies_below_them() {
    let rank: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(rank, layer)| layer.iter().map(move |m| (*m, rank))).collect();
    for path in files("src", "rs") {
        let name = name(&path, "src");
        let module = name.split('/').next().unwrap();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let own = *rank.get(module).unwrap_or_else(|| panic!("{module} has no layer"));
        let text = std::fs::read_to_string(&path).unwrap();
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(&other) = rank.get(used.as_str()) else {
                continue;
            };
            assert!(
                other < own || used == module || other == own && module != "error",
                "{name} names {used}"
            );
        }
        let knows_axum = text.contains("axum::") && !["api", "app"].contains(&module);
        let in_tests = name.ends_with("tests") || name.contains("jwt");
        assert!(!knows_axum || in_tests, "{name} knows axum; only api does");
    }
}

#[test]
fn every_sql_file_is_used_by_its_own_module() {
    let mut used = BTreeSet::new();
    for path in files("src", "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        for call in text.split("sql!(\"").skip(1) {
            used.insert(call.split('"').next().unwrap().to_owned());
        }
    }
    let there: BTreeSet<String> =
        files("sql", "sql").iter().map(|p| name(p, "sql")).filter(|n| !n.starts_with("schema/")).collect();
    assert_eq!(there, used);
}

/// Case is folded by `text::fold`, which is the same in every locale of a database.
#[test]
fn no_statement_folds_case_by_the_locale_of_the_database() {
    for path in files("sql", "sql") {
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        for folding in ["lower(", "upper(", "initcap(", "ilike", "citext", "~*", "casefold("] {
            assert!(!text.contains(folding), "{}: {folding}", path.display());
        }
    }
}

#[tokio::test]
async fn every_statement_prepares_against_the_migrated_schema() {
    let database = app::database().await;
    let client = crate::support::shared().connect(&database).await;
    for path in files("sql", "sql").into_iter().filter(|p| !name(p, "sql").starts_with("schema/")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-- "), "{} says what it does", path.display());
        assert!(
            !text.contains("NOTIFY"),
            "{}: waking inside a transaction serialises commits",
            path.display()
        );
        client.prepare(&text).await.unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
    }
}
