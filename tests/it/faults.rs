//! What fails around the service, and upgrades: what each part does meanwhile, that no message is lost, doubled or out
//! of order, and how long it takes until all is well again. `docs/failure-modes.md` has a row for each.

mod archive;
mod clock;
mod database;
mod night;
mod overload;
mod released;
mod rolling;
mod scene;
mod soak;
mod upgrade;
