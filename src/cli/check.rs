//! `im-push-gateway check`: whether an installation is well, for people and for monitoring systems.

use std::fmt::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use time::OffsetDateTime;

use crate::accounts::admin;
use crate::archive::index;
use crate::archive::mover::{self, State};
use crate::base::config::{Config, IdentityMode};
use crate::base::error::{Error, Result};
use crate::base::store::{Fitness, Standby, Statements, Store};
use crate::delivery::endpoint::GATEWAY;
use crate::delivery::push;
use crate::sql;
use crate::sync::{self, RunState};

const PUSH_AGE: Limits = Limits { warning: 60.0, critical: 600.0 };
const SEARCH_AGE: Limits = Limits { warning: 60.0, critical: 3600.0 };
const CLOCK: Limits = Limits { warning: 2.0, critical: 30.0 };

/// The options of `check`.
#[derive(Args)]
pub struct CheckCommand {
    /// Only check the settings. Nothing is connected to.
    #[arg(long)]
    settings_only: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Age of the oldest waiting push, in seconds: above the first a warning, above the second critical.
    #[arg(long, value_name = "WARNING:CRITICAL", default_value_t = PUSH_AGE)]
    push_age: Limits,
    /// Age of the oldest message that a search cannot find, in seconds.
    #[arg(long, value_name = "WARNING:CRITICAL", default_value_t = SEARCH_AGE)]
    search_age: Limits,
    /// Difference between this machine's clock and the database's, in seconds.
    #[arg(long, value_name = "WARNING:CRITICAL", default_value_t = CLOCK)]
    clock: Limits,
    /// Seconds until a check without an answer is critical.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A line for each check.
    Text,
    /// One JSON object.
    Json,
    /// The output of a Nagios plug-in, with performance data.
    Nagios,
    /// Metrics, for the textfile collector of Prometheus's node exporter.
    Prometheus,
}

/// Above `warning` a value is a warning, above `critical` it is critical.
#[derive(Debug, Clone, Copy)]
struct Limits {
    warning: f64,
    critical: f64,
}

/// How well something is. The numbers are exit codes, as Nagios reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok = 0,
    Warning = 1,
    Critical = 2,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    name: &'static str,
    pub level: Level,
    detail: String,
    /// What was measured, in `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

#[derive(Serialize)]
struct Report<'a> {
    level: Level,
    checks: &'a [Finding],
}

impl CheckCommand {
    /// The options as they are without arguments, with this timeout.
    pub(super) fn usual(timeout: u64) -> Self {
        Self {
            settings_only: false,
            format: Format::Json,
            push_age: PUSH_AGE,
            search_age: SEARCH_AGE,
            clock: CLOCK,
            timeout,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.warning, self.critical)
    }
}

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once(':').and_then(|(w, c)| Some((w.parse().ok()?, c.parse().ok()?)));
        match parts {
            Some((warning, critical)) if 0.0 <= warning && warning <= critical => {
                Ok(Self { warning, critical })
            }
            _ => Err("must be two numbers such as 60:600, the first not above the second".to_owned()),
        }
    }
}

impl Limits {
    fn level(self, value: f64) -> Level {
        match value {
            value if value > self.critical => Level::Critical,
            value if value > self.warning => Level::Warning,
            _ => Level::Ok,
        }
    }
}

impl Finding {
    fn new(name: &'static str, level: Level, detail: impl Into<String>) -> Self {
        Self { name, level, detail: detail.into(), value: None, unit: None }
    }

    /// A measured number of seconds.
    fn seconds(name: &'static str, limits: Limits, value: f64, what: &str) -> Self {
        let (level, detail) = (limits.level(value), format!("{what}: {value:.1} s"));
        Self { name, level, detail, value: Some(value), unit: Some("s") }
    }
}

/// Runs the checks and prints their results. The settings have been read, so they are well.
pub async fn run(config: &Config, command: &CheckCommand) -> ExitCode {
    let findings = findings(config, command).await;
    let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    print!("{}", print(command.format, level, &findings));
    ExitCode::from(level as u8)
}

