pub mod contacts;
pub mod key_packages;
pub mod preferences;
pub mod presence;
pub mod relations;
pub mod visibility;
