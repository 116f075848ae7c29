//! A caller's own id for what a call makes, so that the call can be repeated: the repeat finds what was made.
//!
//! The id is kept by the transaction that makes the thing. Of two calls at once the second waits for the first
//! one's commit, makes nothing, and answers with what the first has made.

use deadpool_postgres::{GenericClient, Transaction};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::error::{Error, Kind, Result};
use crate::sql;
use crate::store::Store;

/// A call under an id.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub caller: &'a str,
    /// What is made; ids of different calls do not meet.
    pub call: &'a str,
    pub client_id: &'a str,
}

/// What was made under an id before.
#[derive(Debug)]
pub struct Kept {
    pub made_id: i64,
    pub made_at: OffsetDateTime,
    pub digest: Vec<u8>,
}

/// What tells one body from another.
pub fn digest(body: &impl Serialize) -> Result<Vec<u8>> {
    Ok(Sha256::digest(serde_json::to_vec(body).map_err(Error::internal)?).to_vec())
}

/// The id is another body's.
pub fn reused() -> Error {
    Error::new(Kind::ClientIdReused, "").at("/client_id")
}

/// Kept when it was claimed, and gone since.
pub fn forgotten() -> Error {
    Error::unavailable("what was made under this client_id is just forgotten")
}

impl Claim<'_> {
    pub async fn kept(&self, client: &impl GenericClient) -> Result<Option<Kept>> {
        let statement = client.prepare_cached(sql!("claim/kept")).await?;
        let row = client.query_opt(&statement, &[&self.caller, &self.call, &self.client_id]).await?;
        Ok(row.map(|row| Kept {
            made_id: row.get("made_id"),
            made_at: row.get("made_at"),
            digest: row.get("digest"),
        }))
    }

    /// Keeps it in the transaction that makes `made_id`. False: something was made under this id, and
    /// the transaction must not be committed.
    pub async fn keep(
        &self,
        tx: &Transaction<'_>,
        digest: &[u8],
        (made_id, now): (i64, OffsetDateTime),
    ) -> Result<bool> {
        let statement = tx.prepare_cached(sql!("claim/keep")).await?;
        let Self { caller, call, client_id } = self;
        Ok(tx.execute(&statement, &[caller, call, client_id, &digest, &made_id, &now]).await? == 1)
    }
}

impl Kept {
    /// What was made, if it was made of the same body.
    pub fn of(&self, digest: &[u8]) -> Result<i64> {
        if self.digest == digest { Ok(self.made_id) } else { Err(reused()) }
    }
}

/// Forgets a step of what was kept before a time. Returns how much.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("claim/prune")).await?;
    Ok(client.execute(&statement, &[&before, &most]).await?)
}
