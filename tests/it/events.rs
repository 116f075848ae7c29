pub mod names;
pub mod observers;
pub mod streams;
pub mod unread_totals;
