pub mod bodies;
pub mod clients;
pub mod contract;
