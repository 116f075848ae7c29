//! The scheduler that fires cron jobs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::Schedule;

/// Wakes workers when their schedules come. One that fires late, twice or never is no harm: the worker asks the
/// database what is due, and polls.
pub struct Alarms(JobScheduler);

impl Alarms {
    /// # Errors
    /// The scheduler's, in its words.
    pub async fn start(alarms: &[(Schedule, Arc<Notify>)]) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        for (schedule, wake) in alarms {
            scheduler.add(job(schedule, wake)?).await?;
        }
        scheduler.start().await?;
        Ok(Self(scheduler))
    }

    /// From now on nothing fires.
    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            tracing::debug!(%error, "the scheduler has ended by itself");
        }
    }
}

fn job(schedule: &Schedule, wake: &Arc<Notify>) -> Result<Job, JobSchedulerError> {
    let wake = wake.clone();
    Job::new_tz(schedule.with_seconds(), schedule.zone, move |_, _| wake.notify_one())
}
