pub mod bodies;
pub mod clients;
pub mod contract;
pub mod limits;
