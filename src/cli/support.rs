//! `im-push-gateway support …`: one archive with what support staff need to help. It has nothing about people.

mod database;
mod packet;
mod replica;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::check::{self, CheckCommand};
use crate::base::config::{Config, ShownSettings};
use crate::base::store::Store;
use packet::Packet;

/// The exit code of an archive that lacks something.
const INCOMPLETE: u8 = 2;
/// The first file of the archive.
const README: &str = "\
This archive was made by `im-push-gateway support gather`. It describes an installation for support staff.

It has no message, no file, no user id, no name of a user, department or channel, and no secret of the settings.
Addresses have no user, password, query or long part of a path. Look at each file before you send the archive.

A file that could not be read has the reason as `missing`. All times are UTC.

";

#[derive(Subcommand)]
pub enum SupportCommand {
    /// Write one archive (tar.gz) with the sanitized settings, the checks, sizes, queues and last runs.
    ///
    /// It changes nothing, and has no messages, no secrets and nothing about people. The exit code is 0 when all
    /// is in the archive, 2 when something is missing because the database does not answer, and 1 when there is no
    /// archive.
    Gather(GatherOptions),
}

#[derive(Args)]
pub struct GatherOptions {
    /// The archive to write, such as support.tar.gz. The file must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The seconds that each part may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// One file of the archive.
struct Part {
    name: &'static str,
    /// What it has, for the list in the archive.
    about: &'static str,
    found: Found,
}

/// What was found for a part.
enum Found {
    Json(Value),
    Text(String),
    /// Nothing, with the reason.
    Missing(String),
    /// Nothing, and that is no fault: another machine may have it.
    Elsewhere(String),
}

/// Runs one of the commands and prints its result.
pub async fn run(
    config: &Config,
    shown: &ShownSettings,
    command: &SupportCommand,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let SupportCommand::Gather(options) = command;
    let now = clock();
    packet::refuse_existing(&options.out)?;
    let parts = gather(config, shown, options, now).await;
    let written = write(Packet::create(&options.out, now)?, shown, &parts)?;
    println!("{}", options.out.display());
    for (part, bytes) in parts.iter().zip(&written) {
        match &part.found {
            Found::Json(_) | Found::Text(_) => {
                println!("  {:<20} {bytes:>9} bytes  {}", part.name, part.about)
            }
            Found::Missing(why) => {
                println!("  {:<20}   MISSING        {}", part.name, shown.redact(why.clone()))
            }
            Found::Elsewhere(why) => {
                println!("  {:<20}   not here       {}", part.name, shown.redact(why.clone()))
            }
        }
    }
    println!(
        "Look at its files before you send it: it has no messages, no secrets and nothing about people."
    );
    let complete = !parts.iter().any(|part| matches!(part.found, Found::Missing(_)));
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

async fn gather(
    config: &Config,
    shown: &ShownSettings,
    options: &GatherOptions,
    now: OffsetDateTime,
) -> Vec<Part> {
    let limit = Duration::from_secs(options.timeout);
    let checks = check::findings(config, &CheckCommand::usual(options.timeout)).await;
    let mut parts = vec![
        Part { name: "build.json", about: "version and machine", found: Found::Json(build(now)) },
        Part {
            name: "settings.json",
            about: "settings, and which differ from their defaults",
            found: Found::Json(json!(shown.settings)),
        },
        Part { name: "checks.json", about: "what `check` finds", found: Found::Json(json!(checks)) },
    ];
    parts.extend(database::parts(config, limit).await);
    parts.extend(replica::parts(config, limit).await);
    parts
}

/// Writes the archive. Returns the size of each part.
fn write(mut packet: Packet, shown: &ShownSettings, parts: &[Part]) -> std::io::Result<Vec<usize>> {
    let mut readme = README.to_owned();
    for part in parts {
        readme.push_str(&format!("{:<20} {}\n", part.name, part.about));
    }
    packet.add("README.txt", &readme)?;
    let mut sizes = Vec::with_capacity(parts.len());
    for part in parts {
        let text = match &part.found {
            Found::Json(value) => sanitized(shown, value.clone()),
            Found::Text(text) => shown.redact(text.clone()),
            Found::Missing(why) | Found::Elsewhere(why) => sanitized(shown, json!({"missing": why})),
        };
        packet.add(part.name, &text)?;
        sizes.push(text.len());
    }
    packet.finish()?;
    Ok(sizes)
}

/// A value as people read it, without anything that the settings hide.
fn sanitized(shown: &ShownSettings, mut value: Value) -> String {
    shown.redact_all(&mut value);
    format!("{value:#}\n")
}

/// The build, and the machine that the command runs on.
fn build(now: OffsetDateTime) -> Value {
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let memory = file("/proc/meminfo")
        .and_then(|text| Some(text.lines().next()?.split_once(':')?.1.trim().to_owned()));
    json!({
        "gathered_at": now.format(&Rfc3339).ok(),
        "version": env!("CARGO_PKG_VERSION"),
        "newest_migration": Store::newest_migration(),
        "is_debug_build": cfg!(debug_assertions),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "kernel": file("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        "processors": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "memory": memory,
        "memory_limit": file("/sys/fs/cgroup/memory.max").map(|text| text.trim().to_owned()),
    })
}

#[expect(clippy::disallowed_methods, reason = "the command line may read the clock")]
fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
