//! The files that messages hold. The transaction that stores a message checks that its sender can read the file, and keeps
//! it from expiring.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tokio_postgres::{Row, Statement};

use super::outgoing::Outgoing;
use crate::base::error::{Error, Result};
use crate::base::number::FileId;
use crate::sql;

/// Why a file cannot be held.
pub const NO_FILE: &str = "is no file that the sender can read, or its upload is not finished";

/// A file that a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFile {
    /// The pointer of `file_id`.
    pub at: String,
    /// None if the sender cannot read such a file.
    pub file_id: Option<FileId>,
}

impl HeldFile {
    /// A file of a send that the service makes by itself: no field of a call names it.
    pub fn of(file_id: FileId) -> Self {
        Self { at: String::new(), file_id: Some(file_id) }
    }
}

/// The files of the sends of one transaction, ready to be checked and written.
pub struct Files<'a> {
    check: Statement,
    note: Statement,
    files: HashMap<i32, &'a HeldFile>,
    places: Vec<i32>,
    senders: Vec<&'a str>,
    file_ids: Vec<Option<FileId>>,
}

impl<'a> Files<'a> {
    /// None if no send holds a file. The statements are prepared here, so that they are sent at once.
    pub async fn prepare(
        client: &impl GenericClient,
        sends: impl Iterator<Item = &'a Outgoing>,
    ) -> Result<Option<Self>> {
        // Places in the batch, from 1.
        let sends = (1..)
            .zip(sends)
            .flat_map(|(place, send)| send.files.iter().map(move |file| (place, send.sender.as_str(), file)));
        let sends: Vec<(i32, &str, &HeldFile)> = sends.collect();
        if sends.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            check: client.prepare_cached(sql!("chat/message/check_files")).await?,
            note: client.prepare_cached(sql!("chat/message/note_files")).await?,
            files: sends.iter().map(|(place, _, file)| (*place, *file)).collect(),
            places: sends.iter().map(|(place, ..)| *place).collect(),
            senders: sends.iter().map(|(_, sender, _)| *sender).collect(),
            file_ids: sends.iter().map(|(.., file)| file.file_id).collect(),
        }))
    }

    /// Finds the sends that must be refused. A later statement of the transaction refuses them.
    pub(super) async fn check(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        client.query(&self.check, &[&self.places, &self.senders, &self.file_ids]).await
    }

    /// Writes which message holds which file, in the transaction that has just stored the sends.
    pub(super) async fn write(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<u64, tokio_postgres::Error> {
        client.execute(&self.note, &[&self.places, &self.file_ids]).await
    }

    /// Why a send is refused, by its place in the batch from 1, if its file is wrong.
    pub(super) fn refusal(&self, checked: &[Row], place: i64) -> Option<Error> {
        let wrong = checked.iter().find(|row| i64::from(row.get::<_, i32>("place")) == place)?;
        let file = self.files.get(&wrong.get("place"))?;
        Some(Error::field(file.at.as_str(), NO_FILE))
    }
}