/// Runs the checks.
pub(super) async fn findings(config: &Config, command: &CheckCommand) -> Vec<Finding> {
    let mut findings = vec![Finding::new("settings", Level::Ok, "all settings can be used")];
    if !command.settings_only {
        let limit = Duration::from_secs(command.timeout);
        let live = tokio::time::timeout(limit, live(config, command, &mut findings)).await;
        match live {
            Ok(Ok(())) => {}
            Ok(Err(error)) => fail(&mut findings, error.to_string()),
            Err(_) => fail(&mut findings, format!("no answer within {} s", command.timeout)),
        }
    }
    findings
}

/// The database does not answer, or not as it should. There is one finding about it.
fn fail(findings: &mut Vec<Finding>, detail: String) {
    findings.retain(|finding| finding.name != "database");
    findings.push(Finding::new("database", Level::Critical, detail));
}

/// The checks that need the database, in the order in which a fault explains the later ones.
async fn live(config: &Config, command: &CheckCommand, findings: &mut Vec<Finding>) -> Result<()> {
    let store = Store::new(config)?;
    if !store.one(sql!("cli/check/is_migrated"), &[]).await?.get::<_, bool>(0) {
        return Err(Error::unavailable(
            "the database has no tables of this service: run `migrate` or `serve`",
        ));
    }
    let ready = store.readiness().await?;
    findings.push(match ready.writable {
        true => Finding::new("database", Level::Ok, "answers, and takes writes"),
        false => Finding::new("database", Level::Critical, "takes no writes: is it a standby?"),
    });
    findings.push(clock(ready.now, command.clock));
    findings.push(match ready.partitions {
        true => Finding::new("partitions", Level::Ok, "today's tables are there"),
        false => Finding::new("partitions", Level::Critical, "today's tables are missing: start `serve`"),
    });
    let crowding = store.crowding(config.database.pool_size).await?;
    findings.push(match crowding.is_crowded() {
        false => Finding::new("locks", Level::Ok, format!("{} partitions", crowding.partitions)),
        true => Finding::new("locks", Level::Warning, "too few: raise max_locks_per_transaction"),
    });
    findings.extend(push(&store, command.push_age, ready.now).await?);
    if !config.archive.url.is_empty() {
        findings.extend(archive(&store, config, command.search_age, ready.now).await?);
    }
    findings.push(directory(&store).await?);
    if config.identity.mode == IdentityMode::Accounts {
        findings.push(administrators(&store, ready.now).await?);
    }
    findings.extend(standby(&store, config).await?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the command line may read the clock")]
fn clock(database: OffsetDateTime, limits: Limits) -> Finding {
    let apart = (OffsetDateTime::now_utc() - database).as_seconds_f64().abs();
    Finding::seconds("clock", limits, apart, "this machine and the database differ by")
}

/// The standby, if the settings have one. Without it the primary answers, so nothing is critical.
async fn standby(store: &Store, config: &Config) -> Result<Option<Finding>> {
    let Some(standby) = Standby::open(config, store)? else { return Ok(None) };
    let most_ms = config.database.read_max_lag.as_millis();
    Ok(Some(match standby.look().await {
        (Fitness::Fit, lag) => {
            let limits = Limits { warning: f64::INFINITY, critical: f64::INFINITY };
            let lag = lag.unwrap_or_default().as_secs_f64();
            Finding::seconds("standby", limits, lag, "is read from, and has what the primary has after")
        }
        (Fitness::Behind, _) => {
            let detail = format!("more than {most_ms} ms behind: reads go to the primary");
            Finding::new("standby", Level::Warning, detail)
        }
        (Fitness::Unfit(why), _) => Finding::new("standby", Level::Warning, format!("not used: {why}")),
        (Fitness::Unknown, _) => {
            Finding::new("standby", Level::Warning, "not used: the primary does not say how far it is")
        }
    }))
}

/// The push to the gateway, and the observers.
async fn push(store: &Store, limits: Limits, now: OffsetDateTime) -> Result<Vec<Finding>> {
    let backlog = push::backlog(store, GATEWAY).await?;
    let age = backlog.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
    let row = store.one(sql!("cli/check/endpoints"), &[]).await?;
    let (paused, disabled): (bool, i64) = (row.get("gateway_paused"), row.get("disabled"));
    let mut findings = vec![match paused {
        true => Finding::new("push", Level::Warning, format!("paused; {} pairs wait", backlog.pairs)),
        false => Finding::seconds("push", limits, age, "the oldest push waits"),
    }];
    findings.push(match backlog.dead {
        0 => Finding::new("dead_letters", Level::Ok, "none"),
        dead => Finding::new("dead_letters", Level::Warning, format!("{dead} wait for a replay")),
    });
    findings.push(match disabled {
        0 => Finding::new("observers", Level::Ok, "none is disabled"),
        some => Finding::new("observers", Level::Warning, format!("{some} are disabled: see GET /callbacks")),
    });
    Ok(findings)
}

/// The archive and the search index.
async fn archive(
    store: &Store,
    config: &Config,
    limits: Limits,
    now: OffsetDateTime,
) -> Result<Vec<Finding>> {
    let state = mover::Rules::of(&config.archive)?.state(store, now).await?;
    let level = if matches!(state, State::Ok | State::Running) { Level::Ok } else { Level::Critical };
    let lag = index::backlog(store).await?.lag_seconds(now);
    Ok(vec![
        Finding::new("archive", level, state.as_str()),
        Finding::seconds("search", limits, lag, "the oldest message that is not indexed waits"),
    ])
}

/// The last directory run.
async fn directory(store: &Store) -> Result<Finding> {
    let last = sync::runs(store, i64::MAX, 1).await?.pop();
    Ok(match last {
        None => Finding::new("directory", Level::Ok, "no run yet"),
        Some(run) if run.state == RunState::Failed => {
            Finding::new("directory", Level::Critical, "the last run failed: see GET /directory/runs")
        }
        Some(run) if run.state == RunState::Held => {
            Finding::new("directory", Level::Warning, "a run waits for an approval")
        }
        Some(run) => Finding::new("directory", Level::Ok, format!("the last run is {}", run.state.as_str())),
    })
}

/// Without an administrator nobody suspends, invites or gives roles. People go on talking.
async fn administrators(store: &Store, now: OffsetDateTime) -> Result<Finding> {
    Ok(match admin::can_administer(store, now).await? {
        true => Finding::new("administrators", Level::Ok, "one can sign in"),
        false => Finding::new(
            "administrators",
            Level::Warning,
            "none can sign in: make one with `account create --admin`",
        ),
    })
}

fn print(format: Format, level: Level, findings: &[Finding]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match format {
        Format::Text => findings
            .iter()
            .try_for_each(|f| writeln!(text, "{:<8} {:<12} {}", f.level.as_str(), f.name, f.detail)),
        Format::Json => writeln!(
            text,
            "{}",
            serde_json::to_string(&Report { level, checks: findings }).unwrap_or_default()
        ),
        Format::Nagios => writeln!(text, "{}", nagios(level, findings)),
        Format::Prometheus => prometheus(&mut text, findings),
    };
    text
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One line, as the guidelines for plug-ins ask: the state, what is wrong, and the measured values after a bar.
fn nagios(level: Level, findings: &[Finding]) -> String {
    let wrong: Vec<String> = findings
        .iter()
        .filter(|f| f.level > Level::Ok)
        .map(|f| format!("{}: {}", f.name, f.detail.replace(['|', '\n'], " ")))
        .collect();
    let said = if wrong.is_empty() { format!("{} checks", findings.len()) } else { wrong.join("; ") };
    let values: Vec<String> = findings
        .iter()
        .filter_map(|f| Some(format!("{}={:.3}{}", f.name, f.value?, f.unit.unwrap_or_default())))
        .collect();
    let bar = if values.is_empty() { String::new() } else { format!(" | {}", values.join(" ")) };
    format!("IM-PUSH-GATEWAY {} - {said}{bar}", level.as_str().to_uppercase())
}

fn prometheus(text: &mut String, findings: &[Finding]) -> std::fmt::Result {
    writeln!(text, "# HELP impg_check_level Result of a check: 0 ok, 1 warning, 2 critical.")?;
    writeln!(text, "# TYPE impg_check_level gauge")?;
    for f in findings {
        writeln!(text, "impg_check_level{{check=\"{}\"}} {}", f.name, f.level as u8)?;
    }
    writeln!(text, "# HELP impg_check_seconds What a check measured.")?;
    writeln!(text, "# TYPE impg_check_seconds gauge")?;
    for f in findings {
        if let Some(value) = f.value {
            writeln!(text, "impg_check_seconds{{check=\"{}\"}} {value}", f.name)?;
        }
    }
    Ok(())
}
