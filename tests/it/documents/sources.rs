//! Each row of what the source documents ask names tests that are there, or says why there is none.

use super::failures::is_test;
use super::root;

const PAGE: &str = "docs/sources.md";
const HEAD: &str = "| asked | done by | shown by | not done |";

/// Whether there is such a test, or a script of checks below `tests`.
fn is_shown(name: &str) -> bool {
    is_test(name) || name.starts_with("tests/") && root().join(name).is_file()
}

#[test]
fn what_the_source_documents_ask_is_shown_by_a_test_or_said_to_be_missing() {
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let rows: Vec<&str> = rows.filter(|line| *line != HEAD).collect();
    assert!(rows.len() > 200, "{PAGE} has {} rows", rows.len());
    let mut unshown = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, asked, done_by, shown_by, not_done, _] = cells[..] else {
            unshown.push(format!("{row}: a row has four cells"));
            continue;
        };
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        // What is shown is done by something.
        let is_whole = if tests.is_empty() { !not_done.is_empty() } else { !done_by.is_empty() };
        if !is_whole || !tests.iter().all(|test| is_shown(test)) {
            unshown.push(format!("{asked}: {tests:?}"));
        }
    }
    assert_eq!(unshown, [] as [String; 0]);
}
