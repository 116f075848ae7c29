pub mod broadcast;
pub mod channels;
pub mod department_groups;
pub mod large;
pub mod messages;
pub mod oversight;
pub mod strangers;
