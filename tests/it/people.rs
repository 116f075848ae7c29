pub mod contacts;
pub mod presence;
pub mod visibility;
