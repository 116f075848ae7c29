//! Adds a secret to an endpoint, so that the older ones can end.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::{CLAIM, Manager, NewSecret, lock, note, of_settings};
use crate::base::audit::Action;
use crate::base::claim::{self, Claim};
use crate::base::error::{self, Error, Result};
use crate::base::store::{Statements, retrying};
use crate::delivery::endpoint::registry::{Callbacks, secret_label};
use crate::delivery::endpoint::sign;
use crate::sql;

/// Most secrets of an endpoint that sign at the same time.
const SIGNING_MAX: i64 = 4;

/// A secret to add.
struct Added<'a> {
    encrypted: &'a [u8],
    /// When the older secrets end.
    until: OffsetDateTime,
    claim: Option<(Claim<'a>, &'a [u8])>,
}

impl Callbacks {
    /// Adds a secret to an endpoint. The older ones also sign during `overlap`. A repeat with the same client
    /// id adds nothing.
    pub async fn rotate(&self, callback_id: &str, overlap: Duration, by: Manager<'_>) -> Result<NewSecret> {
        self.show(callback_id, by.owner(), by.now).await?;
        let digest = claim::digest(&(callback_id, overlap.as_millis()))?;
        let claim = by.claim("callback secret");
        let again = async || {
            let made = self.made_before(claim, &digest).await?;
            let until = |at: OffsetDateTime| at + overlap;
            Ok::<_, Error>(
                made.map(|(_, new)| NewSecret { others_until: new.others_until.map(until), ..new }),
            )
        };
        if let Some(made) = again().await? {
            return Ok(made);
        }
        let (bytes, secret) = sign::mint()?;
        let encrypted = self.keys.encrypt(secret_label(callback_id), &bytes)?;
        let until = by.now + overlap;
        let sealed_digest = claim.map(|_| self.keys.encrypt(CLAIM, &digest)).transpose()?.unwrap_or_default();
        let added = Added {
            encrypted: &encrypted,
            until,
            claim: claim.map(|claim| (claim, sealed_digest.as_slice())),
        };
        let Some(secret_id) = retrying(|| self.add_secret(callback_id, &added, by)).await? else {
            return again().await?.ok_or_else(claim::forgotten);
        };
        self.refresh(by.now).await?;
        Ok(NewSecret { secret_id, secret, others_until: Some(until), repeated: false })
    }

    async fn add_secret(&self, callback_id: &str, added: &Added<'_>, by: Manager<'_>) -> Result<Option<i64>> {
        let until = added.until;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = lock(&tx, callback_id, by).await?;
        if row.get("from_settings") {
            return Err(of_settings());
        }
        if row.get::<_, i64>("signing") >= SIGNING_MAX && until > by.now {
            let why = "four secrets already sign: wait until one ends, or end all with `overlap_ms` 0";
            return Err(Error::new(error::Kind::Conflict, why));
        }
        let row = tx
            .one(sql!("delivery/endpoint/add_secret"), &[&callback_id, &added.encrypted, &by.now, &until])
            .await?;
        note(&tx, Action::CallbackRotated, callback_id, &json!({}), by).await?;
        if let Some((claim, digest)) = added.claim
            && !claim.keep(&tx, digest, (row.get("secret_id"), by.now)).await?
        {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(row.get("secret_id")))
    }
}
