//! Taste as a test: areas name only areas above them in the list, a room has no circles, and every SQL file is
//! one statement that its own module uses and that prepares. The list is printed into `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::app;

/// An area of `src`: its name, what it does, and the areas that it names beside `base`.
struct Area {
    name: &'static str,
    does: &'static str,
    names: &'static [&'static str],
}

/// The areas, in the order of `src/lib.rs`. An area names only areas before it.
const AREAS: &[Area] = &[
    Area {
        name: "base",
        does: "the ground: settings, errors, the database, leases, workers, client ids, the audit, text and its \
               analysis for search",
        names: &[],
    },
    Area { name: "identity", does: "proves who is calling, and with which role", names: &[] },
    Area {
        name: "people",
        does: "the users and departments that exist, which of them a user may find, presence, notification settings",
        names: &[],
    },
    Area {
        name: "sync",
        does: "the directory's sources: runs that read them, edits that write to them, SCIM",
        names: &["people"],
    },
    Area {
        name: "accounts",
        does: "people who sign in to this service itself: registration, passwords, sessions, administration",
        names: &["identity", "people", "sync"],
    },
    Area {
        name: "events",
        does: "what has happened, put in order after its commit, and the live streams of it",
        names: &["identity"],
    },
    Area {
        name: "files",
        does: "uploads in pieces, downloads, smaller pictures, links; the file store and what must leave it",
        names: &[],
    },
    Area {
        name: "chat",
        does: "channels, their members and robots; messages: content, bounds, group commit",
        names: &["people", "events"],
    },
    Area {
        name: "calls",
        does: "calls in channels: who is called and who is in, signals handed on live, the message that a call leaves",
        names: &["events", "chat"],
    },
    Area {
        name: "delivery",
        does: "a status for every receiver: the ledger in blocks, the endpoints, the push, reminders of those who have \
               not read",
        names: &["people"],
    },
    Area {
        name: "archive",
        does: "documents of messages in Elasticsearch or a folder: indexed soon, moved for good and verified",
        names: &["delivery"],
    },
    Area {
        name: "records",
        does: "stored messages, hot and cold: history, conversations, receipts, recalls, nudges, cards, search",
        names: &["people", "chat", "delivery", "archive"],
    },
    Area {
        name: "notification",
        does: "messages of an application to many receivers: sent and recalled in steps, with their progress",
        names: &["chat", "delivery", "archive", "records"],
    },
    Area {
        name: "console",
        does: "pages of the answers of the API, in two languages; knows no HTTP and no database",
        names: &["identity", "records"],
    },
    Area {
        name: "api",
        does: "requests and answers, one file a noun; the only area that knows axum",
        names: &[
            "identity",
            "people",
            "sync",
            "accounts",
            "events",
            "files",
            "chat",
            "calls",
            "delivery",
            "archive",
            "records",
            "notification",
            "console",
        ],
    },
    Area {
        name: "cli",
        does: "the commands beside `serve`",
        names: &["identity", "sync", "accounts", "delivery", "archive"],
    },
    Area {
        name: "app",
        does: "puts it together: the table of workers, the listeners, an orderly end",
        names: &[
            "identity",
            "people",
            "sync",
            "accounts",
            "events",
            "files",
            "chat",
            "calls",
            "delivery",
            "archive",
            "records",
            "notification",
            "api",
        ],
    },
];

/// Between these lines of the document the list stands.
const PAGE: &str = "docs/architecture.md";
const BEGIN: &str = "<!-- areas: printed by tests/it/tidy.rs -->";
const END: &str = "<!-- end of areas -->";

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

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The source of the service without its unit tests: the parts of the module's path, and the text.
fn sources() -> Vec<(Vec<String>, String)> {
    let mut sources = Vec::new();
    for path in files("src", "rs") {
        let parts: Vec<String> = name(&path, "src").split('/').map(str::to_owned).collect();
        if parts[0] != "lib" && parts[0] != "main" && !parts.iter().any(|part| part == "tests") {
            sources.push((parts, read(&path)));
        }
    }
    sources
}

/// The paths below `crate::` that a text names, also those in braces.
fn named(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let end = rest.find([';', '(', ' ', '<', '>', ')', ',']).unwrap_or(rest.len());
        let end = if rest.starts_with('{') { rest.find(';').unwrap_or(rest.len()) } else { end };
        let heads = rest[..end].trim_start_matches('{').split(',');
        for head in heads.take(if rest.starts_with('{') { usize::MAX } else { 1 }) {
            let words = head.trim().split("::").map(|w| w.trim_matches(['{', '}', ';']).trim().to_owned());
            paths.push(words.collect());
        }
    }
    paths
}

