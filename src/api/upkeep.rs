//! `/schedule` and `/replicas`: when jobs begin, which replicas there are, and which work each holds.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::wire::rfc3339;
use super::{Api, Authenticated};
use crate::base::config::SourceKind;
use crate::base::cron::Schedule;
use crate::base::error::{Error, Result};
use crate::base::replica::{self, Held, Seen};
use crate::identity::Role;

/// A replica that has told nothing for this long is silent: it tells every ten seconds.
const SILENT_AFTER: Duration = Duration::seconds(45);

pub fn routes() -> Router<Api> {
    Router::new().route("/schedule", get(schedule)).route("/replicas", get(replicas))
}

#[derive(Serialize)]
struct ScheduleView {
    items: Vec<JobView>,
}

#[derive(Serialize)]
struct JobView {
    job: &'static str,
    setting: &'static str,
    cron: Option<String>,
    time_zone: String,
    #[serde(with = "rfc3339::option")]
    last_begun_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    next_at: Option<OffsetDateTime>,
    /// The same in the time zone of the schedule.
    next_local: Option<String>,
    #[serde(with = "rfc3339::option")]
    due_since: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct ReplicasView {
    replicas: Vec<ReplicaView>,
    leases: Vec<LeaseView>,
}

#[derive(Serialize)]
struct ReplicaView {
    replica_id: String,
    version: String,
    host: String,
    #[serde(with = "rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    seen_at: OffsetDateTime,
    is_silent: bool,
    failing: Vec<FailingView>,
}

#[derive(Serialize)]
struct FailingView {
    worker: String,
    failures: u64,
}

#[derive(Serialize)]
struct LeaseView {
    work: String,
    replica_id: Option<String>,
    is_held: bool,
    #[serde(with = "rfc3339")]
    until: OffsetDateTime,
    epoch: i64,
}

/// A job of the settings. `None` as its schedule: it never begins by itself.
struct Job<'a> {
    job: &'static str,
    setting: &'static str,
    /// Its name in the table of schedules.
    name: &'static str,
    schedule: Option<Schedule>,
    cron: &'a str,
    time_zone: &'a str,
}

/// The jobs that this installation has.
fn jobs(api: &Api) -> Result<Vec<Job<'_>>> {
    let (archive, directory) = (&api.config.archive, &api.config.directory);
    let mut jobs = Vec::new();
    if api.archiver.is_some() {
        jobs.push(Job {
            job: "archive",
            setting: "archive_schedule",
            name: "archiver",
            schedule: Some(archive.schedule().map_err(Error::internal)?),
            cron: &archive.schedule,
            time_zone: &archive.time_zone,
        });
    }
    if directory.source != SourceKind::None {
        for (job, setting, name, schedule, cron) in [
            ("directory", "directory.schedule", "directory", directory.schedule(), &directory.schedule),
            (
                "directory_full",
                "directory.full_schedule",
                "directory-full",
                directory.full_schedule(),
                &directory.full_schedule,
            ),
        ] {
            let schedule = schedule.map_err(Error::internal)?;
            jobs.push(Job { job, setting, name, schedule, cron, time_zone: &directory.time_zone });
        }
    }
    Ok(jobs)
}

async fn schedule(State(api): State<Api>, caller: Authenticated) -> Result<Reply<ScheduleView>> {
    caller.must_be(Role::Admin)?;
    let jobs = jobs(&api)?;
    // The clock by which jobs are due.
    let (begun, now) = (replica::schedules(&api.store).await?, api.store.now().await?);
    let view = |job: Job<'_>| {
        let last_begun_at = begun.get(job.name).copied();
        let next_at = job.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
        let local = |at: OffsetDateTime| job.schedule.as_ref()?.local(at);
        JobView {
            job: job.job,
            setting: job.setting,
            cron: Some(job.cron.to_owned()).filter(|cron| !cron.is_empty()),
            time_zone: job.time_zone.to_owned(),
            last_begun_at,
            next_at,
            next_local: next_at.and_then(local),
            due_since: job.schedule.as_ref().zip(last_begun_at).and_then(|(s, begun)| s.due(begun, now)),
        }
    };
    Ok(Reply(ScheduleView { items: jobs.into_iter().map(view).collect() }))
}

async fn replicas(State(api): State<Api>, caller: Authenticated) -> Result<Reply<ReplicasView>> {
    caller.must_be(Role::Admin)?;
    let now = api.store.now().await?;
    let seen = replica::replicas(&api.store).await?;
    let held = replica::leases(&api.store).await?;
    let replica = |one: Seen| ReplicaView {
        replica_id: one.replica_id.to_string(),
        version: one.version,
        host: one.host,
        started_at: one.started_at,
        is_silent: now - one.seen_at > SILENT_AFTER,
        seen_at: one.seen_at,
        failing: one.failing.into_iter().map(|(worker, failures)| FailingView { worker, failures }).collect(),
    };
    let lease = |one: Held| LeaseView {
        work: one.name,
        replica_id: one.replica_id.map(|id| id.to_string()),
        is_held: one.until > now,
        until: one.until,
        epoch: one.epoch,
    };
    Ok(Reply(ReplicasView {
        replicas: seen.into_iter().map(replica).collect(),
        leases: held.into_iter().map(lease).collect(),
    }))
}
