pub mod bodies;
pub mod clients;
pub mod compression;
pub mod contract;
pub mod limits;
pub mod operations;
pub mod upkeep;
