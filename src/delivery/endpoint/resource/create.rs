//! Creates an endpoint with its first secret, once for each client id.

use serde_json::json;
use uuid::Uuid;

use super::{CLAIM, Fields, Manager, NewSecret, Stored, check_own, note, shown_url, write};
use crate::base::audit::Action;
use crate::base::claim::{self, Claim};
use crate::base::error::{self, Error, Result};
use crate::base::store::{Statements, retrying};
use crate::delivery::endpoint::registry::{Callbacks, secret_label};
use crate::delivery::endpoint::spec::EndpointSpec;
use crate::delivery::endpoint::{GATE, GATEWAY, Kind, sign};
use crate::sql;

/// Most endpoints of a database.
const CALLBACKS_MAX: i64 = 1_000;

/// An endpoint to create.
struct Made<'a> {
    callback_id: &'a str,
    kind: Kind,
    fields: &'a Fields,
    encrypted: &'a [u8],
    claim: Option<(Claim<'a>, &'a [u8])>,
}

impl Callbacks {
    /// Creates an endpoint with its first secret. There is only one gateway, and the settings have
    /// precedence. There is only one gate, too. A repeat with the same client id creates nothing.
    pub async fn create(
        &self,
        kind: Kind,
        spec: &EndpointSpec,
        by: Manager<'_>,
    ) -> Result<(String, NewSecret)> {
        let digest = claim::digest(&(kind.as_str(), spec))?;
        let claim = by.claim("callback");
        if let Some(made) = self.made_before(claim, &digest).await? {
            return Ok(made);
        }
        let url = spec.url.clone().ok_or_else(|| Error::field("/url", "is required"))?;
        if kind == Kind::Observer && spec.event_types.is_none() {
            return Err(Error::field("/event_types", "is required for an observer"));
        }
        if kind == Kind::Gate && spec.without_answer.is_none() {
            return Err(Error::field("/without_answer", "is required for a gate: give allow or refuse"));
        }
        spec.check(kind, &self.guard)?;
        if let Some(owner) = by.owner() {
            check_own(&self.store.client().await?, spec, owner).await?;
        }
        let callback_id = match kind {
            Kind::Gateway => GATEWAY.to_owned(),
            Kind::Gate => GATE.to_owned(),
            Kind::Observer => format!("cb-{}", Uuid::now_v7()),
        };
        let (bytes, secret) = sign::mint()?;
        let encrypted = self.keys.encrypt(secret_label(&callback_id), &bytes)?;
        let mut fields = Fields::new(url);
        fields.take(spec, self.seal_headers(&callback_id, spec)?);
        let sealed_digest = claim.map(|_| self.keys.encrypt(CLAIM, &digest)).transpose()?.unwrap_or_default();
        let claim = claim.map(|claim| (claim, sealed_digest.as_slice()));
        let made = Made { callback_id: &callback_id, kind, fields: &fields, encrypted: &encrypted, claim };
        let Some(secret_id) = retrying(|| self.insert(&made, by)).await? else {
            let claim = claim.map(|(claim, _)| claim);
            return self.made_before(claim, &digest).await?.ok_or_else(claim::forgotten);
        };
        self.refresh(by.now).await?;
        Ok((callback_id, NewSecret { secret_id, secret, others_until: None, repeated: false }))
    }

    /// The endpoint and secret that were created under the same client id.
    pub(super) async fn made_before(
        &self,
        claim: Option<Claim<'_>>,
        digest: &[u8],
    ) -> Result<Option<(String, NewSecret)>> {
        let Some(claim) = claim else { return Ok(None) };
        let client = self.store.client().await?;
        let Some(kept) = claim.kept(&client).await? else { return Ok(None) };
        if self.keys.open(CLAIM, &kept.digest).as_deref() != Some(digest) {
            return Err(claim::reused());
        }
        let row = client.opt(sql!("delivery/endpoint/secret"), &[&kept.made_id]).await?;
        let row = row.ok_or_else(claim::gone)?;
        let callback_id: String = row.get("callback_id");
        let bytes = self.keys.open(secret_label(&callback_id), row.get("sealed")).ok_or_else(|| {
            Error::new(error::Kind::Conflict, "no key in callback_keys decrypts this callback: add its key")
        })?;
        let secret = sign::encode(&bytes);
        let (secret_id, made_at) = (kept.made_id, kept.made_at);
        Ok(Some((callback_id, NewSecret { secret_id, secret, others_until: Some(made_at), repeated: true })))
    }

    /// `None`: a concurrent call has used the same client id.
    async fn insert(&self, made: &Made<'_>, by: Manager<'_>) -> Result<Option<i64>> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let there = tx.one(sql!("delivery/endpoint/count"), &[&by.owner()]).await?;
        let conflict = |why: &'static str| Err(Error::new(error::Kind::Conflict, why));
        if made.kind == Kind::Gateway && there.get("gateway") {
            return conflict("a gateway already exists: change it with PATCH /callbacks/gateway");
        }
        if made.kind == Kind::Gate && there.get("gate") {
            return conflict("a gate already exists: change it with PATCH /callbacks/gate");
        }
        if there.get::<_, i64>("callbacks") >= CALLBACKS_MAX {
            return conflict("there are already 1,000 callbacks: remove one first");
        }
        if by.is_application && there.get::<_, i64>("own") >= self.own_max {
            let why = format!("the application already has {} callbacks: remove one first", self.own_max);
            return Err(Error::new(error::Kind::Conflict, why));
        }
        let Made { callback_id, kind, fields, .. } = *made;
        write(&tx, Stored { callback_id, kind, fields, set_going: true }, by).await?;
        let row = tx
            .one(
                sql!("delivery/endpoint/add_secret"),
                &[&made.callback_id, &made.encrypted, &by.now, &by.now],
            )
            .await?;
        note(
            &tx,
            Action::CallbackCreated,
            made.callback_id,
            &json!({"url": shown_url(&made.fields.url)}),
            by,
        )
        .await?;
        if let Some((claim, digest)) = made.claim
            && !claim.keep(&tx, digest, (row.get("secret_id"), by.now)).await?
        {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(row.get("secret_id")))
    }
}
