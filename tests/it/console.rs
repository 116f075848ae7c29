//! The console: pages in Chromium, and what other sites and other callers cannot do.

mod forms;
mod operations;
mod pages;
mod upkeep;
