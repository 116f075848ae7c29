//! Migrations of a released version stay as they are: a database that has them refuses others.

use std::fmt::Write as _;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/schema");
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/released");

/// The version, name and checksum of a migration, as a line of the list.
fn line(migration: &refinery::Migration) -> String {
    format!("V{}__{} {:016x}", migration.version(), migration.name(), migration.checksum())
}

#[test]
fn released_migrations_are_not_changed() {
    let list = std::fs::read_to_string(LIST).expect("sql/released");
    let released: Vec<&str> =
        list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let migrations = refinery::load_sql_migrations(FOLDER).expect("migrations");
    let lines: Vec<String> = migrations.iter().map(line).collect();
    let changed: Vec<&&str> = released.iter().filter(|line| !lines.iter().any(|l| l == **line)).collect();
    assert_eq!(
        changed,
        [] as [&&str; 0],
        "a released migration is changed or gone: restore it, and put the change into a new file"
    );

    // New ones come after those, and are in the list when their version is released.
    let version =
        |line: &str| line[1..].split("__").next().and_then(|n| n.parse::<i32>().ok()).expect("a version");
    let newest = released.iter().map(|line| version(line)).max().expect("a released migration");
    let history =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md")).expect("a history");
    let is_release = !history.lines().any(|line| line == "## Unreleased");
    let mut missing = String::new();
    for line in lines.iter().filter(|line| !released.contains(&line.as_str())) {
        if is_release || version(line) <= newest {
            writeln!(missing, "{line}").expect("text grows");
        }
    }
    assert!(
        missing.is_empty(),
        "a version with these migrations is released: add to sql/released\n{missing}"
    );
}

/// One version in all files that name it.
#[test]
fn all_files_name_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let mut others = Vec::new();
    for (place, named) in [
        ("charts/im-push-gateway/Chart.yaml", format!("\nversion: {version}\n")),
        ("charts/im-push-gateway/Chart.yaml", format!("\nappVersion: {version}\n")),
        ("openapi/im-push-gateway/info.yaml", format!("\n  version: {version}\n")),
        ("openapi/push-callback.yaml", format!("\n  version: {version}\n")),
        ("openapi/scim.yaml", format!("\n  version: {version}\n")),
        ("examples/compose/compose.yaml", format!("image: im-push-gateway:{version}\n")),
        ("packaging/debian/changelog", format!("im-push-gateway ({version}-1) ")),
        ("CHANGELOG.md", format!("\n## {version} - ")),
    ] {
        let path = format!("{}/{place}", env!("CARGO_MANIFEST_DIR"));
        if !std::fs::read_to_string(path).expect(place).contains(&named) {
            others.push(format!("{place}: {}", named.trim()));
        }
    }
    assert_eq!(others, [] as [String; 0], "write the version {version} there, too");
}
