pub mod around;
pub mod read_reports;
pub mod reading;
pub mod recalls;
pub mod receipts;
pub mod received;
pub mod search;
pub mod signing_in;
