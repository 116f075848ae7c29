//! The console: pages in Chromium, and what other sites and other callers cannot do. And the page of the demo.

mod developer;
mod forms;
mod operations;
mod pages;
mod tryit;
mod upkeep;
