pub mod callbacks;
pub mod escalations;
pub mod gate;
pub mod push;
pub mod queue;
pub mod reminders;
pub mod statistics;
