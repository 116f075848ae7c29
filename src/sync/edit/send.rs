//! One attempt: claimed with a lease, sent without a database connection, settled in one transaction.
//!
//! A write never overwrites a value that was not seen here. An edit is sent while the source still has the
//! value on which the edit was based. If the source already has the wanted value, it is our own write whose
//! answer was lost, or the same change made there. Any other value is a conflict.

use time::OffsetDateTime;

use super::repository::{self, EditClaim, EditedUser, End};
use super::{EditState, Edits, Values};
use crate::base::error::{Error, Result};
use crate::base::worker::{Tick, Work};
use crate::sync::apply;
use crate::sync::change_users_in;
use crate::sync::record::UserRecord;
use crate::sync::source::{Later, Seen, Writer, Written};

/// Most reads of a user that changes at the source meanwhile. Longest time for all calls of an attempt, in
/// timeouts of one call.
const ROUNDS: usize = 3;
const CALLS: u32 = 4;
/// Jitter added to waits, as a share of them; and most doublings of a wait.
const JITTER: f64 = 0.25;
const DOUBLED_MAX: i32 = 30;

/// The result of an attempt. If the source was read, with its record.
enum EditOutcome {
    Applied(Box<UserRecord>),
    Conflict(Box<UserRecord>),
    Gone,
    Refused(String),
    Later(Later),
}

impl EditOutcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Conflict(_) => "conflict",
            Self::Gone | Self::Refused(_) => "refused",
            Self::Later(_) => "later",
        }
    }
}

impl Edits {
    async fn person(&self, claim: &EditClaim) -> Result<EditedUser> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let person = repository::person(&tx, &claim.user_id).await?;
        tx.commit().await?;
        Ok(person)
    }

    async fn attempt(&self, claim: &EditClaim, person: &EditedUser) -> EditOutcome {
        let source = self.source.as_ref().filter(|source| source.name() == claim.source);
        let Some(writer) = source.and_then(|source| source.writer()) else {
            return EditOutcome::Refused("the settings now name another source".to_owned());
        };
        if person.source != claim.source {
            return EditOutcome::Refused("the user now belongs to another source".to_owned());
        }
        if let Some(attribute) = claim.attributes.names().find(|attribute| !writer.takes(attribute)) {
            return EditOutcome::Refused(format!("{attribute} can no longer be written"));
        }
        send(writer, claim, person).await
    }

    async fn record_outcome(
        &self,
        claim: &EditClaim,
        person: &EditedUser,
        outcome: &EditOutcome,
    ) -> Result<()> {
        let now = self.store.now().await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        apply::lock(&tx).await?;
        let Some(version) = repository::hold(&tx, claim).await? else {
            tracing::warn!(edit_id = claim.edit_id, "another replica has taken over an edit");
            return Ok(());
        };
        match outcome {
            // If a run has changed the user here since, it is unknown which value is newer.
            EditOutcome::Applied(record) | EditOutcome::Conflict(record) if version == person.version => {
                change_users_in(&tx, &claim.source, &[record], now).await?;
            }
            EditOutcome::Applied(_) | EditOutcome::Conflict(_) | EditOutcome::Gone => {
                repository::name_changed(&tx, &person.external_id).await?;
            }
            EditOutcome::Refused(_) | EditOutcome::Later(_) => {}
        }
        self.end(&tx, claim, outcome, now).await?;
        Ok(tx.commit().await?)
    }

    async fn end(
        &self,
        tx: &deadpool_postgres::Transaction<'_>,
        claim: &EditClaim,
        outcome: &EditOutcome,
        now: OffsetDateTime,
    ) -> Result<()> {
        let ended = |state, detail| End { state, detail, theirs: None, due_at: now, heard: false };
        let theirs;
        let end = match outcome {
            EditOutcome::Applied(record) => {
                let is_so = claim.attributes.are_in(&Values::of(record));
                let detail = (!is_so).then_some("the source has stored another value");
                End { heard: true, ..ended(EditState::Applied, detail) }
            }
            EditOutcome::Conflict(record) => {
                theirs = claim.attributes.among(&Values::of(record));
                let version = record.source_version.as_deref();
                let detail = Some("the value has changed at the source");
                End { heard: true, theirs: Some((&theirs, version)), ..ended(EditState::Conflict, detail) }
            }
            EditOutcome::Gone => ended(EditState::Refused, Some("the source no longer has this user")),
            EditOutcome::Refused(why) => ended(EditState::Refused, Some(why)),
            EditOutcome::Later(later) if now >= claim.give_up_at => {
                ended(EditState::Failed, Some(&later.reason))
            }
            EditOutcome::Later(later) => {
                let due_at = now + self.wait(claim.failures, later)?;
                End { due_at, ..ended(EditState::Waiting, Some(&later.reason)) }
            }
        };
        repository::end(tx, claim.edit_id, &end, now).await
    }

    /// Doubled with each failure, plus jitter. A source can only extend it.
    fn wait(&self, failures: i32, later: &Later) -> Result<std::time::Duration> {
        let doubled =
            self.settings.edit_retry_base.mul_f64(f64::from(2).powi(failures.clamp(0, DOUBLED_MAX)));
        let wait = doubled.min(self.settings.edit_retry_max).mul_f64(1.0 + random_share()? * JITTER);
        Ok(wait.max(later.retry_after.unwrap_or_default()))
    }
}

