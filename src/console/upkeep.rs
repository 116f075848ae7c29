//! Pages for what the service does by itself: the archive, the directory, its schedule and its replicas; and what support
//! and administrators can put right.

pub mod answers;
pub mod archive;
pub mod confirm;
pub mod edits;
pub mod groups;
pub mod machines;
pub mod runs;
