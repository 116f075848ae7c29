//! Each row of the failure modes names tests that are there.

use super::root;

/// The last cell of a row of its tables has the tests.
const PAGE: &str = "docs/failure-modes.md";
const HEAD: &str = "| fault | callers |";

/// Whether there is a test of this path: `faults::clock::name`, with its modules from `tests/it` on.
pub fn is_test(path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else {
        return false;
    };
    let place = root().join("tests/it").join(module.replace("::", "/")).with_extension("rs");
    let text = std::fs::read_to_string(place).unwrap_or_default();
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else {
        return false;
    };
    // Its attributes are on the lines right above it.
    let above = before.trim_end_matches("async ").lines().rev();
    let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("///"));
    above.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

#[test]
fn every_failure_mode_is_shown_by_a_test() {
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let rows: Vec<&str> = rows.filter(|line| !line.starts_with(HEAD)).collect();
    assert!(rows.len() > 20, "{PAGE} has {} rows", rows.len());
    let mut unshown = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let tests: Vec<&str> =
            cells.last().copied().unwrap_or_default().split('`').skip(1).step_by(2).collect();
        if tests.is_empty() || !tests.iter().all(|test| is_test(test)) {
            unshown.push(format!("{}: {tests:?}", cells[0]));
        }
    }
    assert_eq!(unshown, [] as [String; 0]);
}