fn strangers(area: &Area, text: &str) -> Vec<String> {
    let used = named(text).into_iter().map(|path| path[0].clone());
    let is_area = |used: &String| AREAS.iter().any(|other| other.name == *used);
    let is_known = |used: &String| used == area.name || used == "base" || area.names.contains(&used.as_str());
    used.filter(|used| is_area(used) && !is_known(used)).collect()
}

#[test]
fn an_area_names_only_the_areas_that_its_row_lists() {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (parts, text) in sources() {
        let module = parts.join("/");
        let area = AREAS.iter().find(|area| area.name == parts[0]);
        let area = area.unwrap_or_else(|| panic!("{module} is in no area"));
        assert_eq!(
            strangers(area, &text),
            Vec::<String>::new(),
            "{module} names areas that it must not know"
        );
        used.entry(area.name).or_default().extend(named(&text).into_iter().map(|path| path[0].clone()));
        assert!(
            !text.contains("axum::") || ["api", "app"].contains(&area.name) || module.contains("jwt"),
            "{module} knows axum; only api does"
        );
    }
    for (at, area) in AREAS.iter().enumerate() {
        for name in area.names {
            assert!(
                AREAS[..at].iter().any(|above| above.name == *name),
                "{} names {name} below it",
                area.name
            );
            assert!(used[area.name].contains(*name), "{} no longer names {name}", area.name);
        }
    }
}

#[test]
fn a_stranger_is_found_in_every_form() {
    let chat = AREAS.iter().find(|area| area.name == "chat").unwrap();
    for text in
        ["use crate::api::Api;", "use crate::{events, api};", "let a = crate::api::x();", "use crate::api;"]
    {
        assert_eq!(strangers(chat, text), ["api"], "{text}");
    }
    assert!(strangers(chat, "use crate::base::store; use crate::{events, sql};").is_empty());
}

#[test]
fn the_library_lists_the_areas_in_their_order() {
    let lib = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let listed: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(listed, AREAS.iter().map(|area| area.name).collect::<Vec<_>>());
}

/// A circle among the modules of an area, if there is one. The file of the area itself only lists and shares.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(uses: &BTreeMap<String, BTreeSet<String>>, at: &str, way: &mut Vec<String>) -> bool {
        if way.iter().any(|seen| seen == at) {
            way.push(at.to_owned());
            return true;
        }
        way.push(at.to_owned());
        if uses.get(at).is_some_and(|next| next.iter().any(|next| walk(uses, next, way))) {
            return true;
        }
        way.pop();
        false
    }
    uses.keys().find_map(|start| {
        let mut way = Vec::new();
        walk(uses, start, &mut way).then_some(way)
    })
}

#[test]
fn the_modules_of_an_area_name_each_other_one_way() {
    for area in AREAS {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let sources: Vec<_> =
            sources().into_iter().filter(|(parts, _)| parts[0] == area.name && parts.len() > 1).collect();
        let rooms: BTreeSet<String> = sources.iter().map(|(parts, _)| parts[1].clone()).collect();
        for (parts, text) in &sources {
            let up = if parts.len() == 2 { "super::" } else { "super::super::" };
            let near = text.split(up).skip(1).map(|rest| {
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
            });
            let near = near.filter(|_| parts.len() <= 3);
            let far = named(text).into_iter().filter(|path| path[0] == area.name && path.len() > 1);
            let used = far.map(|path| path[1].clone()).chain(near);
            let used = used.filter(|used| rooms.contains(used) && *used != parts[1]);
            uses.entry(parts[1].clone()).or_default().extend(used);
        }
        assert_eq!(circle(&uses), None, "a circle in {}", area.name);
    }
}

