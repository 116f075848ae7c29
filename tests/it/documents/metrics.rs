//! Metrics and alerts: what the documents, the alerts and the dashboard name is counted, described and documented.

use std::collections::BTreeSet;

use super::{documents, files, root, words};

/// What Prometheus adds to the name of a histogram.
const SERIES: &[&str] = &["_bucket", "_sum", "_count"];

/// The names of all metrics of `src`.
fn counted_metrics() -> BTreeSet<String> {
    let mut counted = BTreeSet::new();
    for path in files(&root().join("src"), &["rs"]) {
        let text = std::fs::read_to_string(path).unwrap();
        counted.extend(text.split('"').filter(|part| part.starts_with("impg_")).map(str::to_owned));
    }
    counted
}

#[test]
fn every_metric_that_is_named_is_counted() {
    let counted = counted_metrics();
    let mut unknown = Vec::new();
    for document in documents() {
        for name in words(&document.text).filter(|word| word.len() > 5 && word.starts_with("impg_")) {
            let whole = SERIES.iter().find_map(|series| name.strip_suffix(series)).unwrap_or(name);
            if !counted.contains(whole) && !counted.contains(name) {
                unknown.push(format!("{}: {name}", document.place));
            }
        }
    }
    assert_eq!(unknown, [] as [String; 0]);
}

#[test]
fn every_metric_that_is_counted_is_described_and_documented() {
    let source: String = files(&root().join("src"), &["rs"])
        .into_iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let described: BTreeSet<&str> = ["describe_counter!(", "describe_gauge!(", "describe_histogram!("]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    let table = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let mut missing = Vec::new();
    for name in counted_metrics().into_iter().filter(|name| words(name).eq([name.as_str()])) {
        // Of tokens, and of `im-push-gateway check`.
        if name.len() == "impg_".len() || name.starts_with("impg_check_") {
            continue;
        }
        if !described.contains(name.as_str()) {
            missing.push(format!("describe {name} in src/base/telemetry.rs"));
        }
        if !table.contains(&format!("`{name}`")) {
            missing.push(format!("add {name} to the table of docs/operating.md"));
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

/// Files of the chart that name metrics beside the documents.
const WATCH: &[&str] = &["alerts.yaml", "dashboard.json"];

#[test]
fn alerts_and_dashboard_name_metrics_that_are_counted() {
    let counted = counted_metrics();
    let mut unknown = Vec::new();
    for place in WATCH {
        let text = std::fs::read_to_string(root().join("charts/im-push-gateway/files").join(place)).unwrap();
        for name in words(&text).filter(|word| word.starts_with("impg_")) {
            let whole = SERIES.iter().find_map(|series| name.strip_suffix(series)).unwrap_or(name);
            if !counted.contains(whole) && !counted.contains(name) {
                unknown.push(format!("{place}: {name}"));
            }
        }
    }
    assert_eq!(unknown, [] as [String; 0]);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let read = |place: &str| std::fs::read_to_string(root().join(place)).unwrap();
    let (alerts, runbooks) = (read("charts/im-push-gateway/files/alerts.yaml"), read("docs/runbooks.md"));
    let after = |text: &str, mark: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(mark)).map(str::to_owned).collect()
    };
    let named = after(&alerts, "- alert: ");
    assert_eq!(named, after(&runbooks, "## "));
    let links = named.iter().map(|name| format!("docs/runbooks.md#{}", name.to_lowercase()));
    assert_eq!(after(&alerts, "runbook: "), links.collect());
    let tested = after(&read("tests/alerts/alerts.test.yaml"), "alertname: ");
    assert!(tested.is_superset(&named), "no test of {:?}", named.difference(&tested));
}
