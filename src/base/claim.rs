//! A caller's client id for what a call creates: a repeated call finds what the first one created.
//!
//! The transaction that creates the thing also records the id. Of two concurrent calls, the second waits for
//! the first commit, creates nothing, and answers with the first one's result.

use deadpool_postgres::Transaction;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

/// A call with a client id.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub caller: &'a str,
    /// What the call creates. Ids of different calls do not collide.
    pub call: &'a str,
    pub client_id: &'a str,
}

/// What was created before under an id.
#[derive(Debug)]
pub struct Kept {
    pub made_id: i64,
    pub made_at: OffsetDateTime,
    pub digest: Vec<u8>,
}

/// A digest of the request body, to recognize a repeat.
pub fn digest(body: &impl Serialize) -> Result<Vec<u8>> {
    Ok(Sha256::digest(serde_json::to_vec(body).map_err(Error::internal)?).to_vec())
}

/// The id was used with another body.
pub fn reused() -> Error {
    Error::new(Kind::ClientIdReused, "").at("/client_id")
}

/// The id existed when it was claimed, and was pruned since.
pub fn forgotten() -> Error {
    Error::unavailable("this client_id has just expired: repeat the request")
}

/// What was created under the id is removed.
pub fn gone() -> Error {
    Error::new(Kind::Conflict, "what this client_id created no longer exists: use another client_id")
}

impl Claim<'_> {
    pub async fn kept(&self, client: &impl Statements) -> Result<Option<Kept>> {
        let row = client.opt(sql!("base/claim/kept"), &[&self.caller, &self.call, &self.client_id]).await?;
        Ok(row.map(|row| Kept {
            made_id: row.get("made_id"),
            made_at: row.get("made_at"),
            digest: row.get("digest"),
        }))
    }

    /// Records the id in the transaction that creates `made_id`. False: the id is taken, and the transaction
    /// must not be committed.
    pub async fn keep(
        &self,
        tx: &Transaction<'_>,
        digest: &[u8],
        (made_id, now): (i64, OffsetDateTime),
    ) -> Result<bool> {
        let Self { caller, call, client_id } = self;
        Ok(tx.run(sql!("base/claim/keep"), &[caller, call, client_id, &digest, &made_id, &now]).await? == 1)
    }

    /// Forgets the id, if `made_id` was created under it: the call failed later, and its repeat begins anew.
    pub async fn forget(&self, store: &Store, made_id: i64) -> Result<()> {
        let Self { caller, call, client_id } = self;
        store.run(sql!("base/claim/forget"), &[caller, call, client_id, &made_id]).await?;
        Ok(())
    }
}

impl Kept {
    /// The created id, if the body is the same.
    pub fn of(&self, digest: &[u8]) -> Result<i64> {
        if self.digest == digest { Ok(self.made_id) } else { Err(reused()) }
    }
}

/// Deletes a batch of ids recorded before a time. Returns how many.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("base/claim/prune"), &[&before, &most]).await
}
