pub mod clock;
pub mod crowding;
pub mod database;
pub mod logs;
pub mod pooler;
pub mod repeats;
pub mod restored;
