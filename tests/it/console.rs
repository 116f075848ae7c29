//! The console: pages in Chromium, and what other sites and other callers cannot do. And the page of the demo.

mod developer;
mod findings;
mod forms;
mod operations;
mod pages;
mod sign_in;
mod trial;
mod tryit;
mod upkeep;

use serde_json::Value;

use crate::support::run_script;

/// How pages are looked at: language, colours and width.
const LOOKS: [(&str, &str, u32); 4] =
    [("zh", "light", 1280), ("zh", "dark", 390), ("en", "dark", 1280), ("en", "light", 390)];

/// Has Chromium look at pages of the console, as `tests/console/browse.mjs` says.
async fn browse(plan: &Value) -> Value {
    run_script("browse", plan).await
}
