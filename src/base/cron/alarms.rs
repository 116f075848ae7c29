//! The scheduler that fires cron jobs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::Schedule;

/// Wakes workers at their scheduled times. A late, repeated or lost alarm does no harm: the worker asks the
/// database what is due, and polls.
pub struct Alarms(JobScheduler);

impl Alarms {
    /// # Errors
    /// The scheduler's error.
    pub async fn start(alarms: &[(Schedule, Arc<Notify>)]) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        for (schedule, wake) in alarms {
            scheduler.add(job(schedule, wake)?).await?;
        }
        scheduler.start().await?;
        Ok(Self(scheduler))
    }

    /// Stops all alarms.
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
