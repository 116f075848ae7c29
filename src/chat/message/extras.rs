//! What sends of a transaction carry beside their contents. A batch of plain sends has none of it, and asks the database for
//! nothing.

use deadpool_postgres::GenericClient;
use futures_util::FutureExt;
use futures_util::future::{OptionFuture, try_join4, try_join5};
use tokio_postgres::Row;

use super::commit::Commits;
use super::held::Files;
use super::mention::Mentioned;
use super::outgoing::Outgoing;
use super::thread::Threads;
use super::urgency::Note;
use crate::base::error::{Error, Result};

/// The extras of the sends of one transaction, ready to be checked and written.
pub struct Extras<'a> {
    urgency: Option<Note>,
    mentioned: Option<Mentioned<'a>>,
    threads: Option<Threads<'a>>,
    files: Option<Files<'a>>,
    commits: Option<Commits>,
}

/// The sends that a transaction refuses, as its statements found them.
pub struct Refusals {
    mentions: Option<Vec<Row>>,
    threads: Option<Vec<Row>>,
    files: Option<Vec<Row>>,
    commits: Option<Vec<Row>>,
}

impl<'a> Extras<'a> {
    /// Prepares the statements, so that they are sent at once.
    pub async fn prepare(
        client: &impl GenericClient,
        sends: impl Iterator<Item = &'a Outgoing> + Clone,
        only_admins_mention_all: bool,
    ) -> Result<Self> {
        Ok(Self {
            urgency: Note::prepare(client, sends.clone().map(|send| &send.urgency)).await?,
            mentioned: Mentioned::prepare(client, sends.clone(), only_admins_mention_all).await?,
            threads: Threads::prepare(client, sends.clone()).await?,
            files: Files::prepare(client, sends.clone()).await?,
            commits: Commits::prepare(client, sends).await?,
        })
    }

    /// Finds the sends that must be refused. The next statement of the transaction refuses them.
    pub async fn check(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<Refusals, tokio_postgres::Error> {
        let mentions = OptionFuture::from(self.mentioned.as_ref().map(|mentioned| mentioned.check(client)));
        let threads = OptionFuture::from(self.threads.as_ref().map(|threads| threads.check(client)));
        let files = OptionFuture::from(self.files.as_ref().map(|files| files.check(client)));
        let commits = OptionFuture::from(self.commits.as_ref().map(|commits| commits.check(client)));
        let (mentions, threads) = (mentions.map(Option::transpose), threads.map(Option::transpose));
        let (files, commits) = (files.map(Option::transpose), commits.map(Option::transpose));
        let (mentions, threads, files, commits) = try_join4(mentions, threads, files, commits).await?;
        Ok(Refusals { mentions, threads, files, commits })
    }

    /// Writes them in the transaction that has just stored the sends.
    pub async fn write(&self, client: &impl GenericClient) -> std::result::Result<(), tokio_postgres::Error> {
        let urgency = OptionFuture::from(self.urgency.as_ref().map(|note| note.write(client)));
        let mentions = OptionFuture::from(self.mentioned.as_ref().map(|mentioned| mentioned.write(client)));
        let threads = OptionFuture::from(self.threads.as_ref().map(|threads| threads.write(client)));
        let (urgency, mentions) = (urgency.map(Option::transpose), mentions.map(Option::transpose));
        let files = OptionFuture::from(self.files.as_ref().map(|files| files.write(client)));
        let commits = OptionFuture::from(self.commits.as_ref().map(|commits| commits.write(client)));
        let (threads, files) = (threads.map(Option::transpose), files.map(Option::transpose));
        let commits = commits.map(Option::transpose);
        try_join5(urgency, mentions, threads, files, commits).await.map(|_| ())
    }

    /// Whether a send must wait for an earlier one of the batch, by its place from 1.
    pub fn must_wait(&self, refusals: &Refusals, place: i64) -> bool {
        refusals.commits.as_ref().is_some_and(|rows| Commits::must_wait(rows, place))
    }

    /// Why a send is refused, by its place in the batch from 1.
    pub fn refusal(&self, refusals: &Refusals, place: i64) -> Error {
        let mentioned = self.mentioned.as_ref().zip(refusals.mentions.as_ref());
        let threads = self.threads.as_ref().zip(refusals.threads.as_ref());
        let refusal = mentioned.and_then(|(mentioned, rows)| mentioned.refusal(rows, place));
        let files = self.files.as_ref().zip(refusals.files.as_ref());
        let refusal = refusal.or_else(|| threads.and_then(|(threads, rows)| threads.refusal(rows, place)));
        let refusal = refusal.or_else(|| files.and_then(|(files, rows)| files.refusal(rows, place)));
        let refusal = refusal.or_else(|| Commits::refusal(refusals.commits.as_ref()?, place));
        refusal.unwrap_or_else(|| Error::internal("a refused send has no reason"))
    }
}
