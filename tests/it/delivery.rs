pub mod callbacks;
pub mod escalations;
pub mod push;
pub mod queue;
pub mod reminders;
