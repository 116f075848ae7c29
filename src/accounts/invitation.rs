//! Invitations: codes with which people register. An administrator makes them; the code is shown once.

use deadpool_postgres::Transaction;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;

use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::claim::{self, Claim};
use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::identity::token::Issuer;
use crate::sql;

/// Begins a code, so that secret scanners find a leaked one.
const PREFIX: &str = "imin_";
const NOTE_CHARS_MAX: usize = 200;
const USES_MAX: i32 = 10_000;
const DAYS_MAX: u32 = 365;
/// Most invitations that are valid at once, and in the list.
const INVITATIONS_MAX: i64 = 1_000;
const AT: &str = "/invitation";

/// An invitation to make.
#[derive(Debug, Clone, Copy)]
pub struct NewInvitation<'a> {
    /// For administrators.
    pub note: Option<&'a str>,
    pub uses: i32,
    pub days: u32,
}

/// An invitation without its code.
#[derive(Debug)]
pub struct Invitation {
    pub invitation_id: i64,
    pub note: Option<String>,
    pub uses: i32,
    pub uses_max: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl Invitation {
    fn of_row(row: &Row) -> Self {
        Self {
            invitation_id: row.get("invitation_id"),
            note: row.get("note"),
            uses: row.get("uses"),
            uses_max: row.get("uses_max"),
            created_by: row.get("created_by"),
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
        }
    }
}

/// Makes an invitation with its code, and writes that into the audit. A repeat with the same client id makes none, and finds
/// the invitation without its code.
///
/// # Errors
/// `Kind::InvalidField`. `Kind::Conflict` if there are too many.
pub async fn create(
    store: &Store,
    new: NewInvitation<'_>,
    by: Issuer<'_>,
) -> Result<(Invitation, Option<Secret>)> {
    if new.note.is_some_and(|note| !is_label(note, NOTE_CHARS_MAX)) {
        return Err(Error::field(
            "/note",
            "must be one line of 1 to 200 characters, at least one of them visible",
        ));
    }
    if !(1..=USES_MAX).contains(&new.uses) {
        return Err(Error::field("/uses", "must be 1 to 10000"));
    }
    if !(1..=DAYS_MAX).contains(&new.days) {
        return Err(Error::field("/days", "must be 1 to 365"));
    }
    let digest = claim::digest(&(new.note, new.uses, new.days))?;
    let claim = by.client_id.map(|client_id| Claim { caller: by.actor, call: "invitation", client_id });
    if let Some(made) = made_before(store, claim, &digest).await? {
        return Ok((made, None));
    }
    let code = bearer::mint(PREFIX)?;
    match retrying(|| insert(store, new, &code, by, (claim, &digest))).await? {
        Some(made) => Ok((made, Some(code.into()))),
        None => Ok((made_before(store, claim, &digest).await?.ok_or_else(claim::forgotten)?, None)),
    }
}

/// `None`: a concurrent call has used the same client id.
async fn insert(
    store: &Store,
    new: NewInvitation<'_>,
    code: &str,
    by: Issuer<'_>,
    (claim, digest): (Option<Claim<'_>>, &[u8]),
) -> Result<Option<Invitation>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let expires_at = by.now + Duration::days(new.days.into());
    let row = tx
        .opt(
            sql!("accounts/invitation/insert"),
            &[&bearer::hash(code), &new.note, &new.uses, &by.actor, &by.now, &expires_at, &INVITATIONS_MAX],
        )
        .await?;
    let full = || Error::new(Kind::Conflict, "1,000 invitations are valid already: revoke one first");
    let made = Invitation::of_row(&row.ok_or_else(full)?);
    let filter = json!({
        "invitation_id": made.invitation_id.to_string(), "note": new.note, "uses": new.uses, "days": new.days,
    });
    audit::append_with(&tx, Entry::change(Action::InvitationCreated, filter, (by.actor, by.now))).await?;
    if let Some(claim) = claim
        && !claim.keep(&tx, digest, (made.invitation_id, by.now)).await?
    {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(made))
}

/// The invitation that was made under the same client id.
async fn made_before(store: &Store, claim: Option<Claim<'_>>, digest: &[u8]) -> Result<Option<Invitation>> {
    let Some(claim) = claim else { return Ok(None) };
    let client = store.client().await?;
    let Some(kept) = claim.kept(&client).await? else { return Ok(None) };
    let row = client.opt(sql!("accounts/invitation/get"), &[&kept.of(digest)?]).await?;
    Ok(Some(Invitation::of_row(&row.ok_or_else(claim::gone)?)))
}

/// The invitations that can still be used, the newest first.
pub async fn list(store: &Store, now: OffsetDateTime) -> Result<Vec<Invitation>> {
    let rows = store.all(sql!("accounts/invitation/list"), &[&now, &INVITATIONS_MAX]).await?;
    Ok(rows.iter().map(Invitation::of_row).collect())
}

/// Deletes an invitation, and writes that into the audit. Accounts that were made with it stay.
///
/// # Errors
/// `Kind::NotFound`.
pub async fn revoke(store: &Store, invitation_id: i64, actor: &str, now: OffsetDateTime) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        if tx.run(sql!("accounts/invitation/delete"), &[&invitation_id]).await? == 0 {
            return Err(Error::not_found("no such invitation"));
        }
        let filter = json!({"invitation_id": invitation_id.to_string()});
        audit::append_with(&tx, Entry::change(Action::InvitationRevoked, filter, (actor, now))).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// The hash of a code that can be used.
pub(super) async fn check(store: &Store, code: Option<&str>, now: OffsetDateTime) -> Result<Vec<u8>> {
    let code = code.ok_or_else(|| Error::field(AT, "is needed to register here (`account_register`)"))?;
    let hash = bearer::hash(code);
    let is_valid = store.one(sql!("accounts/invitation/is_valid"), &[&hash, &now]).await?.get::<_, bool>(0);
    if is_valid { Ok(hash) } else { Err(not_valid()) }
}

/// Uses a code once, in the transaction that makes the account.
pub(super) async fn take(tx: &Transaction<'_>, hash: &[u8], now: OffsetDateTime) -> Result<()> {
    match tx.run(sql!("accounts/invitation/take"), &[&hash, &now]).await? {
        0 => Err(not_valid()),
        _ => Ok(()),
    }
}

fn not_valid() -> Error {
    Error::field(AT, "is unknown, used up, revoked or expired: ask for another one")
}

/// Deletes invitations that have expired.
pub(super) async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("accounts/invitation/prune"), &[&now, &most]).await
}