#[test]
fn a_circle_is_found() {
    let of = |pairs: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circle(&uses)
    };
    assert_eq!(of(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert!(of(&[("a", "b"), ("b", "c"), ("c", "b")]).is_some());
}

/// The list of areas as the document has it.
fn printed() -> String {
    let mut page = String::from("| area | does | knows nothing of |\n| --- | --- | --- |\n");
    for (at, area) in AREAS.iter().enumerate() {
        let unknown: Vec<String> = AREAS[1.min(at)..at]
            .iter()
            .filter(|above| !area.names.contains(&above.name))
            .map(|above| format!("`{}`", above.name))
            .collect();
        let unknown = if area.name == "base" { "the service".to_owned() } else { unknown.join(", ") };
        page.push_str(&format!("| `{}` | {} | {unknown} |\n", area.name, area.does));
    }
    page
}

#[test]
fn the_document_has_the_list_of_areas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = read(&path);
    let (before, rest) = page.split_once(BEGIN).expect("the list begins");
    let (_, after) = rest.split_once(END).expect("the list ends");
    let wanted = format!("{before}{BEGIN}\n\n{}\n{END}{after}", printed());
    if std::env::var_os("PRINT_AREAS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(page == wanted || std::env::var_os("PRINT_AREAS").is_some(), "run the test with PRINT_AREAS=1");
}

/// The folder of a statement is the module that uses it: an area, and a module of it.
#[test]
fn every_sql_file_is_used_by_its_own_module_alone() {
    let mut used = BTreeSet::new();
    for (parts, text) in sources() {
        let module = parts[..parts.len().min(2)].join("/");
        for call in text.split("sql!(").skip(1) {
            let Some(statement) = call.trim_start().strip_prefix('"').and_then(|s| s.split('"').next())
            else {
                continue;
            };
            let folder = statement.rsplit_once('/').map_or("", |(folder, _)| folder);
            assert_eq!(folder, module, "{} uses {statement}", parts.join("/"));
            used.insert(statement.to_owned());
        }
    }
    let there: BTreeSet<String> =
        files("sql", "sql").iter().map(|p| name(p, "sql")).filter(|n| !n.starts_with("schema/")).collect();
    assert_eq!(there, used);
}

/// The signatures of the public functions of a text, each in one line.
fn signatures(text: &str) -> Vec<String> {
    let begins = ["pub fn ", "pub async fn ", "pub const fn "];
    let functions = begins.iter().flat_map(|begin| text.split(begin).skip(1));
    let ends = |rest: &str| rest.find('{').unwrap_or(rest.len());
    functions.map(|rest| rest[..ends(rest)].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A public function of a domain takes and returns values of it: no row, and no bare number for an id.
fn untyped(text: &str) -> Vec<String> {
    let bare = |signature: &&String| {
        signature.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "Row")
            || ["channel_id", "file_id", "ms_id"].iter().any(|id| is_bare(signature, id))
    };
    let functions = signatures(text).iter().filter(bare).cloned().collect::<Vec<_>>();
    let fields = text.lines().map(str::trim).filter(|line| {
        line.starts_with("pub ")
            && !line.contains("fn ")
            && ["channel_id", "file_id", "ms_id"].iter().any(|id| is_bare(line, id))
    });
    functions.into_iter().chain(fields.map(str::to_owned)).collect()
}

/// Whether an id, or a list of them, is declared as a number.
fn is_bare(text: &str, id: &str) -> bool {
    text.split(id).skip(1).any(|rest| {
        let Some(kind) = rest.trim_start_matches('s').strip_prefix(": ") else { return false };
        let kind = kind.trim_start_matches(['&', '[']);
        let kind = kind.trim_start_matches("Option<").trim_start_matches("Vec<");
        kind.starts_with("i64")
    })
}

#[test]
fn ids_have_their_types_and_rows_stay_in_their_module() {
    for (parts, text) in sources() {
        // `base::store` hands rows to the modules.
        if parts[..2.min(parts.len())] != ["base", "store"] {
            assert_eq!(untyped(&text), Vec::<String>::new(), "{}", parts.join("/"));
        }
    }
}

#[test]
fn a_bare_id_and_a_row_are_found() {
    for text in [
        "pub async fn get(store: &Store, channel_id: i64) -> Result<()> {",
        "pub fn of(\n    from_ms_id: Option<i64>,\n) {",
        "pub fn of(ms_ids: &[i64]) {",
        "pub fn rows(store: &Store) -> Result<Vec<Row>> {",
        "pub fn of(row: &tokio_postgres::Row) -> Self {",
        "struct A {\n    pub channel_ids: Option<Vec<i64>>,\n}",
    ] {
        assert_eq!(untyped(text).len(), 1, "{text}");
    }
    for text in
        ["pub fn get(channel_id: ChannelId) -> Rows {", "fn of(row: &Row) {", "pub(super) fn of(row: &Row) {"]
    {
        assert!(untyped(text).is_empty(), "{text}");
    }
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
