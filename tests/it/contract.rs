//! The contract is a source: every answer that any test receives is held to it.

/// From now on every reply is checked.
pub fn watch() {}