impl Work for Edits {
    /// Makes one due attempt.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let until = now + self.settings.timeout * CALLS + self.margin;
        let give_up_at = now + self.settings.edit_give_up;
        let Some(claim) = repository::claim(&self.store, now, until, give_up_at).await? else {
            return Ok(Tick::Idle);
        };
        let person = self.person(&claim).await?;
        let attempt = tokio::time::timeout(self.settings.timeout * CALLS, self.attempt(&claim, &person));
        let outcome =
            attempt.await.unwrap_or_else(|_| EditOutcome::Later(Later::because("no answer in time")));
        self.record_outcome(&claim, &person, &outcome).await?;
        metrics::counter!("impg_directory_edits_total", "outcome" => outcome.name()).increment(1);
        tracing::info!(
            edit_id = claim.edit_id,
            attempt = claim.attempt,
            outcome = outcome.name(),
            "edit sent"
        );
        Ok(Tick::More)
    }
}

async fn send(writer: &dyn Writer, claim: &EditClaim, person: &EditedUser) -> EditOutcome {
    // The values here are of one version of the source's. They need not be read if the edit fits it.
    let mut known = person.source_version.clone().map(|version| (version, person.values.clone()));
    known.take_if(|(_, values)| !claim.base.are_in(values));
    for _ in 0..ROUNDS {
        let (version, present) = match known.take() {
            Some(known) => known,
            None => match look(writer, claim, person).await {
                Ok(found) => found,
                Err(outcome) => return outcome,
            },
        };
        match writer.write(&person.external_id, (&version, &present), &claim.attributes).await {
            Written::Done => {
                return match writer.read(&person.external_id).await {
                    Seen::There(record) => EditOutcome::Applied(record),
                    // The next attempt is stale, and then finds the value there.
                    Seen::Gone => {
                        EditOutcome::Later(Later::because("written, but the user cannot be read back"))
                    }
                    Seen::Later(later) => EditOutcome::Later(later),
                };
            }
            Written::Stale => {}
            Written::Gone => return EditOutcome::Gone,
            Written::Refused(status) => return EditOutcome::Refused(format!("the source answers {status}")),
            Written::Later(later) => return EditOutcome::Later(later),
        }
    }
    EditOutcome::Later(Later::because("the user keeps changing at the source"))
}

/// Reads a user. Returns the version and the current values if the edit may be sent.
async fn look(
    writer: &dyn Writer,
    claim: &EditClaim,
    person: &EditedUser,
) -> std::result::Result<(String, Values), EditOutcome> {
    let record = match writer.read(&person.external_id).await {
        Seen::There(record) => record,
        Seen::Gone => return Err(EditOutcome::Gone),
        Seen::Later(later) => return Err(EditOutcome::Later(later)),
    };
    let values = Values::of(&record);
    if claim.attributes.are_in(&values) {
        return Err(EditOutcome::Applied(record));
    }
    if !claim.base.are_in(&values) {
        return Err(EditOutcome::Conflict(record));
    }
    match record.source_version {
        Some(version) => Ok((version, values)),
        None => Err(EditOutcome::Refused(
            "the source gives no versions, so no write can have a precondition".to_owned(),
        )),
    }
}

/// Uniform in 0..1.
fn random_share() -> Result<f64> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}
