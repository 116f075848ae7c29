pub mod reading;
pub mod recalls;
pub mod receipts;
pub mod search;
