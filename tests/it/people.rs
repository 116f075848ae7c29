pub mod contacts;
pub mod preferences;
pub mod presence;
pub mod relations;
pub mod visibility;
