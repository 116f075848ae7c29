pub mod callbacks;
pub mod push;
pub mod queue;
