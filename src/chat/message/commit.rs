//! Commits of MLS: a commit ends the epoch of its encrypted channel, so one is taken for each epoch.

use deadpool_postgres::GenericClient;
use tokio_postgres::{Row, Statement};

use super::outgoing::Outgoing;
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::sql;

/// The commits of one transaction, ready to be checked and written.
pub struct Commits {
    check: Statement,
    note: Statement,
    channels: Vec<ChannelId>,
    places: Vec<i32>,
    epochs: Vec<i64>,
}

impl Commits {
    /// None if no send is a commit. The statements are prepared here, so that they are sent at once.
    pub async fn prepare<'a>(
        client: &impl GenericClient,
        sends: impl Iterator<Item = &'a Outgoing>,
    ) -> Result<Option<Self>> {
        // Places in the batch, from 1.
        let commits: Vec<(i32, ChannelId, i64)> = (1..)
            .zip(sends)
            .filter_map(|(place, send)| Some((place, send.channel_id, send.commit_epoch()?)))
            .collect();
        if commits.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            check: client.prepare_cached(sql!("chat/message/check_commits")).await?,
            note: client.prepare_cached(sql!("chat/message/note_commits")).await?,
            channels: commits.iter().map(|(_, channel_id, _)| *channel_id).collect(),
            places: commits.iter().map(|(place, ..)| *place).collect(),
            epochs: commits.iter().map(|(.., epoch)| *epoch).collect(),
        }))
    }

    /// Finds the commits that must be refused or wait. A later statement of the transaction refuses them.
    pub(super) async fn check(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        client.query(&self.check, &[&self.channels, &self.places, &self.epochs]).await
    }

    /// Begins the next epochs, in the transaction that has just stored the commits.
    pub(super) async fn write(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<u64, tokio_postgres::Error> {
        client.execute(&self.note, &[&self.channels, &self.places]).await
    }

    /// Whether an earlier commit of the batch is for the same channel, by the place in the batch from 1.
    pub(super) fn must_wait(checked: &[Row], place: i64) -> bool {
        of(checked, place).is_some_and(|row| row.get("waits"))
    }

    /// Why a commit is refused, by its place in the batch from 1.
    pub(super) fn refusal(checked: &[Row], place: i64) -> Option<Error> {
        of(checked, place).map(|row| Error::epoch_taken(row.get("epoch")))
    }
}

fn of(checked: &[Row], place: i64) -> Option<&Row> {
    checked.iter().find(|row| i64::from(row.get::<_, i32>("place")) == place)
}
