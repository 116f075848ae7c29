//! The console: pages in Chromium, and what other sites and other callers cannot do. And the page of the demo.

mod developer;
mod forms;
mod operations;
mod pages;
mod tryit;
mod upkeep;

/// How pages are looked at: language, colours and width. Together both of each; for `make pictures` in more combinations.
fn looks() -> Vec<(&'static str, &'static str, u32)> {
    let mut looks = vec![("zh", "light", 1280), ("en", "dark", 390)];
    if std::env::var_os("PICTURES").is_some() {
        looks.extend([("zh", "dark", 390), ("en", "light", 1280)]);
    }
    looks
}
