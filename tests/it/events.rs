pub mod observers;
pub mod streams;
