//! The commands of the binary beside `serve`.

pub mod account;
pub mod archive;
pub mod check;
pub mod directory;
pub mod support;
pub mod token;
