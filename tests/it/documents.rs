//! The documents are true: links lead somewhere, and settings, metrics and paths that they name are there. Their
//! samples run.

mod failures;
mod metrics;
mod runbooks;
mod samples;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use im_push_gateway::api::contract;
use im_push_gateway::delivery::endpoint::EVENT_TYPES;
use serde_json::Value;

const README_LINES: usize = 150;
/// It names settings that are gone.
const HISTORY: &str = "CHANGELOG.md";
/// Where words that stand in backticks come from.
const SOURCES: &[&str] = &["src", "sql", "openapi", "tests", "examples"];
/// Folders that paths in backticks begin with.
const FOLDERS: &[&str] = &[
    "src/",
    "sql/",
    "docs/",
    "tests/",
    "openapi/",
    "charts/",
    "benches/",
    "examples/",
    "packaging/",
    ".ci/",
];
/// Endings of names that are settings, or fields of a contract.
const UNITS: &[&str] = &["_ms", "_days", "_bytes"];
/// Set by the command line alone, and no key of the settings.
const CONFIG: &str = "config";
/// Operations that take a `client_id`, with the word for each that the documents use.
const WITH_CLIENT_ID: &[(&[&str], &str, &str)] = &[
    (&["sendMessage", "sendMessages"], "a send", "发消息"),
    (&["forwardMessage"], "a forward", "转发"),
    (&["beginCall"], "a call", "发起通话"),
    (&["createChannel", "createGroup"], "a group", "建群"),
    (&["createInvite"], "an invite", "创建邀请"),
    (&["uploadFile", "createUpload"], "a file", "上传文件"),
    (&["createNotification"], "a notification", "发工作通知"),
    (&["createRobot"], "a robot", "创建机器人"),
    (&["createCallback"], "a callback", "创建回调"),
    (&["rotateSecret"], "a secret", "换密钥"),
    (&["createEndpointLink"], "a link", "生成开发者链接"),
    (&["createToken"], "a token", "生成令牌"),
    (&["createInvitation"], "an invitation", "创建邀请"),
    (&["syncDirectory"], "a directory run", "发起通讯录同步"),
];
/// Places that list these operations: the file, how the list begins, and whether it is Chinese.
const CLIENT_ID_LISTS: &[(&str, &str, bool)] = &[
    ("openapi/im-push-gateway/info.yaml", "Operations that create something take a `client_id`", false),
    ("docs/architecture.md", "| Once: ", false),
    ("docs/portals.md", "**These calls take a `client_id`**", false),
    ("docs/zh/portals.md", "**带 `client_id` 的调用**", true),
];

/// One document, by its place in the repository.
struct Document {
    place: String,
    text: String,
}

/// A line outside the fenced blocks, and where it stands.
struct Line<'a> {
    at: String,
    text: &'a str,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder, without what is hidden and what is built.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<Document> {
    let place = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    let read = |path: &PathBuf| Document { place: place(path), text: std::fs::read_to_string(path).unwrap() };
    files(root(), &["md"]).iter().map(read).collect()
}

impl Document {
    /// Its lines that are no code.
    fn prose(&self) -> Vec<Line<'_>> {
        let mut fenced = false;
        let mut lines = Vec::new();
        for (number, text) in self.text.lines().enumerate() {
            if text.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                lines.push(Line { at: format!("{}:{}", self.place, number + 1), text });
            }
        }
        lines
    }

    /// Its blocks of one language, one after another.
    fn blocks(&self, language: &str) -> String {
        let opening = format!("```{language}");
        let mut inside = false;
        let mut code = String::new();
        for line in self.text.lines() {
            if inside && line == "```" {
                inside = false;
            } else if inside {
                code.push_str(line);
                code.push('\n');
            } else {
                inside = line == opening;
            }
        }
        code
    }

    /// Anchors of its headings, as the forge makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let headings = self.prose().into_iter().filter(|line| line.text.starts_with('#'));
        headings
            .map(|line| {
                let title = line.text.trim_start_matches('#').trim().to_lowercase();
                let kept = title.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
                let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
                let times = seen.entry(anchor.clone()).or_default();
                *times += 1;
                if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
            })
            .collect()
    }
}

