pub mod names;
pub mod observers;
pub mod presence;
pub mod sockets;
pub mod streams;
pub mod unread_totals;
