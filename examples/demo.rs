//! The main job, visibly, on real parts: `make demo`. `DEMO=keep` leaves everything running.
//!
//! A private PostgreSQL, the service as a process of its own, and a gateway that is an HTTP server
//! of its own process too: this program again, started as `demo gateway`. A made-up company moves
//! in from its HR's service, talks, misses things, loses its gateway and its service; a month goes by and
//! its records move into an archive; somebody leaves and somebody moves; and at the end the books are
//! compared: what was promised against what is there.
//! Whatever ends this program ends them all.

#[path = "demo/books.rs"]
mod books;
#[path = "demo/company.rs"]
mod company;
#[path = "demo/faults.rs"]
mod faults;
#[path = "demo/gateway.rs"]
mod gateway;
#[path = "demo/month.rs"]
mod month;
#[path = "demo/proof.rs"]
mod proof;
#[path = "demo/stage.rs"]
mod stage;
#[path = "demo/story.rs"]
mod story;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "demo/tell.rs"]
mod tell;
#[path = "demo/turnover.rs"]
mod turnover;

use std::process::ExitCode;

use stage::Stage;
use tokio::signal::unix::{SignalKind, signal};

/// As a shell says that Ctrl-C ended something.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(gateway::PLAY) {
        return gateway::serve().await;
    }
    // Whichever ends first, the other is dropped, and with it all that it had started.
    tokio::select! {
        code = show() => code,
        () = interrupted() => {
            println!("\ninterrupted: everything is being stopped");
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn show() -> ExitCode {
    let keep = std::env::var("DEMO").is_ok_and(|wish| wish == "keep");
    let mut stage = Stage::open().await;
    story::company(&mut stage).await;
    let direct = story::direct_chat(&mut stage).await;
    story::becomes_a_group(&mut stage, &direct).await;
    let announcement = story::all_hands(&mut stage).await;
    story::application(&mut stage).await;
    story::signing_in(&mut stage).await;
    faults::outage(&mut stage).await;
    faults::kill(&mut stage).await;
    story::afterwards(&stage, &announcement).await;
    let month = month::goes_by(&mut stage, &announcement, &direct).await;
    let turnover = turnover::happens(&mut stage, &announcement).await;
    let kept_all = proof::compare(&stage, &month, &turnover).await;
    tell::look_at(&stage, keep);
    if keep {
        std::future::pending::<()>().await;
    }
    if kept_all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be heard");
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