impl Line<'_> {
    /// What stands in backticks.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.split('`').skip(1).step_by(2)
    }

    /// Where its links lead.
    fn links(&self) -> Vec<String> {
        let words: String = self.text.split('`').step_by(2).collect::<Vec<_>>().join("x");
        let ends = words.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        ends.map(|(target, _)| target.to_owned()).collect()
    }
}

/// Words of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// `two_words`, as settings, fields and functions are written.
fn is_snake_case(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.contains('_') && word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(plain)
}

fn defaults() -> String {
    std::fs::read_to_string(root().join("src/base/config.default.toml")).unwrap()
}

/// Every setting; those of a table as `directory.source`.
fn settings() -> BTreeSet<String> {
    let mut table = String::new();
    let mut keys = BTreeSet::new();
    for line in defaults().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{table}{key}"));
        }
    }
    keys
}

/// All words of files of these folders.
fn words_of(folders: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for folder in folders {
        for path in files(&root().join(folder), &["rs", "sql", "yaml", "toml", "conf", "cfg"]) {
            all.extend(words(&std::fs::read_to_string(path).unwrap()).map(str::to_owned));
        }
    }
    all
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        documents.iter().map(|document| (document.place.as_str(), document.anchors())).collect();
    let mut broken = Vec::new();
    for document in &documents {
        let folder = root().join(&document.place).parent().unwrap().to_owned();
        for line in document.prose() {
            for link in line.links() {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (place, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = if place.is_empty() { root().join(&document.place) } else { folder.join(place) };
                let Ok(target) = target.canonicalize() else {
                    broken.push(format!("{}: {link}", line.at));
                    continue;
                };
                let there = target.strip_prefix(root().canonicalize().unwrap()).map(Path::to_path_buf);
                let there = there.unwrap_or_default().display().to_string();
                if !anchor.is_empty() && !anchors.get(there.as_str()).is_some_and(|a| a.contains(anchor)) {
                    broken.push(format!("{}: {link}", line.at));
                }
            }
        }
    }
    assert_eq!(broken, [] as [String; 0]);
}

#[test]
fn every_variable_of_the_environment_is_a_setting() {
    let settings = settings();
    let is_setting = |name: &str| {
        let of_table = name.strip_prefix("directory_").map(|key| format!("directory.{key}"));
        name == CONFIG || settings.contains(name) || of_table.is_some_and(|key| settings.contains(&key))
    };
    // The file of a secret.
    let is_setting = |name: &str| is_setting(name) || name.strip_suffix("_file").is_some_and(is_setting);
    let mut unknown = Vec::new();
    for document in documents() {
        for name in words(&document.text).filter_map(|word| word.strip_prefix("IMPG_")) {
            // One that ends so is the beginning of several.
            if !name.is_empty() && !name.ends_with('_') && !is_setting(&name.to_lowercase()) {
                unknown.push(format!("{}: IMPG_{name}", document.place));
            }
        }
    }
    assert_eq!(unknown, [] as [String; 0]);
}

#[test]
fn every_setting_that_is_named_is_one() {
    let (settings, known, contracts) = (settings(), words_of(SOURCES), words_of(&["openapi"]));
    let is_setting = |name: &str| settings.contains(name) || settings.contains(&format!("directory.{name}"));
    let is_known = |name: &str| {
        name.starts_with("impg_")
            || is_setting(name)
            || contracts.contains(name)
            || known.contains(name) && !UNITS.iter().any(|unit| name.ends_with(unit))
    };
    let mut unknown = Vec::new();
    for document in documents().into_iter().filter(|document| document.place != HISTORY) {
        for line in document.prose() {
            for code in line.code() {
                let (name, is_set) = code.split_once(" = ").map_or((code, false), |(name, _)| (name, true));
                let of_table = name.strip_prefix("directory.").is_some_and(|key| words(key).eq([key]));
                let is_true = match (of_table, is_set) {
                    (true, _) => settings.contains(name),
                    // Of a line of settings, or of the pooler's.
                    (_, true) if is_snake_case(name) => is_known(name),
                    _ => !is_snake_case(name) || is_known(name),
                };
                if !is_true {
                    unknown.push(format!("{}: {code}", line.at));
                }
            }
        }
        let mut table = "";
        for line in document.blocks("toml").lines() {
            if line.starts_with('[') {
                table = "directory.";
            } else if let Some((key, _)) = line.split_once(" = ")
                && !settings.contains(&format!("{table}{key}"))
            {
                unknown.push(format!("{}: {table}{key}", document.place));
            }
        }
    }
    assert_eq!(unknown, [] as [String; 0]);
}

#[test]
fn every_path_that_is_named_is_there() {
    let mut missing = Vec::new();
    for document in documents().into_iter().filter(|document| document.place != HISTORY) {
        for line in document.prose() {
            for code in line.code() {
                let path = code.split(' ').next().unwrap_or_default();
                let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
                let is_pattern = path.contains(['<', '*', '…', '{']);
                if is_path && !is_pattern && !root().join(path).exists() {
                    missing.push(format!("{}: {path}", line.at));
                }
            }
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

/// The search of the page at `/docs` knows the Chinese terms.
#[test]
fn every_term_of_the_glossary_can_be_searched_for() {
    let terms = std::fs::read_to_string(root().join("src/api/docs-terms.js")).unwrap();
    let glossary = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("| ")).skip(2);
    let chinese = rows.filter_map(|row| row.split('|').nth(2)).flat_map(|cell| cell.split(", "));
    let missing: Vec<&str> =
        chinese.map(str::trim).filter(|term| !terms.contains(&format!("'{term}': "))).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

/// Whether a call takes a `client_id`: as a field, in each item of a list, as a parameter, or in the metadata of tus.
fn takes_client_id(document: &Value, operation: &Value) -> bool {
    let followed = |schema: &Value| match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("a schema").clone(),
        None => schema.clone(),
    };
    let body = followed(&operation["requestBody"]["content"]["application/json"]["schema"]);
    let of_choices = body["oneOf"].as_array().into_iter().flatten().map(followed);
    let mut schemas = [body.clone(), followed(&body["items"])].into_iter().chain(of_choices);
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    schemas.any(|schema| schema["properties"]["client_id"].is_object())
        || parameters.any(|it| it["name"] == "client_id" || it["name"] == "Upload-Metadata")
}

#[test]
fn every_call_that_takes_a_client_id_is_listed() {
    let document = serde_json::to_value(contract::api()).unwrap();
    let methods = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
    let taking = methods.map(|(_, operation)| operation).filter(|it| takes_client_id(&document, it));
    let taking: BTreeSet<&str> = taking.filter_map(|it| it["operationId"].as_str()).collect();
    let listed: BTreeSet<&str> = WITH_CLIENT_ID.iter().flat_map(|(ids, _, _)| ids.iter().copied()).collect();
    assert_eq!(taking, listed);

    let mut missing = Vec::new();
    for (place, beginning, is_chinese) in CLIENT_ID_LISTS {
        let text = std::fs::read_to_string(root().join(place)).unwrap();
        let (_, rest) = text.split_once(beginning).expect(beginning);
        // The list is one sentence, or one row of a table. The words after it do not count.
        let paragraph =
            rest.split("\n\n").next().and_then(|text| text.split("\n|").next()).unwrap_or_default();
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let list = paragraph.split(". ").next().unwrap_or_default();
        for (_, english, chinese) in WITH_CLIENT_ID {
            let word = if *is_chinese { chinese } else { english };
            if !list.contains(word) {
                missing.push(format!("{place}: {word}"));
            }
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

#[test]
fn every_type_of_event_is_in_the_table_for_portals() {
    let mut missing = Vec::new();
    for place in ["docs/portals.md", "docs/zh/portals.md"] {
        let text = std::fs::read_to_string(root().join(place)).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        for told in EVENT_TYPES {
            if !rows.iter().any(|row| row.contains(&format!("`{told}`"))) {
                missing.push(format!("{place}: add `{told}` to the table of event types"));
            }
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

#[test]
fn the_readme_is_short() {
    for name in ["README.md", "README.zh-CN.md"] {
        let lines = std::fs::read_to_string(root().join(name)).unwrap().lines().count();
        assert!(lines <= README_LINES, "{name} has {lines} lines");
    }
}
