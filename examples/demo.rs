//! The demo: a company of 300 uses the service, with real processes. `make demo` runs it. `DEMO=keep` leaves it running, with
//! a page on which visitors try it.
//!
//! The processes are a private PostgreSQL, the service, and a gateway. The gateway is an HTTP server: this program
//! again, started as `demo gateway`. The users come from an HR service, send messages, decide an approval and miss some
//! messages. The gateway fails and the service is killed. A month passes and the messages move into an archive. One user
//! leaves the company and one changes departments. At the end every promise is compared with the state of all parts.
//! All processes end with this program.

#[path = "demo/approval.rs"]
mod approval;
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
#[path = "demo/tryit.rs"]
mod tryit;
#[path = "demo/turnover.rs"]
mod turnover;
#[path = "demo/visitors.rs"]
mod visitors;

use std::process::ExitCode;

use stage::Stage;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a shell after Ctrl-C.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(gateway::PLAY) {
        return gateway::serve().await;
    }
    // The one that ends first drops the other, with all processes that it started.
    tokio::select! {
        code = show() => code,
        () = interrupted() => {
            println!("\ninterrupted: stopping all processes");
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
    let oa = story::application(&mut stage).await;
    approval::takes_its_course(&mut stage, &oa).await;
    story::signing_in(&mut stage).await;
    faults::outage(&mut stage).await;
    faults::kill(&mut stage).await;
    story::afterwards(&stage, &announcement).await;
    let month = month::goes_by(&mut stage, &announcement, &direct).await;
    let turnover = turnover::happens(&mut stage, &announcement).await;
    let kept_all = proof::compare(&stage, &month, &turnover).await;
    if keep {
        let site = visitors::welcome(&stage).await;
        tell::look_at(&stage, Some(&site.url));
        std::future::pending::<()>().await;
    }
    tell::look_at(&stage, None);
    if kept_all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be heard");
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
